"""An autoencoder squeezes MNIST's digits through two numbers, and draws the map that it makes of them.

Nobody tells it which digit is which: the picture itself is the target.  Still most digits find a country
of their own on the map, and between two countries lie digits that are a little of both.
"""

from common import arguments
from matplotlib.figure import Figure

import dlcore as dl
from dlcore import data, nn, optim, train, viz
from dlcore.data import ArrayDataset, DataLoader


class Autoencoder(nn.Module):
    """784 pixels to two numbers, whose mean is 0 and whose variance 1, and back to pixels."""

    def __init__(self) -> None:
        self.encoder = nn.Sequential(
            nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(),
            nn.Linear(64, 2), nn.BatchNorm1d(2, affine=False))
        self.decoder = nn.Sequential(
            nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 256), nn.ReLU(),
            nn.Linear(256, 784))

    def forward(self, images: dl.Tensor) -> dl.Tensor:
        """Logits of the pixels, of images (n, 784)."""
        return self.decoder(self.encoder(images))


def drawn(decoder: nn.Module, codes: dl.Tensor) -> dl.Tensor:
    """The images (n, 28, 28) for places on the map."""
    with dl.no_grad():
        return nn.functional.sigmoid(decoder(codes)).reshape(-1, 28, 28)


def drawn_map(codes: dl.Tensor, labels: dl.Tensor) -> Figure:
    """The map: a dot for each digit, coloured by what it is."""
    figure = Figure(figsize=(6.5, 5.5), layout="constrained")
    axes = figure.add_subplot()
    xs, ys = codes.T.tolist()
    dots = axes.scatter(xs, ys, s=9, c=labels.tolist(), cmap="tab10", vmin=-0.5, vmax=9.5)
    axes.set(title="unseen digits by their code", xlabel="first number", ylabel="second number")
    figure.colorbar(dots, ticks=range(10))
    return figure


def neighbours(codes: dl.Tensor, labels: dl.Tensor) -> float:
    """The share of digits whose nearest neighbour on the map is the same digit."""
    apart = dl.sum((codes[:, None] - codes[None]) ** 2, axis=2) + 1e9 * dl.eye(len(codes))
    return dl.mean(labels[dl.argmin(apart, axis=1)] == labels).item()


def main() -> None:
    """Train, look at reconstructions, at the map, and at what lies between."""
    given = arguments(__doc__, epochs=(25, "passes over the training data"))
    digits = data.mnist(flatten=True)
    seen, unseen = data.split(digits, (4000, 1000), stratify=digits.targets)
    (images, _), (test, labels) = seen.tensors(), unseen.tensors()

    loader = DataLoader(ArrayDataset(images), batch_size=64, shuffle=True, seed=given.seed)
    model = Autoencoder()
    rate = optim.schedules.one_cycle(5e-3, given.epochs * len(loader))
    trainer = train.Trainer(model, nn.BCEWithLogitsLoss(), optim.Adam(model.parameters(), lr=rate))
    print(trainer.fit(loader, given.epochs, validation=DataLoader(ArrayDataset(test), 500)))

    model.eval()
    with dl.no_grad():
        codes = model.encoder(test)
    error = dl.mean((drawn(model.decoder, codes).reshape(-1, 784) - test) ** 2).item()
    spread = dl.mean((test - test.mean(axis=0)) ** 2).item()
    print(f"two numbers explain {1 - error / spread:.2f} of the variance of 784 pixels")
    print(f"{neighbours(codes, labels):.2f} of the unseen digits have one of their own kind next to them")

    chosen = [i for digit in range(10) for i in dl.nonzero(labels == digit)[0][:1].tolist()]
    pairs = dl.concat([test[chosen].reshape(-1, 28, 28), drawn(model.decoder, codes[chosen])])
    viz.images(pairs, given.out / "autoencoder_digits.png",
               title="unseen digits, and what two numbers say of each")
    drawn_map(codes, labels).savefig(given.out / "autoencoder_map.png", dpi=80)
    side = dl.linspace(-2.0, 2.0, 11)
    places = dl.stack([a.reshape(-1) for a in dl.meshgrid(side, -side)], axis=1)
    viz.images(drawn(model.decoder, places), given.out / "autoencoder_between.png", columns=11,
               title="what lies where on the map, from -2 to 2 both ways")
    print(f"\npictures in {given.out}: autoencoder_digits.png, autoencoder_map.png, autoencoder_between.png")


if __name__ == "__main__":
    main()
