"""Laws about few digits: in float32 and in halves, values and gradients are the exact ones, rounded.

Other laws say which dtype a result and a gradient have; these say what is in them.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import dlcore as dl
from dlcore.nn import functional as F
from dlcore.testing.calls import outputs
from dlcore.testing.strategies import SEEDS, calls
from tests.strategies import SUBJECTS, fewer

DTYPES = ["float32", "float16", "bfloat16"]
EPS = {"float32": 2.0**-23, "complex64": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
LEAST = {"float32": 2.0**-149, "complex64": 2.0**-149, "float16": 2.0**-24, "bfloat16": 2.0**-133}  # above 0


def assert_rounded(found, exact, dtype, roundings):
    """That ``found`` is off by a few roundings of its largest numbers, and of those around 1."""
    scale = max(np.abs(exact).max(initial=0.0), 1.0)
    assert_allclose(found, exact, rtol=0, atol=roundings * EPS[dtype] * scale + 4 * LEAST[dtype])


def widened(x):
    return x.detach().astype("complex128" if x.dtype.kind == "complex" else "float64")


def expected_dtype(y, call, dtype):
    """That of a result: complex numbers have two halves of float32, whatever narrower was asked for."""
    if y.dtype.kind == "complex":
        return "complex64"
    return "float32" if any(call.args[i].dtype.kind == "c" for i in call.floats) else dtype


def cotangent(y, rng):
    g = rng.uniform(-1.5, 1.5, y.shape)
    if y.dtype.kind == "complex":
        g = g + 1j * rng.uniform(-1.5, 1.5, y.shape)
    return dl.tensor(g, dtype=y.dtype)


@pytest.mark.parametrize("name", SUBJECTS)
@fewer(2)
@given(data=st.data())
def test_values_and_gradients_are_the_exact_ones_up_to_a_few_roundings(name, backend, data):
    call, dtype = data.draw(calls(SUBJECTS[name])), data.draw(st.sampled_from(DTYPES))
    if not backend.supports(dtype) or "dtype" in call.params:
        return
    narrow = call.tensors(dtype, requires_grad=True)
    wide = [dl.tensor(widened(x).numpy(), requires_grad=True) if i in call.floats else x
            for i, x in enumerate(narrow)]
    rng = np.random.default_rng(data.draw(SEEDS))

    for y, exact in zip(outputs(call(*narrow)), outputs(call(*wide)), strict=True):
        if y.dtype.kind not in ("float", "complex"):
            np.testing.assert_array_equal(y.numpy(), exact.numpy())
            continue
        assert y.dtype == expected_dtype(y, call, dtype)
        assert_rounded(widened(y).numpy(), exact.numpy(), y.dtype, 16)
        if y.requires_grad:
            g = cotangent(y, rng)
            y.backward(g, retain_graph=True)
            exact.backward(widened(g), retain_graph=True)

    for x, exact in zip(narrow, wide, strict=True):
        if x.requires_grad and x.grad is not None:
            assert x.grad.dtype == x.dtype
            assert_rounded(widened(x.grad).numpy(), exact.grad.numpy(), x.dtype, 16)


MANY = 70_000  # more than float16 can count to, and more than bfloat16 can tell apart

OF_MANY = {
    "mean": dl.mean,
    "var": dl.var,
    "std": dl.std,
    "logsumexp": dl.logsumexp,
    "logcumsumexp": dl.logcumsumexp,
    "max": dl.max,
    "sum": lambda x: dl.sum(x * 0.25),
    "a sum over one of two axes": lambda x: dl.sum(dl.reshape(x * 0.25, (-1, 2)), axis=0),
    "cumsum": lambda x: dl.cumsum(x * 0.25),
    "segment_sum": lambda x: dl.segment_sum(x * 0.25, np.zeros(MANY, int), 1),
    "scatter_add": lambda x: dl.scatter_add(dl.zeros(1, dtype=x.dtype), 0, np.zeros(MANY, int), x * 0.25),
    "take one element often": lambda x: dl.take(x[:1], np.zeros(MANY, int)) * 0.25,
    "repeat one element": lambda x: dl.broadcast_to(x[:1], (MANY,)) * 0.25,
    "matmul": lambda x: (x * 0.25) @ x,
    "einsum": lambda x: dl.einsum("i,i", x * 0.25, x),
    "tensordot": lambda x: dl.tensordot(x * 0.25, x, 1),
    "linear": lambda x: F.linear(dl.reshape(x, (1, -1)), dl.full((2, MANY), 0.25, dtype=x.dtype)),
    "softmax": F.softmax,
    "log_softmax": lambda x: F.log_softmax(many_rows(x)),
    "softmin of many classes": lambda x: F.softmax(-x),
    "attention to many keys": lambda x: F.scaled_dot_product_attention(
        dl.ones((1, 1), dtype=x.dtype), dl.reshape(x, (-1, 1)), dl.reshape(x * 0.5, (-1, 1))),
    "the variance over one of two axes": lambda x: dl.var(dl.reshape(x, (-1, 2)), axis=0),
    "vector_norm": dl.linalg.vector_norm,
    "the norm of order 3": lambda x: dl.linalg.vector_norm(x, ord=3),
    "the norm of order 1": lambda x: dl.linalg.vector_norm(x * 0.25, ord=1),
    "trace of a product": lambda x: dl.einsum("ij,ij", dl.reshape(x, (-1, 2)) * 0.25, dl.reshape(x, (-1, 2))),
    "adaptive_avg_pool1d": lambda x: F.adaptive_avg_pool1d(dl.reshape(x, (1, -1)), 1),
    "interpolate to one": lambda x: F.interpolate(dl.reshape(x, (1, 1, -1)), size=1, mode="area"),
    "conv1d": lambda x: F.conv1d(dl.reshape(x, (1, -1)), dl.full((1, 1, MANY), 0.25, dtype=x.dtype)),
    "conv1d of many places": lambda x: F.conv1d(dl.reshape(x, (1, -1)), dl.reshape(x[:3], (1, 1, 3))),
    "batch_norm": lambda x: F.batch_norm(dl.reshape(x, (-1, 1)), None, None, training=True),
    "group_norm": lambda x: F.group_norm(dl.reshape(x, (1, 2, -1)), 2),
    "instance_norm": lambda x: F.instance_norm(dl.reshape(x, (1, 1, -1))),
    "a bias for many rows": lambda x: dl.reshape(x, (-1, 1)) * 0.25 + x[:2] * 0.25,
    "embedding of one row": lambda x: F.embedding(np.zeros(MANY, int), dl.reshape(x[:2], (1, 2))) * 0.25,
    "a mask of rows": lambda x: dl.sum(dl.where(dl.tensor(np.arange(MANY) % 2 == 0), x[:1], x) * 0.25),
    "layer_norm": lambda x: F.layer_norm(x, MANY),
    "rms_norm": lambda x: F.rms_norm(x * 300.0, MANY),
    "normalize": lambda x: F.normalize(x, axis=0),
    "normalize by the 3-norm": lambda x: F.normalize(x * 40.0, p=3.0, axis=0),
    "cosine_similarity": lambda x: F.cosine_similarity(x, dl.ones(MANY, dtype=x.dtype), axis=0),
    "mse_loss": lambda x: F.mse_loss(x, dl.zeros_like(x)),
    "l1_loss": lambda x: F.l1_loss(x, dl.zeros_like(x)),
    "huber_loss": lambda x: F.huber_loss(x, dl.zeros_like(x)),
    "binary_cross_entropy": lambda x: F.binary_cross_entropy(x * 0.5, dl.zeros_like(x)),
    "binary_cross_entropy_with_logits": lambda x: F.binary_cross_entropy_with_logits(x, dl.ones_like(x)),
    "kl_div": lambda x: F.kl_div(x, dl.ones_like(x) * 0.5),
    "cosine_embedding_loss": lambda x: F.cosine_embedding_loss(x, x * 0.5 + 1.0, dl.tensor(1)),
    "triplet_margin_loss": lambda x: F.triplet_margin_loss(x, x * 0.5, x * 0.25, margin=300.0),
    "cross_entropy of many classes": lambda x: F.cross_entropy(dl.reshape(x, (1, -1)), [5]),
    "cross_entropy of many rows": lambda x: F.cross_entropy(many_rows(x), np.arange(MANY) % 2),
    "cross_entropy of weighted classes": lambda x: F.cross_entropy(
        many_rows(x), np.arange(MANY) % 2, dl.tensor([1.0, 2.0], dtype=x.dtype)),
    "cross_entropy of ignored labels": lambda x: F.cross_entropy(
        many_rows(x), np.where(np.arange(MANY) % 3, 1, -100)),
    "cross_entropy with smoothing": lambda x: F.cross_entropy(
        dl.reshape(x, (1, -1)), [5], label_smoothing=0.1),
    "cross_entropy of probabilities": lambda x: F.cross_entropy(
        dl.reshape(x, (1, -1)), dl.one_hot(dl.tensor([5]), MANY, dtype=x.dtype)),
    "nll_loss": lambda x: F.nll_loss(many_rows(x), np.arange(MANY) % 2),
}


def many_rows(x):
    """Two classes, and as many rows as there are numbers."""
    return dl.stack([x * 3.0, x * -2.0], axis=1)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", OF_MANY)
def test_a_reduction_of_many_halves_is_as_good_as_its_result_can_be_written(name, dtype, backend):
    if not backend.supports(dtype):
        return
    rng = np.random.default_rng(1)
    x = dl.tensor(rng.uniform(0.5, 1.5, MANY), dtype=dtype, requires_grad=True)
    exact_x = dl.tensor(widened(x).numpy(), requires_grad=True)

    y, exact = OF_MANY[name](x), OF_MANY[name](exact_x)
    g = dl.tensor(rng.uniform(0.1, 0.3, y.shape), dtype=dtype)  # all together fit a float16
    y.backward(g)
    exact.backward(widened(g))

    assert (y.dtype, x.grad.dtype) == (dtype, dtype)
    for found, expected in ((widened(y), exact), (widened(x.grad), exact_x.grad)):
        scale = np.abs(expected.numpy()).max()
        allowed = 6 * (EPS[dtype] * scale + LEAST[dtype])  # a few roundings, perhaps of subnormals
        assert_allclose(found.numpy(), expected.numpy(), rtol=0, atol=allowed)


OF_EQUAL = {  # what becomes of MANY equal numbers, and the gradient of each but the first
    "logsumexp": (dl.logsumexp, math.log(MANY), 1.0 / MANY),
    "softmax": (lambda x: F.softmax(x)[0], 1.0 / MANY, 0.0),
    "log_softmax": (lambda x: F.log_softmax(x)[0], -math.log(MANY), -1.0 / MANY),
    "cross_entropy": (lambda x: F.cross_entropy(x, 0), math.log(MANY), 1.0 / MANY),
    "cross_entropy of one row": (lambda x: F.cross_entropy(x[None], [0]), math.log(MANY), 1.0 / MANY),
    "cross_entropy of weighted classes": (lambda x: F.cross_entropy(x, 0, x * 0.0 + 2.0), math.log(MANY),
                                          1.0 / MANY),
}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(("f", "value", "slope"), OF_EQUAL.values(), ids=OF_EQUAL)
def test_more_classes_than_a_half_can_count_to_are_no_infinity(f, value, slope, dtype):
    x = dl.zeros(MANY, dtype=dtype)

    y, gradient = dl.value_and_grad(f)(x)

    assert y.item() == dl.tensor(value, dtype=dtype).item()
    assert gradient[1].item() == pytest.approx(slope, abs=math.log(MANY) * EPS[dtype] / MANY)  # log's


@pytest.mark.parametrize("name", ["log2", "sqrt", "asin", "atanh", "erfinv", "logit", "max", "sinc"])
def test_a_bfloat16_of_no_axes_has_a_bfloat16_gradient_however_it_is_asked_for(name):
    f, x = getattr(dl, name), dl.tensor(0.5, dtype="bfloat16", requires_grad=True)

    f(x).backward()
    pushed = dl.jvp(f, [x], [dl.tensor(1.0, dtype="bfloat16")])[1]

    assert [x.grad.dtype, dl.grad(f)(x).dtype, pushed.dtype] == ["bfloat16"] * 3
