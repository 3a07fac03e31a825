"""A meter of memory: what a block takes at most, and what it keeps."""

import tracemalloc

import pytest

import backends
import dlcore as dl
from tests.backend_laws import on_every_backend

_strict = 1  # whose library makes an array of every number
measured = pytest.mark.parametrize(
    "backend", [b for i, b in enumerate(on_every_backend.args[1]) if i != _strict], indirect=True)
SIZE = 1 << 20
SLACK = SIZE // 8  # Python's own objects, and blocks that are rounded up


@pytest.fixture
def ones(backend):
    """An array of a size, in bytes, to compute with."""
    with backends.use_backend(backend.name):
        yield dl.ones((SIZE // 4,))


def close(found, arrays):
    return abs(found - arrays * SIZE) <= SLACK


@measured
def test_it_tells_the_peak_and_what_is_kept(ones):
    with dl.memory_meter() as meter:
        y = dl.exp(ones)
        z = y * y
        del y

    assert close(meter.peak, 2)
    assert close(meter.kept, 1)
    assert z.shape == ones.shape


@measured
def test_what_is_given_back_counts_against_what_is_kept(ones):
    with dl.memory_meter():  # on the CPU nothing is known of arrays that were made before it was asked
        y = [ones + 1.0, ones + 2.0]
        with dl.memory_meter() as meter:
            del y
            z = ones * 2.0

    assert close(meter.kept, -1)
    assert z.shape == ones.shape


@measured
def test_meters_inside_each_other_each_see_their_own(ones):
    with dl.memory_meter() as outer:
        large = [ones + float(i) for i in range(4)]
        del large
        with dl.memory_meter() as inner:
            small = ones + 1.0
        del small

    assert close(outer.peak, 4)
    assert close(outer.kept, 0)
    assert close(inner.peak, 1)
    assert close(inner.kept, 1)


@measured
def test_remat_takes_less_at_once(ones):
    def deep(x):
        for _ in range(8):
            x = dl.tanh(x)
        return x

    peaks = []
    for f in (deep, dl.remat(deep)):
        with dl.memory_meter() as meter:
            x = ones + 0.0
            x.requires_grad = True
            dl.sum(f(f(f(x)))).backward()
        peaks.append(meter.peak / SIZE)

    assert peaks[0] > 23  # all that the derivatives read
    assert peaks[1] < 16  # one part of three, and what lies between the parts


def test_a_meter_leaves_a_trace_of_the_user_as_it_was():
    tracemalloc.start()
    try:
        with dl.memory_meter() as meter:
            x = dl.ones(SIZE // 4)
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()

    assert close(meter.kept, 1)
    assert x.shape == (SIZE // 4,)
    with dl.memory_meter():
        assert tracemalloc.is_tracing()
    assert not tracemalloc.is_tracing()


def test_it_ends_when_its_block_raises():
    with pytest.raises(KeyError), dl.memory_meter():
        raise KeyError

    assert not tracemalloc.is_tracing()


def test_it_prints_its_figures():
    meter = backends.memory.MemoryMeter()
    meter.see(5)
    meter.see(3)

    assert repr(meter) == "<memory: 5 bytes at once, 3 kept>"
