"""Runs every check that needs a card, within ten minutes, and writes what it found as evidence.

    python -m tests.on_card                 # every check
    python -m tests.on_card kernels laws    # some of them

What must be there is said in ``dlcore/pages/evidence.py``.  A check that a missing library lets skip all
its tests leaves no evidence; one that takes too long has failed.  The status is 0 if all have passed.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from dlcore.pages import evidence

ROOT = Path(__file__).parent.parent

WHERE = """
import json, warnings
warnings.simplefilter("ignore")
import backends
xp = backends.get_backend("cuda")
import cupy
card = cupy.cuda.runtime.getDeviceProperties(xp.ordinal)["name"].decode()
number = cupy.cuda.runtime.driverGetVersion()
from dlcore.testing.records import versions
print(json.dumps({"card": card, "driver": f"CUDA {number // 1000}.{number % 1000 // 10}",
                  "versions": {**versions("cuda"), "cupy": cupy.__version__}}))
"""


class Outcome(NamedTuple):
    """How a process ended: its status, None if it took too long, and what it printed."""

    status: int | None
    printed: str


def python(command, limit):
    """The outcome of ``python`` with these arguments, after ``limit`` seconds at the latest."""
    environment = {"HYPOTHESIS_PROFILE": "card", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env=os.environ | environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        printed, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # with the processes that it has started
        return Outcome(None, process.communicate()[0])
    return Outcome(process.returncode, printed)


COUNTS = re.compile(r"\b(\d+) (passed|failed|skipped|errors?)\b")


def judged(outcome, limit):
    """Whether a check passed and what it said; None if everything in it was skipped."""
    lines = outcome.printed.strip().splitlines() or [""]
    counts = {kind: int(n) for n, kind in COUNTS.findall(lines[-1])}
    told = ", ".join(f"{n} {kind}" for kind, n in counts.items()) or lines[-1].strip()
    if outcome.status is None:
        return False, f"not done after {limit} s"
    if outcome.status == 0 and counts.get("skipped") and not counts.get("passed"):
        return None
    return outcome.status == 0, told


def run(names, execute=python, where=None, today=None):
    """Run checks one after another and write their evidence; the names of those that have not passed.

    ``execute`` runs a command of Python's with a limit in seconds, ``where`` is what each line says of the
    card and the versions.
    """
    where = where or environment(execute)
    today = today or datetime.now(UTC).date().isoformat()
    found, wrong = {}, []
    for name in names:
        check = evidence.CHECKS[name]
        start = time.monotonic()
        outcome = execute(check.command, check.limit)
        result = judged(outcome, check.limit)
        if result is None:
            print(f"{name}: skipped, so there is no evidence", flush=True)
            wrong.append(name)
            continue
        ok, told = result
        seconds = time.monotonic() - start
        found[name] = evidence.line(name, ok, told, seconds, where, today)
        print(f"{name}: {'passed' if ok else 'FAILED'}, {told} ({seconds:.0f} s)", flush=True)
        if not ok:
            print(outcome.printed[-6000:], flush=True)
            wrong.append(name)
        evidence.write(found)  # after each, lest the rest be cut off
    return wrong


def environment(execute):
    """The card, the driver and the versions; what is wrong here ends the run."""
    outcome = execute(("-c", WHERE), 60)
    if outcome.status != 0:
        raise SystemExit(f"nothing can run on a card here:\n{outcome.printed[-2000:]}")
    return json.loads(outcome.printed.strip().splitlines()[-1])


def main():
    """Run what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m tests.on_card", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checks", nargs="*", metavar="check", help=", ".join(evidence.CHECKS))
    asked = parser.parse_args().checks or list(evidence.CHECKS)
    if unknown := [name for name in asked if name not in evidence.CHECKS]:
        parser.error(f"no check {', '.join(unknown)}; there are {', '.join(evidence.CHECKS)}")
    wrong = run(asked)
    evidence.rewrite()
    sys.exit(f"not passed: {', '.join(wrong)}" if wrong else 0)


if __name__ == "__main__":
    main()
