"""The general call of a primitive on tensors: promotion, constants beside them, errors explained.

The hot path in ``core.py`` handles tensors that need none of this, and comes here when anything is
out of the ordinary: dtypes that differ, a list beside a tensor, several devices, a failure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backends import Backend, BackendError, DType, as_dtype, backend_of, get_backend, host, promote
from backends.dtypes import default_of_kind
from dlcore import core
from dlcore.core import Primitive, Value, cast, dtype_of
from dlcore.history import Node, Shape, described, is_recording

WEAK = (int, float, bool, complex, type(None))  # Python scalars adopt the dtype of what they meet


def apply_to_tensors(primitive: Primitive, args: tuple[Any, ...], params: Mapping[str, Any]) -> Any:
    """Compute ``primitive`` on the one backend that owns ``args``, and record it if asked to."""
    values = promoted(primitive, [a if type(a) in WEAK else constant(primitive, a) for a in args])
    arrays = [v if type(v) in WEAK else v.array for v in values]
    parents = [None if type(v) in WEAK else v.node for v in values]
    try:
        xp = backend_of(*arrays)
        with xp.scope():
            out = primitive.forward(xp, *arrays, **params)
    except Exception as error:
        raise explained(primitive, values, params, error) from error
    if primitive.outputs is not None:
        out = tuple(out)
    elif primitive.same_dtype and out.dtype is not getattr(arrays[(primitive.promotes or (0,))[0]], "dtype", None):
        out = xp.astype(xp.asarray(out), common_dtype(primitive, operands_of(primitive, values)))
    live = primitive.differentiable and any(p is not None for p in parents) and is_recording()
    return result(primitive, arrays, parents, params, out, xp) if live else unrecorded(primitive, out)


def unrecorded(primitive: Primitive, out: Any) -> Any:
    """``out`` as a tensor, or its parts as tensors, without history."""
    if primitive.outputs is None:
        return core.Tensor(out)
    return primitive.outputs(core.Tensor(o) for o in out)


def result(primitive: Primitive, arrays: Sequence[Any], parents: Sequence[Node | None],
           params: Mapping[str, Any], out: Any, xp: Any) -> Any:
    """``out`` as a tensor that remembers how it was made; integer outputs remember nothing."""
    args, kept = primitive.kept(arrays, out)
    node = Node(primitive, args, tuple(parents), params, kept, xp)
    if primitive.outputs is None:
        return core.Tensor(out, node)
    return primitive.outputs(core.Tensor(o, core.selected(node, i)) for i, o in enumerate(out))


def constant(primitive: Primitive, a: Any) -> Any:
    """``a`` as a tensor; a NumPy array or a list beside a tensor is a constant on the CPU."""
    if type(a) is core.Tensor:
        return a
    if host.is_array(a) or host.is_scalar(a) or isinstance(a, list | tuple):
        return core.Tensor(get_backend("cpu").from_host(host.array(a)))
    raise TypeError(f"{primitive.name}: cannot compute with {type(a).__name__}; make it a tensor with dl.tensor(...)")


def common_dtype(primitive: Primitive, operands: Sequence[Any]) -> DType:
    """The dtype that ``operands`` are converted to.

    bool < int < float: across kinds the higher kind's dtype wins, within a kind the wider.  A Python
    scalar only raises the kind, to int64 or to the default float; float functions raise integers so.
    """
    strong = {dtype_of(v) for v in operands if type(v) not in WEAK}
    kinds = {"bool": 0, "int": 1, "float": 2, "complex": 3}
    weak = max((type(v).__name__ for v in operands if type(v) in WEAK and v is not None),
               key=lambda k: kinds[k], default="bool")
    dtype = promote(*strong) if strong else as_dtype("bool")
    if kinds[weak] > kinds[dtype.kind]:
        wide = weak == "complex" and dtype == "float64"
        dtype = as_dtype("complex128") if wide else default_of_kind(weak)
    if primitive.result == "float" and dtype.kind in ("bool", "int"):
        dtype = default_of_kind("float")
    return dtype


def operands_of(primitive: Primitive, values: Sequence[Any]) -> list[Any]:
    """Those of ``values`` that must agree in dtype."""
    return list(values) if primitive.promotes is None else [values[i] for i in primitive.promotes if i < len(values)]


def promoted(primitive: Primitive, values: list[Any]) -> list[Any]:
    """``values`` with those that must agree in dtype converted, before the library's own promotion."""
    dtype = common_dtype(primitive, operands_of(primitive, values))
    for i in range(len(values)) if primitive.promotes is None else primitive.promotes:
        if i < len(values) and type(values[i]) is bool:
            values[i] = values[i] if dtype == "bool" else int(values[i])
        elif i < len(values) and type(values[i]) not in WEAK:
            values[i] = cast(values[i], dtype)
    return values


# --- between backends ------------------------------------------------------------------------------


def moved(x: Any, to: Backend) -> Any:
    """``x``, a tensor or inside a raw pass an array, on the backend ``to``; recorded like any operation."""
    array = x.array if isinstance(x, Value) else x
    home = backend_of(array)
    if home is to:
        return x
    there = to.from_host(home.to_host(array))
    if not isinstance(x, Value):
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


def explained(primitive: Primitive, args: Sequence[Any], params: Mapping[str, Any], error: Exception) -> Exception:
    """``error`` of the array library, retold in terms of the operation the user called."""
    if isinstance(error, BackendError | MemoryError):
        return type(error)(f"{primitive.name}: {error}")
    if primitive.shape is not None:
        try:
            primitive.shape(*map(shape_of, args), **params)
        except (ValueError, IndexError, TypeError) as reason:
            return type(reason)(f"{primitive.name}: {reason}")
    given = ", ".join(f"{a.dtype}{a.shape}" if isinstance(a, Value) else repr(a) for a in args)
    named = ", ".join(f"{k}={v!r}" for k, v in params.items())
    kind = next((k for k in (IndexError, TypeError, ValueError) if isinstance(error, k)), RuntimeError)
    return kind(f"{primitive.name}({', '.join(filter(None, (given, named)))}): {error}")
