"""Putting arrays together, taking them apart, and padding them.

All are linear.  What takes an array apart gives all parts at once, as one node of the history: its
transpose joins their cotangents, with zeros for a part that nobody used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any

from dlcore.core import Array, Primitive, Unary, V, operation
from dlcore.dispatch import wants_tensors
from dlcore.ops.arithmetic import zeros_like
from dlcore.ops.indexing import getitem_p, place_p, settled, take
from dlcore.ops.shapes import reshape
from dlcore.samples import sample
from dlcore.shaping import Shape, normalized_axis

Static = tuple[Any, ...]  # an index of ints and slices


def _across(axis: int, entry: int | slice) -> Static:
    """The index that is ``entry`` along ``axis`` and everything along the axes before."""
    return (slice(None),) * axis + (entry,)


# --- together -------------------------------------------------------------------------------------


def _concat_shape(*shapes: Shape, axis: int) -> Shape:
    first = shapes[0]
    for s in shapes[1:]:
        if len(s) != len(first) or s[:axis] != first[:axis] or s[axis + 1:] != first[axis + 1:]:
            raise ValueError(f"shapes {' and '.join(map(str, shapes))} differ in more than axis {axis}, "
                             "along which they are to be joined")
    return (*first[:axis], sum(s[axis] for s in shapes), *first[axis + 1:])


def _stack_shape(*shapes: Shape, axis: int) -> Shape:
    if len(set(shapes)) > 1:
        raise ValueError(
            f"shapes {' and '.join(map(str, dict.fromkeys(shapes)))} differ; a stack is of equal shapes"
        )
    return (*shapes[0][:axis], len(shapes), *shapes[0][axis:])


def _segment(xs: Sequence[V], i: int, axis: int) -> Static:
    """Where the ``i``-th of ``xs`` lies in all of them together."""
    start = sum(x.shape[axis] for x in xs[:i])
    return _across(axis, slice(start, start + xs[i].shape[axis]))


def _concat_vjp(i: int) -> Callable[..., V]:
    return lambda g, out, *xs, axis: getitem_p(g, index=_segment(xs, i, axis))


def _concat_jvp(i: int) -> Callable[..., V]:
    return lambda t, out, *xs, axis: place_p(t, shape=out.shape, index=_segment(xs, i, axis))


def _stack_vjp(i: int) -> Callable[..., V]:
    return lambda g, out, *xs, axis: getitem_p(g, index=_across(axis, i))


def _stack_jvp(i: int) -> Callable[..., V]:
    return lambda t, out, *xs, axis: place_p(t, shape=out.shape, index=_across(axis, i))


concat_p: Primitive = Primitive(
    "concat", lambda xp, *xs, axis: xp.concat(xs, axis=axis), _concat_shape, _concat_vjp, _concat_jvp,
    samples=[sample("a b, 2 b, 1 b", axis=0), sample("a b, a c", axis=1), sample("a", axis=0)], reads="",
    of_complex=True)
stack_p: Primitive = Primitive(
    "stack", lambda xp, *xs, axis: xp.stack(xs, axis=axis), _stack_shape, _stack_vjp, _stack_jvp,
    samples=[sample("a b, a b, a b", axis=0), sample("a b, a b", axis=2), sample(", ", axis=0)], reads="",
    of_complex=True)


def concat(xs: Sequence[V], axis: int | None = 0) -> V:
    """``xs`` joined along ``axis``, which they all have; flattened first if it is None.

        >>> import dlcore as dl
        >>> dl.concat([dl.tensor([[1, 2]]), dl.tensor([[3, 4], [5, 6]])]).tolist()
        [[1, 2], [3, 4], [5, 6]]
    """
    xs = _several("concat", xs)
    if axis is None:
        xs, axis = [reshape(x, (-1,)) for x in xs], 0
    if not xs[0].shape:
        raise ValueError("concat: 0-d arrays have no axis to be joined along; use stack")
    return concat_p(*xs, axis=normalized_axis(axis, len(xs[0].shape)))


def stack(xs: Sequence[V], axis: int = 0) -> V:
    """``xs``, all of one shape, side by side along a new axis that stands at ``axis`` in the result.

        >>> import dlcore as dl
        >>> dl.stack([dl.tensor([1, 2]), dl.tensor([3, 4])], axis=1).tolist()
        [[1, 3], [2, 4]]
    """
    xs = _several("stack", xs)
    return stack_p(*xs, axis=normalized_axis(axis, len(xs[0].shape) + 1))


def _several(name: str, xs: Sequence[V]) -> list[V]:
    if hasattr(xs, "shape"):
        raise TypeError(f"{name}: takes a list or tuple of tensors, got one of shape {tuple(xs.shape)}")
    xs = list(xs)
    if not xs:
        raise ValueError(f"{name}: needs at least one tensor, got none")
    if strange := [x for x in xs if not hasattr(x, "shape")]:
        raise TypeError(
            f"{name}: needs tensors, got {type(strange[0]).__name__}; make them with dl.tensor(...)"
        )
    return xs


# --- apart ----------------------------------------------------------------------------------------


def _used(gs: Sequence[V | None], outs: Sequence[V]) -> list[V]:
    """The cotangents of several outputs, zeros for those that nobody used."""
    return [zeros_like(o) if g is None else g for g, o in zip(gs, outs, strict=True)]


def _parts(x: V, places: Sequence[int], axis: int, take_part: Callable[[Static], V]) -> tuple[V, ...]:
    """What ``take_part`` gives for each stretch of ``x`` between two places."""
    return tuple(take_part(_across(axis, slice(a, b))) for a, b in pairwise((0, *places, x.shape[axis])))


def _split_shapes(s: Shape, *, places: Sequence[int], axis: int) -> tuple[Shape, ...]:
    return tuple((*s[:axis], b - a, *s[axis + 1:]) for a, b in pairwise((0, *places, s[axis])))


def _unstack_shapes(s: Shape, *, axis: int) -> tuple[Shape, ...]:
    return ((*s[:axis], *s[axis + 1:]),) * s[axis]


split_p: Primitive = Primitive(
    "split",
    lambda xp, x, *, places, axis: _parts(x, places, axis, lambda i: xp.getitem(x, i)),
    _split_shapes,
    (lambda gs, outs, x, *, places, axis: concat_p(*_used(gs, outs), axis=axis),),
    (lambda t, outs, x, *, places, axis: _parts(t, places, axis, lambda i: getitem_p(t, index=i)),),
    samples=[sample("5 b", places=(1, 3), axis=0), sample("a 4", places=(2,), axis=1)],
    reads="",
    outputs=tuple,
    of_complex=True,
)
unstack_p: Primitive = Primitive(
    "unstack", lambda xp, x, *, axis: tuple(xp.getitem(x, _across(axis, i)) for i in range(x.shape[axis])),
    _unstack_shapes, (lambda gs, outs, x, *, axis: stack_p(*_used(gs, outs), axis=axis),),
    (lambda t, outs, x, *, axis: tuple(getitem_p(t, index=_across(axis, i)) for i in range(x.shape[axis])),),
    samples=[sample("a b", axis=0), sample("a 2", axis=1)], reads="", outputs=tuple, of_complex=True)


@wants_tensors
def split(x: V, parts_or_places: int | Sequence[int], axis: int = 0) -> tuple[V, ...]:
    """``x`` cut along ``axis`` into a number of equal parts, or at the places given.

    Raises:
        ValueError: the size of the axis is not a multiple of the number of parts.

        >>> import dlcore as dl
        >>> [part.tolist() for part in dl.split(dl.arange(5), [1, 3])]
        [[0], [1, 2], [3, 4]]
    """
    axis = normalized_axis(axis, len(x.shape))
    size = x.shape[axis]
    if isinstance(parts_or_places, int):
        if parts_or_places < 1 or size % parts_or_places:
            raise ValueError(
                f"split: axis {axis} of shape {x.shape} has size {size}, which {parts_or_places} equal "
                "parts do not divide; give places to cut at"
            )
        step = size // parts_or_places
        places = tuple(step * i for i in range(1, parts_or_places))
    else:
        within = (min(max(p + size if p < 0 else p, 0), size) for p in parts_or_places)
        places = tuple(accumulate(within, max))
    return split_p(x, places=places, axis=axis)


@wants_tensors
def unstack(x: V, axis: int = 0) -> tuple[V, ...]:
    """The slices of ``x`` along ``axis``, which they no longer have: the inverse of :func:`stack`.

        >>> import dlcore as dl
        >>> [row.tolist() for row in dl.unstack(dl.tensor([[1, 2], [3, 4]]))]
        [[1, 2], [3, 4]]
    """
    return unstack_p(x, axis=normalized_axis(axis, len(x.shape)))


# --- padding --------------------------------------------------------------------------------------


def _padded_shape(s: Shape, *, widths: Sequence[tuple[int, int]], value: float) -> Shape:
    return tuple(before + n + after for n, (before, after) in zip(s, widths, strict=True))


def _middle(shape: Shape, widths: Sequence[tuple[int, int]]) -> Static:
    """Where an array of ``shape`` lies after it was padded."""
    return tuple(slice(before, before + n) for n, (before, _) in zip(shape, widths, strict=True))


def _pad(xp: Any, x: Array, *, widths: Sequence[tuple[int, int]], value: float) -> Array:
    shape, index = _padded_shape(x.shape, widths=widths, value=value), _middle(x.shape, widths)
    if value == 0:
        return xp.index_add(shape, index, x)
    return xp.index_set(xp.full(shape, value, x.dtype), index, x)


pad_p: Primitive = Unary(
    "pad", _pad, _padded_shape,
    (lambda g, out, x, *, widths, value: getitem_p(g, index=_middle(x.shape, widths)),),
    (lambda t, out, x, *, widths, value: pad_p(t, widths=widths, value=0),),
    samples=[sample("a b", widths=((1, 2), (0, 1)), value=0), sample("a", widths=((0, 2),), value=-1.5),
             sample("", widths=(), value=0)], reads="",
    of_complex=True)


@operation(
    [
        sample("3 4", pad_width=((1, 2), (0, 1)), mode="edge"),
        sample("3 4", pad_width=2, mode="reflect"),
        sample("2 3", pad_width=(1, 3), mode="symmetric"),
        sample("2 3", pad_width=3, mode="wrap"),
        sample("a 2", pad_width=((0, 1), (2, 0)), constant_values=-1.5),
    ]
)
@wants_tensors
def pad(x: V, pad_width: int | Sequence[Any], mode: str = "constant", constant_values: float = 0) -> V:
    """``x`` with more elements before and after each axis.

    Args:
        x: any shape.
        pad_width: ``((before, after), ...)`` for each axis, one such pair or one number for all axes.
        mode: ``"constant"``; ``"edge"`` repeats the outermost element; ``"reflect"`` mirrors without it,
            ``"symmetric"`` with it; ``"wrap"`` goes on at the other end.
        constant_values: what to fill with if ``mode`` is constant.

        >>> import dlcore as dl
        >>> dl.pad(dl.tensor([1, 2, 3]), (2, 1), mode="reflect").tolist()
        [3, 2, 1, 2, 3, 2]
    """
    widths = _widths(x.shape, pad_width)
    if mode == "constant":
        return pad_p(x, widths=widths, value=constant_values)
    if mode not in _MODES:
        raise ValueError(f"pad: unknown mode {mode!r}; choose from constant, {', '.join(_MODES)}")
    for axis, (before, after) in enumerate(widths):
        n = x.shape[axis]
        if before or after:
            if n == 0:
                raise ValueError(
                    f"pad: axis {axis} of shape {x.shape} is empty, so mode {mode!r} has nothing to repeat"
                )
            x = take(x, settled(x, [_MODES[mode](i, n) for i in range(-before, n + after)]), axis)
    return x


def _reflected(i: int, n: int) -> int:
    i %= max(2 * n - 2, 1)
    return min(i, 2 * n - 2 - i)


_MODES: dict[str, Callable[[int, int], int]] = {
    "edge": lambda i, n: min(max(i, 0), n - 1),
    "reflect": _reflected,
    "symmetric": lambda i, n: min(i % (2 * n), 2 * n - 1 - i % (2 * n)),
    "wrap": lambda i, n: i % n,
}


def _widths(shape: Shape, given: int | Sequence[Any]) -> tuple[tuple[int, int], ...]:
    """``given`` as one pair for each axis of ``shape``."""
    if isinstance(given, int):
        given = ((given, given),) * len(shape)
    elif len(given) == 2 and all(isinstance(n, int) for n in given):
        given = (tuple(given),) * len(shape)
    pairs = tuple(tuple(pair) for pair in given)
    if len(pairs) != len(shape) or any(len(p) != 2 or min(p) < 0 for p in pairs):
        raise ValueError(
            f"pad: pad_width {given!r} must be a pair (before, after), neither negative, for each of the "
            f"{len(shape)} axes of shape {shape}"
        )
    return pairs
