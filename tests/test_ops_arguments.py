"""Operations and arguments that the array-API standard has and that no law looks at: dtypes, grids, sets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import dlcore as dl
from dlcore.nn import functional as F

INTEGERS = st.lists(st.integers(-3, 3), min_size=1, max_size=8)


@pytest.mark.parametrize("name", ["sum", "prod", "cumsum", "cumprod"])
def test_a_dtype_is_taken_on_before_anything_is_added_or_multiplied(name, backend):
    x = dl.tensor([1.0, 2.0**-30, 3.0], dtype="float32", requires_grad=True)

    y = getattr(dl, name)(x + 1.0, axis=0, dtype="float64")
    dl.sum(y).backward()

    assert y.dtype == "float64"
    assert x.grad.dtype == "float32"
    assert getattr(dl, name)(dl.tensor([200, 100], dtype="uint8"), dtype="float32").dtype == "float32"


def test_zeros_and_ones_like_something_may_have_another_dtype(backend):
    x = dl.tensor([1.5, 2.5])

    assert dl.zeros_like(x, "int64").tolist() == [0, 0]
    assert dl.ones_like(x, dtype=dl.bool_).tolist() == [True, True]
    assert [dl.zeros_like(x).dtype, dl.ones_like(x, "float64").dtype] == ["float32", "float64"]


@given(a=INTEGERS, b=st.integers(-3, 3).filter(bool))
def test_a_quotient_is_rounded_down_and_the_remainder_is_what_is_left(backend, a, b):
    x = dl.tensor(a)

    assert (x // b).tolist() == [n // b for n in a]
    assert_array_equal(((x // b) * b + x % b).numpy(), a)
    assert ((x * 1.0) // b).tolist() == [float(n // b) for n in a]


@pytest.mark.parametrize("divide", [
    lambda x: x // 0, lambda x: x % 0, lambda x: 7 // x, lambda x: x % (x * 0)])
def test_an_integer_divided_by_zero_is_refused_on_the_cpu_and_a_float_is_not(divide):
    with pytest.raises(ValueError, match=r"(floor_divide|remainder).*: an integer divided by 0 is no number"):
        divide(dl.tensor([1, 0]))

    assert not np.isfinite(divide(dl.tensor([1.0, 0.0])).numpy()).all()


def test_floor_division_keeps_dtypes_and_stands_on_both_sides_of_a_number(backend):
    x = dl.tensor([2.0, -3.0], requires_grad=True)

    y = (7 // x) * (x // 2)
    y.sum().backward()

    assert y.tolist() == [3.0, 6.0]
    assert x.grad.tolist() == [0.0, 0.0]
    assert (dl.tensor([7]) // 2).dtype == "int64"
    with pytest.raises(TypeError, match=r"x //= v would leave a new tensor"):
        x //= 2


def test_the_sign_of_a_zero_can_be_seen_and_copied(backend):
    x = dl.tensor([-0.0, 0.0, -2.0])

    assert dl.signbit(x).tolist() == [True, False, True]
    assert dl.copysign(dl.tensor([1.0, -1.0, 3.0]), x).tolist() == [-1.0, 1.0, -3.0]
    assert dl.copysign(2.0, x).tolist() == [-2.0, 2.0, -2.0]


@given(a=INTEGERS, b=INTEGERS)
def test_membership_and_counts_are_those_of_sets_and_lists(backend, a, b):
    x, values = dl.tensor(a), dl.tensor(b)

    assert dl.isin(x, values).tolist() == [n in b for n in a]
    assert dl.isin(x, values, invert=True).tolist() == [n not in b for n in a]
    assert dl.count_nonzero(x).item() == len(a) - a.count(0)


@pytest.mark.parametrize("indexing", ["xy", "ij"])
@pytest.mark.parametrize("sizes", [(2,), (2, 3), (2, 3, 4)])
def test_grids_are_those_of_numpy(sizes, indexing, backend):
    lines = [np.arange(float(n)) for n in sizes]

    found = dl.meshgrid(*map(dl.tensor, lines), indexing=indexing)

    for x, y in zip(found, np.meshgrid(*lines, indexing=indexing), strict=True):
        assert_array_equal(x.numpy(), y)


@pytest.mark.parametrize(("call", "match"), [
    (lambda x: dl.meshgrid(x, indexing="yx"), r"meshgrid: indexing must be 'xy' or 'ij', got 'yx'"),
    (lambda x: dl.meshgrid(x, dl.zeros((2, 3))), r"meshgrid: takes 1-d arrays, got shapes \(2,\), \(2, 3\)"),
])
def test_grids_of_anything_else_are_refused(call, match, backend):
    with pytest.raises(ValueError, match=match):
        call(dl.zeros(2))


BINARY = ["add", "subtract", "multiply", "divide", "pow", "maximum", "minimum", "atan2", "logaddexp", "hypot",
          "remainder", "floor_divide", "copysign", "xlogy"]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("number", [2, 2.5, 0, True], ids=repr)
@pytest.mark.parametrize("name", BINARY)
def test_a_number_beside_a_tensor_of_any_shape_keeps_dtype_and_gradient(name, number, dtype, backend):
    if not backend.supports(dtype):
        return
    for shape in ((), (2,)):
        x = dl.full(shape, 1.5, dtype=dtype, requires_grad=True)

        results = [getattr(dl, name)(x, number), getattr(dl, name)(number, x)]
        for y in results:
            y.sum().backward()

        assert [y.dtype for y in (*results, x.grad)] == [dtype] * 3


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "bool"])
@pytest.mark.parametrize(("module", "name"), [
    *((dl, n) for n in ["exp", "log", "sqrt", "tanh", "erf", "sigmoid", "lgamma", "sinc", "logit"]),
    (dl, "mean"), (dl, "std"), (dl, "logsumexp"), (dl, "reciprocal"), (dl, "nan_to_num"),
    *((F, n) for n in ["softmax", "log_softmax", "gelu", "silu", "elu", "softplus", "mish", "leaky_relu"]),
])
def test_a_float_function_of_integers_gives_the_default_float(module, name, dtype, backend):
    x = dl.tensor([1, 0, 1], dtype=dtype)

    assert getattr(module, name)(x).dtype == dl.get_default_dtype()
