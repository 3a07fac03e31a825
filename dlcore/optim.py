"""Optimizers: how parameters follow their gradients.

They compute on arrays, so nothing is recorded, and give each parameter a new array, so nothing that
a history or a state dict holds is written to; only the moments, which nobody else can see, are
updated in place.  Their state is kept by position, so it can be saved, loaded and moved.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from backends import OWNERS, Backend, backend_of
from backends.dtypes import HALF_DTYPES, float32, float64
from dlcore.core import Array
from dlcore.tensors import Tensor

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "clip_grad_norm", "clip_grad_value"]

Group = dict[str, Any]
"""Parameters and the settings they share: ``{"params": [...], "lr": 0.1, ...}``."""

State = dict[str, Any]
"""What an optimizer remembers of one parameter: arrays of its shape, and a count of steps."""


class Optimizer:
    """Walks parameters down their gradients; a subclass says how far in :meth:`updated`.

    Args:
        params: tensors that require a gradient, or groups ``{"params": ..., "lr": ...}`` that
            differ in some of the settings.
        settings: those of every group that has none of its own.

    Attributes:
        param_groups: the groups; change ``group["lr"]`` at any time.
        state: what is remembered of each parameter, in the order of the groups.

    Raises:
        ValueError: no parameters; one that is given twice, was computed or requires no gradient; an
            unknown setting, or one out of its range.
        TypeError: something that is no tensor.
    """

    def __init__(self, params: Iterable[Tensor] | Iterable[Group], settings: Group) -> None:
        name = type(self).__name__
        if type(params) is Tensor:
            raise TypeError(f"{name}: params must be a list of tensors; write [tensor]")
        given: list[Any] = list(params)
        groups = given if given and isinstance(given[0], dict) else [{"params": given}]
        self.param_groups: list[Group] = [_group(name, group, settings) for group in groups]
        everything = [p for group in self.param_groups for p in group["params"]]
        if not everything:
            raise ValueError(f"{name}: there are no parameters to optimize")
        if len(set(map(id, everything))) != len(everything):
            raise ValueError(f"{name}: a parameter is given twice")
        self.state: list[State] = [{} for _ in everything]

    def updated(self, xp: Backend, x: Array, g: Array, state: State, group: Group) -> Array:
        """The new array of a parameter ``x`` with gradient ``g``; may write to those in ``state``."""
        raise NotImplementedError  # every optimizer says how

    def step(self) -> None:
        """Change every parameter that has a gradient."""
        states = iter(self.state)
        for group in self.param_groups:
            for p, state in zip(group["params"], states, strict=False):
                if (g := getattr(p, "_grad", None)) is None:  # p.grad, without the property's call
                    continue
                x = p.array
                if (xp := OWNERS.get(type(x))) is not None:  # the only device of its kind
                    p.array = self.updated(xp, x, g.array, state, group)
                    continue
                xp = backend_of(x)
                with xp.scope():
                    p.array = self.updated(xp, x, g.array, state, group)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters; without this they add up."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    # --- saving and loading --------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """The settings of the groups, and what is remembered of each parameter by position."""
        groups = [{k: v for k, v in group.items() if k != "params"} for group in self.param_groups]
        for group, own in zip(groups, self.param_groups, strict=True):
            group["count"] = len(own["params"])
        return {"optimizer": type(self).__name__, "groups": groups, "state": [
            {k: v if isinstance(v, int) else Tensor(backend_of(v).copy(v)) for k, v in one.items()}
            for one in self.state]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken, with parameters of the same shapes.

        Raises:
            ValueError: the optimizer, its groups or their shapes differ; nothing is loaded then.
        """
        name = type(self).__name__
        if not isinstance(state, Mapping) or not {"optimizer", "groups", "state"} <= state.keys():
            raise ValueError(f"{name}: this is no state of an optimizer; it comes from state_dict()")
        if state["optimizer"] != name:
            raise ValueError(f"{name}: the state is one of {state['optimizer']}")
        groups, found = state["groups"], state["state"]
        counts = [group["count"] for group in groups]
        own = [len(group["params"]) for group in self.param_groups]
        if counts != own or len(found) != sum(own):
            raise ValueError(f"{name}: the state is of groups of {counts} parameters, these are "
                             f"of {own}")
        everything = [p for group in self.param_groups for p in group["params"]]
        wrong = [f"{i} is {p.shape}, the state has {v.shape}"
                 for i, (p, one) in enumerate(zip(everything, found, strict=True))
                 for v in one.values() if not isinstance(v, int) and v.shape != p.shape]
        if wrong:
            raise ValueError(f"{name}: parameters do not fit the state: {'; '.join(wrong)}")
        for group, new in zip(self.param_groups, groups, strict=True):
            group |= {k: v for k, v in new.items() if k in group}
        self.state = [
            {k: v if isinstance(v, int) else backend_of(v.array).copy(v.array)
             for k, v in one.items()} for one in found]

    def __repr__(self) -> str:
        settings = ", ".join(f"{k}={v}" for k, v in self.param_groups[0].items() if k != "params")
        return f"{type(self).__name__}({len(self.state)} parameters, {settings})"


def _group(name: str, given: Group, settings: Group) -> Group:
    """A group with all its settings, checked."""
    if not isinstance(given, dict):
        raise TypeError(f"{name}: groups and tensors cannot be mixed; put the tensors in a group")
    if "params" not in given:
        raise ValueError(f"{name}: a group needs 'params', got {sorted(given)}")
    unknown = given.keys() - settings.keys() - {"params"}
    if unknown:
        raise ValueError(f"{name}: unknown settings {sorted(unknown)}; known: {sorted(settings)}")
    params = given["params"]
    group = {**settings, **given, "params": [params] if type(params) is Tensor else list(params)}
    for i, p in enumerate(group["params"]):
        if type(p) is not Tensor:
            raise TypeError(f"{name}: parameter {i} is a {type(p).__name__}, not a tensor")
        if p.node is None:
            raise ValueError(f"{name}: parameter {i} of shape {p.shape} requires no gradient; make "
                             "it with requires_grad=True")
        if p.node.primitive is not None:
            raise ValueError(f"{name}: parameter {i} of shape {p.shape} was computed by "
                             f"{p.node.primitive.name}; only leaves can be optimized")
    for key in settings:
        group[key] = _checked_setting(name, key, group[key])
    return group


_BELOW_ONE = {"momentum", "betas"}


def _checked_setting(name: str, key: str, value: Any) -> Any:
    """``value`` as Python numbers: one of NumPy's would lift every float32 to float64."""
    if isinstance(value, bool):
        return value
    if isinstance(value, tuple | list):
        return tuple(_checked_setting(name, key, n) for n in value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: {key} must be a number, got {value!r}") from None
    if not 0 <= number < (1.0 if key in _BELOW_ONE else math.inf):
        wanted = "at least 0 and less than 1" if key in _BELOW_ONE else "finite and not negative"
        raise ValueError(f"{name}: {key} must be {wanted}, got {value!r}")
    return number


def _moment(xp: Backend, state: State, name: str, like: Array) -> Array:
    """What ``state`` remembers as ``name``, where and in the dtype that ``like`` is; or zeros."""
    held = state.get(name)
    if held is None:
        return xp.zeros_like(like)
    home = backend_of(held)
    if home is not xp:  # the parameter was moved
        held = xp.from_host(home.to_host(held))
    return xp.astype(held, like.dtype)


def _wide(xp: Backend, x: Array) -> Array:
    """``x``, halves as float32: a step may be less than they can tell apart, and so is epsilon."""
    return xp.astype(x, float32) if xp.dtype_name(x) in HALF_DTYPES else x


class SGD(Optimizer):
    """Stochastic gradient descent: ``v = momentum * v + g``, ``p = p - lr * v``.

    Args:
        params: tensors, or groups.
        lr: the step along the gradient.
        momentum: how much of the last step is repeated, less than 1.
        nesterov: look ahead: step by ``g + momentum * v``.
        weight_decay: adds ``weight_decay * p`` to the gradient.

        >>> import dlcore as dl
        >>> w = dl.tensor([1.0, -2.0], requires_grad=True)
        >>> optimizer = SGD([w], lr=0.1)
        >>> dl.sum(w * w).backward()
        >>> optimizer.step()
        >>> w
        tensor([ 0.8, -1.6], float32, requires_grad)
    """

    def __init__(self, params: Iterable[Tensor] | Iterable[Group], lr: float, momentum: float = 0.0,
                 nesterov: bool = False, weight_decay: float = 0.0) -> None:
        if nesterov and not momentum:
            raise ValueError("SGD: nesterov needs a momentum greater than 0")
        super().__init__(params, {"lr": lr, "momentum": momentum, "nesterov": nesterov,
                                  "weight_decay": weight_decay})

    def updated(self, xp: Backend, x: Array, g: Array, state: State, group: Group) -> Array:
        """See the base class."""
        lr, momentum, decay = group["lr"], group["momentum"], group["weight_decay"]
        if type(lr) is not float:  # one of NumPy's would lift float32 to float64
            lr = float(lr)
        if decay:
            g = g + x * decay
        if not momentum:
            return x - g * lr
        wide = _wide(xp, g)
        v = xp.multiply_(_moment(xp, state, "velocity", wide), momentum)
        v = state["velocity"] = xp.add_(v, wide)
        step = (wide + v * momentum if group["nesterov"] else v) * -lr
        return xp.astype(xp.add_(step, _wide(xp, x)), x.dtype)


class Adam(Optimizer):
    """Steps of about ``lr`` in every element, whatever the size of its gradient.

    Args:
        params: tensors, or groups.
        lr: about how far each element moves in a step.
        betas: how much is kept of the means of gradients and of their squares, each less than 1.
        eps: added to the root of the mean of squares.
        weight_decay: adds ``weight_decay * p`` to the gradient.

    Source: Kingma & Ba (2015), "Adam: a method for stochastic optimization".
    """

    def __init__(self, params: Iterable[Tensor] | Iterable[Group], lr: float = 1e-3,
                 betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0.0) -> None:
        if not isinstance(betas, Sequence) or len(betas) != 2:
            raise ValueError(f"{type(self).__name__}: betas must be two numbers, got {betas}")
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "eps": eps,
                                  "weight_decay": weight_decay})

    def updated(self, xp: Backend, x: Array, g: Array, state: State, group: Group) -> Array:
        """See the base class."""
        wide, g = _wide(xp, x), _wide(xp, g)
        wide, g = self.decayed(wide, g, group)
        return xp.astype(self._moved(xp, wide, g, state, group), x.dtype)

    def decayed(self, x: Array, g: Array, group: Group) -> tuple[Array, Array]:
        """The parameter and its gradient after weight decay."""
        decay = group["weight_decay"]
        return x, g + x * decay if decay else g

    def _moved(self, xp: Backend, x: Array, g: Array, state: State, group: Group) -> Array:
        """The update of the paper, whose means are (1 - beta) times the sums that are kept here.

        Sums need no factor for what is new, and all factors that are left are numbers: ten passes
        over the elements, where the paper as it stands takes fourteen.
        """
        beta1, beta2 = group["betas"]
        t = state["step"] = state.get("step", 0) + 1
        m = xp.multiply_(_moment(xp, state, "sum", g), beta1)
        v = xp.multiply_(_moment(xp, state, "sum_of_squares", g), beta2)
        m = state["sum"] = xp.add_(m, g)
        v = state["sum_of_squares"] = xp.add_(v, g * g)
        mean = (1.0 - beta1) / (1.0 - beta1**t)  # times m is the corrected mean
        root = math.sqrt((1.0 - beta2) / (1.0 - beta2**t))  # times sqrt(v) is its corrected root
        step = m / xp.add_(xp.sqrt(v), group["eps"] / root)
        return xp.add_(xp.multiply_(step, float(group["lr"]) * -mean / root), x)


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameter instead of entering the means.

    Arguments as :class:`Adam` has them.

    Source: Loshchilov & Hutter (2019), "Decoupled weight decay regularization".
    """

    def __init__(self, params: Iterable[Tensor] | Iterable[Group], lr: float = 1e-3,
                 betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 1e-2) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)

    def decayed(self, x: Array, g: Array, group: Group) -> tuple[Array, Array]:
        """The parameter and its gradient after weight decay."""
        return x * (1.0 - float(group["lr"]) * group["weight_decay"]), g


# --- holding gradients in bounds -----------------------------------------------------------------


_LEAST = 1e-300  # a norm of 0 divides nothing


def _gradients(params: Iterable[Tensor] | Tensor) -> list[tuple[Tensor, Array]]:
    """The tensors of ``params`` that have a gradient, and its array."""
    every = [params] if type(params) is Tensor else params
    return [(p, p.grad.array) for p in every if p.grad is not None]


def clip_grad_norm(params: Iterable[Tensor] | Tensor, max_norm: float) -> Tensor:
    """Scale the gradients of ``params`` so that their joint Euclidean norm is at most ``max_norm``.

    Returns:
        the norm they had, a 0-d tensor; whoever reads it waits for the device.

    Raises:
        ValueError: ``max_norm`` is not positive, or no parameter has a gradient.

    Source: Pascanu, Mikolov & Bengio (2013), "On the difficulty of training recurrent neural
    networks", algorithm 1.

        >>> import dlcore as dl
        >>> w = dl.tensor([3.0, 4.0], requires_grad=True)
        >>> dl.sum(w * w / 2).backward()
        >>> clip_grad_norm([w], 1.0), w.grad
        (tensor(5., float32), tensor([0.6, 0.8], float32))
    """
    if not max_norm > 0:
        raise ValueError(f"clip_grad_norm: max_norm must be positive, got {max_norm}")
    found = _gradients(params)
    if not found:
        raise ValueError("clip_grad_norm: no parameter has a gradient; call it after backward()")
    xp = backend_of(*(g for _, g in found))
    with xp.scope():
        wide = [_wide(xp, g) for _, g in found]
        squares = [xp.astype(xp.asarray(xp.sum(g * g)), float64) for g in wide]
        norm = xp.sqrt(xp.sum(xp.stack(squares)))
        factor = xp.asarray(xp.minimum(max_norm / xp.maximum(norm, _LEAST), 1.0))
        for (p, g), w in zip(found, wide, strict=True):
            p.grad = Tensor(xp.astype(w * xp.astype(factor, w.dtype), g.dtype))
        return Tensor(xp.astype(xp.asarray(norm), wide[0].dtype))


def clip_grad_value(params: Iterable[Tensor] | Tensor, clip_value: float) -> None:
    """Hold every element of the gradients of ``params`` within ``-clip_value..clip_value``."""
    if not clip_value > 0:
        raise ValueError(f"clip_grad_value: clip_value must be positive, got {clip_value}")
    for p, g in _gradients(params):
        xp = backend_of(g)
        with xp.scope():
            p.grad = Tensor(xp.clip(g, -clip_value, clip_value))
