"""The check of derivatives looks at functions of NumPy, PyTorch and JAX, and finds mistakes in them."""

import re
from pathlib import Path

import numpy as np
import pytest

import dlcore as dl
from dlcore.testing import GradientError, check_grads, jax_function, numpy_function, torch_function

X = np.array([[0.3, -1.2, 0.7], [1.1, 0.4, -0.6]])
W = np.array([[0.5, -0.3], [1.0, 0.2], [-0.4, 0.9]])
Z = np.array([0.3 + 0.5j, -1.1 + 0.2j])


def product(x, w):
    return np.tanh(x @ w)


def product_gradient(g, x, w):
    d = g * (1.0 - np.tanh(x @ w) ** 2)
    return d @ w.T, x.T @ d


# --- NumPy ----------------------------------------------------------------------------------------


def test_a_numpy_function_with_its_gradient_passes(backend):
    check_grads(numpy_function(product, product_gradient), X, W, order=1, modes=("rev",))


def test_a_missing_transpose_of_a_numpy_gradient_is_found_and_named():
    wrong = numpy_function(np.matmul, lambda g, x, w: (g @ w, x.T @ g))

    with pytest.raises(GradientError, match="matmul: reverse mode, order 1, is wrong") as failure:
        check_grads(wrong, X[:, :2], W[:2], order=1, modes=("rev",))

    assert failure.value.kind == "missing transpose"


@pytest.mark.parametrize(("factor", "right"), [(6.0, True), (5.0, False)])
def test_the_second_order_of_a_numpy_function_is_what_is_given(factor, right):
    cube = numpy_function(lambda x: x**3, lambda g, x: 3.0 * g * x**2,
                          lambda h, g, x: (3.0 * h * x**2, factor * h * g * x))

    if right:
        check_grads(cube, X, modes=("rev",))
    else:
        with pytest.raises(GradientError, match="order 2, is wrong"):
            check_grads(cube, X, modes=("rev",))


def test_the_second_order_of_two_arguments():
    def second(h, g, x, y):  # of (g y, g x)
        return h[0] * y + h[1] * x, h[1] * g, h[0] * g

    product = numpy_function(np.multiply, lambda g, x, y: (g * y, g * x), second)

    check_grads(product, X, X + 1.0, modes=("rev",))


@pytest.mark.parametrize(("f", "gradient", "how", "kind", "match"), [
    (np.sin, lambda g, x: g * np.cos(x), {"modes": "rev"}, ValueError,
     "the second derivative of sin is not known: give second=, or check with order=1"),
    (np.sin, lambda g, x: g * np.cos(x), {"order": 1}, ValueError,
     "sin has no forward mode: check with modes='rev'"),
    (np.sin, lambda g, x: (g * np.cos(x)).astype("float32"), {"order": 1, "modes": "rev"}, ValueError,
     "sin: gradient must return arrays of the dtypes .*: number 0 is float32, not float64"),
    (np.sum, lambda g, x: g, {"order": 1, "modes": "rev"}, GradientError,
     r"its gradients have the shapes \(\), the arguments \(2, 3\)"),
    (np.modf, lambda g, x: g, {"order": 1, "modes": "rev"}, TypeError,
     "modf must return one array, it returned 2; wrap a function for each"),
    (lambda x: np.multiply(x, 2.0, out=x), lambda g, x: g, {"order": 1, "modes": "rev"}, ValueError,
     "read-only"),
])
def test_what_is_missing_or_wrong_of_a_numpy_function_is_said(f, gradient, how, kind, match):
    with pytest.raises(kind, match=match):
        check_grads(numpy_function(f, gradient), X, **how)


def test_integers_have_no_gradient_in_numpy_either():
    pick = numpy_function(lambda x, i: x[i], lambda g, x, i: (np.bincount(i, g, x.size), None))

    check_grads(pick, X[0], np.array([0, 2, 2]), order=1, modes="rev")


def test_a_gradient_of_too_few_arrays_is_refused():
    with pytest.raises(ValueError, match="product: gradient must return 2 arrays, it returned 1"):
        check_grads(numpy_function(product, lambda g, x, w: g), X, W, order=1, modes=("rev",))


def test_the_complex_step_is_right_to_the_last_digits():
    f = numpy_function(lambda x: np.exp(np.sin(x)), lambda g, x: g * np.exp(np.sin(x)) * np.cos(x))
    wrong = numpy_function(lambda x: np.exp(np.sin(x)),
                           lambda g, x: g * np.exp(np.sin(x)) * np.cos(x) * (1.0 + 1e-11))
    how = {"order": 1, "modes": ("rev",), "method": "complex", "rtol": 1e-13}

    check_grads(f, X, **how)
    check_grads(wrong, X, order=1, modes=("rev",))
    with pytest.raises(GradientError, match="is wrong"):
        check_grads(wrong, X, **how)


def test_the_complex_step_of_a_function_of_real_numbers_only_is_refused():
    f = numpy_function(lambda x: np.array(x.real) ** 2, lambda g, x: 2.0 * g * x)

    with pytest.raises(ValueError, match="needs a function that computes with complex numbers"):
        check_grads(f, X, order=1, modes=("rev",), method="complex")


def test_complex_numbers_have_the_gradient_of_pytorch():
    square = numpy_function(lambda z: z * z, lambda g, z: g * 2.0 * np.conj(z))
    wrong = numpy_function(lambda z: z * z, lambda g, z: g * 2.0 * z)

    check_grads(square, Z, order=1, modes=("rev",))
    with pytest.raises(GradientError, match="is wrong"):
        check_grads(wrong, Z, order=1, modes=("rev",))


# --- PyTorch --------------------------------------------------------------------------------------


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed: nothing to check")


@pytest.mark.peers
def test_a_torch_function_passes_at_both_orders_in_both_modes(torch):
    def f(parameters, x):
        y = torch.tanh(x @ parameters["w"] + parameters["b"])
        return {"y": y, "sum": y.sum()}

    check_grads(torch_function(f), {"w": W, "b": np.zeros(2)}, X)


@pytest.mark.peers
def test_a_wrong_backward_of_a_torch_function_is_found_and_named(torch):
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[0]

    with pytest.raises(GradientError, match="order 1, is wrong") as failure:
        check_grads(torch_function(Wrong.apply), X, order=1)

    assert failure.value.kind == "constant factor"


@pytest.mark.peers
def test_a_second_order_that_is_wrong_only_in_torch_is_found(torch):
    class Detached(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            return g * 3.0 * ctx.saved_tensors[0].detach() ** 2

    check_grads(torch_function(Detached.apply), X, order=1, modes=("rev",))
    with pytest.raises(GradientError, match="order 2, is wrong"):
        check_grads(torch_function(Detached.apply), X, modes=("rev",))


@pytest.mark.peers
def test_complex_torch_functions_pass(torch):
    check_grads(torch_function(lambda z: torch.exp(z) * z.conj()), Z)
    check_grads(torch_function(torch.abs), Z)


@pytest.mark.peers
def test_integer_arguments_of_torch_stay_as_they_are(torch):
    check_grads(torch_function(lambda w, i: torch.nn.functional.embedding(i, w)), W, dl.tensor([2, 0, 2]))


@pytest.mark.peers
def test_integer_results_of_torch_are_left_alone(torch):
    check_grads(torch_function(lambda x: (torch.topk(x, 2), x.argmax())), X)


# --- JAX ------------------------------------------------------------------------------------------


@pytest.fixture
def jax():
    jax = pytest.importorskip("jax", reason="JAX is not installed: nothing to check")
    jax.config.update("jax_enable_x64", True)
    yield jax
    jax.config.update("jax_enable_x64", False)


@pytest.mark.peers
def test_a_jax_function_passes_at_both_orders_in_both_modes(jax):
    def f(parameters, x):
        y = jax.numpy.tanh(x @ parameters["w"] + parameters["b"])
        return {"y": y, "sum": y.sum()}

    check_grads(jax_function(f), {"w": W, "b": np.zeros(2)}, X)


@pytest.mark.peers
def test_complex_jax_functions_pass(jax):
    check_grads(jax_function(lambda z: jax.numpy.exp(z) * jax.numpy.conj(z)), Z)


@pytest.mark.peers
def test_integer_arguments_and_results_of_jax_are_left_alone(jax):
    check_grads(jax_function(lambda w, i: (w[i], w.argmax())), W, dl.tensor([2, 0, 2]))


@pytest.mark.peers
def test_a_wrong_custom_vjp_of_jax_is_found_and_named(jax):
    @jax.custom_vjp
    def sine(x):
        return jax.numpy.sin(x)

    sine.defvjp(lambda x: (jax.numpy.sin(x), x), lambda x, g: (-g * jax.numpy.cos(x),))

    with pytest.raises(GradientError, match="order 1, is wrong") as failure:
        check_grads(jax_function(sine), X, order=1, modes=("rev",))

    assert failure.value.kind == "sign"


@pytest.mark.peers
def test_float64_is_not_rounded_in_silence(jax):
    jax.config.update("jax_enable_x64", False)

    with pytest.raises(ValueError, match="JAX would round float64 to float32"):
        check_grads(jax_function(jax.numpy.sin), X)
    check_grads(jax_function(jax.numpy.sin), X, dtype="float32")


# --- the page -------------------------------------------------------------------------------------


@pytest.mark.peers
@pytest.mark.parametrize("library", ["torch", "jax"])
def test_the_blocks_of_the_page_that_need_a_peer_run(library, request):
    request.getfixturevalue(library)
    page = (Path(__file__).parent.parent / "docs" / "testing.md").read_text(encoding="utf-8")
    (block,) = re.findall(rf"<!-- skip: next -->\n```python\n(import {library}\n.*?)```", page, re.DOTALL)

    exec(block, {"np": np, "check_grads": check_grads})  # noqa: S102  it is ours
