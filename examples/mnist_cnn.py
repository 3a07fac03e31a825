"""A small convolutional network reads MNIST's digits: 18 thousand weights, 97 in 100 from 4000 examples.

Every time that a digit is shown it is shifted by up to two pixels, up or down and to a side, which makes 25
digits out of one.  On two cores it learns in half a minute; a convolution is ``unfold`` and one product.
"""

from common import arguments

import dlcore as dl
from dlcore import data, nn, optim, train, viz


def network() -> nn.Sequential:
    """Two convolutions, each followed by the greatest of four neighbours; then one layer of scores."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 5), nn.ReLU(), nn.MaxPool2d(2),    # (n, 16, 12, 12)
        nn.Conv2d(16, 32, 5), nn.ReLU(), nn.MaxPool2d(2),   # (n, 32, 4, 4)
        nn.Flatten(), nn.Dropout(0.25), nn.Linear(512, 10))


def main() -> None:
    """Train, test and show."""
    given = arguments(__doc__, epochs=(12, "passes over the training data"))
    digits = data.mnist()
    seen, unseen = data.split(digits, (4000, 1000), stratify=digits.targets)
    shift = data.transforms.RandomCrop(28, padding=2)
    shifted = seen.map(lambda image, digit: (shift(image), digit))

    loader = data.DataLoader(shifted, batch_size=32, shuffle=True, seed=given.seed)
    test = data.DataLoader(unseen, batch_size=250)
    model = network()
    print(nn.summary(model, (1, 1, 28, 28)))
    rate = optim.schedules.one_cycle(5e-3, given.epochs * len(loader))
    trainer = train.Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=rate),
                            {"accuracy": train.accuracy})
    print(trainer.fit(loader, given.epochs, validation=test))
    print(f"test accuracy {trainer.history['val_accuracy'][-1]:.4f}")

    images, truth = unseen.tensors()
    read = dl.argmax(trainer.predict(test), axis=1)
    wrong = dl.nonzero(read != truth)[0][:30].tolist()
    viz.images(images[wrong], given.out / "mnist_cnn_misread.png", title="misread",
               titles=[f"{truth[i].item()} as {read[i].item()}" for i in wrong])
    with dl.no_grad():
        maps = nn.functional.relu(model[0](images[:1]))
    viz.images(maps[0], given.out / "mnist_cnn_maps.png", columns=8,
               title="what the 16 filters of the first layer see in a digit")
    print(f"\npictures in {given.out}: mnist_cnn_misread.png, mnist_cnn_maps.png")


if __name__ == "__main__":
    main()
