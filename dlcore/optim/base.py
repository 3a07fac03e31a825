"""What all optimizers share: groups, the walk over the parameters, and state that can be saved.

They compute on arrays, so nothing is recorded, and give each parameter a new array, so nothing that
a history or a state dict holds is written to; only the moments, which nobody else can see, are
updated in place.  Half-precision parameters are updated in float32, and so are their moments: a step
may be less than halves can tell apart, and Adam's epsilon would be zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backends import OWNERS, Backend, backend_of, host
from backends.dtypes import float32
from dlcore.core import Array
from dlcore.optim import groups as checks
from dlcore.optim.groups import Group, Parameters
from dlcore.optim.noticing import Noticing
from dlcore.tensors import Tensor

State = dict[str, Any]
"""What an optimizer remembers of one parameter: arrays of its shape, and numbers."""


class Optimizer:
    """Walks parameters down their gradients; a subclass says how far in :meth:`updated`.

    Args:
        params: tensors that require a gradient, or groups ``{"params": ..., "lr": ...}`` that
            differ in some of the settings.
        settings: those of every group that has none of its own.

    Attributes:
        param_groups: the groups; change ``group["lr"]`` at any time, also to a function from the
            number of steps made to a rate.
        state: what is remembered of each parameter, in the order of the groups.
        steps: how often :meth:`step` was called; schedules are asked for the rate of this number.

    Raises:
        ValueError: no parameters; one that is given twice, was computed, or requires no gradient and is
            no frozen parameter of a module; an unknown setting, or one out of its range.
        TypeError: something that is no tensor, or a dtype that cannot be optimized.
    """

    takes_complex = False  # whether the rule holds for complex numbers as it stands

    def __init__(self, params: Parameters, settings: Group) -> None:
        self._settings = settings
        self.param_groups: list[Group] = checks.groups_of(type(self).__name__, params, settings)
        for group in self.param_groups:
            self.check(group)
        self.state: list[State] = [{} for group in self.param_groups for _ in group["params"]]
        self.steps = 0
        self._noticing = Noticing()
        self._last_dtype: tuple[Any, bool] = None, False  # and whether it is of halves: asking takes 150 ns

    def updated(self, xp: Backend, x: Array, g: Array, lr: float, state: State, group: Group) -> Array:
        """The new array of a parameter ``x`` with gradient ``g``; may write to those in ``state``."""
        raise NotImplementedError  # every optimizer says how

    def check(self, group: Group) -> None:
        """Raise for settings, each in its range, that do not go together."""
        for i, p in enumerate(group["params"]):
            if p.dtype.kind == "complex" and not self.takes_complex:
                raise TypeError(f"{type(self).__name__}: parameter {i} of shape {p.shape} is {p.dtype}; "
                                "optimize its real and imaginary parts, or use SGD")

    def add_param_group(self, group: Group) -> None:
        """Optimize the parameters of ``group`` too, from the next step on."""
        new = checks.group_of(type(self).__name__, group, self._settings)
        checks.check_distinct(type(self).__name__, [*self.param_groups, new])
        self.check(new)
        self.param_groups.append(new)
        self.state += [{} for _ in new["params"]]

    def step(self) -> None:
        """Change every parameter that has a gradient; those without are left alone.

        Nothing is read back from the device.

        Raises:
            ValueError: no parameter has a gradient; or a schedule's rate is out of its range.
            OutOfMemoryError: there is no room; the parameters before have made their step.
        """
        states = iter(self.state)
        used, missed = None, False
        dtype, half = self._last_dtype
        try:
            for group in self.param_groups:
                lr = group["lr"]
                if type(lr) is not float:
                    lr = self._rate(group)
                ascends = group["maximize"]
                for p, state in zip(group["params"], states):  # noqa: B905  strict=False takes 0.13 us
                    if (grad := getattr(p, "_grad", None)) is None:  # p.grad, without the property's call
                        missed = True
                        continue
                    used = grad
                    x, g = p.array, (-grad).array if ascends else grad.array
                    xp = OWNERS.get(type(x))
                    if x.dtype is not dtype:  # nearly always it is: all parameters have one
                        dtype = x.dtype
                        half = dtype in backend_of(x).half_dtypes
                        self._last_dtype = dtype, half
                    if half or xp is None:
                        p.array = self._with_care(x, g, lr, state, group)
                    else:  # the only device of its kind
                        p.array = self.updated(xp, x, g, lr, state, group)
        except MemoryError as error:
            raise backend_of(p.array).exhausted(error, f"{type(self).__name__}.step") from None
        if used is None:
            raise ValueError(f"{type(self).__name__}.step: none of the {len(self.state)} parameters has a "
                             "gradient; call backward() first")
        self.steps += 1
        self._noticing.step_made(self, used, missed)

    def _with_care(self, x: Array, g: Array, lr: float, state: State, group: Group) -> Array:
        """:meth:`updated` on one device of several, and of halves by way of float32."""
        xp = backend_of(x)
        with xp.scope():
            if x.dtype not in xp.half_dtypes:
                return self.updated(xp, x, g, lr, state, group)
            x32, g32 = xp.astype(x, float32), xp.astype(g, float32)
            return xp.astype(self.updated(xp, x32, g32, lr, state, group), x.dtype)

    def _rate(self, group: Group) -> float:
        """The rate of a group for this step, where it is a schedule or somebody's kind of number."""
        name, lr = type(self).__name__, group["lr"]
        if callable(lr):
            return checks.rate_at(name, lr, self.steps)
        number: float = checks.checked_setting(name, "lr", lr)
        group["lr"] = number  # one of NumPy's would lift float32 to float64
        return number

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters; without this they add up."""
        for group in self.param_groups:
            for p in group["params"]:
                p._grad = None  # p.grad, without the property's call

    # --- saving and loading --------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything that a later :meth:`load_state_dict` needs: numbers, and arrays of the host.

        Of a schedule only the step is stored, in ``"steps"``, unless it has a ``state_dict`` of its own,
        as :class:`~dlcore.optim.schedules.Plateau` has.  What is remembered of the parameters is listed
        by position.
        """
        return {"optimizer": type(self).__name__, "steps": self.steps,
                "groups": [_saved_group(group) for group in self.param_groups],
                "state": [{k: _to_host(v) for k, v in one.items()} for one in self.state]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken, bit for bit, with parameters of the same shapes.

        A group whose rate is a schedule keeps it, and goes on at the step that was stored.

        Raises:
            ValueError: the optimizer, its groups or their shapes differ, all of it listed; nothing is
                loaded then.
        """
        name = type(self).__name__
        wanted = {"optimizer", "groups", "state"}
        if not isinstance(state, Mapping) or not wanted <= state.keys():
            raise ValueError(f"{name}: this is no state of an optimizer; it comes from state_dict()")
        if state["optimizer"] != name:
            raise ValueError(f"{name}: the state is one of {state['optimizer']}")
        groups, found = state["groups"], state["state"]
        counts, own = [group.get("count") for group in groups], [len(g["params"]) for g in self.param_groups]
        if counts != own or len(found) != sum(own):
            raise ValueError(f"{name}: the state is of groups of {counts} parameters, these are "
                             f"of {own}")
        params = [p for group in self.param_groups for p in group["params"]]
        if wrong := [*self._unknown(groups), *_misfits(params, found)]:
            raise ValueError(f"{name}: parameters do not fit the state: {'; '.join(wrong)}")
        known = [{k: checks.checked_setting(name, k, v) for k, v in group.items() if k in self._settings}
                 for group in groups]
        for group, new, saved in zip(self.param_groups, known, groups, strict=True):
            schedule = group["lr"] if callable(group["lr"]) else None
            group.update(new if schedule is None else {**new, "lr": schedule})
            if schedule is not None and "schedule" in saved:
                schedule.load_state_dict(saved["schedule"])
        self.state = [{k: _from_host(v, p) for k, v in one.items()}
                      for p, one in zip(params, found, strict=True)]
        self.steps = int(state.get("steps", 0))

    def _unknown(self, groups: list[Group]) -> list[str]:
        """What is wrong with the settings of saved groups."""
        known = self._settings.keys() | {"count", "schedule"}
        return [f"group {i} has unknown settings {sorted(group.keys() - known)}"
                for i, group in enumerate(groups) if group.keys() - known]

    def __repr__(self) -> str:
        settings = ", ".join(f"{k}={v}" for k, v in self.param_groups[0].items() if k != "params")
        return f"{type(self).__name__}({len(self.state)} parameters, {settings})"


def _saved_group(group: Group) -> Group:
    """A group without its parameters, and without what only code can make again."""
    saved = {k: v for k, v in group.items() if k != "params" and not callable(v)}
    if hasattr(group["lr"], "state_dict"):
        saved["schedule"] = group["lr"].state_dict()
    return {**saved, "count": len(group["params"])}


def _to_host(v: Any) -> Any:
    """A copy of a moment in host memory; moments are written to, so a view would change."""
    if isinstance(v, int | float):
        return v
    xp = backend_of(v)
    return xp.to_host(xp.copy(v))


def _from_host(v: Any, p: Tensor) -> Any:
    """A saved moment where the parameter is."""
    return v if isinstance(v, int | float) else backend_of(p.array).from_host(_read(v))


def _read(v: Any) -> Any:
    return v.numpy() if type(v) is Tensor else host.array(v)


def _misfits(params: list[Tensor], found: list[State]) -> list[str]:
    """The parameters of whose shape their saved moments are not."""
    return [f"{i} is {p.shape}, the state has {name} {tuple(v.shape)}"
            for i, (p, one) in enumerate(zip(params, found, strict=True))
            for name, v in one.items() if not isinstance(v, int | float) and tuple(v.shape) != p.shape]


# --- what the rules are written with -----------------------------------------------------------


def moment(xp: Backend, state: State, name: str, like: Array, start: float = 0.0) -> Array:
    """What ``state`` remembers as ``name``, where and in the dtype that ``like`` is; at first ``start``."""
    held = state.get(name)
    if held is None:
        return xp.full_like(like, start) if start else xp.zeros_like(like)
    if OWNERS.get(type(held)) is not xp:
        home = backend_of(held)
        if home is not xp:  # the parameter was moved
            held = xp.from_host(home.to_host(held))
    return held if held.dtype is like.dtype else xp.astype(held, like.dtype)


def running_mean(xp: Backend, state: State, name: str, new: Array, keep: float) -> Array:
    """``keep * mean + (1 - keep) * new``, which ``state`` remembers as ``name``."""
    held = xp.multiply_(moment(xp, state, name, new), keep)
    mean = state[name] = xp.add_(held, new * (1.0 - keep))
    return mean


def decayed(x: Array, g: Array, lr: float, decay: float, *, decoupled: bool = False) -> tuple[Array, Array]:
    """The parameter and its gradient after weight decay, which if ``decoupled`` is no part of the latter."""
    if not decay:
        return x, g
    return (x * (1.0 - lr * decay), g) if decoupled else (x, g + x * decay)
