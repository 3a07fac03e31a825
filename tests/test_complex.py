"""Complex numbers: what they are computed with, what their gradients mean, and what is refused."""

import copy

import numpy as np
import pytest
from numpy.testing import assert_allclose

import dlcore as dl
import dlcore.graph as g
from dlcore.nn import functional as F
from dlcore.testing import check_grads
from dlcore.tracing import trace

Z = np.array([1 + 2j, -0.5 + 0.25j, 3 - 1j])


@pytest.fixture
def z(backend):
    return dl.tensor(Z, requires_grad=True)


# --- values -----------------------------------------------------------------------------------------


def test_complex_numbers_are_made_printed_and_read():
    x = dl.tensor([1 + 2j, 3])

    assert repr(x) == "tensor([1.+2.j, 3.+0.j], complex64)"
    assert x.tolist() == [1 + 2j, 3]
    assert x[0].item() == complex(x[0]) == 1 + 2j
    assert f"{x[0]:.1f}" == "1.0+2.0j"
    assert x.numpy().dtype == np.complex64
    assert copy.deepcopy(x).tolist() == x.tolist()


@pytest.mark.parametrize(("dtype", "expected"), [
    ("int64", "complex64"), ("bool", "complex64"), ("float16", "complex64"), ("float32", "complex64"),
    ("float64", "complex128"), ("complex64", "complex64"), ("complex128", "complex128"),
])
def test_a_complex_number_of_python_is_weak(dtype, expected, backend):
    if not backend.supports(dtype):
        return
    x = dl.ones(2, dtype=dtype)

    results = [x * 1j, 1j * x, x + 1j, 1j - x, x / 2j, 1j / x, dl.where(x == 1, x, 1j), x ** 1j, 1j ** x]

    assert [y.dtype for y in results] == [expected] * len(results)
    assert (x * 1j).tolist() == [1j, 1j]


def test_two_numbers_can_be_chosen_from(backend):
    chosen = dl.where(dl.tensor([True, False]), 1j, 2.0)

    assert (chosen.dtype, chosen.tolist()) == ("complex64", [1j, 2])


def test_real_and_complex_tensors_meet_in_the_wider_precision(backend):
    pairs = [("float64", "complex64"), ("float32", "complex128"), ("float32", "complex64")]

    found = [(dl.ones(1, dtype=a) * dl.ones(1, dtype=b)).dtype for a, b in pairs]

    assert found == ["complex128", "complex128", "complex64"]


def test_real_numbers_have_parts_as_well(backend):
    x = dl.tensor([-1.5, 2.0])

    assert dl.real(x) is x
    assert dl.conj(x) is x
    assert dl.imag(x).tolist() == [0.0, 0.0]
    assert_allclose(dl.angle(x).numpy(), np.angle(x.numpy()))


def test_a_complex_tensor_becomes_no_real_number_by_itself(z):
    assert z.astype("complex64").dtype == "complex64"
    for dtype in ("float64", "int32", "bool"):
        with pytest.raises(TypeError, match=rf"astype: complex128 to {dtype} would lose the imaginary part"):
            z.astype(dtype)


# --- gradients --------------------------------------------------------------------------------------


def test_the_gradient_points_where_a_real_loss_grows(z):
    loss = dl.sum(dl.square(dl.abs(z)))

    loss.backward()

    assert_allclose(z.grad.numpy(), 2 * Z)
    assert_allclose(dl.grad(lambda z: dl.sum(dl.real(z) + 3 * dl.imag(z)))(z.detach()).numpy(), [1 + 3j] * 3)


def test_a_step_against_the_gradient_lowers_the_loss(backend):
    target = dl.tensor(Z)
    z = dl.zeros(3, dtype="complex128", requires_grad=True)

    def loss():
        return dl.sum(dl.square(dl.abs(dl.fft.fft(z) - target)))

    before = loss()
    before.backward()
    z.data = (z - 0.1 * z.grad).detach()

    assert loss().item() < before.item()


def test_a_cotangent_is_meant_as_a_gradient_is(z):
    by = dl.tensor([1j, 2.0 + 0j, 1 - 1j])

    (z * z).backward(by)

    _, pull = dl.vjp(lambda z: z * z, z.detach())
    assert_allclose(z.grad.numpy(), by.numpy() * np.conj(2 * Z))  # as in PyTorch
    assert_allclose(pull(by)[0].numpy(), z.grad.numpy())


def test_forward_mode_is_the_differential_itself(z):
    tangent = dl.tensor([1j, 2.0 + 0j, 1 - 1j])

    assert_allclose(dl.jvp(dl.exp, [z], [tangent])[1].numpy(), np.exp(Z) * tangent.numpy())
    assert_allclose(dl.jvp(dl.conj, [z], [tangent])[1].numpy(), np.conj(tangent.numpy()))


def test_the_gradient_of_a_real_number_is_real(backend):
    x = dl.tensor([0.5, 1.0, 2.0], dtype="float32", requires_grad=True)

    dl.sum(dl.abs(x * dl.tensor(Z))).backward()

    assert x.grad.dtype == "float32"
    assert_allclose(x.grad.numpy(), np.abs(Z), rtol=1e-6)  # float32


MIXED = {
    "a phase": lambda x, z: dl.real(dl.exp(1j * x) * z),
    "angle": lambda x, z: dl.angle(z * (x + 2.0)),
    "modulus": lambda x, z: dl.abs(z - 1j * x) * x,
    "a spectrum": lambda x, z: dl.square(dl.abs(dl.fft.fft(x * z, 5))),
    "a filter": lambda x, z: dl.fft.irfft(dl.fft.rfft(x) * z[:2], 3),
    "an inner product": lambda x, z: dl.conj(z) @ (x * dl.sqrt(z)),
    "a complex result": lambda x, z: dl.conj(z) * z**3 / (x + 4.0),
    "hermitian": lambda x, z: dl.fft.hfft(z * x, 4),
    "a choice": lambda x, z: dl.where(x > 0, z * x, dl.imag(z)),
}


@pytest.mark.parametrize("f", MIXED.values(), ids=MIXED)
@pytest.mark.parametrize("wrapped", [lambda f: f, dl.remat], ids=["plain", "remat"])
def test_both_modes_are_right_at_both_orders(f, wrapped, backend):
    check_grads(wrapped(f), dl.tensor([0.5, -1.0, 2.0], dtype="float64"), dl.tensor(Z))


def test_a_rule_of_ones_own_speaks_of_gradients_not_of_their_conjugates(backend):
    square = dl.custom_vjp(lambda z: (z * z, z), lambda z, by: by * dl.conj(2.0 * z))
    modulus = dl.custom_vjp(lambda z: (dl.abs(z), z), lambda z, by: by * z / dl.abs(z))

    check_grads(square, dl.tensor(Z))
    check_grads(modulus, dl.tensor(Z))


def test_the_hessian_of_a_real_loss_goes_along_a_complex_direction(z):
    v = dl.tensor([1j, 1.0, 0.5])

    found = dl.hvp(lambda z: dl.sum(dl.square(dl.abs(z))), z.detach(), v)

    assert_allclose(found.numpy(), 2 * v.numpy())


def test_a_program_computes_the_same_gradient(z):
    f = dl.grad(lambda z: dl.sum(dl.abs(dl.fft.fft(z) * 1j)))
    z = z.detach()

    assert_allclose(trace(f, z)(z).numpy(), f(z).numpy(), rtol=1e-15)


def test_a_graph_gives_the_same_gradient():
    z = g.Variable(dl.tensor(Z))
    loss = g.node(lambda z: dl.sum(dl.abs(z * z)), z * (2 - 1j))

    loss.forward()
    loss.backward()

    expected = dl.grad(lambda z: dl.sum(dl.abs(dl.square(z * (2 - 1j)))))(dl.tensor(Z))
    assert_allclose(z.grad.numpy(), expected.numpy())


# --- what is refused --------------------------------------------------------------------------------

REFUSED = {
    "less": lambda z: z < 2 * z, "greater_equal": lambda z: z >= 1j, "maximum": lambda z: dl.maximum(z, z),
    "max": dl.max, "min": lambda z: dl.min(z, axis=0), "argmax": dl.argmax, "argmin": dl.argmin,
    "topk": dl.sort, "argsort": dl.argsort, "clip": lambda z: dl.clip(z, -1, 1), "sign": dl.sign,
    "floor": dl.floor, "round": lambda z: z.round(), "remainder": lambda z: z % 2.0, "relu": F.relu,
    "sigmoid": dl.sigmoid, "softmax": F.softmax, "erf": dl.erf, "lgamma": dl.lgamma, "var": dl.var,
    "std": dl.std, "logsumexp": dl.logsumexp, "atan2": lambda z: dl.atan2(z, z), "sinc": dl.sinc,
    "hypot": lambda z: dl.hypot(z, 1.0), "cummax_places": lambda z: dl.cummax(z, 0),
    "logical_not": dl.logical_not, "rfft": dl.fft.rfft, "nan_to_num": dl.nan_to_num,
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_meaning_for_complex_numbers_is_refused(name, z):
    for at in (z, z[0]):
        if at.shape or name not in ("min", "topk", "argsort", "cummax_places", "softmax", "rfft"):
            with pytest.raises(TypeError, match=rf"{name}: takes real numbers only, got complex128\("):
                REFUSED[name](at)


SQUARING = {
    "mse_loss": lambda z: F.mse_loss(z, z, reduction="sum"), "kl_div": lambda z: F.kl_div(z, z),
    "squared_loss": lambda z: F.squared_loss(z, z, reduction="none"),
    "layer_norm": lambda z: F.layer_norm(z, 3), "rms_norm": lambda z: F.rms_norm(z, 3),
    "group_norm": lambda z: F.group_norm(z[None], 1),
    "instance_norm": lambda z: F.instance_norm(z[None, None]),
    "batch_norm": lambda z: F.batch_norm(z[:, None], None, None, training=True),
    "normalize": lambda z: F.normalize(z, axis=0),
    "cosine_similarity": lambda z: F.cosine_similarity(z, z, axis=0),
}


@pytest.mark.parametrize("name", SQUARING)
def test_a_function_that_squares_where_it_means_a_size_refuses_complex_numbers(name, z):
    with pytest.raises(TypeError, match="takes real numbers only, got complex128"):
        SQUARING[name](z)


def test_a_complex_bound_is_refused(backend):
    with pytest.raises(TypeError, match="less: takes real numbers only, got float32"):
        dl.clip(dl.ones(2), 1j)


def test_a_program_refuses_it_as_well(z):
    with pytest.raises(TypeError, match="max: takes real numbers only"):
        trace(dl.max, z.detach())


def test_a_loss_must_be_real(z):
    with pytest.raises(TypeError, match=r"backward: complex128\(\) is complex, a loss must be real; take"):
        dl.sum(z).backward()
    with pytest.raises(TypeError, match="grad: the function returned a complex number, a loss must be real"):
        dl.grad(dl.sum)(z)


def test_a_complex_cotangent_of_a_real_result_is_refused(z):
    with pytest.raises(TypeError, match=r"backward: the cotangent is complex, its value is real; take"):
        dl.abs(z).backward(dl.tensor(Z))
    with pytest.raises(TypeError, match="jvp: a tangent is complex, its value is real"):
        dl.jvp(dl.exp, [dl.ones(3)], [dl.tensor(Z)])


def test_a_jacobian_of_complex_numbers_is_refused(z):
    with pytest.raises(TypeError, match="jacobian: the result is complex, and its two parts have"):
        dl.jacobian(dl.exp)(z)


def test_a_graph_that_ends_in_a_complex_number_is_refused():
    out = g.node(dl.sum, g.Variable(dl.tensor(Z)))
    out.forward()

    with pytest.raises(TypeError, match="is complex; a loss must be real"):
        out.backward()
