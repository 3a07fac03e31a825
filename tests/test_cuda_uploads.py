"""Copies to a card that nobody waits for: right values, whatever is written to or let go of meanwhile.

The stand-in copies as late as it may, and overwrites what is let go of; the same laws run on a card.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import dlcore as dl
from backends.dtypes import DTYPES
from dlcore.data import ArrayDataset, DataLoader
from tests import fake_cuda, fake_cupy
from tests.backend_laws import STAND_IN, available, host_arrays, on_every_backend, same
from tests.training import Training

DTYPE_NAMES = ["float64", "float32", "int32", "bool", "complex64"]


@on_every_backend
@given(x=host_arrays(), dtype=st.sampled_from([None, *DTYPE_NAMES]))
def test_an_asynchronous_copy_has_the_values_dtype_and_shape_of_an_ordinary_one(backend, x, dtype):
    same(backend, backend.from_host_async(x, dtype), backend.to_host(backend.from_host(x, dtype)))
    same(backend, backend.from_host_async(x.T, dtype), backend.to_host(backend.from_host(x.T, dtype)))


@on_every_backend
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_asynchronous_copy_knows_every_dtype(backend, dtype):
    available(backend, dtype)

    there = backend.from_host_async(np.array([1, 0, 1]), dtype)

    assert backend.dtype_name(there) is dtype
    assert backend.to_host(there).astype(complex).tolist() == [1, 0, 1]


@on_every_backend
@given(data=st.data())
def test_what_is_copied_may_be_written_to_at_once(backend, data):
    count = data.draw(st.integers(1, 5))
    buffer = np.empty((3, 1000), np.float32)
    there = []

    for i in range(count):  # as a loader does that has one buffer for all batches
        buffer[...] = i
        there.append(backend.from_host_async(buffer))
        if data.draw(st.booleans()):
            backend.synchronize()
    buffer.fill(np.nan)

    for i, x in enumerate(there):
        assert_array_equal(backend.to_host(x + 1.0), np.full((3, 1000), i + 1.0))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_copies_its_batches_beside_the_computation(cuda, workers):
    x = np.random.default_rng(0).standard_normal((12, 3))
    loader = DataLoader(ArrayDataset(x, np.arange(12)), 4, workers=workers)
    on_cpu = [[part.numpy() for part in batch] for batch in loader]
    fake_cupy.traffic.clear()

    with dl.use_backend(STAND_IN), dl.transfer_meter() as meter:
        batches = list(loader)

    assert meter.to_device.times == fake_cupy.traffic["to_device"] == 6
    assert meter.waits == 0
    assert cuda._uploads.stream.finished < len(cuda._uploads.stream.queue)
    for batch, expected in zip(batches, on_cpu, strict=True):
        for part, numbers in zip(batch, expected, strict=True):
            assert_array_equal(part.numpy(), numbers)


@on_every_backend
def test_a_batch_is_computed_with_while_the_next_one_is_copied(backend):
    w, batches = backend.ones((4, 2), "float32"), [np.full((5, 4), i, np.float32) for i in range(6)]
    sums = []

    for batch in batches:  # of which each is dropped when the next one is there
        x = backend.from_host_async(batch)
        sums.append(backend.sum(backend.matmul(x, w)))

    assert [float(backend.to_host(s)) for s in sums] == [40.0 * i for i in range(6)]


def test_an_asynchronous_copy_is_seen_by_the_meter_as_a_copy():
    with dl.use_backend("strict") as backend, dl.transfer_meter() as meter:
        backend.from_host_async(np.zeros(3))

    assert meter.to_device == (1, 24)


# --- what only the stand-in shows ------------------------------------------------------------


@pytest.fixture
def cuda():
    """The file of the CUDA backend, on the stand-in for CuPy."""
    if fake_cupy.COMPILER is None:
        pytest.skip("kernels run on the host only with g++ or clang++")
    return fake_cupy.load()


def test_the_host_waits_for_nothing_and_the_stand_in_copies_late(cuda):
    with dl.transfer_meter() as meter:
        there = cuda.from_host_async(np.ones(5))

    copied, pinned = cuda._uploads.reading[-1]
    assert (meter.to_device, meter.waits) == ((1, 40), 0)
    assert not copied.done
    assert_array_equal(pinned, np.ones(5))
    assert_array_equal(cuda.to_host(there), np.ones(5))
    assert copied.done


def test_waiting_for_a_card_waits_for_all_of_its_streams(cuda):
    there = cuda.from_host_async(np.ones(5))
    copied, _ = cuda._uploads.reading[-1]
    fake_cuda.get_current_stream().queue[-1] = lambda: None  # which was to wait for the copy

    cuda.synchronize()

    assert copied.done
    assert_array_equal(cuda.to_host(there), np.ones(5))


def test_a_training_step_on_a_stream_of_the_user_stays_there(cuda):
    others = len(fake_cuda.every_stream)
    with fake_cuda.Stream(non_blocking=True) as stream, dl.use_backend(STAND_IN):
        training = Training()
        loss = training.step().item()
        batch = cuda.from_host_async(np.ones(3))
        assert stream.told[-1].stream is cuda._uploads.stream
        assert fake_cuda.get_current_stream() is stream
        assert_array_equal(cuda.to_host(batch), np.ones(3))

    assert np.isfinite(loss)
    assert len(fake_cuda.every_stream) <= others + 1  # it makes none of its own


def test_without_pinned_memory_the_copy_is_an_ordinary_one(cuda, monkeypatch):
    def refuse(shape, dtype):
        raise fake_cuda.CUDARuntimeError(2)

    monkeypatch.setattr(type(cuda._uploads).copy.__globals__["cupyx"], "empty_pinned", refuse)

    assert_array_equal(cuda.to_host(cuda.from_host_async(np.ones(5))), np.ones(5))


def test_pinned_memory_goes_back_to_its_pool_once_it_was_read(cuda):
    for _ in range(5):
        cuda.from_host_async(np.ones(7))
        cuda.synchronize()

    assert len(cuda._uploads.reading) == 1


def test_the_memory_of_a_copy_belongs_to_the_stream_that_copies(cuda, monkeypatch):
    seen = []  # where CuPy's pool would give memory to again
    monkeypatch.setattr(fake_cuda, "taken", lambda array: seen.append(fake_cuda.get_current_stream()))

    cuda.from_host_async(np.ones(3))

    assert seen == [cuda._uploads.stream]


def test_memory_is_written_to_again_only_after_what_computed_with_it(cuda):
    computing, copying = fake_cuda.get_current_stream(), cuda._uploads.stream
    first = cuda.from_host_async(np.ones(3))
    view = cuda.getitem(first, (slice(1, None),))
    del first
    before = len(copying.told)
    cuda.sum(view)  # may run when the view is gone already

    place = len(computing.queue)
    del view

    (event,) = copying.told[before:]
    assert (event.stream, event.place) == (computing, place)


def test_a_copy_of_pinned_memory_is_made_before_its_owner_writes_to_it_again(cuda):
    pinned = fake_cuda.empty_pinned((4,), "float64")
    pinned[...] = 1.0

    there = [cuda.from_host(pinned), cuda.from_host_async(pinned)]
    pinned[...] = 2.0

    assert_array_equal(cuda.to_host(there[0]), np.ones(4))
    assert_array_equal(cuda.to_host(there[1]), np.ones(4))


def test_the_stand_in_shows_pinned_memory_that_is_given_back_too_early(cuda):
    there = cuda.from_host_async(np.ones(4))
    cuda._uploads.reading.clear()

    assert (cuda.to_host(there) != 1.0).all()


def test_the_stand_in_shows_a_copy_that_nobody_waits_for(cuda):
    there = fake_cupy.ndarray(np.zeros(4))
    there.set(np.ones(4), fake_cuda.Stream(non_blocking=True))

    assert_array_equal(fake_cupy.asnumpy(there), np.zeros(4))
