"""The check of derivatives is itself checked: planted in any rule, no mistake of ``mutants.py`` survives.

A profile with fewer examples than there are mutants plants only so many in each rule, in turn.  To plant
all of them and write the page of what was found::

    python -m tests.test_mutants
"""

import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import dlcore as dl
from backends import get_backend
from dlcore.pages.operations import table
from dlcore.testing import check_grads
from dlcore.testing.diagnosis import Closeup
from tests import test_laws_derivatives as laws
from tests.mutants import (
    MODES,
    MUTANTS,
    Mutant,
    Site,
    alone,
    as_the_rules_give_them,
    drawn,
    is_equivalent,
    sites,
)
from tests.strategies import SUBJECTS

PAGE = Path(__file__).parent.parent / "docs" / "mutants.md"
SITES = sites()
COUNT = min(settings().max_examples // 2, len(MUTANTS))  # mutants a rule
EVERY = max(1, 60 // settings().max_examples)  # of how many one is diagnosed

SURVIVORS: dict[tuple[str, str], str] = {}
"""What no check notices although it differs, by mutant and rule, each with the reason."""


NOTICED = ("check", "fit", "refused")


class Outcome(NamedTuple):
    """What became of a planted mistake: "equivalent", "survived", or by what it was noticed; and its kind."""

    mutant: str
    site: Site
    noticed: str
    kind: str = ""


def outcome(mutant: Mutant, site: Site) -> Outcome:
    """Plant a mistake and see."""
    if is_equivalent(mutant, site):
        return Outcome(mutant.name, site, "equivalent")
    broken, mode = mutant.planted(site), MODES[site.field]
    for seed, right in enumerate(drawn(site.primitive, site.position, (3, 1, 2), range(6))):
        call = right._replace(subject=broken)
        f = call.of_floats(call.tensors())
        f.__name__ = site.name
        try:
            check_grads(f, *(call.args[i] for i in call.floats), order=mutant.order, modes=(mode,), seed=seed)
        except AssertionError as error:
            unfit = "have the shapes" in str(error)
            return Outcome(mutant.name, site, "fit" if unfit else "check", error.kind)
        except (TypeError, ValueError, IndexError):  # arrays that do not fit, seen by whoever meets them
            return Outcome(mutant.name, site, "refused")
        with as_the_rules_give_them():
            f = alone(call, site.position).between_floats(call.tensors())
            found = Closeup(f, [dl.tensor(call.args[site.position])], mode).of_another_kind()
        if found:
            return Outcome(mutant.name, site, "fit", found.kind)
    return Outcome(mutant.name, site, "survived")


def chosen(number: int, count: int) -> list[Mutant]:
    """``count`` of the mutants for the rule of this number, so that all take their turn."""
    return [MUTANTS[(number * count + i) % len(MUTANTS)] for i in range(count)]


@cache
def spread(every: int) -> list[Outcome]:
    """The outcome of one in so many mistakes, over all mutants and rules."""
    return [outcome(mutant, site) for i, site in enumerate(SITES) for j, mutant in enumerate(MUTANTS)
            if (i + j) % every == 0]


def rightly_named(found: Outcome) -> bool:
    return found.kind in next(m.kind for m in MUTANTS if m.name == found.mutant).split(" or ")


# --- the checks notice -------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "site"), list(enumerate(SITES)), ids=map(str, SITES))
def test_no_mistake_in_a_rule_survives(number, site):
    found = [outcome(mutant, site) for mutant in chosen(number, COUNT)]

    survived = {(o.mutant, str(o.site)) for o in found if o.noticed == "survived"}
    assert survived <= set(SURVIVORS)


def test_the_diagnosis_names_four_mistakes_in_five():
    named = [rightly_named(o) for o in spread(EVERY) if o.kind]

    assert len(named) > 200
    assert sum(named) >= 0.8 * len(named)


def test_what_changes_nothing_is_equivalent_and_only_that():
    zero, doubled, *_ = (m for m in MUTANTS if m.name in ("zero", "doubled"))
    transposed, overwritten = (next(m for m in MUTANTS if m.name == name)
                               for name in ("transposed", "duplicates overwritten"))

    assert is_equivalent(doubled, Site("floor", "vjp", 0))  # twice nothing
    assert is_equivalent(zero, Site("sign", "jvp", 0))
    assert is_equivalent(overwritten, Site("add", "vjp", 0))  # nothing is added at places
    assert not is_equivalent(overwritten, Site("gather", "vjp", 0))
    assert not is_equivalent(transposed, Site("sin", "vjp", 0))
    assert not is_equivalent(doubled, Site("sin", "jvp", 0))


def test_there_are_no_survivors_that_are_none():
    for name, rule in SURVIVORS:
        site = next(s for s in SITES if str(s) == rule)
        assert outcome(next(m for m in MUTANTS if m.name == name), site).noticed == "survived"


# --- the law of every operation fails ----------------------------------------------------------------


def the_law():
    """The law of derivatives without the search for the least example, and without a memory of it."""
    inner = laws.test_both_modes_agree_with_finite_differences_at_both_orders.hypothesis.inner_test
    again = given(data=st.data())(inner)
    return settings(database=None, phases=[Phase.generate], max_examples=30, derandomize=True)(again)


@pytest.mark.parametrize("name", ["tanh", "matmul", "sum"])
@pytest.mark.parametrize("field", MODES)
@pytest.mark.parametrize("change", ["zero", "0.1 % too large"])
def test_the_law_of_an_operation_fails_if_a_rule_is_deleted_or_scaled(name, field, change, monkeypatch):
    mutant = next(m for m in MUTANTS if m.name == change)
    the_law()(name, get_backend("cpu"))
    monkeypatch.setitem(SUBJECTS, name, mutant.planted(Site(name, field, 0)))

    with pytest.raises(AssertionError, match="mode, order 1, is wrong"):
        the_law()(name, get_backend("cpu"))


# --- the page ----------------------------------------------------------------------------------------


HEAD = """\
# Mistakes that are planted, and noticed

A checker that never fails proves nothing.
So mistakes are planted in the derivative rules of dlcore, each in a copy of the primitive, and the checks
that every rule must pass have to notice.
There are {mutants} kinds of mistakes, in [`tests/mutants.py`](../tests/mutants.py).
Each is planted in every rule: of every primitive, in both modes, for every argument with a derivative.

This page is written by `python -m tests.test_mutants`, from what it finds.
A run of the tests plants some of them in each rule, in turn; a nightly run plants all.

## Noticed

**Kill rate: {rate:.1f} %.**
{rules} rules of {primitives} primitives got {planted} mistakes.
{equivalent} of them change nothing, as another sign does not change a derivative that is zero.
That is measured, on other and more calls than the checks make, and nobody keeps a list.
Of the other {differing} the checks noticed {noticed}: {check} by comparison with finite differences, {fit}
because a derivative had another shape or dtype than what it belongs to, {refused} because arrays did not fit.
"""
NAMED = """\

## Named

When it fails, `check_grads` says what kind of mistake it looks like.
{right} of {diagnosed} were named rightly, which is {rate:.1f} %.

Some cannot be told apart.
The transposed gradient of a sum over one axis is the gradient of the sum over the other.
A rule that is wrong near zero is wrong by a factor if all that was drawn is near zero.
Arrays that are cut from the history, in one term of two, leave a derivative with wrong values.
"""


def page(outcomes: list[Outcome]) -> str:
    """The page on what was found."""
    total = {"survived": 0, **Counter(o.noticed for o in outcomes)}
    noticed = sum(total[by] for by in NOTICED)
    differing = noticed + total["survived"]
    named = [rightly_named(o) for o in outcomes if o.kind]
    reasons = [f"- {name}, in `{rule}`: {why}" for (name, rule), why in SURVIVORS.items()]
    primitives = len({site.name for site in SITES})
    return "\n".join([
        HEAD.format(mutants=len(MUTANTS), rules=len(SITES), primitives=primitives, planted=len(outcomes),
                    differing=differing, noticed=noticed, rate=100 * noticed / differing, **total),
        *table(["planted", "in rules", "equivalent", "noticed", "survived"],
               [counted(m, outcomes) for m in MUTANTS]),
        "", *(["These survived:", "", *reasons] if reasons else ["None survived."]),
        NAMED.format(right=sum(named), diagnosed=len(named), rate=100 * sum(named) / len(named)),
        *table(["planted", "should be named", "named", "rightly", "otherwise"],
               [confused(m, outcomes) for m in MUTANTS]), ""])


def counted(mutant: Mutant, outcomes: list[Outcome]) -> list[str]:
    """How many of a mutant were planted, equivalent, noticed, and survived."""
    count = Counter(o.noticed for o in outcomes if o.mutant == mutant.name)
    noticed = sum(count[by] for by in NOTICED)
    return [mutant.name, *map(str, (sum(count.values()), count["equivalent"], noticed, count["survived"]))]


def confused(mutant: Mutant, outcomes: list[Outcome]) -> list[str]:
    """What a mutant was taken for."""
    kinds = Counter(o.kind for o in outcomes if o.mutant == mutant.name and o.kind)
    right = {kind: n for kind, n in kinds.items() if kind in mutant.kind.split(" or ")}
    others = ", ".join(f"{kind} {n}" for kind, n in kinds.most_common() if kind not in right)
    return [mutant.name, mutant.kind, str(sum(kinds.values())), str(sum(right.values())), others]


def written(text: str) -> dict[str, list[int]]:
    """The numbers of the first table of the page, by mutant."""
    rows = re.findall(r"^\| (.+?) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", text, re.MULTILINE)
    return {name: list(map(int, numbers)) for name, *numbers in rows}


def test_the_page_tells_of_every_mutant_and_its_numbers_add_up():
    text = PAGE.read_text("utf-8")
    rows = written(text)

    noticed, survived = (sum(row[i] for row in rows.values()) for i in (2, 3))
    assert list(rows) == [m.name for m in MUTANTS]
    assert all(planted == equivalent + killed + alive for planted, equivalent, killed, alive in rows.values())
    assert f"**Kill rate: {100 * noticed / (noticed + survived):.1f} %.**" in text
    assert survived == len(SURVIVORS)
    assert all(row[0] <= len(SITES) for row in rows.values())


@pytest.mark.skipif(EVERY > 1, reason="a run of the profile nightly plants all of them")
def test_the_page_claims_no_more_than_is_found():
    rows = written(PAGE.read_text("utf-8"))

    now = {m.name: int(counted(m, spread(1))[3]) for m in MUTANTS}

    assert {name: row[2] for name, row in rows.items() if row[2] > now[name]} == {}


if __name__ == "__main__":
    PAGE.write_text(page(spread(1)), "utf-8")
