"""Fourier transforms: the laws that define them, NumPy's own answers, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import dlcore as dl
from dlcore.fft import __all__ as names
from dlcore.testing.strategies import SEEDS
from tests.backend_laws import on_every_backend
from tests.strategies import fewer

NORMS = st.sampled_from(["backward", "ortho", "forward"])
ALONG_ONE = ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]
ALONG_SEVERAL = ["fftn", "ifftn", "rfftn", "irfftn", "fft2", "ifft2", "rfft2", "irfft2"]
OF_REAL = ("rfft", "ihfft", "rfftn", "rfft2")
CLOSE = {"rtol": 1e-12, "atol": 1e-12}  # rounding of float64, of sums of a few dozen numbers


AXES, SIZES = st.integers(1, 3), st.integers(1, 6)


@st.composite
def arrays(draw, real=False, ndim=AXES, size=SIZES):
    shape = tuple(draw(size) for _ in range(draw(ndim)))
    rng = np.random.default_rng(draw(SEEDS))
    x = rng.standard_normal(shape)
    return x if real else x + 1j * rng.standard_normal(shape)


@on_every_backend
@pytest.mark.parametrize("name", ALONG_ONE)
@fewer(2)
@given(data=st.data())
def test_a_transform_along_one_axis_is_that_of_numpy(name, backend, data):
    x = data.draw(arrays(real=name in OF_REAL or data.draw(st.booleans()), size=st.integers(2, 6)))
    n, axis = data.draw(st.none() | st.integers(1, 8)), data.draw(st.integers(-x.ndim, x.ndim - 1))
    norm = data.draw(NORMS)

    found = getattr(dl.fft, name)(dl.tensor(x), n, axis, norm)

    assert_allclose(found.numpy(), getattr(np.fft, name)(x, n, axis, norm), **CLOSE)


@on_every_backend
@pytest.mark.parametrize("name", ALONG_SEVERAL)
@fewer(2)
@given(data=st.data())
def test_a_transform_along_several_axes_is_that_of_numpy(name, backend, data):
    x = data.draw(arrays(real=name in OF_REAL, ndim=st.integers(2, 3), size=st.integers(2, 4)))
    count = 2 if name.endswith("2") else data.draw(st.integers(1, x.ndim))
    axes = data.draw(st.permutations(range(x.ndim)))[:count]
    s = data.draw(st.none() | st.tuples(*[st.integers(1, 5)] * count))
    norm = data.draw(NORMS)

    found = getattr(dl.fft, name)(dl.tensor(x), s, axes, norm=norm)

    assert_allclose(found.numpy(), getattr(np.fft, name)(x, s, axes, norm=norm), **CLOSE)


@pytest.mark.parametrize("name", ["fftshift", "ifftshift"])
@fewer(2)
@given(data=st.data())
def test_a_shift_is_that_of_numpy(name, backend, data):
    x = data.draw(arrays())
    axes = data.draw(st.none() | st.integers(-x.ndim, x.ndim - 1))

    found = getattr(dl.fft, name)(dl.tensor(x), axes)

    assert_allclose(found.numpy(), getattr(np.fft, name)(x, axes))


@given(x=arrays(), norm=NORMS)
def test_a_transform_and_its_inverse_undo_each_other(backend, x, norm):
    z = dl.tensor(x)

    assert_allclose(dl.fft.ifft(dl.fft.fft(z, norm=norm), norm=norm).numpy(), x, **CLOSE)
    assert_allclose(dl.fft.fftn(dl.fft.ifftn(z, norm=norm), norm=norm).numpy(), x, **CLOSE)
    assert_allclose(dl.fft.ifftshift(dl.fft.fftshift(z)).numpy(), x)


@given(x=arrays(real=True), norm=NORMS)
def test_half_a_spectrum_gives_the_real_numbers_back(backend, x, norm):
    y, n = dl.tensor(x), x.shape[-1]

    assert_allclose(dl.fft.irfft(dl.fft.rfft(y, norm=norm), n, norm=norm).numpy(), x, **CLOSE)
    assert_allclose(dl.fft.hfft(dl.fft.ihfft(y, norm=norm), n, norm=norm).numpy(), x, **CLOSE)
    assert_allclose(dl.fft.irfftn(dl.fft.rfftn(y, norm=norm), x.shape, norm=norm).numpy(), x, **CLOSE)


@given(x=arrays())
def test_an_orthonormal_transform_keeps_the_energy(backend, x):  # Parseval
    energy = lambda z: dl.sum(dl.square(dl.abs(z))).item()

    found = energy(dl.fft.fftn(dl.tensor(x), norm="ortho"))

    assert_allclose(found, energy(dl.tensor(x)), rtol=1e-12)


@on_every_backend
@given(x=arrays(real=True))
def test_so_its_gradient_is_that_of_the_energy_itself(backend, x):
    def energy(y):
        z = dl.fft.rfft(y, norm="ortho")
        return dl.sum(dl.real(dl.fft.fftn(y, norm="ortho") * dl.conj(dl.fft.fftn(y, norm="ortho")))) + dl.sum(
            dl.square(dl.fft.irfft(z, x.shape[-1], norm="ortho")))

    assert_allclose(dl.grad(energy)(dl.tensor(x)).numpy(), 4 * x, **CLOSE)


@given(x=arrays(), seed=SEEDS)
def test_a_transform_is_linear(backend, x, seed):
    rng = np.random.default_rng(seed)
    y, (a, b) = rng.standard_normal(x.shape), rng.standard_normal(2)
    x, y, f = dl.tensor(x), dl.tensor(y), dl.fft.fft

    assert_allclose(f(a * 1j * x + b * y).numpy(), (a * 1j * f(x) + b * f(y)).numpy(), **CLOSE)


@given(x=arrays(ndim=st.just(1)), places=st.integers(-6, 6))
def test_shifting_turns_every_frequency(backend, x, places):
    n = x.shape[0]
    turn = dl.exp(-2j * np.pi * places / n * dl.arange(n, dtype="float64"))

    found = dl.fft.fft(dl.roll(dl.tensor(x), places))

    assert_allclose(found.numpy(), (dl.fft.fft(dl.tensor(x)) * turn).numpy(), **CLOSE)


@given(x=arrays(ndim=st.just(1)), seed=SEEDS)
def test_the_spectrum_of_a_convolution_is_the_product_of_spectra(backend, x, seed):
    y = np.random.default_rng(seed).standard_normal(4)
    n = len(x) + 3

    found = dl.fft.ifft(dl.fft.fft(dl.tensor(x), n) * dl.fft.fft(dl.tensor(y), n))

    assert_allclose(found.numpy(), np.convolve(x, y), **CLOSE)


@pytest.mark.parametrize(("given", "full", "half"), [
    ("int32", "complex64", "float32"), ("bool", "complex64", "float32"), ("float16", "complex64", "float32"),
    ("float32", "complex64", "float32"), ("float64", "complex128", "float64"),
])
def test_the_precision_is_that_of_the_argument(given, full, half, backend):
    if not backend.supports(given):
        return
    x = dl.ones(4, dtype=given)

    assert [dl.fft.fft(x).dtype, dl.fft.rfft(x).dtype] == [full, full]
    assert dl.fft.irfft(dl.fft.rfft(x)).dtype == half


def test_the_gradient_of_a_half_is_a_half():
    x = dl.ones(4, dtype="float16", requires_grad=True)

    dl.sum(dl.abs(dl.fft.rfft(x))).backward()

    assert x.grad.dtype == "float16"


def test_every_public_name_has_a_docstring():
    assert all(getattr(dl.fft, name).__doc__ for name in names)


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda x: dl.fft.fft(x, norm="unit"), ValueError,
     "fft: norm must be 'backward', 'ortho' or 'forward', got 'unit'"),
    (lambda x: dl.fft.irfft(x, norm=None), ValueError, "irfft: norm must be 'backward'"),
    (lambda x: dl.fft.hfft(x, norm="x"), ValueError, "hfft: norm must be"),
    (lambda x: dl.fft.fft(x, 0), ValueError, "fft: a length must be at least 1, got 0"),
    (lambda x: dl.fft.rfft(x, 2.5), TypeError, r"rfft: a length must be a whole number, got 2.5"),
    (lambda x: dl.fft.irfft(x[:, :1]), ValueError, "irfft: a length must be at least 1, got 0"),
    (lambda x: dl.fft.fft(x, axis=2), ValueError, "axis 2 is out of range for a 2-d tensor"),
    (lambda x: dl.fft.fft(x[:, :0]), ValueError, r"fft: shape \(2, 0\) has size 0 along axis 1"),
    (lambda x: dl.fft.rfft(x[:0], axis=0), ValueError, r"rfft: shape \(0, 3\) has size 0 along axis 0"),
    (lambda x: dl.fft.rfft(x * 1j), TypeError, "rfft: takes real numbers only, got complex64"),
    (lambda x: dl.fft.fftn(x, (2, 2, 2)), ValueError,
     r"fftn: 3 lengths s=\(2, 2, 2\) for shape \(2, 3\), of fewer axes"),
    (lambda x: dl.fft.fftn(x, (2,), (0, 1)), ValueError, r"fftn: 1 lengths s=\(2,\) do not fit 2 axes"),
    (lambda x: dl.fft.fftn(x, axes=(0, -2)), ValueError, r"fftn: axes \(0, -2\) name an axis twice"),
    (lambda x: dl.fft.fftn(x[0, 0]), ValueError,
     r"fftn: needs at least one axis to transform, in shape \(\)"),
    (lambda x: dl.fft.fft([1.0]), TypeError, "fft: needs a tensor, got list"),
    (lambda x: dl.fft.fftfreq(0), ValueError,
     "fftfreq: the number of samples must be a positive whole number"),
    (lambda x: dl.fft.rfftfreq(4, 0.0), ValueError, "rfftfreq: samples at distance 0 have no frequencies"),
])
def test_what_cannot_be_transformed_is_refused(call, error, message, backend):
    with pytest.raises(error, match=message):
        call(dl.ones((2, 3)))
