"""What every kernel of the CUDA backend computes, beside NumPy's own answer.

The kernels run on the host, by their own text, or on a card, in the sizes where mistakes hide:
nothing, one element, a little more than a warp, and a prime number of them; the arguments lie one
after another in memory or in every second place.  On the host, with ``--sanitize``, every access
outside an array ends the process, which must have been started with AddressSanitizer (see
``host_kernels``)::

    python -m tests.kernel_cases [--sanitize] [KERNEL ...]
"""

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

import backends
from tests import fake_cupy, host_kernels

SIZES = (0, 1, 33, 1_000_003)
FLOATS = ("float16", "bfloat16", "float32", "float64")
COMPLEX = ("complex64", "complex128")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
LENGTH = 17  # of the axis that indices point into


class Case(NamedTuple):
    """The dtypes a kernel is used with, and how it is run and compared."""

    dtypes: tuple[str, ...]
    check: Callable[..., None]


class Machine(NamedTuple):
    """Where kernels run: the file of them, and the way there and back."""

    kernels: Any
    put: Callable[[Any], Any]
    get: Callable[[Any], Any]

    def laid_out(self, x, step):
        """``x`` as an array of the device, in every ``step``-th place of its memory."""
        room = np.empty((max(len(x) * step - step + 1, 0), *x.shape[1:]), x.dtype)
        room[::step] = x
        return self.put(room)[::step]


def the_host():
    """The machine that the stand-in for CuPy is, where there is a C++ compiler."""
    return Machine(fake_cupy.kernels(), fake_cupy.ndarray, lambda x: x.host)


def small(n, dtype, rng):
    """``n`` small whole numbers from 0 to 5, a third of them 0."""
    return (rng.integers(0, 6, n) * rng.integers(0, 2, n)).astype(numpy_dtype(dtype))


def numpy_dtype(name):
    """NumPy's dtype of a name."""
    return backends.get_backend("cpu").dtype(name)


# --- a case for every kernel ---------------------------------------------------------


def bound_index(on, n, dtype, step, rng):
    low = 0 if dtype.startswith("u") else -3 * LENGTH
    index = rng.integers(low, 3 * LENGTH, n).astype(dtype)
    inside = on.put(np.full(n, -1, np.int64))
    report = on.put(np.zeros(3, np.int64))

    on.kernels.bound_index(on.laid_out(index, step), LENGTH, 5, inside, report)

    wide = index.astype(np.int64)
    place = np.where(wide < 0, wide + LENGTH, wide)
    assert_array_equal(on.get(inside), np.clip(place, 0, LENGTH - 1))
    outside = wide[(place < 0) | (place >= LENGTH)]
    operation, wrong, length = on.get(report).tolist()
    assert (operation, length) == ((5, LENGTH) if outside.size else (0, 0))
    assert wrong in outside if outside.size else wrong == 0


def add_runs(on, n, dtype, step, rng):
    places = np.sort(rng.integers(0, LENGTH, n))
    order = rng.permutation(n)
    values = rng.integers(0, 9, n).astype(dtype)
    out = np.ones(LENGTH, dtype)
    expected = out.copy()
    np.add.at(expected, places, values[order])

    found = on.put(out)
    laid = [on.laid_out(x, step) for x in (places, order, values)]
    on.kernels.add_runs(*laid, n, 0, found, size=n)

    assert_array_equal(on.get(found), expected)


def zero_safe(name, on, n, dtype, step, rng):
    d, r = small(n, dtype, rng), rng.integers(1, 6, n).astype(numpy_dtype(dtype))
    whole = np.dtype(numpy_dtype(dtype)).kind in "iu"
    if not whole:
        r = np.where(d == 0, np.asarray(np.inf, r.dtype), r)
    with np.errstate(all="ignore"):
        plain = d * r if name == "multiply" else d // r if whole else d / r

    found = getattr(on.kernels, f"zero_safe_{name}")(on.laid_out(d, step), on.laid_out(r, step))

    expected = np.where(d == 0, np.zeros_like(plain), plain)
    assert found.dtype == d.dtype
    allowed = 0 if whole or dtype in FLOATS else 8 * np.finfo(dtype).eps  # of complex quotients
    wide = "complex128" if dtype in COMPLEX else "float64"
    assert_allclose(on.get(found).astype(wide), expected.astype(wide), rtol=allowed, atol=0)


def philox(on, n, dtype, step, rng):
    key, block, skipped = int(rng.integers(2**63)), 2**64 - 3, n % 4  # the counter's carry is met
    words = on.put(np.zeros(n, dtype))
    counter = [np.uint64((block + 1) >> shift & 2**64 - 1) for shift in (0, 64, 128, 192)]

    on.kernels.philox(np.uint64(key), np.uint64(0), *counter, skipped, n, words, size=-(-(skipped + n) // 4))

    source = np.random.Philox(key=key, counter=block)
    assert_array_equal(on.get(words), source.random_raw(skipped + n)[skipped:])


CASES = {
    "bound_index": Case(INTEGERS, bound_index),
    "add_runs": Case(("int32", "int64", "uint32", "uint64", "float32", "float64"), add_runs),
    "zero_safe_multiply": Case(
        (*FLOATS, *COMPLEX, "int32", "int64"), lambda *a: zero_safe("multiply", *a)
    ),
    "zero_safe_divide": Case((*FLOATS, *COMPLEX, "int32", "int64"), lambda *a: zero_safe("divide", *a)),
    "philox": Case(("uint64",), philox),
}


def run(name, sizes=SIZES, on=None):
    """Run one kernel in every dtype, size and layout, on the host or elsewhere; how many runs that were."""
    on = on or the_host()
    runs = [(n, d, step) for n in sizes for d in CASES[name].dtypes for step in (1, 2)]
    for n, dtype, step in runs:
        CASES[name].check(on, n, dtype, step, np.random.default_rng(n))
    return len(runs)


if __name__ == "__main__":
    flags, names = [a for a in sys.argv[1:] if a[0] == "-"], [a for a in sys.argv[1:] if a[0] != "-"]
    if "--sanitize" in flags:
        host_kernels.FLAGS.extend(host_kernels.SANITIZER)
    for name in names or CASES:
        print(f"{name}: {run(name)} runs")  # noqa: T201  what the test that started this reads
