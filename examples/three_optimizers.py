"""Linear regression by three optimizers, whose ways are drawn on the contours of the loss.

The features lie to one side of zero, so slope and intercept can make up for each other: the loss is a
narrow valley.  Plain gradient descent creeps along it, momentum swings through, and Adam walks with
steps of nearly equal length in both directions.
"""

from collections.abc import Callable
from typing import Any

from common import arguments
from matplotlib.figure import Figure

import dlcore as dl
from dlcore import optim
from dlcore.viz import PALETTE

TRUE = (2.0, -1.0)  # slope and intercept
START = (-0.5, 2.5)
Way = list[tuple[float, float]]

OPTIMIZERS: dict[str, Callable[[list[dl.Tensor]], optim.Optimizer]] = {
    "SGD": lambda params: optim.SGD(params, lr=0.1),
    "SGD with momentum": lambda params: optim.SGD(params, lr=0.1, momentum=0.8),
    "Adam, cosine schedule": lambda params: optim.Adam(params, lr=optim.schedules.cosine(0.3, 60)),
}


def synthetic(n: int = 100) -> tuple[dl.Tensor, dl.Tensor]:
    """Features between 0 and 3, and labels that are a linear function of them but for some noise."""
    x = dl.random.uniform((n,), 0.0, 3.0)
    return x, TRUE[0] * x + TRUE[1] + dl.random.normal((n,), std=0.3)


def mean_squared_error(w: dl.Tensor, b: dl.Tensor, x: dl.Tensor, y: dl.Tensor) -> dl.Tensor:
    """The loss; of ``w`` and ``b`` with further axes in front, one for each of their values."""
    return dl.mean((w[..., None] * x + b[..., None] - y) ** 2, axis=-1)


def learn(make: Callable[[list[dl.Tensor]], optim.Optimizer], x: dl.Tensor, y: dl.Tensor,
          steps: int) -> tuple[Way, float]:
    """Where an optimizer passed through, and the loss at its end."""
    w, b = (dl.tensor(value, requires_grad=True) for value in START)
    optimizer = make([w, b])
    way = [(w.item(), b.item())]
    for _ in range(steps):
        optimizer.zero_grad()
        mean_squared_error(w, b, x, y).backward()
        optimizer.step()
        way.append((w.item(), b.item()))
    with dl.no_grad():
        return way, mean_squared_error(w, b, x, y).item()


def picture(ways: dict[str, Way], x: dl.Tensor, y: dl.Tensor) -> Any:
    """The contours of the loss, and the ways on them."""
    n = 120
    ws, bs = dl.linspace(-1.1, 3.3, n), dl.linspace(-2.6, 3.6, n)
    loss = mean_squared_error(ws[None, :], bs[:, None], x, y)
    least = float(dl.min(loss))
    figure = Figure(figsize=(7.5, 6.0), layout="constrained")
    axes = figure.add_subplot()
    levels = [least * 1.05 + 0.02 * 2.2**i for i in range(9)]
    axes.contourf(ws.tolist(), bs.tolist(), loss.tolist(), [0.0, *levels], cmap="Blues_r", alpha=0.3)
    axes.contour(ws.tolist(), bs.tolist(), loss.tolist(), levels, colors="#9fb0c2", linewidths=0.7)
    for (name, way), color in zip(ways.items(), PALETTE, strict=False):
        axes.plot(*zip(*way, strict=True), color=color, linewidth=1.5, marker="o", markersize=3.0, label=name)
    axes.plot(*START, "o", color="#222222", markersize=7.0)
    axes.annotate("start", START, (-8, -18), textcoords="offset points")
    axes.plot(*TRUE, "*", color="#222222", markersize=13.0, label="true values")
    axes.set(xlabel="slope $w$", ylabel="intercept $b$", title="Three optimizers on one loss")
    axes.legend(loc="lower left")
    return figure


def main() -> None:
    """Let each optimizer learn, and compare."""
    given = arguments(__doc__, steps=(60, "steps of each optimizer"))
    x, y = synthetic()

    ways = {}
    print(f"true: w {TRUE[0]:.3f}, b {TRUE[1]:.3f}")
    for name, make in OPTIMIZERS.items():
        ways[name], loss = learn(make, x, y, given.steps)
        w, b = ways[name][-1]
        print(f"{name}: w {w:.3f}, b {b:.3f}, loss {loss:.4f} after {given.steps} steps")

    line = {"w": dl.tensor(START[0]), "b": dl.tensor(START[1])}
    found = optim.minimize(lambda p: mean_squared_error(p["w"], p["b"], x, y), line)
    print(f"L-BFGS-B: w {found.x['w'].item():.3f}, b {found.x['b'].item():.3f}, loss {found.fun:.4f} "
          f"after {found.nit} steps")

    picture(ways, x, y).savefig(given.out / "three_optimizers.png", dpi=110)
    print(f"\npicture in {given.out}: three_optimizers.png")


if __name__ == "__main__":
    main()
