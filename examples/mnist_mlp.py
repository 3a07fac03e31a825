"""A multilayer perceptron reads MNIST's digits: the plainest network, and all of ``dl.train`` it needs.

Every pixel goes to every hidden unit, so the weights of a unit are a picture of what it looks for.  4000
digits teach and 1000 others test, with equally many of each class.
"""

from common import arguments

import dlcore as dl
from dlcore import data, nn, optim, train, viz


def main() -> None:
    """Train, test and show."""
    given = arguments(__doc__, epochs=(15, "passes over the training data"))
    digits = data.mnist(flatten=True)
    seen, unseen = data.split(digits, (4000, 1000), stratify=digits.targets)

    loader = data.DataLoader(seen, batch_size=64, shuffle=True, seed=given.seed)
    test = data.DataLoader(unseen, batch_size=500)
    model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Dropout(0.5), nn.Linear(256, 10))
    rate = optim.schedules.one_cycle(3e-3, given.epochs * len(loader))
    optimizer = optim.AdamW(model.parameters(), lr=rate, weight_decay=0.1)
    trainer = train.Trainer(model, nn.CrossEntropyLoss(), optimizer, {"accuracy": train.accuracy},
                            [train.ProgressPlot(given.out / "mnist_mlp_losses.png")])
    print(model)
    print(trainer.fit(loader, given.epochs, validation=test))

    images, truth = unseen.tensors()
    read = dl.argmax(trainer.predict(test), axis=1)
    print("\nof each digit, the share that is read right:")
    for digit in range(10):
        print(f"  {digit}: {dl.mean(read[truth == digit] == digit).item():.2f}")
    print(f"test accuracy {trainer.history['val_accuracy'][-1]:.4f}")

    weights = model[0].weight[:40].reshape(40, 28, 28)
    most = dl.max(dl.abs(weights)).item()
    viz.images(weights, given.out / "mnist_mlp_weights.png", cmap="RdBu_r", limits=(-most, most),
               title="what 40 of the 256 hidden units look for: red for ink, blue for none")
    wrong = dl.nonzero(read != truth)[0][:20].tolist()
    viz.images(images[wrong].reshape(-1, 28, 28), given.out / "mnist_mlp_misread.png",
               titles=[f"{truth[i].item()} as {read[i].item()}" for i in wrong], title="misread")
    print(f"\npictures in {given.out}: mnist_mlp_losses.png, mnist_mlp_weights.png, mnist_mlp_misread.png")


if __name__ == "__main__":
    main()
