"""Places for the boxes of a drawing: layer by layer, few crossings, edges around the boxes.

The method is that of layered graph drawing.  Every box gets a layer below those of its operands; an
edge that passes a layer gets a narrow free slot there, so that no edge runs through a box; within
the layers, slots move to the mean of their neighbours to reduce crossings, and are then placed as
close to their neighbours as order and gaps allow.

Source: Sugiyama, Tagawa & Toda (1981), "Methods for visual understanding of hierarchical system
structures"; the last step is isotonic regression by pooling adjacent violators.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

Point = tuple[float, float]
Edge = tuple[int, int]
Rows = list[list[int]]  # of items, which are boxes and slots by number

SLOT = 18.0  # width of the lane that an edge takes where it passes a layer
SWEEPS = 24


class Box(NamedTuple):
    """A rectangle by its upper left corner and its size."""

    x: float
    y: float
    width: float
    height: float


class Layout(NamedTuple):
    """Where everything goes; an edge is a list of points, two for each layer that it touches."""

    boxes: list[Box]
    edges: list[list[Point]]
    width: float
    height: float


def layered(sizes: Sequence[tuple[float, float]], edges: Sequence[Edge], gap: float = 26.0,
            layer_gap: float = 44.0) -> Layout:
    """Boxes of ``sizes`` in layers from top to bottom, so that every edge leads downwards.

    Args:
        sizes: width and height of each box.
        edges: pairs of positions in ``sizes``; the first of a pair comes before the second.
        gap: between neighbours in a layer.
        layer_gap: between layers.
    """
    ranks = layers_of(len(sizes), edges)
    paths, ranks, links = with_slots(ranks, edges)
    widths = [w for w, _ in sizes] + [SLOT] * (len(ranks) - len(sizes))
    above, below = neighbours(len(ranks), links)
    rows = uncrossed(as_written(ranks, above), above, below)
    centers = placed(rows, widths, above, below, gap, len(sizes))
    left = min(c - w / 2 for c, w in zip(centers, widths, strict=True))
    right = max(c + w / 2 for c, w in zip(centers, widths, strict=True))
    tops, bottoms = [], []
    y = 0.0
    for row in rows:
        tops.append(y)
        y += max((sizes[i][1] for i in row if i < len(sizes)), default=0.0)
        bottoms.append(y)
        y += layer_gap
    boxes = [Box(centers[i] - left - w / 2, (tops[ranks[i]] + bottoms[ranks[i]] - h) / 2, w, h)
             for i, (w, h) in enumerate(sizes)]
    lines = routed(edges, paths, boxes, [c - left for c in centers], ranks, tops, bottoms)
    return Layout(boxes, lines, right - left, y - layer_gap)


# --- layers --------------------------------------------------------------------------------------


def layers_of(count: int, edges: Sequence[Edge]) -> list[int]:
    """A layer for each box: below its operands, and as near to its consumers as shortens edges."""
    above, below = neighbours(count, edges)
    ranks = [0] * count
    for i in range(count):
        ranks[i] = 1 + max((ranks[a] for a in above[i]), default=-1)
    for i in reversed(range(count)):  # what feeds one box only comes along for free
        pulling = sum(1 for a in set(above[i]) if above[a] or len(set(below[a])) > 1)
        if below[i] and pulling < len(set(below[i])):
            ranks[i] = min(ranks[b] for b in below[i]) - 1
    first = min(ranks)
    return [rank - first for rank in ranks]


def with_slots(ranks: list[int], edges: Sequence[Edge]) -> tuple[Rows, list[int], list[Edge]]:
    """For each edge the slots on its way; the layers of boxes and slots; links between layers."""
    ranks, links, paths = list(ranks), [], []
    for start, end in edges:
        path, before = [], start
        for rank in range(ranks[start] + 1, ranks[end]):
            path.append(len(ranks))
            links.append((before, len(ranks)))
            before = len(ranks)
            ranks.append(rank)
        links.append((before, end))
        paths.append(path)
    return paths, ranks, links


def neighbours(count: int, links: Sequence[Edge]) -> tuple[Rows, Rows]:
    """What each item is linked to above and below."""
    above: Rows = [[] for _ in range(count)]
    below: Rows = [[] for _ in range(count)]
    for start, end in links:
        above[end].append(start)
        below[start].append(end)
    return above, below


# --- the order within the layers -----------------------------------------------------------------


def as_written(ranks: list[int], above: Rows) -> Rows:
    """The rows in the order in which a reader of the formula meets what they hold."""
    rows: Rows = [[] for _ in range(max(ranks) + 1)]
    seen: set[int] = set()
    stack = sorted(range(len(ranks)), key=ranks.__getitem__)  # the last is the output
    while stack:
        item = stack.pop()
        if item not in seen:
            seen.add(item)
            rows[ranks[item]].append(item)
            stack += reversed(above[item])
    return rows


def uncrossed(rows: Rows, above: Rows, below: Rows) -> Rows:
    """The rows, reordered so that few links cross: sweeps down and up by means, then exchanges."""
    best, fewest = rows, crossings(rows, below)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        rows = swept(rows, above if sweep % 2 == 0 else below, down=sweep % 2 == 0)
        rows = exchanged(rows, above, below)
        if (count := crossings(rows, below)) < fewest:
            best, fewest = rows, count
    return best


def swept(rows: Rows, linked: Rows, *, down: bool) -> Rows:
    """Every row in turn sorted by the mean place of what its items are linked to."""
    rows = [list(row) for row in rows]
    place = {item: float(p) for row in rows for p, item in enumerate(row)}
    for row in rows if down else reversed(rows):
        means = {i: mean([place[n] for n in linked[i]], place[i]) for i in row}
        row.sort(key=means.__getitem__)
        place.update((item, float(p)) for p, item in enumerate(row))
    return rows


def exchanged(rows: Rows, above: Rows, below: Rows) -> Rows:
    """Neighbours exchanged wherever that leaves fewer crossings."""
    rows = [list(row) for row in rows]
    place = {item: p for row in rows for p, item in enumerate(row)}
    for row in rows:
        for p in range(len(row) - 1):
            a, b = row[p], row[p + 1]
            if sum(inversions(side[b], side[a], place) - inversions(side[a], side[b], place)
                   for side in (above, below)) < 0:
                row[p], row[p + 1] = b, a
                place[a], place[b] = p + 1, p
    return rows


def inversions(first: Sequence[int], second: Sequence[int], place: dict[int, int]) -> int:
    """How many links of two neighbours cross if ``first`` belongs to the left one."""
    return sum(place[a] > place[b] for a in first for b in second)


def crossings(rows: Rows, below: Rows) -> int:
    """How many pairs of links cross."""
    place = {item: p for row in rows for p, item in enumerate(row)}
    return sum(inversions(below[a], below[b], place)
               for row in rows for i, a in enumerate(row) for b in row[i + 1:])


def mean(values: Sequence[float], default: float) -> float:
    """The mean of ``values``; ``default`` if there are none."""
    return sum(values) / len(values) if values else default


# --- the places within the layers ----------------------------------------------------------------


def placed(rows: Rows, widths: list[float], above: Rows, below: Rows, gap: float,
           count: int) -> list[float]:
    """The horizontal centre of every item: close to its neighbours, in the order of its row."""
    centers = [0.0] * len(widths)
    for row in rows:
        x = -sum(widths[i] + gap for i in row) / 2
        for i in row:
            centers[i] = x + widths[i] / 2
            x += widths[i] + gap

    def strength(a: int, b: int) -> float:
        if a >= count and b >= count:
            return 8.0  # a long edge is straight on its way
        chain = [a] in (above[b], below[b]) and [b] in (above[a], below[a])
        return 4.0 if chain else 1.0

    def pull(row: list[int], sides: Sequence[Rows]) -> None:
        wishes, weights = [], []
        for i in row:
            linked = [(n, strength(i, n)) for side in sides for n in side[i]]
            total = sum(w for _, w in linked)
            wishes.append(sum(centers[n] * w for n, w in linked) / total if linked else centers[i])
            weights.append(total or 0.1)
        distances = [(widths[a] + widths[b]) / 2 + gap for a, b in pairwise(row)]
        for i, x in zip(row, spread(wishes, weights, distances), strict=True):
            centers[i] = x

    for sweep in range(SWEEPS):
        down, last = sweep % 2 == 0, sweep >= SWEEPS // 2
        for row in rows if down else reversed(rows):
            pull(row, [above, below] if last else [above] if down else [below])
    return centers


def spread(wishes: Sequence[float], weights: Sequence[float],
           distances: Sequence[float]) -> list[float]:
    """The places closest to ``wishes`` in weighted squares that keep their ``distances``.

        >>> spread([0.0, 0.0], [1.0, 1.0], [2.0])
        [-1.0, 1.0]
    """
    offsets = [0.0]
    for distance in distances:
        offsets.append(offsets[-1] + distance)
    pools: list[tuple[float, float, int]] = []  # mean, weight, how many
    for wish, weight, offset in zip(wishes, weights, offsets, strict=True):
        x, total, size = wish - offset, weight, 1
        while pools and pools[-1][0] > x:
            other, w, n = pools.pop()
            x, total, size = (x * total + other * w) / (total + w), total + w, size + n
        pools.append((x, total, size))
    flat = [x for x, _, size in pools for _ in range(size)]
    return [x + offset for x, offset in zip(flat, offsets, strict=True)]


# --- edges ---------------------------------------------------------------------------------------


def routed(edges: Sequence[Edge], paths: Rows, boxes: list[Box], centers: list[float],
           ranks: list[int], tops: list[float], bottoms: list[float]) -> list[list[Point]]:
    """The points of every edge: from under a box, straight through its slots, to a port."""
    ports = ports_of(edges, [centers[path[-1]] if path else centers[start]
                             for path, (start, _) in zip(paths, edges, strict=True)], boxes)
    lines = []
    for number, ((start, end), path) in enumerate(zip(edges, paths, strict=True)):
        box, goal = boxes[start], boxes[end]
        line = [(centers[start], box.y + box.height), (centers[start], bottoms[ranks[start]])]
        for slot in path:
            line += [(centers[slot], tops[ranks[slot]]), (centers[slot], bottoms[ranks[slot]])]
        line += [(ports[number], tops[ranks[end]]), (ports[number], goal.y)]
        lines.append(line)
    return lines


def ports_of(edges: Sequence[Edge], arriving: Sequence[float], boxes: list[Box]) -> list[float]:
    """Where each edge meets the upper side of its box, in the order in which the edges arrive."""
    ports = [0.0] * len(edges)
    key: Callable[[int], float] = arriving.__getitem__
    for end, box in enumerate(boxes):
        coming = sorted((n for n, (_, e) in enumerate(edges) if e == end), key=key)
        step = min(28.0, box.width / (len(coming) + 1))
        for p, n in enumerate(coming):
            ports[n] = box.x + box.width / 2 + (p - (len(coming) - 1) / 2) * step
        if len(coming) == 1 and abs(arriving[coming[0]] - ports[coming[0]]) < SLOT:
            ports[coming[0]] = arriving[coming[0]]  # straight rather than to the middle
    return ports
