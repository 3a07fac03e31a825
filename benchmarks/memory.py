"""How much memory a process has; a file of its own, because it must load nothing to tell."""

import os
from pathlib import Path

STATM = Path("/proc/self/statm")


def resident_mb() -> float:
    """The memory that this process has in use; 0 where the system does not tell."""
    pages = int(STATM.read_text(encoding="ascii").split()[1]) if STATM.exists() else 0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20 if pages else 0.0
