"""``python -m dlcore``: what is installed here, which backends load, and why one does not.

``python -m dlcore operations`` prints the page ``docs/operations.md``: everything that is declared,
read off the registry.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from inspect import Parameter, Signature, getdoc, signature
from textwrap import fill
from typing import Any

import dlcore
from backends import BackendError, current, get_backend, get_default_dtype
from backends.registry import backend_in_environment, known_backends
from dlcore import linalg, ops
from dlcore.core import OPERATIONS, PRIMITIVES, Binary, Primitive, Unary, broadcast_shapes
from dlcore.nn import functional
from dlcore.samples import Domain, Sample

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


# --- the page of operations ------------------------------------------------------------------------


HEAD = """\
# Operations

This page is written by `python -m dlcore operations`, from the registry that the tests run over.
Change a declaration, not this page.

**Kind**: *elementwise* and *linear* primitives have one rule that serves as both derivatives, *bilinear* ones
have one for each operand, *general* ones have both.
A *flat* one has none: its result changes only in jumps, as a boolean or an index does.

**Drawn from**: where the tests draw the arguments: a range, without the kinks and jumps that are named.
Where equal elements would be a tie they are distinct; `?` stands for booleans and `#n` for indices below n.

**Reads**: what the rules of derivation read; of all else a history keeps only shape and dtype.
"""


def operations() -> str:
    """The page of all operations, as Markdown."""
    primitives = [[f"`{p.name}`", kind_of(p), call_of(p.name, p), drawn(p.samples), reads(p)]
                  for _, p in sorted(PRIMITIVES.items())]
    declared = [[call_of(o.name, o.function), drawn(o.samples)] for _, o in sorted(OPERATIONS.items())]
    others = [[call_of(name, f), sentence(f)] for name, f in sorted(public().items())
              if name not in PRIMITIVES and name not in OPERATIONS]
    return "\n".join([
        HEAD, "## Primitives", "",
        f"{len(primitives)} of them; internal ones have no public name: the others are made of them.", "",
        *table(["name", "kind", "call", "drawn from", "reads"], primitives), "",
        "## Declared compositions", "",
        f"{len(declared)} functions made of primitives, to which the laws are applied as to those.", "",
        *table(["call", "drawn from"], declared), "",
        "## Other functions", "",
        f"{len(others)} names for primitives with other arguments, and small compositions of them.", "",
        *table(["call", "what it returns"], others),
    ])


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    lines = [heading, ["---"] * len(heading), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def public() -> dict[str, Callable[..., Any]]:
    """Every public operation by the name that users write: ``dl.exp``, ``F.relu``."""
    found = {name: getattr(functional, name) for name in functional.__all__}
    found |= {name: getattr(linalg, name) for name in linalg.__all__}
    return found | {name: getattr(ops, name) for name in ops.__all__}


def call_of(name: str, function: Callable[..., Any]) -> str:
    """How users call it: by its public name, if it has one, with the arguments of that."""
    if (found := public().get(name)) is None:
        return f"internal `{name}{parameters(function)}`"
    where = "dl" if name in ops.__all__ else "dl.linalg" if name in linalg.__all__ else "F"
    return f"`{where}.{name}{parameters(found)}`"


def parameters(function: Callable[..., Any]) -> Signature:
    """The parameters of a function or a primitive, without annotations."""
    if isinstance(function, Primitive):
        own = list(signature(function.forward).parameters.values())[1:]  # the first one is the backend
    else:
        own = list(signature(function).parameters.values())
    return Signature([p.replace(annotation=Parameter.empty) for p in own])


def kind_of(p: Primitive) -> str:
    """The family of a primitive, read off what it has become."""
    if not p.differentiable:
        return "flat"
    if p.shape is broadcast_shapes:
        return "elementwise"
    if type(p) is Binary and "out" not in p.reads:
        return "bilinear"
    return "linear" if type(p) is Unary and not p.reads else "general"


def reads(p: Primitive) -> str:
    """What the rules of a primitive read."""
    return ", ".join(f"`{name}`" for name in p.reads) if p.differentiable else ""


def drawn(samples: Sequence[Sample]) -> str:
    """Where the arguments of samples are drawn from, each way once."""
    return "; ".join(dict.fromkeys(", ".join(dict.fromkeys(_drawn(s))) for s in samples))


def _drawn(sample: Sample) -> Iterator[str]:
    for spec, (kind, _, domain) in zip(sample.shapes, sample.arguments(), strict=True):
        yield {"": range_of(domain), "?": "?"}.get(kind) or spec.split()[0]


def range_of(domain: Domain) -> str:
    """A domain in a few characters."""
    but = " beside a dominant diagonal" if domain.matrix else ""
    but += f" but {', '.join(f'{x:g}' for x in domain.avoid)}" if domain.avoid else ""
    return f"{domain.low:g}..{domain.high:g}{but}{' distinct' if domain.distinct else ''}"


def sentence(function: Callable[..., Any]) -> str:
    """The first line of a docstring."""
    return (getdoc(function) or "").partition("\n")[0].replace("``", "`")


# --- the command line --------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m dlcore", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    pages = {"report": report, "operations": operations}
    parser.add_argument("page", nargs="?", default="report", choices=pages,
                        help="what is installed (the default), or the page of all operations")
    print(pages[parser.parse_args(arguments).page]())


if __name__ == "__main__":
    main()
