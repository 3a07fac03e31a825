"""The training loop: what it measures, how it stops, and that a run goes on to the bit."""

import gc
import re
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import backends
import dlcore as dl
from dlcore import nn, train
from dlcore.data import ArrayDataset, DataLoader
from dlcore.nn import functional as F

ROOT = Path(__file__).parent.parent


def examples(n=22, seed=3):
    """Numbers of three features, and which of three classes they belong to."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 3)).astype("float32")
    return ArrayDataset(x, np.argmax(x, axis=1))


def loader(n=22, batch=4, seed=3):
    return DataLoader(examples(n, seed), batch, shuffle=True, seed=seed)


def unseen():
    return DataLoader(examples(9, seed=4), 4)


def trainer(callbacks=(), metrics=None, lr=0.01):
    dl.random.seed(5)
    model = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
    metrics = {"accuracy": train.accuracy} if metrics is None else metrics
    return train.Trainer(model, nn.CrossEntropyLoss(), dl.optim.AdamW(model.parameters(), lr), metrics,
                         callbacks)


def weights(model):
    return {name: x.tolist() for name, x in model.state_dict().items()}


class Press(train.Callback):
    """Presses Ctrl-C after some steps."""

    def __init__(self, *steps):
        self.steps = steps

    def on_batch_end(self, trainer):
        if trainer.step in self.steps:
            signal.raise_signal(signal.SIGINT)


# --- what is measured -------------------------------------------------------------------------------


def test_the_history_has_a_list_for_each_result(backend):
    t = trainer()

    history = t.fit(loader(), epochs=3, validation=unseen())

    assert {name: len(values) for name, values in history.items()} == dict.fromkeys(
        ["loss", "accuracy", "val_loss", "val_accuracy"], 3)
    assert history is t.history
    assert (t.epoch, t.step, history.epochs) == (3, 18, 3)
    assert all(0.0 <= v <= 1.0 for v in history["val_accuracy"])


def test_results_are_means_over_examples_whatever_the_batches(backend):
    t = trainer(metrics={"accuracy": train.accuracy, "f1": train.f1})
    data = examples()
    t.model.eval()
    outputs, targets = t.model(dl.tensor(data.arrays[0])), dl.tensor(data.arrays[1])
    expected = {"loss": F.cross_entropy(outputs, targets), "accuracy": train.accuracy(outputs, targets),
                "f1": train.f1(outputs, targets)}

    for batch in (1, 4, 22):
        found = t.evaluate(DataLoader(data, batch))
        assert found == pytest.approx({k: v.item() for k, v in expected.items()}, rel=1e-6)  # float32


def test_predictions_come_in_the_order_of_the_examples(backend):
    t = trainer()
    data = examples()

    found = t.predict(DataLoader(data, 4))

    t.model.eval()
    expected = t.model(dl.tensor(data.arrays[0])).numpy()
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-7)  # float32
    assert not found.requires_grad


def test_a_batch_of_one_part_is_its_own_target():
    model = nn.Linear(3, 3)
    t = train.Trainer(model, nn.MSELoss(), dl.optim.Adam(model.parameters(), 0.1))
    data = DataLoader(ArrayDataset(examples().arrays[0]), 11)

    history = t.fit(data, epochs=60)

    assert history["loss"][-1] < 0.05 * history["loss"][0]
    assert t.predict(data).shape == (22, 3)


def test_measuring_leaves_the_modes_of_modules_as_they_were():
    t = trainer()
    t.model.layers[2].eval()  # a frozen part

    t.evaluate(loader())

    assert [m.training for m in t.model.modules()] == [True, True, True, False, True]


def test_a_metric_that_is_a_plain_number_is_averaged_too():
    t = trainer(metrics={"size": lambda outputs, targets: len(targets)})

    found = t.evaluate(DataLoader(examples(6), 4))

    assert found["size"] == pytest.approx((4 * 4 + 2 * 2) / 6)


def test_a_silent_epoch_reads_all_its_results_from_the_device_in_one_go(monkeypatch):
    model = nn.Linear(3, 3)  # without labels, which are looked at on the CPU
    t = train.Trainer(model, nn.MSELoss(), dl.optim.Adam(model.parameters()), {"mae": train.mae})
    data = DataLoader(ArrayDataset(examples().arrays[0]), 4)
    t.fit(data, epochs=1)
    reads = []
    cpu = backends.get_backend("cpu")
    for name in ("to_host", "scalar"):
        real = getattr(cpu, name)
        monkeypatch.setattr(cpu, name, lambda x, real=real: reads.append(x.shape) or real(x), raising=False)

    t.fit(data, epochs=1)

    assert reads == [(2,)]  # the loss and the error


def test_the_bar_shows_results_on_a_terminal_only(capsys, monkeypatch):
    trainer().fit(loader(), epochs=1)
    assert capsys.readouterr().err == ""

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    trainer().fit(loader(), epochs=1)
    shown = capsys.readouterr().err
    assert re.search(r"epoch 1/1: 100%.* 6/6 .*batch/s, accuracy=0\.\d+, loss=\d\.\d+|epoch 1/1: 100%.*"
                     r"loss=\d\.\d+, accuracy=0\.\d+", shown)


# --- stopping and going on ----------------------------------------------------------------------------


def test_a_run_resumed_from_a_checkpoint_equals_one_that_was_not_stopped(tmp_path, backend):
    whole = trainer()
    whole.fit(loader(), epochs=4, validation=unseen())

    first = trainer([train.Checkpoint(tmp_path / "run.safetensors")])
    first.fit(loader(), epochs=2, validation=unseen())
    dl.random.seed(99)
    second = train.Trainer(nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3)),
                           nn.CrossEntropyLoss(), first.optimizer, first.metrics)
    second.optimizer = dl.optim.AdamW(second.model.parameters(), 0.5)
    history = second.fit(loader(), epochs=4, validation=unseen(),
                         resume=tmp_path / "run.safetensors")

    assert weights(second.model) == weights(whole.model)
    assert history == whole.history


@pytest.mark.parametrize("step", [1, 5, 6, 12])  # within an epoch, at its end, at the end of it all
def test_ctrl_c_saves_the_run_and_says_how_to_go_on(step, tmp_path, capsys):
    whole = trainer()
    whole.fit(loader(), epochs=2)
    path = tmp_path / "run.safetensors"

    broken = trainer([train.Checkpoint(path), Press(step)])
    broken.fit(loader(), epochs=2)

    assert broken.interrupted
    said = capsys.readouterr().err
    assert f"after step {step}; the run is saved" in said
    assert f"trainer.fit(loader, epochs=2, resume={str(path)!r})" in said
    again = trainer()
    again.fit(loader(), epochs=2, resume=path)
    assert weights(again.model) == weights(whole.model)
    assert again.history == whole.history


def test_a_trainer_that_was_interrupted_goes_on_where_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    whole = trainer()
    whole.fit(loader(), epochs=2)
    broken, data = trainer([Press(3)]), loader()

    broken.fit(data, epochs=2)
    broken.fit(data, epochs=2)

    assert Path("interrupted.safetensors").exists()
    assert weights(broken.model) == weights(whole.model)


def test_a_second_ctrl_c_ends_it_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    class Twice(train.Callback):
        def on_batch_end(self, trainer):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        trainer([Twice()]).fit(loader(), epochs=1)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_file_of_another_kind_is_refused_and_changes_nothing(tmp_path):
    t = trainer()
    before = weights(t.model)
    dl.checkpoint.save(tmp_path / "weights.safetensors", t.model)

    with pytest.raises(ValueError, match=r"weights\.safetensors was not written by a trainer"):
        t.fit(loader(), epochs=1, resume=tmp_path / "weights.safetensors")

    assert weights(t.model) == before


# --- callbacks --------------------------------------------------------------------------------------------


def test_training_stops_early_once_a_result_no_longer_gets_better(capsys):
    t = trainer([train.EarlyStopping("val_accuracy", patience=2, min_delta=2.0)])

    history = t.fit(loader(), epochs=9, validation=unseen())

    assert history.epochs == 3  # the first is better than nothing, then two are not
    assert "stopped after epoch 3: val_accuracy has not become better than" in capsys.readouterr().err


@pytest.mark.parametrize("where", [None, "best.safetensors"])
def test_the_best_model_is_put_back(where, tmp_path):
    path = where and tmp_path / where
    kept = []

    class Keep(train.Callback):
        def on_epoch_end(self, trainer, results):
            kept.append((results["val_loss"], weights(trainer.model)))

    t = trainer([Keep(), train.BestModel(path=path)], lr=0.3)

    t.fit(loader(), epochs=6, validation=unseen())

    best = min(kept, key=lambda pair: pair[0])
    assert best[1] != kept[-1][1]
    assert weights(t.model) == best[1]
    if path:
        other = trainer()
        extra = dl.checkpoint.load(path, other.model)
        assert weights(other.model) == best[1]
        assert extra["val_loss"] == best[0]


def test_callbacks_go_on_where_they_were(tmp_path):
    path = tmp_path / "run.safetensors"
    first = [train.EarlyStopping("loss", 9), train.EarlyStopping("accuracy", 9), train.Checkpoint(path)]
    trainer(first).fit(loader(), epochs=2)
    second = [train.EarlyStopping("loss", 9), train.EarlyStopping("accuracy", 9)]

    trainer(second).fit(loader(), epochs=2, resume=path)

    assert [c.best for c in second] == [c.best for c in first[:2]]


def test_checkpoints_are_numbered_by_epoch_and_only_the_last_ones_stay(tmp_path):
    path = tmp_path / "epoch-{epoch}.safetensors"

    trainer([train.Checkpoint(path, every=2, keep_last=2)]).fit(loader(), epochs=7)

    assert sorted(p.name for p in tmp_path.iterdir()) == ["epoch-4.safetensors", "epoch-6.safetensors"]


# --- what it refuses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: trainer(metrics={"loss": train.accuracy}), "'loss' cannot be the name of a metric"),
        (lambda: trainer(metrics={"val_a": train.accuracy}), "'val_a' cannot be the name of a metric"),
        (lambda: trainer().fit(loader(), -1), "epochs must not be negative, got -1"),
        (lambda: trainer().fit([], 1), "the loader gave no batches"),
        (lambda: trainer().evaluate([]), "evaluate: the loader gave no batches"),
        (lambda: trainer().predict([]), "predict: the loader gave no batches"),
        (lambda: trainer(metrics={"m": lambda outputs, targets: outputs}).fit(loader(), 1),
         r"metric 'm' \(<lambda>\) must give one number, not a tensor of shape \(4, 3\)"),
        (lambda: trainer([train.EarlyStopping()]).fit(loader(), 1),
         "there is no result 'val_loss'; there are loss, accuracy; pass validation= to fit"),
        (lambda: train.EarlyStopping(patience=0), "patience must be at least 1, got 0"),
        (lambda: train.EarlyStopping(mode="best"), "mode must be 'min' or 'max', got 'best'"),
        (lambda: train.BestModel(min_delta=-1), "min_delta must not be negative, got -1"),
        (lambda: train.Checkpoint("run.safetensors", every=0), "every must be at least 1, got 0"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_loss_of_several_numbers_is_refused():
    t = trainer()
    t.loss = nn.CrossEntropyLoss(reduction="none")

    with pytest.raises(ValueError, match=r"the loss must be one number, got shape \(4,\); use its mean"):
        t.fit(loader(), epochs=1)


# --- memory ---------------------------------------------------------------------------------------------


def test_steps_do_not_grow_the_memory():
    t, data = trainer(), loader(400, 4)
    tracemalloc.start()
    t.fit(data, epochs=2)
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]

    t.fit(data, epochs=4)

    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 20_000  # bytes after 400 steps: the results of four epochs, 50 bytes a step


def test_a_script_in_a_thread_trains_without_the_signal(tmp_path):
    script = ("import threading\nfrom tests.test_train import loader, trainer\n"
              "t = threading.Thread(target=lambda: trainer().fit(loader(), epochs=1))\nt.start()\nt.join()\n")

    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True,
                          check=False)

    assert (done.returncode, done.stderr) == (0, "")
