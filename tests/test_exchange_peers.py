"""Arrays to and from PyTorch and JAX, on the CPU and on a card."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import dlcore as dl
from tests.devices import why_no_cuda

DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "complex64",
          "complex128"]
SHAPES = [(), (0,), (3,), (2, 0, 3), (2, 3)]


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.fixture
def jax():
    return pytest.importorskip("jax")


def some(shape, dtype):
    return (np.arange(np.prod(shape)).reshape(shape) % 2).astype(dtype)


# --- PyTorch -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_pytorch_gets_the_numbers_and_gives_them_back(torch, shape, dtype):
    a = some(shape, dtype)

    theirs = torch.from_dlpack(dl.tensor(a))
    back = dl.from_dlpack(theirs)

    assert_array_equal(theirs.numpy(), a)
    assert_array_equal(back.numpy(), a)
    assert (str(theirs.dtype), back.dtype, back.shape) == (f"torch.{dtype}", dtype, shape)


@pytest.mark.parametrize("read", ["from_dlpack", "asarray", "as_tensor", "tensor"])
def test_what_pytorch_writes_into_does_not_change_a_tensor(torch, read):
    x = dl.tensor([1.0, 2.0])

    theirs = getattr(torch, read)(x)
    theirs[0] = 9.0

    assert x.tolist() == [1.0, 2.0]
    assert theirs.tolist() == [9.0, 2.0]


def test_pytorch_shares_the_memory_when_it_asks_to(torch):
    x = dl.tensor([1.0, 2.0])

    theirs = torch.from_dlpack(x, copy=False)

    assert theirs.data_ptr() == x.data.ctypes.data


def test_pytorch_still_does_not_read_the_mark_that_an_array_is_read_only(torch):
    a = np.zeros(2)  # if this fails, it has learnt to, and the line about it in tensors.py can go
    a.flags.writeable = False

    torch.from_dlpack(a)[0] = 1.0

    assert a.tolist() == [1.0, 0.0]


def test_tensors_share_the_memory_of_pytorch(torch):
    theirs = torch.tensor([1.0, 2.0])

    x, own = dl.from_dlpack(theirs), dl.from_dlpack(theirs, copy=True)
    theirs[0] = 9.0

    assert (x.tolist(), own.tolist()) == ([9.0, 2.0], [1.0, 2.0])


@pytest.mark.parametrize("cut", [lambda t: t.T, lambda t: t[:, ::2], lambda t: t[0],
                                 lambda t: t[:1].expand(4, 3)])
def test_what_has_gaps_comes_in_as_it_lies(torch, cut):
    theirs = cut(torch.arange(6.0).reshape(2, 3))

    x = dl.from_dlpack(theirs)

    assert_array_equal(x.numpy(), theirs.numpy())
    assert x.data.ctypes.data == theirs.data_ptr()


def test_pytorch_gets_what_has_gaps_and_runs_backwards_without_them(torch):
    x = dl.tensor(np.arange(6.0).reshape(2, 3))

    assert_array_equal(torch.from_dlpack(x[::-1, ::2]).numpy(), x.numpy()[::-1, ::2])


def test_a_tensor_of_pytorch_that_requires_gradients_is_refused_by_pytorch(torch):
    with pytest.raises(BufferError, match=r"detach\(\)"):
        dl.from_dlpack(torch.ones(2, requires_grad=True))


def test_bfloat16_is_refused_both_ways(torch):
    with pytest.raises(BufferError, match=r"from_dlpack: of dtype torch\.bfloat16: .*; convert it first"):
        dl.from_dlpack(torch.ones(2, dtype=torch.bfloat16))
    with pytest.raises(BufferError, match="NumPy cannot export bfloat16"):
        torch.from_dlpack(dl.ones(2, "bfloat16"))


def test_gradients_agree_across_the_border(torch):
    theirs = torch.linspace(-1.0, 1.0, 5, dtype=torch.float64)
    ours = dl.from_dlpack(theirs)

    found = dl.grad(lambda x: dl.sum(dl.sin(x) * x))(ours)
    theirs.requires_grad = True
    (torch.sin(theirs) * theirs).sum().backward()

    assert torch.allclose(torch.from_dlpack(found), theirs.grad, rtol=1e-12)


# --- JAX ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d not in ("int64", "float64", "complex128")])
@pytest.mark.parametrize("shape", SHAPES)
def test_jax_gets_the_numbers_and_gives_them_back(jax, shape, dtype):
    a = some(shape, dtype)

    theirs = jax.numpy.from_dlpack(dl.tensor(a))
    back = dl.from_dlpack(theirs)

    assert_array_equal(np.asarray(theirs), a)
    assert_array_equal(back.numpy(), a)
    assert (theirs.dtype, back.dtype, back.shape) == (dtype, dtype, shape)


def test_jax_gets_what_has_gaps(jax):
    x = dl.tensor(np.arange(12.0, dtype=np.float32).reshape(3, 4))

    for cut in (x[::-1, ::2], x.T, dl.broadcast_to(x[0], (100, 4))):
        assert_array_equal(np.asarray(jax.numpy.from_dlpack(cut)), cut.numpy())


def test_tensors_share_the_memory_of_jax_and_leave_it_alone(jax):
    theirs = jax.numpy.ones(3)
    x = dl.from_dlpack(theirs, copy=False)
    x.requires_grad = True

    (x * 2.0).sum().backward()
    dl.optim.SGD([x], lr=1.0).step()

    assert theirs.tolist() == [1.0] * 3
    assert x.tolist() == [-1.0] * 3


def test_functions_of_jax_take_what_has_come_over(jax):
    x = dl.tensor(np.linspace(-1.0, 1.0, 5, dtype=np.float32))

    theirs = jax.grad(lambda v: (jax.numpy.sin(v) * v).sum())(jax.numpy.from_dlpack(x))
    ours = dl.grad(lambda v: dl.sum(dl.sin(v) * v))(x)

    np.testing.assert_allclose(dl.from_dlpack(theirs).numpy(), ours.numpy(), rtol=1e-6)


# --- on a card -----------------------------------------------------------------------------------


@pytest.fixture
def torch_on_a_card(torch):
    if not torch.cuda.is_available():
        pytest.skip(why_no_cuda() or "this PyTorch has no CUDA")
    return torch


@pytest.mark.cuda
def test_pytorch_and_tensors_share_the_memory_of_a_card(torch_on_a_card):
    torch = torch_on_a_card
    theirs = torch.arange(6.0, device="cuda").reshape(2, 3)

    x = dl.from_dlpack(theirs)
    back = torch.from_dlpack(x, copy=False)
    copied = torch.from_dlpack(x)

    assert x.backend == "cuda"
    assert x.data.data.ptr == theirs.data_ptr() == back.data_ptr() != copied.data_ptr()
    copied += 1.0
    assert x.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]


@pytest.mark.cuda
def test_what_a_card_computes_is_done_before_pytorch_reads_it(torch_on_a_card):
    torch = torch_on_a_card
    with dl.use_backend("cuda"):
        x = dl.ones((1000, 1000))
        for _ in range(50):
            x = x @ dl.eye(1000)
        with torch.cuda.stream(torch.cuda.Stream()):
            total = torch.from_dlpack(x + 1.0).sum().item()

    assert total == 2e6
