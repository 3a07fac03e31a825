"""Recurrent layers: a state that is carried from step to step, in one direction or in both.

A :class:`RecurrentCell` says what one step does; a :class:`Recurrent` layer walks sequences with it.
What the steps have in common, the product of the inputs with their weights, is computed for all of them
at once; within a step there is one product with the state.  Names and layouts are PyTorch's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from dlcore import ops, random
from dlcore.core import V
from dlcore.creation import zeros
from dlcore.history import is_recording
from dlcore.nn import functional as F
from dlcore.nn.modes import check_mode
from dlcore.nn.modules import Module, Parameter

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell"]

State = tuple[V, ...]  # (n, hidden_size) each: h, or h and c
Step = Callable[[V, State, Callable[[V], V]], State]
"""The next state, of the projected input (n, gates · hidden_size), the state, and what projects h."""


# --- one step --------------------------------------------------------------------------------------


def _lstm_step(projected: V, state: State, of_hidden: Callable[[V], V]) -> State:
    """The next h' = o tanh(c') and c' = f c + i g, with gates i, f, o and the candidate g.

    Source: Hochreiter & Schmidhuber (1997), "Long short-term memory"; the forget gate is that of Gers,
    Schmidhuber & Cummins (2000), "Learning to forget".
    """
    h, c = state
    i, f, g, o = ops.split(projected + of_hidden(h), 4, axis=-1)
    c = F.sigmoid(f) * c + F.sigmoid(i) * ops.tanh(g)
    return F.sigmoid(o) * ops.tanh(c), c


def _gru_step(projected: V, state: State, of_hidden: Callable[[V], V]) -> State:
    """The next h' = (1 - z) n + z h, with the candidate n, of which the gate r lets h have a part.

    Source: Cho et al. (2014), "Learning phrase representations using RNN encoder-decoder for statistical
    machine translation"; r stands after the product, as in PyTorch.
    """
    h, = state
    size = h.shape[-1]
    gates, inner = ops.split(projected, [2 * size], axis=-1)
    gates_of_h, inner_of_h = ops.split(of_hidden(h), [2 * size], axis=-1)
    r, z = ops.split(F.sigmoid(gates + gates_of_h), 2, axis=-1)
    n = ops.tanh(inner + r * inner_of_h)
    return (n + z * (h - n),)


def _elman_step(nonlinearity: str) -> Step:
    """The next h' is tanh of what comes from the input and from h, or relu of it.

    Source: Elman (1990), "Finding structure in time".
    """
    functions: dict[str, Callable[[V], V]] = {"tanh": ops.tanh, "relu": F.relu}
    if nonlinearity not in functions:
        raise ValueError(f"RNN: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
    function = functions[nonlinearity]
    return lambda projected, state, of_hidden: (function(projected + of_hidden(state[0])),)


def _add_weights(module: Module, suffix: str, gates: int, input_size: int, hidden_size: int,
                 bias: bool) -> None:
    """Draw the weights of one direction of one layer, evenly from ±1 / sqrt(hidden_size)."""
    bound = 1.0 / math.sqrt(max(1, hidden_size))
    shapes: dict[str, tuple[int, ...]] = {
        "weight_ih": (gates * hidden_size, input_size), "weight_hh": (gates * hidden_size, hidden_size),
        **({"bias_ih": (gates * hidden_size,), "bias_hh": (gates * hidden_size,)} if bias else {})}
    for name, shape in shapes.items():
        setattr(module, name + suffix, Parameter(random.uniform(shape, -bound, bound)))


def _check_sizes(module: Module, **sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{type(module).__name__}: {name} must be at least 1, got {size}")


class RecurrentCell(Module):
    """One step of a recurrent layer; see its subclasses."""

    gates: ClassVar[int]
    states: ClassVar[int] = 1
    take_step: Step

    def __init__(self, input_size: int, hidden_size: int, *, bias: bool = True) -> None:
        _check_sizes(self, input_size=input_size, hidden_size=hidden_size)
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        _add_weights(self, "", self.gates, input_size, hidden_size, bias)

    def forward(self, x: V, state: Any = None) -> Any:
        """The next state.

        Args:
            x: (n, input_size) or (input_size,).
            state: (n, hidden_size) or (hidden_size,), of an LSTM a pair of them; zeros if None.
        """
        if x.shape[-1:] != (self.input_size,) or len(x.shape) > 2:
            raise ValueError(f"{type(self).__name__}: x must be (n, {self.input_size}) or "
                             f"({self.input_size},), got {x.shape}")
        given = _as_states(type(self).__name__, state, self.states, (*x.shape[:-1], self.hidden_size), x)
        b_ih, b_hh = (self.bias_ih, self.bias_hh) if self.bias else (None, None)
        new = self.take_step(F.linear(x, self.weight_ih, b_ih), given,
                             lambda h: F.linear(h, self.weight_hh, b_hh))
        return new if self.states > 1 else new[0]


class LSTMCell(RecurrentCell):
    """One step of an :class:`LSTM`: from ``(h, c)`` to the next such pair."""

    gates, states, take_step = 4, 2, staticmethod(_lstm_step)


class GRUCell(RecurrentCell):
    """One step of a :class:`GRU`: from ``h`` to the next one."""

    gates, take_step = 3, staticmethod(_gru_step)


class RNNCell(RecurrentCell):
    """One step of an :class:`RNN`: from ``h`` to the next one."""

    gates = 1

    def __init__(self, input_size: int, hidden_size: int, nonlinearity: str = "tanh", *,
                 bias: bool = True) -> None:
        self.take_step = _elman_step(nonlinearity)
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, bias=bias)


def _as_states(name: str, given: Any, count: int, shape: tuple[int, ...], like: V) -> State:
    """The state to begin with as a tuple; zeros if none is given."""
    if given is None:
        return tuple(zeros(shape, dtype=like.dtype).to(like.backend) for _ in range(count))
    several = tuple(given) if count > 1 and isinstance(given, tuple | list) else (given,)
    if len(several) != count or any(getattr(s, "shape", None) != shape for s in several):
        found = " and ".join(str(getattr(s, "shape", s)) for s in several)
        wanted = "a pair of states" if count > 1 else "a state"
        raise ValueError(f"{name}: needs {wanted} of shape {shape}, got {found}")
    return several


# --- sequences -----------------------------------------------------------------------------------------


class Recurrent(Module):
    """Walks sequences; see its subclasses.

    Attributes:
        weight_ih_l0: (gates · hidden_size, input_size), and so for each layer; of the backward direction
            ``weight_ih_l0_reverse``.  In higher layers the inputs are the states of the one below.
        weight_hh_l0: (gates · hidden_size, hidden_size).
        bias_ih_l0: (gates · hidden_size,), unless there is none; ``bias_hh_l0`` likewise.
    """

    gates: ClassVar[int]
    states: ClassVar[int] = 1
    take_step: Step

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, *, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False) -> None:
        _check_sizes(self, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        if not 0 <= dropout <= 1:
            raise ValueError(f"{type(self).__name__}: dropout must be from 0 to 1, got {dropout}")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, dropout
        self.bidirectional = bidirectional
        for layer in range(num_layers):
            size = input_size if layer == 0 else hidden_size * (1 + bidirectional)
            for suffix in self._directions():
                _add_weights(self, f"_l{layer}{suffix}", self.gates, size, hidden_size, bias)

    def _directions(self) -> Sequence[str]:
        return ("", "_reverse") if self.bidirectional else ("",)

    def forward(self, x: V, state: Any = None) -> tuple[V, Any]:
        """The states of the last layer at every step, and those of all layers at the last step.

        Args:
            x: (steps, n, input_size), or (n, steps, input_size) with ``batch_first``; of a single
                sequence (steps, input_size).
            state: (layers · directions, n, hidden_size) to begin with, of an LSTM a pair of them; zeros
                if None.  Without n for a single sequence.
        """
        name, single = type(self).__name__, len(x.shape) == 2
        if len(x.shape) not in (2, 3) or x.shape[-1] != self.input_size:
            order = "(n, steps" if self.batch_first else "(steps, n"
            raise ValueError(f"{name}: x must be {order}, {self.input_size}) or (steps, {self.input_size}), "
                             f"got {x.shape}")
        if self.training and self.dropout and not is_recording():
            check_mode(self)
        turned = self.batch_first and not single
        x = ops.expand_dims(x, 1) if single else ops.swapaxes(x, 0, 1) if turned else x
        rows = self.num_layers * len(self._directions())
        shape = (rows, self.hidden_size) if single else (rows, x.shape[1], self.hidden_size)
        begin = _as_states(name, state, self.states, shape, x)
        if single:
            begin = tuple(ops.expand_dims(s, 1) for s in begin)
        by_row = zip(*(ops.unstack(s) for s in begin), strict=True)
        last: list[State] = []
        for layer in range(self.num_layers):
            if layer and self.dropout:
                x = F.dropout(x, self.dropout, training=self.training)
            walked = [self._walk(x, f"_l{layer}{suffix}", next(by_row)) for suffix in self._directions()]
            x = ops.concat([outputs for outputs, _ in walked], axis=-1) if len(walked) > 1 else walked[0][0]
            last += [end for _, end in walked]
        ends = tuple(ops.stack(part) for part in zip(*last, strict=True))
        if single:
            x, ends = ops.squeeze(x, 1), tuple(ops.squeeze(s, 1) for s in ends)
        return ops.swapaxes(x, 0, 1) if turned else x, ends if self.states > 1 else ends[0]

    def _walk(self, x: V, suffix: str, state: State) -> tuple[V, State]:
        """One direction of one layer: the states h at every step, and the state at its last step."""
        names = ("weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if self.bias else ()))
        weight_ih, weight_hh, *biases = (getattr(self, name + suffix) for name in names)
        b_ih, b_hh = biases or (None, None)
        steps = ops.unstack(F.linear(x, weight_ih, b_ih))
        backwards = suffix.endswith("_reverse")
        outputs = []
        for projected in reversed(steps) if backwards else steps:
            state = self.take_step(projected, state, lambda h: F.linear(h, weight_hh, b_hh))
            outputs.append(state[0])
        if not outputs:
            raise ValueError(f"{type(self).__name__}: a sequence needs at least one step, got x of shape "
                             f"{x.shape}")
        return ops.stack(outputs[::-1] if backwards else outputs), state


class LSTM(Recurrent):
    """Long short-term memory: a state ``c`` that gates write to and erase, and what it shows, ``h``.

    Args:
        input_size: the size of the last axis of what comes in.
        hidden_size: of the state.
        num_layers: each gets the states of the one below.
        bias: whether there are two in each layer, as PyTorch has it.
        batch_first: (n, steps, …) instead of (steps, n, …), for inputs and outputs, not for states.
        dropout: the probability with which outputs of every layer but the last are zeroed in training.
        bidirectional: walk the sequence from both ends; the states are joined.

    Sequences in a batch have equal lengths; packed ones are not supported.

        >>> import dlcore as dl
        >>> outputs, (h, c) = LSTM(3, 5, num_layers=2)(dl.ones((7, 4, 3)))
        >>> outputs.shape, h.shape, c.shape
        ((7, 4, 5), (2, 4, 5), (2, 4, 5))
    """

    gates, states, take_step = 4, 2, staticmethod(_lstm_step)


class GRU(Recurrent):
    """The gated recurrent unit; arguments as :class:`LSTM` has them, its state is ``h`` alone.

        >>> import dlcore as dl
        >>> outputs, h = GRU(3, 5, bidirectional=True, batch_first=True)(dl.ones((4, 7, 3)))
        >>> outputs.shape, h.shape
        ((4, 7, 10), (2, 4, 5))
    """

    gates, take_step = 3, staticmethod(_gru_step)


class RNN(Recurrent):
    """The simple recurrent network: its state is tanh, or relu, of sums.

    Arguments as :class:`LSTM` has them; ``nonlinearity`` is ``"tanh"`` or ``"relu"``.
    """

    gates = 1

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh", *,
                 bias: bool = True, batch_first: bool = False, dropout: float = 0.0,
                 bidirectional: bool = False) -> None:
        self.take_step = _elman_step(nonlinearity)
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, num_layers, bias=bias, batch_first=batch_first,
                         dropout=dropout, bidirectional=bidirectional)
