"""Times a card beside the CPU, and beside PyTorch on the card where that is installed.

    python -m tests.card_speed

The last line has the figures; the status is 1 if the card did not compute, or computed something else.
"""

import sys
from collections import defaultdict

from benchmarks import driver

OURS, CPU, THEIRS = "dlcore_cuda", "dlcore_eager", "torch_cuda"
WORK = [("mlp", "digits_adam"), ("lenet", "b64"), ("elementwise", "1e7")]


def told(records):
    """The figures in one line.

    Raises:
        SystemExit: there are none of the card, or peers do not agree about values.
    """
    times = defaultdict(dict)
    for r in records:
        if not r.same:
            raise SystemExit(f"{r.workload} {r.phase}: {r.peer} computes something else than {OURS}")
        times[f"{r.workload} {r.phase}"][r.peer] = r.median
    lines = []
    for what, of in times.items():
        if OURS not in of:
            raise SystemExit(f"{what}: the card was not timed")
        beside = [f"{of[OURS] / of[peer]:.2g} of {name}'s time"
                  for peer, name in ((CPU, "the CPU"), (THEIRS, "PyTorch")) if peer in of]
        lines.append(f"{what}: {of[OURS]:.3g} us, {', '.join(beside)}")
    if not lines:
        raise SystemExit("nothing was timed")
    return "; ".join(lines)


def main():
    """Measure, and print what was found."""
    records = []
    for workload, variant in WORK:
        for record in driver.measure([OURS, CPU, THEIRS], workload, variant, rounds=3):
            print(record.line(), flush=True)
            records.append(record)
    print(told(records))


if __name__ == "__main__":
    sys.exit(main())
