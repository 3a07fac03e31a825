"""Arrays to and from other libraries: the same values, shared where that is safe, copied elsewhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal

import backends
import dlcore as dl
from backends.exchange import must_copy
from tests.backend_laws import SHAPES, on_every_backend

on_cuda = pytest.mark.parametrize("backend", on_every_backend.args[1][2:], indirect=True)
EXCHANGED = ["bool", "int8", "int64", "uint8", "float16", "float32", "float64", "complex64", "complex128"]


class Theirs:
    """A library that speaks DLPack; it notes how it is asked, and has what it is given."""

    def __init__(self, array, device=(1, 0)) -> None:
        self.array, self.device, self.asked = array, device, {}
        self.dtype, self.shape = array.dtype, array.shape

    def __dlpack__(self, **asked):
        self.asked = asked
        return self.array.__dlpack__(**asked)

    def __dlpack_device__(self):
        return self.device


def consumed(x, **asked):
    """What a library makes of ``x`` that asks so."""
    return np.from_dlpack(Receiver(x, asked))


class Receiver:
    """Hands NumPy a capsule that was asked for in a certain way."""

    def __init__(self, x, asked) -> None:
        self.x, self.asked = x, asked

    def __dlpack__(self, **_):
        return self.x.__dlpack__(**self.asked)

    def __dlpack_device__(self):
        return self.x.__dlpack_device__()


OLD, NEW = {"max_version": None}, {"max_version": (1, 0)}
arrays = hnp.arrays(st.sampled_from(EXCHANGED), SHAPES, elements=st.integers(0, 1))


# --- out ---------------------------------------------------------------------------------------


@given(a=arrays)
def test_numpy_gets_the_same_numbers_and_may_not_write_to_them(a):
    x = dl.tensor(a)

    found = np.from_dlpack(x)

    assert_array_equal(found, a)
    assert found.dtype == a.dtype
    assert not found.flags.writeable
    assert np.shares_memory(found, x.data) or a.ndim == 0 or a.size == 0


@pytest.mark.parametrize(("asked", "shared", "writeable"), [
    (NEW, True, False),
    (NEW | {"copy": False}, True, False),
    (NEW | {"copy": True}, False, None),  # which NumPy 2.1 marks all the same
    (NEW | {"dl_device": (1, 0)}, True, False),
    (OLD, False, None),  # NumPy trusts no old capsule to be open for writing
    (OLD | {"copy": True}, False, None),
    (OLD | {"copy": False}, True, None),
    ({"max_version": (0, 8)}, False, None),
    ({"max_version": (2, 1)}, True, False),
])
def test_what_leaves_is_marked_read_only_or_a_copy_unless_asked_otherwise(asked, shared, writeable):
    x = dl.tensor([1.0, 2.0])

    found = consumed(x, **asked)

    assert found.tolist() == [1.0, 2.0]
    assert np.shares_memory(found, x.data) is shared
    assert writeable is None or found.flags.writeable is writeable


@pytest.mark.parametrize("cut", [lambda x: x[::2], lambda x: x[::-1], lambda x: x[:, ::2], lambda x: x[:, 1],
                                 lambda x: dl.broadcast_to(x[:, :1], (1000, 1000))])
@pytest.mark.parametrize("asked", [NEW, OLD])
def test_what_has_gaps_leaves_as_a_copy_without_any(cut, asked):
    x = cut(dl.tensor(np.arange(1e6).reshape(1000, 1000)))

    found = consumed(x, **asked)

    assert_array_equal(found, x.numpy())
    assert found.flags.forc
    assert not np.shares_memory(found, x.data)
    with pytest.raises(BufferError, match=r"elements do not follow each other in memory.*and copy=False"):
        x.__dlpack__(copy=False, **asked)


def test_a_transpose_follows_itself_by_columns_and_is_shared():
    x = dl.tensor(np.arange(6.0).reshape(2, 3)).T

    assert np.shares_memory(np.from_dlpack(x), x.data)


def test_a_tensor_that_requires_gradients_is_not_given_away():
    x = dl.ones(2, requires_grad=True)

    for refused in (x, x * 2.0):
        with pytest.raises(BufferError, match=r"__dlpack__: .* requires gradients, .*; export x\.detach\(\)"):
            np.from_dlpack(refused)
    assert np.from_dlpack(x.detach()).tolist() == [1.0, 1.0]


def test_what_cannot_be_given_away_says_so():
    with pytest.raises(BufferError, match=r"NumPy cannot export bfloat16; convert it, x\.to\('float32'\)"):
        np.from_dlpack(dl.ones(2, "bfloat16"))
    with pytest.raises(BufferError, match=r"of the host, \(1, 0\), and asked for on device \(2, 0\)"):
        dl.ones(2).__dlpack__(dl_device=(2, 0))
    with backends.use_backend("strict"), pytest.raises(BufferError, match="'strict' does not speak DLPack"):
        np.from_dlpack(dl.ones(2))


def test_the_memory_lives_as_long_as_whoever_uses_it():
    found = np.from_dlpack(dl.tensor(np.arange(1e5)))
    for _ in range(10):
        dl.zeros(100_000, "float64")

    assert_array_equal(found, np.arange(1e5))


def test_a_tensor_on_the_cpu_has_no_interface_of_cuda_and_does_not_turn_into_an_array_by_itself():
    x = dl.ones(2)

    assert not hasattr(x, "__cuda_array_interface__")
    assert not hasattr(x, "__array_interface__")
    with pytest.raises(AttributeError, match="__cuda_array_interface__: this tensor is on cpu, not on CUDA"):
        x.__cuda_array_interface__  # noqa: B018  asking is the test
    with pytest.raises(TypeError, match=r"call \.numpy\(\)"):
        np.asarray(x)


# --- in ----------------------------------------------------------------------------------------


@given(a=arrays)
def test_an_array_of_others_comes_in_with_its_numbers_and_shares_its_memory(a):
    shared, own = dl.from_dlpack(a), dl.from_dlpack(a, copy=True)

    for x in (shared, own):
        assert_array_equal(x.numpy(), a)
        assert x.dtype == a.dtype
        assert x.shape == a.shape
    assert np.shares_memory(shared.data, a) or a.size == 0
    assert not np.shares_memory(own.data, a)


def test_how_an_array_lies_in_memory_makes_no_difference():
    a = np.arange(24.0).reshape(2, 3, 4)

    for cut in (a.T, a[::-1], a[:, ::2], np.broadcast_to(a[:1], a.shape)):
        x = dl.from_dlpack(cut)
        assert_array_equal((x * 2.0).numpy(), cut * 2.0)


def test_derivatives_go_through_a_tensor_in_the_memory_of_others():
    theirs = np.array([1.0, 2.0])
    x = dl.from_dlpack(theirs)
    x.requires_grad = True

    (x * x).sum().backward()

    assert x.grad.tolist() == [2.0, 4.0]
    assert theirs.tolist() == [1.0, 2.0]


def test_an_optimizer_never_writes_to_the_memory_of_others():
    theirs = np.array([1.0, 2.0])
    x = dl.from_dlpack(theirs)
    x.requires_grad = True

    (x * x).sum().backward()
    dl.optim.SGD([x], lr=0.5).step()

    assert x.tolist() == [0.0, 0.0]
    assert theirs.tolist() == [1.0, 2.0]


def test_the_giver_is_asked_for_no_copy_where_none_is_wanted():
    theirs = Theirs(np.ones(2))

    dl.from_dlpack(theirs, copy=False)

    assert theirs.asked["copy"] is False


def test_another_device_means_a_copy():
    theirs = np.ones(2, np.float32)

    with dl.transfer_meter() as meter:
        x = dl.from_dlpack(theirs, device="strict")

    assert (x.backend, x.tolist(), meter.to_device) == ("strict", [1.0, 1.0], (1, 8))
    assert dl.from_dlpack(theirs, device="cpu", copy=False).backend == "cpu"
    with pytest.raises(ValueError, match="from_dlpack: from cpu to strict it is copied, and copy=False"):
        dl.from_dlpack(theirs, device="strict", copy=False)


def test_the_selected_backend_does_not_matter():
    with backends.use_backend("strict"):
        assert dl.from_dlpack(np.ones(2)).backend == "cpu"


@pytest.mark.parametrize(("given", "error", "message"), [
    ([1.0], TypeError, r"from_dlpack: a list has no __dlpack__ .*dl\.tensor\(data\) takes numbers, lists"),
    (Theirs(np.ones(2), (8, 0)), BufferError, "is on a device of DLPack's type 8, which no backend knows"),
])
def test_what_cannot_come_in_says_so(given, error, message):
    with pytest.raises(error, match=message):
        dl.from_dlpack(given)


def test_a_tensor_of_our_own_comes_in_again():
    x = dl.tensor([1.0, 2.0])

    assert np.shares_memory(dl.from_dlpack(x).data, x.data)


# --- the rule ------------------------------------------------------------------------------------


@given(contiguous=st.booleans(), copy=st.sampled_from([None, True, False]), marks=st.booleans(),
       version=st.sampled_from([None, (0, 8), (1, 0), (1, 2), (2, 0)]))
def test_nobody_can_write_to_an_array_who_did_not_ask_for_it_itself(contiguous, copy, marks, version):
    marked = marks and version is not None and version >= (1, 0)
    try:
        copied = must_copy(contiguous, copy, version, marks)
    except BufferError:
        assert copy is False
        assert not contiguous
    else:
        assert copied or marked or copy is False
        assert copied or contiguous
        assert copied or not copy


# --- a card ---------------------------------------------------------------------------------------


@on_cuda
def test_arrays_of_a_card_are_given_away_as_copies_or_as_they_are(backend):
    x = dl.Tensor(backend.from_host(np.array([1.0, 2.0])))

    for asked, shared in [({}, False), (NEW, False), ({"copy": True}, False), ({"copy": False}, True)]:
        found = backend.from_dlpack(Receiver(x, {"stream": 1} | asked), None)
        assert backend.owns(found)
        assert (found.data.ptr == x.array.data.ptr) is shared
    assert backend.dlpack_device() == (2, 0) == x.__dlpack_device__()


@on_cuda
def test_a_copy_of_a_card_to_the_host_is_seen_by_the_meter(backend):
    x = dl.Tensor(backend.from_host(np.array([1.0, 2.0])))

    with dl.transfer_meter() as meter:
        capsule = x.__dlpack__(dl_device=(1, 0), max_version=(1, 0))

    assert "dltensor" in repr(capsule)
    assert meter.to_host == (1, 16)


@on_cuda
def test_the_interface_of_cuda_says_that_the_array_is_not_to_be_written_to(backend):
    x = dl.Tensor(backend.from_host(np.array([1.0, 2.0])))

    described = x.__cuda_array_interface__
    x.requires_grad = True

    assert described["data"] == (x.array.data.ptr, True)
    assert described["shape"] == (2,)
    with pytest.raises(BufferError, match="__cuda_array_interface__: this tensor requires gradients"):
        hasattr(x, "__cuda_array_interface__")


@on_cuda
def test_arrays_of_others_on_a_card_come_in_without_a_copy(backend):
    theirs = Theirs(backend.from_host(np.array([1.0, 2.0])), (2, 0))

    shared, own = (backend.from_dlpack(theirs, copy) for copy in (None, True))

    assert shared.data.ptr == theirs.array.data.ptr != own.data.ptr
    assert backend.to_host(own).tolist() == backend.to_host(shared).tolist() == [1.0, 2.0]


@on_cuda
def test_bfloat16_is_not_given_away_by_a_card(backend):
    with pytest.raises(BufferError, match=r"CuPy cannot export bfloat16; convert it, x\.to\('float32'\)"):
        dl.Tensor(backend.ones((2,), "bfloat16")).__dlpack__()
