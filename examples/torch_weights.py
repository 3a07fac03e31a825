"""A network that PyTorch has trained goes on reading digits here: its weights come through a file.

Layers have PyTorch's names, arguments and layouts, so nothing is converted.  Where PyTorch is installed it
trains the network now, and both must then say the same of unseen digits, and of a file that goes back.
Else the network is ``torch_digits.safetensors`` beside this script, which PyTorch wrote here before.
"""

import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

from common import arguments

import dlcore as dl
from dlcore import checkpoint, data, nn, optim, train, viz

WRITTEN_BEFORE = Path(__file__).with_name("torch_digits.safetensors")


def network(nn: Any) -> Any:
    """The same lines make it of ``dlcore.nn`` and of ``torch.nn``."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(24 * 2 * 2, 10))


def pytorch() -> Any:
    """PyTorch; None where it is not installed."""
    try:
        import_module("safetensors.torch")
        return import_module("torch")
    except ImportError:
        return None


def trained_by(torch: Any, examples: Any, epochs: int, seed: int) -> Any:
    """The network of PyTorch, once it has learnt to read the examples."""
    torch.manual_seed(seed)
    images, labels = (torch.tensor(x.numpy()) for x in examples.tensors())
    theirs = network(torch.nn)
    optimizer = torch.optim.Adam(theirs.parameters(), lr=5e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(labels)).split(64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(theirs(images[rows]), labels[rows]).backward()
            optimizer.step()
    return theirs.eval()


def compare(torch: Any, theirs: Any, file: Path, ours: nn.Module, images: dl.Tensor) -> None:
    """Say how far apart the scores are that PyTorch and dlcore give with the weights in a file."""
    theirs.load_state_dict(import_module("safetensors.torch").load_file(file))
    ours.eval()
    with torch.no_grad(), dl.no_grad():
        expected = dl.tensor(theirs(torch.tensor(images.numpy())).numpy())
        difference = dl.max(dl.abs(ours(images) - expected)).item()
    print(f"  scores up to {dl.max(dl.abs(expected)).item():.1f}, "
          f"and PyTorch's differ from dlcore's by {difference:.0e} at most")


def main() -> None:
    """From PyTorch to dlcore, some training there, and back."""
    given = arguments(__doc__, epochs=(10, "passes over the training data, in PyTorch"))
    digits = data.digits()
    seen, unseen = data.split(digits, (1437, 360), stratify=digits.targets)
    images, truth = unseen.tensors()
    there, back = (given.out / f"torch_weights_{way}.safetensors" for way in ("there", "back"))
    if (torch := pytorch()) is None:
        shutil.copy(WRITTEN_BEFORE, there)
        print("PyTorch is not installed; these are weights that it wrote before")
    else:
        theirs = trained_by(torch, seen, given.epochs, given.seed)
        import_module("safetensors.torch").save_file(theirs.state_dict(), there)

    ours = network(nn)
    checkpoint.load(there, ours)
    print("\n".join(f"  {name:22} {x.shape} {x.dtype}" for name, x in ours.state_dict().items()))
    trainer = train.Trainer(ours, nn.CrossEntropyLoss(), optim.Adam(ours.parameters(), lr=1e-3),
                            {"accuracy": train.accuracy})
    test = data.DataLoader(unseen, batch_size=len(unseen))
    print(f"as PyTorch has trained it, dlcore reads {trainer.evaluate(test)['accuracy']:.4f} of the unseen")
    if torch is not None:
        compare(torch, theirs, there, ours, images)

    trainer.fit(data.DataLoader(seen, 64, shuffle=True, seed=given.seed), epochs=3)
    checkpoint.save(back, ours)
    print(f"after three more epochs in dlcore, {trainer.evaluate(test)['accuracy']:.4f}")
    if torch is not None:
        compare(torch, theirs, back, ours, images)

    scores = trainer.predict(test)
    sure = dl.max(nn.functional.softmax(scores, axis=1), axis=1).tolist()
    doubtful = sorted(range(len(sure)), key=sure.__getitem__)[:20]
    read = dl.argmax(scores, axis=1)
    viz.images(images[doubtful], given.out / "torch_weights.png",
               titles=[f"{read[i].item()}: {sure[i]:.0%}" for i in doubtful],
               marked=(read != truth)[doubtful].tolist(), title="least sure of, and in red if wrong")
    print(f"\nin {given.out}: {there.name}, {back.name} and the picture torch_weights.png")


if __name__ == "__main__":
    main()
