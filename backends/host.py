"""Host arrays for callers that never import NumPy: reading data, random numbers, printing.

NumPy is imported inside the functions that need it, so that importing this module costs nothing and
the questions at the top can be asked of programs that never load it.
"""

from __future__ import annotations

import sys
from functools import cache
from itertools import chain
from typing import Any

from backends import distributions
from backends.dtypes import KINDS, DType, as_dtype, default_of_kind, float64, promote
from backends.errors import DeviceTransferError
from backends.library import Array
from backends.registry import load

_DEEPEST = 64  # axes that a NumPy array can have
_PYTHON_KINDS = {bool: "bool", int: "int", float: "float", complex: "complex"}


# --- questions that must not import NumPy -----------------------------------------


def is_array(x: Any) -> bool:
    """Whether ``x`` is a NumPy array."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(x, numpy.ndarray)


def is_scalar(x: Any) -> bool:
    """Whether ``x`` is a NumPy scalar, such as ``numpy.float32(1)``."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(x, numpy.generic)


# --- reading data -----------------------------------------------------------------


def array(data: Any, dtype: Any = None) -> Array:
    """``data`` as a NumPy array; a NumPy array of the right dtype is returned as it is.

    Python floats become the default float dtype, ints int64, bools bool; NumPy arrays and scalars
    keep their dtype.  In nested lists the numbers of Python are weak beside NumPy's.

    Args:
        data: a number, a NumPy array or scalar, nested lists or tuples of them, or an object that
            NumPy can read as an array (a pandas column, a PyTorch tensor on the CPU).
        dtype: the dtype to convert to.

    Raises:
        ValueError: lists of unequal length, or a number that the dtype cannot hold.
        TypeError: strings, None, dates and other objects that are no numbers.
        DeviceTransferError: an array on another device.
    """
    import numpy as np

    cpu = load("cpu")
    wanted = None if dtype is None else cpu.dtype(dtype)
    if isinstance(data, np.ndarray | np.generic):
        _check_elements(data.dtype)
        if wanted is None:  # newbyteorder makes a new object even of a native dtype
            wanted = data.dtype if data.dtype.isnative else data.dtype.newbyteorder("=")
        return np.asarray(data, dtype=wanted)
    if isinstance(data, list | tuple | bool | int | float | complex):
        wanted = cpu.dtype(_dtype_of_leaves(data)) if wanted is None else wanted
    elif isinstance(data, str | bytes) or data is None:
        raise TypeError(_no_number(data))
    try:
        out = np.asarray(data, dtype=wanted)
    except OverflowError as error:
        raise ValueError(f"a number does not fit {wanted}: {error}") from error
    except (ValueError, TypeError) as error:
        _explain(data, error)
        raise
    _check_elements(out.dtype)
    return out


@cache
def _check_elements(dtype: Any) -> None:
    """Raise unless arrays of this NumPy dtype can be arrays of dlcore."""
    kinds = {"O": "Python objects", "U": "strings", "S": "bytes", "T": "strings", "V": "records",
             "M": "dates", "m": "time differences"}
    if dtype.kind in kinds and dtype.name != "bfloat16":  # which NumPy takes for a record
        raise TypeError(f"a tensor holds numbers, not {kinds[dtype.kind]} (NumPy dtype {dtype})")
    as_dtype(dtype)


def _dtype_of_leaves(data: Any) -> DType:
    """The dtype of nested lists: that of the NumPy things in them, else of the Python numbers."""
    weak, strong = _leaves(data)
    highest = max(weak, key=KINDS.index, default="bool" if strong else "float")
    joint = promote(*strong) if strong else default_of_kind(highest)
    outranked = KINDS.index(joint.kind) < KINDS.index(highest)
    return default_of_kind(highest) if outranked else joint


def _leaves(data: Any) -> tuple[set[str], set[DType]]:
    """The kinds of the Python numbers in nested lists, and the dtypes of whatever has one."""
    weak: set[str] = set()
    strong: set[DType] = set()
    level: list[Any] = [data]
    for _ in range(_DEEPEST + 1):
        deeper: list[Any] = []
        kinds = set(map(type, level))
        for kind in kinds:
            members: list[Any] = level
            if len(kinds) > 1:
                members = [x for x in level if type(x) is kind]
            if kind in _PYTHON_KINDS:
                weak.add(_PYTHON_KINDS[kind])
            elif issubclass(kind, list | tuple):
                deeper.extend(chain.from_iterable(members))
            elif hasattr(members[0], "dtype"):
                strong.update(as_dtype(x.dtype) for x in members)
            else:
                raise TypeError(_no_number(members[0]))
        if not deeper:
            return weak, strong
        level = deeper
    raise ValueError(f"lists nested more than {_DEEPEST} deep, or one that contains itself")


def _explain(data: Any, error: Exception) -> None:
    """Raise what NumPy's ``error`` means in the words of a user, where that can be told."""
    if isinstance(data, list | tuple):
        _explain_ragged(data)
    if "not allowed" in str(error) or "device" in str(error):  # CuPy's and PyTorch's wording
        kind = f"{type(data).__module__}.{type(data).__qualname__}"
        raise DeviceTransferError(
            f"{kind} is not in host memory; copy it there first (CuPy: .get(), PyTorch: .cpu()), "
            "or share it where it is with dl.from_dlpack") from error


def _explain_ragged(data: Any) -> None:
    """Raise for the first place in ``data`` whose length differs from that of the first there."""
    level: list[tuple[str, Any]] = [("", data)]
    while level:
        first = _length(level[0][1])
        for place, member in level:
            if _length(member) != first:
                raise ValueError(
                    f"ragged nested lists: data{place} has {_described(_length(member))}, but "
                    f"data{level[0][0]} has {_described(first)}; pad or split them")
        if first is None:
            return
        level = [(f"{place}[{i}]", x) for place, member in level for i, x in enumerate(member)]


def _length(x: Any) -> int | None:
    """How many members ``x`` has, None for a number."""
    if isinstance(x, list | tuple):
        return len(x)
    shape = getattr(x, "shape", ())
    return int(shape[0]) if shape else None


def _described(length: int | None) -> str:
    return "no length: it is a number" if length is None else f"length {length}"


def _no_number(x: Any) -> str:
    kind = "None" if x is None else f"a value of type {type(x).__name__}: {x!r:.60}"
    return f"a tensor holds numbers, not {kind}"


def contiguous(x: Array) -> Array:
    """``x``, a NumPy array, with its elements in row-major order in memory; itself if they are."""
    import numpy as np

    return np.asarray(x, order="C")


# --- files ------------------------------------------------------------------------


def read_file(file: Any, *, mapped: bool = False) -> Any:
    """What ``numpy.load`` finds at a path or in a file: an array, or an open archive of some.

    Nothing is unpickled; if ``mapped``, an array at a path is read where it is asked for, and only read.
    """
    import numpy as np

    return np.load(file, mmap_mode="r" if mapped else None, allow_pickle=False)


# --- random numbers ---------------------------------------------------------------


def random_words(key: int, position: int, count: int) -> Array:
    """Words ``position`` to ``position + count`` of ``numpy.random.Philox(key=key)``; uint64."""
    return load("cpu").random_words(key, position, count)


def uniform(words: Array, dtype: Any = float64) -> Array:
    """One number in [0, 1) per word."""
    return distributions.uniform(load("cpu"), words, dtype)


def integers(words: Array, low: int, high: int) -> Array:
    """One int64 in [low, high) per word."""
    return distributions.integers(load("cpu"), words, low, high)


def normal(words: Array, dtype: Any = float64) -> Array:
    """One standard normal number per word; the words come in pairs."""
    return distributions.normal(load("cpu"), words, dtype)


def permutation(words: Array) -> Array:
    """The numbers 0 to ``len(words) - 1`` in random order."""
    return distributions.permutation(load("cpu"), words)


def generator(seed: Any) -> Any:
    """NumPy's own generator for a seed, for tests that draw many small arrays; a generator is returned."""
    import numpy as np

    return np.random.default_rng(seed)


# --- printing ---------------------------------------------------------------------


def format_array(x: Array, prefix: str = "") -> str:
    """``x`` as NumPy prints it, with commas; further lines are indented by ``prefix``'s length."""
    import numpy as np

    return np.array2string(np.asarray(x), separator=", ", prefix=prefix)
