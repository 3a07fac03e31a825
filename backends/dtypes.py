"""Portable dtypes: one name for each element type, whichever array library holds the array.

A :class:`DType` is its name (a string), so it prints, pickles and compares as one; it also compares
equal to NumPy's own dtype objects.  :func:`as_dtype` reads whatever a user may write for a dtype,
:func:`promote` says what two of them become in one operation.
"""

from __future__ import annotations

from functools import cache
from typing import Any

KINDS = ("bool", "int", "float", "complex")
"""The kinds of dtypes, each able to hold the values of those before it."""

_BYTES_BY_KIND = {
    "bool": {"bool": 1},
    "int": {"int8": 1, "int16": 2, "int32": 4, "int64": 8,
            "uint8": 1, "uint16": 2, "uint32": 4, "uint64": 8},
    "float": {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8},
    "complex": {"complex64": 8, "complex128": 16},
}
_known: dict[str, DType] = {}
_read: dict[tuple[type, Any], DType] = {}  # by type as well: equal hashes may not be compared


class DType(str):
    """The element type of an array, equal to its name: ``dl.float32 == "float32"``.

    It also equals NumPy's dtype objects and scalar types of that name.  Its hash is that of the
    name, so a NumPy dtype does not find it in a dict; :func:`as_dtype` does.
    """

    __slots__ = ("itemsize", "kind", "signed")

    kind: str
    """One of :data:`KINDS`."""
    itemsize: int
    """Bytes of one element."""
    signed: bool
    """Whether negative values can be represented."""

    def __new__(cls, name: str) -> DType:  # noqa: D102, PYI034  one object for each name
        known = _known.get(name)
        if known is None:
            raise ValueError(f"unknown dtype {str(name)!r}; known: {', '.join(_known)}")
        return known

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if isinstance(other, str):
            return str.__eq__(self, other)
        name = getattr(other, "__name__" if isinstance(other, type) else "name", None)
        return isinstance(name, str) and str.__eq__(self, name)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__

    def __repr__(self) -> str:
        return f"dlcore.{self!s}"

    def __reduce__(self) -> tuple[type[DType], tuple[str]]:
        return DType, (str(self),)

    def __copy__(self) -> DType:
        return self

    def __deepcopy__(self, memo: object) -> DType:
        return self


def _declare(name: str, kind: str, itemsize: int) -> None:
    dtype = str.__new__(DType, name)
    dtype.kind = kind
    dtype.itemsize = itemsize
    dtype.signed = kind != "bool" and not name.startswith("uint")
    _known[name] = dtype


for _kind, _sizes in _BYTES_BY_KIND.items():
    for _name, _size in _sizes.items():
        _declare(_name, _kind, _size)

DTYPES: tuple[DType, ...] = tuple(_known.values())
"""Every dtype there is."""

bool_ = DType("bool")
int8, int16, int32, int64 = DType("int8"), DType("int16"), DType("int32"), DType("int64")
uint8, uint16, uint32, uint64 = DType("uint8"), DType("uint16"), DType("uint32"), DType("uint64")
float16, bfloat16 = DType("float16"), DType("bfloat16")
float32, float64 = DType("float32"), DType("float64")
complex64, complex128 = DType("complex64"), DType("complex128")

HALF_DTYPES = (float16, bfloat16)
"""Sixteen-bit floats: sums and special functions of them are computed in float32."""

_default_float = float32


def get_default_dtype() -> DType:
    """The dtype that Python floats become, float32 unless it was changed."""
    return _default_float


def set_default_dtype(dtype: Any) -> None:
    """Let Python floats become ``dtype`` from now on, in every thread.

    Raises:
        ValueError: ``dtype`` is not a real floating-point dtype.
    """
    global _default_float  # noqa: PLW0603  one setting for the process
    chosen = as_dtype(dtype)
    if chosen.kind != "float":
        floats = ", ".join(d for d in DTYPES if d.kind == "float")
        raise ValueError(f"set_default_dtype: {chosen} is not a float dtype; choose from {floats}")
    _default_float = chosen


def default_of_kind(kind: str) -> DType:
    """What Python numbers of ``kind`` become: bool, int64, the default float or its complex."""
    if kind == "float":
        return _default_float
    if kind == "complex":
        return complex128 if _default_float is float64 else complex64
    return int64 if kind == "int" else bool_


def as_dtype(spec: Any) -> DType:
    """The dtype that ``spec`` stands for.

    Args:
        spec: a :class:`DType`; a name; a dtype object or scalar type of NumPy or of another array
            library; or Python's ``bool``, ``int``, ``float`` (the default float) and ``complex``.

    Raises:
        ValueError: a name that is not known.
        TypeError: something that names no dtype at all.
    """
    if type(spec) is DType:
        return spec
    if isinstance(spec, str):
        return DType(spec)
    if spec is bool or spec is int or spec is float or spec is complex:  # np.float64 == float
        return default_of_kind(spec.__name__)
    try:
        return _read[type(spec), spec]  # NumPy takes 1.6 us to name its dtypes
    except (KeyError, TypeError):
        name = getattr(spec, "__name__" if isinstance(spec, type) else "name", None)
    if not isinstance(name, str):  # such as array-api-strict's and PyTorch's dtype objects
        name = str(spec).rpartition(".")[2]
    if name in _known:
        _read[type(spec), spec] = _known[name]
        return _known[name]
    if type(spec).__name__.lower().endswith("dtype"):
        return DType(name)  # a library's dtype that dlcore lacks: the error lists the known
    raise TypeError(f"{spec!r} is not a dtype; give a name such as 'float32' or dl.float32")


def promote(*dtypes: DType) -> DType:
    """The dtype of an operation on ``dtypes``, whatever order they come in.

    bool < int < float: across kinds the higher kind's dtype wins, so int64 with float32 is float32;
    within a kind the wider wins.  A signed with an unsigned integer becomes the
    narrowest signed one that holds both; float16 with bfloat16 becomes float32; a complex dtype is
    as wide as the widest float beside it.

    Raises:
        TypeError: uint64 with a signed integer: no integer dtype holds both.
    """
    if len(dtypes) == 2:  # the common case, answered from a cache
        return _promote(dtypes[0], dtypes[1]) if dtypes[0] is not dtypes[1] else dtypes[0]
    if not dtypes:
        raise TypeError("promote: at least one dtype is needed")
    # Lower kinds have no say, and integers of both signs may not agree before they are outranked.
    rank = max(KINDS.index(d.kind) for d in dtypes)
    result, *others = (d for d in dtypes if KINDS.index(d.kind) >= min(rank, 2))
    for other in others:
        result = _promote(result, other)
    return result


@cache
def _promote(a: DType, b: DType) -> DType:
    low, high = sorted((a, b), key=lambda d: (KINDS.index(d.kind), d.signed, d.itemsize))
    if high.kind == "complex":
        double = high is complex128 or low in (float64, complex128)
        return complex128 if double else complex64
    if low.kind != high.kind or low is high:
        return high
    if high.kind == "float":
        return float32 if low.itemsize == high.itemsize else high
    if low.signed == high.signed or low.itemsize < high.itemsize:
        return high
    if low is uint64:
        raise TypeError(f"no integer dtype holds both {a} and {b}; convert one with astype")
    return DType(f"int{16 * low.itemsize}")
