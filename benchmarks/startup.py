"""What it costs to begin: the time and memory of an import, each in a process of its own."""

import subprocess
import sys
from collections.abc import Iterator
from statistics import median

from benchmarks.records import REFERENCE, Record

IMPORTS = {  # by peer: what a user types first, and what until the first array
    "torch_eager": {"import": "import torch", "tensor": "import torch; torch.tensor(1.0)"},
    "dlcore_eager": {"import": "import dlcore", "tensor": "import dlcore; dlcore.tensor(1.0)"},
    "autograd_numpy": {"import": "import autograd", "tensor": "import autograd.numpy"},
    "numpy_hand": {"import": "import numpy", "tensor": "import numpy; numpy.array(1.0)"},
}
CODE = """
import time
from benchmarks.memory import resident_mb
memory, start = resident_mb(), time.perf_counter()
{statement}
print(time.perf_counter() - start, resident_mb() - memory)
"""


def once(statement: str) -> tuple[float, float]:
    """Seconds and MB that ``statement`` adds to a bare Python."""
    command = [sys.executable, "-W", "ignore", "-c", CODE.format(statement=statement)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, mb = map(float, done.stdout.split()[-2:])
    return seconds, mb


def measure(names: list[str], rounds: int = 7) -> Iterator[Record]:
    """A record per phase and peer that is installed."""
    for phase in ("import", "tensor"):
        taken: dict[str, list[tuple[float, float]]] = {}
        for name in names:
            try:
                once(IMPORTS[name][phase])  # not counted: it fills the caches of the disk
                taken[name] = []
            except subprocess.CalledProcessError as error:
                print(f"startup: {name} is left out, {error.stderr.strip().splitlines()[-1]}")
        for _ in range(rounds):
            for name, figures in taken.items():
                figures.append(once(IMPORTS[name][phase]))
        for name, figures in taken.items():
            times = sorted(1e6 * seconds for seconds, _ in figures)
            pairs = zip(figures, taken.get(REFERENCE, figures), strict=True)
            ratios = [own / reference for (own, _), (reference, _) in pairs]
            yield Record(
                workload="startup",
                variant="cold",
                phase=phase,
                peer=name,
                threads=1,
                unit="process",
                median=median(times),
                low=times[0],
                high=times[-1],
                ratio=median(ratios) if REFERENCE in taken else None,
                same=None,
                held_mb=median(mb for _, mb in figures),
            )
