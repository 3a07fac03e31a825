"""SciPy's minimizers over tensors: gradients and products with the Hessian come from dlcore."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple

from backends import get_backend
from backends.dtypes import float64
from dlcore import trees
from dlcore.nn.modules import Module
from dlcore.tensors import Tensor, home_of, tensor
from dlcore.transforms import hvp, value_and_grad

__all__ = ["Minimum", "minimize"]

Tree = Any  # nested dicts, lists and tuples of tensors

METHODS = {name.lower(): name for name in (
    "Nelder-Mead", "Powell", "CG", "BFGS", "Newton-CG", "L-BFGS-B", "TNC", "COBYLA", "COBYQA", "SLSQP",
    "trust-constr", "dogleg", "trust-ncg", "trust-exact", "trust-krylov")}
WITHOUT_GRADIENT = {"Nelder-Mead", "Powell", "COBYLA", "COBYQA"}
WITH_PRODUCT = {"Newton-CG", "trust-ncg", "trust-krylov", "trust-constr"}
WITH_HESSIAN = {"dogleg", "trust-exact"}
WITH_BOUNDS = {"Nelder-Mead", "Powell", "L-BFGS-B", "TNC", "COBYLA", "COBYQA", "SLSQP", "trust-constr"}


class Minimum(NamedTuple):
    """What :func:`minimize` has found."""

    x: Any
    """Where, in the structure of ``x0``; of a module the module itself, which holds it."""
    fun: float
    """The value there."""
    nit: int | None
    """How many iterations were made, None where the method does not count them."""
    success: bool
    """Whether the method ended as it should."""
    message: str
    """Why it ended."""


def minimize(f: Callable[[Any], Any], x0: Tree, method: str = "L-BFGS-B", *, bounds: Any = None,
             tol: float | None = None, callback: Callable[[Any], object] | None = None,
             options: Mapping[str, Any] | None = None) -> Minimum:
    """Where the scalar function ``f`` is least near ``x0``, by a method of ``scipy.optimize.minimize``.

    SciPy computes in float64 on the host, ``f`` where and in the dtypes that ``x0`` has; float32 ends at
    about the root of its precision.  Methods that use second derivatives get products with the Hessian
    (Newton-CG, trust-ncg, trust-krylov, trust-constr) or the Hessian, built from them (dogleg, trust-exact).

    Args:
        f: takes something like ``x0`` and returns a scalar; a module it takes as it is.
        x0: where to start: float tensors in nested dicts, lists and tuples, or a module, whose parameters
            change, but for those that require no gradient.
        method: the name of SciPy's method, in upper or lower case.
        bounds: ``(low, high)`` for each tensor, nested as ``x0`` is, and for a module by the parameters'
            names; ``low`` and ``high`` are numbers, arrays of the tensor's shape, or None for no bound.
            What is not named in a dict has none.  A start outside moves to the bound.
        tol: when to stop, in the method's own sense.
        callback: called with something like ``x0`` after every iteration.
        options: those of the method, such as ``{"maxiter": 100}``.

    Raises:
        ValueError: an unknown method; bounds that do not fit, or that the method does not take; ``f`` returns
            no scalar; or there is nothing to change.
        TypeError: an ``x0`` that is not of floats.

    Source: Virtanen et al. (2020), "SciPy 1.0"; of L-BFGS-B Byrd, Lu, Nocedal & Zhu (1995), "A limited memory
    algorithm for bound constrained optimization".

        >>> import dlcore as dl
        >>> found = minimize(lambda p: dl.sum((p["w"] - 3.0) ** 2), {"w": dl.zeros(2, dtype="float64")})
        >>> found.x, found.success
        ({'w': tensor([3., 3.], float64)}, True)
    """
    name = METHODS.get(str(method).lower())
    if name is None:
        raise ValueError(f"minimize: unknown method {method!r}; known: {', '.join(METHODS.values())}")
    if bounds is not None and name not in WITH_BOUNDS:
        raise ValueError(f"minimize: {name} takes no bounds; those that do: {', '.join(sorted(WITH_BOUNDS))}")
    flat = Flat(x0)
    start = flat.joined(flat.leaves)
    given: dict[str, Any] = {"method": name, "tol": tol, "options": dict(options or {})}
    if bounds is not None:
        given["bounds"] = flat.bounds(bounds)
        low, high = (flat.host.asarray(side) for side in zip(*given["bounds"], strict=True))
        start = flat.host.clip(start, low, high)
    if callback is not None:
        given["callback"] = lambda v, *state: callback(flat.whole(v))
    scalar = flat.function(f)
    if name in WITHOUT_GRADIENT:
        objective: Any = lambda v: scalar(flat.values(v)).item()
    else:
        given["jac"] = True
        both = value_and_grad(scalar)

        def objective(v: Any) -> tuple[float, Any]:
            value, gradient = both(flat.values(v))
            return value.item(), flat.joined(gradient)
    if name in WITH_PRODUCT | WITH_HESSIAN:
        def product(v: Any, direction: Any) -> Any:
            return flat.joined(hvp(scalar, flat.values(v), flat.values(direction)))

        given |= {"hessp": product} if name in WITH_PRODUCT else {"hess": lambda v: flat.hessian(product, v)}
    found = import_module("scipy.optimize").minimize(objective, start, **given)
    return Minimum(flat.whole(found.x), float(found.fun), found.get("nit"), bool(found.success),
                   str(found.message))


class Flat:
    """A tree of tensors as one float64 vector of the host, and back."""

    def __init__(self, x0: Tree) -> None:
        self.module = x0 if isinstance(x0, Module) else None
        self.tree = _trained(x0) if isinstance(x0, Module) else x0
        self.leaves = [x if type(x) is Tensor else tensor(x) for x in trees.leaves(self.tree)]
        for x in self.leaves:
            if x.dtype.kind != "float":
                raise TypeError(f"minimize: x0 has a tensor of {x.dtype}{x.shape}; make it one of floats")
        if not any(x.size for x in self.leaves):
            raise ValueError("minimize: x0 holds no number to change")
        self.host = get_backend("cpu")

    def joined(self, values: Sequence[Any]) -> Any:
        """The elements of some tensors in a row."""
        host = self.host
        rows = [host.reshape(host.asarray(home_of(x).to_host(x.array)), (-1,)) for x in values]
        return host.concat([host.astype(row, float64) for row in rows])

    def values(self, vector: Any) -> list[Tensor]:
        """The tensors that a vector holds, each where and in the dtype that it was at first."""
        found, start = [], 0
        for x in self.leaves:
            part = self.host.reshape(vector[start:start + x.size], x.shape)
            found.append(Tensor(home_of(x).from_host(part, x.dtype)))
            start += x.size
        return found

    def whole(self, vector: Any) -> Any:
        """What a vector stands for, in the structure that was given; a module is filled with it."""
        values = self.values(vector)
        if self.module is None:
            return trees.rebuilt(self.tree, values)
        for p, x in zip(self.leaves, values, strict=True):
            p.array = x.array
        return self.module

    def function(self, f: Callable[[Any], Any]) -> Callable[[Sequence[Any]], Any]:
        """``f`` as a function of a list of tensors, which stand in for the parameters of a module."""
        def scalar(values: Sequence[Any]) -> Any:
            if self.module is None:
                out = f(trees.rebuilt(self.tree, values))
            else:
                own = [(p.array, p.node) for p in self.leaves]
                try:
                    for p, x in zip(self.leaves, values, strict=True):
                        p.array, p.node = x.array, x.node
                    out = f(self.module)
                finally:
                    for p, (array, node) in zip(self.leaves, own, strict=True):
                        p.array, p.node = array, node
            if getattr(out, "shape", None) != ():
                kind = f"shape {out.shape}" if hasattr(out, "shape") else f"a {type(out).__name__}"
                raise ValueError(f"minimize: the function must return a scalar tensor, it returned {kind}; "
                                 "reduce it with .sum() or .mean()")
            return out

        return scalar

    def hessian(self, product: Callable[[Any, Any], Any], vector: Any) -> Any:
        """All second derivatives: a product for each row of the unit matrix."""
        return self.host.stack([product(vector, row) for row in self.host.eye(vector.size, dtype=float64)])

    def bounds(self, given: Any) -> list[tuple[float, float]]:
        """A pair of numbers for each element of the vector."""
        pairs: list[Any] = []
        _collect_bounds("bounds", self.tree, given, pairs)
        found: list[tuple[float, float]] = []
        for x, pair in zip(self.leaves, pairs, strict=True):
            low, high = pair or (None, None)
            found += zip(_bound(x, low, -math.inf), _bound(x, high, math.inf), strict=True)
        return found


def _trained(module: Module) -> dict[str, Tensor]:
    """The parameters of a module that are not frozen, by name."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def _collect_bounds(place: str, tree: Any, given: Any, pairs: list[Any]) -> None:
    """The pairs that belong to the leaves of ``tree``, in their order; None where there is none."""
    if isinstance(tree, dict):
        if given is not None and not (isinstance(given, dict) and given.keys() <= tree.keys()):
            kind = sorted(map(str, given)) if isinstance(given, dict) else given
            raise ValueError(f"minimize: {place} must be a dict with keys among {sorted(map(str, tree))}, "
                             f"got {kind!r}")
        for key, child in tree.items():
            _collect_bounds(f"{place}[{key!r}]", child, None if given is None else given.get(key), pairs)
    elif isinstance(tree, list | tuple):
        if given is not None and not (isinstance(given, list | tuple) and len(given) == len(tree)):
            raise ValueError(f"minimize: {place} must have {len(tree)} entries, one for each of x0, "
                             f"got {given!r}")
        for i, child in enumerate(tree):
            _collect_bounds(f"{place}[{i}]", child, None if given is None else given[i], pairs)
    elif tree is not None:
        fits = isinstance(given, list | tuple) and len(given) == 2
        if given is not None and not (fits and not any(isinstance(b, list | tuple) for b in given)):
            raise ValueError(f"minimize: {place} must be a pair (low, high) of numbers, arrays or None for a "
                             f"tensor of x0, got {given!r}")
        pairs.append(given)


def _bound(x: Tensor, bound: Any, default: float) -> list[float]:
    """A bound for each element of ``x``."""
    if bound is None:
        return [default] * x.size
    values = tensor(bound, float64)
    if values.shape not in ((), x.shape):
        raise ValueError(f"minimize: a bound of shape {values.shape} does not fit a tensor of shape "
                         f"{x.shape}")
    flat: list[float] = values.reshape(-1).tolist()
    return flat if values.shape == x.shape and x.shape != () else flat * x.size
