"""The gradient ledger: rows that were measured, kept as JSON, and whether they are still true.

``docs/ledger.json`` holds one entry for each operation, and in it one row for each backend on which
it was ever measured.  A row is *fresh* as long as the hashes beside it are those of the code as it
is now; see :mod:`dlcore.testing.fingerprint`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import backends
from dlcore.testing.calls import declared_name, subjects
from dlcore.testing.fingerprint import Place, Sources, backend_place
from dlcore.testing.rows import measured

__all__ = ["Row", "ledger"]

Entries = dict[str, dict[str, Any]]

LIBRARIES = {"cpu": (), "strict": ("array-api-strict",), "cuda": ("cupy-cuda13x", "cupy-cuda12x", "cupy")}
ALWAYS = ("cpu", "strict", "cuda")
"""The backends of which the ledger speaks even where it has no row."""

INSIDE = Path(__file__).with_name("ledger.json")  # in a wheel
CHECKOUT = Path(__file__).parents[2] / "docs" / "ledger.json"


def published() -> Path:
    """The file of the ledger: of the installed package, or of the checkout."""
    return INSIDE if INSIDE.exists() else CHECKOUT


def read(path: Path | None = None) -> Entries:
    """The entries of a ledger by the name of the operation; none where there is no file."""
    import json

    path = path or published()
    return dict(json.loads(path.read_text("utf-8"))["operations"]) if path.exists() else {}


def text(entries: Mapping[str, Any], **counts: Any) -> str:
    """A ledger as JSON, a line for each row and sorted, so that a change is as small as it is."""
    import json

    lines = []
    for name, entry in sorted(entries.items()):
        rows = {key: entry[key] for key in sorted(entry)}
        inside = ",\n".join(f"   {json.dumps(k)}: {json.dumps(v)}" for k, v in rows.items())
        lines.append(f"  {json.dumps(name)}: {{\n{inside}\n  }}")
    head = "".join(f" {json.dumps(k)}: {json.dumps(v)},\n" for k, v in counts.items())
    return "{\n" + head + ' "operations": {\n' + ",\n".join(lines) + "\n }\n}\n"


# --- making rows -----------------------------------------------------------------------------------


def versions(backend: str) -> dict[str, str]:
    """What a row of ``backend`` is measured with."""
    import platform
    from importlib.metadata import PackageNotFoundError, version  # 40 ms, needed only here

    found = {"python": platform.python_version()}
    for name in ("numpy", "scipy", *LIBRARIES.get(backend.partition(":")[0], ())):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def measured_row(name: str, backend: str, sources: Sources | None = None) -> dict[str, Any]:
    """The row of an operation on a backend, measured now, with the hashes and versions that it holds for."""
    from datetime import UTC, datetime

    subject = subjects()[name]
    row, home = measured(subject, backend), backend_place(backend)
    return row | hashes(subject, home, sources or Sources()) | {
        "class": ":".join(home), "date": datetime.now(UTC).date().isoformat(), "versions": versions(backend)}


def hashes(subject: Any, home: Place, sources: Sources) -> dict[str, str | None]:
    """What a row depends on: the declaration, and what that asks of the class ``home`` of its backend.

    None where no source has it.
    """
    place = sources.place_of(subject)
    if place is None:
        return {"declaration": None, "members": None}
    members = sources.members(place, home) if sources.statements(home) else None
    return {"declaration": sources.declaration(place), "members": members}


def merged(entries: Entries, name: str, backend: str, row: dict[str, Any]) -> None:
    """Put a row into ``entries`` beside the rows of other backends.

    One that says what the row before it said, of the same code and with the same versions, keeps its date.
    """
    rows = entries.setdefault(name, {})
    before = rows.get(backend)
    if before is not None and {**row, "date": before["date"]} == before:
        return
    rows[backend] = row


# --- judging rows ------------------------------------------------------------------------------------


def state(name: str, backend: str, entries: Mapping[str, Any], sources: Sources) -> str:
    """``"green"``, ``"red: why"``, ``"not run since DATE: why"`` or ``"never run"``."""
    row = entries.get(name, {}).get(backend)
    subject = subjects().get(name)
    if row is None or subject is None:
        return "never run"
    now = hashes(subject, Place(*row["class"].split(":")), sources)
    if row["declaration"] != now["declaration"]:
        return f"not run since {row['date']}: the declaration, or what it calls, has changed"
    if now["members"] is None and row["members"] is not None:
        return f"not run since {row['date']}: the backend has no source here to compare it with"
    if row["members"] != now["members"]:
        return f"not run since {row['date']}: the backend's part has changed"
    return f"red: {'; '.join(row['red'])}" if row["red"] else "green"


@dataclass(frozen=True, repr=False)
class Row:
    """What the ledger says of one operation; its text is for reading."""

    name: str
    rows: dict[str, dict[str, Any]]
    states: dict[str, str]

    def __str__(self) -> str:
        lines = [self.name]
        for backend, said in self.states.items():
            lines.append(f"  {backend}: {said}")
            if backend in self.rows:
                lines += [f"    {line}" for line in _told(self.rows[backend])]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)


def _told(row: Mapping[str, Any]) -> list[str]:
    """A row in words."""
    told = [f"{mode} mode: off by {row[mode][0]:.0e} at order 1, {row[mode][1]:.0e} at order 2"
            for mode in ("reverse", "forward") if mode in row]
    are = {dtype: f"is {what}, " for dtype, what in row.get("gradients", {}).items()}
    told += [f"gradient in {dtype}: {are.get(dtype, '')}off by {ulp:g} ULP of its largest element"
             for dtype, ulp in row["ulp"].items()]
    agree = "ten runs agree" if row["repeats"] else "ten runs do not agree"
    told.append(f"{agree} bit for bit; {row['examples']} examples; "
                f"layouts: {', '.join(row['layouts'])}")
    told += [f"without {what}: {why}" for what, why in row["excluded"].items()]
    with_ = ", ".join(f"{k} {v}" for k, v in row["versions"].items())
    return [*told, f"measured {row['date']} with {with_}"]


def ledger(name: str, *, run: bool = False) -> Row:
    """The row of the operation ``name`` in the gradient ledger, and whether it is still true.

    Args:
        name: as in ``dl.softmax`` or ``F.softmax``; for the composition where a primitive shares its
            name, with parentheses: ``"pad()"``.
        run: measure it now, on the selected backend, instead of reading what was published.

    Raises:
        ValueError: nothing of that name is declared.

        >>> import dlcore as dl
        >>> dl.testing.ledger("tanh", run=True).states
        {'cpu': 'green'}
    """
    if not isinstance(name, str):
        raise TypeError(f"ledger: takes the name of an operation, such as 'softmax', got {name!r}")
    name = declared_name("ledger", name)
    sources = Sources()
    if run:
        backend = backends.current().name
        rows = {backend: measured_row(name, backend, sources)}
        return Row(name, rows, {backend: state(name, backend, {name: rows}, sources)})
    entries = read()
    rows = {k: v for k, v in entries.get(name, {}).items() if isinstance(v, dict)}
    asked = dict.fromkeys([*ALWAYS, *rows])
    return Row(name, rows, {backend: state(name, backend, entries, sources) for backend in asked})

