"""``python -m dlcore``: what is installed here, which backends load, and why one does not.

``python -m dlcore operations`` prints the page ``docs/operations.md``: everything that is declared,
read off the registry.  ``python -m dlcore ledger`` measures all of it and writes the gradient ledger;
``python -m dlcore ledger --help`` tells more.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from textwrap import fill

import dlcore
from backends import BackendError, current, get_backend, get_default_dtype
from backends.registry import backend_in_environment, known_backends
from dlcore.pages import ledger
from dlcore.pages.operations import operations

WIDTH = 100  # columns of the report

DISTRIBUTIONS = {  # and the extra of dlcore that brings each, where it is none of its dependencies
    "numpy": "", "scipy": "", "safetensors": "", "tqdm": "",
    "cupy": "cuda13 or cuda12", "array-api-compat": "cuda13 or cuda12",
    "ml_dtypes": "half", "matplotlib": "viz", "pillow": "viz", "scikit-learn": "data",
    "mlxtend": "data", "mpi4py": "distributed",
}
CUPY = ("cupy-cuda13x", "cupy-cuda12x", "cupy")  # one library, under a name for each version of CUDA


# --- the report ----------------------------------------------------------------------------------


def report() -> str:
    """Everything that a question about an installation should come with."""
    system = f"{platform.system()} {platform.machine()}"
    return "\n".join([
        f"dlcore {dlcore.__version__} on Python {platform.python_version()}, {system}", "",
        *section("installed", {name: installed(name) for name in DISTRIBUTIONS}), "",
        *section("backends", {name: loading(name) for name in known_backends()}), "",
        *section("new arrays", {"backend": selected(), "dtype": str(get_default_dtype())}),
    ])


def section(title: str, rows: dict[str, str]) -> list[str]:
    """A title, and under it the rows in two columns."""
    width = max(map(len, rows)) + 2
    after = " " * (width + 2)
    return [title, *(fill(text, WIDTH, initial_indent=f"  {name:{width}}", subsequent_indent=after,
                          break_long_words=False, break_on_hyphens=False) for name, text in rows.items())]


def installed(name: str) -> str:
    """The version of a distribution, or what would bring it."""
    found = {n: v for n in (CUPY if name == "cupy" else (name,)) if (v := version_of(n))}
    if len(found) > 1:
        several = " and ".join(f"{n} {v}" for n, v in found.items())
        return f"{several}, which overwrite each other's files; uninstall both, then install one"
    if found:
        return " ".join(found.values()) if name in found else " ".join(*found.items())
    extra = DISTRIBUTIONS[name]
    return f"no; the extra {extra} brings it" if extra else "no; dlcore needs it"


def version_of(name: str) -> str | None:
    """The version of a distribution; None if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def loading(name: str) -> str:
    """Whether a backend loads, and if not, why."""
    try:
        get_backend(name)
    except BackendError as error:
        return f"does not load: {str(error).removeprefix(f'backend {name!r} is not available: ')}"
    except Exception as error:  # noqa: BLE001  a factory of others may raise anything
        return f"does not load: {type(error).__name__}: {error}"
    return "loads"


def selected() -> str:
    """Where new arrays are made, and who said so."""
    asked = backend_in_environment()
    because = "DLCORE_BACKEND is not set" if asked is None else f"DLCORE_BACKEND is {asked!r}"
    try:
        return f"{current().name} ({because})"
    except BackendError as error:
        return f"none: {error}"


# --- the command line --------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what was asked for, or measure the ledger."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["ledger"]:
        ledger.main(arguments[1:])
        return
    parser = argparse.ArgumentParser(prog="python -m dlcore", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    pages = {"report": report, "operations": operations}
    parser.add_argument("page", nargs="?", default="report", choices=pages,
                        help="what is installed (the default), or the page of all operations")
    print(pages[parser.parse_args(arguments).page]())


if __name__ == "__main__":
    main()
