"""The process of one peer: it makes the phases of one workload, tells their values, times them."""

import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from benchmarks.memory import resident_mb
from benchmarks.workloads import WORKLOADS

CHECKED_RUNS = 3  # the third value of a training step has seen two updates
STILL = 1e-4  # learning rates are scaled by this while the clock runs, see Workload
WARM_UP = 0.08  # seconds: caches, sleeping threads, a scheduler that packs threads together


def serve(connection: Connection, peer: str, workload: str, variant: str, threads: int) -> None:
    """Answer the driver until it ends this process.

    The first answer is a dict, from phase to its checked values and the MB that a first result
    holds, or a string that says why there is none; the next ones are seconds for n runs.
    """
    warnings.simplefilter("ignore")
    if threads == 1 and sys.platform == "linux":
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    try:
        phases = None
        hello, phases = prepare(peer, workload, variant)
    except Exception as error:  # noqa: BLE001  whatever a peer stumbles over, the others go on
        hello = f"{type(error).__name__}: {error}"
    connection.send(hello)
    wait = getattr(sys.modules.get(f"benchmarks.peers.{peer}"), "synchronize", lambda: None)
    while phases:
        phase, runs = connection.recv()
        connection.send(seconds(phases[phase], runs, wait))


def prepare(peer: str, workload: str, variant: str) -> tuple[Any, Any]:
    """The first answer, and the phases to time (None if the peer does not know the workload)."""
    module = import_module(f"benchmarks.peers.{peer}")
    make = getattr(module, workload, None)
    if make is None:
        return "", None
    data = WORKLOADS[workload].data
    hello = {}
    for name, phase in make(variant, data(variant, 1.0)).items():
        before = resident_mb()
        first = phase()
        held = resident_mb() - before
        results = [first, *(phase() for _ in range(CHECKED_RUNS - 1))]
        hello[name] = [digest(result, module.host) for result in results], held
    return hello, make(variant, data(variant, STILL))


def seconds(phase: Callable[[], Any], runs: int, wait: Callable[[], Any] = lambda: None) -> float:
    """The time of ``runs`` runs of a warm phase, until ``wait`` says that all is done."""
    clock = time.perf_counter
    warm = clock() + WARM_UP
    while clock() < warm:
        phase()
    wait()
    start = clock()
    for _ in range(runs):
        phase()
    wait()
    return clock() - start


def digest(result: Any, host: Callable[[Any], Any]) -> list[float]:
    """Numbers that differ where results do: of every array its sum and a weighted one."""
    numbers = []
    for part in flat(result):
        array = np.asarray(host(part), dtype=np.float64).ravel()
        numbers += [float(array.sum()), float(array @ np.cos(np.arange(array.size)))]
    return numbers


def flat(result: Any) -> Iterator[Any]:
    """The parts of nested lists and tuples."""
    if isinstance(result, list | tuple):
        for part in result:
            yield from flat(part)
    else:
        yield result
