"""Tutorial 2: linear regression from scratch, define-by-run.

Sections 2.1 and 2.2 of "Dive into Deep Learning", whose PyTorch code reads nearly the same:
vectorised arithmetic, batches, a model, a squared loss and stochastic gradient descent, all by hand.
"""

from collections.abc import Iterator
from time import perf_counter

from common import arguments
from matplotlib.figure import Figure

import dlcore as dl
from dlcore.nn import functional as F

TRUE_W, TRUE_B = (2.0, -3.4), 4.2
Batches = Iterator[tuple[dl.Tensor, dl.Tensor]]


def vectorisation(n: int = 1000) -> tuple[float, float]:
    """Seconds for adding two vectors number by number, and at once."""
    a, b = dl.ones(n), dl.ones(n)
    start = perf_counter()
    one_by_one = [a[i] + b[i] for i in range(n)]
    middle = perf_counter()
    at_once = a + b
    end = perf_counter()
    assert at_once.tolist() == [c.item() for c in one_by_one]
    return middle - start, end - middle


def synthetic(n: int = 1000) -> tuple[dl.Tensor, dl.Tensor]:
    """Features (n, 2), and labels (n,) that are a linear function of them but for some noise."""
    features = dl.random.normal((n, len(TRUE_W)))
    labels = TRUE_W[0] * features[:, 0] + TRUE_W[1] * features[:, 1] + TRUE_B
    return features, labels + dl.random.normal(labels.shape, std=0.01)


def data_iter(batch_size: int, features: dl.Tensor, labels: dl.Tensor) -> Batches:
    """The examples in batches and in random order; the last batch may be short."""
    order = dl.random.permutation(len(features))
    for i in range(0, len(features), batch_size):
        j = order[i:i + batch_size]
        yield features.take(j, 0), labels.take(j, 0)


def linreg(x: dl.Tensor, w: dl.Tensor, b: dl.Tensor) -> dl.Tensor:
    """The model.  ``@`` is the product of matrices (mm), ``*`` would multiply element by element."""
    return x @ w + b


def squared_loss(y_hat: dl.Tensor, y: dl.Tensor) -> dl.Tensor:
    """Half the squared error of each example, in the shape of ``y_hat``."""
    return (y_hat - y.reshape(y_hat.shape)) ** 2 / 2


def sgd(params: list[dl.Tensor], lr: float, batch_size: int) -> None:
    """One step against the gradient, which was summed over a batch."""
    for param in params:
        assert param.grad is not None  # backward() was called before
        param.data = param.data - lr * param.grad.data / batch_size


def train(features: dl.Tensor, labels: dl.Tensor, *, lr: float = 0.03, num_epochs: int = 3,
          batch_size: int = 10, aloud: bool = True) -> tuple[dl.Tensor, dl.Tensor, list[float]]:
    """The weights and the bias that it has learnt, and the mean loss after each epoch."""
    w = dl.random.normal((2, 1), std=0.01)
    b = dl.zeros(1)
    w.requires_grad = b.requires_grad = True
    losses = []
    for epoch in range(num_epochs):
        for x, y in data_iter(batch_size, features, labels):
            loss = squared_loss(linreg(x, w, b), y).sum()  # backward() starts from one number
            loss.backward()
            sgd([w, b], lr, batch_size)
            w.grad = b.grad = None  # or the next batch's gradients would be added to these
        with dl.no_grad():
            losses.append(squared_loss(linreg(features, w, b), labels).mean().item())
        if aloud:
            print("epoch %d, loss %f" % (epoch + 1, losses[-1]))  # noqa: UP031  as the book has it
    return w, b, losses


def mistakes(x: dl.Tensor, y: dl.Tensor) -> None:
    """Two mistakes that the book warns of, and what dlcore says to them."""
    w, b = dl.zeros((2, 1), requires_grad=True), dl.zeros(1, requires_grad=True)
    y_hat = linreg(x, w, b)
    print(f"y_hat - y, without reshaping y, has shape {(y_hat - y).shape}; a loss refuses that:")
    try:
        F.squared_loss(y_hat, y)
    except ValueError as error:
        print(f"  ValueError: {error}")
    try:
        squared_loss(y_hat, y).backward()
    except ValueError as error:
        print(f"  ValueError: {error}")


def main() -> None:
    """Retell the sections."""
    given = arguments(__doc__)

    slow, fast = vectorisation()
    print(f"adding 1000 numbers one by one: {slow:.6f} s, as vectors: {fast:.6f} s")

    features, labels = synthetic()
    figure = Figure(figsize=(3.5, 2.5), layout="constrained")
    figure.add_subplot().scatter(features[:, 1].tolist(), labels.tolist(), 1)
    figure.savefig(given.out / "tutorial_2_data.svg")

    x, y = next(data_iter(10, features, labels))
    print(f"\nthe first batch:\n{x}\n{y}\n")
    mistakes(x, y)

    print()
    w, b, _ = train(features, labels)
    print(f"true b {TRUE_B}, true w {list(TRUE_W)}")
    print(f"learnt b {b.item():.4f}, learnt w {[round(v, 4) for v in w.reshape(-1).tolist()]}")
    print(f"\npicture in {given.out}: tutorial_2_data.svg")


if __name__ == "__main__":
    main()
