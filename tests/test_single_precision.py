"""A device without float64: networks, optimizers and random numbers work there, and nobody makes a float64.

That every operation does is a law, in test_laws_agreement.
"""

import copy

import array_api_strict
import numpy as np
import pytest
from numpy.testing import assert_allclose

import backends
import dlcore as dl
from dlcore import checkpoint, nn, optim, train
from dlcore.core import PRIMITIVES
from dlcore.data import ArrayDataset, DataLoader
from tests.optimizing import OPTIMIZERS, drawn, leaves, run
from tests.test_nn_images import LAYERS as IMAGES
from tests.test_nn_rows import LAYERS as ROWS
from tests.training import Training

LAYERS = [
    *(pytest.param(name, args, options, shapes, id=f"{name}-{i}")
      for i, (name, args, options, shapes) in enumerate(ROWS)),
    *(pytest.param(name, args, options, [shape], id=name) for name, (args, options, shape) in IMAGES.items()),
    *(pytest.param(name, (3, 4), {}, [(5, 2, 3)], id=name) for name in ("RNN", "LSTM", "GRU")),
    pytest.param("TransformerEncoderLayer", (4, 2, 6), {"dropout": 0.1}, [(3, 2, 4)], id="transformer"),
]


@pytest.fixture
def single():
    """A backend whose device has no float64, selected for the duration of the test."""
    with backends.use_backend("single") as chosen:
        yield chosen


def flat(result):
    return [y for part in result for y in flat(part)] if isinstance(result, tuple) else [result]


@pytest.mark.parametrize(("name", "args", "options", "shapes"), LAYERS)
def test_a_layer_trains_and_predicts_in_float32_without_a_copy(single, name, args, options, shapes):
    dl.random.seed(0)
    layer = getattr(nn, name)(*args, **options)
    xs = [dl.random.normal(shape) for shape in shapes]
    for x in xs:
        x.requires_grad = True

    def step():
        for y in flat(layer.train()(*xs)):
            dl.sum(y * y).backward(retain_graph=True)
        return flat(layer.eval()(*xs))

    step()  # which may bring constants to the device, once
    with dl.transfer_guard("disallow"):
        ys = step()

    everything = [*ys, *(x.grad for x in xs), *(p.grad for p in layer.parameters())]
    assert {str(x.dtype) for x in everything} == {"float32"}


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_an_optimizer_makes_the_steps_of_the_cpu(single, name, options):
    found = []
    for backend in ("cpu", "single"):
        with backends.use_backend(backend):
            params = leaves(drawn(0), "float32")
            found.append(run(getattr(optim, name)(params, **options), params, 3)[-1])

    for x, y in zip(*found, strict=True):
        assert_allclose(x, y, rtol=1e-5, atol=1e-6)  # float32


def test_an_optimizer_clips_scales_and_averages(single):
    params = leaves(drawn(1), "float32")
    optimizer, scaler = optim.SGD(params, lr=0.1, momentum=0.9), optim.GradScaler(8.0)
    averages = [optim.EMA(params, decay=0.5), optim.SWA(params)]
    for norm in (1.0, 2.0, 3.0, np.inf):
        optimizer.zero_grad()
        scaler.scale(sum(dl.sum(p * p) for p in params)).backward()
        scaler.unscale(optimizer)
        optim.clip_grad_norm(params, 0.5, norm)
        optim.clip_grad_value(params, 0.4)
        assert scaler.step(optimizer)
        scaler.update()
        for average in averages:
            average.update()

    assert {p.dtype for p in params} == {"float32"}


def test_random_numbers_are_those_of_the_cpu(single):
    draws = [
        lambda rng: rng.uniform((5,), -1.0, 1.0), lambda rng: rng.normal((5,), 2.0, 3.0),
        lambda rng: rng.integers(0, 2**40, (5,)), lambda rng: rng.bernoulli(0.3, (50,)),
        lambda rng: rng.permutation(9),
    ]  # fmt: skip
    here = [draw(dl.random.Generator(3)) for draw in draws]
    with backends.use_backend("cpu"):
        there = [draw(dl.random.Generator(3)) for draw in draws]

    assert [x.dtype for x in here] == [x.dtype for x in there]
    for x, y in zip(here, there, strict=True):
        assert_allclose(x.numpy(), y.numpy(), rtol=1e-6)  # a logarithm in float32


@pytest.mark.parametrize("begin", ["trunc_normal_", "orthogonal_", "kaiming_normal_", "xavier_uniform_"])
def test_weights_begin_as_on_the_cpu(single, begin):
    found = []
    for backend in ("cpu", "single"):
        dl.random.seed(3)
        with backends.use_backend(backend):
            found.append(getattr(nn.init, begin)(dl.empty((4, 3))).numpy())

    assert_allclose(*found, rtol=1e-4, atol=1e-5)  # float32 on one, and float64 for a while on the other


def test_a_step_of_training_is_in_float32_and_copies_nothing(single):
    training = Training()
    training.step()

    with dl.transfer_guard("disallow"):
        loss = training.step()

    assert (loss.dtype, loss.backend) == ("float32", "single")


def test_a_trainer_fits_saves_and_goes_on(single, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((12, 3)).astype("float32")
    batches = DataLoader(ArrayDataset(x, np.argmax(x, axis=1)), 4, shuffle=True)
    model = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    metrics = {"accuracy": train.accuracy, "f1": train.f1}
    trainer = train.Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()), metrics)

    history = trainer.fit(batches, epochs=2, validation=batches)
    checkpoint.save(tmp_path / "model.safetensors", model=model)
    checkpoint.load(tmp_path / "model.safetensors", model=model)

    assert np.isfinite(history["val_loss"]).all()
    assert {str(p.dtype) for p in model.parameters()} == {"float32"}


def test_what_is_in_float64_is_refused_by_name(single):
    with pytest.raises(backends.BackendError, match="backend 'single' has no float64: its device lacks it"):
        dl.zeros(3, dtype="float64")
    with pytest.raises(backends.BackendError, match="backend 'single' has no float64"):
        dl.tensor(np.ones(3))


# --- what the device notices --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("forward", "complaint"),
    [
        (lambda xp, x: xp.astype(xp.astype(x, "float64"), "float32"), "backend 'single' has no float64"),
        (lambda xp, x: xp.namespace.asarray(np.ones(3), device=xp.device), "float64"),
        (lambda xp, x: x * float(xp.sum(x)), "__float__ of an array waits for the device where no meter"),
        (lambda xp, x: x if xp.sum(x) > 0 else -x, "__bool__ of an array waits for the device where no"),
        (lambda xp, x: x[int(xp.argmax(x)), ...], "__int__ of an array waits for the device where no"),
        (lambda xp, x: x + xp.namespace.ones((3,)), "different devices"),
    ],
)
def test_a_mistake_that_a_device_would_punish_is_an_error(single, forward, complaint):
    wrong = copy.copy(PRIMITIVES["tanh"])
    vars(wrong).pop("call", None)
    wrong.forward = forward

    with pytest.raises((TypeError, ValueError, backends.BackendError), match=complaint):
        wrong(dl.ones(3))


def test_arrays_of_the_standards_own_cpu_may_be_read():
    assert float(array_api_strict.asarray(2.0)) == 2.0
