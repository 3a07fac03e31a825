"""Check derivatives against finite differences: for the operations here, and for your own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from backends import as_dtype, promote
from dlcore import trees
from dlcore.core import Value, dtype_of
from dlcore.random import Generator
from dlcore.tensors import Tensor, tensor
from dlcore.testing.findings import MODES, GradientError, Settings, Subject, findings

__all__ = ["GradError", "GradientError", "check_grads", "grad_errors"]


def check_grads(f: Callable[..., Any], *args: Any, order: int = 2, modes: Sequence[str] = ("rev", "fwd"),
                seed: int = 0, rtol: float | None = None, dtype: Any = "float64", nondet_tol: float = 0.0,
                method: str = "differences") -> None:
    """Fail unless the derivatives of ``f`` at ``args`` agree with finite differences.

    Args:
        f: takes ``args`` and returns tensors, perhaps nested; only float and complex results count.
            Functions of NumPy, PyTorch and JAX are wrapped: see :mod:`dlcore.testing.peers`.
        args: where to check; nested dicts, lists and tuples are fine.  Float and complex tensors and NumPy
            arrays are varied, all else stays as it is.  Keep away from kinks by a thousandth of the size
            of an argument.
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
        ValueError: there is nothing to check.

        >>> import dlcore as dl
        >>> check_grads(dl.tanh, dl.tensor([0.5, -1.0]))
        >>> slope = dl.custom_vjp(lambda x: (x * x, x), lambda x, g: g * x)  # forgets a factor 2
        >>> check_grads(slope, dl.tensor(3.0), order=1)
        Traceback (most recent call last):
        ...
        dlcore.testing.findings.GradientError: ...: reverse mode, order 1, is wrong: ...
    """
    how = Settings(modes, order, Generator(seed), seed, rtol, nondet_tol, method)
    for found in findings(*_subject(f, args, dtype, how)):
        if not found.right:
            raise found.error()


class GradError(NamedTuple):
    """How far one mode is from finite differences at one order, and how far it may be."""

    mode: str
    order: int
    error: float
    allowed: float


def grad_errors(f: Callable[..., Any], *args: Any, order: int = 2, modes: Sequence[str] = ("rev", "fwd"),
                seed: int = 0, rtol: float | None = None, dtype: Any = "float64", nondet_tol: float = 0.0,
                method: str = "differences") -> list[GradError]:
    """The errors of the derivatives of ``f`` at ``args``, as numbers: what :func:`check_grads` judges.

    Each is in proportion to the sizes of the cotangent and of the derivative, or to what rounding leaves
    of these; it is right if it is no larger than ``allowed``.  The arguments are those of
    :func:`check_grads`.  There is one for each mode of the function, and for each mode of its derivatives;
    more, if directions had to be drawn again.

    Raises:
        GradientError: a derivative cannot be checked, or is right in both modes but not the same.
        ValueError: there is nothing to check.

        >>> import dlcore as dl
        >>> half = dl.custom_vjp(lambda x: (x * x, x), lambda x, g: g * x)  # forgets a factor 2
        >>> [(e.mode, e.order, round(e.error, 6), e.allowed)
        ...  for e in grad_errors(half, dl.tensor(3.0), order=1, modes=["rev"])]
        [('rev', 1, 0.5, 1e-06)]
    """
    how = Settings(modes, order, Generator(seed), seed, rtol, nondet_tol, method)
    return [GradError(found.mode, found.subject.order, found.relative, found.at.rtol)
            for found in findings(*_subject(f, args, dtype, how))]


def _subject(f: Callable[..., Any], args: tuple[Any, ...], dtype: Any,
             how: Settings) -> tuple[Subject, list[Any]]:
    """``f`` as a function of those of its arguments that are varied, and these."""
    if not how.modes or set(how.modes) - set(MODES):
        raise ValueError(f"check_grads: modes must be 'rev', 'fwd' or both, got {how.modes!r}")
    if how.order < 1:
        raise ValueError(f"check_grads: order must be at least 1, got {how.order}")
    if how.method not in ("differences", "complex"):
        raise ValueError(f"check_grads: method must be 'differences' or 'complex', got {how.method!r}")
    leaves = [_as_tensor(x, dtype) for x in trees.leaves(args)]
    varied = [i for i, x in enumerate(leaves) if isinstance(x, Tensor) and _differentiable(x)]
    name = getattr(f, "name", None) or getattr(f, "__name__", None) or repr(f)
    if not varied:
        raise ValueError(f"check_grads: none of the arguments of {name} is a float or a complex array")

    def flat(*xs: Tensor) -> list[Any]:
        full = list(leaves)
        for i, x in zip(varied, xs, strict=True):
            full[i] = x
        return [y for y in trees.leaves(f(*trees.rebuilt(tuple(args), full)))
                if isinstance(y, Value) and _differentiable(y)]

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
