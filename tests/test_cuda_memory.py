"""A card whose memory is full says so, and goes on working."""

import gc

import pytest

import backends
import dlcore as dl

pytestmark = pytest.mark.cuda
MIB = 1 << 20


@pytest.fixture
def pool():
    """CuPy's pool of memory, which may grow by 64 MiB; the CUDA backend is selected."""
    with backends.use_backend("cuda") as xp:
        pool = type(xp).special.__globals__["cp"].get_default_memory_pool()
        if not hasattr(pool, "set_limit"):
            pytest.skip("the memory of the stand-in has no limit to set")
        gc.collect()
        pool.free_all_blocks()
        before = pool.get_limit()
        pool.set_limit(size=pool.total_bytes() + 64 * MIB)
        yield pool
        pool.set_limit(size=before)
        xp.synchronize()


def test_what_does_not_fit_is_a_memory_error_and_what_fits_is_computed_afterwards(pool):
    x = dl.ones((4 * MIB,))  # 16 MiB

    with pytest.raises(MemoryError):
        dl.ones((32 * MIB,))
    with pytest.raises(MemoryError):
        dl.concat([x] * 8)

    assert dl.sum(x + 1.0).item() == 8 * MIB


def test_a_step_that_did_not_fit_keeps_nothing(pool):
    x = dl.ones((4 * MIB,), requires_grad=True)
    before = pool.used_bytes()

    with pytest.raises(MemoryError):
        dl.sum(dl.exp(dl.tanh(dl.sin(dl.cos(x) * 2.0) * 2.0))).backward()
    gc.collect()

    assert pool.used_bytes() == before
    dl.sum(x).backward()
    assert x.grad.numpy().min() == 1.0


def test_memory_comes_back_when_the_last_value_goes(pool):
    before = pool.used_bytes()

    several = [dl.ones((MIB,)) for _ in range(8)]
    held = pool.used_bytes() - before
    del several

    assert (held, pool.used_bytes()) == (8 * 4 * MIB, before)
