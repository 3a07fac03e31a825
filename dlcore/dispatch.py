"""The general call of a primitive on tensors: promotion, constants beside them, errors explained.

The hot path in ``core.py`` handles tensors that need none of this, and comes here when anything is
out of the ordinary: dtypes that differ, a list beside a tensor, several devices, a failure.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from backends import OWNERS, Backend, BackendError, DType, as_dtype, backend_of, get_backend, host, promote
from backends.dtypes import default_of_kind
from backends.errors import MatrixError, OutOfMemoryError, let_go
from dlcore import core
from dlcore.core import Primitive, cast, dtype_of
from dlcore.history import Node, Shape, described, is_recording, keep
from dlcore.nans import noted, watching

F = TypeVar("F", bound=Callable[..., Any])
WEAK = (int, float, bool, complex)  # Python scalars adopt the dtype of what they meet


def apply_to_tensors(primitive: Primitive, args: tuple[Any, ...], params: Mapping[str, Any]) -> Any:
    """Compute ``primitive`` on the one backend that owns ``args``, and record it if asked to."""
    home = next(a for a in args if type(a) is core.Tensor)
    values = promoted(primitive, [a if type(a) in WEAK else constant(primitive, a, home) for a in args])
    arrays = [v if type(v) in WEAK else v.array for v in values]
    parents = [None if type(v) in WEAK else v.node for v in values]
    try:
        xp = backend_of(*arrays)
        with xp.scope(), xp.quiet():  # where a warning was made an error, the hot path ends up here, too
            out = primitive.forward(xp, *arrays, **params)
    except Exception as error:
        raise explained(primitive, values, params, error) from error
    if primitive.outputs is not None:
        out = tuple(out)
    elif primitive.same_dtype and out.dtype is not getattr(arrays[_leading(primitive)], "dtype", None):
        out = xp.astype(xp.asarray(out), common_dtype(primitive, operands_of(primitive, values)))
    if not OWNERS and (watch := watching()) is not None:
        watch.computed(primitive, arrays, params, out)
    live = primitive.differentiable and any(p is not None for p in parents) and is_recording()
    return result(primitive, arrays, parents, params, out, xp) if live else unrecorded(primitive, out)


def _leading(primitive: Primitive) -> int:
    """Which argument it is that the result, if of the same dtype, has the dtype of."""
    return (primitive.promotes or (0,))[0]


def unrecorded(primitive: Primitive, out: Any) -> Any:
    """``out`` as a tensor, or its parts as tensors, without history."""
    if primitive.outputs is None:
        return core.Tensor(out)
    return primitive.outputs(core.Tensor(o) for o in out)


def result(primitive: Primitive, arrays: Sequence[Any], parents: Sequence[Node | None],
           params: Mapping[str, Any], out: Any, xp: Any) -> Any:
    """``out`` as a tensor that remembers how it was made; integer outputs remember nothing."""
    args, kept = keep(primitive, arrays, out)
    node = Node(primitive, args, tuple(parents), params, kept, xp)
    if not OWNERS:
        noted(node)
    if primitive.outputs is None:
        return core.Tensor(out, node)
    return primitive.outputs(core.Tensor(o, core.selected(node, i)) for i, o in enumerate(out))


def constant(primitive: Primitive, a: Any, beside: Any) -> Any:
    """``a`` as a tensor where the value ``beside`` is: a NumPy scalar, and on the CPU an array or a list."""
    if type(a) is core.Tensor:
        return a
    home = backend_of(beside.array) if type(beside) is core.Tensor else beside.xp  # a Symbol says so
    if host.is_array(a) or isinstance(a, list | tuple):
        if home is not get_backend("cpu"):
            raise BackendError(f"{primitive.name}: a {type(a).__name__} on cpu beside a tensor on "
                               f"{home.name}; make it a tensor there with dl.tensor(...)")
    elif not host.is_scalar(a):
        raise TypeError(f"{primitive.name}: cannot compute with {type(a).__name__}; "
                        "make it a tensor with dl.tensor(...)")
    try:
        return core.Tensor(home.from_host(host.array(a)))
    except (ValueError, TypeError) as reason:  # ragged, or no numbers
        raise type(reason)(f"{primitive.name}: {reason}") from None


def common_dtype(primitive: Primitive, operands: Sequence[Any]) -> DType:
    """The dtype that ``operands`` are converted to.

    bool < int < float: across kinds the higher kind's dtype wins, within a kind the wider.  A Python
    scalar only raises the kind, to int64 or to the default float; float functions raise integers so.
    """
    strong = {dtype_of(v) for v in operands if type(v) not in WEAK}
    kinds = {"bool": 0, "int": 1, "float": 2, "complex": 3}
    weak = max((type(v).__name__ for v in operands if type(v) in WEAK), key=kinds.__getitem__, default="bool")
    dtype = promote(*strong) if strong else as_dtype("bool")
    if kinds[weak] > kinds[dtype.kind]:
        wide = weak == "complex" and dtype == "float64"
        dtype = as_dtype("complex128") if wide else default_of_kind(weak)
    if primitive.result == "float" and dtype.kind in ("bool", "int"):
        dtype = default_of_kind("float")
    return dtype


def operands_of(primitive: Primitive, values: Sequence[Any]) -> list[Any]:
    """Those of ``values`` that must agree in dtype."""
    if primitive.promotes is None:
        return list(values)
    return [values[i] for i in primitive.promotes if i < len(values)]


def _alike(operands: Sequence[Any]) -> bool:
    """Whether all are tensors with one and the same dtype object: the common case, told quickly."""
    dtype = operands[0].array.dtype if operands and type(operands[0]) is core.Tensor else None
    return dtype is not None and all(type(v) is core.Tensor and v.array.dtype is dtype for v in operands)


def _is_complex(v: Any) -> bool:
    if type(v) is core.Tensor:
        return backend_of(v.array).is_complex(v.array)
    if type(v) in WEAK:
        return type(v) is complex
    return hasattr(v, "dtype") and dtype_of(v).kind == "complex"  # of what has none, others complain better


def _listed(values: Sequence[Any]) -> str:
    """Dtypes and shapes of values, and numbers as they are."""
    return ", ".join(repr(v) if type(v) in WEAK else f"{dtype_of(v)}{v.shape}" for v in values)


def refuse_complex(name: str, *values: Any) -> None:
    """Refuse complex numbers: for what has an order, or squares what it would have to take the size of.

    Raises:
        TypeError: one of ``values`` is complex.
    """
    if any(map(_is_complex, values)):
        raise TypeError(f"{name}: takes real numbers only, got {_listed(values)}; "
                        "take dl.real, dl.imag or dl.abs of the complex ones first")


def promoted(primitive: Primitive, values: list[Any]) -> list[Any]:
    """``values`` with those that must agree in dtype converted, before the library's own promotion."""
    operands = operands_of(primitive, values)
    if not primitive.of_complex:
        refuse_complex(primitive.name, *values)
    if primitive.result != "float" and _alike(operands):
        return values
    dtype = common_dtype(primitive, operands)
    for i in range(len(values)) if primitive.promotes is None else primitive.promotes:
        if i < len(values) and type(values[i]) is bool:
            values[i] = values[i] if dtype == "bool" else int(values[i])
        elif i < len(values) and type(values[i]) not in WEAK:
            values[i] = cast(values[i], dtype)
    return values


# --- between backends ------------------------------------------------------------------------------


def moved(x: Any, to: Backend) -> Any:
    """``x``, a tensor or inside a raw pass an array, on the backend ``to``; recorded like any operation."""
    array = x.array if type(x) is core.Tensor else x
    home = backend_of(array)
    if home is to:
        return x
    there = to.from_host(home.to_host(array))
    if array is x:
        return there
    live = x.node is not None and is_recording()
    params = {"home": home, "to": to}
    spec = described(array)
    return core.Tensor(there, Node(transfer, (spec,), (x.node,), params, spec, to) if live else None)


transfer = Primitive(
    "transfer", lambda xp, x, *, home, to: x, None,
    vjp=(lambda g, out, x, *, home, to: moved(g, home),),
    jvp=(lambda t, out, x, *, home, to: moved(t, to),), reads="")

# --- errors, explained after they happened ---------------------------------------------------------


def shape_of(a: Any) -> Shape:
    """The shape of a value; a Python number has none."""
    return tuple(getattr(a, "shape", ()))


MISTAKES: list[tuple[Any, type[Exception]]] = [
    (IndexError, IndexError), ((TypeError, AttributeError), TypeError),
    ((ValueError, OverflowError), ValueError)]
"""What libraries raise for wrong arguments, and what it is here: a number lacks attributes of an array."""


def explained(primitive: Primitive, args: Sequence[Any], params: Mapping[str, Any],
              error: Exception) -> Exception:
    """``error`` of the array library, retold in terms of the operation the user called."""
    if isinstance(error, MemoryError):  # of any library; its own kind takes arguments of its own
        let_go(error)
        return OutOfMemoryError(f"{primitive.name}: {error}")
    if isinstance(error, BackendError):
        return type(error)(f"{primitive.name}: {error}")
    if primitive.shape is not None:
        try:
            primitive.shape(*map(shape_of, args), **params)
        except (ValueError, IndexError, TypeError) as reason:
            return type(reason)(f"{primitive.name}: {reason}")
    if isinstance(error, MatrixError):
        return MatrixError(str(error))  # it names the operation, which inside a rule may be another one
    given = _listed(args)
    named = ", ".join(f"{k}={v!r}" for k, v in params.items())
    kind = next((kind for kinds, kind in MISTAKES if isinstance(error, kinds)), RuntimeError)
    return kind(f"{primitive.name}({', '.join(filter(None, (given, named)))}): {error}")


def exhausted_in(what: str, error: MemoryError, node: Node) -> Exception:
    """``error`` of a pass that began at ``node``, with the operation whose derivative ran out of memory."""
    at, trace = "", error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in _PASSES and (found := trace.tb_frame.f_locals.get("node")) is not None:
            at = f", at the derivative of {found.primitive.name}"
        trace = trace.tb_next
    return node.xp.exhausted(error, what + at)


_PASSES = (core.pullback.__code__, core.pushforward.__code__)


def wants_tensors(f: F) -> F:
    """``f``, a public function, with a clear error where it is given a list or a number for a tensor."""
    @functools.wraps(f)
    def checked(*args: Any, **params: Any) -> Any:
        try:
            return f(*args, **params)
        except AttributeError as error:
            if error.name not in ("shape", "dtype", "ndim", "size") or isinstance(error.obj, core.Value):
                raise
            raise TypeError(f"{f.__name__}: needs a tensor, got {type(error.obj).__name__}; "
                            "make one with dl.tensor(...)") from None

    return checked  # type: ignore[return-value]  # wraps keeps the signature
