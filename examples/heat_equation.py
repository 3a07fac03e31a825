"""A network that has seen no data, only the heat equation, finds how a warm rod cools down.

The rod lies from x = 0 to 1, is held at 0 at both ends, and starts as warm as ``beginning`` says.  The
network must obey  ∂u/∂t = κ ∂²u/∂x²  at some hundred places and times.  So derivatives in its inputs are
part of the loss, whose own gradient is then of third order; all of them come from ``dl.grad``.
"""

import math
from typing import Any

from common import arguments
from matplotlib.figure import Figure

import dlcore as dl
from dlcore import nn, optim
from dlcore.viz import PALETTE

KAPPA = 0.05  # how fast warmth spreads


def beginning(x: dl.Tensor) -> dl.Tensor:
    """The warmth at t = 0: a wide wave, and a narrow one that will vanish first."""
    return dl.sin(math.pi * x) + 0.5 * dl.sin(3 * math.pi * x)


def exact(x: dl.Tensor, t: dl.Tensor) -> dl.Tensor:
    """The solution from pencil and paper: each wave fades at its own rate."""
    def fading(k: int) -> dl.Tensor:
        return dl.exp(-KAPPA * (k * math.pi) ** 2 * t) * dl.sin(k * math.pi * x)

    return fading(1) + 0.5 * fading(3)


class Rod(nn.Module):
    """The warmth u(x, t); whatever the weights, it begins and ends where it must."""

    def __init__(self, width: int = 20) -> None:
        self.inner = nn.Sequential(nn.Linear(2, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(),
                                   nn.Linear(width, 1))

    def forward(self, x: dl.Tensor, t: dl.Tensor) -> dl.Tensor:
        """Of places and times (n,) the warmth (n,)."""
        change = self.inner(dl.stack([2 * x - 1, 2 * t - 1], axis=1))[:, 0]
        return beginning(x) + t * x * (1 - x) * change


def residual(rod: Rod, x: dl.Tensor, t: dl.Tensor) -> dl.Tensor:
    """How much is wrong with the equation at each point: ∂u/∂t - κ ∂²u/∂x², (n,).

    The warmth at a point depends on no other point, so the gradient of the sum has the slope at each.
    """
    def slope(x: dl.Tensor, t: dl.Tensor) -> Any:
        return dl.grad(lambda x: dl.sum(rod(x, t)))(x)

    change = dl.grad(lambda t: dl.sum(rod(x, t)))(t)
    bend = dl.grad(lambda x: dl.sum(slope(x, t)))(x)
    return change - KAPPA * bend


def picture(rod: Rod, error: dl.Tensor) -> Figure:
    """The rod at five times, learnt and exact, and the error at all places and times."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    x = dl.linspace(0.0, 1.0, 101)
    for i, color in enumerate(PALETTE[:5]):
        t = dl.full_like(x, i / 4)
        left.plot(x.tolist(), exact(x, t).tolist(), color=color, linewidth=1.2, label=f"t = {i / 4}")
        left.plot(x[::5].tolist(), rod(x, t)[::5].tolist(), ".", color=color)
    left.set(title="how the rod cools: exact as lines, learnt as dots", xlabel="x", ylabel="warmth u")
    left.legend()
    most = dl.max(dl.abs(error)).item()
    levels = [most * i / 8 for i in range(-8, 9)]
    shown = right.contourf(error.tolist(), levels, extent=(0, 1, 0, 1), cmap="RdBu_r")
    right.set(title="learnt minus exact", xlabel="x", ylabel="t")
    figure.colorbar(shown, ax=right, format="%.4f")
    return figure


def main() -> None:
    """Solve, compare and draw."""
    given = arguments(__doc__, iterations=(500, "of the optimizer, L-BFGS-B"))
    dl.set_default_dtype("float64")
    rod = Rod()
    x, t = dl.random.uniform((400,)), dl.random.uniform((400,))

    def loss(rod: Rod) -> dl.Tensor:
        return dl.mean(residual(rod, x, t) ** 2)

    print(f"mean square of what is wrong with the equation: {loss(rod).item():.1e} before,", end=" ")
    found = optim.minimize(loss, rod, options={"maxiter": given.iterations})
    print(f"{found.fun:.1e} after {found.nit} iterations")

    side = dl.linspace(0.0, 1.0, 51)
    xs, ts = (a.reshape(-1) for a in dl.meshgrid(side, side))
    with dl.no_grad():
        error = rod(xs, ts) - exact(xs, ts)
    print(f"largest error: {dl.max(dl.abs(error)).item():.4f}, where the rod is up to 1.08 warm")

    picture(rod, error.reshape(51, 51)).savefig(given.out / "heat_equation.png", dpi=90)
    print(f"\npicture in {given.out}: heat_equation.png")


if __name__ == "__main__":
    main()
