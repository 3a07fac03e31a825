"""What has run on a card: the checks there are, the evidence that was written there, and how pages tell it.

``nox -s cuda`` runs every check on a machine with a card, and writes a line for each into
``docs/cuda-evidence.jsonl``: how it ended, where, when, with which versions, and hashes of the code that
it was about.  A line is *fresh* as long as those are the hashes of the code as it is now, and else
*stale*; a check without a line is *missing*.  Pages say which, between two comments::

    <!-- evidence: summary -->
    <!-- evidence: end -->

``python -m tests.test_docs`` writes what stands between them, and a test wants it to be true.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from dlcore.pages.operations import table
from dlcore.testing.fingerprint import LENGTH, Place, Sources, canonical

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs" / "cuda-evidence.jsonl"
PAGES = (ROOT / "README.md", ROOT / "docs" / "cuda.md")

PART = re.compile(r"(<!-- evidence: (\w+) -->\n).*?(<!-- evidence: end -->)", re.DOTALL)
KERNELS = "backends.cuda_kernels"
BACKEND = ("backends/cupy_*.py", "backends/cuda_*.py")
CODE = ("backends/*.py", "dlcore/**/*.py")

Line = dict[str, Any]
"""One line of evidence: what :func:`line` makes."""
Hashes = dict[str, str]


# --- the code that a check is about ---------------------------------------------------------------------


def files(*patterns: str) -> Callable[[Path], Hashes]:
    """A hash for each pattern, of all files of the checkout that it finds; but not of what writes pages."""
    def hashed(root: Path) -> Hashes:
        found = {p: [path for path in sorted(root.glob(p)) if path.parent.name != "pages"] for p in patterns}
        return {p: _digest(f"{path.name} {_hash_of_file(path.read_text('utf-8'))}" for path in paths)
                for p, paths in found.items()}

    return hashed


def kernels(root: Path) -> Hashes:
    """A hash for each kernel, so that a new one is seen to be without evidence."""
    text = (root / f"{KERNELS.replace('.', '/')}.py").read_text("utf-8")
    sources = Sources({KERNELS: text})
    names = [n.targets[0].id for n in ast.parse(text).body
             if isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Name)]
    return {name: sources.digest([Place(KERNELS, name)]) for name in names}


@cache
def _hash_of_file(text: str) -> str:
    """A hash of what a file of Python computes: comments, docstrings and lines do not count."""
    tree = ast.parse(text)
    return _digest([canonical(tree.body[ast.get_docstring(tree) is not None:])])


def _digest(texts: Iterable[str]) -> str:
    return sha256("\n".join(texts).encode()).hexdigest()[:LENGTH]


# --- the checks -----------------------------------------------------------------------------------------


class Check(NamedTuple):
    """Something that only a machine with a card can find out."""

    shows: str
    """What is true if it passes."""
    command: tuple[str, ...]
    """What follows ``python``."""
    limit: int
    """Seconds after which it has failed."""
    covers: Callable[[Path], Hashes]
    """The hashes of the code that it is about."""


def _tests(*arguments: str) -> tuple[str, ...]:
    return ("-m", "pytest", "-q", "-m", "cuda", *arguments)


CHECKS: Mapping[str, Check] = {
    "assumptions": Check(
        "what the stand-in takes for granted about CuPy is so", _tests("tests/test_cuda_assumptions.py"), 30,
        files("tests/test_cuda_assumptions.py", "tests/fake_*.py")),
    "kernels": Check(
        "every kernel computes what NumPy does, on 0, 1, 33 and 1 000 003 elements, strided ones too",
        _tests("tests/test_cuda_kernels.py"), 50, kernels),
    "scatter": Check(
        "additions at repeated places are right, and in deterministic mode the same bits in every run",
        _tests("tests/test_cuda_scatter.py"), 20, files(*BACKEND, "tests/test_cuda_scatter.py")),
    "memory": Check(
        "a full card is a MemoryError, after which the program goes on",
        _tests("tests/test_cuda_memory.py", "tests/test_out_of_memory.py"), 20,
        files(*BACKEND, "tests/test_cuda_memory.py", "tests/test_out_of_memory.py")),
    "exchange": Check(
        "arrays go to PyTorch and come back by DLPack, in the same memory",
        _tests("tests/test_cuda_exchange.py", "tests/test_exchange_peers.py"), 20,
        files(*BACKEND, "tests/test_cuda_exchange.py", "tests/test_exchange_peers.py")),
    "training": Check(
        "100 steps of a network give the losses of the CPU to 1e-9",
        _tests("tests/test_same_losses.py"), 30, files(*CODE, "tests/test_same_losses.py")),
    "laws": Check(
        "the whole suite passes: values and derivatives of every operation are those of the CPU, "
        "to 1e-10 in float64 and 1e-4 in float32, and every other law holds",
        _tests("-n", "8", "--ignore-glob=tests/test_cuda_*", "--ignore=tests/test_same_losses.py",
               "--ignore=tests/test_examples.py"), 230, files(*CODE, "tests/*.py")),
    "examples": Check(
        "the examples run with --backend cuda", _tests("-n", "8", "tests/test_examples.py"), 60,
        files(*CODE, "examples/*.py")),
    "ledger": Check(
        "every operation has a row of measurements in the gradient ledger",
        ("-m", "dlcore", "ledger", "--backend", "cuda", "--processes", "8"), 80, files(*CODE)),
    "speed": Check(
        "steps of training are timed beside the CPU, and beside PyTorch where it is installed",
        ("-m", "tests.card_speed"), 60, files(*CODE, "benchmarks/**/*.py")),
}
"""Every check by its name, in the order in which they run; their limits add up to ten minutes."""


# --- lines ----------------------------------------------------------------------------------------------


def line(name: str, ok: bool, told: str, seconds: float, where: Mapping[str, Any], date: str,
         root: Path = ROOT) -> Line:
    """The evidence of one check.

    Args:
        name: of the check.
        ok: whether it passed.
        told: what it said at its end.
        seconds: how long it took.
        where: the card, the driver and the versions.
        date: as ``"2026-11-27"``.
        root: the checkout that it ran in.
    """
    return {"check": name, "ok": ok, "date": date, **where, "seconds": round(seconds, 1), "told": told,
            "hashes": CHECKS[name].covers(root)}


def read(path: Path | None = None) -> dict[str, Line]:
    """The lines of a file by the name of their check; none where there is no file.

    Args:
        path: of the file; the one of this checkout if None.

    Raises:
        ValueError: a line that is no evidence of a check that there is.
    """
    path = path or FILE
    found: dict[str, Line] = {}
    for number, text in enumerate(path.read_text("utf-8").splitlines() if path.exists() else (), start=1):
        try:
            one = json.loads(text)
            missing = {"check", "ok", "date", "card", "versions", "told", "hashes"} - set(one)
        except (ValueError, TypeError):
            raise ValueError(f"{path.name}, line {number}, is no JSON object: {text[:60]!r}") from None
        if missing or one["check"] not in CHECKS or one["check"] in found:
            why = f"lacks {', '.join(sorted(missing))}" if missing else "is of no check, or of one twice"
            raise ValueError(f"{path.name}, line {number}, {why}: {text[:60]!r}")
        found[one["check"]] = one
    return found


def write(lines: Mapping[str, Line], path: Path | None = None) -> None:
    """Put ``lines`` into a file in place of older ones of the same checks; ``path`` as in :func:`read`."""
    path = path or FILE
    every = {**read(path), **lines}
    path.write_text("".join(f"{json.dumps(every[name])}\n" for name in CHECKS if name in every), "utf-8")


# --- judging them ---------------------------------------------------------------------------------------


class State(NamedTuple):
    """What is known of a check now."""

    kind: str
    """``"fresh"``, ``"failed"``, ``"stale"`` or ``"missing"``."""
    said: str
    """The same for a table."""
    date: str = ""


def states(lines: Mapping[str, Line], root: Path = ROOT) -> dict[str, State]:
    """The state of every check, given the lines there are."""
    return {name: _state(check, lines.get(name), root) for name, check in CHECKS.items()}


def _state(check: Check, found: Line | None, root: Path) -> State:
    if found is None:
        return State("missing", "missing: not run on a card")
    date, now = found["date"], check.covers(root)
    if found["hashes"] != now:
        changed = [what for what in now | found["hashes"] if found["hashes"].get(what) != now.get(what)]
        ended = "passed" if found["ok"] else "failed"
        return State("stale", f"stale: {ended} on {date}, since when this changed: {_code(changed)}", date)
    if not found["ok"]:
        return State("failed", f"**failed** on {date}, {found['card']}: {found['told']}", date)
    return State("fresh", f"{date}, {found['card']}: {found['told']}", date)


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


# --- telling them ---------------------------------------------------------------------------------------


def summary(found: Mapping[str, State]) -> str:
    """A few sentences: which checks are in which state, by name and date."""
    kinds = {kind: [name for name, state in found.items() if state.kind == kind]
             for kind in ("fresh", "failed", "stale", "missing")}
    total, fresh = len(found), len(kinds["fresh"])
    first = f"{fresh} of {total} checks pass, and are of this code" if len(kinds["missing"]) < total else (
        "nothing has run yet")
    dated = {k: ", ".join(f"{n} ({found[n].date})" if found[n].date else n for n in names)
             for k, names in kinds.items()}
    return "\n".join([f"**On a card: {first}.**", *(
        f"{kind.capitalize()}: {names}." for kind, names in dated.items() if names)])


def every_check(found: Mapping[str, State]) -> str:
    """A table with a row for each check."""
    rows = [[name, CHECKS[name].shows, state.said] for name, state in found.items()]
    return "\n".join(table(["check", "what it shows", "on a card"], rows))


CELLS = {"fresh": "on a card, {}", "failed": "failed on a card, {}",
         "stale": "on a stand-in; on a card not since {}", "missing": "on a stand-in"}


def matrix(found: Mapping[str, State]) -> str:
    """The table of the README: what is proven on which array library."""
    cuda = CELLS[found["laws"].kind].format(found["laws"].date)
    checked = "first and second derivatives of every operation, in both modes, against finite differences"
    rows = [["shapes and dtypes of every operation", "yes", "yes", cuda],
            [checked, "yes", "yes", cuda],
            ["that this check notices [25 kinds of mistakes](docs/mutants.md), planted in every rule",
             "yes", "", ""],
            ["what every backend promises to the engine", "yes", "yes", cuda]]
    return "\n".join(table(["", "NumPy", "array-api-strict", "CuPy"], rows))


PARTS = {"summary": summary, "table": every_check, "matrix": matrix}


def rewritten(page: str, found: Mapping[str, State]) -> str:
    """A page with its parts that tell of evidence written anew."""
    return PART.sub(lambda m: f"{m[1]}{PARTS[m[2]](found)}\n{m[3]}", page)


def rewrite() -> None:
    """Write those parts of all pages anew, from the evidence that there is."""
    found = states(read())
    for path in PAGES:
        path.write_text(rewritten(path.read_text("utf-8"), found), "utf-8")
