"""The gradient ledger: every declared operation is measured, and two files in ``docs/`` tell of it.

    python -m dlcore ledger --backend cpu                   every operation on the CPU
    python -m dlcore ledger --backend cuda softmax          one of them on CUDA
    python -m dlcore ledger --page                          nothing is measured, the page is written anew

Rows of other backends stay as they are.  The status is 1 if a row that was measured is red.
"""

from __future__ import annotations

import argparse
import ast
import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from backends import register_backend
from dlcore.pages import evidence
from dlcore.pages.operations import Entry, entries, family, kind_of, table, written_name
from dlcore.testing import records
from dlcore.testing.calls import subjects
from dlcore.testing.fingerprint import Place, Sources

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "ledger.md"
LAWS = "tests/test_laws*.py"

HEAD = """\
# The gradient ledger

What was measured of every derivative, on every backend, and whether that is still true of the code.
`nox -s ledger` writes this page and [ledger.json](ledger.json), which has all details.
`dl.testing.ledger("softmax")` tells one row, and with `run=True` measures it where you are.

**{operations} operations and functions, {laws} laws, {examples} examples.**
An operation is what is declared, and every public function made of those.
A law is a test in `{where}`, which holds for everything that is declared.
An example is one call that was measured here.

{summary}

{card}
[The page about CUDA](cuda.md#what-is-proven-and-where) has the checks one by one.

- **Reverse, forward**: the worst error against finite differences in float64, at first and second order,
  relative to the cotangent and the derivative; 1e-06 is allowed.
- **f32, f16, bf16**: how far the gradient in a narrower dtype is from the one in float64 at the same point,
  in ULP of that dtype at the largest element (of a gradient that cancels to 0: of result over argument);
  ✗ stands for a gradient of another dtype.
- **Layouts**: ✓ if transposed, strided, broadcast, 0-d and empty arrays all pass, else which do not apply.
- **cpu, strict, cuda**: ✓ is right, in its dtype, on its device, and ten runs agree bit for bit; ✗ is wrong;
  *not run since* has the day of the last measurement, as the code has changed; *never* was not run at all.

Errors are of the first of these backends that has a row, and rounded up to one digit.
A row without errors has no derivative: its result changes only in jumps.
"""
COLUMNS = ["operation", "reverse", "forward", "f32", "f16", "bf16", "layouts", *records.ALWAYS]
SHORT = {"green": "✓", "red": "✗", "never run": "never"}
VIEWS = ("transposed", "strided", "broadcast", "0-d", "empty")


# --- the page ------------------------------------------------------------------------------------------


def page(ledger: Mapping[str, Any], sources: Sources | None = None) -> str:
    """The ledger as Markdown; ``ledger`` is what its JSON holds."""
    sources = sources or Sources()
    every = ledger["operations"]
    states = {(name, backend): records.state(name, backend, every, sources)
              for name in every for backend in records.ALWAYS if "made of" not in every[name]}
    rows = [e[b] for e in every.values() for b in records.ALWAYS if b in e]
    lines = [HEAD.format(operations=len(every), laws=ledger["laws"], where=LAWS, summary=_summary(states),
                         card=evidence.summary(evidence.states(evidence.read())),
                         examples=sum(r["examples"] for r in rows))]
    lines += _red(states)
    families: dict[str, list[str]] = {}
    for name in every:
        families.setdefault(every[name]["family"], []).append(name)
    for title, names in sorted(families.items()):
        lines += [f"## {title}", "", *table(COLUMNS, [_line(n, every[n], states) for n in sorted(names)]), ""]
    return "\n".join(lines).rstrip() + "\n"


def _summary(states: Mapping[tuple[str, str], str]) -> str:
    """How many rows of each backend are in which state."""
    counts = Counter((backend, _kind(said)) for (_, backend), said in states.items())
    kinds = ["green", "red", "not run since", "never run"]
    rows = [[b, *(str(counts[b, k]) for k in kinds)] for b in records.ALWAYS]
    return "\n".join(table(["backend", *kinds], rows))


def _kind(said: str) -> str:
    return "not run since" if said.startswith("not run since") else said.partition(":")[0]


def _red(states: Mapping[tuple[str, str], str]) -> list[str]:
    red = [f"- `{name}` on {backend}: {said.partition(': ')[2]}" for (name, backend), said in states.items()
           if said.startswith("red")]
    return ["## Red rows", "", *red, ""] if red else []


def _line(name: str, entry: Mapping[str, Any], states: Mapping[tuple[str, str], str]) -> list[str]:
    if "made of" in entry:
        made = ", ".join(f"`{n}`" for n in entry["made of"])
        return [f"`{entry['call']}`", f"made of {made}", *[""] * (len(COLUMNS) - 2)]
    row = next((entry[b] for b in records.ALWAYS if b in entry), None)
    status = [_mark(states[name, b]) for b in records.ALWAYS]
    if row is None:
        return [f"`{entry['call']}`", *[""] * 6, *status]
    errors = [" ".join(f"{e:.0e}" for e in row.get(mode, [])) for mode in ("reverse", "forward")]
    are = row.get("gradients", {})
    ulps = [f"{row['ulp'].get(d, '')}" if are.get(d, d).startswith(d) else "✗"
            for d in ("float32", "float16", "bfloat16")]
    missing = [v for v in VIEWS if v not in row["layouts"]]
    return [f"`{entry['call']}`", *errors, *ulps, f"not {', '.join(missing)}" if missing else "✓", *status]


def _mark(said: str) -> str:
    if said.startswith("not run since"):
        return said.partition(":")[0]
    return SHORT[said.partition(":")[0]]


# --- the file ---------------------------------------------------------------------------------------------


def laws(root: Path = ROOT) -> int:
    """How many tests there are in the files of laws."""
    trees = [ast.parse(path.read_text("utf-8")) for path in sorted(root.glob(LAWS))]
    return sum(isinstance(n, ast.FunctionDef) and n.name.startswith("test_") for t in trees for n in t.body)


def described(ledger: Mapping[str, Any], sources: Sources) -> records.Entries:
    """The entries of a ledger, one for everything that exists now, with what a reader looks it up by."""
    found: records.Entries = {}
    for entry in entries(sources):
        twice = {entry.name, f"{entry.name}()"} <= set(subjects())  # then users call the composition
        internal = twice and not entry.key.endswith("()")
        call = entry.name if internal else written_name(entry.name)
        told: dict[str, Any] = {"call": call, "family": family(entry, sources)}
        if kind_of(entry.subject) == "function":
            told["made of"] = made_of(entry, sources)
        rows = {k: v for k, v in ledger.get(entry.key, {}).items() if isinstance(v, dict)}
        found[entry.key] = told | rows
    return dict(sorted(found.items()))


def made_of(entry: Entry, sources: Sources) -> list[str]:
    """The declared operations that a function calls, by itself or through functions that are not declared."""
    known = {sources.place_of(s): name for name, s in subjects().items()}
    found: set[str] = set()
    seen: set[Place] = set()
    waiting = [] if entry.place is None else [entry.place]
    while waiting:
        if (place := waiting.pop()) in seen:
            continue
        seen.add(place)
        for mentioned in sources.beside(place):
            if mentioned in known:
                found.add(known[mentioned])
            elif mentioned.module.startswith(("dlcore.ops.", "dlcore.nn.")):
                waiting.append(mentioned)
    return sorted(found)


def write(rows: Mapping[tuple[str, str], dict[str, Any]]) -> None:
    """Put ``rows``, by operation and backend, into the ledger, and write both files."""
    ledger, sources = records.read(records.CHECKOUT), Sources()
    for (name, backend), row in rows.items():
        records.merged(ledger, name, backend, row)
    every = described(ledger, sources)
    records.CHECKOUT.write_text(records.text(every, laws=laws()), "utf-8")
    PAGE.write_text(page({"laws": laws(), "operations": every}, sources), "utf-8")


# --- measuring --------------------------------------------------------------------------------------------


def measure(names: Iterable[str], backends: Mapping[str, str],
            processes: int) -> dict[tuple[str, str], dict[str, Any]]:
    """The rows of ``names`` on ``backends``, each with where it is registered from, if that is needed."""
    tasks = [(name, backend, where) for backend, where in backends.items() for name in names]
    if processes == 1:
        return {task[:2]: _task(task) for task in tasks}
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:  # a device survives no fork
        found = list(pool.map(_task, tasks, chunksize=8))
    return {task[:2]: row for task, row in zip(tasks, found, strict=True)}


_sources = Sources()
_registered: set[str] = set()


def _task(task: tuple[str, str, str]) -> dict[str, Any]:
    name, backend, where = task
    if where and backend not in _registered:
        register_backend(backend, *where.split(":"))
        _registered.add(backend)
    return records.measured_row(name, backend, _sources)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what was asked for, and write the ledger."""
    parser = argparse.ArgumentParser(prog="python -m dlcore ledger", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="operations by their names in the ledger; all, if none")
    parser.add_argument("--backend", action="append", default=[], metavar="NAME[=MODULE:CLASS]",
                        help="where to measure, once or several times; cpu, if none")
    parser.add_argument("--processes", type=int,
                        help="how many at a time; if not given one a core, but only one on cuda")
    parser.add_argument("--page", action="store_true", help="measure nothing, write the page anew")
    asked = parser.parse_args(arguments)
    chosen = dict(b.partition("=")[::2] for b in asked.backend or ["cpu"])
    names = asked.names or list(subjects())
    if unknown := set(names) - set(subjects()):
        parser.error(f"no operation {', '.join(sorted(unknown))} is declared")
    processes = asked.processes or (1 if "cuda" in chosen else os.cpu_count() or 1)
    rows = {} if asked.page else measure(names, chosen, processes)
    write(rows)
    red = sorted({name for (name, _), row in rows.items() if row["red"]})
    print(f"{len(rows)} rows measured, {len(red)} red{': ' + ', '.join(red) if red else ''}")
    if red:
        sys.exit(1)
