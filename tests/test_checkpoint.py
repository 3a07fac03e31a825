"""A checkpoint gives back all that was put in, to the bit, or refuses and changes nothing."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.testing import assert_array_equal
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import dlcore as dl
from dlcore import checkpoint, nn
from dlcore.nn import functional as F

ROOT = Path(__file__).parent.parent


class Network(nn.Module):
    """A hidden layer, dropout, and a buffer of integers that counts calls."""

    def __init__(self, hidden=4):
        self.first, self.last = nn.Linear(3, hidden), nn.Linear(hidden, 1)
        self.calls = nn.Buffer(dl.tensor(0))

    def forward(self, x):
        self.calls = self.calls + 1
        return self.last(F.dropout(F.relu(self.first(x)), 0.25, training=self.training))


class Run:
    """A model, an optimizer and a loader, and how they train."""

    def __init__(self, kind=dl.optim.AdamW):
        x = np.random.default_rng(0).standard_normal((10, 3))
        self.model = Network()
        self.optimizer = kind(self.model.parameters(), lr=0.01)
        self.loader = dl.data.DataLoader(dl.data.ArrayDataset(x, x[:, :1]), 4, shuffle=True, seed=5)

    def train(self, batches):
        for _ in range(batches):
            x, y = next(self.batches)
            self.optimizer.zero_grad()
            F.mse_loss(self.model(x.astype("float32")), y.astype("float32")).backward()
            self.optimizer.step()
        return self

    @property
    def batches(self):
        if not hasattr(self, "_batches"):
            self._batches = self.forever()
        return self._batches

    def forever(self):
        while True:
            yield from self.loader

    def parts(self):
        return {"model": self.model, "optimizer": self.optimizer, "loader": self.loader}

    def everything(self):
        """All that a run consists of, as plain data."""
        state = self.optimizer.state_dict()
        memory = [{k: v.tolist() if hasattr(v, "tolist") else v for k, v in one.items()}
                  for one in state["state"]]
        weights = {name: x.tolist() for name, x in self.model.state_dict().items()}
        return weights, state["groups"], memory, self.loader.state_dict(), dl.random.default_generator.state


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.safetensors"


# --- what is put in comes out -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", [dl.optim.AdamW, lambda p, lr: dl.optim.SGD(p, lr, momentum=0.9)],
                         ids=["adamw", "momentum"])
@pytest.mark.parametrize("stop", [1, 3, 4])  # within an epoch of three batches, and at its end
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(kind, stop, path, backend):
    dl.random.seed(1)
    whole = Run(kind).train(7)
    after = whole.everything()

    dl.random.seed(1)
    checkpoint.save(path, **Run(kind).train(stop).parts())
    dl.random.seed(99)
    again = Run(kind)
    checkpoint.load(path, **again.parts())
    again.train(7 - stop)

    assert again.everything() == after


def test_entries_have_the_names_of_the_state_dict_and_other_tools_can_read_them(path):
    run = Run().train(2)

    checkpoint.save(path, **run.parts())

    found = load_file(path)
    names = list(run.model.state_dict())
    assert [n for n in found if not n.startswith(checkpoint.PREFIXES)] == sorted(names)
    assert {n.split("/")[2] for n in found if n.startswith("optimizer/")} == {
        "first.weight", "first.bias", "last.weight", "last.bias"}
    for name, x in run.model.state_dict().items():
        assert_array_equal(found[name], x.numpy())


def test_weights_of_another_tool_load(path):
    weights = {name: np.full(x.shape, i, x.numpy().dtype)
               for i, (name, x) in enumerate(Network().state_dict().items())}
    save_file(weights, path)
    model = Network()

    assert checkpoint.load(path, model) is None

    assert {name: x.tolist() for name, x in model.state_dict().items()} == {
        name: x.tolist() for name, x in weights.items()}


def test_an_optimizer_loads_without_its_model_by_position(path):
    run = Run().train(2)
    checkpoint.save(path, **run.parts())
    other = Run()

    checkpoint.load(path, optimizer=other.optimizer)

    assert other.everything()[2] == run.everything()[2]


def test_parameters_in_another_order_are_found_by_name(path):
    run = Run().train(2)
    checkpoint.save(path, run.model, run.optimizer)
    model = Network()
    backwards = dl.optim.AdamW(reversed([*model.parameters()]), lr=0.01)

    checkpoint.load(path, model, backwards)

    assert [one.keys() for one in backwards.state] == [one.keys() for one in run.optimizer.state]
    for found, expected in zip(backwards.state, reversed(run.optimizer.state), strict=True):
        for key, value in expected.items():
            assert_array_equal(found[key], value)


leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), arrays(
    st.sampled_from(["float32", "float64", "int8", "int64", "uint8", "bool", "float16"]),
    array_shapes(min_dims=0, min_side=0, max_side=3)))
nested = st.recursive(leaves, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(), x, max_size=3)
                      | st.tuples(x, x), max_leaves=8)


def assert_same(x, y):
    assert type(x) is type(y)
    if isinstance(x, dict):
        assert x.keys() == y.keys()
        for key in x:
            assert_same(x[key], y[key])
    elif isinstance(x, list | tuple):
        assert len(x) == len(y)
        for a, b in zip(x, y, strict=True):
            assert_same(a, b)
    elif isinstance(x, np.ndarray):
        assert (x.dtype, x.shape, x.tobytes()) == (y.dtype, y.shape, y.tobytes())
    else:
        assert x == y or (math.isnan(x) and math.isnan(y))


@given(extra=nested)
def test_whatever_the_extra_holds_comes_back(extra, tmp_path):
    path = tmp_path / "extra.safetensors"

    checkpoint.save(path, extra={"it": extra})

    assert_same(checkpoint.load(path), {"it": extra})


def test_an_array_in_any_layout_is_written_right(path):
    x = np.arange(12.0).reshape(3, 4)

    checkpoint.save(path, extra={"turned": x.T, "strided": x[::-2, 1::2], "tensor": dl.tensor(x).T})

    found = checkpoint.load(path)
    assert_array_equal(found["turned"], x.T)
    assert_array_equal(found["strided"], x[::-2, 1::2])
    assert_array_equal(found["tensor"].numpy(), x.T)


def test_bfloat16_comes_back(path):
    pytest.importorskip("ml_dtypes")
    layer = nn.Linear(2, 2).to(dl.bfloat16)
    other = nn.Linear(2, 2).to(dl.bfloat16)

    checkpoint.save(path, layer)
    checkpoint.load(path, other)

    assert other.weight.tolist() == layer.weight.tolist()


def test_the_extra_is_put_into_a_dict_that_is_given(path):
    checkpoint.save(path, extra={"epoch": 3})
    found = {"epoch": 0, "other": 1}

    checkpoint.load(path, extra=found)

    assert found == {"epoch": 3, "other": 1}


def test_without_optimizer_and_loader_the_random_state_stays(path):
    checkpoint.save(path, Network(), extra={})
    dl.random.seed(7)

    checkpoint.load(path, Network())

    state = dl.random.default_generator.state
    assert state[0] == 7


def test_nothing_in_a_file_can_run_code(path):
    checkpoint.save(path, **Run().train(1).parts(), extra={"a": (1, "b", None)})

    with safe_open(path, framework="numpy") as file:
        described = file.metadata()

    assert list(described) == [checkpoint.FORMAT]
    assert set(json.loads(described[checkpoint.FORMAT])) == {"optimizer", "loader", "random", "extra"}


# --- a file that does not fit ----------------------------------------------------------------------------


def refused(run, path, message, **parts):
    """A load that raises, and leaves everything as it was."""
    before = run.everything()
    with pytest.raises(ValueError, match=message):
        checkpoint.load(path, **(parts or run.parts()))
    assert run.everything() == before


def test_a_file_of_another_model_is_refused_with_all_that_does_not_fit(path):
    other = Run()
    other.model.more = nn.Parameter(dl.ones(2))
    other.model.first = nn.Linear(3, 5)
    del other.model.last
    checkpoint.save(path, other.model)

    refused(Run().train(2), path, r"load_state_dict: this state is not one of Network; "
            r"nothing was loaded\n  missing: last\.weight \(1, 4\), last\.bias \(1,\)\n  unexpected: more\n"
            r"  misshapen: first\.weight is \(4, 3\), the state has \(5, 3\), first\.bias", model=Network())


def test_a_misfit_of_the_last_part_leaves_the_first_parts_unchanged(path):
    run = Run().train(2)
    checkpoint.save(path, **run.parts())
    run.train(2)
    run.loader.batch_size = 10  # one batch an epoch: position 2 is none

    refused(run, path, "there is no batch 2 of 1 in epoch 0")


@pytest.mark.parametrize("size", [0, 4, 8, 60, -1])
def test_a_file_that_was_cut_is_refused(size, path):
    run = Run().train(2)
    checkpoint.save(path, **run.parts())
    path.write_bytes(path.read_bytes()[:size])

    refused(run, path, r"run\.safetensors is cut, or no safetensors file")


def test_a_foreign_file_is_refused(path):
    path.write_text("weights, honestly")

    refused(Run(), path, "is cut, or no safetensors file")


def test_a_file_without_the_part_that_is_asked_for_is_refused(path):
    checkpoint.save(path, Network())
    refused(Run(), path, r"run\.safetensors holds no optimizer and no loader")

    checkpoint.save(path, extra=1)
    refused(Run(), path, r"run\.safetensors holds no model", model=Network())


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*gone"):
        checkpoint.load(tmp_path / "gone.safetensors", Network())


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({}, ValueError, "nothing to save; give a model, an optimizer, a loader or extra"),
        ({"extra": 1, "keep_last": 0}, ValueError, "keep_last must be at least 1, got 0"),
        ({"extra": {"f": print}}, TypeError, "extra/f is a builtin_function_or_method, which a file cannot"),
        ({"extra": {1: 2}}, TypeError, "extra has the key 1; keys must be strings"),
        ({"extra": [np.ones(1, complex)]}, TypeError, "extra/0 holds complex128 numbers"),
        ({"model": type("M", (nn.Module,), {"parts": lambda _: iter([("extra/w", nn.Parameter([1.0]))])})()},
         ValueError, "'extra/w' is a name of the checkpoint's own"),
    ],
)
def test_what_cannot_be_saved_is_refused_and_writes_nothing(given, error, message, path):
    with pytest.raises(error, match=f"checkpoint.save: .*{message}" if "save" not in message else message):
        checkpoint.save(path, **given)

    assert not path.exists()


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"'run\.pt' must end in '\.safetensors'"):
        checkpoint.save(tmp_path / "run.pt", extra=1)


# --- files ---------------------------------------------------------------------------------------------


def test_a_failed_save_leaves_the_file_and_no_other(path, monkeypatch):
    checkpoint.save(path, extra="old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("the disk is full")))

    with pytest.raises(OSError, match="the disk is full"):
        checkpoint.save(path, extra="new")

    assert [p.name for p in path.parent.iterdir()] == ["run.safetensors"]
    assert checkpoint.load(path) == "old"


def kept(folder):
    return {p.name: checkpoint.load(p) for p in sorted(folder.iterdir())}


def test_the_last_ones_are_kept_under_older_numbers(path):
    for i in range(5):
        checkpoint.save(path, extra=i, keep_last=3)

    assert kept(path.parent) == {"run.safetensors": 4, "run.1.safetensors": 3, "run.2.safetensors": 2}

    checkpoint.save(path, extra=5, keep_last=1)

    assert kept(path.parent) == {"run.safetensors": 5}


@pytest.mark.parametrize("stem", ["{}", "epoch-{}", "net.step{}", "a_1_{}"])
def test_of_a_numbered_series_the_last_ones_are_kept(stem, tmp_path):
    checkpoint.save(tmp_path / "other-1.safetensors", extra="other")
    for i in range(8, 12):
        checkpoint.save(tmp_path / f"{stem.format(i)}.safetensors", extra=i, keep_last=2)

    assert kept(tmp_path) == {"other-1.safetensors": "other"} | {
        f"{stem.format(i)}.safetensors": i for i in (10, 11)}


def test_a_number_that_is_part_of_a_word_makes_no_series(tmp_path):
    for i in (4000, 5000):
        checkpoint.save(tmp_path / f"mnist{i}.safetensors", extra=i, keep_last=1)

    assert kept(tmp_path) == {"mnist4000.safetensors": 4000, "mnist5000.safetensors": 5000}


KILLED = """
import os, random, signal, sys, time
import numpy as np
from dlcore import checkpoint

path, draw = sys.argv[1], random.Random(0)
checkpoint.save(path, extra={"same": np.zeros(50_000), "as": np.zeros(50_000)})
for _ in range(100):
    child = os.fork()
    if child == 0:
        while True:
            number = np.full(50_000, os.getpid() + time.perf_counter())
            checkpoint.save(path, extra={"same": number, "as": number}, keep_last=2)
    time.sleep(draw.uniform(0.0, 0.02))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    found = checkpoint.load(path)
    assert (found["same"] == found["as"]).all()
    before = found["same"][0]
assert before > 0
print("whole every time")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork, so nobody can be killed")
def test_a_process_killed_at_any_moment_of_a_save_leaves_a_whole_checkpoint(path):
    done = subprocess.run([sys.executable, "-c", KILLED, path], cwd=ROOT, capture_output=True, text=True,
                          check=False, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})

    assert (done.stdout, done.stderr) == ("whole every time\n", "")
