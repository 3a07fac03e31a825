"""Linear algebra on the CPU: NumPy's, and SciPy's triangular solver."""

# ruff: noqa: D102  what a member promises is said once, in linalg.py

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from backends.linalg import Array, Linalg, indices


class NumpyLinalg(Linalg):
    """NumPy's linear algebra, which raises at once."""

    def possible(self, condition: Array) -> bool:
        return bool(np.logical_or.reduce(condition, axis=None))

    def _wide(self, x: Array) -> Array:
        return x if x.dtype.itemsize > 2 else super()._wide(x)

    def _narrow(self, x: Array, out: Array) -> Array:
        return out if x.dtype.itemsize > 2 else super()._narrow(x, out)

    def solve_triangular(self, x: Array, y: Array, *, upper: bool, unitriangular: bool) -> Array:
        """By back substitution, a matrix of the stack at a time."""
        a, b = self._wide(x), self._wide(y)
        if not unitriangular:
            self.demand(np.logical_or.reduce(np.einsum("...ii->...i", a) == 0, axis=-1),
                        "solve_triangular: the matrix is singular")
        stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        if not stack:
            return self._narrow(y, _triangular(a, b, upper, unitriangular))
        a, b = np.broadcast_to(a, stack + a.shape[-2:]), np.broadcast_to(b, stack + b.shape[-2:])
        out = np.empty(b.shape, b.dtype)
        for i in indices(stack):
            out[i] = _triangular(a[i], b[i], upper, unitriangular)
        return self._narrow(y, out)


@cache
def _trtrs(char: str) -> Any:
    """LAPACK's routine for a dtype; SciPy takes a while to import, and few programs need it."""
    return getattr(import_module("scipy.linalg.lapack"), {"f": "strtrs", "d": "dtrtrs"}[char])


def _triangular(a: Array, b: Array, upper: bool, unitriangular: bool) -> Array:
    if not b.size:
        return np.zeros(b.shape, b.dtype)
    # A C-ordered matrix is its transpose in Fortran's order, which spares a copy.
    out, _ = _trtrs(a.dtype.char)(a.T, b, lower=upper, trans=1, unitdiag=unitriangular)
    return out
