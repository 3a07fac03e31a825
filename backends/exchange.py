"""Arrays that other libraries are given, or give: what DLPack says of devices, and what must not be shared.

No array that a tensor holds is ever written to, so what leaves is marked read-only where the receiver can
be told so, and is a copy where it cannot.  Who asks for ``copy=False`` gets the array itself.
"""

from __future__ import annotations

from typing import Any

CPU = (1, 0)
"""How DLPack calls the memory of the host."""

CUDA = 2
"""How DLPack calls the memory of a card, whose number follows."""

_FAMILIES = {1: "cpu", CUDA: "cuda", 3: "cpu", 13: "cuda"}  # 3 is pinned, 13 is managed by CUDA
_READ_ONLY = 1, 0
"""The first version of DLPack that can mark an array read-only."""


def backend_name(x: Any) -> str:
    """The name of the backend whose arrays could share the memory of ``x``.

    Raises:
        TypeError: ``x`` does not speak DLPack.
        BufferError: it is in memory that no backend knows.
    """
    if not (hasattr(x, "__dlpack__") and hasattr(x, "__dlpack_device__")):
        raise TypeError(f"from_dlpack: a {type(x).__name__} has no __dlpack__ and __dlpack_device__; "
                        "dl.tensor(data) takes numbers, lists and NumPy arrays")
    kind, number = x.__dlpack_device__()
    family = _FAMILIES.get(int(kind))
    if family is None:
        raise BufferError(f"from_dlpack: the {type(x).__name__} is on a device of DLPack's type {int(kind)}, "
                          "which no backend knows; copy it to the CPU first")
    return f"{family}:{number}" if family == "cuda" and number else family


def must_copy(contiguous: bool, copy: bool | None, max_version: tuple[int, int] | None, marks: bool) -> bool:
    """Whether an array leaves as a copy: asked for, not contiguous, or else open to be written to.

    Args:
        contiguous: whether its elements follow each other in memory, by rows or by columns.
        copy: what the receiver asks for.
        max_version: the newest version of DLPack that the receiver reads.
        marks: whether the library can mark an array read-only.

    Raises:
        BufferError: ``copy`` is False, and the array is not contiguous.
    """
    if not contiguous and copy is False:
        raise BufferError("__dlpack__: the elements do not follow each other in memory, as in a slice with a "
                          "step, and copy=False; let it be copied")
    if copy is None and contiguous:
        return not (marks and max_version is not None and tuple(max_version) >= _READ_ONLY)
    return copy is not False


def unreadable(x: Any, error: Exception) -> BufferError:
    """What to raise where the library of a backend does not know the dtype of ``x``."""
    return BufferError(f"from_dlpack: of dtype {getattr(x, 'dtype', 'unknown')}: {error}; convert it first, "
                       "bfloat16 for example to float32")
