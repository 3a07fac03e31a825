"""The signatures of the CuPy functions that the CUDA backend calls, kept in a file.

With them its calls can be checked where CuPy is not installed, or cannot be imported.  After using
a new function, write the file anew where CuPy is installed, which needs no GPU::

    python -m tests.cupy_signatures
"""

import ast
import importlib
import inspect
import json
from collections.abc import Iterator
from functools import cache
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
FILE = HERE / "cupy_signatures.json"
CUDA_FILES = ("cupy_backend.py", "cupy_library.py", "cupy_linalg.py", "cuda_devices.py", "cuda_kernels.py",
              "cuda_uploads.py")
SOURCES = [HERE.parent / "backends" / name for name in CUDA_FILES]
ROOTS = ("cupy", "cupyx")


class Use(NamedTuple):
    """One place where a source names something of CuPy, and how it calls it."""

    name: str
    line: int
    call: ast.Call | None


class Ufunc(NamedTuple):
    """How many arrays a ufunc takes and gives."""

    nin: int
    nout: int


# --- reading sources -----------------------------------------------------------------


def uses(source: str) -> Iterator[Use]:
    """Everything of CuPy that ``source`` names, by its full name."""
    tree = ast.parse(source)
    aliases = dict(imported(tree))
    calls = {id(n.func): n for n in ast.walk(tree) if isinstance(n, ast.Call)}
    inner = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and id(node) not in inner:
            root, *rest = ast.unparse(node).split(".")
            if root in aliases and all(map(str.isidentifier, rest)):
                name = ".".join([aliases[root], *rest])
                yield Use(name, node.lineno, calls.get(id(node)))


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """The names by which a source knows CuPy and its parts."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [(a.asname or a.name, a.name) for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [(a.asname or a.name, f"{node.module}.{a.name}") for a in node.names]
        else:
            continue
        yield from (n for n in names if n[1].split(".")[0] in ROOTS)


def complaints(source: str) -> list[str]:
    """Calls in ``source`` that CuPy would refuse, and names it does not have."""
    found = []
    for use in uses(source):
        if use.name not in known():
            found.append(f"line {use.line}: {use.name} is not in {FILE.name}; see its module")
        else:
            found += refused(use, known()[use.name])
    return found


def refused(use: Use, signature: Signature | Ufunc | None) -> list[str]:
    """Why what is called there cannot be called so, if it has that signature."""
    if use.call is None or any(isinstance(a, ast.Starred) for a in use.call.args):
        return []
    keywords = {k.arg: 0 for k in use.call.keywords if k.arg}
    try:
        fits(use.name, signature, *use.call.args, **keywords)
    except TypeError as error:
        return [f"line {use.line}: {error}"]
    return []


# --- signatures ----------------------------------------------------------------------


@cache
def known() -> dict[str, Signature | Ufunc | None]:
    """What the file has: a signature, the arity of a ufunc, or None for what is not called."""
    return {name: read(entry) for name, entry in json.loads(FILE.read_text())["names"].items()}


def bind(name: str, *args: Any, **kwargs: Any) -> None:
    """Raise a TypeError if CuPy's ``name`` cannot be called like this."""
    fits(name, known()[name], *args, **kwargs)


def fits(name: str, signature: Signature | Ufunc | None, *args: Any, **kwargs: Any) -> None:
    """Raise a TypeError if something of this name and signature cannot be called like this."""
    if isinstance(signature, Ufunc):
        wrong = set(kwargs) - {"out", "dtype", "casting"}  # no where=, order= or keepdims=
        if wrong or not signature.nin <= len(args) <= signature.nin + signature.nout:
            raise TypeError(f"{name}: {len(args)} arguments and {sorted(wrong)} for {signature}")
    elif signature is not None:
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{name}{signature}: {error}") from None


def written(thing: Any) -> str | None:
    """What the file says of ``thing``: ``"a, axis=, *, dtype="``, ``"ufunc 2 1"``, or None."""
    if hasattr(thing, "nin") and not isinstance(thing, type):
        return f"ufunc {thing.nin} {thing.nout}"
    try:
        parameters = inspect.signature(thing).parameters.values()
    except (TypeError, ValueError):
        return None
    marks = {Parameter.VAR_POSITIONAL: "*", Parameter.VAR_KEYWORD: "**"}
    words: list[str] = []
    for p in parameters:
        if p.kind is Parameter.KEYWORD_ONLY and not any(w.startswith("*") for w in words):
            words.append("*")
        words.append(marks.get(p.kind, "") + p.name + ("" if p.default is p.empty else "="))
    return ", ".join(words)


def read(entry: str | None) -> Signature | Ufunc | None:
    """What :func:`written` wrote."""
    if entry is None:
        return None
    if entry.startswith("ufunc"):
        return Ufunc(*map(int, entry.split()[1:]))
    parameters = []
    kind = Parameter.POSITIONAL_OR_KEYWORD
    for word in entry.split(", ") if entry else ():
        if word.startswith("**"):
            parameters.append(Parameter(word[2:], Parameter.VAR_KEYWORD))
        elif word.startswith("*"):
            kind = Parameter.KEYWORD_ONLY
            if word != "*":
                parameters.append(Parameter(word[1:], Parameter.VAR_POSITIONAL))
        else:
            default = ... if word.endswith("=") else Parameter.empty
            parameters.append(Parameter(word.rstrip("="), kind, default=default))
    return Signature(parameters)


def resolved(name: str) -> Any:
    """The thing that CuPy calls ``name``."""
    module, *rest = name.split(".")
    thing = importlib.import_module(module)
    for part in rest:
        module = f"{module}.{part}"
        thing = getattr(thing, part, None) or importlib.import_module(module)
    return thing


def snapshot() -> dict[str, Any]:
    """What the file would hold if it were written now."""
    names = {use.name for path in SOURCES for use in uses(path.read_text(encoding="utf-8"))}
    version = importlib.import_module("cupy").__version__
    return {"cupy": version, "names": {name: written(resolved(name)) for name in sorted(names)}}


if __name__ == "__main__":
    FILE.write_text(json.dumps(snapshot(), indent=1) + "\n", encoding="utf-8")
