"""Two epochs, a file, fresh objects and two epochs more are four epochs at once, bit for bit."""

from itertools import count

import numpy as np
import pytest

import dlcore as dl
from dlcore import nn, optim, train
from dlcore.data import ArrayDataset, DataLoader, transforms
from dlcore.optim import schedules
from dlcore.trees import leaves
from tests.backend_laws import on_every_backend

EXAMPLES, BATCH, EPOCHS = 22, 5, 4  # the last batch has two examples
STEPS = -(-EXAMPLES // BATCH)


class LastState(nn.Module):
    """Scores of three classes for rows of words, by two LSTM layers."""

    def __init__(self):
        self.words = nn.Embedding(7, 5)
        self.layers = nn.LSTM(5, 6, num_layers=2, dropout=0.3, batch_first=True)
        self.norm, self.drop, self.scores = nn.BatchNorm1d(6), nn.Dropout(0.2), nn.Linear(6, 3)

    def forward(self, x):
        states, _ = self.layers(self.words(x))
        return self.scores(self.drop(self.norm(states[:, -1])))


def mlp():
    return nn.Sequential(nn.Linear(6, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Dropout(0.3), nn.Linear(9, 3))


def cnn():
    return nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Dropout2d(0.2), nn.Flatten(), nn.Linear(27, 3))


MODELS = {"mlp": mlp, "cnn": cnn, "lstm": LastState}
CHANGED = transforms.Compose([transforms.RandomCrop(6, 1), transforms.RandomHorizontalFlip(),
                              transforms.GaussianNoise(0.1)])


def dataset(kind, changed=True):
    """Examples with labels; pictures change by chance whenever they are asked for."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, EXAMPLES)
    if kind == "lstm":
        return ArrayDataset(rng.integers(0, 7, (EXAMPLES, 4)), labels)
    if kind == "mlp":
        return ArrayDataset(rng.standard_normal((EXAMPLES, 6), np.float32), labels)
    pictures = ArrayDataset(rng.standard_normal((EXAMPLES, 1, 6, 6), np.float32), labels)
    return pictures.map(lambda picture, label: (CHANGED(picture), label)) if changed else pictures


class Run:
    """All that a run consists of; ``seed`` makes it begin elsewhere."""

    def __init__(self, kind, seed=0, **how):
        dl.random.seed(seed)
        self.model = MODELS[kind]()
        weights = [p for p in self.model.parameters() if p.ndim > 1]
        others = [p for p in self.model.parameters() if p.ndim < 2]
        rate = schedules.warmup(schedules.cosine(0.02, EPOCHS * STEPS), 3)
        self.optimizer = optim.AdamW([{"params": weights}, {"params": others, "weight_decay": 0.0}], lr=rate)
        self.loader = DataLoader(dataset(kind), BATCH, shuffle=True, seed=5, **how)
        self.losses = []

    def train(self, epochs, stop=None):
        """Go through epochs, or end after some steps."""
        steps = count(1)
        for _ in range(epochs):
            for x, y in self.loader:
                self.optimizer.zero_grad()
                loss = nn.functional.cross_entropy(self.model(x), y)
                loss.backward()
                self.optimizer.step()
                self.losses.append(loss.detach())
                if next(steps) == stop:
                    return

    def bits(self):
        """Every bit of the run."""
        arrays = [*self.model.state_dict().values(), *leaves(self.optimizer.state_dict())]
        return [np.asarray(a.numpy() if isinstance(a, dl.Tensor) else a).tobytes() for a in arrays] + [
            self.loader.state_dict(), dl.random.default_generator.state]


def resumed(kind, path, stopped, **how):
    dl.checkpoint.save(path, stopped.model, stopped.optimizer, stopped.loader)
    run = Run(kind, seed=99, **how)
    dl.checkpoint.load(path, run.model, run.optimizer, run.loader)
    return run


@on_every_backend
@pytest.mark.parametrize("kind", MODELS)
def test_two_epochs_and_two_more_are_four(kind, backend, tmp_path):
    whole, stopped = Run(kind), Run(kind)
    dl.random.seed(1)
    whole.train(EPOCHS)

    dl.random.seed(1)
    stopped.train(2)
    run = resumed(kind, tmp_path / "run.safetensors", stopped)
    run.train(2)

    assert run.bits() == whole.bits()
    assert [x.item() for x in stopped.losses + run.losses] == [x.item() for x in whole.losses]


@pytest.mark.parametrize("how", [{}, {"prefetch": 2}, {"workers": 2}])
@pytest.mark.parametrize("stop", [1, STEPS - 1, STEPS, STEPS + 2])
@pytest.mark.parametrize("kind", MODELS)
def test_a_run_goes_on_in_the_middle_of_an_epoch(kind, stop, how, tmp_path):
    whole, stopped = Run(kind), Run(kind, **how)
    dl.random.seed(1)
    whole.train(2)

    dl.random.seed(1)
    stopped.train(2, stop)
    run = resumed(kind, tmp_path / "run.safetensors", stopped, **how)
    run.train(1 if stop >= STEPS else 2)

    assert run.bits() == whole.bits()


@pytest.mark.parametrize("kind", MODELS)
def test_a_trainer_goes_on_to_the_bit(kind, tmp_path):
    def trainer(run, *callbacks):
        metrics = {"accuracy": train.accuracy}
        return train.Trainer(run.model, nn.CrossEntropyLoss(), run.optimizer, metrics, callbacks)

    path, unseen = tmp_path / "run.safetensors", DataLoader(dataset(kind, changed=False), 8)
    whole, stopped, run = Run(kind), Run(kind), Run(kind, seed=99)
    dl.random.seed(1)
    history = trainer(whole).fit(whole.loader, EPOCHS, unseen)

    dl.random.seed(1)
    trainer(stopped, train.Checkpoint(path)).fit(stopped.loader, 2, unseen)
    dl.random.seed(7)
    again = trainer(run).fit(run.loader, EPOCHS, unseen, resume=path)

    assert run.bits() == whole.bits()
    assert again == history


def test_the_comparison_sees_a_single_bit():
    run, other = Run("mlp"), Run("mlp")
    assert run.bits() == other.bits()

    other.model[1].running_mean = other.model[1].running_mean + np.float32(1e-45)

    assert run.bits() != other.bits()
