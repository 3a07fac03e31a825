"""What docs/adding-an-operation.md promises of the operation that it adds: to declare it is enough."""

import importlib
import inspect
import re
import sys
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from backends import get_backend
from dlcore.core import PRIMITIVES
from dlcore.pages import operations as pages
from dlcore.testing import ledger
from tests import (
    test_errors,
    test_laws,
    test_laws_derivatives,
    test_laws_floats,
    test_laws_layouts,
    test_laws_warnings,
)
from tests.strategies import SUBJECTS

PAGE = (Path(__file__).parent.parent / "docs" / "adding-an-operation.md").read_text("utf-8")
DECLARATION, = re.findall(r"```python\n(import math\n.*?log_cosh: Primitive = .*?)```", PAGE, re.DOTALL)
FILES = (test_errors, test_laws, test_laws_derivatives, test_laws_floats, test_laws_layouts,
         test_laws_warnings)


def names_of(test):
    """Of which operations a test is, that runs over the registry."""
    return [name for mark in getattr(test, "pytestmark", ()) if mark.args and mark.args[0] == "name"
            for name in mark.args[1]]


LAWS = {law: test for file in FILES for law, test in vars(file).items()
        if law.startswith("test_") and "tanh" in names_of(test) and test.__module__ == file.__name__}


@pytest.fixture
def declare(tmp_path, monkeypatch):
    """Runs a declaration in a module of its own, as if a file of dlcore had it."""
    def run(declaration):
        (tmp_path / "softened.py").write_text(f'"""Softened functions: smooth."""\n{declaration}', "utf-8")
        importlib.import_module("softened")
        SUBJECTS["log_cosh"] = PRIMITIVES["log_cosh"]

    monkeypatch.syspath_prepend(tmp_path)
    yield run
    del PRIMITIVES["log_cosh"], SUBJECTS["log_cosh"], sys.modules["softened"]


def hold(law, backend):
    """Hold log_cosh against a law on a backend; says whether the law is about that."""
    parameters = inspect.signature(law).parameters
    own = [["cpu", "strict", "cuda"] if "backend" in parameters else ["cpu"]]
    of = [mark.args[1] for mark in law.pytestmark if mark.args[:1] == ("backend",)] or own
    if backend.name not in [getattr(b, "values", (b,))[0] for b in of[0]]:
        return False
    arguments = {"name": "log_cosh", "backend": backend}
    law(**{p: arguments[p] for p in parameters})
    return True


def test_every_law_looks_at_what_is_only_declared(declare, backend):
    declare(DECLARATION)

    held = [name for name, law in LAWS.items() if hold(law, backend)]

    assert len(held) >= (len(LAWS) if backend.name == "cpu" else 10)


@pytest.mark.parametrize(("right", "wrong", "law"), [
    ("d * dl.tanh(x)", "d * dl.tanh(x) * 1.001",
     "test_both_modes_agree_with_finite_differences_at_both_orders"),
    ("d * dl.tanh(x)", "d * out", "test_rules_read_nothing_that_they_do_not_declare"),
])
def test_a_law_notices_a_mistake_in_it(declare, right, wrong, law):
    assert right in DECLARATION
    declare(DECLARATION.replace(right, wrong))

    at_once = settings(phases=[Phase.generate], database=None)  # without the search for the least example
    with pytest.raises(AssertionError):
        at_once(given(data=st.data())(LAWS[law].hypothesis.inner_test))("log_cosh", get_backend("cpu"))


def test_its_row_and_its_line_follow_from_the_declaration(declare):
    declare(DECLARATION)

    row = ledger("log_cosh", run=True)
    page = pages.operations()

    assert row.states == {"cpu": "green"}
    assert row.rows["cpu"]["declaration"]
    assert ledger("log_cosh").states["cpu"] == "never run"
    assert "## Softened functions\n\n| call | kind |" in page
    assert ("| internal `log_cosh(x)` | elementwise | `xp.abs(x) + xp.log1p(xp.exp(xp.abs(x) * -2.0)) - "
            "math.log(2.0)` | `d * dl.tanh(x)` | a b → a b; () → () | -2..2 | `x` |  |") in page
