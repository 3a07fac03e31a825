"""What was measured, and how it is shown."""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass

REFERENCE = "torch_eager"
HEAVY = 10  # MB; less than that is what a library allocates once


@dataclass(frozen=True)
class Record:
    """One phase of one workload by one peer; times in microseconds per unit."""

    workload: str
    variant: str
    phase: str
    peer: str
    threads: int
    unit: str
    median: float  # nan where only values were compared
    low: float
    high: float
    ratio: float | None  # median over the rounds of own time / the reference's in the same round
    same: bool | None  # whether its values equal the reference's, or else the first peer's
    held_mb: float  # what the first result held in memory

    def line(self) -> str:
        """For a terminal."""
        where = f"{self.workload} {self.variant} {self.phase}"
        if math.isnan(self.median):
            return f"{where:34}{self.peer:16}{'same' if self.same else 'DIFFERENT'} values"
        ratio = "" if self.ratio is None else f"{self.ratio:8.3f} of {REFERENCE}"
        held = "" if self.held_mb < HEAVY else f"  holds {self.held_mb:.0f} MB"
        doubt = "  DIFFERENT VALUES" if self.same is False else ""
        return (
            f"{where:34}{self.peer:16}{self.median:12.4g} us/{self.unit}"
            f" [{self.low:.4g} {self.high:.4g}]{ratio}{held}{doubt}"
        )


def as_json(records: Iterable[Record]) -> str:
    """One object per line and record."""
    return "\n".join(json.dumps(asdict(record)) for record in records) + "\n"


def as_markdown(records: Iterable[Record]) -> str:
    """A table with a row per workload, variant and phase, and a column per peer."""
    records = list(records)
    peers = list(dict.fromkeys(record.peer for record in records))
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for r in records:
        key = (r.workload, r.variant, r.phase, f"us/{r.unit}", str(r.threads))
        ratio = "" if r.ratio is None or r.peer == REFERENCE else f" ({r.ratio:.2f})"
        rows.setdefault(key, {})[r.peer] = f"{r.median:.4g}{ratio}"
    head = ["workload", "variant", "phase", "unit", "threads", *peers]
    lines = [head, ["---"] * len(head)]
    lines += [[*key, *(cells.get(peer, "") for peer in peers)] for key, cells in rows.items()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
