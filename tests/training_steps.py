"""Trains a small model for some steps, and prints by how many bytes the process has grown meanwhile.

    python -m tests.training_steps 10000
"""

import os
import sys
from pathlib import Path

import numpy as np

from dlcore import nn, optim, train
from dlcore.data import ArrayDataset, DataLoader

PER_EPOCH, WARM = 100, 5  # steps; epochs until pools and caches are filled


def resident():
    """The bytes of the process that are in memory."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Keeping(train.Callback):
    """Keeps four kilobytes of every step: what a test of memory has to see."""

    def __init__(self):
        self.kept = []

    def on_batch_end(self, trainer):
        self.kept.append(bytearray(4096))


def grown(steps, callbacks=(), workers=0):
    """By how many bytes the process has grown in these steps."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((8 * PER_EPOCH, 6), np.float32)
    model = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
    trainer = train.Trainer(model, nn.CrossEntropyLoss(), optim.AdamW(model.parameters(), 1e-3),
                            {"accuracy": train.accuracy}, callbacks)
    loader = DataLoader(ArrayDataset(x, np.argmax(x[:, :3], axis=1)), 8, shuffle=True, workers=workers)
    trainer.fit(loader, WARM)
    before = resident()
    trainer.fit(loader, steps // PER_EPOCH)
    return resident() - before


if __name__ == "__main__":
    found = grown(int(sys.argv[1]), [Keeping()] if "keeping" in sys.argv else [], 2 * ("workers" in sys.argv))
    print(found)  # noqa: T201  it is a program
