"""Recurrent layers equal PyTorch's for the same weights, to second order, and walk as they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import dlcore as dl
from dlcore import nn
from dlcore.testing import check_grads
from dlcore.testing.strategies import SEEDS
from tests.strategies import fewer

LAYERS, CELLS = ["RNN", "LSTM", "GRU"], ["RNNCell", "LSTMCell", "GRUCell"]


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed", exc_type=ImportError)


def double(layer):
    return layer.to(dl.float64)


def twin(torch, layer, *args, **options):
    """PyTorch's layer of the same kind with the same weights."""
    other = getattr(torch.nn, type(layer).__name__)(*args, **options).double()
    other.load_state_dict({name: torch.tensor(x.numpy()) for name, x in layer.state_dict().items()})
    return other


def assert_same_run(torch, ours, theirs, x, state, seed):
    """Outputs, and the gradients of a random weighting of them, by input, state and weights."""
    rng = np.random.default_rng(seed)
    flat = lambda result: [v for part in (result if isinstance(result, tuple) else (result,))
                           for v in (part if isinstance(part, tuple) else (part,))]
    given, *state_ours = [dl.tensor(a, requires_grad=True) for a in (x, *state)]
    theirs_x, *theirs_s = [torch.tensor(a, requires_grad=True) for a in (x, *state)]
    pack = lambda s: None if not s else tuple(s) if len(s) > 1 else s[0]

    found, expected = flat(ours(given, pack(state_ours))), flat(theirs(theirs_x, pack(theirs_s)))
    weights = [rng.standard_normal(y.shape) for y in found]
    sum((y * dl.tensor(w)).sum() for y, w in zip(found, weights, strict=True)).backward()
    sum((y * torch.tensor(w)).sum() for y, w in zip(expected, weights, strict=True)).backward()

    for y, z in zip(found, expected, strict=True):
        assert_allclose(y.numpy(), z.detach().numpy(), rtol=1e-10, atol=1e-12)
    named = dict(theirs.named_parameters())
    pairs = [(p, named[name]) for name, p in ours.named_parameters()]
    for p, q in [*pairs, (given, theirs_x), *zip(state_ours, theirs_s, strict=True)]:
        assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", LAYERS)
@fewer(3)
@given(layers=st.integers(1, 2), bias=st.booleans(), batch_first=st.booleans(), both=st.booleans(),
       n=st.sampled_from([None, 1, 3]), steps=st.integers(1, 4), begun=st.booleans(), seed=SEEDS)
def test_a_layer_equals_pytorchs(torch, kind, layers, bias, batch_first, both, n, steps, begun, seed):
    options = {"bias": bias, "batch_first": batch_first, "bidirectional": both}
    dl.random.seed(seed)
    ours = double(getattr(nn, kind)(3, 4, layers, **options))
    theirs = twin(torch, ours, 3, 4, layers, **options)
    rng = np.random.default_rng(seed)
    batch = () if n is None else (n,)
    shape = (*batch, steps, 3) if batch_first else (steps, *batch, 3)
    states = [rng.standard_normal((layers * (1 + both), *batch, 4)) for _ in range(1 + (kind == "LSTM"))]

    assert_same_run(torch, ours, theirs, rng.standard_normal(shape), states if begun else [], seed)


@pytest.mark.parametrize("kind", CELLS)
@fewer(3)
@given(n=st.sampled_from([None, 1, 3]), bias=st.booleans(), begun=st.booleans(), seed=SEEDS)
def test_a_cell_equals_pytorchs(torch, kind, n, bias, begun, seed):
    ours = double(getattr(nn, kind)(3, 4, bias=bias))
    theirs = twin(torch, ours, 3, 4, bias=bias)
    rng = np.random.default_rng(seed)
    batch = () if n is None else (n,)
    states = [rng.standard_normal((*batch, 4)) for _ in range(1 + (kind == "LSTMCell"))]

    assert_same_run(torch, ours, theirs, rng.standard_normal((*batch, 3)), states if begun else [], seed)


@pytest.mark.parametrize("kind", ["RNN", "RNNCell"])
def test_relu_takes_the_place_of_tanh(torch, kind):
    ours = double(getattr(nn, kind)(3, 4, nonlinearity="relu"))
    theirs = twin(torch, ours, 3, 4, nonlinearity="relu")

    assert_same_run(torch, ours, theirs, np.random.default_rng(0).standard_normal((2, 3)), [], 0)


@pytest.mark.parametrize("kind", LAYERS)
def test_derivatives_are_right_to_second_order(kind, backend):
    layer = double(getattr(nn, kind)(2, 3, 2, bidirectional=True))
    x = dl.random.Generator(1).normal((3, 2, 2), dtype="float64")

    def run(x, *weights):
        for p, w in zip(layer.parameters(), weights, strict=True):
            p.array, p.node = w.array, w.node
        return layer(x)[0]

    check_grads(run, x, *[p.detach() for p in layer.parameters()])


@pytest.mark.parametrize("kind", LAYERS)
def test_a_cell_walked_by_hand_is_the_layer(kind, backend):
    layer, cell = getattr(nn, kind)(3, 4), getattr(nn, f"{kind}Cell")(3, 4)
    cell.load_state_dict({name.removesuffix("_l0"): x for name, x in layer.state_dict().items()})
    x, state = dl.random.Generator(2).normal((5, 2, 3)), None

    for step in x:
        state = cell(step, state)

    outputs, _ = layer(x)
    h = state[0] if kind == "LSTM" else state
    assert_allclose(h.numpy(), outputs[-1].numpy(), rtol=1e-6, atol=1e-7)  # float32


def test_dropout_zeroes_what_goes_from_layer_to_layer_in_training_only():
    layer, x = nn.GRU(3, 4, num_layers=2, dropout=1.0), dl.ones((2, 1, 3))

    trained = layer(x)[0]
    assert (trained == layer(x * 2.0)[0]).numpy().all()  # nothing comes through
    layer.eval()
    assert not (layer(x)[0] == trained).numpy().any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.LSTM(3, 0), "LSTM: hidden_size must be at least 1, got 0"),
        (lambda: nn.GRU(3, 4, num_layers=0), "GRU: num_layers must be at least 1, got 0"),
        (lambda: nn.LSTM(3, 4, dropout=2.0), r"LSTM: dropout must be from 0 to 1, got 2\.0"),
        (lambda: nn.RNN(3, 4, nonlinearity="sin"), "nonlinearity must be 'tanh' or 'relu', got 'sin'"),
        (lambda: nn.LSTM(3, 4)(dl.ones((5, 2, 4))),
         r"LSTM: x must be \(steps, n, 3\) or \(steps, 3\), got \(5, 2, 4\)"),
        (lambda: nn.LSTM(3, 4, batch_first=True)(dl.ones(3)), r"LSTM: x must be \(n, steps, 3\)"),
        (lambda: nn.LSTM(3, 4)(dl.ones((5, 2, 3)), dl.ones((1, 2, 4))),
         r"LSTM: needs a pair of states of shape \(1, 2, 4\), got \(1, 2, 4\)"),
        (lambda: nn.GRU(3, 4)(dl.ones((5, 2, 3)), dl.ones((2, 4))),
         r"GRU: needs a state of shape \(1, 2, 4\), got \(2, 4\)"),
        (lambda: nn.GRU(3, 4)(dl.ones((0, 2, 3))), "GRU: a sequence needs at least one step"),
        (lambda: nn.LSTMCell(3, 4)(dl.ones((2, 4))), r"LSTMCell: x must be \(n, 3\) or \(3,\), got \(2, 4\)"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
