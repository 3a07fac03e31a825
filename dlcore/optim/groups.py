"""Groups of parameters and the settings they share, checked when they are given."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from dlcore.optim.schedules import Schedule
from dlcore.tensors import Tensor

Group = dict[str, Any]
"""Parameters and the settings they share: ``{"params": [...], "lr": 0.1, ...}``."""

Parameters = Iterable[Tensor] | Iterable[Group]

_BELOW_ONE = {"momentum", "betas", "alpha", "rho"}


def groups_of(name: str, params: Parameters, settings: Group) -> list[Group]:
    """``params`` as groups with all settings, checked.

    Raises:
        TypeError: something that is no list of tensors or groups.
        ValueError: no parameters, or one that is given twice.
    """
    if type(params) is Tensor:
        raise TypeError(f"{name}: params must be a list of tensors; write [tensor]")
    if not isinstance(params, Iterable):
        hint = "; write model.parameters()" if hasattr(params, "parameters") else ""
        raise TypeError(f"{name}: params must be a list of tensors, got a {type(params).__name__}{hint}")
    given: list[Any] = list(params)
    groups = given if given and isinstance(given[0], dict) else [{"params": given}]
    checked = [group_of(name, group, settings) for group in groups]
    check_distinct(name, checked)
    return checked


def check_distinct(name: str, groups: Iterable[Group]) -> None:
    """Raise unless there are parameters, and each stands in one place."""
    places = [(i, p) for i, group in enumerate(groups) for p in group["params"]]
    if not places:
        raise ValueError(f"{name}: there are no parameters to optimize")
    seen: dict[int, int] = {}
    for i, p in places:
        if id(p) in seen:
            raise ValueError(f"{name}: a parameter is given twice: the one of shape {p.shape} in group "
                             f"{seen[id(p)]} and in group {i}")
        seen[id(p)] = i


def group_of(name: str, given: Group, settings: Group) -> Group:
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
        _check_parameter(name, i, p)
    for key in settings:
        group[key] = checked_setting(name, key, group[key])
    return group


def _check_parameter(name: str, i: int, p: Any) -> None:
    if type(p) is not Tensor:
        raise TypeError(f"{name}: parameter {i} is a {type(p).__name__}, not a tensor")
    if p.dtype.kind not in ("float", "complex"):
        raise TypeError(f"{name}: parameter {i} of shape {p.shape} is {p.dtype}, which has no derivatives; "
                        "use a float dtype")
    if p.node is None:
        if p.role is not None:  # a frozen parameter of a module, which may be thawed
            return
        raise ValueError(f"{name}: parameter {i} of shape {p.shape} requires no gradient; make "
                         "it with requires_grad=True")
    if p.node.primitive is not None:
        raise ValueError(f"{name}: parameter {i} of shape {p.shape} was computed by "
                         f"{p.node.primitive.name}; only leaves can be optimized")


def checked_setting(name: str, key: str, value: Any) -> Any:
    """``value`` as Python numbers: one of NumPy's would lift every float32 to float64."""
    if key == "lr" and callable(value):
        rate_at(name, value, 0)
        return value
    if key == "betas" and (not isinstance(value, tuple | list) or len(value) != 2):
        raise ValueError(f"{name}: betas must be two numbers, got {value}")
    if isinstance(value, bool):
        return value
    if isinstance(value, tuple | list):
        return tuple(_number(name, key, n) for n in value)
    return _number(name, key, value)


def _number(name: str, key: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: {key} must be a number, got {value!r}") from None
    if not 0 <= number < (1.0 if key in _BELOW_ONE else math.inf):
        wanted = "at least 0 and less than 1" if key in _BELOW_ONE else "finite and not negative"
        raise ValueError(f"{name}: {key} must be {wanted}, got {value!r}")
    return number


def rate_at(name: str, schedule: Schedule, step: int) -> float:
    """The learning rate that ``schedule`` gives for ``step``, checked."""
    return _number(name, f"the schedule's lr at step {step}", schedule(step))
