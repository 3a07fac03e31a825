"""Hashes of declarations: what an operation is made of, told apart from how its source is laid out.

A row of the ledger is true of the code that it was measured on.  That code is read here as syntax
trees, never run: the statement that declares the operation, and every function and constant of the
house that it mentions, and what those mention.  Comments, docstrings, annotations and line numbers
leave no trace in a tree, so they do not change the hash.

What an operation asks of its backend is hashed apart, for each backend: the members that it names,
and what those mention.  Source is enough for that, so a machine without a GPU can tell whether a row
about CUDA is still true.  Classes of the engine are named and not read: tests of their own hold them.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from backends import get_backend
from dlcore.core import Primitive

__all__ = ["Place", "Sources", "backend_place"]

HOUSE = ("dlcore", "backends")
ENGINE = ("dlcore.core", "dlcore.history", "dlcore.tensors", "backends.base", "backends.library")
LENGTH = 12  # hexadecimal digits of a hash: 300 rows meet by chance once in 10**10 ledgers

SKIPPED = {"ctx", "kind", "type_comment", "type_params", "annotation", "returns", "simple"}
"""Fields of a syntax tree that say nothing of what is computed."""


class Place(NamedTuple):
    """A name at the top of a module, or after a dot in a class there."""

    module: str
    name: str


class Module:
    """The names that a module binds at its top: by which statements, or imported from where."""

    def __init__(self, source: str) -> None:
        self.statements: dict[str, list[ast.AST]] = {}
        self.imports: dict[str, tuple[str, str | None]] = {}
        tree = ast.parse(source)
        self.docstring = ast.get_docstring(tree) or ""
        for statement in tree.body:
            for name in _bound(statement):
                self.statements.setdefault(name, []).append(statement)
            for node in ast.walk(statement):
                if isinstance(node, ast.ImportFrom) and node.module:
                    self.imports |= {a.asname or a.name: (node.module, a.name) for a in node.names}
                elif isinstance(node, ast.Import):
                    self.imports |= {a.asname or a.name.partition(".")[0]:
                                     (a.name if a.asname else a.name.partition(".")[0], None)
                                     for a in node.names}

    def found(self, name: str) -> list[ast.AST]:
        """The statements that bind ``name``; with a dot in it, those in the class before the dot."""
        outer, _, inner = name.partition(".")
        statements = self.statements.get(outer, [])
        if not inner:
            return statements
        return [s for c in statements if isinstance(c, ast.ClassDef) for s in c.body if inner in _bound(s)]


def _bound(statement: ast.AST) -> list[str]:
    """What a statement gives a value to."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    return [n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]


def canonical(tree: Any) -> str:
    """A syntax tree as text, without what only people read; the same from every version of Python."""
    if isinstance(tree, list):
        return f"[{','.join(map(canonical, tree))}]"
    if not isinstance(tree, ast.AST):
        return repr(tree)
    fields = dict(ast.iter_fields(tree))
    if isinstance(tree, ast.AnnAssign):  # as if it had no annotation
        return f"Assign(targets=[{canonical(tree.target)}],value={canonical(tree.value)})"
    if isinstance(tree, ast.JoinedStr):  # versions differ in how they cut an f-string that spans lines
        parts = (str(p.value) if isinstance(p, ast.Constant) else canonical(p) for p in tree.values)
        return f"JoinedStr({''.join(parts)!r})"
    if isinstance(tree, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(tree, clean=False) is not None:
        fields["body"] = tree.body[1:]
    kept = (f"{k}={canonical(v)}" for k, v in fields.items() if k not in SKIPPED and v not in (None, []))
    return f"{type(tree).__name__}({','.join(kept)})"


def _walk(tree: Any) -> Iterator[ast.AST]:
    """Every node of a tree that counts for the hash."""
    if isinstance(tree, list):
        for part in tree:
            yield from _walk(part)
    elif isinstance(tree, ast.AST):
        yield tree
        for field, value in ast.iter_fields(tree):
            if field not in SKIPPED:
                yield from _walk(value)


class Facts(NamedTuple):
    """What one place says: its text, and the names in it."""

    text: str
    names: frozenset[tuple[str, str | None]]  # with the attribute that is asked of it, if one is
    strings: frozenset[str]
    looks_up: bool  # whether it asks its backend for a member by a name that is computed


def _facts(trees: list[ast.AST]) -> Facts:
    names: set[tuple[str, str | None]] = set()
    strings: set[str] = set()
    looks_up = False
    for node in _walk(trees):
        if isinstance(node, ast.Name):
            names.add((node.id, None))
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names.add((node.value.id, node.attr))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            strings.add(node.value)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
            looks_up |= isinstance(node.args[0], ast.Name) and node.args[0].id == "xp"
    return Facts(canonical(trees), frozenset(names), frozenset(strings), looks_up)


class Sources:
    """The source of modules, parsed when first asked for.

    Args:
        texts: source to read instead of a file, by module: how a test plants a change.
    """

    def __init__(self, texts: Mapping[str, str] | None = None) -> None:
        self._texts = dict(texts or {})
        self._modules: dict[str, Module | None] = {}
        self._facts: dict[Place, Facts] = {}
        self._next: dict[Place, set[Place]] = {}
        self._homes: dict[int, Place] = {}
        self._digests: dict[Any, str] = {}

    # --- reading -------------------------------------------------------------------------------

    def module(self, name: str) -> Module | None:
        """The module called ``name``, None if it has no source."""
        if name not in self._modules:
            text = self._texts.get(name) or _source(name)
            self._modules[name] = None if text is None else Module(text)
        return self._modules[name]

    def statements(self, place: Place) -> list[ast.AST]:
        """What binds the name at ``place``."""
        module = self.module(place.module)
        return [] if module is None else module.found(place.name)

    def facts(self, place: Place) -> Facts:
        """What the statements at ``place`` say."""
        if place not in self._facts:
            self._facts[place] = _facts(self.statements(place))
        return self._facts[place]

    def place_of(self, subject: Any) -> Place | None:
        """Where a primitive, an operation or a function is declared; None if not at the top of a module."""
        if isinstance(subject, Primitive):
            if id(subject) not in self._homes:
                self._homes = {id(value): place for value, place in _named() if self.statements(place)}
            return self._homes.get(id(subject))
        function = getattr(subject, "function", subject)
        place = Place(getattr(function, "__module__", ""), getattr(function, "__name__", ""))
        return place if self.statements(place) else None

    def _resolved(self, module: str, name: str, attribute: str | None,
                  own: tuple[str, ...]) -> Place | None:
        """Where ``name`` is bound, or its ``attribute`` if it is a module; None if not in ``own``."""
        for _ in range(9):  # a name that is handed on by packages
            if module.partition(".")[0] not in own or (found := self.module(module)) is None:
                return None
            if name in found.statements:
                return Place(module, name)
            if name not in found.imports:
                return None
            source, original = found.imports[name]
            if original is None or self.module(f"{source}.{original}") is not None:
                whole = source if original is None else f"{source}.{original}"
                if attribute is None:
                    return None
                module, name, attribute = whole, attribute, None
            else:
                module, name = source, original
        return None

    # --- what belongs together --------------------------------------------------------------------

    def beside(self, place: Place) -> set[Place]:
        """The places that the statements at ``place`` mention."""
        if place not in self._next:
            own = (*HOUSE, place.module.partition(".")[0])
            found = {self._resolved(place.module, name, attribute, own)
                     for name, attribute in self.facts(place).names}
            self._next[place] = {p for p in found if p is not None and not self._is_engine(p)}
        return self._next[place]

    def _is_engine(self, place: Place) -> bool:
        return place.module in ENGINE and any(
            isinstance(s, ast.ClassDef) for s in self.statements(place))

    def reached(self, *roots: Place) -> set[Place]:
        """``roots``, what they mention, what that mentions, and so on."""
        found, waiting = set(roots), list(roots)
        while waiting:
            new = self.beside(waiting.pop()) - found
            found |= new
            waiting += new
        return found

    def digest(self, places: Iterable[Place], *more: str) -> str:
        """A hash of what is bound at ``places``."""
        text = "\n".join([*(f"{'.'.join(p)} {self.facts(p).text}" for p in sorted(places)), *more])
        from hashlib import sha256  # 4 ms, needed only here

        return sha256(text.encode()).hexdigest()[:LENGTH]

    def declaration(self, place: Place) -> str:
        """The hash of what is declared at ``place``, with all that it is made of."""
        if place not in self._digests:
            self._digests[place] = self.digest(self.reached(place))
        return self._digests[place]

    # --- what is asked of a backend ----------------------------------------------------------------

    def asked(self, place: Place) -> set[str]:
        """The names that what is declared at ``place`` looks up in its backend, which is called ``xp``."""
        facts = [self.facts(p) for p in self.reached(place)]
        names = {attribute for f in facts for name, attribute in f.names if name == "xp" and attribute}
        return names | (self.facts(place).strings if any(f.looks_up for f in facts) else set())

    def members(self, place: Place, backend: Place) -> str:
        """The hash of what the class ``backend`` answers to what is declared at ``place``."""
        asked = frozenset(self.asked(place))
        if (backend, asked) not in self._digests:
            self._digests[backend, asked] = self._members(asked, backend)
        return self._digests[backend, asked]

    def _members(self, asked: frozenset[str], backend: Place) -> str:
        lineage = list(self._lineage(backend))
        selves = {"self", *(c.name for c in lineage)}
        names: set[str] = set()
        methods: set[Place] = set()
        waiting = list(asked)
        while waiting:
            if (name := waiting.pop()) in names:
                continue
            names.add(name)
            own = [p for c in lineage if self.statements(p := Place(c.module, f"{c.name}.{name}"))]
            methods.update(own)
            waiting += [a for p in own for n, a in self.facts(p).names if a and n in selves]
        functions = {p for p in self.reached(*methods) if p not in lineage}
        return self.digest(functions, *sorted(names))

    def _lineage(self, cls: Place) -> Iterator[Place]:
        """A class and what it inherits from, as far as there is source."""
        yield cls
        for statement in self.statements(cls):
            for base in statement.bases if isinstance(statement, ast.ClassDef) else ():
                own = (*HOUSE, cls.module.partition(".")[0])
                if isinstance(base, ast.Name) and (p := self._resolved(cls.module, base.id, None, own)):
                    yield from self._lineage(p)


def _source(module: str) -> str | None:
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin).read_text(encoding="utf-8")


# --- where things are -------------------------------------------------------------------------------


def _named() -> Iterator[tuple[Primitive, Place]]:
    """Every primitive that a module has a name for, with all its names."""
    for module in list(sys.modules.values()):
        for name, value in list(vars(module).items()) if hasattr(module, "__dict__") else ():
            if issubclass(type(value), Primitive):  # isinstance would ask objects of others for their class
                yield value, Place(module.__name__, name)


def backend_place(name: str) -> Place:
    """Where the class of a backend is."""
    cls = type(get_backend(name))
    return Place(cls.__module__, cls.__name__)
