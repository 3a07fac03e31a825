"""Which backends there are, which is selected, and which owns an array.

The selection decides where *new* arrays are made.  An operation runs where its arguments already
are, so changing the selection never moves existing data.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from importlib import import_module
from operator import attrgetter
from threading import RLock
from typing import Any

from backends.base import Backend
from backends.errors import BackendError
from backends.memory import MemoryMeter

ENTRY_POINTS = "dlcore.backends"
"""The entry-point group in which other distributions declare their backends."""

OWNERS: dict[type, Backend] = {}
"""Array type → backend, where it alone has arrays of that type and is alone of its kind on the machine."""

Factory = Callable[..., Backend]

_factories: dict[str, Factory | _LazyFactory] = {}
_loaded: dict[str, Backend] = {}
_loading = RLock()
_hiding = 0
_default: Backend | None = None
_override: ContextVar[Backend | None] = ContextVar("dlcore_backend", default=None)


# --- registering and loading -----------------------------------------------------


def register_backend(name: str, source: str | Factory, attribute: str | None = None) -> None:
    """Make a backend selectable as ``name``; nothing is imported or called before it is selected.

    Args:
        name: letters, digits, ``-`` and ``_``; not ``"auto"``.  Devices are told apart by a number,
            ``name:1``, which the factory is called with; plain ``name`` calls it without.
        source: a callable that gives a :class:`Backend`, or the name of the module that has it.
        attribute: the callable's name in that module; only with a module.
    """
    if not name.replace("-", "_").isidentifier() or name == "auto":
        raise BackendError(f"register_backend: {name!r} cannot be the name of a backend; "
                           "use letters, digits, - and _, and not 'auto'")
    factory: Factory | _LazyFactory
    if callable(source):
        factory = source
    elif attribute is not None:
        factory = _LazyFactory(source, attribute)
    else:
        raise TypeError(f"register_backend: {name!r} needs a callable, or a module and the name "
                        f"of a callable in it, got {source!r} alone")
    with _loading:
        if any(loaded.partition(":")[0] == name for loaded in _loaded):
            raise BackendError(f"register_backend: {name!r} is in use and cannot be replaced")
        _factories[name] = factory


class _LazyFactory:
    """A callable in a module that is not imported yet."""

    def __init__(self, module: str, attribute: str) -> None:
        self.module, self.attribute = module, attribute

    def resolve(self) -> Factory:
        factory: Factory = getattr(import_module(self.module), self.attribute)
        return factory


def _load_cuda(ordinal: int = 0) -> Backend:
    import_module("backends.cuda_probe").probe(ordinal)
    backend: Backend = import_module("backends.cupy_backend").CupyBackend(ordinal)
    return backend


def load(name: str) -> Backend:
    """The backend called ``name``, importing its array library on first use; always the same one.

    ``name:0`` is ``name``.
    """
    if (found := _loaded.get(name)) is not None:
        return found
    if name == "auto":
        return _automatic()
    family, ordinal = _parse(name)
    with _loading:
        name = f"{family}:{ordinal}" if ordinal else family
        if name not in _loaded:
            _loaded[name] = _make(name, family, ordinal)
            _claim_arrays()
        return _loaded[name]


def _parse(name: str) -> tuple[str, int]:
    """``"cuda:1"`` as ``("cuda", 1)``, ``"cuda"`` as ``("cuda", 0)``."""
    if not isinstance(name, str):
        raise TypeError(f"a backend is selected by name, such as 'cpu', got {name!r}")
    family, colon, number = name.partition(":")
    if family not in _factories:
        _read_entry_points()
    if family not in _factories or (colon and not number.isdecimal()):
        known = ", ".join(sorted([*_factories, "auto"]))
        raise BackendError(f"unknown backend {name!r}; known: {known}")
    return family, int(number or 0)


def _make(name: str, family: str, ordinal: int) -> Backend:
    factory = _factories[family]
    try:
        if isinstance(factory, _LazyFactory):
            factory = factory.resolve()
        backend = factory(ordinal) if ordinal and _takes_ordinal(name, factory) else factory()
    except BackendError:
        raise
    except (ImportError, AttributeError, RuntimeError) as error:
        raise BackendError(f"backend {name!r} is not available: {error}") from error
    if not isinstance(backend, Backend):
        raise BackendError(f"backend {name!r}: its factory gave {type(backend).__name__}, "
                           "not a backends.Backend")
    return backend


def _takes_ordinal(name: str, factory: Factory) -> bool:
    """True, or an error if the factory does not take the number of a device."""
    import inspect  # 4 ms, needed only for names with a number

    try:
        inspect.signature(factory).bind(0)
    except TypeError:
        raise BackendError(f"unknown backend {name!r}: {name.partition(':')[0]!r} has no numbered "
                           "devices") from None
    return True


def _read_entry_points() -> None:
    from importlib.metadata import entry_points  # 15 ms, needed only for names of other packages

    for entry in entry_points(group=ENTRY_POINTS):
        _factories.setdefault(entry.name, _LazyFactory(entry.module, entry.attr))


def _automatic() -> Backend:
    try:
        return load("cuda")
    except BackendError as error:
        import logging  # 3 ms, needed only here

        logging.getLogger("dlcore").info("backend 'auto' is 'cpu': %s", error)
        return load("cpu")


def _claim_arrays() -> None:
    """Rebuild OWNERS in place: it is imported by name where speed counts."""
    claims: dict[type, set[Backend]] = {}
    for backend in filter(attrgetter("alone"), _loaded.values()):
        for kind in (backend.array_type, *backend.scalar_types):
            claims.setdefault(kind, set()).add(backend)
    owners = {kind: owners.pop() for kind, owners in claims.items() if len(owners) == 1 and not _hiding}
    OWNERS.update(owners)
    for kind in OWNERS.keys() - owners.keys():
        del OWNERS[kind]


@contextmanager
def owners_hidden() -> Iterator[None]:
    """Keep OWNERS empty inside the ``with`` block, in every thread.

    Whoever asks it finds no answer and takes the careful way, as where a library has several devices;
    so every operation can be watched there, and those who are in a hurry pay nothing for it.
    """
    _hide(1)
    try:
        yield
    finally:
        _hide(-1)


def _hide(more: int) -> None:
    global _hiding  # noqa: PLW0603  how many blocks are open, in all threads
    with _loading:
        _hiding += more
        _claim_arrays()


register_backend("cpu", "backends.numpy_backend", "NumpyBackend")
register_backend("cuda", _load_cuda)


def known_backends() -> list[str]:
    """Names of the backends that were registered or declared, whether or not they load here."""
    _read_entry_points()
    return list(_factories)


def available_backends() -> list[str]:
    """Names of the backends that load on this machine; loads them, and probes for CUDA."""
    names = []
    for name in known_backends():
        try:
            load(name)
        except BackendError:
            continue
        names.append(name)
    return names


# --- selecting -------------------------------------------------------------------


def set_backend(name: str) -> None:
    """Make new arrays on ``name`` from now on, in every thread.

    Args:
        name: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, any registered name, or ``"auto"``: cuda where a
            probe of it passes, else cpu.

    Raises:
        BackendError: unknown, not available (the message has the cause and the remedy), or called
            inside :func:`use_backend`, which would undo it.
    """
    global _default  # noqa: PLW0603  one selection for the process
    if (override := _override.get()) is not None:
        raise BackendError(f"set_backend({name!r}) has no effect inside "
                           f"use_backend({override.name!r}); call it outside, or nest use_backend")
    _default = load(name)


@contextmanager
def use_backend(name: str) -> Iterator[Backend]:
    """Make new arrays on ``name`` inside the ``with`` block, in this thread or task only."""
    backend = load(name)
    token = _override.set(backend)
    try:
        with backend.scope():
            yield backend
    finally:
        _override.reset(token)


def get_backend(name: str | None = None) -> Backend:
    """The backend called ``name``, or the one on which new arrays are made."""
    return current() if name is None else load(name)


def current() -> Backend:
    """The backend on which new arrays are made."""
    return _override.get() or _default or _initial()


def backend_in_environment() -> str | None:
    """What the environment variable DLCORE_BACKEND names; None if it is empty or not set."""
    return os.environ.get("DLCORE_BACKEND") or None


def _initial() -> Backend:
    """Select what the environment variable DLCORE_BACKEND names, else the CPU."""
    global _default  # noqa: PLW0603  one selection for the process
    name = backend_in_environment() or "cpu"
    try:
        _default = load(name)
    except BackendError as error:
        raise BackendError(f"environment variable DLCORE_BACKEND={name}: {error}") from error
    return _default


# --- ownership -------------------------------------------------------------------


def backend_of(*arrays: Any) -> Backend:
    """The one backend that owns every array given; Python numbers own none.

    Raises:
        BackendError: the arrays live on several backends.
        TypeError: there is no array among them.
    """
    found: Backend | None = None
    for array in arrays:
        owner = OWNERS.get(type(array)) or _owner(array)
        if owner is None or owner is found:
            continue
        if found is not None:
            raise BackendError(f"arrays on {found.name} and {owner.name} in one operation; "
                               "move one of them with Tensor.to(...)")
        found = owner
    if found is None:
        kinds = ", ".join(type(a).__name__ for a in arrays) or "nothing"
        raise TypeError(f"backend_of: no array among what was given: {kinds}")
    return found


def _owner(array: Any) -> Backend | None:
    """The backend of an array whose type alone does not tell, None for what is no array."""
    for backend in _loaded.values():
        if backend.owns(array):
            return backend
    library = type(array).__module__.partition(".")[0]
    family = _FAMILY_OF_LIBRARY.get(library)
    if family is None or not hasattr(array, "dtype"):
        return None
    ordinal = getattr(getattr(array, "device", None), "id", 0)
    return load(f"{family}:{ordinal}")


_FAMILY_OF_LIBRARY = {"numpy": "cpu", "cupy": "cuda"}


def synchronize() -> None:
    """Wait until the selected backend has finished, and raise what it found wrong meanwhile.

    Returns at once on the CPU, which never runs ahead.
    """
    current().synchronize()


def memory_meter() -> AbstractContextManager[MemoryMeter]:
    """Measures the memory that arrays take on the selected backend inside the ``with`` block.

    On the CPU it counts what Python and NumPy allocate in all threads, and the block runs slower; on CUDA
    what this thread takes of CuPy's pool.

        >>> import dlcore as dl
        >>> x = dl.ones((100, 1000))
        >>> with dl.memory_meter() as meter:
        ...     y = dl.exp(x) * x
        >>> round(meter.peak / 4e5), round(meter.kept / 4e5)  # in arrays of this size
        (2, 1)
    """
    return current().memory_meter()
