"""Check derivatives against finite differences: for the operations here, and for your own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from backends import as_dtype, promote
from dlcore import trees
from dlcore.core import Value, dtype_of
from dlcore.random import Generator
from dlcore.tensors import Tensor, tensor
from dlcore.testing.findings import MODES, GradientError, Settings, Subject, findings

__all__ = ["GradError", "GradientError", "check_grads", "grad_errors"]

WRAPPED = ("wrap what computes with NumPy, PyTorch or JAX: see dlcore.testing.numpy_function, torch_function "
           "and jax_function")


def check_grads(f: Callable[..., Any], *args: Any, order: int = 2,
                modes: str | Sequence[str] = ("rev", "fwd"), seed: int = 0, rtol: float | None = None,
                dtype: Any = "float64", nondet_tol: float = 0.0, method: str = "differences") -> None:
    """Fail unless the derivatives of ``f`` at ``args`` agree with finite differences.

    Args:
        f: takes ``args`` and returns tensors, perhaps nested; only float and complex results count.
            Functions of NumPy, PyTorch and JAX are wrapped: see :mod:`dlcore.testing.peers`.
        args: where to check; nested dicts, lists and tuples are fine.  Float and complex tensors and NumPy
            arrays are varied, all else stays as it is, numbers too.  Keep away from kinks by a thousandth of
            the size of an argument.
        order: 2 checks the derivatives of the derivatives as well, and so on.
        modes: ``"rev"``, ``"fwd"`` or both.
        seed: of the directions and cotangents.
        rtol: allowed error, in proportion to the sizes of the cotangent and of the derivative; None means
            1e-6 in float64, 2e-4 in float32, 0.05 below.  What rounding hides is allowed as well.
        dtype: what float arguments are converted to (complex ones to the complex dtype of that precision);
            None leaves them.
        nondet_tol: by how much two results for the same arguments may differ.
        method: ``"complex"`` replaces first differences by a complex step: right to the last digit, if
            ``f`` takes complex arguments and is analytic (no ``abs``, ``conj``, ``real``, comparison).
            Higher orders are checked by differences all the same: a gradient is no analytic function.

    Raises:
        GradientError: a derivative is wrong, or cannot be checked; an AssertionError.
        ValueError: there is nothing to check, or it is not said how.

        >>> import dlcore as dl
        >>> check_grads(dl.tanh, dl.tensor([0.5, -1.0]))
        >>> slope = dl.custom_vjp(lambda x: (x * x, x), lambda x, g: g * x)  # forgets a factor 2
        >>> check_grads(slope, dl.tensor(3.0), order=1)
        Traceback (most recent call last):
        ...
        dlcore.testing.findings.GradientError: ...: reverse mode, order 1, is wrong: ...
    """
    how = _settings(modes, order, seed, rtol, nondet_tol, method)
    for found in findings(*_subject(f, args, dtype, how)):
        if not found.right:
            raise found.error()


class GradError(NamedTuple):
    """How far one mode is from finite differences at one order, and how far it may be."""

    mode: str
    order: int
    error: float
    allowed: float


def grad_errors(f: Callable[..., Any], *args: Any, order: int = 2,
                modes: str | Sequence[str] = ("rev", "fwd"), seed: int = 0, rtol: float | None = None,
                dtype: Any = "float64", nondet_tol: float = 0.0,
                method: str = "differences") -> list[GradError]:
    """The errors of the derivatives of ``f`` at ``args``, as numbers: what :func:`check_grads` judges.

    There is one for each mode and order, the largest that was found.  It is in proportion to the sizes of
    the cotangent and of the derivative, or to what rounding leaves of these, and right if it is no larger
    than ``allowed``.  The arguments are those of :func:`check_grads`.

    Raises:
        GradientError: a derivative cannot be checked, or is right in both modes but not the same.
        ValueError: there is nothing to check.

        >>> import dlcore as dl
        >>> half = dl.custom_vjp(lambda x: (x * x, x), lambda x, g: g * x)  # forgets a factor 2
        >>> [(e.mode, e.order, round(e.error, 3), e.allowed)
        ...  for e in grad_errors(half, dl.tensor(3.0), order=1, modes=["rev"])]
        [('rev', 1, 0.5, 1e-06)]
    """
    if rtol == 0.0:
        raise ValueError("grad_errors: rtol is the unit that errors are told in, and must not be 0")
    how = _settings(modes, order, seed, rtol, nondet_tol, method)
    worst: dict[tuple[str, int], GradError] = {}
    for found in findings(*_subject(f, args, dtype, how)):
        key, error = (found.mode, found.subject.order), found.relative
        if key not in worst or math.isnan(error) or error > worst[key].error:
            worst[key] = GradError(*key, error, found.at.rtol)
    return list(worst.values())


def _settings(modes: str | Sequence[str], order: int, seed: int, rtol: float | None, nondet_tol: float,
              method: str) -> Settings:
    """What was asked for, if it can be done."""
    modes = (modes,) if isinstance(modes, str) else tuple(modes)
    if not modes or set(modes) - set(MODES):
        raise ValueError(f"check_grads: modes must be 'rev', 'fwd' or both, got {modes!r}")
    if type(order) is not int or order < 1:
        raise ValueError(f"check_grads: order must be a whole number of at least 1, got {order!r}")
    for name, tolerance in (("rtol", rtol), ("nondet_tol", nondet_tol)):
        if tolerance is not None and not tolerance >= 0.0:
            raise ValueError(f"check_grads: {name} must not be negative, got {tolerance!r}")
    if method not in ("differences", "complex"):
        raise ValueError(f"check_grads: method must be 'differences' or 'complex', got {method!r}")
    return Settings(modes, order, Generator(seed), seed, rtol, nondet_tol, method)


def _subject(f: Callable[..., Any], args: tuple[Any, ...], dtype: Any,
             how: Settings) -> tuple[Subject, list[Any]]:
    """``f`` as a function of those of its arguments that are varied, and these."""
    if not callable(f):
        raise TypeError(f"check_grads: the first argument must be a function, got {type(f).__name__}")
    if dtype is not None and as_dtype(dtype).kind != "float":
        raise ValueError(f"check_grads: dtype must be a float dtype or None, got {as_dtype(dtype)}")
    leaves = [_as_tensor(x, dtype) for x in trees.leaves(args)]
    varied = [i for i, x in enumerate(leaves) if isinstance(x, Tensor) and _differentiable(x)]
    name = getattr(f, "name", None) or getattr(f, "__name__", None) or repr(f)
    if not varied:
        raise ValueError(f"check_grads: none of the arguments of {name} is a float or a complex array; "
                         "numbers and lists stay as they are: give NumPy arrays or tensors")

    def flat(*xs: Tensor) -> list[Any]:
        full = list(leaves)
        for i, x in zip(varied, xs, strict=True):
            full[i] = x
        try:
            result = f(*trees.rebuilt(tuple(args), full))
        except TypeError as error:
            error.add_note(f"check_grads calls {name} with tensors of dlcore; {WRAPPED}")
            raise
        found = [y for y in trees.leaves(result) if isinstance(y, Value) and _differentiable(y)]
        if not found:
            raise ValueError(f"check_grads: {name} returns no float or complex tensor; {WRAPPED}")
        return found

    return Subject(how, name, flat, (), 0.0), [leaves[i] for i in varied]


def _differentiable(x: Any) -> bool:
    return dtype_of(x).kind in ("float", "complex")


def _as_tensor(x: Any, dtype: Any) -> Any:
    """A float or complex array as a tensor of ``dtype``, anything else unchanged."""
    if not hasattr(x, "dtype"):
        return x
    x = x if isinstance(x, Value) else tensor(x)
    if dtype is None or not _differentiable(x):
        return x
    return x.astype(promote(as_dtype(dtype), as_dtype("complex64")) if x.dtype.kind == "complex" else dtype)
