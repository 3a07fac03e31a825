"""Functions of NumPy, PyTorch and JAX as functions of dlcore tensors, so that one check serves all.

A wrapped function is a primitive whose forward leaves dlcore, and whose derivative rules are wrapped
functions again: in PyTorch and JAX those that their own autodiff makes, in NumPy those that are given.
So the second order of a wrapped function is what its library says of the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from backends import host
from dlcore import trees
from dlcore.core import Primitive, Value, dtype_of
from dlcore.ops import conj, zeros_like
from dlcore.tensors import Tensor

__all__ = ["jax_function", "numpy_function", "torch_function"]

Flat = Callable[..., Sequence[Any]]  # from arrays of a library to several of them


def numpy_function(f: Callable[..., Any], gradient: Callable[..., Any],
                   second: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """``f``, a function of NumPy arrays, with its reverse mode as it was written by hand.

    Forward mode is not there: check with ``modes=("rev",)``.

    Args:
        f: takes arrays, by position, and returns one.
        gradient: ``gradient(g, *arrays)`` returns the cotangents of the arrays for one of the result: a
            tuple, or for one array just its cotangent; None for integers.
        second: ``second(h, g, *arrays)``, where ``h`` are cotangents of what ``gradient`` returns and nested
            like that, returns cotangents of ``g`` and of the arrays, a tuple.  Without it only the first
            order can be checked.

        >>> import numpy as np
        >>> from dlcore.testing import check_grads
        >>> cube = numpy_function(lambda x: x**3, lambda g, x: 3 * g * x**2,
        ...                       lambda h, g, x: (3 * h * x**2, 6 * h * g * x))
        >>> check_grads(cube, np.array([0.5, -2.0]), modes=("rev",))
    """
    name = getattr(f, "__name__", repr(f))

    def forward(*xs: Any) -> tuple[Any, ...]:
        found = f(*xs)
        if isinstance(found, tuple | list):
            raise TypeError(f"numpy_function: {name} must return one array, it returned {len(found)}; wrap "
                            "a function for each of them")
        return (found,)

    def pulled(*both: Any) -> tuple[Any, ...]:
        *xs, g = both
        return _several(gradient(g, *xs), f"{name}: gradient", xs)

    def pulled_twice(*three: Any) -> tuple[Any, ...]:  # arguments, g, and cotangents of what pulled returns
        n = len(three) // 2
        xs, g, h = three[:n], three[n], three[n + 1:]
        found = second(h if n > 1 else h[0], g, *xs)  # type: ignore[misc]
        dg, *dxs = _several(found, f"{name}: second", (g, *xs))
        return (*dxs, dg)

    def unknown(*_: Any) -> Any:
        raise ValueError(f"numpy_function: the second derivative of {name} is not known: give second=, or "
                         "check with order=1")

    def not_there(*_: Any) -> Any:
        raise ValueError(f"numpy_function: {name} has no forward mode: check with modes='rev'")

    def of_gradient(n: int) -> Primitive:
        return _leaving(f"{name}: second", pulled_twice, unknown, not_there)

    def of_function(n: int) -> Primitive:
        return _leaving(f"{name}: gradient", pulled, unknown if second is None else of_gradient, not_there)

    primitive = _leaving(name, forward, of_function, not_there)

    def call(*args: Any) -> Any:
        return primitive(*args)[0]

    call.__name__ = name
    return call


def _several(found: Any, name: str, like: Sequence[Any]) -> tuple[Any, ...]:
    """What a user's function returned, one array for each of ``like``; None stands for zeros."""
    several = tuple(found) if isinstance(found, tuple | list) else (found,)
    if len(several) != len(like):
        raise ValueError(f"{name} must return {len(like)} arrays, it returned {len(several)}")
    arrays = [0 * x if d is None else host.array(d) for d, x in zip(several, like, strict=True)]
    for i, (d, x) in enumerate(zip(arrays, like, strict=True)):
        if d.dtype != x.dtype and x.dtype.kind in "fc":
            raise ValueError(f"{name} must return arrays of the dtypes of what they belong to: number {i} is "
                             f"{d.dtype}, not {x.dtype}")
    return tuple(arrays)


def torch_function(f: Callable[..., Any]) -> Callable[..., Any]:
    """``f``, a function of PyTorch tensors, with the derivatives of PyTorch's autograd.

    Forward mode is reverse mode pulled back once more, which works for every function that can be
    differentiated twice.  The tensors are on the CPU; give a module's parameters as arguments, or the
    module ``.double()``, because the check converts to float64.
    """
    try:
        import torch
    except ImportError as error:
        raise ImportError("torch_function needs PyTorch: pip install torch") from error

    def flat(g: Flat) -> Flat:
        def on_arrays(*arrays: Any) -> list[Any]:
            with torch.enable_grad():
                xs = [torch.tensor(host.array(a)) for a in arrays]
                return [y.detach().resolve_conj().numpy() for y in g(*(x.requires_grad_() for x in xs))]

        return on_arrays

    def gradients(ys: Sequence[Any], xs: Sequence[Any], us: Sequence[Any]) -> list[Any]:
        pairs = [(y, u) for y, u in zip(ys, us, strict=True) if y.requires_grad]
        if not pairs:
            return [torch.zeros_like(x) for x in xs]
        found = torch.autograd.grad([y for y, _ in pairs], xs, [u for _, u in pairs], create_graph=True,
                                    allow_unused=True)
        return [torch.zeros_like(x) if d is None else d for x, d in zip(xs, found, strict=True)]

    def reverse(g: Flat, n: int) -> Flat:
        return lambda *both: gradients(g(*both[:n]), both[:n], both[n:])

    def forward(g: Flat, n: int) -> Flat:
        def pushed(*both: Any) -> list[Any]:
            xs, vs = both[:n], both[n:]
            ys = g(*xs)
            dummies = [torch.zeros_like(y, requires_grad=True) for y in ys]
            return gradients(gradients(ys, xs, dummies), dummies, vs)

        return pushed

    return _peer(f, torch.tensor, lambda y: y.is_floating_point() or y.is_complex(), flat, reverse, forward)


def jax_function(f: Callable[..., Any]) -> Callable[..., Any]:
    """``f``, a function of JAX arrays, with the derivatives of JAX.

    JAX computes in float32 unless ``jax.config.update("jax_enable_x64", True)`` was called first; without
    it, check with ``dtype="float32"``.
    """
    try:
        import jax
    except ImportError as error:
        raise ImportError("jax_function needs JAX: pip install jax") from error

    def flat(g: Flat) -> Flat:
        def on_arrays(*arrays: Any) -> list[Any]:
            wide = [a for a in arrays if str(a.dtype) in ("float64", "complex128")]
            if wide and not jax.config.jax_enable_x64:
                raise ValueError("jax_function: JAX would round float64 to float32; call "
                                 "jax.config.update('jax_enable_x64', True), or check with dtype='float32'")
            return [host.array(y).copy() for y in g(*map(jax.numpy.asarray, map(host.array, arrays)))]

        return on_arrays

    def reverse(g: Flat, n: int) -> Flat:
        # JAX's gradient of a complex argument is dL/dx - i dL/dy
        def pulled(*both: Any) -> list[Any]:
            ys, pull = jax.vjp(g, *both[:n])
            found = pull(type(ys)(map(jax.numpy.conj, both[n:])))
            return [jax.numpy.conj(d) for d in found]

        return pulled

    def forward(g: Flat, n: int) -> Flat:
        return lambda *both: jax.jvp(g, tuple(both[:n]), tuple(both[n:]))[1]

    return _peer(f, jax.numpy.asarray, lambda y: jax.numpy.issubdtype(y.dtype, jax.numpy.inexact), flat,
                 reverse, forward)


def _peer(f: Callable[..., Any], constant: Callable[[Any], Any], smooth: Callable[[Any], bool],
          flat: Callable[[Flat], Flat], reverse: Callable[[Flat, int], Flat],
          forward: Callable[[Flat, int], Flat]) -> Callable[..., Any]:
    """A function of dlcore tensors from one of a library that can differentiate its own functions.

    Args:
        f: the function.
        constant: makes an array of the library of one of NumPy: integers and booleans are not varied.
        smooth: whether a result of ``f`` has derivatives; what has none is returned as it is.
        flat: makes a function of NumPy arrays of one of the library's arrays.
        reverse: from a function of n arrays to that of those and of cotangents.
        forward: from a function of n arrays to that of those and of tangents.
    """
    def wrapped(g: Flat, name: str) -> Primitive:
        return _leaving(name, flat(g), lambda n: wrapped(reverse(g, n), f"reverse mode of {name}"),
                        lambda n: wrapped(forward(g, n), f"forward mode of {name}"))

    name = getattr(f, "__name__", repr(f))

    def call(*args: Any) -> Any:
        leaves = trees.leaves(args)
        varied = [i for i, x in enumerate(leaves)
                  if isinstance(x, Value) and dtype_of(x).kind in ("float", "complex")]
        full = [constant(x.numpy()) if isinstance(x, Tensor) and i not in varied else x
                for i, x in enumerate(leaves)]
        result: list[Any] = []

        def of_varied(*arrays: Any) -> list[Any]:
            given = list(full)
            for i, a in zip(varied, arrays, strict=True):
                given[i] = a
            result[:] = [f(*trees.rebuilt(args, given))]
            return [y for y in trees.leaves(result[0]) if smooth(y)]

        ys = iter(wrapped(of_varied, name)(*(leaves[i] for i in varied)))
        return trees.mapped(lambda y: next(ys) if smooth(y) else y, result[0])

    call.__name__ = name
    return call


def _leaving(name: str, f: Flat, reverse: Callable[[int], Any], forward: Callable[[int], Any]) -> Primitive:
    """A primitive that computes ``f`` on NumPy arrays, which nobody can write to.

    ``reverse(n)``, for n arguments, is the function from those and the cotangents of all results to the
    cotangents of the arguments, and ``forward(n)`` that from those and tangents to those of the results.
    """
    def on_host(xp: Any, *arrays: Any) -> tuple[Any, ...]:
        found = f(*(_read_only(xp.to_host(xp.asarray(a))) for a in arrays))
        return tuple(xp.from_host(host.array(y)) for y in found)

    def pull(i: int) -> Callable[..., Any]:
        def rule(g: Any, out: Any, *xs: Any) -> Any:
            # Passes carry conjugates of what users mean by a gradient in complex numbers.
            given = [zeros_like(o) if c is None else conj(c) for c, o in zip(g, out, strict=True)]
            return conj(reverse(len(xs))(*xs, *given)[i])

        return rule

    def push(i: int) -> Callable[..., Any]:
        def rule(t: Any, out: Any, *xs: Any) -> Any:
            tangents = [t if j == i else zeros_like(x) for j, x in enumerate(xs)]
            return list(forward(len(xs))(*xs, *tangents))

        return rule

    return Primitive(name, on_host, None, pull, push, outputs=tuple, promotes=(), of_complex=True)


def _read_only(array: Any) -> Any:
    seen = array.view()
    seen.flags.writeable = False
    return seen
