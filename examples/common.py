"""The command line that all examples share: --backend, --seed and --out, acted upon."""

import argparse
from pathlib import Path
from typing import Any

import dlcore as dl


def arguments(description: str, **extra: tuple[Any, str]) -> argparse.Namespace:
    """The parsed command line, once the backend is selected, the seed set and the folder made.

    Args:
        description: what ``--help`` says first.
        extra: further options, each by its name with a default and what it means:
            ``arguments(__doc__, epochs=(200, "passes over the data"))``.
    """
    form = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=form)
    parser.add_argument("--backend", default="cpu", help="where to compute: cpu, cuda, auto")
    parser.add_argument("--seed", default=0, type=int, help="of the random numbers")
    parser.add_argument("--out", default=Path("out"), type=Path, help="folder for the pictures")
    for name, (default, meaning) in extra.items():
        flag = "--" + name.replace("_", "-")
        parser.add_argument(flag, default=default, type=type(default), help=meaning)
    given = parser.parse_args()
    dl.set_backend(given.backend)
    dl.random.seed(given.seed)
    given.out.mkdir(parents=True, exist_ok=True)
    return given
