"""What a declaration says, in its own words: the source of a formula, read off the syntax tree."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from functools import cache
from inspect import getdoc
from pathlib import Path
from types import CodeType
from typing import Any

from dlcore.samples import PerPosition

LONGEST = 110  # characters of a formula that a table shows; a longer one is better read in its file

INNER = ("rule", "transpose", "left", "right", "forward")
"""What the families call the functions that they wrap: the formula is theirs, not the wrapper's."""


def formula(function: Any, position: int = 0) -> str:
    """The expression that ``function`` returns, as it is written; ``...`` where that is no short one."""
    node = syntax(unwrapped(function, position))
    if isinstance(node, ast.Lambda):
        text = ast.unparse(node.body)
    elif isinstance(node, ast.FunctionDef) and (value := _returned(node.body[-1])) is not None:
        alone = len(node.body) == 1 + (ast.get_docstring(node) is not None)
        text = ast.unparse(value) if alone else f"... {ast.unparse(value)}"
    else:
        return "..."
    return text if len(text) <= LONGEST else "..."


def _returned(statement: ast.stmt) -> ast.expr | None:
    """What a last statement returns, from inside ``with`` too."""
    while isinstance(statement, ast.With):
        statement = statement.body[-1]
    return statement.value if isinstance(statement, ast.Return) else None


def unwrapped(rule: Any, position: int = 0) -> Any:
    """The function that somebody wrote, from inside those that the families made of it."""
    if isinstance(rule, PerPosition):
        rule = rule[position]
    cells = getattr(rule, "__closure__", None) or ()
    inside = dict(zip(rule.__code__.co_freevars, cells, strict=True)) if cells else {}
    for name in INNER:
        if name in inside and callable(inside[name].cell_contents):
            return unwrapped(inside[name].cell_contents)
    return rule


@cache
def _nodes(filename: str) -> list[ast.Lambda | ast.FunctionDef]:
    try:
        tree = ast.parse(Path(filename).read_text("utf-8"))
    except (OSError, SyntaxError):  # typed in, or a block of a page
        return []
    return [n for n in ast.walk(tree) if isinstance(n, ast.Lambda | ast.FunctionDef)]


def syntax(function: Callable[..., Any]) -> ast.Lambda | ast.FunctionDef | None:
    """The part of its file that defines ``function``.

    A line may hold several lambdas: the one is meant whose body encloses the whole of the code.
    """
    code = function.__code__
    first = code.co_firstlineno
    for node in _nodes(code.co_filename):
        starts = (node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ())))
        if isinstance(node, ast.FunctionDef) and node.name == code.co_name and first in starts:
            return node
    lambdas = [n for n in _nodes(code.co_filename) if isinstance(n, ast.Lambda) and n.lineno == first
               and _encloses(n.body, code)]
    return min(lambdas, key=lambda n: len(ast.unparse(n)), default=None)


def _encloses(body: ast.expr, code: CodeType) -> bool:
    start, end = (body.lineno, body.col_offset), (body.end_lineno, body.end_col_offset)
    spans = [((line, column), (last, stop)) for line, last, column, stop in code.co_positions()
             if None not in (line, last, column, stop) and (line, column) != (last, stop)]
    return all(start <= a and b <= end for a, b in spans)


def sentence(function: Any) -> str:
    """The first line of a docstring, as Markdown."""
    line = (getdoc(function) or "").partition("\n")[0]
    return re.sub(r":\w+:`[~.]?(?:\w+\.)*(\w+)`", r"`\1`", line).replace("``", "`")
