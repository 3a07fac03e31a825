"""Averages of the weights that training passed through, which often predict better than the last ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from backends import Backend, backend_of, host
from backends.dtypes import float32
from dlcore.core import Array
from dlcore.tensors import Tensor

__all__ = ["EMA", "SWA"]


class Averaged:
    """Averages beside parameters; a subclass says how a new value enters.

    The first :meth:`update` makes the averages equal to the parameters.  Averages of half-precision
    parameters are kept in float32.

    Args:
        parameters: float tensors.

    Raises:
        TypeError: something that is no tensor of floats.
        ValueError: there are no parameters.
    """

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        name = type(self).__name__
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError(f"{name}: there are no parameters to average")
        for i, p in enumerate(self.parameters):
            if type(p) is not Tensor or p.dtype.kind not in ("float", "complex"):
                kind = f"{p.dtype}{p.shape}" if type(p) is Tensor else f"a {type(p).__name__}"
                raise TypeError(f"{name}: parameter {i} is {kind}, not a tensor of floats")
        self.averages = [_wide(p.array) for p in self.parameters]
        self.updates = 0
        self._own: list[Array] | None = None  # the parameters' own values while they are swapped out

    def weight(self) -> float:
        """How much of the new values enters the averages, between 0 and 1."""
        raise NotImplementedError  # each kind of average says so

    def update(self) -> None:
        """Let the parameters as they are now enter the averages."""
        if self._own is not None:
            raise ValueError(f"{type(self).__name__}.update: the parameters hold the averages now; "
                             "swap() them back first")
        w = self.weight() if self.updates else 1.0
        self.averages = [_mixed(a, p.array, w) for a, p in zip(self.averages, self.parameters, strict=True)]
        self.updates += 1

    def swap(self) -> None:
        """Exchange the values of the parameters with the averages; a second call takes it back."""
        if self._own is not None:
            own, self._own = self._own, None
        else:
            own = [_like(a, p) for a, p in zip(self.averages, self.parameters, strict=True)]
            self._own = [p.array for p in self.parameters]
        for p, array in zip(self.parameters, own, strict=True):
            p.array = array

    @contextmanager
    def applied(self) -> Iterator[None]:
        """A ``with`` block in which the parameters hold the averages."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    def state_dict(self) -> dict[str, Any]:
        """The averages, as arrays of the host, and the number of updates."""
        return {"updates": self.updates, "averages": [backend_of(a).to_host(a) for a in self.averages]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken.

        Raises:
            ValueError: the averages are of other parameters; nothing is loaded then.
        """
        if missing := self.state_dict().keys() - state.keys():
            raise ValueError(f"{type(self).__name__}: the state lacks {sorted(missing)}; it comes from "
                             "state_dict()")
        found = [a.numpy() if type(a) is Tensor else host.array(a) for a in state["averages"]]
        shapes, own = [tuple(a.shape) for a in found], [p.shape for p in self.parameters]
        if shapes != own:
            raise ValueError(f"{type(self).__name__}: the state is of shapes {shapes}, "
                             f"the parameters have {own}")
        pairs = zip(found, self.parameters, strict=True)
        self.averages = [backend_of(p.array).from_host(a) for a, p in pairs]
        self.updates = int(state["updates"])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.parameters)} parameters, {self.updates} updates)"


class EMA(Averaged):
    """Exponential moving averages: ``a = decay * a + (1 - decay) * p`` at every update.

    Args:
        parameters: float tensors.
        decay: how much of an average is kept, at least 0 and less than 1.

    Source: Tarvainen & Valpola (2017), "Mean teachers are better role models", equation 2.

        >>> import dlcore as dl
        >>> w = dl.tensor(0.0, requires_grad=True)
        >>> average = EMA([w], decay=0.75)
        >>> for value in (0.0, 4.0):
        ...     w.data = dl.tensor(value)
        ...     average.update()
        >>> with average.applied():
        ...     print(w.item())
        1.0
        >>> w.item()
        4.0
    """

    def __init__(self, parameters: Iterable[Tensor], decay: float = 0.999) -> None:
        if not 0.0 <= decay < 1.0:
            raise ValueError(f"EMA: decay must be at least 0 and less than 1, got {decay}")
        super().__init__(parameters)
        self.decay = float(decay)

    def weight(self) -> float:
        """See the base class."""
        return 1.0 - self.decay


class SWA(Averaged):
    """The mean of the parameters at all updates, which are usually made once an epoch, late in training.

    Batch normalization has its own averages, which are of other weights: predict once over the training
    data with ``model.train()`` inside :meth:`applied` before they are used.

    Source: Izmailov et al. (2018), "Averaging weights leads to wider optima and better generalization".
    """

    def weight(self) -> float:
        """See the base class."""
        return 1.0 / (self.updates + 1)


def _wide(x: Array) -> Array:
    """``x``, halves as float32: the steps of an average are smaller than they can tell apart."""
    xp = backend_of(x)
    return xp.astype(x, float32) if x.dtype in xp.half_dtypes else x


def _mixed(average: Array, x: Array, w: float) -> Array:
    """A new array: a parameter may hold the old one, or a history of one that did."""
    xp = backend_of(x)
    with xp.scope():
        x, average = _wide(x), _here(xp, average)
        return x if w == 1.0 else average * (1.0 - w) + x * w


def _like(average: Array, p: Tensor) -> Array:
    """``average`` where and in the dtype that ``p`` is."""
    xp = backend_of(p.array)
    return xp.astype(_here(xp, average), p.array.dtype)


def _here(xp: Backend, x: Array) -> Array:
    """``x`` on ``xp``, to which its parameter may have been moved."""
    home = backend_of(x)
    return x if home is xp else xp.from_host(home.to_host(x))
