"""Values to begin with: each function gives a tensor a new array, and returns the tensor.

Arguments and laws are PyTorch's.  Nothing that a tensor holds is written to: what shares the old array
keeps it.  Random numbers come from dlcore's generator, so that one seed gives the same weights on every
backend, to the last bit where they are even, to rounding otherwise.
"""

from __future__ import annotations

import math

import backends
from dlcore import random
from dlcore.creation import full_like
from dlcore.ops.arithmetic import clip, sign
from dlcore.ops.decompositions import qr
from dlcore.ops.matrices import diagonal
from dlcore.ops.shapes import matrix_transpose, reshape
from dlcore.ops.special import erfinv
from dlcore.random import Generator
from dlcore.tensors import Tensor

__all__ = [
    "calculate_gain", "constant_", "eye_", "kaiming_normal_", "kaiming_uniform_", "normal_", "ones_",
    "orthogonal_", "trunc_normal_", "uniform_", "xavier_normal_", "xavier_uniform_", "zeros_",
]

# --- what the others are made of -----------------------------------------------------------------


def _checked(name: str, tensor: Tensor) -> None:
    if type(tensor) is not Tensor:
        raise TypeError(f"{name}: needs a tensor to give values to, got {type(tensor).__name__}")
    if tensor.dtype.kind != "float":
        raise TypeError(f"{name}: needs a tensor of a float dtype, got {tensor.dtype}{tensor.shape}")
    if tensor.node is not None and tensor.node.primitive is not None:
        raise ValueError(f"{name}: this tensor was computed, by {tensor.node.primitive.name}; give values to "
                         "a parameter, or to what it was computed from")


def _given(tensor: Tensor, values: Tensor) -> Tensor:
    """``tensor`` with the values, and thus the array, of another."""
    tensor.data = values.astype(tensor.dtype).data
    return tensor


def _even(tensor: Tensor, low: float, high: float, rng: Generator | None, dtype: object = None) -> Tensor:
    generator = random.default_generator if rng is None else rng
    return generator.uniform(tensor.shape, low, high, dtype or tensor.dtype, backend=tensor.backend)


def _normal(tensor: Tensor, mean: float, std: float, rng: Generator | None, dtype: object = None) -> Tensor:
    generator = random.default_generator if rng is None else rng
    return generator.normal(tensor.shape, mean, std, dtype or tensor.dtype, backend=tensor.backend)


def _widest(tensor: Tensor) -> object:
    return backends.get_backend(tensor.backend).widest_float


def _check_axes(name: str, tensor: Tensor) -> None:
    if len(tensor.shape) < 2:
        raise ValueError(f"{name}: needs a tensor of at least two axes, (out, in, ...), got shape "
                         f"{tensor.shape}; for a bias use zeros_ or uniform_")


def _fans(name: str, tensor: Tensor) -> tuple[int, int]:
    """How many numbers go into one result, and into how many results one number goes.

    Of a tensor (out, in, *window), these are ``in`` and ``out`` times the elements of the window.
    """
    _check_axes(name, tensor)
    out, into, *window = tensor.shape
    return into * math.prod(window), out * math.prod(window)


# --- plain values --------------------------------------------------------------------------------


def constant_(tensor: Tensor, val: float) -> Tensor:
    """``tensor`` with ``val`` everywhere."""
    _checked("constant_", tensor)
    return _given(tensor, full_like(tensor, val))


def zeros_(tensor: Tensor) -> Tensor:
    """``tensor`` with 0 everywhere."""
    _checked("zeros_", tensor)
    return _given(tensor, full_like(tensor, 0.0))


def ones_(tensor: Tensor) -> Tensor:
    """``tensor`` with 1 everywhere."""
    _checked("ones_", tensor)
    return _given(tensor, full_like(tensor, 1.0))


def eye_(tensor: Tensor) -> Tensor:
    """``tensor``, a matrix, with ones on its diagonal and zeros elsewhere.

        >>> import dlcore as dl
        >>> eye_(dl.empty((2, 3))).tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    _checked("eye_", tensor)
    if len(tensor.shape) != 2:
        raise ValueError(f"eye_: needs a matrix, got shape {tensor.shape}")
    rows, columns = tensor.shape
    home = backends.get_backend(tensor.backend)
    return _given(tensor, Tensor(home.eye(rows, columns, k=0, dtype=tensor.dtype)))


# --- drawn values --------------------------------------------------------------------------------


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, *, rng: Generator | None = None) -> Tensor:
    """``tensor`` with numbers drawn evenly from [a, b).

    Args:
        tensor: of a float dtype, such as a parameter; not computed from others.
        a: the smallest number.
        b: the bound above.
        rng: where the random numbers come from; dlcore's default generator if None.

        >>> import dlcore as dl
        >>> w = uniform_(dl.empty((2, 3)), -1.0, 1.0)
        >>> bool(dl.all(dl.abs(w) <= 1.0))
        True
    """
    _checked("uniform_", tensor)
    return _given(tensor, _even(tensor, a, b, rng))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, *, rng: Generator | None = None) -> Tensor:
    """``tensor`` with numbers drawn from a normal distribution; ``rng`` as :func:`uniform_` has it."""
    _checked("normal_", tensor)
    return _given(tensor, _normal(tensor, mean, std, rng))


def trunc_normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, *,
                  rng: Generator | None = None) -> Tensor:
    """``tensor`` with numbers drawn from what lies between ``a`` and ``b`` of a normal distribution.

    They are the values of the inverse distribution function at evenly drawn places, computed in float64
    if the device has it.

    Args:
        tensor: as :func:`uniform_` has it.
        mean: of the whole distribution.
        std: of the whole distribution; positive.
        a: the least number.
        b: the greatest number.
        rng: as :func:`uniform_` has it.
    """
    _checked("trunc_normal_", tensor)
    if not (std > 0 and a < b):
        raise ValueError(f"trunc_normal_: std must be positive and a less than b, got std {std}, a {a}, "
                         f"b {b}")
    low, high = (math.erf((bound - mean) / (std * math.sqrt(2.0))) for bound in (a, b))
    standard = erfinv(_even(tensor, low, high, rng, _widest(tensor)))
    return _given(tensor, clip(standard * (std * math.sqrt(2.0)) + mean, a, b))


def orthogonal_(tensor: Tensor, gain: float = 1.0, *, rng: Generator | None = None) -> Tensor:
    """``tensor`` with orthonormal rows, or columns where there are more rows; times ``gain``.

    Axes after the first count as one.  All such matrices are equally likely: Q of a matrix of normal
    numbers, with signs for which R has a positive diagonal; computed in float64 if the device has it.

    Source: Saxe, McClelland & Ganguli (2013), "Exact solutions to the nonlinear dynamics of learning in
    deep linear neural networks"; on the signs: Mezzadri (2007), "How to generate random matrices from the
    classical compact groups".

        >>> import dlcore as dl
        >>> w = orthogonal_(dl.empty((2, 3), dtype="float64"))
        >>> bool(dl.linalg.norm(w @ w.T - dl.eye(2)) < 1e-12)
        True
    """
    _checked("orthogonal_", tensor)
    _check_axes("orthogonal_", tensor)
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    flat = reshape(_normal(tensor, 0.0, 1.0, rng, _widest(tensor)), (rows, columns))
    q, r = qr(flat if rows >= columns else matrix_transpose(flat))
    q = q * sign(diagonal(r))
    return _given(tensor, reshape(q if rows >= columns else matrix_transpose(q), tensor.shape) * gain)


# --- as wide as keeps variances ------------------------------------------------------------------

_GAINS = {"linear": 1.0, "identity": 1.0, "sigmoid": 1.0, "tanh": 5.0 / 3.0, "relu": math.sqrt(2.0),
          "selu": 0.75, **{f"{kind}{n}d": 1.0 for kind in ("conv", "conv_transpose") for n in (1, 2, 3)}}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much weights must be wider for ``nonlinearity`` to keep the variance of what goes through.

    Args:
        nonlinearity: the name of a function of ``functional``: one of a layer (1), ``"sigmoid"`` (1),
            ``"tanh"`` (5/3), ``"relu"`` (√2), ``"selu"`` (3/4) or ``"leaky_relu"``.
        param: the slope of ``leaky_relu``; 0.01 if None.

        >>> calculate_gain("leaky_relu", 1.0)
        1.0
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1.0 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        raise ValueError(f"calculate_gain: unknown nonlinearity {nonlinearity!r}; choose from "
                         f"{', '.join([*_GAINS, 'leaky_relu'])}")
    return _GAINS[nonlinearity]


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, *, rng: Generator | None = None) -> Tensor:
    """``tensor`` with even numbers whose variance is gain² · 2 / (fan_in + fan_out).

    Args:
        tensor: (out, in, *window); a fan is ``in`` or ``out`` times the elements of the window.
        gain: as :func:`calculate_gain` says.
        rng: as :func:`uniform_` has it.

    Source: Glorot & Bengio (2010), "Understanding the difficulty of training deep feedforward neural
    networks".
    """
    bound = math.sqrt(3.0) * _xavier("xavier_uniform_", tensor, gain)
    return _given(tensor, _even(tensor, -bound, bound, rng))


def xavier_normal_(tensor: Tensor, gain: float = 1.0, *, rng: Generator | None = None) -> Tensor:
    """As :func:`xavier_uniform_`, with normal numbers."""
    return _given(tensor, _normal(tensor, 0.0, _xavier("xavier_normal_", tensor, gain), rng))


def _xavier(name: str, tensor: Tensor, gain: float) -> float:
    _checked(name, tensor)
    return gain * math.sqrt(2.0 / max(1, sum(_fans(name, tensor))))


def kaiming_uniform_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
                     *, rng: Generator | None = None) -> Tensor:
    """``tensor`` with even numbers whose variance is gain² / fan.

    Args:
        tensor: as :func:`xavier_uniform_` has it.
        a: the slope of ``leaky_relu``.
        mode: ``"fan_in"`` keeps the variance of what goes forward, ``"fan_out"`` that of what goes back.
        nonlinearity: what follows; as :func:`calculate_gain` has it.
        rng: as :func:`uniform_` has it.

    Source: He et al. (2015), "Delving deep into rectifiers: surpassing human-level performance on ImageNet
    classification".
    """
    bound = math.sqrt(3.0) * _kaiming("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return _given(tensor, _even(tensor, -bound, bound, rng))


def kaiming_normal_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
                    *, rng: Generator | None = None) -> Tensor:
    """As :func:`kaiming_uniform_`, with normal numbers."""
    std = _kaiming("kaiming_normal_", tensor, a, mode, nonlinearity)
    return _given(tensor, _normal(tensor, 0.0, std, rng))


def _kaiming(name: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    _checked(name, tensor)
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"{name}: mode must be 'fan_in' or 'fan_out', got {mode!r}")
    fan = _fans(name, tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(max(1, fan))
