"""Attention and transformers: PyTorch's results, weights and gradients, with its state and its masks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import dlcore as dl
from dlcore import nn
from dlcore.testing import check_grads
from dlcore.testing.strategies import SEEDS
from tests.strategies import fewer

N, QUERIES, KEYS, EMBED, HEADS = 5, 3, 4, 6, 2  # all different, so that none can stand for another


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed", exc_type=ImportError)


def twins(torch, name, seed, *args, **options):
    """Our layer and PyTorch's in float64 with the same weights, none of them zeros or ones."""
    rng = np.random.default_rng(seed)
    ours = getattr(nn, name)(*args, **options).to(dl.float64)
    theirs = getattr(torch.nn, name)(*args, **options).double()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    state = {n: rng.standard_normal(x.shape) for n, x in ours.state_dict().items()}
    ours.load_state_dict(state)
    theirs.load_state_dict({n: torch.tensor(x) for n, x in state.items()})
    return ours, theirs


def assert_same_run(torch, ours, theirs, xs, run, seed=0):
    """``run`` of both gives the same, and so do gradients of random cotangents, in inputs and weights."""
    ours_in, theirs_in = ([make(x, requires_grad=True) for x in xs] for make in (dl.tensor, torch.tensor))
    found = [y for y in run(ours, dl.tensor, *ours_in) if y is not None]
    expected = [z for z in run(theirs, torch.tensor, *theirs_in) if z is not None]
    rng = np.random.default_rng(seed)
    g = [rng.standard_normal(y.shape) for y in found]

    sum((y * dl.tensor(w)).sum() for y, w in zip(found, g, strict=True)).backward()
    sum((z * torch.tensor(w)).sum() for z, w in zip(expected, g, strict=True)).backward()

    for y, z in zip(found, expected, strict=True):
        assert_allclose(y.numpy(), z.detach().numpy(), rtol=1e-9, atol=1e-11)
    named = dict(theirs.named_parameters())
    pairs = [(p, named[n]) for n, p in ours.named_parameters()]
    for a, b in [*pairs, *zip(ours_in, theirs_in, strict=True)]:
        assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-9, atol=1e-11)


def masks_of(rng, attn, padding, batch):
    """Masks that let every query look at the first key at least: else PyTorch answers with nan."""
    shapes = {"2d": (QUERIES, KEYS), "3d": ((batch or 1) * HEADS, QUERIES, KEYS)}
    found = []
    for kind, shape in [(attn, shapes.get(attn[:2])), (padding, (*([batch] if batch else []), KEYS))]:
        if kind == "none":
            found.append(None)
        elif kind.endswith("bool"):
            mask = rng.random(shape) < 0.4
            mask[..., 0] = False
            found.append(mask)
        else:
            found.append(rng.standard_normal(shape))
    return found


@fewer(2)
@given(attn=st.sampled_from(["none", "2d bool", "2d float", "3d bool", "3d float"]),
       padding=st.sampled_from(["none", "bool", "float"]), batch=st.sampled_from([None, N]),
       batch_first=st.booleans(), bias=st.booleans(), need_weights=st.booleans(), average=st.booleans(),
       features=st.sampled_from([(None, None), (5, None), (None, 7), (5, 7)]), seed=SEEDS)
@pytest.mark.filterwarnings("ignore:Support for mismatched:UserWarning")  # PyTorch's, about mixed masks
def test_attention_is_pytorchs(torch, backend, attn, padding, batch, batch_first, bias, need_weights, average,
                               features, seed):
    kdim, vdim = features
    ours, theirs = twins(torch, "MultiheadAttention", seed, EMBED, HEADS, bias=bias, batch_first=batch_first,
                         kdim=kdim, vdim=vdim)
    rng = np.random.default_rng(seed)
    xs = [rng.standard_normal((steps, *([batch] if batch else []), size))
          for steps, size in [(QUERIES, EMBED), (KEYS, kdim or EMBED), (KEYS, vdim or EMBED)]]
    if batch and batch_first:
        xs = [x.swapaxes(0, 1) for x in xs]
    attn_mask, padding_mask = masks_of(rng, attn, padding, batch)
    given_ = lambda make, mask: None if mask is None else make(mask)

    def run(layer, make, *qkv):
        return layer(*qkv, given_(make, padding_mask), need_weights, given_(make, attn_mask), average)

    assert_same_run(torch, ours, theirs, xs, run, seed)


@pytest.mark.parametrize("batch_first", [False, True])
def test_a_sequence_that_attends_to_itself_is_pytorchs(torch, backend, batch_first):
    ours, theirs = twins(torch, "MultiheadAttention", 0, EMBED, HEADS, batch_first=batch_first)
    x = np.random.default_rng(0).standard_normal((KEYS, N, EMBED))

    assert_same_run(torch, ours, theirs, [x], lambda layer, make, x: layer(x, x, x))


@pytest.mark.parametrize("padded", [False, True])
def test_a_causal_layer_needs_no_mask_that_says_so_and_takes_others_beside(torch, backend, padded):
    ours, theirs = twins(torch, "MultiheadAttention", 0, EMBED, HEADS)
    x = np.random.default_rng(0).standard_normal((KEYS, N, EMBED))
    padding = np.eye(N, KEYS, k=1, dtype=bool) if padded else None
    causal = np.triu(np.ones((KEYS, KEYS), bool), 1)

    def run(layer, make, x):
        mask = None if padding is None else make(padding)
        if layer is ours:
            return layer(x, x, x, mask, is_causal=True)
        return layer(x, x, x, mask, attn_mask=make(causal), is_causal=True)

    assert_same_run(torch, ours, theirs, [x], run)


def test_a_query_that_may_look_at_nothing_takes_nothing(backend):
    layer = nn.MultiheadAttention(4, 2, bias=False)
    x = dl.ones((3, 1, 4), requires_grad=True)
    mask = dl.tensor([[True, True, True], [True, False, True], [False, False, False]])

    out, weights = layer(x, x, x, attn_mask=mask)
    out.sum().backward()

    assert_array_equal(out.numpy()[0], 0.0)
    assert_allclose(weights.numpy()[0], [[0, 0, 0], [0, 1, 0], [1 / 3] * 3], rtol=1e-6)
    assert np.isfinite(x.grad.numpy()).all()


@pytest.mark.parametrize("need_weights", [False, True])
def test_weights_of_attention_are_dropped_in_training_only(need_weights, backend):
    layer, x = nn.MultiheadAttention(4, 2, dropout=1.0), dl.ones((3, 1, 4))

    trained, weights = layer(x, x, x, need_weights=need_weights)
    predicted, _ = layer.eval()(x, x, x, need_weights=need_weights)

    assert (trained.numpy() == 0.0).all()
    assert weights is None or (weights.numpy() == 0.0).all()
    assert (predicted.numpy() != 0.0).all()


def test_attention_is_drawn_as_pytorch_draws_it(torch):
    ours, theirs = nn.MultiheadAttention(40, 4), torch.nn.MultiheadAttention(40, 4)

    for (name, x), y in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        spread = np.abs(y.numpy(force=True)).max()
        assert_allclose(np.abs(x.numpy()).max(), spread, rtol=0.02, err_msg=name)  # of 1600 even numbers


def test_derivatives_of_attention_are_right_to_second_order(backend):
    layer = nn.MultiheadAttention(4, 2).to(dl.float64)
    rng = np.random.default_rng(1)
    state = [rng.standard_normal(p.shape) for p in layer.parameters()]
    mask = dl.tensor([[False, True], [False, False]])

    def run(q, k, *weights):
        for p, w in zip(layer.parameters(), weights, strict=True):
            p.array, p.node = w.array, w.node
        return layer(q, k, k, attn_mask=mask)

    check_grads(run, *map(dl.tensor, [*rng.standard_normal((2, 2, 1, 4)), *state]))


# --- transformers ----------------------------------------------------------------------------------


@fewer(2)
@given(norm_first=st.booleans(), batch_first=st.booleans(), bias=st.booleans(), padded=st.booleans(),
       masked=st.booleans(), activation=st.sampled_from(["relu", "gelu"]), seed=SEEDS)
def test_a_layer_of_an_encoder_is_pytorchs(torch, backend, norm_first, batch_first, bias, padded, masked,
                                           activation, seed):
    ours, theirs = twins(torch, "TransformerEncoderLayer", seed, EMBED, HEADS, 5, 0.0, activation, 1e-3,
                         batch_first=batch_first, norm_first=norm_first, bias=bias)
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((N, KEYS, EMBED) if batch_first else (KEYS, N, EMBED))
    padding = rng.random((N, KEYS)) < 0.4
    padding[:, 0] = False
    causal = np.triu(np.ones((KEYS, KEYS), bool), 1)

    def run(layer, make, x):
        return [layer(x, make(causal) if masked else None, make(padding) if padded else None)]

    assert_same_run(torch, ours, theirs, [x], run, seed)


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True:UserWarning")  # PyTorch's, about its speed
@pytest.mark.parametrize("normed", [False, True])
def test_an_encoder_is_pytorchs(torch, backend, normed):
    def encoder(library):
        layer = library.TransformerEncoderLayer(EMBED, HEADS, 5, 0.0, norm_first=True)
        return library.TransformerEncoder(layer, 2, library.LayerNorm(EMBED) if normed else None)

    rng = np.random.default_rng(0)
    ours, theirs = encoder(nn).to(dl.float64), encoder(torch.nn).double()
    state = {n: rng.standard_normal(x.shape) for n, x in theirs.state_dict().items()}
    ours.load_state_dict(state)
    theirs.load_state_dict({n: torch.tensor(x) for n, x in state.items()})
    causal = np.triu(np.ones((KEYS, KEYS), bool), 1)

    assert_same_run(torch, ours, theirs, [rng.standard_normal((KEYS, N, EMBED))], lambda layer, make, x: [
        layer(x, is_causal=True) if layer is ours else layer(x, make(causal))])


def test_an_encoder_copies_its_layer_and_shares_nothing_with_it(backend):
    layer = nn.TransformerEncoderLayer(4, 2, 8)

    encoder = nn.TransformerEncoder(layer, 3)

    ids = [{id(p) for p in one.parameters()} for one in (layer, *encoder.layers)]
    assert len(set.union(*ids)) == 4 * len(ids[0])
    assert_array_equal(encoder.layers[2].linear1.weight.numpy(), layer.linear1.weight.numpy())


def test_dropout_of_an_encoder_is_for_training_and_any_function_may_be_its_activation(backend):
    layer, x = nn.TransformerEncoderLayer(4, 2, 8, 0.5, dl.tanh), dl.ones((3, 2, 4))

    assert (layer(x).numpy() != layer(x).numpy()).any()
    layer.eval()
    assert_array_equal(layer(x).numpy(), layer(x).numpy())


MHA = nn.MultiheadAttention(4, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.MultiheadAttention(5, 2),
         "MultiheadAttention: embed_dim 5 cannot be divided into num_heads 2"),
        (lambda: nn.MultiheadAttention(4, 0), "embed_dim 4 cannot be divided into num_heads 0"),
        (lambda: nn.MultiheadAttention(4, 2, 1.5), "MultiheadAttention: dropout must be from 0 to 1"),
        (lambda: MHA(dl.ones((3, 1, 5)), dl.ones((3, 1, 4)), dl.ones((3, 1, 4))),
         (r"query, key and value must be \(steps, n, features\) or \(steps, features\), with features "
          r"\(4, 4, 4\) and as many values as keys; got \(3, 1, 5\), \(3, 1, 4\) and \(3, 1, 4\)$")),
        (lambda: MHA(dl.ones((3, 1, 4)), dl.ones((3, 1, 4)), dl.ones((2, 1, 4))), "as many values as keys"),
        (lambda: MHA(dl.ones((3, 1, 4)), dl.ones((3, 2, 4)), dl.ones((3, 2, 4))), "query, key and value"),
        (lambda: MHA(*[dl.ones(4)] * 3), "query, key and value must be"),
        (lambda: nn.MultiheadAttention(4, 2, batch_first=True)(dl.ones((1, 3, 4)), *[dl.ones((3, 4))] * 2),
         r"must be \(n, steps, features\)"),
        (lambda: MHA(*[dl.ones((3, 2, 4))] * 3, attn_mask=dl.ones((2, 3, 3))),
         r"MultiheadAttention: attn_mask must be \(3, 3\) or \(4, 3, 3\), got \(2, 3, 3\)"),
        (lambda: MHA(*[dl.ones((3, 2, 4))] * 3, dl.ones((3, 2))),
         r"MultiheadAttention: key_padding_mask must be \(2, 3\), one for each key, got \(3, 2\)"),
        (lambda: nn.TransformerEncoderLayer(4, 2, activation="tanh"),
         "TransformerEncoderLayer: activation must be 'relu', 'gelu' or a function, got 'tanh'"),
        (lambda: nn.TransformerEncoder(nn.Identity(), 0),
         "TransformerEncoder: num_layers must be at least 1, got 0"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
