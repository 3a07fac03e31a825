"""A small network of the usual parts and one step of its training, for tests of what a step does."""

import numpy as np

import dlcore as dl
from dlcore import nn, optim

CLASSES, WORDS, LENGTH = 3, 7, 4


class Words(nn.Module):
    """Scores of classes for short rows of words."""

    def __init__(self) -> None:
        self.table = nn.Parameter(dl.random.normal((WORDS, 5)))
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(5 * LENGTH, 8), nn.ReLU(), nn.Dropout(0.25), nn.Linear(8, CLASSES)
        )

    def forward(self, words):
        return self.layers(self.table[words])


class Training:
    """The network, its optimizer and one batch, all on the selected backend."""

    def __init__(self) -> None:
        dl.random.seed(0)
        rng = np.random.default_rng(0)
        self.net = Words()
        self.optimizer = optim.Adam(self.net.parameters(), lr=0.01)
        self.words = dl.tensor(rng.integers(0, WORDS, (6, LENGTH)))
        self.labels = dl.tensor(rng.integers(0, CLASSES, 6))

    def step(self):
        """The loss before the step that is made; still on its device."""
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.net(self.words), self.labels)
        loss.backward()
        self.optimizer.step()
        return loss
