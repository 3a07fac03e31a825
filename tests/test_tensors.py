"""Tensor: how it is made, what it holds, what its operators and methods do."""

import copy
import math
import operator
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal

import dlcore as dl
from dlcore.testing.strategies import SEEDS

FLOATS = ["float16", "float32", "float64"]
INTS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


@pytest.fixture
def float64_by_default():
    dl.set_default_dtype("float64")
    yield
    dl.set_default_dtype("float32")


def variable(data, dtype=None):
    return dl.tensor(data, dtype, requires_grad=True)


# --- making one -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("data", "dtype"), [
    (1.0, "float32"), ([1, 2.0], "float32"), ([], "float32"), (3, "int64"), ([[1], [2]], "int64"),
    (True, "bool"), ([True, 2], "int64"), (1j, "complex64"), ((1.0, 2.0), "float32"), (math.inf, "float32")])
def test_python_numbers_become_the_default_of_their_kind(data, dtype):
    x = dl.tensor(data)

    assert x.dtype == dtype
    assert_array_equal(x.numpy(), np.array(data, dtype))


@pytest.mark.parametrize("dtype", ["bool", *INTS, *FLOATS, "complex64", "complex128"])
def test_numpy_arrays_and_scalars_keep_their_dtype(dtype):
    assert dl.tensor(np.ones((2, 1), dtype)).dtype == dtype
    assert dl.tensor(np.ones((), dtype)[()]).dtype == dtype
    assert dl.tensor([np.ones((), dtype)[()]] * 2).dtype == dtype


@pytest.mark.usefixtures("float64_by_default")
def test_the_default_float_can_be_another(backend):
    x = dl.tensor([1, 2])

    assert {y.dtype for y in (dl.tensor(1.0), dl.zeros(2), dl.mean(x), x / 2, x * 2.5, dl.exp(x), dl.eye(2),
                              dl.random.normal(2))} == {dl.float64}
    assert (dl.tensor([1.0], "float32") * 2.5).dtype == "float32"
    assert (x.dtype, dl.tensor(True).dtype) == ("int64", "bool")


ARRAYS = hnp.arrays(hnp.floating_dtypes(sizes=(32, 64), endianness="="), hnp.array_shapes(min_dims=0))


@given(a=ARRAYS)
def test_what_goes_in_comes_out(a, backend):
    assert_array_equal(dl.tensor(a).numpy(), a)
    assert dl.tensor(a).tolist() == a.tolist() or np.isnan(a).any()
    assert dl.tensor(a.tolist(), a.dtype).shape == a.shape or 0 in a.shape


def test_a_tensor_is_a_copy_of_its_data(backend):
    a = np.array([1.0, 2.0])
    x, y = dl.tensor(a), dl.tensor(dl.tensor(a), "float32")

    a[0] = 99.0

    assert x.tolist() == y.tolist() == [1.0, 2.0]
    assert dl.tensor(x).data is not x.data


def test_a_tensor_made_of_a_tensor_has_no_history_and_the_selected_backend():
    x = variable([1.0, 2.0])

    with dl.use_backend("strict"):
        y = dl.tensor(x)

    assert (y.backend, y.requires_grad, x.backend) == ("strict", False, "cpu")


@pytest.mark.parametrize(("data", "error", "message"), [
    ([[1.0, 2.0], [3.0]], ValueError, r"ragged .*: data\[1\] has length 1, but data\[0\] has length 2"),
    ("1.0", TypeError, "a tensor holds numbers, not a value of type str: '1.0'"), (["a"], TypeError, "str"),
    (None, TypeError, "not None"), ({"a": 1}, TypeError, "holds numbers"), (object(), TypeError, "numbers"),
    (np.array(["a"]), TypeError, "not strings"), (np.array([object()]), TypeError, "not Python objects")])
def test_what_is_no_numbers_is_refused(data, error, message):
    with pytest.raises(error, match=message):
        dl.tensor(data)


@pytest.mark.parametrize("data", [3, [1, 2], True, np.arange(2)])
def test_integers_cannot_require_a_gradient(data, backend):
    with pytest.raises(TypeError, match=r"requires_grad: (int64|bool) has no derivatives; use a float dtype"):
        dl.tensor(data, requires_grad=True)
    with pytest.raises(TypeError, match="has no derivatives"):
        dl.tensor(data).requires_grad = True


@pytest.mark.parametrize("how", [lambda: dl.tensor(1.0, "float31"), lambda: dl.tensor(1.0).astype("float31"),
                                 lambda: dl.zeros(2, "float31"), lambda: dl.set_default_dtype("float31")])
def test_an_unknown_dtype_is_an_error_that_lists_the_known(how):
    with pytest.raises(ValueError, match=r"unknown dtype 'float31'; known: bool, int8, .*float32"):
        how()


def test_a_number_that_does_not_fit_its_dtype_is_refused():
    with pytest.raises(ValueError, match="300"):
        dl.tensor(300, "uint8")


# --- what it holds --------------------------------------------------------------------------------


def test_the_attributes_of_a_tensor(backend):
    x = dl.tensor([[1.0, 2.0, 3.0]])

    assert (x.shape, x.ndim, x.size, x.dtype, x.backend) == ((1, 3), 2, 3, dl.float32, backend.name)
    assert x.dtype == "float32" == dl.float32
    assert (x.grad, x.role, x.requires_grad) == (None, None, False)
    assert type(x.data) is backend.array_type


@pytest.mark.parametrize("make", [
    dl.sum, dl.argmax, lambda x: x[0], lambda x: x.mean(), lambda x: x[0] * x[1], lambda x: dl.any(x > 1.0),
    lambda x: dl.tensor(2.0)])
def test_data_of_no_axes_is_an_array_and_never_a_host_scalar(make, backend):
    y = make(dl.tensor([1.0, 2.0]))

    assert type(y.data) is backend.array_type
    assert y.data.shape == ()
    assert type(y.numpy()) is np.ndarray


def test_replacing_data_checks_kind_backend_shape_and_dtype():
    p = variable([1.0, 2.0])
    with dl.use_backend("strict"):
        elsewhere = dl.tensor([1.0, 2.0])

    with pytest.raises(ValueError, match=r"data: float32\(3,\) cannot replace float32\(2,\)"):
        p.data = dl.zeros(3)
    with pytest.raises(ValueError, match=r"float64\(2,\) cannot replace float32\(2,\); shape and dtype must"):
        p.data = np.zeros(2)
    with pytest.raises(dl.BackendError, match=r"cannot replace an array of cpu; .*Tensor.to\('cpu'\)"):
        p.data = elsewhere
    with pytest.raises(dl.BackendError, match=r"ndarray cannot replace an array of strict; make it"):
        elsewhere.data = np.zeros(2, "float32")
    for wrong in ([3.0, 4.0], 1.0, None):
        with pytest.raises(TypeError, match=rf"data: a {type(wrong).__name__} cannot replace .*dl.tensor"):
            p.data = wrong
    assert p.tolist() == [1.0, 2.0]


def test_replacing_data_keeps_the_tensor_a_leaf(backend):
    p = variable([1.0, 2.0])

    p.data = dl.tensor([3.0, 4.0])
    dl.sum(p * p).backward()

    assert p.grad.tolist() == [6.0, 8.0]


@pytest.mark.parametrize("wrong", [
    lambda: dl.zeros(3), lambda: dl.zeros(2, "float64"), lambda: np.zeros(2, "float32"), lambda: 0.0,
    lambda: dl.tensor([0, 0])])
def test_a_gradient_that_is_set_must_be_like_its_tensor(wrong, backend):
    p = variable([1.0, 2.0])

    with pytest.raises(ValueError, match=r"grad: must be None or a tensor like this one, float32\(2,\) on"):
        p.grad = wrong()
    p.grad = dl.tensor([5.0, 6.0])
    dl.sum(p).backward()

    assert p.grad.tolist() == [6.0, 7.0]


def test_a_gradient_from_another_backend_is_refused():
    p = variable([1.0, 2.0])

    with dl.use_backend("strict"), pytest.raises(ValueError, match=r"float32\(2,\) on cpu; got .*strict"):
        p.grad = dl.zeros(2)


# --- out of the graph, off the device -------------------------------------------------------------


def test_numpy_is_read_only_and_works_with_and_without_history(backend):
    x = variable([1.0, 2.0])

    for y in (x, x * 2.0, x.detach(), dl.sum(x)):
        assert not y.numpy().flags.writeable
    assert (x * 2.0).numpy().tolist() == [2.0, 4.0]


def test_numpy_is_a_view_on_the_cpu_and_a_copy_elsewhere():
    x = dl.tensor([1.0, 2.0])
    with dl.use_backend("strict"):
        y = dl.tensor([1.0, 2.0])

    assert np.shares_memory(x.numpy(), x.data)
    assert y.numpy().tolist() == [1.0, 2.0]


def test_detach_shares_the_array_and_drops_the_history(backend):
    y = variable([1.0, 2.0]) * 2.0

    assert not y.detach().requires_grad
    assert y.detach().array is y.array


def test_item_and_tolist_give_python_numbers(backend):
    assert type(dl.tensor([[2.5]]).item()) is float
    assert type(dl.tensor(3).item()) is int
    assert dl.tensor([[1, 2]]).tolist() == [[1, 2]]
    with pytest.raises(ValueError, match=r"item: shape \(2,\) has 2 elements, not one; use tolist\(\)"):
        dl.tensor([1, 2]).item()


def test_moving_is_recorded_and_the_gradient_comes_home():
    x = variable([1.0, 2.0])

    def f(x):
        away = x.to("strict")
        return dl.sum(away * away * away)

    y = x.to("strict")
    dl.sum(y * y).backward()
    back = dl.grad(lambda x: dl.sum(dl.grad(f)(x)))(x)

    assert (y.backend, x.grad.backend, x.grad.tolist()) == ("strict", "cpu", [2.0, 4.0])
    assert (back.backend, back.tolist()) == ("cpu", [6.0, 12.0])
    assert dl.jvp(lambda x: x.to("strict"), [x], [x])[1].backend == "strict"
    assert x.to("cpu") is x


@pytest.mark.parametrize("dtype", ["float64", dl.float64, np.float64, np.dtype("float64")])
def test_converting_is_recorded_and_the_gradient_comes_back_in_the_first_dtype(dtype, backend):
    x = variable([1.0, 2.0])

    dl.sum(x.astype(dtype) * x.to(dtype)).backward()

    assert x.astype(dtype).dtype == "float64"
    assert (x.grad.dtype, x.grad.tolist()) == ("float32", [2.0, 4.0])
    assert x.astype("float32") is x


def test_moving_to_what_is_not_there_is_an_error_that_says_so():
    with pytest.raises(dl.BackendError, match="unknown backend 'gpu'; known: auto, cpu, cuda"):
        dl.tensor(1.0).to("gpu")


def pickled(x):
    return pickle.loads(pickle.dumps(x))  # noqa: S301  our own, of this moment


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, pickled])
def test_a_copy_keeps_all_but_the_history(again, backend):
    x, y = variable([1.0, 2.0], "float64"), variable([1.0]) * 2.0
    x._role = "parameter"
    x.grad = dl.tensor([3.0, 4.0], "float64")

    copied = again(x)

    assert (copied.tolist(), copied.dtype, copied.backend) == ([1.0, 2.0], "float64", backend.name)
    assert (copied.requires_grad, copied.role, copied.grad) == (True, "parameter", None)
    assert copied.data is not x.data
    assert not again(y).requires_grad
    assert again(dl.tensor(3)).item() == 3


def test_a_copy_of_a_list_keeps_what_is_shared(backend):
    x = variable([1.0])

    first, second = copy.deepcopy([x, x])

    assert first is second
    assert first is not x


# --- printing -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("make", "expected"), [
    (lambda: dl.tensor([1.0, 2.5]), "tensor([1. , 2.5], float32)"),
    (lambda: dl.tensor(3), "tensor(3, int64)"),
    (lambda: variable([1.0]), "tensor([1.], float32, requires_grad)"),
    (lambda: variable([1.0]) * 2.0, "tensor([2.], float32, from multiply)"),
    (lambda: dl.tensor([[True], [False]]), "tensor([[ True],\n        [False]], bool)")])
def test_a_tensor_prints_its_values_dtype_and_origin(make, expected):
    assert repr(make()) == str(make()) == expected


def test_a_tensor_elsewhere_prints_where():
    with dl.use_backend("strict"):
        assert repr(variable([1.0])) == "tensor([1.], float32, strict, requires_grad)"


def test_a_big_tensor_prints_in_short():
    assert len(repr(dl.zeros(100_000))) < 200


# --- as a Python object ---------------------------------------------------------------------------


@pytest.mark.parametrize("convert", [float, int, bool, complex])
def test_one_element_converts_to_a_python_number_and_several_are_refused(convert, backend):
    assert convert(dl.tensor([[2.0]])) == convert(2.0)
    for shape in ((2,), (0,)):
        with pytest.raises(ValueError, match=rf"{convert.__name__}\(\) of a tensor of shape .* is ambiguous"):
            convert(dl.zeros(shape))


def test_only_an_integer_tensor_is_an_index(backend):
    assert [10, 20, 30][dl.tensor(1)] == 20
    assert list(range(dl.tensor(2))) == [0, 1]
    with pytest.raises(TypeError, match="only an integer tensor can be an index, not float32"):
        operator.index(dl.tensor(1.0))


def test_len_and_iteration_are_along_the_first_axis(backend):
    x = variable([[1.0, 2.0], [3.0, 4.0]])

    rows = list(x)
    dl.sum(rows[1] * rows[1]).backward()

    assert len(x) == 2
    assert x.grad.tolist() == [[0.0, 0.0], [6.0, 8.0]]
    for fails in (len, list):
        with pytest.raises(TypeError, match=r"len\(\) of a 0-d tensor"):
            fails(dl.tensor(1.0))


def test_equality_is_elementwise_and_hash_is_identity(backend):
    x, y = dl.tensor([1.0, 2.0]), dl.tensor([1.0, 3.0])

    assert (x == y).tolist() == [True, False]
    assert (x != y).tolist() == [False, True]
    assert {x: "x", y: "y"}[x] == "x"
    assert len({x, y, x}) == 2
    with pytest.raises(TypeError, match=r"'in' has no meaning for tensors; write dl.any\(x == item\)"):
        1.0 in x  # noqa: B015


@pytest.mark.parametrize("other", [None, "a", object(), {}, len])
def test_what_is_no_number_is_neither_compared_nor_computed_with(other, backend):
    x = dl.tensor([1.0, 2.0])

    for f in (operator.add, operator.eq, operator.lt, operator.matmul, lambda a, b: operator.mul(b, a)):
        with pytest.raises(TypeError):
            f(x, other)


@given(seed=SEEDS)
def test_tensors_of_no_axes_order_like_numbers(seed, backend):
    numbers = np.random.default_rng(seed).permutation(5).astype(float)

    assert [x.item() for x in sorted(dl.tensor(numbers))] == sorted(numbers.tolist())
    assert max(dl.tensor(numbers)).item() == 4.0
    assert sum(dl.tensor(numbers)).item() == 10.0


@given(places=st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True))
def test_at_makes_a_new_tensor_and_leaves_the_old_one(places, backend):
    x = variable([0.0, 1.0, 2.0, 3.0])

    changed = x.at[places].set(9.0)
    dl.sum(changed * changed).backward()

    assert x.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert changed.tolist() == [9.0 if i in places else float(i) for i in range(4)]
    assert x.grad.tolist() == [0.0 if i in places else 2.0 * i for i in range(4)]
