"""The runtime below the stand-in for CuPy: devices, streams, events, and memory that runs out.

What computes on the current stream runs at once.  What another stream was given waits until somebody
waits for it, so that a copy which nobody waits for is seen; and pinned memory that was let go of is
overwritten, so that a copy which comes too late is seen as well.
"""

import contextlib
import ctypes
import types
import weakref
from collections import Counter

import numpy as np

GARBAGE = 0xA5
traffic = Counter()
"""Every copy between host and device, whoever made it and whether or not anybody watches."""


class OutOfMemoryError(MemoryError):
    """CuPy's error, with CuPy's words."""

    def __init__(self, size, total, limit=0) -> None:
        super().__init__(f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes, "
                         f"limit set to: {limit:,} bytes).")


class CUDARuntimeError(RuntimeError):
    """An error of the runtime itself, by its number."""

    def __init__(self, status) -> None:
        super().__init__(f"error {status}")
        self.status = status


class Machine:
    """What there is: how many cards, which is the current one, and how full they are."""

    def __init__(self) -> None:
        self.cards = 1
        self.current = 0
        self.limit = 1 << 40
        self.pool_limit = 0  # for no limit
        self.used = Counter()
        self.reserved = Counter()
        self.hooks = {}
        self.pinned = []  # never given back, only overwritten

    def allocate(self, nbytes):
        """Take memory of the current card; what was let go of stays reserved until it is needed."""
        card = self.current
        limit = min(self.limit, self.pool_limit or self.limit)
        if self.used[card] + nbytes > limit:
            self.reserved[card] = self.used[card]
            raise OutOfMemoryError(nbytes, self.used[card], limit)
        self.used[card] += nbytes
        for hook in self.hooks.values():
            hook.malloc_postprocess(device_id=card, size=nbytes, mem_size=nbytes, mem_ptr=1, pmem_id=1)
        self.reserved[card] = max(self.reserved[card], self.used[card])


    def release(self, card, nbytes):
        self.used[card] -= nbytes
        for hook in self.hooks.values():
            hook.free_postprocess(device_id=card, mem_size=nbytes, mem_ptr=1, pmem_id=1)


class MemoryHook:
    """Is told what is taken and given back, inside a ``with`` block."""

    def __enter__(self):
        if self.name in machine.hooks:
            raise KeyError(f"memory hook {self.name} already exists")
        machine.hooks[self.name] = self
        return self

    def __exit__(self, *error) -> None:
        del machine.hooks[self.name]


machine = Machine()


class Device:
    """A card, which is the current one inside a ``with`` block."""

    def __init__(self, device=None) -> None:
        self.id = machine.current if device is None else device
        self.before = []

    def __enter__(self):
        self.before.append(machine.current)
        machine.current = self.id
        return self

    def __exit__(self, *error) -> None:
        machine.current = self.before.pop()

    def synchronize(self) -> None:
        for stream in list(every_stream):
            stream.synchronize()


# --- streams -------------------------------------------------------------------------


class Event:
    """A place in the queue of a stream."""

    def __init__(self, block=False, disable_timing=False, interprocess=False) -> None:
        self.stream, self.place = None, 0

    @property
    def done(self):
        return self.stream is None or self.stream.finished >= self.place


class Stream:
    """What a card was told to do, in order; it does so when somebody waits."""

    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None) -> None:
        self.queue = []
        self.finished = 0
        self.told = []  # which events it waits for
        every_stream.add(self)

    def give(self, deed) -> None:
        self.queue.append(deed)

    def record(self, event=None):
        event = event or Event()
        event.stream, event.place = self, len(self.queue)
        return event

    def wait_event(self, event) -> None:
        self.told.append(event)
        self.give(lambda: event.stream.finish(event.place))

    def finish(self, place) -> None:
        while self.finished < place:
            self.finished += 1
            self.queue[self.finished - 1]()

    def synchronize(self) -> None:
        self.finish(len(self.queue))

    def __enter__(self):
        streams.append(self)
        return self

    def __exit__(self, *error) -> None:
        streams.pop()


every_stream = weakref.WeakSet()
streams = [Stream(null=True)]


def get_current_stream(device_id=None):
    return streams[-1]


# --- memory of the host that a card can read --------------------------------------------


class Pinned:
    """Memory for an array of NumPy's, overwritten when the last view of it is gone."""

    def __init__(self, shape, dtype) -> None:
        array = np.empty(shape, dtype)
        self.__array_interface__ = array.__array_interface__
        self.bytes = array.reshape(-1).view(np.uint8)
        machine.pinned.append(self.bytes)

    def __del__(self) -> None:
        self.bytes.fill(GARBAGE)


def empty_pinned(shape, dtype=float, order="C"):
    dtype = np.dtype(dtype)
    return np.asarray(Pinned(shape, np.dtype(f"V{dtype.itemsize}"))).view(dtype)


def is_memory_pinned(address):
    return any(b.ctypes.data <= address < b.ctypes.data + b.size for b in machine.pinned)


def copy_later(array, host_array, stream) -> None:
    """Let ``stream`` copy to ``array`` what will be at the address of ``host_array`` by then."""
    traffic["to_device"] += 1
    source, size, there = host_array.ctypes.data, array.nbytes, array.memory
    stream.give(lambda: ctypes.memmove(there.ctypes.data, source, size))


# --- memory of a card ------------------------------------------------------------------


class UnownedMemory:
    """Memory at an address, and whoever must live as long."""

    def __init__(self, ptr, size, owner, device_id=-1) -> None:
        self.ptr, self.size, self.owner, self.device_id = ptr, size, owner, device_id


class MemoryPointer:
    """A place in such memory."""

    def __init__(self, mem, offset) -> None:
        self.mem, self.ptr = mem, mem.ptr + offset

    def array(self, shape, dtype):
        """What lies there, as an array of NumPy's."""
        there = (ctypes.c_byte * self.mem.size).from_address(self.ptr)
        there.owner = self.mem.owner  # and so do views of the array
        return np.frombuffer(there, dtype).reshape(shape)


def taken(array):
    """Count the memory of a new array until it is gone."""
    card, size = machine.current, array.nbytes
    machine.allocate(size)
    weakref.finalize(array, machine.release, card, size).atexit = False


pool = types.SimpleNamespace(
    get_limit=lambda: machine.pool_limit,
    set_limit=lambda size: setattr(machine, "pool_limit", size),
    free_all_blocks=lambda: machine.reserved.__setitem__(machine.current, machine.used[machine.current]),
    used_bytes=lambda: machine.used[machine.current],
    total_bytes=lambda: machine.reserved[machine.current],
)


def mem_get_info():
    return machine.limit - machine.reserved[machine.current], machine.limit


def module():
    """What CuPy calls ``cupy.cuda``."""
    return types.SimpleNamespace(
        Device=Device,
        Event=Event,
        Stream=Stream,
        MemoryHook=MemoryHook,
        MemoryPointer=MemoryPointer,
        UnownedMemory=UnownedMemory,
        get_current_stream=get_current_stream,
        memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
        pinned_memory=types.SimpleNamespace(is_memory_pinned=is_memory_pinned),
        runtime=types.SimpleNamespace(
            getDeviceCount=lambda: machine.cards,
            memGetInfo=mem_get_info,
            CUDARuntimeError=CUDARuntimeError,
        ),
    )


@contextlib.contextmanager
def several(cards):
    """Lets the machine have so many cards inside the block."""
    before, machine.cards = machine.cards, cards
    try:
        yield
    finally:
        machine.cards = before
