"""Linear algebra on a CUDA device: CuPy's, which reports nothing by itself.

A matrix that cannot be taken leaves infinities and nans, or whatever the routine had got to.  So results
are looked at on the device, and what is found there is kept there, until a value is read anyway.
"""

# ruff: noqa: D102  what a member promises is said once, in linalg.py

from __future__ import annotations

import operator
from collections.abc import Iterable
from functools import reduce
from types import SimpleNamespace
from typing import Any

import cupy as cp

from backends.errors import MatrixError
from backends.linalg import INDEFINITE, Array, Function, Linalg, broadcast_stacks


class CupyLinalg(Linalg):
    """CuPy's linear algebra; errors wait in ``found`` for someone to read a value."""

    def __init__(self, xp: Any) -> None:
        super().__init__(xp)
        self.library = SimpleNamespace(
            solve=cp.linalg.solve, inv=cp.linalg.inv, det=cp.linalg.det, slogdet=cp.linalg.slogdet,
            qr=cp.linalg.qr, eigh=cp.linalg.eigh, svd=cp.linalg.svd)
        self.found: dict[str, Array] = {}

    def demand(self, wrong: Array, complaint: str) -> None:
        anywhere = cp.any(wrong)
        self.found[complaint] = anywhere | self.found[complaint] if complaint in self.found else anywhere

    def raise_found(self) -> None:
        """Raise for what was found wrong since the last look; called where the host waits anyway."""
        found, self.found = self.found, {}
        for complaint, wrong in found.items():
            if cp.asnumpy(wrong).item():
                raise MatrixError(f"{complaint}; noticed only now, as the device runs behind")

    def demand_finite(self, name: str, x: Array) -> None:
        """Nothing: these routines come to an end, and what they make of nan is nan."""

    def possible(self, condition: Array) -> bool:
        return bool(condition.size)  # to know would mean to wait

    def attempt(self, function: Function, complaint: str, x: Array, *others: Array) -> Any:
        results = function(x, *others)
        outs = results if isinstance(results, tuple) else (results,)
        self.demand(_all_finite((x, *others)) & ~_all_finite(outs), complaint)
        return results

    def solve(self, x: Array, y: Array) -> Array:
        stack = broadcast_stacks(x.shape[:-2], y.shape[:-2])  # CuPy wants them equal
        return super().solve(_repeated(x, stack), _repeated(y, stack))

    def solve_triangular(self, x: Array, y: Array, *, upper: bool, unitriangular: bool) -> Array:
        stack = broadcast_stacks(x.shape[:-2], y.shape[:-2])
        return super().solve_triangular(
            _repeated(x, stack), _repeated(y, stack), upper=upper, unitriangular=unitriangular)

    def cholesky(self, x: Array) -> Array:
        whole = self._symmetric(x)
        out = cp.linalg.cholesky(whole)
        size = cp.max(cp.abs(whole)) if whole.size else 0
        left = cp.abs(cp.matmul(out, out.mT) - whole)  # of a failure the routine leaves what it had got to
        allowed = size * (100 * max(x.shape[-1], 1) * self.epsilon(whole))
        self.demand(~(left <= allowed), INDEFINITE.format("cholesky"))
        return self._narrow(x, out)


def _all_finite(arrays: Iterable[Array]) -> Array:
    """Whether there is no infinity and no nan in any of ``arrays``, as an array."""
    return reduce(operator.and_, (cp.all(cp.isfinite(x)) for x in arrays))


def _repeated(x: Array, stack: tuple[int, ...]) -> Array:
    """``x`` with a copy for every place in ``stack``."""
    return cp.broadcast_to(x, stack + x.shape[-2:])
