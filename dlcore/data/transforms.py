"""Functions of inputs: to a common scale, to one-hot rows, and to other pictures by chance.

Each is made once and called with a NumPy array, which gives one, or a tensor, which gives one where it is.
Those that draw are for one example at a time, in :meth:`ArrayDataset.map`, where a loader gives every
example of every epoch a stream of its own::

    augmented = train.map(lambda image, label: (flip(crop(image)), label))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import backends
from backends import get_default_dtype, host
from dlcore import ops, random
from dlcore.random import Generator
from dlcore.tensors import Tensor

__all__ = ["Compose", "GaussianNoise", "Normalize", "OneHot", "RandomCrop", "RandomHorizontalFlip",
           "Standardize"]


class Compose:
    """Several functions one after the other; torchvision's name.

    Args:
        transforms: the first is applied first.

        >>> Compose([abs, lambda x: x + 1])(-3)
        4
    """

    def __init__(self, transforms: Iterable[Callable[[Any], Any]]) -> None:
        self.transforms = tuple(transforms)

    def __call__(self, x: Any) -> Any:
        """``x`` after all of them."""
        for transform in self.transforms:
            x = transform(x)
        return x


class Standardize:
    """Makes every column have mean 0 and standard deviation 1; scikit-learn's ``StandardScaler``.

    Mean and deviation are measured once, here, so give it the examples for training alone: what is known
    of the others must not reach the model.  A column that is constant is left at 0.

    Args:
        x: (n, ...), n at least 1: the examples to measure.
        axis: over what is measured: 0 for columns of a table, (0, 2, 3) for channels of pictures.

    Attributes:
        mean: what is subtracted, float64.
        std: what is divided by, float64.

    Raises:
        ValueError: there are no examples, or the axes lack the first.

        >>> standardize = Standardize([[0.0, 7.0], [2.0, 7.0]])
        >>> standardize([[4.0, 8.0]]).tolist()
        [[3.0, 1.0]]
        >>> standardize.inverse([[3.0, 1.0]]).tolist()
        [[4.0, 8.0]]
    """

    def __init__(self, x: Any, axis: int | Sequence[int] = 0) -> None:
        values = _tensor(x)
        axes = (axis,) if isinstance(axis, int) else tuple(axis)
        if not values.ndim or not values.shape[0] or 0 not in [a % values.ndim for a in axes]:
            raise ValueError("Standardize: needs examples along the first axis, and that among the axes; got "
                             f"shape {values.shape} and axis {axis}")
        values = values.astype("float64")
        self.mean = ops.mean(values, axes, keepdims=True)[0].numpy()
        deviation = ops.std(values, axes, keepdims=True)[0]
        self.std = ops.where(deviation > 0, deviation, 1.0).numpy()

    def __call__(self, x: Any) -> Any:
        """``x`` to scale: one example or many; in its own dtype if that is a float."""
        return _alike(lambda t: (t - _beside(self.mean, t)) / _beside(self.std, t), x)

    def inverse(self, x: Any) -> Any:
        """What was brought to scale, as it was before."""
        return _alike(lambda t: t * _beside(self.std, t) + _beside(self.mean, t), x)


class Normalize:
    """Subtracts a mean from every channel of pictures and divides by a deviation; torchvision's name.

    Pictures are (..., channels, height, width).  Of whole numbers, which go from 0 to 255, it makes
    numbers from 0 to 1 first.

    Args:
        mean: of each channel, or one for all.
        std: likewise; not 0.

    Raises:
        ValueError: a deviation is 0, or pictures have another number of channels.

        >>> Normalize(0.5, 0.25)([[[0.5, 1.0]]]).tolist()
        [[[0.0, 2.0]]]
    """

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        self.mean, self.std = (host.array(given, "float64").reshape(-1, 1, 1) for given in (mean, std))
        if (self.std == 0).any():
            raise ValueError(f"Normalize: a deviation must not be 0, got {std}")

    def __call__(self, x: Any) -> Any:
        """The pictures to scale."""
        return _alike(self._applied, x)

    def _applied(self, t: Tensor) -> Tensor:
        channels = max(len(self.mean), len(self.std))
        if t.ndim < 3 or channels not in (1, t.shape[-3]):
            raise ValueError(f"Normalize: pictures of shape {t.shape} are no (..., {channels}, height, "
                             "width), as mean and std have it")
        scaled = t if t.dtype.kind == "float" else t / 255
        return (scaled - _beside(self.mean, scaled)) / _beside(self.std, scaled)


class OneHot:
    """Makes of each label a row of numbers that are 0, but for a 1 at its place.

    Args:
        classes: how long a row is.

    Raises:
        IndexError: a label is not in 0 to ``classes - 1``.

        >>> OneHot(3)([2, 0]).tolist()
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def __call__(self, labels: Any) -> Any:
        """The rows, along a new last axis, in the default float dtype."""
        return _alike(lambda t: ops.one_hot(t, self.classes), labels)


class RandomCrop:
    """Takes a piece of a picture, at a place that is drawn; torchvision's name.

    Args:
        size: height and width of the piece, or one number for both.
        padding: how many rows and columns of zeros are put around the picture first.
        rng: what is drawn from; :data:`dlcore.random.default_generator` if None.

    Raises:
        ValueError: the picture, padded, is smaller than the piece, or a size makes no sense.

        >>> RandomCrop(2, padding=1)([[1.0, 2.0], [3.0, 4.0]]).shape
        (2, 2)
    """

    def __init__(self, size: int | Sequence[int], padding: int = 0, *, rng: Generator | None = None) -> None:
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        if len(self.size) != 2 or min(self.size) < 1 or padding < 0:
            raise ValueError(f"RandomCrop: needs a height and a width of at least 1, and padding that is not "
                             f"negative; got size {size} and padding {padding}")
        self.padding, self.rng = padding, rng

    def __call__(self, x: Any) -> Any:
        """A piece of ``x``, (..., height, width)."""
        return _alike(self._applied, x)

    def _applied(self, t: Tensor) -> Tensor:
        rooms = [n + 2 * self.padding - k for n, k in zip(t.shape[-2:], self.size, strict=False)]
        if t.ndim < 2 or min(rooms) < 0:
            raise ValueError(f"RandomCrop: a picture of shape {t.shape} and padding {self.padding} holds no "
                             f"piece of {self.size}")
        drawn = _stream(self.rng).uniform(2, dtype="float64", backend="cpu").tolist()  # in one go, in [0, 1)
        top, left = (int(u * (room + 1)) for u, room in zip(drawn, rooms, strict=True))
        if self.padding:
            t = ops.pad(t, [(0, 0)] * (t.ndim - 2) + [(self.padding, self.padding)] * 2)
        return t[..., top:top + self.size[0], left:left + self.size[1]]


class RandomHorizontalFlip:
    """Mirrors a picture, left for right, in some cases; torchvision's name.

    Args:
        p: the probability of it.
        rng: what is drawn from; :data:`dlcore.random.default_generator` if None.

    Raises:
        ValueError: ``p`` is no probability.

        >>> RandomHorizontalFlip(1.0)([[1.0, 2.0]]).tolist()
        [[2.0, 1.0]]
    """

    def __init__(self, p: float = 0.5, *, rng: Generator | None = None) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"RandomHorizontalFlip: p must be a probability from 0 to 1, got {p}")
        self.p, self.rng = p, rng

    def __call__(self, x: Any) -> Any:
        """``x``, (..., width), or its mirror image."""
        if _stream(self.rng).bernoulli(self.p, backend="cpu").item():
            return _alike(lambda t: ops.flip(t, axis=-1), x)
        return x


class GaussianNoise:
    """Adds normally distributed numbers.

    Args:
        std: their standard deviation.
        rng: what is drawn from; :data:`dlcore.random.default_generator` if None.

    Raises:
        ValueError: ``std`` is negative.
        TypeError: what they shall be added to are no floats.

        >>> GaussianNoise(0.0)([1.0, 2.0]).tolist()
        [1.0, 2.0]
    """

    def __init__(self, std: float, *, rng: Generator | None = None) -> None:
        if std < 0:
            raise ValueError(f"GaussianNoise: std must not be negative, got {std}")
        self.std, self.rng = std, rng

    def __call__(self, x: Any) -> Any:
        """``x`` and noise, of one shape and dtype."""
        return _alike(self._applied, x)

    def _applied(self, t: Tensor) -> Tensor:
        if t.dtype.kind != "float":
            raise TypeError(f"GaussianNoise: {t.dtype} has no room for noise; convert it to floats")
        return t + _stream(self.rng).normal(t.shape, 0.0, self.std, t.dtype, backend=t.backend)


def _stream(rng: Generator | None) -> Generator:
    return random.default_generator if rng is None else rng


def _tensor(x: Any) -> Tensor:
    """``x``, or data of the host as a tensor on the CPU; nothing is copied."""
    return x if type(x) is Tensor else Tensor(host.array(x))


def _alike(f: Callable[[Tensor], Tensor], x: Any) -> Any:
    """``f(x)``, a tensor if ``x`` is one, else a NumPy array."""
    return f(x) if type(x) is Tensor else f(_tensor(x)).numpy()


def _beside(values: Any, t: Tensor) -> Tensor:
    """Host numbers where ``t`` is, in its dtype if that is a float, else in the default one."""
    dtype = t.dtype if t.dtype.kind == "float" else get_default_dtype()
    return Tensor(backends.get_backend(t.backend).from_host(values, dtype))
