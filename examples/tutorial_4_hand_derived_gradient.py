"""Tutorial 4: the gradient derived by hand, beside the one that dlcore derives.

The first lesson of the series "MindSpore step by step" trains a linear network with NumPy and two
derivatives from pencil and paper.  Here both are followed at once, and they are the same numbers.
"""

from typing import NamedTuple

from common import arguments
from matplotlib.figure import Figure

import dlcore as dl
from dlcore.data import ArrayDataset, DataLoader
from dlcore.viz import PALETTE

TRUE_W, TRUE_B = (2.0, -3.4), 4.2  # the page has lost its own; these are those of tutorial 2


class Run(NamedTuple):
    """What came of a training run."""

    w: dl.Tensor
    b: dl.Tensor
    losses: list[float]  # the mean over all data, after each epoch
    difference: float  # the largest between the two gradients, in units of their size


def synthetic(n: int, sd: float) -> tuple[dl.Tensor, dl.Tensor]:
    """X (n, 2) and Y = X W + B + N (n,), the noise N having the standard deviation ``sd``."""
    x = dl.random.normal((n, len(TRUE_W)))
    return x, x @ dl.tensor(TRUE_W) + TRUE_B + dl.random.normal((n,), std=sd)


def loss_of(x: dl.Tensor, y: dl.Tensor, w: dl.Tensor, b: dl.Tensor) -> dl.Tensor:
    """Half the squared error of each sample: halved, because then its derivative is the error."""
    return (x @ w + b - y) ** 2 / 2


def by_hand(x: dl.Tensor, y: dl.Tensor, w: dl.Tensor, b: dl.Tensor) -> tuple[dl.Tensor, dl.Tensor]:
    """The sum over a batch of  ∂L/∂w = (ŷ - y) x  and of  ∂L/∂b = ŷ - y."""
    error = x @ w + b - y
    return x.T @ error, error.sum()


def by_machine(x: dl.Tensor, y: dl.Tensor, w: dl.Tensor, b: dl.Tensor) -> tuple[dl.Tensor, dl.Tensor]:
    """The same, derived by dlcore."""
    gradients: tuple[dl.Tensor, dl.Tensor] = dl.grad(lambda w, b: loss_of(x, y, w, b).sum(), (0, 1))(w, b)
    return gradients


def train(x: dl.Tensor, y: dl.Tensor, seed: int, sd_of_w: float, *, lr: float = 0.03, epochs: int = 3,
          batch_size: int = 10) -> Run:
    """Descend along the gradient by hand, and compare it with the other in every step."""
    w, b = dl.random.normal((2,), std=sd_of_w), dl.tensor(0.0)
    loader = DataLoader(ArrayDataset(x, y), batch_size, shuffle=True, seed=seed)
    losses, largest = [], 0.0
    for _ in range(epochs):
        for xs, ys in loader:
            hand, machine = by_hand(xs, ys, w, b), by_machine(xs, ys, w, b)
            for g, h in zip(hand, machine, strict=True):
                largest = max(largest, (dl.abs(g - h).max() / dl.abs(g).max()).item())
            w, b = w - lr * hand[0] / batch_size, b - lr * hand[1] / batch_size
        losses.append(loss_of(x, y, w, b).mean().item())
    return Run(w, b, losses, largest)


def descent(x: float, lr: float = 0.3, steps: int = 10) -> list[float]:
    """The places on the way down y = x²/2, whose derivative is x: from either side towards 0."""
    places = [x]
    for _ in range(steps):
        slope = dl.grad(lambda x: x * x / 2)(dl.tensor(places[-1])).item()
        places.append(places[-1] - lr * slope)
    return places


def main() -> None:
    """Retell the lesson."""
    given = arguments(__doc__)

    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.add_subplot()
    places = [i / 20 - 3 for i in range(121)]
    axes.plot(places, [x * x / 2 for x in places], color="#5f6d7c")
    axes.set(title="down the slope, from either side", xlabel="x", ylabel="y = x²/2")
    for start, color in ((2.5, PALETTE[0]), (-2.8, PALETTE[1])):
        way = descent(start)
        print(f"down y = x²/2 from {start:4}:", *(f"{x:.2f}" for x in way))
        axes.plot(way, [x * x / 2 for x in way], color=color, marker="o", markersize=4, label=f"from {start}")
    axes.legend()
    figure.savefig(given.out / "tutorial_4_descent.png")

    for sd, floor in ((0.1, 0.005), (0.01, 0.00005)):
        x, y = synthetic(1000, sd)
        run = train(x, y, given.seed, sd)
        print(f"\nnoise of standard deviation {sd}, so no loss can be much below sd²/2 = {floor}")
        for epoch, loss in enumerate(run.losses, 1):
            print(f"epoch {epoch}, loss {loss:.6f}")
        print(f"true   w {list(TRUE_W)}, b {TRUE_B}")
        print(f"learnt w {[round(v, 4) for v in run.w.tolist()]}, b {run.b.item():.4f}")
        print(f"the two gradients never differed by more than {run.difference:.1e} of their size")
    print(f"\npicture in {given.out}: tutorial_4_descent.png")


if __name__ == "__main__":
    main()
