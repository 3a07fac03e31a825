"""Several cards: what lives on one is computed there, whichever is the current one.

On the stand-in, which refuses arrays of a card that is not the current one; CuPy would read them over
the bus and put the result on the wrong card.
"""

import copy

import numpy as np
import pytest
from numpy.testing import assert_allclose

import backends
import dlcore as dl
from backends import registry
from dlcore import data, graph, nn, optim, train
from dlcore.testing.calls import called, letters, outputs
from dlcore.tracing import trace
from tests import fake_cuda, fake_cupy
from tests.optimizing import OPTIMIZERS, drawn, leaves, loss_of, run
from tests.strategies import SUBJECTS
from tests.training import Training

pytestmark = fake_cupy.needs_compiler


def card(ordinal=0):
    backend = type(fake_cupy.load())(ordinal)
    backend.name = f"cards:{ordinal}" if ordinal else "cards"
    return backend


@pytest.fixture(scope="module")
def cards():
    """A machine with two cards, of which the first is the current one; the one with one card is away."""
    fake_cupy.load()  # which has one card
    before = dict(registry._loaded)
    with fake_cuda.several(2):
        registry._loaded.pop("fakecuda", None)
        registry.register_backend("cards", card)
        yield [backends.get_backend(name) for name in ("cards", "cards:1")]
    registry._loaded.clear()
    registry._loaded.update(before)
    registry._factories.pop("cards")
    registry._claim_arrays()


@pytest.fixture
def second(cards):
    """The second card, selected for the process; the first one stays the current one."""
    backends.set_backend("cards:1")
    yield cards[1]
    backends.set_backend("cpu")


def homes(*tensors):
    """The cards on which tensors say to be, and those in whose memory they are."""
    return {x.backend for x in tensors}, {x.array.card for x in tensors}


SECOND = ({"cards:1"}, {1})


def test_a_training_step_stays_on_the_card_that_was_selected(second):
    training = Training()
    losses = [training.step() for _ in range(2)]

    moments = [m for state in training.optimizer.state for m in state.values() if hasattr(m, "card")]
    weights = list(training.net.parameters())
    assert homes(*losses, *weights, *(w.grad for w in weights)) == SECOND
    assert {m.card for m in moments} == {1}
    assert fake_cuda.machine.current == 0


def test_what_is_watched_for_nan_stays_there_and_is_told_from_there(second):
    training, seen = Training(), []
    for p in training.net.parameters():
        p.register_hook(seen.append)
    x = dl.tensor([4.0, 0.0], requires_grad=True)

    with dl.debug_nans(inf=True):
        losses = [training.step() for _ in range(2)]
        with pytest.raises(FloatingPointError, match=r"^sqrt, .*: an infinity at \(1,\) .* 0 is 0.0"):
            dl.sum(dl.sqrt(x)).backward()

    assert homes(*losses, *training.net.parameters(), *seen) == SECOND
    assert fake_cuda.machine.current == 0


def test_a_training_loop_stays_there_too(second):
    x = np.random.default_rng(0).standard_normal((24, 3), np.float32)
    loader = data.DataLoader(data.ArrayDataset(x, np.argmax(x, axis=1)), 8, shuffle=True, workers=2)
    model = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.GELU(), nn.Dropout(0.2), nn.Linear(8, 3))
    optimizer = optim.AdamW(model.parameters(), optim.schedules.cosine(0.01, 9))
    trainer = train.Trainer(model, nn.CrossEntropyLoss(), optimizer, {"accuracy": train.accuracy})

    history = trainer.fit(loader, epochs=2, validation=loader)

    assert np.isfinite(history["val_loss"]).all()
    assert homes(*model.state_dict().values(), trainer.predict(loader)) == SECOND
    assert fake_cuda.machine.current == 0


def steps_of_a_graph(x):
    a = graph.Variable(x, name="a")
    loss = graph.Graph(graph.MSELoss(graph.Sigmoid(a), graph.Variable(dl.ones(3))))
    loss.forward({})
    found = [t for step in loss.backward_steps() for t in (*step.local.values(), *step.outgoing.values())]
    loss.backward()
    return [*found, a.grad]


@pytest.mark.parametrize("use", [
    lambda x: [dl.grad(lambda x: dl.sum(dl.exp(x) * x))(x)],
    lambda x: [dl.hessian(lambda x: dl.sum(dl.sin(x) * x * x))(x), dl.jacobian(dl.exp)(x)],
    lambda x: dl.jvp(dl.remat(lambda x: dl.sin(x) * x), [x], [x]),
    lambda x: [dl.grad(lambda x: dl.sum(dl.remat(dl.sin)(x)))(x)],
    lambda x: [dl.grad(dl.custom_vjp(lambda x: (dl.sum(dl.exp(x)), x), lambda saved, g: g * saved))(x)],
    lambda x: [trace(dl.grad(lambda x: dl.sum(dl.exp(x) * dl.cumsum(x, axis=0))), x)(x)],
    lambda x: nn.LSTM(3, 2)(x.reshape(1, 1, 3))[:1],
    lambda x: [optim.minimize(lambda x: dl.sum((x - 2.0) ** 2), x).x],
    lambda x: [copy.deepcopy(x), copy.copy(x), x[x > 1], x[[0, 0]], x + np.float64(1)],
    steps_of_a_graph,
])
def test_every_way_to_use_a_tensor_stays_on_its_card(second, use):
    assert homes(*use(dl.tensor([1.0, 2.0, 3.0]))) == SECOND


def test_it_makes_the_numbers_that_the_first_card_makes(cards):
    found = []
    for name in ("cards", "cards:1"):
        with backends.use_backend(name):
            training = Training()
        found.append([training.step().item() for _ in range(3)])

    assert found[0] == found[1]


@pytest.mark.parametrize("name", SUBJECTS)
def test_every_operation_and_its_derivatives_stay_on_the_card_of_the_arguments(cards, name):
    for sample in SUBJECTS[name].samples:
        with backends.use_backend("cards:1"):
            call = called(SUBJECTS[name], sample, dict.fromkeys(letters(sample), 2), seed=0)
            tensors = call.tensors(requires_grad=True)

        for out in outputs(call(*tensors)):
            assert homes(out) == SECOND
            if out.requires_grad:
                out.backward(dl.ones_like(out), retain_graph=True, create_graph=True)
                assert homes(*(x.grad for x in tensors if x.grad is not None)) <= SECOND


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_every_optimizer_steps_on_the_card_of_its_parameters(second, name, options, dtype):
    params = leaves(drawn(0), dtype)
    optimizer = getattr(optim, name)(params, **options)
    optimizer.param_groups[0]["maximize"] = True

    run(optimizer, params, 2)

    assert homes(*params) == SECOND


def test_clipping_scaling_and_averaging_stay_on_the_card_of_the_parameters(second):
    params = leaves(drawn(1))
    optimizer, scaler, average = optim.SGD(params, lr=0.1), optim.GradScaler(8.0), optim.EMA(params, 0.5)

    scaler.scale(loss_of(params)).backward()
    scaler.unscale(optimizer)
    optim.clip_grad_norm(params, 0.5)
    optim.clip_grad_value(params, 0.4)
    scaler.step(optimizer)
    average.update()

    with average.applied():
        assert homes(*params, *(p.grad for p in params)) == SECOND


def test_new_tensors_and_random_numbers_are_made_on_the_selected_card(second):
    made = [dl.zeros(2), dl.ones(2), dl.full((2,), 3), dl.empty(2), dl.arange(3), dl.linspace(0, 1, 3),
            dl.eye(2), dl.tensor([1.0]), dl.tensor(1.0), dl.zeros_like(dl.ones(2)), dl.empty_like(dl.ones(2)),
            dl.random.normal((3,)), dl.random.normal((3,), 1.0, 2.0), dl.random.uniform((3,), -1.0, 1.0),
            dl.random.integers(2, 9, (3,)), dl.random.permutation(4), dl.random.bernoulli(0.5, (3,))]

    assert homes(*made) == SECOND


def test_a_tensor_moves_from_card_to_card_and_its_gradient_back(second):
    x = dl.tensor([1.0, 2.0], requires_grad=True)

    there = x.to("cards")
    loss = (there * there).to("cards:1").sum()
    loss.backward()

    assert homes(there) == ({"cards"}, {0})
    assert homes(loss, x.grad) == SECOND
    assert x.grad.tolist() == [2.0, 4.0]


def test_a_module_moves_to_another_card(second):
    net = nn.Linear(2, 2)
    optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)

    net.to("cards")
    net(dl.ones((1, 2)).to("cards")).sum().backward()
    optimizer.step()

    assert homes(*net.parameters()) == ({"cards"}, {0})


def test_tensors_of_two_cards_in_one_operation_are_an_error(cards):
    x, y = (backends.get_backend(name).from_host(np.ones(2)) for name in ("cards", "cards:1"))

    with pytest.raises(dl.BackendError, match=r"multiply: arrays on cards and cards:1 in one operation; "
                                              r"move one of them with Tensor.to"):
        dl.Tensor(x) * dl.Tensor(y)


def test_members_that_are_called_from_outside_compute_at_home(cards):
    xp = cards[1]
    x, mask, i = xp.arange(4.0), xp.from_host(np.array([True, False] * 2)), xp.arange(2)

    results = [xp.copy(x), xp.astype(x, "int64"), xp.getitem(x, (i,)), xp.getitem(x, (mask,)), xp.take(x, i),
               xp.index_add((4,), (i,), xp.ones((2,))), xp.scatter_add(x, 0, i, xp.ones((2,))), xp.sum(x),
               xp.exp(x), xp.zero_safe_divide(x, x), xp.special("erf", x), xp.cumulative_max(x, 0),
               xp.linalg.solve(xp.eye(2), xp.ones((2, 2))), xp.from_host_async(np.ones(3)), *xp.nonzero(mask)]
    xp.synchronize()

    assert {r.card for r in results} == {1}
    assert fake_cuda.machine.current == 0


def test_an_index_outside_is_reported_by_its_own_card(cards):
    clamped = cards[1].take(cards[1].arange(3.0), cards[1].from_host(np.array([7])))

    cards[0].synchronize()
    with pytest.raises(IndexError, match="take: index 7 is out of bounds"):
        cards[1].to_host(clamped)


def test_a_card_that_is_full_is_told_by_its_name_and_its_own_figures(cards, monkeypatch):
    x = dl.Tensor(cards[1].ones((1 << 18,)))
    monkeypatch.setattr(fake_cuda.machine, "limit", fake_cuda.machine.used[1])

    for act in (lambda: x * x, lambda: cards[1].copy(x.array)):
        with pytest.raises(dl.OutOfMemoryError, match=r"out of memory on cards:1: 1.00 MiB were asked for; "):
            act()
    assert cards[1].memory_info()["free"] == 0


def test_one_card_of_several_that_is_selected_alone_computes_at_home(cards):
    registry._loaded.pop("cards")
    registry._claim_arrays()
    try:
        x = dl.Tensor(cards[1].from_host(np.array([2.0])))
        x.requires_grad = True
        (x * x * 3.0).sum().backward()

        assert homes(x.grad) == SECOND
        assert_allclose(x.grad.numpy(), [12.0])
    finally:
        registry._loaded["cards"] = cards[0]
        registry._claim_arrays()


def test_the_stand_in_refuses_arrays_of_a_card_that_is_not_the_current_one(cards):
    with pytest.raises(ValueError, match=r"resides \(1\) is different from the current device \(0\)"):
        cards[1].ones((2,)) + 1.0


@pytest.mark.cuda
def test_a_training_step_on_the_second_card_of_a_machine_stays_there():
    try:
        backends.set_backend("cuda:1")
    except dl.BackendError as error:
        pytest.skip(f"needs two cards: {error}")
    try:
        training = Training()
        training.step()
        assert {w.array.device.id for w in training.net.parameters()} == {1}
    finally:
        backends.set_backend("cpu")
