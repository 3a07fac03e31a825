"""A graph as an SVG: a card for each node with what it is, its shape, value and gradient."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from os import PathLike
from typing import NamedTuple

from dlcore.graph.layout import Box, Layout, Point, layered
from dlcore.graph.nodes import Constant, Node, Placeholder, Variable
from dlcore.tensors import Tensor
from dlcore.text import cells, clipped, short

SANS = "ui-sans-serif, -apple-system, 'Segoe UI', Helvetica, 'DejaVu Sans', Arial, sans-serif"
MONO = "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace"
INK, MUTED = "#1d2733", "#7b8794"
HEADER, LINE, PADDING, MARGIN = 24.0, 17.0, 10.0, 16.0  # pixels
LONGEST = 26  # columns of a name or a value; the rest is in the tooltip


class Look(NamedTuple):
    """How a kind of node is coloured, and what the legend calls it."""

    label: str
    line: str
    fill: str
    dashes: str = ""


PLACEHOLDER = Look("placeholder", "#2f7dd1", "#e3effc", "5 3")
TRAINABLE = Look("trainable variable", "#23915a", "#def3e7")
FROZEN = Look("frozen variable", "#5f7a8a", "#e6edf1", "2 3")
CONSTANT = Look("constant", "#8b8b8b", "#efefef")
OPERATION = Look("operation", "#b9802a", "#fbf0dc")
OUTPUT = Look("output", "#c2364f", "#fbe4e8")
LOOKS = (PLACEHOLDER, TRAINABLE, FROZEN, CONSTANT, OPERATION, OUTPUT)


class Drawing(str):
    """An SVG text that a notebook shows by itself."""

    __slots__ = ()

    def save(self, path: str | PathLike[str]) -> None:
        """Write it to a file, which any browser opens."""
        with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123  pathlib takes 3 ms to import
            file.write(self)

    def __repr__(self) -> str:
        return f"<a drawing, {len(self)} characters of SVG; save(path) writes it to a file>"

    def _repr_svg_(self) -> str:
        return str(self)


class Card(NamedTuple):
    """What stands on the card of one node."""

    node: Node
    look: Look
    title: str
    lines: list[tuple[str, str]]
    width: float
    height: float


def draw(order: Sequence[Node], direction: str = "down") -> Drawing:
    """The nodes of ``order``, operands first, with an arrow for each operand.

    Raises:
        ValueError: ``direction`` is neither ``"down"`` nor ``"right"``.
    """
    if direction not in ("down", "right"):
        raise ValueError(f"draw: direction is 'down' or 'right', got {direction!r}")
    cards = [card(node, node is order[-1]) for node in order]
    position = {node: p for p, node in enumerate(order)}
    edges = [(position[parent], position[node]) for node in order for parent in node.parents]
    down = direction == "down"
    sizes = [(c.width, c.height) if down else (c.height, c.width) for c in cards]
    layout = layered(sizes, edges) if down else turned(layered(sizes, edges, gap=16.0))
    ends = [(order[start], order[end]) for start, end in edges]
    links = [arrow(line, *pair, down=down) for line, pair in zip(layout.edges, ends, strict=True)]
    boxes = [drawn(c, box) for c, box in zip(cards, layout.boxes, strict=True)]
    looks = [look for look in LOOKS if any(c.look is look for c in cards)]
    return framed(layout, [*links, *boxes], looks)


# --- cards ---------------------------------------------------------------------------------------


def look_of(node: Node, *, last: bool) -> Look:
    """The look that tells what kind of node this is."""
    if isinstance(node, Placeholder):
        return PLACEHOLDER
    if isinstance(node, Variable):
        return TRAINABLE if node.trainable else FROZEN
    if isinstance(node, Constant):
        return CONSTANT
    return OUTPUT if last else OPERATION


def card(node: Node, last: bool) -> Card:
    """The card of ``node``: name and kind; shape, value and gradient as far as there are any."""
    lines = []
    if (value := node.value) is not None:
        lines = [("shape", described(value)), ("value", clipped(short(value), LONGEST))]
        if node.grad is not None:
            lines.append(("grad", clipped(short(node.grad), LONGEST)))
    title = clipped(node.name, LONGEST)
    heading = 8.2 * cells(title) + 6.4 * cells(node.kind) + 16.0  # bold, and small
    widest = max((cells(text) for _, text in lines), default=0)
    width = max(heading, 44.0 + 7.3 * widest) + 2 * PADDING
    body = LINE * len(lines) + 9.0 if lines else 0.0
    return Card(node, look_of(node, last=last), title, lines, round(width, 1), HEADER + body)


def described(value: Tensor) -> str:
    """Shape and dtype."""
    return f"{tuple(value.shape)} {value.dtype}"


def drawn(card: Card, box: Box) -> str:
    """The card as SVG, its upper left corner where ``box`` has it."""
    node, look, w, h = card.node, card.look, card.width, card.height
    heavy = 2.4 if look is OUTPUT else 1.4
    dashes = f' stroke-dasharray="{look.dashes}"' if look.dashes else ""
    place = f"translate({box.x + MARGIN:.1f} {box.y + MARGIN:.1f})"
    size = f'width="{w:.1f}" height="{h:.1f}" rx="7"'
    names = f'data-name="{escape(node.name)}" data-kind="{look.label}"'
    line = f'stroke="{look.line}" stroke-width="{heavy}"{dashes}'
    parts = [
        f'<g class="node" {names} transform="{place}">',
        f"<title>{escape(tooltip(node))}</title>",
        f'<rect {size} fill="#ffffff"/>',
        header(w, h, look.fill, whole=not card.lines),
        f'<rect class="box" {size} fill="none" {line}/>',
        written(card.title, PADDING, 16.5, f'font-size="13" font-weight="600" fill="{INK}"'),
        written(node.kind, w - PADDING, 16.5, f'font-size="10.5" fill="{look.line}"', end=True),
    ]
    for p, (label, text) in enumerate(card.lines):
        y = HEADER + LINE * (p + 1)
        ink = {"shape": MUTED, "value": INK, "grad": "#8a2f86"}[label]
        mono = f'font-size="11.5" font-family="{MONO}" fill="{ink}"'
        parts.append(written(label, PADDING, y, f'font-size="10.5" fill="{ink}"'))
        parts.append(written(text, w - PADDING, y, mono, end=True))
    return "\n".join([*parts, "</g>"])


def written(text: str, x: float, y: float, style: str, *, end: bool = False) -> str:
    """``text`` that begins at ``x``, or ends there."""
    anchor = ' text-anchor="end"' if end else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{anchor} {style}>{escape(text)}</text>'


def header(w: float, h: float, fill: str, *, whole: bool) -> str:
    """The coloured strip behind the name, with the round corners of the card."""
    if whole:
        return f'<rect width="{w:.1f}" height="{h:.1f}" rx="7" fill="{fill}"/>'
    outline = f"M0 {HEADER} V7 A7 7 0 0 1 7 0 H{w - 7:.1f} A7 7 0 0 1 {w:.1f} 7 V{HEADER} Z"
    return f'<path d="{outline}" fill="{fill}"/>'


def tooltip(node: Node) -> str:
    """What a pointer that rests on the card is told: everything that had to be shortened."""
    operands = f" of {', '.join(p.name for p in node.parents)}" if node.parents else ""
    lines = [f"{node.name}: {node.kind}{operands}"]
    if node.value is not None:
        lines.append(f"value {node.value!r}")
    if node.grad is not None:
        lines.append(f"gradient {node.grad!r}")
    return "\n".join(lines)


# --- arrows --------------------------------------------------------------------------------------


def arrow(line: Sequence[Point], start: Node, end: Node, *, down: bool) -> str:
    """A smooth line with a head: straight beside boxes, curved between layers."""
    points = [(x + MARGIN, y + MARGIN) for x, y in line]
    tip = points[-1]
    along = 1 if down else 0
    neck = (tip[0], tip[1] - 7.0) if down else (tip[0] - 7.0, tip[1])
    points = [*(p for p in points[:-1] if p[along] < neck[along]), neck]
    path = [f"M{at(points[0])}"]
    for a, b in pairwise(points):
        if abs(a[1 - along] - b[1 - along]) < 0.05:
            path.append(f"L{at(b)}")
        else:
            middle = (a[along] + b[along]) / 2
            bends = [(a[0], middle), (b[0], middle)] if down else [(middle, a[1]), (middle, b[1])]
            path.append(f"C{at(bends[0])} {at(bends[1])} {at(b)}")
    x, y = tip
    head = [(x - 4, y - 8), (x + 4, y - 8)] if down else [(x - 8, y - 4), (x - 8, y + 4)]
    return (f'<g class="edge" data-from="{escape(start.name)}" data-to="{escape(end.name)}">'
            f'<path d="{" ".join(path)}" fill="none" stroke="#8a97a6" stroke-width="1.5"/>'
            f'<path d="M{at(tip)} L{at(head[0])} L{at(head[1])} Z" fill="#5f6d7c"/></g>')


def escape(text: str) -> str:
    """``text`` as XML has it, between tags and between quotes."""
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(character, entity)
    return text


def at(point: Point) -> str:
    """Coordinates as a path has them."""
    return f"{point[0]:.1f} {point[1]:.1f}"


def turned(layout: Layout) -> Layout:
    """The same from left to right."""
    boxes = [Box(b.y, b.x, b.height, b.width) for b in layout.boxes]
    edges = [[(y, x) for x, y in line] for line in layout.edges]
    return Layout(boxes, edges, layout.height, layout.width)


# --- the whole -----------------------------------------------------------------------------------


def framed(layout: Layout, parts: Sequence[str], looks: Sequence[Look]) -> Drawing:
    """The parts on a white ground, with a legend of the looks that occur."""
    key, key_width, key_height = legend(looks, layout.width)
    width = max(layout.width, key_width) + 2 * MARGIN
    height = layout.height + 2 * MARGIN + key_height
    shift = (width - 2 * MARGIN - layout.width) / 2
    below = layout.height + 2 * MARGIN
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.1f} {height:.1f}"'
    style = f'font-family="{SANS}" style="max-width:100%"'
    return Drawing("\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>',
        f'<rect width="{width:.1f}" height="{height:.1f}" fill="#ffffff"/>',
        f'<g transform="translate({shift:.1f} 0)">', *parts, "</g>",
        f'<g class="legend" transform="translate({MARGIN} {below:.1f})">', *key, "</g>",
        "</svg>\n",
    ]))


def legend(looks: Sequence[Look], room: float) -> tuple[list[str], float, float]:
    """A sample of each look with its meaning, in as many rows as fit; the size of it all."""
    parts, x, y, widest = [], 0.0, 0.0, 0.0
    for look in looks:
        width = 22.0 + 5.6 * len(look.label) + 20.0
        if x > 0 and x + width > max(room, 320.0):
            x, y = 0.0, y + 20.0
        dashes = f' stroke-dasharray="{look.dashes}"' if look.dashes else ""
        place = f'x="{x + 0.5:.1f}" y="{y:.1f}" width="16" height="11" rx="3"'
        line = f'stroke="{look.line}" stroke-width="1.2"{dashes}'
        parts.append(f'<rect {place} fill="{look.fill}" {line}/>')
        parts.append(written(look.label, x + 22, y + 9.5, f'font-size="10.5" fill="{MUTED}"'))
        x += width
        widest = max(widest, x)
    return parts, widest - 20.0, y + 11.0 + MARGIN
