"""An LSTM reads MNIST's digits row by row, and says after every row what it takes the digit for.

28 rows of 28 pixels are a sequence of 28 steps.  The loss asks for the digit after every step, so one can
watch the network change its mind while the pen is still on the paper.
"""

from typing import Any

from common import arguments
from matplotlib.figure import Figure

import dlcore as dl
from dlcore import data, nn, optim, train
from dlcore.nn import functional as F
from dlcore.viz import MARKED, PALETTE


class Reader(nn.Module):
    """Scores of the ten digits after every row."""

    def __init__(self, hidden: int = 64) -> None:
        self.lstm = nn.LSTM(28, hidden, batch_first=True)
        self.scores = nn.Linear(hidden, 10)

    def forward(self, images: dl.Tensor) -> dl.Tensor:
        """Of images (n, 1, 28, 28) the scores (n, 10, rows), classes second as in PyTorch."""
        states, _ = self.lstm(images[:, 0])
        return dl.swapaxes(self.scores(states), 1, 2)


def after_every_row(scores: dl.Tensor, digits: dl.Tensor) -> dl.Tensor:
    """The mean loss over all rows: the same digit is to be found after each."""
    n, _, rows = scores.shape
    return F.cross_entropy(scores, dl.broadcast_to(digits[:, None], (n, rows)))


def accuracy(scores: dl.Tensor, digits: dl.Tensor) -> dl.Tensor:
    """After the last row."""
    return train.accuracy(scores[:, :, -1], digits)


def picture(images: dl.Tensor, digits: list[int], scores: dl.Tensor, right: list[float]) -> Figure:
    """Beside every row of six digits, what the network believed after it; and how often it was right."""
    chosen = [digits.index(digit) for digit in (2, 3, 4, 5, 8, 9)]
    beliefs = F.softmax(scores, axis=1)
    figure = Figure(figsize=(11, 6), layout="constrained")
    parts: Any = figure.subfigures(1, 2, width_ratios=[3, 2])
    left, curve = parts
    left.suptitle("what it believes after each row, darker if surer")
    for pair, i in enumerate(chosen):
        drawn, believed = left.add_subplot(3, 4, 2 * pair + 1), left.add_subplot(3, 4, 2 * pair + 2)
        drawn.imshow(images[i, 0].tolist(), cmap="gray_r")
        drawn.set_axis_off()
        believed.imshow(beliefs[i].T.tolist(), cmap="Greens", vmin=0, vmax=1)
        believed.set(xticks=range(10), yticks=[], aspect="auto")
        believed.get_xticklabels()[digits[i]].set(color=MARKED, weight="bold")
    axes = curve.add_subplot()
    axes.plot(range(1, 29), right, marker=".", color=PALETTE[2])
    axes.set(title="share of 1000 unseen digits that are read right", xlabel="rows seen", ylim=(0, 1.02))
    axes.grid(alpha=0.25)
    return figure


def main() -> None:
    """Train, test and show."""
    given = arguments(__doc__, epochs=(8, "passes over the training data"))
    digits = data.mnist()
    seen, unseen = data.split(digits, (4000, 1000), stratify=digits.targets)

    loader = data.DataLoader(seen, batch_size=32, shuffle=True, seed=given.seed)
    test = data.DataLoader(unseen, batch_size=250)
    model = Reader()
    print(model)
    rate = optim.schedules.one_cycle(0.01, given.epochs * len(loader))
    trainer = train.Trainer(model, after_every_row, optim.Adam(model.parameters(), lr=rate),
                            {"accuracy": accuracy})
    print(trainer.fit(loader, given.epochs, validation=test))

    images, truth = unseen.tensors()
    scores = trainer.predict(test)
    right = dl.mean(dl.argmax(scores, axis=1) == truth[:, None], axis=0).tolist()
    for rows in (7, 14, 21, 28):
        print(f"after {rows:2} rows: {right[rows - 1]:.3f} of the unseen digits are read right")

    picture(images, truth.tolist(), scores, right).savefig(given.out / "sequence_lstm.png", dpi=80)
    print(f"\npicture in {given.out}: sequence_lstm.png")


if __name__ == "__main__":
    main()
