"""Complex functions and Fourier transforms agree with PyTorch, derivatives to second order included.

The gradient by a complex number is PyTorch's, dL/dx + i dL/dy, so everything is compared as it is.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import dlcore as dl

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: nothing to compare with", exc_type=ImportError
)

BOTH = {"dl": dl, "torch": torch}


def draw(kind, shape, rng):
    """``x`` stands for real numbers, ``z`` for complex ones, ``p`` for some without branch cuts nearby."""
    low, high = (0.3, 0.8) if kind == "p" else (-1.5, 1.5)
    found = rng.uniform(low, high, shape)
    return found if kind == "x" else found + 1j * rng.uniform(low, high, shape)


def weighted(m, y, seed):
    """A real loss: the real part of a sum with random weights, complex ones of complex numbers."""
    rng = np.random.default_rng(seed)
    w = rng.standard_normal(tuple(y.shape))
    is_complex = y.is_complex() if m is torch else y.dtype.kind == "complex"
    w = m.tensor(w + 1j * rng.standard_normal(w.shape) if is_complex else w)
    return m.real(m.sum(y * w)) if is_complex else m.sum(y * w)


def ours(f, args):
    values = [dl.tensor(a) for a in args]
    places = tuple(range(len(args)))
    first = dl.grad(lambda *xs: weighted(dl, f(dl, *xs), 1), places)
    second = dl.grad(lambda *xs: sum(weighted(dl, g, 2 + i) for i, g in enumerate(first(*xs))), places)
    return [y.numpy() for y in (f(dl, *values), *first(*values), *second(*values))]


def by_backward(f, args):
    values = [dl.tensor(a, requires_grad=True) for a in args]
    y = f(dl, *values)
    weighted(dl, y, 1).backward(create_graph=True)
    first = [v.grad for v in values]
    for v in values:
        v.grad = None
    total = sum(weighted(dl, g, 2 + i) for i, g in enumerate(first))
    if total.requires_grad:
        total.backward()
    second = [dl.zeros(v.shape, v.dtype) if v.grad is None else v.grad for v in values]
    return [x.numpy() for x in (y, *first, *second)]


def theirs(f, args):
    values = [torch.tensor(a, requires_grad=True) for a in args]
    y = f(torch, *values)
    first = torch.autograd.grad(weighted(torch, y, 1), values, create_graph=True)
    total = sum(weighted(torch, g, 2 + i) for i, g in enumerate(first))
    second = (torch.autograd.grad(total, values, allow_unused=True)
              if total.requires_grad else [None] * len(values))
    second = [torch.zeros_like(v) if g is None else g for v, g in zip(values, second, strict=True)]
    return [x.resolve_conj().numpy(force=True) for x in (y, *first, *second)]


def called(name, **params):
    return lambda m, *xs: getattr(m, name)(*xs, **params)


def transform(name, *rest):
    return lambda m, x: getattr(m.fft, name)(x, *rest)


HOLOMORPHIC = [
    "exp", "expm1", "log", "log2", "log10", "log1p", "reciprocal", "sqrt", "rsqrt", "square", "negative",
    "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh",
]
CASES = {
    **{name: ("p", called(name)) for name in HOLOMORPHIC},
    **{f"{name} anywhere": ("z", called(name)) for name in ("exp", "sin", "cos", "tanh", "acosh", "square")},
    **{name: ("z", called(name)) for name in ("real", "imag", "conj", "angle", "abs", "sum", "mean", "prod")},
    **{f"{name} of real numbers": ("x", called(name)) for name in ("conj", "real", "angle")},
    **{name: ("zz", called(name)) for name in ("add", "subtract", "multiply", "divide", "matmul")},
    **{f"{name}, real and complex": ("xz", called(name))
       for name in ("add", "subtract", "multiply", "divide")},
    **{f"{name}, complex and real": ("zx", called(name)) for name in ("multiply", "divide")},
    "matmul of real and complex": ("xz", lambda m, x, z: (x + 0j) @ z),
    "pow": ("pp", called("pow")),
    "integer powers": ("z", lambda m, z: z**3 + z**-1 + z**2 + z**0),
    "a number to a complex power": ("z", lambda m, z: 2.0**z),
    "a real base to a complex power": ("p", lambda m, z: m.abs(z) ** 1.5j),
    "cumsum": ("z", lambda m, z: m.cumsum(z, 1)),
    "cumprod": ("z", lambda m, z: m.cumprod(z, 0)),
    "prod along an axis": ("z", lambda m, z: m.prod(z, 1)),
    "einsum": ("zzx", lambda m, a, b, c: m.einsum("ij,kj,ij->ik", a, b, c + 0j)),
    "where": ("zz", lambda m, a, b: m.where(m.real(a) > m.imag(b), a * b, b)),
    "indexing": ("z", lambda m, z: z[[0, 2, 0], [1, 1, 1]] * z[1:, None, 0]),
    "stack": ("zz", lambda m, a, b: m.stack([a, m.conj(b), a])),
    "concat": ("zz", lambda m, a, b: m.concat([a, b * a], 1)),
    "a weak complex number": ("x", lambda m, x: x * 1j + (2 - 1j)),
    "x times i": ("xz", lambda m, x, z: m.real(m.exp(1j * x) * z)),
    "energy of a spectrum": ("x", lambda m, x: (m.abs(m.fft.fft(x)) ** 2)),
    "phases of a spectrum": ("x", lambda m, x: m.angle(m.fft.rfft(x + 3.0))),
    "a modulus squared": ("z", lambda m, z: m.real(z * m.conj(z)) * m.abs(z)),
    "a filter": ("xz", lambda m, x, z: m.fft.irfft(m.fft.rfft(x) * z[:, :2], 3)),
    "conj of conj": ("z", lambda m, z: m.conj(m.conj(z) * z * m.imag(z))),
    **{f"{name} n={n} {norm}": (kind, transform(name, n, axis, norm))
       for name, kind in {"fft": "z", "ifft": "z", "rfft": "x", "irfft": "z", "hfft": "z",
                          "ihfft": "x"}.items()
       for n, axis, norm in [(None, -1, "backward"), (4, 0, "ortho"), (5, 1, "forward"), (2, 0, "backward")]},
    **{f"{name} of real numbers": ("x", transform(name)) for name in ("fft", "ifft", "fftn")},
    **{f"{name} s={s} {norm}": (kind, transform(name, s, axes, norm))
       for name, kind in {"fftn": "z", "ifftn": "z", "rfftn": "x", "irfftn": "z", "fft2": "z", "ifft2": "z",
                          "rfft2": "x", "irfft2": "z"}.items()
       for s, axes, norm in [(None, (-2, -1), "backward"), ((4, 2), (1, 0), "ortho"),
                             ((2, 5), (0, 1), "forward")]},
    "fftshift": ("z", transform("fftshift")),
    "ifftshift": ("z", transform("ifftshift", 1)),
}


@pytest.mark.parametrize(("kinds", "f"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("way", [ours, by_backward])
def test_values_gradients_and_second_gradients_are_those_of_pytorch(way, kinds, f, backend):
    rng = np.random.default_rng(len(kinds))
    args = [draw(kind, (3, 3), rng) for kind in kinds]

    found, expected = way(f, args), theirs(f, args)

    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        assert_allclose(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("f", [called("abs"), called("angle"), lambda m, z: m.sum(m.abs(z)) * m.abs(z)])
def test_the_gradient_at_zero_is_that_of_pytorch(f, backend):
    z = np.zeros((2, 1), complex)
    there = torch.tensor(z, requires_grad=True)

    found = dl.grad(lambda z: weighted(dl, f(dl, z), 1))(dl.tensor(z))
    weighted(torch, f(torch, there), 1).backward()

    assert_allclose(found.numpy(), there.grad.numpy())


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
def test_frequencies_are_those_of_pytorch(n, norm, backend):
    found = dl.fft.fftfreq(n, 0.5, dtype="float64"), dl.fft.rfftfreq(n, 0.5, dtype="float64")
    expected = torch.fft.fftfreq(n, 0.5, dtype=torch.float64), torch.fft.rfftfreq(n, 0.5, dtype=torch.float64)

    for a, b in zip(found, expected, strict=True):
        assert_allclose(a.numpy(), b.numpy(), rtol=1e-15)
