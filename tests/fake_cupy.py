"""A stand-in for CuPy, so that the file of the CUDA backend runs on a machine without a GPU.

Names and signatures are the real ones (``cupy_signatures.json``), the arithmetic is NumPy's, and
what is silent or undefined on a device behaves as badly here as it can: index arrays wrap, host
arrays are refused, values come out only through ``asnumpy``.  Kernels run: their text is compiled
for the host by a C++ compiler.
"""

import contextlib
import ctypes
import importlib
import math
import re
import sys
import types
from ctypes import c_void_p
from functools import cache, partial
from unittest import mock

import array_api_strict
import numpy as np
import scipy.special

import backends
from tests import fake_cuda
from tests.cupy_signatures import bind, known
from tests.fake_arrays import hidden, ndarray, plainly, wrapped
from tests.host_kernels import (
    COMPILER,
    compiled,
    loop,
    needs_compiler,  # noqa: F401  what tests on the stand-in ask for
    widened,
)

ATOMIC = ("int32", "int64", "uint32", "uint64", "float16", "float32", "float64")
traffic = fake_cuda.traffic


# --- functions -----------------------------------------------------------------------


def called(name, function, *args, **kwargs):
    """``function`` of NumPy in place of CuPy's ``name``, if CuPy's can be called so."""
    bind(name, *args, **kwargs)
    return plainly(function, *args, **kwargs)


def array(x, dtype=None, order="C", *, blocking=False):
    if isinstance(x, ndarray):
        return ndarray(np.array(x.host, dtype, order=order))
    out = ndarray(np.array(x, dtype, order=order))
    as_it_is = isinstance(x, np.ndarray) and x.size and x.dtype == out.dtype
    if as_it_is and not blocking and fake_cuda.is_memory_pinned(x.ctypes.data):
        out.set(x, fake_cuda.get_current_stream())
    else:
        traffic["to_device"] += 1
    return out


def from_dlpack(x, *, device=None, copy=None):
    kind, card = x.__dlpack_device__()
    if kind != 2:
        raise TypeError("CPU arrays cannot be directly imported to CuPy.")
    with fake_cuda.Device(card):
        return x.__dlpack__(stream=1, max_version=(1, 0), copy=copy).array


def asnumpy(x):
    traffic["to_host"] += 1
    with x.device:
        return x.host.copy()


def scatter_add(x, index, values):
    if x.dtype.name not in ATOMIC:
        raise TypeError(f"cupy.add.at only supports int32, int64, float16, ..., not {x.dtype}")
    places = np.arange(x.size).reshape(x.shape)[wrapped(x, index)]
    values = np.broadcast_to(hidden(values), places.shape)
    backwards = np.unravel_index(places.ravel()[::-1], x.shape)  # atomic additions come in any order
    np.add.at(x.host, backwards, values.ravel()[::-1])


def take(x, indices, axis):
    return np.take(x, indices, axis, mode="wrap")


def take_along_axis(x, indices, axis):
    return np.take_along_axis(x, indices % x.shape[axis], axis)


def total(x, axis=None, dtype=None, keepdims=False):
    """CuPy accumulates halves in float32."""
    wide = np.float32 if x.dtype.itemsize == 2 and dtype is None else dtype
    out = np.sum(x, axis=axis, dtype=wide, keepdims=keepdims)
    return out.astype(x.dtype) if x.dtype.itemsize == 2 and dtype is None else out


def matmul(x, y):
    """CuPy multiplies halves in float32."""
    half = x.dtype.itemsize == 2
    return np.matmul(x.astype("f4"), y.astype("f4")).astype(x.dtype) if half else np.matmul(x, y)


def einsum(subscripts, *xs, optimize=False):
    half = xs[0].dtype.itemsize == 2
    wide = [x.astype("f4") for x in xs] if half else xs
    return np.einsum(subscripts, *wide, optimize=optimize).astype(xs[0].dtype)


def solve(x, y):
    """Of a singular matrix CuPy makes no error, but infinities and nans."""
    if x.shape[:-1] != y.shape[:-1]:
        raise ValueError("a must have (..., M, M) shape and b must have (..., M, K)")
    try:
        return np.linalg.solve(x, y)
    except np.linalg.LinAlgError:
        return np.full(y.shape, np.nan)


OWN = {
    "cupy.linalg.solve": solve,
    "cupy.sum": total,
    "cupy.take": take,
    "cupy.take_along_axis": take_along_axis,
    "cupy.matmul": matmul,
    "cupy.einsum": einsum,
    "cupy.sort": partial(np.sort, stable=True),
    "cupy.argsort": partial(np.argsort, stable=True),
}


# --- kernels -------------------------------------------------------------------------


class ElementwiseKernel:
    """A kernel that a loop on the host runs; halves are computed in float32."""

    def __init__(self, in_params, out_params, operation, name) -> None:
        self.nin = in_params.count(",") + 1
        self.params = re.findall(r"(raw )?(\w+) (\w+)", f"{in_params}, {out_params}")
        self.operation = operation
        self.name = name

    def __call__(self, *args, size=None):
        if len(args) not in (self.nin, len(self.params)):
            raise TypeError(f"Wrong number of arguments for {self.name!r}")
        of_letter = self.types_of_letters(args)
        types_ = [of_letter.get(kind, kind) for _, kind, _ in self.params]
        looped = [
            a.shape
            for a, (raw, _, _) in zip(args, self.params, strict=False)
            if isinstance(a, ndarray) and not raw
        ]
        shape = np.broadcast_shapes(*looped) if size is None else (size,)
        outs = args[self.nin :] or [
            ndarray(np.empty(shape, numpy_type(t))) for t in types_[self.nin :]
        ]
        host = [
            self.flat(a, raw, t, shape)
            for a, (raw, _, _), t in zip(
                [*args[: self.nin], *outs], self.params, types_, strict=True
            )
        ]
        function = compiled(loop(self.params, self.operation, tuple(map(widened, types_))))
        function(ctypes.c_longlong(math.prod(shape)), *(c_void_p(h.ctypes.data) for h in host))
        for out, computed in zip(outs, host[self.nin :], strict=True):
            out.host[...] = computed.reshape(out.shape).astype(out.dtype)
        return outs[0]

    def types_of_letters(self, args):
        """What each type that is a letter stands for; arrays of two dtypes cannot share one."""
        found = {}
        for a, (_, kind, _) in zip(args, self.params, strict=False):
            letter = len(kind) == 1 and isinstance(a, ndarray)
            if letter and found.setdefault(kind, a.dtype.name) != a.dtype.name:
                raise TypeError(f"Type is mismatched. {self.name} {kind}")
        return found

    def flat(self, a, raw, type_, shape):
        """An argument as contiguous memory, repeated for every step of the loop unless raw."""
        x = np.asarray(hidden(a)).astype(numpy_type(widened(type_)))
        return np.array(x if raw else np.broadcast_to(x, shape), order="C")


def numpy_type(type_):
    """The NumPy dtype of a name."""
    return backends.get_backend("cpu").dtype(type_)


# --- modules -------------------------------------------------------------------------


def modules():
    """What ``import`` shall find: CuPy, cupyx, and CuPy as array-api-compat shows it."""
    cupy = filled(
        "cupy",
        np,
        ndarray=ndarray,
        array=array,
        asarray=array,
        dtype=np.dtype,
        asnumpy=asnumpy,
        from_dlpack=from_dlpack,
        ElementwiseKernel=ElementwiseKernel,
    )
    cupy.cuda = fake_cuda.module()
    cupy.get_default_memory_pool = lambda: fake_cuda.pool
    cupy.linalg = filled("cupy.linalg", np.linalg)
    tricks = filled("cupy.lib.stride_tricks", np.lib.stride_tricks)
    cupy.lib = types.SimpleNamespace(stride_tricks=tricks)
    special = filled("cupyx.scipy.special", scipy.special)
    standard = standardized("array_api_compat.cupy", array_api_strict, np)
    standard.finfo, standard.iinfo = np.finfo, np.iinfo
    standard.linalg = standardized("linalg", array_api_strict.linalg, np.linalg)
    standard.fft = standardized("fft", array_api_strict.fft, np.fft)
    return {
        "cupy": cupy,
        "cupyx": types.SimpleNamespace(scatter_add=scatter_add, empty_pinned=fake_cuda.empty_pinned),
        "cupyx.scipy": types.SimpleNamespace(special=special),
        "cupyx.scipy.special": special,
        "array_api_compat": types.SimpleNamespace(cupy=standard),
        "array_api_compat.cupy": standard,
    }


def standardized(name, standard, library):
    """A module with the functions of the standard, and no others."""
    module = types.ModuleType(name)
    for short in standard.__all__:
        function = getattr(library, short, None)
        if callable(function) and not isinstance(function, type):
            setattr(module, short, partial(plainly, function))
    return module


def filled(name, library, **own):
    """A module with the names that the file of signatures has for it."""
    module = types.ModuleType(name)
    for full in known():
        prefix, _, short = full.rpartition(".")
        if prefix == name and hasattr(library, short):
            thing = getattr(library, short)
            function = partial(called, full, OWN.get(full, thing))
            setattr(module, short, thing if isinstance(thing, type) else function)
    vars(module).update(own)
    return module


@contextlib.contextmanager
def installed():
    """Lets the files of the CUDA backend be imported anew, and find the stand-in for CuPy."""
    if COMPILER is None:
        raise backends.BackendError("kernels run on the host only with g++ or clang++")
    names = ("cupy_backend", "cupy_library", "cupy_linalg", "cuda_devices", "cuda_kernels", "cuda_uploads")
    with mock.patch.dict(sys.modules, modules()), mock.patch.dict(vars(backends)):
        for name in names:  # the real ones, if there are any, come back at the end of the block
            sys.modules.pop(f"backends.{name}", None)
            vars(backends).pop(name, None)
        yield


@cache
def load():
    """A backend made by the file of the CUDA backend, computing with the stand-in."""
    with installed():
        backend = importlib.import_module("backends.cupy_backend").CupyBackend()
    backend.name = "fakecuda"
    return backend


def kernels():
    """The file of kernels, as the stand-in runs them."""
    return type(load()).random_words.__globals__["cuda_kernels"]
