"""Handwritten digits, read by two linear layers: the same script on a CPU and on a GPU.

1797 pictures of 8 x 8 pixels come with scikit-learn; 1437 are for training, 360 for the test.
"""

from common import arguments
from matplotlib.figure import Figure

import dlcore as dl
from dlcore import data, nn, optim, viz
from dlcore.data import ArrayDataset, DataLoader


def split(test: int = 360, seed: int = 0) -> tuple[list[dl.Tensor], list[dl.Tensor]]:
    """Pictures and labels for training, and for the test: always the same ones."""
    x, y = data.digits(flatten=True).tensors()
    order = dl.random.Generator(seed).permutation(len(x))
    return [a[order[test:]] for a in (x, y)], [a[order[:test]] for a in (x, y)]


def accuracy(model: nn.Module, x: dl.Tensor, y: dl.Tensor) -> float:
    """The share of pictures that are read right."""
    return (read_by(model, x) == y).mean().item()


def read_by(model: nn.Module, x: dl.Tensor) -> dl.Tensor:
    """The digits that the model sees in the pictures."""
    model.eval()  # dropout is for training only
    with dl.no_grad():
        return dl.argmax(model(x), axis=1)


def pictures(x: dl.Tensor, y: dl.Tensor, read: dl.Tensor) -> Figure:
    """Some digits with what was read, mistakes first and in red."""
    wrong = (read != y).numpy()
    chosen = sorted(range(len(y)), key=lambda i: not wrong[i])[:24]
    figure = Figure(figsize=(8, 3.9), layout="constrained")
    figure.suptitle(f"what was read; in red what is wrong, {wrong.sum()} of {len(y)}")
    for axes, i in zip(figure.subplots(3, 8).flat, chosen, strict=True):
        axes.imshow(x[i].reshape(8, 8).numpy(), cmap="gray_r")
        axes.set_title(f"{read[i].item()}", color="#c0392b" if wrong[i] else "#2c3e50")
        axes.set_axis_off()
    return figure


def main() -> None:
    """Train, test and show."""
    given = arguments(__doc__, epochs=(30, "passes over the training data"))
    (x, y), (x_test, y_test) = split()

    model = nn.Sequential(nn.Linear(64, 512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, 10))
    optimizer = optim.Adam(model.parameters(), lr=5e-3)
    loss_of = nn.CrossEntropyLoss()
    print(model)

    losses: list[dl.Tensor] = []
    loader = DataLoader(ArrayDataset(x, y), batch_size=128, shuffle=True, seed=given.seed)
    for epoch in range(1, given.epochs + 1):
        model.train()
        for images, labels in loader:
            optimizer.zero_grad()
            loss = loss_of(model(images), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())  # to read it now would wait for the GPU
        if epoch % 5 == 0 or epoch == given.epochs:
            recent = dl.stack(losses[-len(loader):]).mean().item()
            right = accuracy(model, x_test, y_test)
            print(f"epoch {epoch:3}: loss {recent:.4f}, test accuracy {right:.4f}")

    viz.loss_curve(dl.stack(losses), given.out / "digits_mlp_losses.png", title="digits", log=True)
    pictures(x_test, y_test, read_by(model, x_test)).savefig(given.out / "digits_mlp_predictions.png")
    print(f"\npictures in {given.out}: digits_mlp_losses.png, digits_mlp_predictions.png")


if __name__ == "__main__":
    main()
