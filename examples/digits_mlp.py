"""Handwritten digits, read by two linear layers: the same script on a CPU and on a GPU.

1797 pictures of 8 x 8 pixels come with scikit-learn; 1437 are for training, 360 for the test.
"""

from common import arguments

import dlcore as dl
from dlcore import data, nn, optim, viz


def accuracy(model: nn.Module, x: dl.Tensor, y: dl.Tensor) -> float:
    """The share of pictures that are read right."""
    return (read_by(model, x) == y).mean().item()


def read_by(model: nn.Module, x: dl.Tensor) -> dl.Tensor:
    """The digits that the model sees in the pictures."""
    model.eval()  # dropout is for training only
    with dl.no_grad():
        return dl.argmax(model(x), axis=1)


def main() -> None:
    """Train, test and show."""
    given = arguments(__doc__, epochs=(30, "passes over the training data"))
    digits = data.digits(flatten=True)
    seen, unseen = data.split(digits, (1437, 360), stratify=digits.targets)
    x_test, y_test = unseen.tensors()

    model = nn.Sequential(nn.Linear(64, 512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, 10))
    optimizer = optim.Adam(model.parameters(), lr=5e-3)
    loss_of = nn.CrossEntropyLoss()
    print(model)

    losses: list[dl.Tensor] = []
    loader = data.DataLoader(seen, batch_size=128, shuffle=True, seed=given.seed)
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
    read = read_by(model, x_test)
    wrong = (read != y_test).tolist()
    first = sorted(range(len(wrong)), key=lambda i: not wrong[i])[:30]
    viz.images(x_test[first].reshape(-1, 8, 8), given.out / "digits_mlp_predictions.png",
               titles=read[first].tolist(), marked=[wrong[i] for i in first],
               title=f"what was read; in red what is wrong, {sum(wrong)} of {len(wrong)}")
    print(f"\npictures in {given.out}: digits_mlp_losses.png, digits_mlp_predictions.png")


if __name__ == "__main__":
    main()
