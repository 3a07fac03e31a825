"""Operators between tensors and numbers, arrays and lists: dtypes, gradients, and what is refused."""

import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import dlcore as dl
from backends.dtypes import promote
from dlcore.testing.strategies import SEEDS

BOOL_INT_FLOAT = ["bool", "int8", "uint8", "int32", "int64", "float16", "float32", "float64"]
ARITHMETIC = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.mod]
COMPARISONS = [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne]


def variable(data, dtype=None):
    return dl.tensor(data, dtype, requires_grad=True)


# --- against NumPy --------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [*ARITHMETIC, *COMPARISONS])
@given(seed=SEEDS)
def test_an_operator_computes_what_numpy_computes(f, seed, backend):
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(0.5, 2.0, (2, 3)), rng.uniform(0.5, 2.0, (3,))

    found = f(dl.tensor(a), dl.tensor(b))

    assert_allclose(found.numpy(), f(a, b), rtol=1e-14)  # a power may round differently


@pytest.mark.parametrize("f", [*ARITHMETIC, *COMPARISONS])
def test_a_number_may_stand_on_either_side(f, backend):
    x = dl.tensor([0.5, 1.0, 2.0], "float64")

    assert_allclose(f(x, 2).numpy(), f(x.numpy(), 2), rtol=1e-14)
    assert_allclose(f(2.0, x).numpy(), f(2.0, x.numpy()), rtol=1e-14)


def test_unary_operators_and_logic(backend):
    x, b = dl.tensor([-1.5, 2.0]), dl.tensor([True, False])

    assert ((-x).tolist(), (+x).tolist(), abs(x).tolist()) == ([1.5, -2.0], [-1.5, 2.0], [1.5, 2.0])
    assert ((~b).tolist(), (b & b).tolist()) == ([False, True], [True, False])
    assert ((b | ~b).tolist(), (b ^ b).tolist()) == ([True, True], [False, False])
    assert (dl.tensor([[1.0, 2.0]]) @ dl.tensor([[3.0], [4.0]])).tolist() == [[11.0]]


# --- dtypes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("a", BOOL_INT_FLOAT)
@pytest.mark.parametrize("b", BOOL_INT_FLOAT)
def test_two_dtypes_promote_by_kind_and_then_by_width(a, b):
    x, y = dl.ones(2, a), dl.ones(2, b)

    assert (x + y).dtype == (y + x).dtype == promote(x.dtype, y.dtype)


@pytest.mark.parametrize(("a", "b", "expected"), [
    ("int64", "float32", "float32"), ("int64", "float16", "float16"), ("bool", "float16", "float16"),
    ("bool", "int8", "int8"), ("float32", "float64", "float64"), ("int8", "uint8", "int16")])
def test_the_promotions_that_differ_from_numpy_are_these(a, b, expected, backend):
    if backend.name == "strict" and "float16" in (a, b):
        pytest.skip("backend 'strict' has no float16: the standard lacks it")

    assert (dl.ones(2, a) * dl.ones(2, b)).dtype == expected


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("number", [2.0, 2, True])
def test_python_numbers_are_weak_beside_floats_and_so_is_the_gradient(dtype, number):
    x = variable([1.0, 3.0], dtype)

    for y in (x * number, number * x, x / number, x - number, number - x, x**number):
        y.sum().backward()
        assert y.dtype == dtype
    assert x.grad.dtype == dtype


@pytest.mark.parametrize(("dtype", "number", "expected"), [
    ("int32", 2, "int32"), ("int32", True, "int32"), ("int32", 2.5, "float32"), ("bool", 1, "int64"),
    ("bool", 2.5, "float32"), ("float32", 1j, "complex64"), ("float64", 1j, "complex128")])
def test_a_python_number_raises_the_kind_but_never_the_width(dtype, number, expected, backend):
    x = dl.ones(2, dtype)

    assert (x * number).dtype == (number * x).dtype == expected


@pytest.mark.parametrize("f", [lambda x: x / 2, lambda x: 2 / x, dl.sqrt, dl.mean])
@pytest.mark.parametrize("dtype", ["bool", "int8", "int64"])
def test_float_functions_of_integers_give_the_default_float(f, dtype, backend):
    assert f(dl.ones(2, dtype)).dtype == "float32"


def test_numpy_scalars_and_tensors_of_no_axes_are_strong(backend):
    x = variable([1.0, 2.0])

    for y in (x * np.float64(2.0), np.float64(2.0) * x, x * dl.tensor(2.0, "float64")):
        y.sum().backward()
        assert (y.dtype, y.backend) == ("float64", backend.name)
    assert x.grad.dtype == "float32"
    assert (x * np.int64(2)).dtype == (x * np.float32(2.0)).dtype == "float32"


@given(dtypes=st.lists(st.sampled_from(["float16", "float32", "float64"]), min_size=2, max_size=4))
def test_each_gradient_has_the_dtype_of_its_value_however_they_mix(dtypes):
    xs = [variable([1.0, 2.0], dtype) for dtype in dtypes]
    y = xs[0]
    for x in xs[1:]:
        y = y * x + x

    y.sum().backward()

    assert [x.grad.dtype for x in xs] == dtypes


# --- beside arrays and lists ----------------------------------------------------------------------


@pytest.mark.parametrize("f", [*ARITHMETIC, *COMPARISONS, operator.matmul])
def test_a_numpy_array_on_either_side_is_a_constant_on_the_cpu(f):
    x, a = variable([1.0, 2.0]), np.array([3.0, 4.0])

    assert type(f(x, a)) is type(f(a, x)) is dl.Tensor
    assert_array_equal(f(a, x).numpy(), f(a, x.numpy().astype("float64")))


def test_a_list_beside_a_tensor_is_a_constant_on_the_cpu():
    x = variable([1.0, 2.0])

    y = [3.0, 4.0] * x + (1.0, 1.0) - x
    y.sum().backward()

    assert y.tolist() == [3.0, 7.0]
    assert x.grad.tolist() == [2.0, 3.0]


def test_an_array_or_a_list_beside_a_tensor_elsewhere_is_an_error_that_names_both_and_the_fix():
    with dl.use_backend("strict"):
        x = dl.tensor([1.0, 2.0])

    for other in (np.ones(2), [1.0, 2.0], (1.0, 2.0)):
        kind = type(other).__name__
        for f in (lambda a: x + a, lambda a: a * x, lambda a: dl.where(x > 0.0, a, x)):
            with pytest.raises(dl.BackendError, match=rf"a {kind} on cpu beside a tensor on strict; make it"):
                f(other)


def test_tensors_on_two_backends_are_an_error_that_names_the_operation_both_and_the_fix():
    x = dl.tensor([1.0, 2.0])
    with dl.use_backend("strict"):
        y = dl.tensor([1.0, 2.0])

    for f, name in ((operator.mul, "multiply"), (operator.matmul, "matmul"), (dl.maximum, "maximum"),
                    (lambda a, b: dl.concat([a, b]), "concat"),
                    (lambda a, b: dl.where(a > 0.0, b, 0.0), "where")):
        with pytest.raises(dl.BackendError, match=rf"^{name}: arrays on cpu and strict in one .*Tensor.to\("):
            f(x, y)


def test_an_operation_runs_where_its_arguments_live_and_not_where_new_arrays_are_made():
    x = variable([1.0, 2.0])

    with dl.use_backend("strict"):
        y = dl.sum(x * 2.0 + 1.0)
        y.backward()
        slope = dl.grad(lambda x: dl.sum(x * x))(x)

    assert (y.backend, x.grad.backend, slope.backend) == ("cpu", "cpu", "cpu")


def test_numpys_own_functions_are_refused():
    x = dl.tensor([1.0, 2.0])

    for f in (np.asarray, np.sin, np.add.reduce, lambda x: np.concatenate([x, x])):
        with pytest.raises(TypeError):
            f(x)
    with pytest.raises(TypeError, match=r"does not turn into a NumPy array by itself; call .numpy\(\)"):
        np.array(x)


# --- nothing is written to ------------------------------------------------------------------------


AUGMENTED = {operator.iadd: operator.add, operator.isub: operator.sub, operator.imul: operator.mul,
             operator.itruediv: operator.truediv, operator.imod: operator.mod, operator.ipow: operator.pow,
             operator.imatmul: operator.matmul}


@pytest.mark.parametrize("f", AUGMENTED)
def test_augmented_assignment_to_a_leaf_that_gathers_gradients_is_refused_and_names_the_way(f, backend):
    w = variable([1.0, 2.0])

    with pytest.raises(TypeError, match=r"an optimizer or x.data = ... to change it, or write y = x"):
        f(w, w.detach())
    with dl.no_grad(), pytest.raises(TypeError, match=r"x.data ="):
        f(w, 2.0)

    assert w.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(("f", "plain"), AUGMENTED.items())
def test_augmented_assignment_to_anything_else_makes_a_new_tensor(f, plain, backend):
    constant, computed, other = dl.tensor([3.0, 2.0]), variable([3.0, 2.0]) * 1.0, dl.tensor([2.0, 3.0])

    for x in (constant, computed):
        found = f(x, other)
        assert_array_equal(found.numpy(), plain(x, other).numpy())
        assert found.requires_grad == x.requires_grad
        assert x.tolist() == [3.0, 2.0]


def test_augmented_assignment_inside_a_transform_is_an_ordinary_operation(backend):
    def f(x):
        x += 1.0
        x *= x
        return dl.sum(x)

    assert dl.grad(f)(dl.tensor([1.0, 2.0])).tolist() == [4.0, 6.0]
    assert dl.grad(f)(variable([1.0, 2.0])).tolist() == [4.0, 6.0]


def test_assignment_to_a_part_is_refused_and_names_the_way(backend):
    for x in (variable([1.0, 2.0]), dl.tensor([1.0, 2.0])):
        with pytest.raises(TypeError, match=r"write x = x.at\[i\].set\(v\), or x.at\[i\].add\(v\)"):
            x[0] = 5.0
        with pytest.raises(TypeError, match=r"x.at\[i\]"):
            x[0] += 5.0


# --- methods --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "args"), [
    ("sum", ()), ("sum", (0,)), ("mean", (1,)), ("prod", ()), ("max", (0,)), ("min", ()), ("var", ()),
    ("std", (0,)), ("argmax", ()), ("argmin", (1,)), ("cumsum", (0,)),
    ("squeeze", ()), ("round", ()), ("clip", (0.5, 1.5)),
    ("take", ([1, 0], 1)), ("reshape", (3, 2)), ("reshape", ((3, 2),)), ("reshape", (-1,)), ("transpose", ()),
    ("transpose", (1, 0)), ("transpose", ((1, 0),)), ("any", ()), ("all", (0,)), ("tolist", ())])
@given(seed=SEEDS)
def test_a_method_does_what_the_method_of_an_array_does(method, args, seed, backend):
    a = np.random.default_rng(seed).uniform(-2, 2, (2, 3))

    found = getattr(dl.tensor(a), method)(*args)

    expected = getattr(a, method)(*args)
    found = found if method == "tolist" else found.numpy()
    assert_allclose(found, expected, rtol=1e-12, atol=1e-14)  # sums in another order


def test_the_transposes(backend):
    x = dl.tensor(np.arange(24.0).reshape(2, 3, 4))

    assert (x.T.shape, x.mT.shape) == ((4, 3, 2), (2, 4, 3))
    assert_array_equal(x.mT.numpy(), np.arange(24.0).reshape(2, 3, 4).swapaxes(1, 2))
    with pytest.raises(ValueError, match=r"needs at least two axes, got shape \(2,\)"):
        dl.tensor([1.0, 2.0]).mT  # noqa: B018


def test_keepdims_and_correction(backend):
    x = dl.tensor([[1.0, 2.0, 4.0]])

    assert x.sum(1, keepdims=True).shape == x.max(axis=1, keepdims=True).shape == (1, 1)
    assert_allclose(x.var(correction=1).item(), np.var([1.0, 2.0, 4.0], ddof=1), rtol=1e-6)  # float32
    assert_allclose(x.std(1, 1.0).numpy(), np.std([1.0, 2.0, 4.0], ddof=1, keepdims=True), rtol=1e-6)


@pytest.mark.parametrize("combine", [lambda x: x & 1, lambda x: 1 | x, lambda x: x ^ x, lambda x: ~x])
def test_bits_of_integers_are_not_taken_for_truth(backend, combine):
    with pytest.raises(TypeError, match=r"booleans, got (int64|int); compare first"):
        combine(dl.tensor([1, 2]))


def test_truth_combines_with_operators(backend):
    x = dl.tensor([-1.0, 0.5, 2.0])

    inside = (x > 0) & (x < 1)

    assert (inside | ~inside).tolist() == [True, True, True]
    assert (inside ^ True).tolist() == [True, False, True]


def test_a_scalar_formats_as_its_number(backend):
    loss = dl.tensor(0.12345, "float64")

    assert f"{loss:.3f}" == "0.123"
    assert f"{loss}" == repr(loss)
