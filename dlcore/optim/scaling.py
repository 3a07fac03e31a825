"""Losses scaled up, so that gradients that pass through float16 do not vanish below its least number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from backends import backend_of
from backends.dtypes import HALF_DTYPES
from dlcore.core import Array
from dlcore.optim.base import Optimizer
from dlcore.optim.clipping import gradients, replace_gradient
from dlcore.tensors import Tensor

__all__ = ["GradScaler"]


class GradScaler:
    """Scales a loss, takes the scale out of the gradients, and leaves out steps whose gradients overflowed.

    After an overflow the scale falls, after a row of steps without one it grows.  Keep parameters in float32
    and compute with ``p.astype("float16")``: their gradients come back in float32.  bfloat16 has the range of
    float32 and needs no scaler.

    Args:
        init_scale: the first scale.
        growth_factor: what the scale is multiplied by after ``growth_interval`` good steps, more than 1.
        backoff_factor: what it is multiplied by after an overflow, between 0 and 1.
        growth_interval: how many good steps in a row there must be.
        enabled: False makes every method do nothing but the plain step.

    Source: Micikevicius et al. (2018), "Mixed precision training", section 3.2.

        >>> import dlcore as dl
        >>> w = dl.tensor(2.0, requires_grad=True)
        >>> optimizer, scaler = dl.optim.SGD([w], lr=0.25), GradScaler(init_scale=1024.0)
        >>> scaler.scale(w * w).backward()
        >>> scaler.step(optimizer)
        True
        >>> scaler.update()
        >>> w
        tensor(1., float32, requires_grad)
    """

    def __init__(self, init_scale: float = 2.0**16, growth_factor: float = 2.0, backoff_factor: float = 0.5,
                 growth_interval: int = 2000, *, enabled: bool = True) -> None:
        if not init_scale > 0.0:
            raise ValueError(f"GradScaler: init_scale must be positive, got {init_scale}")
        if not growth_factor > 1.0:
            raise ValueError(f"GradScaler: growth_factor must be more than 1, got {growth_factor}")
        if not 0.0 < backoff_factor < 1.0:
            raise ValueError(f"GradScaler: backoff_factor must lie between 0 and 1, got {backoff_factor}")
        if growth_interval < 1:
            raise ValueError(f"GradScaler: growth_interval must be at least 1, got {growth_interval}")
        self.factor, self.enabled = float(init_scale), enabled
        self.growth_factor, self.backoff_factor = float(growth_factor), float(backoff_factor)
        self.growth_interval, self.good_steps = growth_interval, 0
        self._unscaled: dict[int, tuple[Optimizer, list[Array]]] = {}  # what to ask whether all is finite
        self._stepped: set[int] = set()
        self._overflowed: bool | None = None  # None: there was no step since the last update

    def scale(self, loss: Tensor) -> Tensor:
        """``loss`` times the scale, in float32 if it is of half precision; call ``backward()`` on that."""
        if not self.enabled:
            return loss
        wide = loss.astype("float32") if loss.dtype in HALF_DTYPES else loss
        return wide * self.factor

    def unscale(self, optimizer: Optimizer) -> None:
        """Take the scale out of the gradients of ``optimizer``, as is needed before they are clipped.

        :meth:`step` does it if it was not done.  Nothing is read back from the device.

        Raises:
            ValueError: it was done already; there is no gradient; or a parameter is of half precision,
                where a gradient without the scale would vanish.
        """
        if not self.enabled:
            return
        if id(optimizer) in self._unscaled:
            raise ValueError("GradScaler.unscale: the gradients of this optimizer are without scale already; "
                             "call update() after every step")
        params = [p for group in optimizer.param_groups for p in group["params"]]
        found = gradients(params)
        if not found:
            raise ValueError("GradScaler.unscale: no parameter has a gradient; call scale(loss).backward() "
                             "first")
        for p, _ in found:
            if p.dtype in HALF_DTYPES:
                raise ValueError(f"GradScaler.unscale: a parameter of shape {p.shape} is {p.dtype}, in which "
                                 "its gradient without the scale would vanish; keep parameters in float32 "
                                 f"and compute with p.astype({str(p.dtype)!r})")
        self._unscaled[id(optimizer)] = optimizer, [_unscaled(p, g, 1.0 / self.factor) for p, g in found]

    def step(self, optimizer: Optimizer) -> bool:
        """``optimizer.step()``, unless a gradient is infinite or nan; whether it was made.

        This waits for the device: whether a step is made is decided on the host.

        Raises:
            ValueError: the optimizer had its step since the last :meth:`update`; or as :meth:`unscale` says.
        """
        if not self.enabled:
            optimizer.step()
            return True
        if id(optimizer) in self._stepped:
            raise ValueError("GradScaler.step: this optimizer had its step; call update() after every step")
        if id(optimizer) not in self._unscaled:
            self.unscale(optimizer)
        self._stepped.add(id(optimizer))
        fine = _all_true(self._unscaled[id(optimizer)][1])
        self._overflowed = not fine or bool(self._overflowed)
        if fine:
            optimizer.step()
        return fine

    def update(self) -> None:
        """Let the scale fall or grow; call it once after the steps of all optimizers.

        Raises:
            ValueError: there was no step since the last time.
        """
        if not self.enabled:
            return
        if self._overflowed is None:
            raise ValueError("GradScaler.update: there was no step since the last update")
        if self._overflowed:
            self.factor, self.good_steps = self.factor * self.backoff_factor, 0
        else:
            self.good_steps += 1
            if self.good_steps == self.growth_interval:
                self.factor, self.good_steps = self.factor * self.growth_factor, 0
        self._unscaled, self._stepped, self._overflowed = {}, set(), None

    def state_dict(self) -> dict[str, float]:
        """The scale, and how many good steps there were in a row, as numbers."""
        return {"scale": self.factor, "good_steps": self.good_steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken."""
        if missing := self.state_dict().keys() - state.keys():
            raise ValueError(f"GradScaler: the state lacks {sorted(missing)}; it comes from state_dict()")
        self.factor, self.good_steps = float(state["scale"]), int(state["good_steps"])


def _unscaled(p: Tensor, g: Array, factor: float) -> Array:
    """Whether the gradient ``g`` of ``p`` is finite, a 0-d array; without its scale it is the new one."""
    xp = backend_of(g)
    with xp.scope(), xp.quiet():
        replace_gradient(p, g * factor)
        return xp.all(xp.isfinite(g))


def _all_true(flags: Iterable[Array]) -> bool:
    """Whether all of some 0-d arrays are true; read once for each backend."""
    by_backend: dict[Any, list[Array]] = {}
    for flag in flags:
        by_backend.setdefault(backend_of(flag), []).append(flag)
    return all(xp.scalar(xp.all(xp.stack([xp.asarray(f) for f in each]))) for xp, each in by_backend.items())
