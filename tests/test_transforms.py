"""grad, vjp, jvp, jacobian, hessian, hvp: what goes in, what comes out, and in which shape."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import dlcore as dl
from dlcore import trees
from dlcore.core import Primitive


def numbers(*shape):
    return dl.tensor(np.arange(1.0, 1.0 + np.prod(shape, dtype=int)).reshape(shape))


def shapes(tree):
    return trees.mapped(lambda x: x.shape, tree)


def test_grad_is_the_gradient_and_value_and_grad_has_both(backend):
    x = dl.tensor([1.0, 2.0])

    value, slope = dl.value_and_grad(lambda x: dl.sum(x * x))(x)

    assert value.item() == 5.0
    assert slope.tolist() == dl.grad(lambda x: dl.sum(x * x))(x).tolist() == [2.0, 4.0]


# --- arguments ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("argnums", "expected"), [
    (0, 10.0), (1, 4.0), (-1, 4.0), (-2, 10.0), ((0,), (10.0,)), ((0, 1), (10.0, 4.0)), ((1, 0), (4.0, 10.0)),
    ((-1, 0), (4.0, 10.0)), ([0, 1], (10.0, 4.0)), ((), ())])
def test_argnums_choose_the_arguments_and_the_form_of_the_answer(argnums, expected, backend):
    found = dl.grad(lambda x, y: x * x * y, argnums)(dl.tensor(2.0), dl.tensor(5.0) - 2.5)

    assert trees.mapped(lambda g: g.item(), found) == expected


@pytest.mark.parametrize(("argnums", "error", "message"), [
    (2, ValueError, "grad: argnums=2, but the function was called with 2 positional arguments"),
    (-3, ValueError, "argnums=-3"), ((0, 5), ValueError, r"argnums=\(0, 5\)"),
    ((0, 0), ValueError, r"argnums=\(0, 0\) names an argument twice"), ((1, -1), ValueError, "twice"),
    ("x", TypeError, "argnums must be an int or a tuple of ints, got 'x'"), ((0.0,), TypeError, "must be")])
def test_argnums_that_name_no_argument_are_refused(argnums, error, message):
    with pytest.raises(error, match=message):
        dl.grad(lambda x, y: x * y, argnums)(dl.tensor(2.0), dl.tensor(3.0))


def test_keyword_arguments_and_the_arguments_not_chosen_are_passed_on_as_they_are(backend):
    seen = []

    def f(x, mode, *, scale):
        seen.append((mode, scale))
        return x * scale

    assert dl.grad(f)(dl.tensor(2.0), "mode", scale=3).item() == 3.0
    assert seen == [("mode", 3)]


def test_an_argument_that_does_not_matter_has_a_gradient_of_zeros(backend):
    x, y = dl.tensor([1.0, 2.0]), dl.tensor([[3.0], [4.0]], "float64")

    both = dl.grad(lambda x, y: dl.sum(x), (0, 1))(x, y)
    pulled = dl.vjp(lambda x, y: x * 2.0, x, y)[1](x)
    rows = dl.jacobian(lambda x, y: x * 2.0, 1)(x, y)

    assert [g.tolist() for g in both] == [[1.0, 1.0], [[0.0], [0.0]]]
    assert pulled[1].tolist() == [[0.0], [0.0]]
    assert rows.shape == (2, 2, 1)
    assert {g.dtype for g in (both[1], pulled[1], rows)} == {dl.float64}


@pytest.mark.parametrize("constant", [lambda x: dl.tensor(1.0), lambda x: 1.0, lambda x: dl.sum(dl.floor(x)),
                                      lambda x: dl.stop_gradient(dl.sum(x)), dl.argmax])
def test_a_function_that_does_not_depend_on_its_argument_has_a_gradient_of_zeros(constant, backend):
    assert dl.grad(constant)(dl.tensor([1.5, 2.5])).tolist() == [0.0, 0.0]


def test_python_numbers_and_numpy_arrays_are_arguments_too(backend):
    assert dl.grad(lambda x: x * x)(3.0).tolist() == 6.0
    assert dl.grad(lambda x: dl.sum(x * x))(np.array([1.0, 2.0])).dtype == dl.float64
    assert dl.jvp(lambda x: x * x, [3.0], [1.0])[1].tolist() == 6.0


@pytest.mark.parametrize("x", [3, dl.tensor([1, 2]), np.array([True])])
def test_an_argument_without_derivatives_is_refused(x):
    with pytest.raises(TypeError, match=r"grad: (int64|bool)\(.*\) has no derivatives; use a float dtype"):
        dl.grad(lambda x: dl.sum(x * 1.0))(x)


@pytest.mark.parametrize("result", [lambda x: x, lambda x: (dl.sum(x), dl.sum(x)), lambda x: None,
                                    lambda x: dl.sum(x, keepdims=True)])
def test_the_gradient_of_what_is_no_scalar_is_refused_and_the_ways_out_are_named(result, backend):
    with pytest.raises(ValueError, match=r"grad: the function must return a scalar, .*\.sum\(\).*jacobian"):
        dl.grad(result)(dl.tensor([1.0, 2.0]))


# --- nested arguments and results -----------------------------------------------------------------


def nested():
    return {"w": dl.tensor([[1.0, 2.0]]), "layers": [(dl.tensor(3.0), dl.tensor([4.0, 5.0]))], "none": None}


def squares(p):
    return dl.sum(p["w"] * p["w"]) + p["layers"][0][0] * dl.sum(p["layers"][0][1])


def test_a_gradient_is_nested_like_its_argument(backend):
    found = dl.grad(squares)(nested())

    assert trees.mapped(lambda g: g.tolist(), found) == {
        "w": [[2.0, 4.0]], "layers": [(9.0, [3.0, 3.0])], "none": None}


def test_a_gradient_keeps_named_tuples_and_the_order_of_keys(backend):
    pair = dl.topk(dl.tensor([3.0, 1.0, 2.0]), 2)
    found = dl.grad(lambda p: dl.sum(p["b"].values) + p["a"])({"b": pair._replace(indices=dl.tensor(1.0)),
                                                              "a": dl.tensor(2.0)})

    assert list(found) == ["b", "a"]
    assert type(found["b"]) is type(pair)


def test_a_jacobian_is_nested_like_the_result_and_then_like_the_argument(backend):
    f = lambda p: {"sum": dl.sum(p[0]) + p[1]["b"] * 0.0, "all": (p[0] * p[1]["b"], [p[0][:, 0]])}

    found = dl.jacobian(f)((numbers(2, 3), {"b": numbers(3)}))

    assert shapes(found) == {"sum": ((3, 2, 3), {"b": (3, 3)}),
                             "all": (((2, 3, 2, 3), {"b": (2, 3, 3)}), [((2, 2, 3), {"b": (2, 3)})])}


def test_a_jacobian_in_several_arguments_has_a_tuple_in_each_place(backend):
    f = lambda x, y: [dl.sum(x) * y]

    found = dl.jacobian(f, (0, 1))(numbers(2), numbers(3))

    assert shapes(found) == [((3, 2), (3, 3))]
    assert shapes(dl.jacobian(f, (1,))(numbers(2), numbers(3))) == [((3, 3),)]
    assert shapes(dl.jacobian(f, -1)(numbers(2), numbers(3))) == [(3, 3)]


def test_a_hessian_has_a_block_for_every_pair_of_leaves(backend):
    f = lambda p: dl.sum(p["a"] * p["a"] * p["b"])

    found = dl.hessian(f)({"a": dl.tensor([1.0, 2.0]), "b": dl.tensor(3.0)})

    assert trees.mapped(lambda h: h.tolist(), found) == {
        "a": {"a": [[6.0, 0.0], [0.0, 6.0]], "b": [2.0, 4.0]}, "b": {"a": [2.0, 4.0], "b": 0.0}}


def test_a_hessian_in_several_arguments_is_a_square_of_tuples(backend):
    f = lambda x, y: dl.sum(x * x * y)

    found = dl.hessian(f, (0, 1))(numbers(2), dl.tensor(3.0))

    assert shapes(found) == (((2, 2), (2,)), ((2,), ()))
    assert shapes(dl.hessian(f, (0,))(numbers(2), dl.tensor(3.0))) == (((2, 2),),)


def test_a_hessian_vector_product_is_nested_like_the_point(backend):
    f = lambda p: dl.sum(p["a"] * p["a"] * p["b"])

    found = dl.hvp(f, {"a": dl.tensor([1.0, 2.0]), "b": dl.tensor(3.0)},
                   {"a": dl.tensor([1.0, 0.0]), "b": dl.tensor(0.0)})

    assert trees.mapped(lambda h: h.tolist(), found) == {"a": [6.0, 0.0], "b": 2.0}


SHAPES = st.lists(st.integers(0, 3), max_size=3).map(tuple)


@given(shape=SHAPES, out=st.lists(st.integers(0, 2), max_size=2).map(tuple))
def test_a_jacobian_has_the_shape_of_the_result_and_that_of_the_argument(shape, out, backend):
    found = dl.jacobian(lambda x: dl.broadcast_to(dl.sum(x), out))(numbers(*shape))

    assert found.shape == (*out, *shape)
    assert_array_equal(found.numpy(), 1.0)


@given(seed=st.integers(0, 2**32 - 1))
def test_a_jacobian_of_a_linear_map_is_the_map(seed, backend):
    a = np.random.default_rng(seed).integers(-4, 5, (3, 2)).astype(float)

    assert_array_equal(dl.jacobian(lambda x: dl.matmul(dl.tensor(a), x))(dl.tensor([0.5, 2.0])).numpy(), a)


def test_a_jacobian_without_rows_is_empty_and_a_constant(backend):
    x = dl.tensor([1.0, 2.0], requires_grad=True)

    assert dl.jacobian(lambda x: x[:0])(x).shape == (0, 2)
    assert not dl.jacobian(lambda x: x[:0])(x).requires_grad


def test_integer_results_have_zeros_for_derivatives(backend):
    f = lambda x: (x * x, dl.argmax(x))

    rows = dl.jacobian(f)(dl.tensor([3.0, 1.0]))
    value, pushed = dl.jvp(f, [dl.tensor([3.0, 1.0])], [dl.tensor([1.0, 1.0])])

    assert [r.tolist() for r in rows] == [[[6.0, 0.0], [0.0, 2.0]], [0.0, 0.0]]
    assert (value[1].item(), pushed[1].item()) == (0, 0)
    assert pushed[0].tolist() == [6.0, 2.0]


# --- vjp and jvp ----------------------------------------------------------------------------------


def test_a_pull_function_may_be_called_any_number_of_times(backend):
    y, pull = dl.vjp(lambda x: x * x, dl.tensor([1.0, 2.0]))

    first, second = pull(dl.tensor([1.0, 0.0])), pull(dl.tensor([0.0, 1.0]))

    assert y.tolist() == [1.0, 4.0]
    assert [g.tolist() for g in (*first, *second, *pull(np.ones(2)))] == [[2.0, 0.0], [0.0, 4.0], [2.0, 4.0]]


def test_a_value_that_is_returned_twice_gets_both_cotangents(backend):
    f = lambda x: (x, x, [x * 2.0])

    _, pull = dl.vjp(f, dl.tensor(3.0))

    assert pull((1.0, 10.0, [100.0]))[0].item() == 211.0


def test_a_function_of_nested_arguments_gives_one_cotangent_per_argument(backend):
    _, pull = dl.vjp(lambda p, x: p["w"] * x[0], {"w": dl.tensor(2.0)}, [dl.tensor(3.0)])

    assert trees.mapped(lambda g: g.item(), pull(1.0)) == ({"w": 3.0}, [2.0])


def test_cotangents_and_tangents_in_dicts_are_matched_by_key(backend):
    x, one, zero = dl.tensor(1.0), dl.tensor(1.0), dl.tensor(0.0)

    pulled = dl.vjp(lambda x: {"a": x, "b": x * 10.0}, x)[1]({"b": one, "a": zero})[0]
    pushed = dl.jvp(lambda p: p["a"] * 2.0 + p["b"] * 10.0, [{"a": x, "b": x}], [{"b": one, "a": zero}])[1]

    assert (pulled.item(), pushed.item()) == (10.0, 10.0)


def test_cotangents_and_tangents_adopt_the_dtype_of_what_they_belong_to(backend):
    x = dl.tensor([1.0, 2.0])
    wide = dl.tensor([1.0, 1.0], "float64")

    pulled, pushed = dl.vjp(dl.sin, x)[1](wide)[0], dl.jvp(dl.sin, [x], [wide])[1]

    assert (pulled.dtype, pushed.dtype) == ("float32", "float32")


@pytest.mark.parametrize(("call", "message"), [
    (lambda x: dl.vjp(dl.sin, x)[1](dl.tensor(1.0)), r"vjp: a cotangent has shape \(\), not \(2,\)"),
    (lambda x: dl.vjp(dl.sin, x)[1]((x, x)), "vjp: the cotangents must be nested like the result"),
    (lambda x: dl.vjp(lambda x: (x, x), x)[1](x), "vjp: the cotangents must be nested like the result"),
    (lambda x: dl.jvp(dl.sin, [x], [x, x]), "jvp: the tangents must be nested like the arguments"),
    (lambda x: dl.jvp(dl.sin, [x], [x[:1]]), r"jvp: a tangent has shape \(1,\), not \(2,\)")])
def test_cotangents_and_tangents_of_another_form_are_refused(call, message, backend):
    with pytest.raises(ValueError, match=message):
        call(dl.tensor([1.0, 2.0]))


def test_cotangents_from_another_backend_are_refused_and_data_goes_where_it_belongs():
    x = dl.tensor([1.0, 2.0])
    with dl.use_backend("strict"):
        _, pull = dl.vjp(dl.sin, dl.tensor([1.0, 2.0]))

    with pytest.raises(dl.BackendError, match=r"vjp: a cotangent is on cpu, its value on strict"):
        pull(x)
    assert pull(np.ones(2))[0].backend == "strict"


# --- has_aux, stop_gradient -----------------------------------------------------------------------


def test_what_is_returned_beside_the_value_is_passed_on_without_history(backend):
    w = dl.tensor(3.0, requires_grad=True)
    f = lambda x: (x * x, {"scaled": x * w, "count": 7, "name": "aux"})

    (value, aux), slope = dl.value_and_grad(f, has_aux=True)(dl.tensor(2.0))

    assert (value.item(), slope.item()) == (4.0, 4.0)
    assert (aux["scaled"].item(), aux["count"], aux["name"]) == (6.0, 7, "aux")
    assert not aux["scaled"].requires_grad
    assert dl.grad(f, has_aux=True)(dl.tensor(2.0))[1]["count"] == 7


def test_stop_gradient_makes_constants_of_whole_trees(backend):
    x = dl.tensor([1.0, 2.0], requires_grad=True)

    stopped = dl.stop_gradient({"a": x, "b": [x * 2.0, None]})

    assert not any(v.requires_grad for v in trees.leaves(stopped))
    assert dl.grad(lambda x: dl.sum(dl.stop_gradient(x) * x))(x).tolist() == [1.0, 2.0]


# --- dtypes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_derivatives_have_the_dtype_of_what_they_belong_to(dtype):
    x = dl.tensor([0.5, 1.5], dtype)
    f = lambda x: dl.sum(dl.tanh(x) * np.float64(2.0))  # the value is float64, whatever x is

    assert dl.grad(f)(x).dtype == dtype
    assert dl.hessian(f)(x).dtype == dtype
    assert dl.jacobian(dl.sin)(x).dtype == dtype
    assert dl.hvp(f, x, dl.ones(2, dtype)).dtype == dtype
    assert dl.jvp(f, [x], [x])[1].dtype == "float64"


def test_the_gradient_in_each_of_two_dtypes_is_in_its_own(backend):
    a, b = dl.tensor([1.0, 2.0], "float32"), dl.tensor([3.0, 4.0], "float64")

    found = dl.grad(lambda a, b: dl.sum(a * b), (0, 1))(a, b)

    assert [g.dtype for g in found] == ["float32", "float64"]
    assert_allclose(found[0].numpy(), [3.0, 4.0])


def test_tangents_of_several_arguments_add_up_in_every_output(backend):
    both = Primitive(
        "sum_and_difference", lambda xp, x, y: (x + y, x - y), None,
        vjp=(lambda g, out, x, y: g[0] + g[1], lambda g, out, x, y: g[0] - g[1]),
        jvp=(lambda t, out, x, y: (t, t), lambda t, out, x, y: (t, -t)), outputs=tuple)

    _, tangents = dl.jvp(both, [dl.tensor(1.0), dl.tensor(2.0)], [dl.tensor(3.0), dl.tensor(5.0)])

    assert [t.item() for t in tangents] == [8.0, -2.0]
