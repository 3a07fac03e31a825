"""Linear algebra on stacks of matrices: what ``xp.linalg`` is on every backend.

:class:`Linalg` computes with the ``linalg`` of the array-API standard alone; a backend overrides what
its library does better, or reports otherwise.  Three promises go beyond the standard:

* a matrix that an operation cannot take is an error that names it (:meth:`Linalg.demand`), never a nan;
* symmetric decompositions read the symmetric part, so that what they return depends on every element
  alike, as their derivatives do;
* the bases that decompositions leave open are fixed (:meth:`Linalg.turned`): signs the same on every
  backend, and within the space of a repeated value a basis that stands at an angle to everything.  Any
  would be right; in this one, a cotangent tells whether a derivative exists there (docs/linalg.md).

Halves are computed in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

from backends.dtypes import HALF_DTYPES, bool_, float32, float64, int64
from backends.errors import MatrixError

Array = Any
Function = Callable[..., Any]

SINGULAR = "{}: the matrix is singular"
INDEFINITE = "{}: the matrix is not positive definite"
DIVERGED = "{}: the iteration did not converge; is there a nan or an infinity in the matrix?"


class Linalg:
    """The linear algebra of the backend ``xp``; arrays are float, and have at least two axes."""

    def __init__(self, xp: Any) -> None:
        self.xp = xp
        self.library = xp.namespace.linalg
        self._directions: dict[Any, Array] = {}

    # --- errors --------------------------------------------------------------------

    def demand(self, wrong: Array, complaint: str) -> None:
        """Raise a MatrixError if ``wrong`` holds anywhere: at once, or where a value is next read."""
        if self.possible(wrong):
            host = self.xp.to_host(wrong)
            places = [i for i in indices(wrong.shape) if host[i]]
            raise MatrixError(complaint + (f", at {places[0]} in the stack" if places[0] else ""))

    def demand_finite(self, name: str, x: Array) -> None:
        """Refuse nan and infinities, with which an iteration of LAPACK's may never end."""
        wrong = ~self.xp.all(self.xp.isfinite(x), axis=(-2, -1))
        self.demand(wrong, f"{name}: the matrix holds a nan or an infinity")

    def possible(self, condition: Array) -> bool:
        """Whether ``condition`` may hold somewhere; True where only waiting could tell."""
        return bool(self.xp.scalar(self.xp.any(condition)))

    def attempt(self, function: Function, complaint: str, x: Array, *others: Array) -> Any:
        """``function(x, *others)``; if the library refuses, the complaint about the matrix to blame."""
        try:
            return function(x, *others)
        except ValueError:  # NumPy's LinAlgError is one
            raise MatrixError(complaint + _whereabouts(function, x, others)) from None

    # --- systems of equations ----------------------------------------------------------

    def solve(self, x: Array, y: Array) -> Array:
        """The solution z of x z = y; y has at least two axes, and stacks broadcast."""
        function = self.library.solve
        return self._narrow(y, self.attempt(function, SINGULAR.format("solve"), *map(self._wide, (x, y))))

    def inv(self, x: Array) -> Array:
        """The inverse."""
        return self._narrow(x, self.attempt(self.library.inv, SINGULAR.format("inv"), self._wide(x)))

    def solve_triangular(self, x: Array, y: Array, *, upper: bool, unitriangular: bool) -> Array:
        """The same for a triangular matrix, of which nothing beyond its triangle is read."""
        wide = self._wide(x)
        eye = self._eye(wide)
        half = (self.xp.triu if upper else self.xp.tril)(wide, k=0)
        half = half * (1 - eye) + eye if unitriangular else half
        self._demand_diagonal(half * eye)
        return self._narrow(y, self.attempt(self.library.solve, SINGULAR.format("solve_triangular"), half,
                                            self._wide(y)))

    def _demand_diagonal(self, diagonal: Array) -> None:
        """Refuse a triangular matrix with a zero on its diagonal."""
        entries = self.xp.sum(diagonal, axis=-1)
        self.demand(self.xp.any(entries == 0, axis=-1), SINGULAR.format("solve_triangular"))

    def slogdet(self, x: Array) -> tuple[Array, Array]:
        """The sign of the determinant, and the logarithm of its absolute value."""
        with self.xp.quiet():
            sign, logarithm = self.library.slogdet(self._wide(x))
        return self._narrow(x, sign), self._narrow(x, logarithm)

    def det(self, x: Array) -> Array:
        """The determinant."""
        return self._narrow(x, self.xp.asarray(self.library.det(self._wide(x))))

    # --- decompositions ---------------------------------------------------------------

    def cholesky(self, x: Array) -> Array:
        """The lower triangular L with positive diagonal such that L Lᵀ is the symmetric part of x."""
        complaint = INDEFINITE.format("cholesky")
        return self._narrow(x, self.attempt(self.library.cholesky, complaint, self._symmetric(x)))

    def qr(self, x: Array) -> tuple[Array, Array]:
        """Orthonormal columns, and the upper triangle that makes x of them; reduced."""
        q, r = self.library.qr(self._wide(x))
        return self._narrow(x, q), self._narrow(x, r)

    def eigh(self, x: Array) -> tuple[Array, Array]:
        """The eigenvalues of the symmetric part of x, in ascending order, and eigenvectors as columns."""
        symmetric = self._symmetric(x)
        self.demand_finite("eigh", symmetric)
        values, vectors = self.attempt(self.library.eigh, DIVERGED.format("eigh"), symmetric)
        vectors, = self.turned(values, vectors)
        return self._narrow(x, values), self._narrow(x, vectors)

    def svd(self, x: Array, *, full_matrices: bool) -> tuple[Array, Array, Array]:
        """u, the singular values in descending order, and vᵀ, whose product is x."""
        function = lambda a: self.library.svd(a, full_matrices=full_matrices)
        wide = self._wide(x)
        self.demand_finite("svd", wide)
        u, s, v = self.attempt(function, DIVERGED.format("svd"), wide)
        k = s.shape[-1]
        if k and u.shape[-1] == v.shape[-2] == k:
            vanishing = self.vanishing(s, max(x.shape[-2:]))
            if self.possible(vanishing):
                u, v = self._with_null_space(u, vanishing), self._with_null_space(v.mT, vanishing).mT
            u, v = self.turned(s, u, v.mT)
            v = v.mT
        return self._narrow(x, u), self._narrow(x, s), self._narrow(x, v)

    # --- what a decomposition leaves open ------------------------------------------------

    def epsilon(self, x: Array) -> float:
        """The spacing of floats at 1 in the dtype that ``x`` is computed in."""
        return 2.0**-52 if self.xp.dtype_name(x) == float64 else 2.0**-23

    def clusters(self, values: Array) -> Array:
        """Which of the ordered ``values`` are too close to tell apart: (..., n, n), True on the diagonal.

        They are where no gap between neighbours exceeds 10 epsilon times the largest of them all.
        """
        xp = self.xp
        if 0 in values.shape:
            return xp.zeros((*values.shape, values.shape[-1]), bool_)
        steps = ~self._close(values)
        first = xp.zeros((*values.shape[:-1], 1), int64)
        label = xp.concat([first, xp.cumulative_sum(xp.astype(steps, int64), -1)], axis=-1)
        return label[..., :, None] == label[..., None, :]

    def _close(self, values: Array) -> Array:
        """Which of the ordered ``values`` are too close to the next one, (..., n - 1)."""
        xp = self.xp
        size = xp.maximum(xp.abs(values[..., :1]), xp.abs(values[..., -1:]))
        return xp.abs(values[..., 1:] - values[..., :-1]) <= size * (10 * self.epsilon(values))

    def vanishing(self, values: Array, size: int) -> Array:
        """Which singular values, in descending order, of a matrix of ``size`` rows or columns count as 0."""
        return values <= values[..., :1] * (max(10, size) * self.epsilon(values))

    def turned(self, values: Array, *bases: Array) -> tuple[Array, ...]:
        """``bases`` with their signs fixed by the first; those of a cluster reflected, each in the same way.

        The mirror is not parallel to any axis: where a function of the matrix has no derivative, or one
        that the cotangents of values and vectors cannot tell, the cotangents of a cluster's values differ.
        """
        xp, n = self.xp, values.shape[-1]
        if not n:
            return bases
        rows = self._direction(bases[0].shape[-2], bases[0])
        along = xp.sum(bases[0] * rows[:, None], axis=-2, keepdims=True)
        signs = xp.where(along < 0, xp.full_like(along, -1), xp.ones_like(along))
        bases = tuple(b * signs for b in bases)
        if n < 2 or not self.possible(self._close(values)):
            return bases
        same = self.clusters(values)
        crowded = xp.sum(xp.astype(same, int64), axis=-1, keepdims=True) > 1
        w = self._direction(n, values)
        within = xp.where(same & crowded, w * w[:, None], xp.zeros_like(w))
        length = xp.sum(xp.where(same, w * w, xp.zeros_like(w)), axis=-1, keepdims=True)
        return tuple(b - xp.matmul(b, within * 2 / length) for b in bases)

    def _with_null_space(self, basis: Array, vanishing: Array) -> Array:
        """``basis`` with the columns where singular values vanish replaced by any others, at an angle."""
        xp = self.xp
        columns = vanishing[..., None, :]
        m, k = basis.shape[-2:]
        places = xp.reshape(xp.arange(m * k, dtype=basis.dtype), (m, k))
        any_other = xp.cos(places * places)
        kept = xp.where(columns, xp.zeros_like(basis), basis)
        free = any_other - xp.matmul(kept, xp.matmul(kept.mT, xp.broadcast_to(any_other, kept.shape)))
        q, r = self.library.qr(xp.where(columns, free, kept))
        diagonal = xp.sum(r * self._eye(r), axis=-2, keepdims=True)
        ones = xp.ones_like(diagonal)
        return xp.where(columns, q, q * xp.where(diagonal < 0, -ones, ones))

    def _direction(self, n: int, like: Array) -> Array:
        """A vector that is orthogonal to none that occurs."""
        key = n, like.dtype
        if key not in self._directions:
            self._directions[key] = 1 / (self.xp.arange(n, dtype=like.dtype) * 0.377 + 1)
        return self._directions[key]

    # --- halves, and the symmetric part ---------------------------------------------------

    def _wide(self, x: Array) -> Array:
        return self.xp.astype(x, float32) if self.xp.dtype_name(x) in HALF_DTYPES else x

    def _narrow(self, x: Array, out: Array) -> Array:
        """``out``, computed for ``x``, in the dtype of that if it holds halves."""
        return self.xp.astype(out, x.dtype) if self.xp.dtype_name(x) in HALF_DTYPES else out

    def _symmetric(self, x: Array) -> Array:
        wide = self._wide(x)
        return (wide + wide.mT) * 0.5

    def _eye(self, x: Array) -> Array:
        return self.xp.eye(x.shape[-2], x.shape[-1], dtype=x.dtype)


def indices(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Every place in an array of ``shape``."""
    return product(*map(range, shape))


def broadcast_stacks(s: tuple[int, ...], t: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of two stacks broadcast together, which are known to fit."""
    rank = max(len(s), len(t))
    pairs = zip((1,) * (rank - len(s)) + s, (1,) * (rank - len(t)) + t, strict=True)
    return tuple(m if n == 1 else n for m, n in pairs)


def _whereabouts(function: Function, x: Array, others: tuple[Array, ...]) -> str:
    """The first matrix of the stack ``x`` that ``function`` refuses alone, in words."""
    for i in indices(x.shape[:-2]) if x.ndim > 2 else ():
        try:
            function(x[(*i, ...)], *(y[(*(0,) * (y.ndim - 2), ...)] for y in others))
        except ValueError:
            return f", at {i} in the stack"
    return ""
