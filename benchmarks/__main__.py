"""The command line of the benchmarks; see ``python -m benchmarks --help``."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import benchmarks
from benchmarks import driver, startup
from benchmarks.records import Record, as_json, as_markdown
from benchmarks.workloads import WORKLOADS

PEERS = ["torch_eager", "dlcore_eager", "autograd_numpy", "numpy_hand"]
ON_A_CARD = ["dlcore_cuda", "torch_cuda"]


def arguments() -> argparse.Namespace:
    """What the user asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=benchmarks.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    everything = [*WORKLOADS, "startup"]
    parser.add_argument("workloads", nargs="*", default=everything, help=", ".join(everything))
    parser.add_argument("--peers", nargs="+", default=PEERS, choices=[*PEERS, *ON_A_CARD])
    parser.add_argument("--variants", nargs="+", help="only these (default: all)")
    parser.add_argument("--threads", nargs="+", type=int, default=[1])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--chunk", type=float, default=0.15, help="seconds per peer and round")
    parser.add_argument("--check", action="store_true", help="compare values, take no times")
    parser.add_argument("--json", type=Path, help="append the records to this file, one per line")
    parser.add_argument("--markdown", type=Path, help="write a table to this file")
    chosen = parser.parse_args()
    if unknown := set(chosen.workloads) - set(everything):
        parser.error(f"unknown workloads {sorted(unknown)}; known: {', '.join(everything)}")
    return chosen


def records(chosen: argparse.Namespace) -> Iterator[Record]:
    """What is measured, as it comes."""
    rounds = 0 if chosen.check else chosen.rounds
    for name in chosen.workloads:
        if name == "startup":
            if rounds:
                yield from startup.measure(chosen.peers, rounds)
            continue
        for variant in WORKLOADS[name].variants:
            if chosen.variants and variant not in chosen.variants:
                continue
            for threads in chosen.threads:
                yield from driver.measure(
                    chosen.peers,
                    name,
                    variant,
                    threads=threads,
                    rounds=rounds,
                    chunk=chosen.chunk,
                )


def main() -> int:
    """Measure, print and write; 1 if peers that should agree do not."""
    chosen = arguments()
    done = []
    for record in records(chosen):
        print(record.line(), flush=True)
        done.append(record)
    if chosen.json:
        with chosen.json.open("a", encoding="utf-8") as file:
            file.write(as_json(done))
    if chosen.markdown:
        chosen.markdown.write_text(as_markdown(done), encoding="utf-8")
    return int(any(record.same is False for record in done))


if __name__ == "__main__":
    sys.exit(main())
