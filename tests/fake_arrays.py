"""The arrays of the stand-in for CuPy: NumPy cannot see into them, and nobody reads a value unseen."""

import types

import numpy as np

from tests import fake_cuda


class ndarray:  # noqa: N801  the name is CuPy's; arrays have no hash
    """An array that NumPy cannot see into."""

    __array_ufunc__ = None
    __slots__ = ("card", "memory")

    def __init__(self, host, dtype=None, memptr=None) -> None:
        self.memory = np.asarray(host) if memptr is None else memptr.array(host, dtype)
        self.card = fake_cuda.machine.current
        if self.memory.base is None:
            fake_cuda.taken(self.memory)

    @property
    def host(self):
        """The values, once everything has happened that the stream waits for."""
        if self.card != (current := fake_cuda.machine.current):
            raise ValueError(f"The device where the array resides ({self.card}) is different from "
                             f"the current device ({current}).")
        fake_cuda.get_current_stream().synchronize()
        return self.memory

    def __array__(self, *args, **kwargs):
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def __getitem__(self, index):
        return ndarray(self.host[wrapped(self, index)])

    def __setitem__(self, index, value) -> None:
        places = wrapped(self, index)
        if any(isinstance(i, np.ndarray) and i.dtype != bool for i in places):
            numbered = np.arange(self.size).reshape(self.shape)[places]
            if np.unique(numbered).size < numbered.size:
                raise ValueError("a place is written twice; which value stays, CuPy leaves open")
        self.host[places] = hidden(value)

    def astype(self, dtype):
        return plainly(np.ndarray.astype, self, dtype)

    def copy(self):
        return ndarray(self.host.copy())

    def fill(self, value) -> None:
        self.host.fill(value)

    def set(self, host_array, stream) -> None:
        fake_cuda.copy_later(self, host_array, stream)

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        """A capsule; of the memory of a card only the stand-in knows what to do with it."""
        if dl_device == (1, 0):
            if copy is False:
                raise BufferError("a copy is needed")
            return self.host.copy().__dlpack__(max_version=max_version)
        return types.SimpleNamespace(array=ndarray(self.host), stream=stream)

    def __dlpack_device__(self):
        return 2, self.card

    @property
    def __cuda_array_interface__(self):
        return {"shape": self.shape, "typestr": self.dtype.str, "data": (self.data.ptr, False), "version": 3}

    flags = property(lambda self: types.SimpleNamespace(forc=self.memory.flags.forc))
    device = property(lambda self: fake_cuda.Device(self.card))
    data = property(lambda self: types.SimpleNamespace(ptr=self.memory.ctypes.data))
    T = property(lambda self: ndarray(self.host.T))
    mT = property(lambda self: ndarray(self.host.mT))


def refuse(name):
    """Let an attribute that reads a value, and so waits for the device unseen, be an error."""

    def read(self, *args):
        raise TypeError(f"{name} of an array waits for the device where no meter sees it")

    setattr(ndarray, name, read)


def delegate(name):
    """Let the array have an attribute of NumPy's."""
    setattr(ndarray, name, property(lambda self: getattr(self.memory, name)))


def operate(name):
    """Let the array have an operator of NumPy's, between arrays of its own kind and scalars."""
    setattr(ndarray, name, lambda x, *y: plainly(getattr(np.ndarray, name), x, *y))


OPERATORS = (
    "add", "sub", "mul", "truediv", "mod", "neg", "abs", "rshift", "lshift", "and", "or", "invert",
    "lt", "le", "gt", "ge", "eq", "ne",
)  # fmt: skip
for _name in ("__bool__", "__int__", "__float__", "__complex__", "item", "tolist", "get"):
    refuse(_name)
for _name in ("shape", "ndim", "size", "dtype", "itemsize", "nbytes", "strides"):
    delegate(_name)
for _stem in OPERATORS:
    operate(f"__{_stem}__")
    if hasattr(np.ndarray, f"__r{_stem}__"):
        operate(f"__r{_stem}__")
for _stem in ("add", "mul"):

    def _in_place(self, other, name=f"__i{_stem}__"):
        with np.errstate(all="ignore"):
            getattr(self.host, name)(hidden(other))
        return self

    setattr(ndarray, f"__i{_stem}__", _in_place)


def hidden(x):
    """What NumPy may compute with; host arrays are refused as CuPy refuses them."""
    if isinstance(x, ndarray):
        return x.host
    if isinstance(x, np.ndarray):
        raise TypeError(f"Unsupported type {type(x)}")
    if isinstance(x, tuple | list):
        return type(x)(map(hidden, x))
    return x


def shown(x):
    """A result of NumPy as an array of the device; of several, each."""
    if isinstance(x, tuple):
        return tuple(map(shown, x))
    return ndarray(x) if isinstance(x, np.ndarray | np.generic) else x


def wrapped(x, index):
    """``index`` with its integer arrays taken modulo the axis, as CuPy does without a word."""
    index = index if isinstance(index, tuple) else (index,)
    taken = [i.ndim if is_mask(i) else i is not None and i is not ... for i in index]
    out = []
    axis = 0
    for i, n in zip(index, taken, strict=True):
        wraps = isinstance(i, ndarray) and not is_mask(i)
        out.append(i.host % x.shape[axis] if wraps else hidden(i))
        axis += x.ndim - sum(taken) if i is ... else n
    return tuple(out)


def is_mask(i):
    """Whether ``i`` is a boolean array."""
    return isinstance(i, ndarray) and i.dtype == bool


def plainly(function, *args, **kwargs):
    """A function of NumPy on arrays of the device, where nothing ever warns."""
    with np.errstate(all="ignore"):
        try:
            return shown(function(*map(hidden, args), **{k: hidden(v) for k, v in kwargs.items()}))
        except np.linalg.LinAlgError:  # CuPy: "may yield invalid results"
            return ndarray(np.full(args[0].shape, np.nan))
