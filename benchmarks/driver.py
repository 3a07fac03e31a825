"""Times peers against each other: a process each, the same work, in interleaved rounds."""

import math
import os
import time
from collections.abc import Iterator, Sequence
from itertools import chain
from multiprocessing import get_context
from statistics import median
from typing import Any

from benchmarks.records import REFERENCE, Record
from benchmarks.worker import serve
from benchmarks.workloads import WORKLOADS

TOLERANCE = 2e-3  # relative: float32 sums in different orders, after two steps of training
PATIENCE = 240  # seconds for one answer
SETTLE = 0.06  # seconds: thread pools spin after their work; let them sleep before the next peer
THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Peer:
    """A process that can do one variant of one workload."""

    def __init__(self, name: str, workload: str, variant: str, threads: int) -> None:
        self.name = name
        self.times: list[float] = []
        spawn = get_context("spawn")  # a fork would inherit the libraries of this process
        self.connection, theirs = spawn.Pipe()
        arguments = (theirs, name, workload, variant, threads)
        self.process = spawn.Process(target=serve, args=arguments, daemon=True)
        self.process.start()
        theirs.close()
        self.hello: Any = self.answer()

    def answer(self) -> Any:
        """What the process says next."""
        if not self.connection.poll(PATIENCE):
            raise TimeoutError(f"{self.name} did not answer in {PATIENCE} s")
        return self.connection.recv()

    def seconds(self, phase: str, runs: int) -> float:
        """The time of ``runs`` runs."""
        self.connection.send((phase, runs))
        taken: float = self.answer()
        time.sleep(SETTLE)
        return taken

    def runs_in(self, chunk: float, phase: str) -> int:
        """How many runs take about ``chunk`` seconds."""
        runs, taken = 1, self.seconds(phase, 1)
        while taken < chunk / 4:
            runs *= 4 if taken < chunk / 32 else 2
            taken = self.seconds(phase, runs)
        return max(1, round(runs * chunk / taken))

    def values(self, phase: str) -> list[list[float]]:
        """The digests of its first results."""
        values: list[list[float]] = self.hello[phase][0]
        return values

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()


def limit_threads(threads: int) -> None:
    """Let processes that start from now on use so many threads."""
    os.environ.update(dict.fromkeys(THREAD_LIMITS, str(threads)))


def start(names: Sequence[str], workload: str, variant: str, threads: int) -> list[Peer]:
    """The peers that can do it, started one after another; a peer that fails says why."""
    peers = []
    for name in names:
        peer = Peer(name, workload, variant, threads)
        if isinstance(peer.hello, str):
            peer.close()
            if peer.hello:
                print(f"{workload} {variant}: {name} is left out, {peer.hello}")
        else:
            peers.append(peer)
    return peers


def same(first: list[list[float]], second: list[list[float]]) -> bool:
    """Whether two peers gave the same digests of their first results."""
    ours, theirs = (list(chain.from_iterable(digests)) for digests in (first, second))
    return len(ours) == len(theirs) and all(
        math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        for a, b in zip(ours, theirs, strict=True)
    )


def measure(
    names: Sequence[str],
    workload: str,
    variant: str,
    *,
    threads: int = 1,
    rounds: int = 7,
    chunk: float = 0.15,
) -> Iterator[Record]:
    """A record per phase and peer; with ``rounds=0`` only values are compared."""
    limit_threads(threads)
    peers = start(names, workload, variant, threads)
    try:
        for phase in dict.fromkeys(phase for peer in peers for phase in peer.hello):
            live = [peer for peer in peers if phase in peer.hello]
            if rounds:
                take_turns(live, phase, rounds, chunk)
            reference = next((peer for peer in live if peer.name == REFERENCE), live[0])
            for peer in live:
                yield record(peer, reference, phase, workload, variant, threads)
    finally:
        for peer in peers:
            peer.close()


def take_turns(peers: list[Peer], phase: str, rounds: int, chunk: float) -> None:
    """Time every peer once per round; another one begins each round."""
    runs = {peer: peer.runs_in(chunk, phase) for peer in peers}
    for peer in peers:
        peer.times = []
    for turn in range(rounds):
        at = turn % len(peers)
        for peer in peers[at:] + peers[:at]:
            peer.times.append(peer.seconds(phase, runs[peer]) / runs[peer])


def record(
    peer: Peer, reference: Peer, phase: str, workload: str, variant: str, threads: int
) -> Record:
    """What the rounds gave for one peer."""
    definition = WORKLOADS[workload]
    times = sorted(1e6 * t / definition.units for t in peer.times) or [math.nan]
    ratios = [a / b for a, b in zip(peer.times, reference.times, strict=True)]
    return Record(
        workload=workload,
        variant=variant,
        phase=phase,
        peer=peer.name,
        threads=threads,
        unit=definition.unit,
        median=median(times),
        low=times[0],
        high=times[-1],
        ratio=median(ratios) if ratios and reference.name == REFERENCE else None,
        same=same(peer.values(phase), reference.values(phase)),
        held_mb=peer.hello[phase][1],
    )
