"""The check of derivatives is itself checked: with mistakes planted by hand, it must fail and say where."""

import pickle
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dlcore as dl
from dlcore.testing import GradientError, check_grads
from dlcore.testing.strategies import SEEDS

POINT = np.array([[0.3, -1.2, 0.7], [1.1, 0.4, -0.6]])


def softmax(x):
    e = dl.exp(x - dl.max(x, axis=-1, keepdims=True))
    return e / dl.sum(e, axis=-1, keepdims=True)


def with_gradient(f, rule):
    """``f`` with another derivative: a mistake, mostly."""
    return dl.custom_vjp(lambda x: (f(x), x), rule)


MISTAKES = {
    "zero": with_gradient(softmax, lambda x, g: g * 0.0),
    "a factor": with_gradient(dl.square, lambda x, g: g * x),
    "a sign": with_gradient(dl.sin, lambda x, g: -g * dl.cos(x)),
    "0.1 %": with_gradient(dl.tanh, lambda x, g: 1.001 * g * (1.0 - dl.square(dl.tanh(x)))),
    "a constant": with_gradient(dl.exp, lambda x, g: g * dl.exp(x) + 0.01),
    "a transposition": with_gradient(
        lambda x: dl.matmul(x, dl.tensor([[1.0, 2.0], [3.0, 4.0]], dtype="float64")),
        lambda x, g: dl.matmul(g, dl.tensor([[1.0, 2.0], [3.0, 4.0]], dtype="float64")),
    ),
    "a diagonal for a full Jacobian": with_gradient(
        softmax, lambda x, g: g * softmax(x) * (1.0 - softmax(x))
    ),
    "nan": with_gradient(dl.square, lambda x, g: g * np.nan),
}


@pytest.mark.parametrize("f", MISTAKES.values(), ids=MISTAKES)
@given(seed=SEEDS)
def test_a_planted_mistake_is_noticed(f, seed):
    point = POINT[:, :2] if f is MISTAKES["a transposition"] else POINT

    with pytest.raises(AssertionError, match="reverse mode, order 1, is wrong"):
        check_grads(f, point, order=1, seed=seed)


def test_a_gradient_that_is_right_but_constant_is_noticed_at_the_second_order():
    x = dl.tensor(2.0, dtype="float64")
    f = with_gradient(dl.square, lambda x, g: g * (2.0 * dl.stop_gradient(x)))

    check_grads(f, x, order=1)
    with pytest.raises(AssertionError, match="mode of reverse mode, order 2, is wrong"):
        check_grads(f, x, order=2)


@given(seed=SEEDS)
def test_what_is_right_passes_at_every_order(seed):
    check_grads(softmax, POINT, order=3, seed=seed)


@pytest.mark.parametrize(("mode", "words"), [("rev", "reverse"), ("fwd", "forward")])
def test_the_message_names_operation_mode_order_and_numbers(mode, words):
    def my_square(x):
        return MISTAKES["a factor"](x)

    with pytest.raises(AssertionError) as failure:
        check_grads(my_square, POINT, modes=(mode,))

    text = str(failure.value)
    assert text.startswith(f"my_square: {words} mode, order 1, is wrong: it says ")
    said, expected = map(float, re.findall(r"say[s]? (\S+),", text))
    assert expected == pytest.approx(2 * said)
    assert "float64(2, 3)" in text


def test_arguments_may_be_nested_and_only_floats_are_varied():
    def loss(params, data, axis):
        x, labels = data
        scores = dl.matmul(x, params["w"]) + params["b"][0]
        return dl.mean(
            dl.logsumexp(scores, axis) - dl.take_along_axis(scores, dl.expand_dims(labels, 1), 1)
        ), labels

    params = {"w": np.ones((3, 2)), "b": [np.zeros(2)]}

    check_grads(loss, params, (dl.tensor(POINT), dl.tensor([0, 1])), 1)


def test_arguments_of_single_precision_are_checked_in_double():
    seen = []

    def f(x):
        seen.append(x.dtype)
        return dl.exp(x)

    check_grads(f, dl.tensor(POINT, dtype="float32"))
    check_grads(f, dl.tensor(POINT, dtype="float32"), dtype=None, rtol=0.1, order=1)

    assert seen[0] == "float64"
    assert seen[-1] == "float32"


@pytest.mark.parametrize("at", [0.0, 1e-13])
def test_a_kink_is_called_one(at):
    with pytest.raises(GradientError, match="is there a kink nearby") as failure:
        check_grads(dl.nn.functional.relu, np.array([at, 1.0]), order=1)

    assert failure.value.kind == "kink"


def test_a_kink_that_smaller_steps_keep_away_from_does_no_harm():
    check_grads(dl.abs, np.array([1e-4, -1e-4, 1.0]))


@given(seed=st.integers(0, 5))
def test_the_same_seed_says_the_same(seed):
    messages = []
    for _ in range(2):
        with pytest.raises(AssertionError) as failure:
            check_grads(MISTAKES["a sign"], POINT, seed=seed)
        messages.append(str(failure.value))

    assert messages[0] == messages[1]


@pytest.mark.parametrize(("f", "args", "how", "match"), [
    (dl.exp, (1,), {}, "none of the arguments of exp is a float"),
    (dl.exp, (dl.tensor([1, 2]),), {}, "none of the arguments"),
    (dl.argmax, (POINT,), {}, "returns no float or complex tensor"),
    (dl.exp, (POINT,), {"modes": ("backward",)}, "modes must be 'rev', 'fwd' or both"),
    (dl.exp, (POINT,), {"modes": ()}, "modes must be"),
    (dl.exp, (POINT,), {"order": 0}, "order must be a whole number of at least 1, got 0"),
    (dl.exp, (POINT,), {"order": 1.5}, "order must be a whole number of at least 1, got 1.5"),
    (dl.exp, (POINT,), {"rtol": -1e-6}, "rtol must not be negative, got -1e-06"),
    (dl.exp, (POINT,), {"nondet_tol": float("nan")}, "nondet_tol must not be negative, got nan"),
    (dl.exp, (POINT,), {"dtype": "int32"}, "dtype must be a float dtype or None, got int32"),
    (dl.exp, (0.5,), {}, "numbers and lists stay as they are: give NumPy arrays or tensors"),
    (lambda x: x.numpy() ** 2, (POINT,), {}, "wrap what computes with NumPy, PyTorch or JAX: see dlcore"),
])
def test_a_check_of_nothing_is_refused(f, args, how, match):
    with pytest.raises(ValueError, match=match):
        check_grads(f, *args, **how)


def test_what_is_no_function_is_refused():
    with pytest.raises(TypeError, match="the first argument must be a function, got ndarray"):
        check_grads(POINT)


def test_a_function_of_numpy_that_is_not_wrapped_is_told_to_be():
    with pytest.raises(TypeError) as failure:
        check_grads(np.sin, POINT)

    assert failure.value.__notes__[0].startswith("check_grads calls sin with tensors of dlcore; wrap what")


def test_one_mode_may_be_named_by_its_name_alone():
    check_grads(MISTAKES["a factor"], POINT * 0.0, modes="rev", order=1)
    with pytest.raises(GradientError, match="forward mode, order 1"):
        check_grads(MISTAKES["a factor"], POINT, modes="fwd")


@pytest.mark.parametrize("f", [dl.exp, dl.sum, lambda x: x @ x.mT])
def test_arrays_of_no_elements_have_derivatives_of_no_elements(f):
    check_grads(f, np.ones((0, 2)))


def test_a_gradient_of_another_shape_is_wrong_although_it_would_broadcast():
    f = dl.core.Primitive("total", lambda xp, x: xp.sum(x), lambda s: (), (lambda g, out, x: g,))
    right = dl.core.Primitive("total", f.forward, f.shape, (lambda g, out, x: dl.broadcast_to(g, x.shape),))

    check_grads(right, POINT, modes="rev")
    with pytest.raises(GradientError, match=r"have the shapes \(\), the arguments \(2, 3\)") as failure:
        check_grads(f, POINT, modes="rev")
    assert failure.value.kind == "wrong shape"


def test_a_failure_can_be_handed_to_another_process():
    with pytest.raises(GradientError) as failure:
        check_grads(MISTAKES["a sign"], POINT)

    again = pickle.loads(pickle.dumps(failure.value))  # noqa: S301  our own

    assert vars(again) == vars(failure.value)
    assert str(again) == str(failure.value)
