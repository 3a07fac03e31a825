"""Averages of weights: what they are, how they are put to use, and that nobody's array changes."""

import numpy as np
import pytest
from hypothesis import given
from numpy.testing import assert_allclose, assert_array_equal

import dlcore as dl
from dlcore import optim
from dlcore.testing.strategies import SEEDS
from tests.optimizing import drawn, leaves
from tests.strategies import fewer

KINDS = [(lambda params: optim.EMA(params, decay=0.75), "EMA"), (optim.SWA, "SWA")]
every = pytest.mark.parametrize("make", [k[0] for k in KINDS], ids=[k[1] for k in KINDS])


def history(params, average, seed, steps=4):
    """The values that the parameters had at each update."""
    seen = []
    for i in range(steps):
        for p, x in zip(params, drawn(seed + i), strict=True):
            p.data = dl.tensor(x).astype(p.dtype)
        seen.append(drawn(seed + i))
        average.update()
    return seen


def held(average, params):
    with average.applied():
        return [np.array(p.numpy()) for p in params]


@fewer(3)
@given(seed=SEEDS)
def test_swa_is_the_mean_of_all_updates(seed, backend):
    params = leaves(drawn(0))
    average = optim.SWA(params)

    seen = history(params, average, seed)

    for x, *values in zip(held(average, params), *seen, strict=True):
        assert_allclose(x, np.mean(values, axis=0), rtol=1e-12, atol=1e-14)


@fewer(3)
@given(seed=SEEDS)
def test_ema_weighs_an_update_less_the_longer_it_is_ago(seed, backend):
    params = leaves(drawn(0))
    average = optim.EMA(params, decay=0.75)

    seen = history(params, average, seed)

    weights = [0.75**3, 0.25 * 0.75**2, 0.25 * 0.75, 0.25]
    for x, *values in zip(held(average, params), *seen, strict=True):
        expected = sum(w * v for w, v in zip(weights, values, strict=True))
        assert_allclose(x, expected, rtol=1e-12, atol=1e-14)


@every
def test_the_averages_are_pytorchs(make):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed", exc_type=ImportError)
    swa_utils = torch.optim.swa_utils
    model = torch.nn.Linear(3, 2, dtype=torch.float64)
    decays = {} if make is optim.SWA else {"multi_avg_fn": swa_utils.get_ema_multi_avg_fn(0.75)}
    reference = swa_utils.AveragedModel(model, **decays)
    params = leaves([p.detach().numpy() for p in model.parameters()])
    average = make(params)

    for i in range(4):
        for p, q in zip(params, model.parameters(), strict=True):
            x = np.random.default_rng(i).standard_normal(p.shape)
            p.data = dl.tensor(x)
            q.data = torch.tensor(x)
        average.update()
        reference.update_parameters(model)

    for x, q in zip(held(average, params), reference.module.parameters(), strict=True):
        assert_allclose(x, q.detach().numpy(), rtol=1e-12)


@every
def test_parameters_come_back_after_the_block_even_if_it_fails(make, backend):
    params = leaves(drawn(0))
    average = make(params)
    history(params, average, 1)
    arrays = [p.array for p in params]

    with pytest.raises(ZeroDivisionError), average.applied():
        _ = [1.0 / (p.array is a) for p, a in zip(params, arrays, strict=True)]  # each is another array

    assert all(p.array is a for p, a in zip(params, arrays, strict=True))


@every
def test_swapping_twice_changes_nothing_and_no_update_is_lost_between(make, backend):
    params = leaves(drawn(0))
    average = make(params)
    history(params, average, 1)
    before = held(average, params)

    average.swap()
    with pytest.raises(ValueError, match=r"update: the parameters hold the averages now; swap\(\) them back"):
        average.update()
    average.swap()

    for x, y in zip(held(average, params), before, strict=True):
        assert_array_equal(x, y)


@every
def test_no_array_that_anybody_holds_is_written_to(make, backend):
    params = leaves(drawn(0))
    average = make(params)
    history(params, average, 1)
    with average.applied():
        kept = [p.detach() for p in params]
        values = [np.array(x.numpy()) for x in kept]

    history(params, average, 9)

    for x, y in zip(kept, values, strict=True):
        assert_array_equal(x.numpy(), y)


@every
def test_averages_go_on_from_a_state_bit_for_bit(make, backend):
    params = leaves(drawn(0))
    average = make(params)
    history(params, average, 1)
    fresh = make(params)
    fresh.load_state_dict(average.state_dict())
    for one in (average, fresh):
        one.update()

    for x, y in zip(held(average, params), held(fresh, params), strict=True):
        assert_array_equal(x, y)
    assert fresh.updates == average.updates == 5


def test_averages_of_halves_are_kept_in_float32():
    p = dl.tensor([1.0], "float16", requires_grad=True)
    average = optim.EMA([p], decay=0.999)
    average.update()
    p.data = dl.tensor([2.0], "float16")

    for _ in range(100):  # steps of a thousandth, of which float16 would lose a tenth
        average.update()

    assert average.state_dict()["averages"][0].dtype == dl.float32
    assert average.state_dict()["averages"][0][0] == pytest.approx(2.0 - 0.999**100, rel=1e-5)
    with average.applied():
        assert p.dtype == dl.float16


def test_a_model_predicts_with_averages_inside_the_block(backend):
    layer = dl.nn.Linear(2, 1)
    average = optim.SWA(layer.parameters())
    average.update()
    x, before = dl.ones((1, 2)), layer(dl.ones((1, 2))).tolist()
    for p in layer.parameters():
        p.data = p.data * 0.0

    with average.applied():
        assert layer(x).tolist() == before
    assert layer(x).tolist() == [[0.0]]
    assert repr(average) == "SWA(2 parameters, 1 updates)"


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (ValueError, lambda: optim.SWA([]), "SWA: there are no parameters to average"),
        (TypeError, lambda: optim.EMA([dl.arange(3)]), r"EMA: parameter 0 is int64\(3,\), not a tensor"),
        (TypeError, lambda: optim.EMA([1.0]), "EMA: parameter 0 is a float, not a tensor of floats"),
        (ValueError, lambda: optim.EMA([dl.ones(1)], decay=1.0), "decay must be at least 0 and less than 1"),
        (ValueError, lambda: optim.SWA([dl.ones(2)]).load_state_dict({}),
         r"SWA: the state lacks \['averages', 'updates'\]; it comes from state_dict"),
        (ValueError, lambda: optim.SWA([dl.ones(2)]).load_state_dict(optim.SWA([dl.ones(3)]).state_dict()),
         r"SWA: the state is of shapes \[\(3,\)\], the parameters have \[\(2,\)\]"),
    ],
)
def test_a_mistake_is_named(error, call, message):
    with pytest.raises(error, match=message):
        call()
