"""Tensor: a value that is computed at once, on whichever backend its array lives."""

from __future__ import annotations

import sys
from typing import Any, ClassVar, final
from weakref import ref

import backends
from backends import OWNERS, Backend, BackendError, DType, as_dtype, backend_of, host
from backends.dtypes import DTYPES
from dlcore import core, hooks, ops
from dlcore.dispatch import apply_to_tensors, exhausted_in, moved
from dlcore.history import NO_PARAMS, HistoryError, Node, Released, Shape, recording, walk
from dlcore.mistakes import followed
from dlcore.operators import Operators


@final
class Tensor(Operators):
    """An array, perhaps with a history; make one with :func:`tensor`.

    ``array`` is the backend's own array, which nothing ever writes to, or for 0-d results on the CPU
    one of NumPy's scalars, with which it computes five times as fast; ``node`` is the history, None
    for a constant.  Both are for the engine; users read ``data``, always an array, and ``requires_grad``.
    """

    __slots__ = ("__weakref__", "_grad", "_hooks", "_role", "array", "node")

    _grad: Tensor | None  # this one and the next two are absent until they are set
    _hooks: list[hooks.Hook]
    _role: str
    level: ClassVar[int] = 0
    apply = staticmethod(apply_to_tensors)

    def __init__(self, array: Any, node: Node | None = None) -> None:
        self.array, self.node = array, node

    def linked(self, node: Node | None) -> Tensor:
        """The same array with another history."""
        return Tensor(self.array, node)

    # --- what it holds -----------------------------------------------------------------------------

    @property
    def data(self) -> Any:
        """The array itself, in the backend's own type; assigning checks shape, dtype and backend."""
        a = self.array
        return a if a.ndim else self._owner().asarray(a)

    @data.setter
    def data(self, new: Any) -> None:
        array, old = new.array if type(new) is Tensor else new, self.array
        if OWNERS.get(type(array)) is not self._owner() and not self._owner().owns(array):
            kind = BackendError if hasattr(array, "dtype") else TypeError
            raise kind(f"data: a {type(array).__name__} cannot replace an array of {self.backend}; "
                       f"make it with dl.tensor(...) or move it with Tensor.to({self.backend!r})")
        if array.shape != old.shape or (array.dtype is not old.dtype and array.dtype != old.dtype):
            raise ValueError(f"data: {self._owner().dtype_name(array)}{tuple(array.shape)} cannot replace "
                             f"{self.dtype}{self.shape}; shape and dtype must stay")
        self.array = array

    @property
    def shape(self) -> Shape:  # type: ignore[override]  # an attribute of Value, computed here
        """The sizes of the axes."""
        return self.array.shape

    @property
    def dtype(self) -> DType:
        """The type of the elements; equal to its name and to NumPy's dtype of that name."""
        return self._owner().dtype_name(self.array)

    @property
    def backend(self) -> str:
        """The name of the backend where the array lives."""
        return self._owner().name

    @property
    def requires_grad(self) -> bool:
        """Whether derivatives reach this tensor: a leaf that asked for them, or computed from one."""
        return self.node is not None

    @requires_grad.setter
    def requires_grad(self, on: bool) -> None:
        if self.node is not None and self.node.primitive is not None:
            raise HistoryError("requires_grad: this tensor was computed, not made; detach() it first")
        self.node = leaf_of(self) if on else None

    @property
    def grad(self) -> Tensor | None:
        """What :meth:`backward` has gathered here; None before, and after ``x.grad = None``."""
        return getattr(self, "_grad", None)

    @grad.setter
    def grad(self, new: Tensor | None) -> None:
        if new is not None and (type(new) is not Tensor or new.shape != self.shape or new.dtype != self.dtype
                                or new._owner() is not self._owner()):
            raise ValueError(f"grad: must be None or a tensor like this one, {self.dtype}{self.shape} on "
                             f"{self.backend}; got {new!r}")
        self._grad = new

    @property
    def role(self) -> str | None:
        """``"parameter"`` or ``"buffer"`` for a tensor that plays that part in a module."""
        return getattr(self, "_role", None)

    def _owner(self) -> Backend:
        return OWNERS.get(type(self.array)) or backend_of(self.array)

    # --- out of the graph, off the device ------------------------------------------------------------

    def detach(self) -> Tensor:
        """The same array without history."""
        return Tensor(self.array)

    def numpy(self) -> Any:
        """The values as a NumPy array: a read-only view on the CPU, a copy from elsewhere."""
        view = self._owner().to_host(self.data).view()
        view.flags.writeable = False
        return view

    def __dlpack__(self, *, stream: Any = None, max_version: tuple[int, int] | None = None,
                   dl_device: tuple[int, int] | None = None, copy: bool | None = None) -> Any:
        """The array for another library, without a copy where it cannot be written to there.

        That is where the library reads the mark that says so (NumPy); others get a copy, unless they ask
        for ``copy=False``: then they share the memory, and must not write to it.

        Raises:
            BufferError: this tensor requires gradients; or what is asked for cannot be done.
        """
        if copy is None and sys._getframe(1).f_globals.get("__name__") == "torch.utils.dlpack":
            copy = True  # PyTorch asks for the version that has the mark, and writes all the same
        return self._owner().to_dlpack(self._exported("__dlpack__"), stream=stream, max_version=max_version,
                                       dl_device=dl_device, copy=copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        """Where the array is, in the terms of DLPack: a type of device and its number."""
        return self._owner().dlpack_device()

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """Where on a card the array is, marked read-only; no attribute of tensors elsewhere."""
        if not hasattr(self.array, "__cuda_array_interface__"):
            raise AttributeError(f"__cuda_array_interface__: this tensor is on {self.backend}, not on CUDA")
        known = self._exported("__cuda_array_interface__").__cuda_array_interface__
        return {**known, "data": (known["data"][0], True)}

    def _exported(self, name: str) -> Any:
        if self.node is not None:
            raise BufferError(f"{name}: this tensor requires gradients, which another library would lose; "
                              "export x.detach()")
        return self.data

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers."""
        return self.numpy().tolist()

    def item(self) -> Any:
        """The value of a one-element tensor as a Python number.

        Raises:
            ValueError: there are more elements, or none.
        """
        if self.array.size != 1:
            raise ValueError(f"item: shape {self.shape} has {self.size} elements, not one; use tolist()")
        return self._owner().scalar(self.array)

    def to(self, target: Any) -> Tensor:
        """This tensor on another backend, or in another dtype; recorded like any operation.

        Args:
            target: a backend's name (``"cuda"``), or a dtype or the name of one.
        """
        if not isinstance(target, str) or target in DTYPES:
            return self.astype(target)
        return moved(self, backends.get_backend(target))

    def __float__(self) -> float: return float(self._one("float"))
    def __int__(self) -> int: return int(self._one("int"))
    def __bool__(self) -> bool: return bool(self._one("bool"))
    def __complex__(self) -> complex: return complex(self._one("complex"))

    def __index__(self) -> int:
        if self.dtype.kind != "int":
            raise TypeError(f"only an integer tensor can be an index, not {self.dtype}")
        return int(self._one("an index"))

    def _one(self, wanted: str) -> Any:
        if self.size != 1:
            raise ValueError(f"{wanted}() of a tensor of shape {self.shape}, {self.size} elements, is "
                             "ambiguous; use dl.any(x), dl.all(x), x.item() or dl.where(...)")
        return self.numpy().item()

    # --- derivatives -----------------------------------------------------------------------------------

    def backward(self, cotangent: Any = None, create_graph: bool = False,
                 retain_graph: bool | None = None) -> None:
        """Add d(self)/d(leaf), weighted by ``cotangent``, to the ``.grad`` of every leaf behind it.

        Args:
            cotangent: of this tensor's shape; may be left out if that is ().
            create_graph: record the pass, so that the gradients can be differentiated.
            retain_graph: keep the history for another pass; None means: if ``create_graph``.

        Raises:
            ValueError: not a scalar and no ``cotangent``; no history; or a history already released.
            OutOfMemoryError: there is no room for a gradient.
        """
        if self.node is None:
            raise HistoryError("backward: this tensor has no history; nothing it was computed from requires "
                               "a gradient (dl.tensor(..., requires_grad=True)), or it ran under no_grad")
        keep = create_graph if retain_graph is None else retain_graph
        release = None if keep else Released(sys._getframe(1))
        order, _ = walk((self.node,))
        try:
            if create_graph:
                with recording(True):
                    g = self._cotangent(cotangent)
                    gather(core.pullback(order, {self.node: g}, recorded=True, release=release))
                return
            xp, a = self.node.xp, self.array
            if cotangent is None and a.shape == () and not xp.is_complex(a):  # nearly always
                g = xp.one_like(a)
            else:
                g = self._cotangent(cotangent).array
            gather(core.pullback(order, {self.node: g}, recorded=False, release=release))
        except MemoryError as error:
            raise exhausted_in("backward", error, self.node) from None

    def register_hook(self, hook: hooks.Hook) -> hooks.HookHandle:
        """From now on, ``hook(gradient)`` is called whenever a pass has the gradient of this tensor complete.

        Hooks are called in the order they came; ``remove()`` of what is returned ends one.  A leaf's hooks
        see what one :meth:`backward` adds to its ``.grad``, before it is added, and stay when it is moved or
        frozen.  A copy has none, and of what :func:`grad` and its like differentiate in none is called.

        Args:
            hook: sees the gradient as a tensor.  What it returns takes its place, unless it is None: it is
                what goes further back, or into ``.grad``.

        Raises:
            ValueError: this tensor requires no gradient.

            >>> x = tensor([1.0, 2.0], requires_grad=True)
            >>> with x.register_hook(lambda g: g * 10.0):
            ...     (x * x).sum().backward()
            >>> x.grad
            tensor([20., 40.], float32)
        """
        return hooks.register(self, hook)

    def _cotangent(self, given: Any) -> Tensor:
        """The cotangent to begin with, of this tensor's shape and dtype, as passes carry it."""
        if given is not None:
            return ops.conj(matching("backward: the cotangent", given, self))
        if ops.is_complex(self):
            raise TypeError(f"backward: {self.dtype}{self.shape} is complex, a loss must be real; take "
                            "dl.real or dl.abs of it, or pass a cotangent")
        if self.shape != ():
            raise ValueError(f"backward: shape {self.shape} is not a scalar; reduce it with .sum() or "
                             ".mean(), or pass a cotangent of that shape")
        return Tensor(self._owner().one_like(self.array))

    # --- printing and copying ----------------------------------------------------------------------------

    def __repr__(self) -> str:
        parts = [host.format_array(self.numpy(), prefix="tensor("), str(self.dtype)]
        if self.backend != "cpu":
            parts.append(self.backend)
        if self.node is not None:
            maker = self.node.params.get("maker", self.node.primitive)  # behind hooks is who computed it
            parts.append("requires_grad" if maker is None else f"from {maker.name}")
        return f"tensor({', '.join(parts)})"

    def __format__(self, spec: str) -> str:
        """A 0-d tensor formats as its number, ``f"{loss:.3f}"``; others only as they print."""
        return format(self.item(), spec) if spec and self.array.shape == () else format(repr(self), spec)

    def __reduce__(self) -> Any:
        leaf = self.node is not None and self.node.primitive is None
        return rebuilt, (self.numpy(), str(self.dtype), self.backend, leaf, self.role)

    def __copy__(self) -> Tensor:
        return rebuilt(*self.__reduce__()[1])

    def __deepcopy__(self, memo: Any) -> Tensor:
        return rebuilt(*self.__reduce__()[1])


def home_of(x: Any) -> Backend:
    """The backend where the array of a value is, or will be."""
    return x._owner() if type(x) is Tensor else x.xp  # a Symbol says so


def matching(what: str, given: Any, like: Any) -> Any:
    """``given``, a value or data for one, in the dtype of ``like``, whose shape and backend it must have."""
    home = home_of(like)
    if not isinstance(given, core.Value):
        given = Tensor(home.from_host(host.array(given, core.dtype_of(like))))
    if given.shape != like.shape:
        raise ValueError(f"{what} has shape {given.shape}, not {like.shape}")
    if home_of(given) is not home:
        raise BackendError(f"{what} is on {home_of(given).name}, its value on {home.name}; "
                           f"move it with Tensor.to({home.name!r})")
    if ops.is_complex(given) and not ops.is_complex(like):
        raise TypeError(f"{what} is complex, its value is real; take dl.real of it")
    return core.cast_like(given, like)


def gather(found: dict[Node, Any]) -> None:
    """Add what a pass has found to the gradients of the leaves: new tensors, nothing is written to."""
    for node, d in found.items():
        if (leaf := node.out()) is not None:
            g, a = d if type(d) is Tensor else Tensor(d), leaf.array
            scalars = type(g.array) is type(a) is not node.xp.array_type  # they agree, and .dtype is slow
            if not scalars and g.array.dtype is not a.dtype:  # NumPy makes float32 of bfloat16 and a number
                g = core.cast_like(g, leaf)
            if node.params:  # of complex numbers, or with hooks; asking for the dtype would be slow again
                g = ops.conj(g) if "conjugate" in node.params else g
                g = hooks.called(node.params.get("hooks", []), g, recorded=type(d) is Tensor)
            before = getattr(leaf, "_grad", None)
            if before is not None:
                g = before + g
                followed(before, g, added=True)
            leaf._grad = g


def leaf_of(x: Tensor) -> Node:
    """A node for ``x`` as a leaf that gathers gradients."""
    if x.dtype.kind not in ("float", "complex"):
        raise TypeError(f"requires_grad: {x.dtype} has no derivatives; use a float dtype, "
                        "for example dl.tensor(..., dtype='float32')")
    params: dict[str, Any] = {"conjugate": True} if ops.is_complex(x) else {}
    if hasattr(x, "_hooks"):
        params["hooks"] = x._hooks
    return Node(None, (), (), params or NO_PARAMS, ref(x), x._owner())


def rebuilt(array: Any, dtype: str, backend: str, leaf: bool, role: str | None) -> Tensor:
    """A tensor from what a pickle or a copy keeps of it; without history."""
    x = Tensor(backends.get_backend(backend).from_host(array, dtype))
    x.node = leaf_of(x) if leaf else None
    if role is not None:
        x._role = role
    return x


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor with a copy of ``data``, on the selected backend.

    Args:
        data: a number, nested lists of numbers, a NumPy array or a tensor.  Python floats become the
            default float, ints int64, bools bool; NumPy arrays and scalars keep their dtype.
        dtype: of the result; None as above.
        requires_grad: whether :meth:`Tensor.backward` gathers a gradient here.

    Raises:
        ValueError: a ragged list, or an unknown dtype.
        TypeError: strings or objects; ``requires_grad`` with a dtype that has no derivatives.

        >>> tensor([1.0, 2.0])
        tensor([1., 2.], float32)
    """
    chosen = None if dtype is None else as_dtype(dtype)
    read = data._owner().to_host(data.array) if type(data) is Tensor else host.array(data, chosen)
    x = Tensor(backends.current().from_host(read, chosen))
    if requires_grad:
        x.node = leaf_of(x)
    return x


core.Tensor = Tensor
