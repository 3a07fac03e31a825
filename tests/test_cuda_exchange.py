"""Arrays between dlcore and PyTorch on one card, by DLPack and without a copy."""

import pytest

import backends
import dlcore as dl

torch = pytest.importorskip("torch", reason="PyTorch is not installed", exc_type=ImportError)
pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this PyTorch computes on no card"),
]


@pytest.fixture
def cuda():
    with backends.use_backend("cuda") as chosen:
        yield chosen
        chosen.synchronize()


def test_pytorch_reads_what_a_tensor_holds_where_it_lies(cuda):
    x = dl.arange(6.0) * 2.0

    theirs = torch.from_dlpack(x.data)

    assert theirs.data_ptr() == x.data.data.ptr
    assert theirs.tolist() == x.tolist() == [0, 2, 4, 6, 8, 10]


def test_a_tensor_holds_what_pytorch_has_and_is_differentiated(cuda):
    theirs = torch.arange(3.0, device="cuda")
    torch.cuda.synchronize()

    x = dl.Tensor(cuda.namespace.from_dlpack(theirs))
    x.requires_grad = True
    dl.sum(x * x).backward()

    assert (x.data.data.ptr, x.backend) == (theirs.data_ptr(), "cuda")
    assert torch.from_dlpack(x.grad.data).tolist() == [0, 2, 4]
