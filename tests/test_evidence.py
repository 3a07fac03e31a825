"""What has run on a card is told as it is: fresh, stale, failed or missing, by name and date."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dlcore.pages import evidence, ledger
from tests import kernel_cases, on_card
from tests.fake_cupy import needs_compiler

AGAIN = "run python -m tests.test_docs"
WHERE = {"card": "Some Card", "driver": "CUDA 13.0", "versions": {"cupy": "14.2.0"}}
DAY, LATER = "2026-01-02", "2026-03-04"


@pytest.fixture
def checkout(tmp_path):
    """A small tree with something for every check to be about."""
    for name in ("backends/cupy_backend.py", "dlcore/core.py", "tests/test_cuda_scatter.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    text = 'import cupy as cp\n\nfirst = cp.ElementwiseKernel("T x", "T y", "y = x", "first")\n"""One."""\n'
    (tmp_path / "backends" / "cuda_kernels.py").write_text(text)
    return tmp_path


def line(name, root, ok=True, date=DAY):
    return evidence.line(name, ok, "5 passed", 1.23, WHERE, date, root)


def only(name, lines, root):
    return evidence.states(lines, root)[name]


# --- judging a line -----------------------------------------------------------------------------------


def test_a_check_without_a_line_is_missing(checkout):
    found = evidence.states({}, checkout)

    assert list(found) == list(evidence.CHECKS)
    assert set(found.values()) == {("missing", "missing: not run on a card", "")}


@pytest.mark.parametrize("name", evidence.CHECKS)
def test_a_line_of_this_code_is_fresh(checkout, name):
    state = only(name, {name: line(name, checkout)}, checkout)

    assert (state.kind, state.date) == ("fresh", DAY)
    assert state.said == "2026-01-02, Some Card: 5 passed"


def test_a_line_of_a_check_that_failed_says_so(checkout):
    state = only("scatter", {"scatter": line("scatter", checkout, ok=False)}, checkout)

    assert state == ("failed", "**failed** on 2026-01-02, Some Card: 5 passed", DAY)


@pytest.mark.parametrize("ok", [True, False])
def test_a_line_is_stale_as_soon_as_the_code_has_changed(checkout, ok):
    lines = {"scatter": line("scatter", checkout, ok=ok)}
    (checkout / "backends" / "cupy_backend.py").write_text("x = 2\n")

    state = only("scatter", lines, checkout)

    ended = "passed" if ok else "failed"
    assert state.kind == "stale"
    assert state.said == f"stale: {ended} on {DAY}, since when this changed: `backends/cupy_*.py`"


def test_a_comment_makes_no_line_stale_and_a_new_file_does(checkout):
    lines = {"scatter": line("scatter", checkout)}
    (checkout / "backends" / "cupy_backend.py").write_text('"""A docstring."""\n\nx = 1  # a remark\n')
    assert only("scatter", lines, checkout).kind == "fresh"

    (checkout / "backends" / "cupy_more.py").write_text("")
    assert only("scatter", lines, checkout).kind == "stale"


def test_a_new_kernel_is_named_until_it_has_run(checkout):
    lines = {"kernels": line("kernels", checkout)}
    file = checkout / "backends" / "cuda_kernels.py"
    file.write_text(file.read_text() + 'second = cp.ElementwiseKernel("T x", "T y", "y = x + x", "second")\n')

    assert only("kernels", lines, checkout).said.endswith("since when this changed: `second`")

    file.write_text(file.read_text().replace('"y = x"', '"y = x * x"'))
    assert only("kernels", lines, checkout).said.endswith("since when this changed: `first`, `second`")


def test_every_kernel_has_a_hash_and_a_case_that_launches_it():
    assert set(evidence.kernels(evidence.ROOT)) == set(kernel_cases.CASES)


# --- the file -----------------------------------------------------------------------------------------


def test_lines_are_kept_one_a_check_and_later_ones_replace_them(checkout):
    file = checkout / "evidence.jsonl"

    evidence.write({"scatter": line("scatter", checkout), "kernels": line("kernels", checkout)}, file)
    evidence.write({"scatter": line("scatter", checkout, date=LATER)}, file)

    written = [json.loads(text) for text in file.read_text().splitlines()]
    assert [(one["check"], one["date"]) for one in written] == [("kernels", DAY), ("scatter", LATER)]
    assert written[1] == {"check": "scatter", "ok": True, "date": LATER, **WHERE, "seconds": 1.2,
                          "told": "5 passed", "hashes": evidence.CHECKS["scatter"].covers(checkout)}
    assert evidence.read(file) == {one["check"]: one for one in written}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nonsense", "line 1, is no JSON object"),
        ("[1, 2]", "line 1, lacks card, check"),
        ('{"check": "scatter", "ok": true}', "line 1, lacks card, date, hashes, told, versions"),
    ],
)
def test_a_line_that_is_no_evidence_is_an_error(tmp_path, text, complaint):
    file = tmp_path / "evidence.jsonl"
    file.write_text(text)

    with pytest.raises(ValueError, match=rf"^evidence\.jsonl, {complaint}"):
        evidence.read(file)


@pytest.mark.parametrize("change", [{"check": "scater"}, {}], ids=["misspelt", "twice"])
def test_a_line_of_no_check_or_of_one_twice_is_an_error(checkout, change):
    one = line("scatter", checkout)
    file = checkout / "evidence.jsonl"
    file.write_text("".join(f"{json.dumps(x)}\n" for x in (one, {**one, **change})))

    with pytest.raises(ValueError, match=r"line 2, is of no check, or of one twice"):
        evidence.read(file)


def test_there_is_evidence_of_nothing_where_there_is_no_file(tmp_path):
    assert evidence.read(tmp_path / "evidence.jsonl") == {}


# --- telling ------------------------------------------------------------------------------------------


@pytest.fixture
def mixed(checkout):
    """Checks in every state."""
    lines = {name: line(name, checkout) for name in ("kernels", "laws", "scatter")}
    lines["scatter"]["hashes"] = {}
    lines["memory"] = line("memory", checkout, ok=False, date=LATER)
    return evidence.states(lines, checkout)


def test_a_summary_names_every_check_with_its_state_and_date(mixed):
    told = evidence.summary(mixed).splitlines()

    missing = [name for name in evidence.CHECKS if name not in ("kernels", "scatter", "memory", "laws")]
    assert told == [
        f"**On a card: 2 of {len(evidence.CHECKS)} checks pass, and are of this code.**",
        "Fresh: kernels (2026-01-02), laws (2026-01-02).",
        "Failed: memory (2026-03-04).",
        "Stale: scatter (2026-01-02).",
        f"Missing: {', '.join(missing)}.",
    ]


def test_without_any_line_a_summary_says_that_nothing_has_run(checkout):
    told = evidence.summary(evidence.states({}, checkout))

    assert told == f"**On a card: nothing has run yet.**\nMissing: {', '.join(evidence.CHECKS)}."


def test_a_table_has_a_row_for_every_check(mixed):
    rows = evidence.every_check(mixed).splitlines()[2:]

    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == list(evidence.CHECKS)
    assert rows[1].endswith("| 2026-01-02, Some Card: 5 passed |")


@pytest.mark.parametrize(
    ("kind", "cell"),
    [("fresh", "on a card, 2026-01-02"), ("failed", "failed on a card, 2026-01-02"),
     ("stale", "on a stand-in; on a card not since 2026-01-02"), ("missing", "on a stand-in")],
)
def test_the_matrix_says_of_cupy_what_is_known_of_it(mixed, kind, cell):
    found = mixed | {"laws": evidence.State(kind, "", DAY)}

    assert evidence.matrix(found).count(f"| {cell} |\n") == 2


def test_a_page_is_written_anew_between_its_comments_and_nowhere_else(mixed):
    page = ("a\n<!-- evidence: summary -->\nold\n<!-- evidence: end -->\nb\n"
            "<!-- evidence: table -->\n<!-- evidence: end -->\n")

    found = evidence.rewritten(page, mixed)

    assert found == (f"a\n<!-- evidence: summary -->\n{evidence.summary(mixed)}\n<!-- evidence: end -->\nb\n"
                     f"<!-- evidence: table -->\n{evidence.every_check(mixed)}\n<!-- evidence: end -->\n")
    assert evidence.rewritten(found, mixed) == found


@pytest.mark.parametrize("page", evidence.PAGES, ids=lambda page: page.name)
def test_pages_tell_the_evidence_that_there_is(page):
    text = page.read_text("utf-8")

    assert len(re.findall("<!-- evidence: (?!end)", text)) == 2
    assert text == evidence.rewritten(text, evidence.states(evidence.read())), AGAIN


def test_the_ledger_tells_it_too():
    page = ledger.page({"laws": 1, "operations": {}})

    assert evidence.summary(evidence.states(evidence.read())) in page


# --- the run on a card ----------------------------------------------------------------------------------


@dataclass
class Card:
    """Stands in for a machine with a card: how each command ends, and what was asked for."""

    ends: dict = field(default_factory=dict)
    asked: list = field(default_factory=list)

    def execute(self, command, limit):
        self.asked.append((command, limit))
        if command[0] == "-c":
            return on_card.Outcome(0, f"a warning\n{json.dumps(WHERE)}\n")
        name = next(n for n, check in evidence.CHECKS.items() if check.command == command)
        return on_card.Outcome(*self.ends.get(name, (0, "....\n4 passed in 0.10s\n")))


@pytest.fixture
def file(tmp_path, monkeypatch):
    """The file of evidence, for the duration of the test."""
    monkeypatch.setattr(evidence, "FILE", tmp_path / "evidence.jsonl")
    return evidence.FILE


def test_a_run_writes_a_line_for_every_check(file, capsys):
    card = Card()

    assert on_card.run(evidence.CHECKS, card.execute, today=DAY) == []

    assert card.asked[1:] == [(check.command, check.limit) for check in evidence.CHECKS.values()]
    assert {s.kind for s in evidence.states(evidence.read(file)).values()} == {"fresh"}
    assert [x["told"] for x in evidence.read(file).values()] == ["4 passed"] * len(evidence.CHECKS)
    assert capsys.readouterr().out.splitlines()[0] == "assumptions: passed, 4 passed (0 s)"


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        ((1, "x\n2 failed, 3 passed, 1 warning in 4.00s\n"), "2 failed, 3 passed"),
        ((1, "E\n1 error in 4.00s\n"), "1 error"),
        ((5, "\n7 deselected in 0.1s\n"), "7 deselected in 0.1s"),
        ((-9, ""), ""),
        ((None, "...."), "not done after 20 s"),
    ],
)
def test_a_check_that_fails_or_takes_too_long_is_written_down_as_failed(file, capsys, outcome, told):
    wrong = on_card.run(["kernels", "scatter"], Card({"scatter": outcome}).execute, today=DAY)

    assert wrong == ["scatter"]
    assert [(x["ok"], x["told"]) for x in evidence.read(file).values()] == [(True, "4 passed"), (False, told)]
    assert outcome[1] in capsys.readouterr().out  # the whole of it, to find out why


def test_a_check_of_which_everything_is_skipped_leaves_no_evidence(file, capsys):
    card = Card({"exchange": (0, "s\n1 skipped in 0.10s\n")})

    assert on_card.run(["exchange"], card.execute, today=DAY) == ["exchange"]

    assert evidence.read(file) == {}
    assert capsys.readouterr().out == "exchange: skipped, so there is no evidence\n"


def test_without_a_card_nothing_is_run_and_nothing_written(file):
    with pytest.raises(SystemExit, match=r"nothing can run on a card here:\n.*CuPy is not installed"):
        on_card.run(["kernels"], lambda *_: on_card.Outcome(1, "BackendError: CuPy is not installed"))

    assert not file.exists()


def test_a_command_is_ended_with_its_children_when_its_time_is_up():
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"

    assert on_card.python(("-c", code), 1).status is None
    assert on_card.python(("-c", "import os; print(os.environ['HYPOTHESIS_PROFILE'])"), 20) == (0, "card\n")


@needs_compiler
def test_a_check_runs_on_the_stand_in_as_it_would_on_a_card():
    outcome = on_card.python((*evidence.CHECKS["scatter"].command, "-p", "tests.stand_in"), 120)

    ok, told = on_card.judged(outcome, 120)
    assert ok, outcome.printed
    assert re.fullmatch(r"\d+ passed", told)


def test_the_stand_in_takes_the_place_of_a_card_only_for_tests_of_a_card():
    outcome = on_card.python(("-m", "pytest", "-p", "tests.stand_in", "tests/test_cuda_scatter.py"), 120)

    assert outcome.status == pytest.ExitCode.USAGE_ERROR
    assert "say -m cuda" in outcome.printed


def test_the_limits_of_all_checks_add_up_to_ten_minutes():
    assert sum(check.limit for check in evidence.CHECKS.values()) <= 600


def test_the_tests_that_a_check_names_exist():
    named = [Path(a.removeprefix("--ignore=")) for check in evidence.CHECKS.values() for a in check.command
             if a.endswith(".py")]

    assert [str(path) for path in named if not (evidence.ROOT / path).exists()] == []
