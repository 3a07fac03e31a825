"""When memory runs out: the error tells, keeps nothing alive, and the work goes on."""

import contextlib
import gc
import weakref

import numpy as np
import pytest

import backends
import dlcore as dl
from dlcore import nn, optim
from tests import backend_laws, fake_cuda, fake_cupy

KIB = 1024
STAND_IN = backend_laws.STAND_IN


@pytest.fixture
def cuda():
    """The file of the CUDA backend, on the stand-in for CuPy, selected."""
    if fake_cupy.COMPILER is None:
        pytest.skip("kernels run on the host only with g++ or clang++")
    with backends.use_backend(STAND_IN) as chosen:
        yield chosen


@contextlib.contextmanager
def room(nbytes):
    """Lets the stand-in's card have room for so much more, and no collector of cycles help."""
    machine = fake_cuda.machine
    gc.collect()
    before, machine.limit = machine.limit, machine.used[0] + nbytes
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        machine.limit = before


def used():
    return fake_cuda.machine.used[0]


def step(x):
    """A forward and a backward pass with several arrays of the size of ``x`` between."""
    w = dl.ones_like(x)
    w.requires_grad = True
    dl.sum(dl.exp(dl.tanh(x * w)) * w).backward()
    return w.grad


# --- what it says ------------------------------------------------------------------------------


def test_it_says_what_was_asked_for_what_there_is_and_what_to_do(cuda):
    x = dl.ones((256, KIB))  # 1 MiB

    with room(3 << 19), pytest.raises(dl.OutOfMemoryError) as caught:
        _ = (x + 1.0) * x

    assert isinstance(caught.value, MemoryError)
    assert isinstance(caught.value, dl.BackendError)
    assert caught.match(
        "multiply: out of memory on fakecuda: 1.00 MiB were asked for; arrays take .* of the .* that CuPy's "
        r"pool holds, and .* of .* are free. Take a smaller batch, drop tensors that are no longer needed, "
        r"evaluate in dl.no_grad\(\), or keep fewer activations with dl.remat$")


def test_it_tells_a_limit_that_was_set_to_the_pool(cuda, monkeypatch):
    monkeypatch.setattr(fake_cuda.machine, "pool_limit", 3 << 30)

    with room(0), pytest.raises(dl.OutOfMemoryError, match=r"free, of which the pool may hold 3\.00 GiB"):
        dl.ones(5)


@pytest.mark.parametrize(("act", "said"), [
    (lambda x: x + 1.0, "add: out of memory on fakecuda: 4.00 KiB were"),
    (dl.exp, "exp: out of memory"),
    (lambda x: dl.zeros(1000), "out of memory on fakecuda: 3.91 KiB were"),
    (lambda x: dl.tensor(np.ones(1000)), "out of memory on fakecuda: 7.81 KiB were"),
    (lambda x: dl.random.normal((1000,)), "out of memory on fakecuda: 7.81 KiB were"),
    (lambda x: x.to("cpu").to(STAND_IN), "out of memory on fakecuda: 4.00 KiB were"),
])
def test_every_way_to_need_memory_says_so(cuda, act, said):
    x = dl.ones(KIB)

    with room(100), pytest.raises(dl.OutOfMemoryError, match=said):
        act(x)


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_backward_pass_names_the_operation_whose_derivative_it_was(cuda, create_graph):
    x = dl.ones(100 * KIB, requires_grad=True)
    loss = dl.sum(dl.exp(x))

    with room(100), pytest.raises(dl.OutOfMemoryError, match=r"^backward, at the derivative of (sum|exp): "):
        loss.backward(create_graph=create_graph)


def test_transforms_name_it_too(cuda):
    x = dl.ones(100 * KIB)
    _, pull = dl.vjp(dl.exp, x)

    with room(100), pytest.raises(dl.OutOfMemoryError, match=r"^vjp, at the derivative of exp: "):
        pull(x)
    with room((400 << 10) + 100), pytest.raises(dl.OutOfMemoryError, match=r"^jvp, at .* of exp: "):
        dl.jvp(dl.exp, [x], [x])


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_an_optimizer_names_its_step(cuda, dtype):
    w = dl.ones(100 * KIB, dtype, requires_grad=True)
    w.grad = dl.ones(100 * KIB, dtype)

    with room(100), pytest.raises(dl.OutOfMemoryError, match=r"^Adam\.step: out of memory on fakecuda: "):
        optim.Adam([w]).step()


def test_what_the_runtime_itself_has_no_room_for_is_told_alike(cuda):
    with pytest.raises(dl.OutOfMemoryError, match=r"^out of memory on fakecuda: arrays take "), cuda.scope():
        raise fake_cuda.CUDARuntimeError(2)
    with pytest.raises(fake_cuda.CUDARuntimeError, match="error 700"), cuda.scope():
        raise fake_cuda.CUDARuntimeError(700)


def test_on_the_cpu_it_has_the_words_of_numpy():
    x = dl.ones((1 << 24, 1))

    with pytest.raises(dl.OutOfMemoryError, match=r"^multiply: Unable to allocate 1\.00 PiB for an array"):
        x * x.T  # more than there are addresses


def test_a_pass_on_the_cpu_names_its_operation():
    x = dl.ones(1 << 24, requires_grad=True)
    greedy = dl.custom_vjp(lambda x: (dl.sum(x), x), lambda x, g: dl.sum(x[:, None] * x, axis=0) * g)

    with pytest.raises(dl.OutOfMemoryError, match=r"^backward, at .*: multiply: Unable to allocate 1\.00"):
        greedy(x).backward()


# --- what it leaves ----------------------------------------------------------------------------


def test_the_work_goes_on_and_nothing_is_kept(cuda):
    small = dl.ones(KIB)
    expected = step(small).tolist()
    before = used()

    for size in range(KIB, 400 * KIB, 31 * KIB):  # another part of the step fails each time
        x = dl.ones(16 * KIB)
        with room(size):
            with contextlib.suppress(dl.OutOfMemoryError):
                step(x)
            assert used() == before + x.array.nbytes
        del x

    assert step(small).tolist() == expected


def test_a_training_step_goes_on_with_a_smaller_batch(cuda):
    net = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 1))
    batch, sizes = dl.random.normal((256, 8)), []

    with room(60 * KIB):
        size = 256
        while size:
            try:
                net(batch[:size]).sum().backward()
            except dl.OutOfMemoryError:
                sizes.append(size)
                size //= 2
            else:
                break

    assert sizes[0] == 256
    assert 0 < size < 256


def test_what_a_failed_operation_had_made_is_free_while_the_error_is_handled(cuda):
    x, made = dl.ones(16 * KIB), []

    def greedy(xp, a):
        parts = [xp.exp(a)]
        made.append(weakref.ref(parts[0].memory))
        parts.append(xp.exp(a))
        return xp.stack(parts)

    operation = dl.core.Unary("greedy", greedy, lambda s: s)
    with room(100 * KIB):
        try:
            operation(x)
        except dl.OutOfMemoryError:
            alive = [ref for ref in made if ref() is not None]

    assert made
    assert alive == []


def test_that_holds_for_what_is_no_operation(cuda):
    with room(100 * KIB):
        before = used()
        try:
            dl.random.normal((5 * KIB,))  # of words, pairs, angles and radii
        except dl.OutOfMemoryError:
            during = used()

    assert during == before


def test_that_holds_on_the_cpu():
    made = []

    def greedy(xp, a):
        part = xp.exp(a)
        made.append(weakref.ref(part))
        return part * xp.ones((1 << 25, 1 << 25))

    try:
        dl.core.Unary("greedy", greedy, lambda s: s)(dl.ones(100))
    except dl.OutOfMemoryError:
        alive = [ref for ref in made if ref() is not None]

    assert len(made) == 2  # on the hot path, and once more with care
    assert alive == []


@pytest.mark.parametrize("act", [lambda: int("of the user"), lambda: dl.ones(KIB)])
def test_an_error_that_a_user_handles_meanwhile_keeps_its_traceback(cuda, act):
    with room(100):
        try:
            act()
        except (ValueError, MemoryError) as error:
            with contextlib.suppress(dl.OutOfMemoryError):
                dl.ones(KIB)
            kept = error.__traceback__

    assert kept is not None


# --- figures -----------------------------------------------------------------------------------


def test_the_figures_follow_the_arrays(cuda):
    before = cuda.memory_info()

    x = dl.ones((256, KIB))
    during = cuda.memory_info()
    del x
    after = cuda.memory_info()

    assert during["used"] - before["used"] == 1 << 20
    assert after["used"] == before["used"]
    assert after["reserved"] >= during["used"]
    assert during["free"] + during["reserved"] == during["total"]


@pytest.mark.cuda
def test_a_card_that_is_full_says_so_and_works_on():
    with backends.use_backend("cuda") as xp:
        pool = type(xp).special.__globals__["cp"].get_default_memory_pool()
        before = pool.get_limit()
        pool.free_all_blocks()
        x = dl.ones((1024, 1024))
        pool.set_limit(size=pool.total_bytes() + (64 << 20))
        try:
            kept = xp.memory_info()["used"]
            for shape in [(64, 1024, 1024), (32, 1024, 1024)]:
                with pytest.raises(dl.OutOfMemoryError, match=r"multiply: out of memory on cuda: .* asked"):
                    _ = (x + 1.0) * dl.broadcast_to(x, shape)
            assert xp.memory_info()["used"] == kept
            assert (x + x).sum().item() == 2.0 * 1024 * 1024
        finally:
            pool.set_limit(size=before)
