"""What a training loop costs besides its steps: no memory, and no wait but for what it shows."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import backends
import dlcore as dl
from dlcore import nn, optim, train
from dlcore.data import ArrayDataset, DataLoader
from dlcore.train import trainer as loop
from tests import backend_laws, fake_cupy

ROOT = Path(__file__).parent.parent
NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
STEPS = 10_000 if NIGHTLY else 1_000
BATCHES, PARTS = 6, 2

needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(),
                                reason="this system tells no process's memory in /proc/self/statm")


@pytest.fixture(params=["strict", *backend_laws.on_every_backend.args[1][2:]])
def device(request):
    """A backend whose memory is not the host's, selected for the duration of the test."""
    with backends.use_backend(request.param) as chosen:
        yield chosen


# --- memory -------------------------------------------------------------------------------------------


def grown(*how):
    """By how many bytes a process of its own has grown in its training steps."""
    command = [sys.executable, "-m", "tests.training_steps", str(STEPS), *how]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return int(done.stdout)


@needs_proc
@pytest.mark.parametrize("how", [(), ("workers",)] if NIGHTLY else [()])
def test_thousands_of_steps_do_not_grow_the_process(how):
    assert grown(*how) < 200_000  # bytes: 8 kB were measured after 10000 steps, 33 with workers


@needs_proc
def test_memory_that_stays_at_every_step_is_seen():
    assert grown("keeping") > 2_000 * STEPS  # of 4096; some was in the process before


# --- waits --------------------------------------------------------------------------------------------


def examples():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((4 * BATCHES, 3), np.float32)
    return x, np.argmax(x, axis=1)


def trainer():
    dl.random.seed(5)
    model = nn.Sequential(nn.Linear(3, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
    optimizer = optim.AdamW(model.parameters(), optim.schedules.cosine(0.01, 100))
    return train.Trainer(model, nn.CrossEntropyLoss(), optimizer,
                         {"accuracy": train.accuracy, "recall": train.recall})


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_copies_its_batches_to_the_device_and_its_results_back_in_one_go(device, workers):
    t, loader = trainer(), DataLoader(ArrayDataset(*examples()), 4, shuffle=True, workers=workers)
    t.fit(loader, epochs=1)

    with dl.transfer_meter() as meter:
        t.fit(loader, epochs=3)

    assert (meter.to_device.times, meter.to_host.times, meter.waits) == (3 * BATCHES * PARTS, 3, 3)


def test_examples_that_are_on_the_device_stay_there(device):
    t, loader = trainer(), DataLoader(ArrayDataset(*map(dl.tensor, examples())), 4)
    t.fit(loader, epochs=1)

    with dl.transfer_meter() as meter:
        t.fit(loader, epochs=2, validation=loader)

    assert (meter.to_device.times, meter.to_host.times, meter.waits) == (0, 4, 4)  # two loaders, two epochs


def test_the_loop_waits_as_often_as_it_shows_the_loss(device, monkeypatch, capsys):
    t, loader = trainer(), DataLoader(ArrayDataset(*map(dl.tensor, examples())), 4)
    t.fit(loader, epochs=1)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    waits = {}

    for every in (0.0, 3600.0):
        monkeypatch.setattr(loop, "SHOWN_EVERY", every)
        with dl.transfer_meter() as meter:
            t.fit(loader, epochs=1)
        waits[every] = (meter.to_device.times, meter.waits)

    assert waits == {0.0: (0, BATCHES + 1), 3600.0: (0, 1)}
    assert "loss=" in capsys.readouterr().err


@fake_cupy.needs_compiler
def test_nothing_waits_that_the_meter_does_not_see():
    with backends.use_backend("fakecuda"):
        t, loader = trainer(), DataLoader(ArrayDataset(*examples()), 4, shuffle=True)
        t.fit(loader, epochs=1)
        fake_cupy.traffic.clear()

        t.fit(loader, epochs=1)

    assert fake_cupy.traffic["to_host"] == 2  # results, and what kernels have reported
