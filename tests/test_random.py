"""Random numbers: the stream of Philox, the same on every backend, from a state of two integers."""

import copy
import math
import pickle
import threading
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import dlcore as dl
from dlcore import random
from dlcore.random import Generator

SEEDS = st.integers(0, 2**64 - 1)
SHAPES = st.lists(st.integers(0, 3), max_size=2).map(tuple)
EXACT = {"uniform": lambda g: g.uniform((2, 3), -1.5, 2.5, "float64"),
         "integers": lambda g: g.integers(-5, 1000, 7),
         "float32": lambda g: g.uniform(5), "bernoulli": lambda g: g.bernoulli(0.3, (4, 2)),
         "permutation": lambda g: g.permutation(9)}


# --- the stream -----------------------------------------------------------------------------------


@given(seed=SEEDS, skipped=st.integers(0, 50), count=st.integers(0, 20))
def test_the_words_are_those_of_numpys_philox(seed, skipped, count, backend):
    generator = Generator(seed)
    generator.state = (seed, skipped)

    found = generator.uniform(count, dtype="float64")

    words = np.random.Philox(key=seed).random_raw(skipped + count)[skipped:]
    assert_array_equal(found.numpy(), (words >> np.uint64(11)) * 2.0**-53)


def test_the_first_numbers_of_seed_0_are_these(backend):
    """Computed once; whoever changes the stream changes every trained model."""
    g = Generator(0)

    assert g.integers(0, 100, 4).tolist() == [1, 24, 11, 56]
    assert g.permutation(5).tolist() == [4, 1, 0, 2, 3]
    expected = [-0.15696011660019774, -0.6397774477209769]
    assert_allclose(g.normal(2, dtype="float64").numpy(), expected, rtol=1e-15)


@pytest.mark.parametrize("draw", EXACT.values(), ids=EXACT)
@given(seed=SEEDS)
def test_all_but_normal_are_equal_bit_for_bit_on_all_backends(draw, seed, backend):
    with dl.use_backend("cpu"):
        expected = draw(Generator(seed))

    found = draw(Generator(seed))

    assert (found.dtype, found.backend) == (expected.dtype, backend.name)
    assert_array_equal(found.numpy(), expected.numpy())


@given(seed=SEEDS)
def test_normal_numbers_are_equal_to_rounding_on_all_backends(seed, backend):
    with dl.use_backend("cpu"):
        expected = Generator(seed).normal((3, 3), 1.0, 2.0, "float64")

    found = Generator(seed).normal((3, 3), 1.0, 2.0, "float64")

    assert_allclose(found.numpy(), expected.numpy(), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("draw", [*EXACT.values(), lambda g: g.normal(3), lambda g: g.normal(4, 5.0, 0.1)])
def test_a_seed_gives_the_same_numbers_again_and_another_gives_others(draw, backend):
    assert_array_equal(draw(Generator(3)).numpy(), draw(Generator(3)).numpy())
    assert (draw(Generator(3)).numpy() != draw(Generator(4)).numpy()).any()
    g = Generator(3)
    assert (draw(g).numpy() != draw(g).numpy()).any()


@given(sizes=st.lists(st.integers(0, 5), max_size=4))
def test_a_long_draw_is_its_parts_in_a_row(sizes, backend):
    g = Generator(1)

    parts = [g.uniform(n, dtype="float64").numpy() for n in sizes]

    whole = Generator(1).uniform(sum(sizes), dtype="float64").numpy()
    assert_array_equal(np.concatenate([[], *parts]), whole)


def test_words_are_spent_one_a_number_and_normal_ones_in_pairs():
    positions = []
    for draw in (lambda g: g.uniform((2, 3)), lambda g: g.integers(5, shape=4), lambda g: g.bernoulli(),
                 lambda g: g.permutation(5), lambda g: g.normal(4), lambda g: g.normal(3),
                 lambda g: g.uniform(0)):
        g = Generator(0)
        draw(g)
        positions.append(g.state)

    assert positions == [(0, n) for n in (6, 4, 1, 5, 4, 4, 0)]


# --- the state ------------------------------------------------------------------------------------


@given(seed=SEEDS, position=st.integers(0, 2**70))
def test_a_state_that_was_taken_can_be_put_back(seed, position, backend):
    g = Generator(seed)
    g.state = (seed, position)

    first = g.uniform(3).numpy()
    after = g.state
    g.state = (seed, position)

    assert_array_equal(g.uniform(3).numpy(), first)
    assert g.state == after == (seed, position + 3)


def pickled(g):
    return pickle.loads(pickle.dumps(g))  # noqa: S301  our own, of this moment


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, pickled])
def test_a_copy_goes_on_where_the_first_stood_and_by_itself(again):
    g = Generator(5)
    g.uniform(3)

    copied = again(g)
    expected = copied.uniform(4).tolist()

    assert g.state == (5, 3)
    assert g.uniform(4).tolist() == expected


def test_seed_starts_the_default_generator_anew(backend):
    dl.random.seed(11)
    draws = [("uniform", (2,)), ("normal", (2,)), ("integers", (0, 9, 2)), ("bernoulli", (0.5, 2)),
             ("permutation", (4,))]
    found = [getattr(dl.random, name)(*args).tolist() for name, args in draws]
    g = Generator(11)

    assert found == [getattr(g, name)(*args).tolist() for name, args in draws]
    assert random.default_generator.state == g.state
    assert repr(g) == "Generator(seed=11, position=12)"


def test_threads_never_share_a_word():
    g, drawn = Generator(0), []

    def draw():
        for _ in range(50):
            drawn.extend(g.uniform(4, dtype="float64").tolist())

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(drawn) == sorted(Generator(0).uniform(800, dtype="float64").tolist())


def test_numbers_are_made_where_it_is_said_and_else_on_the_selected_backend():
    g = Generator(0)

    for draw in (g.uniform, g.normal, partial(g.integers, 5), g.bernoulli, partial(g.permutation, 3)):
        assert (draw().backend, draw(backend="strict").backend) == ("cpu", "strict")


# --- the distributions ----------------------------------------------------------------------------


@given(shape=SHAPES)
def test_shapes_and_dtypes(shape, backend):
    g = Generator(0)

    drawn = [g.uniform(shape), g.normal(shape), g.integers(3, shape=shape), g.bernoulli(0.5, shape)]
    assert [x.shape for x in drawn] == [shape] * 4
    assert [x.dtype for x in (g.uniform(), g.normal(), g.integers(3), g.bernoulli(), g.permutation(3))] \
        == ["float32", "float32", "int64", "bool", "int64"]
    assert g.uniform(3, dtype="float64").dtype == g.normal(3, dtype="float64").dtype == "float64"


@given(seed=SEEDS, low=st.integers(-2**63, 2**63 - 1), width=st.integers(1, 2**64))
def test_integers_lie_within_their_bounds(seed, low, width, backend):
    high = min(low + width, 2**63)

    found = Generator(seed).integers(low, high, 20).tolist()

    assert all(low <= n < high for n in found)


@given(seed=SEEDS, dtype=st.sampled_from(["float32", "float64"]))
def test_uniform_numbers_lie_within_their_bounds(seed, dtype, backend):
    found = Generator(seed).uniform(50, dtype=dtype).numpy()

    assert found.min() >= 0.0
    assert found.max() < 1.0


@given(seed=SEEDS, n=st.integers(0, 20))
def test_a_permutation_holds_every_number_once(seed, n, backend):
    assert sorted(Generator(seed).permutation(n).tolist()) == list(range(n))


def test_moments_and_frequencies_are_what_they_should_be():
    """Four standard errors; the seed is fixed, so this fails for a reason or never."""
    g, n = Generator(2), 40_000
    uniform, normal = g.uniform(n, 2.0, 4.0, "float64").numpy(), g.normal(n, 3.0, 2.0, "float64").numpy()
    integers, coins = g.integers(0, 8, n).numpy(), g.bernoulli(0.3, n).numpy()
    error = 4 / math.sqrt(n)

    assert abs(uniform.mean() - 3.0) < error * math.sqrt(4 / 12)
    assert abs(normal.mean() - 3.0) < error * 2.0
    assert abs(normal.std() - 2.0) < error * 2.0 / math.sqrt(2)
    assert abs(((normal - 3.0) ** 3).mean()) < error * 8.0 * math.sqrt(15)
    assert abs((np.abs(normal - 3.0) < 2.0).mean() - 0.6827) < error * 0.5
    assert abs(coins.mean() - 0.3) < error * math.sqrt(0.21)
    assert (np.abs(np.bincount(integers, minlength=8) / n - 1 / 8) < error * math.sqrt(7 / 64)).all()
    assert abs(np.corrcoef(uniform[:-1], uniform[1:])[0, 1]) < error


def test_extreme_probabilities_are_certain(backend):
    assert dl.random.bernoulli(1.0, 50).numpy().all()
    assert not dl.random.bernoulli(0.0, 50).numpy().any()


def test_all_orders_are_equally_likely():
    g, n = Generator(5), 6000
    counts = {}
    for _ in range(n):
        order = tuple(g.permutation(3).tolist())
        counts[order] = counts.get(order, 0) + 1

    assert len(counts) == 6
    assert all(abs(c / n - 1 / 6) < 4 * math.sqrt(5 / 36 / n) for c in counts.values())


# --- another stream in a block --------------------------------------------------------------------


@pytest.mark.parametrize("draw", [lambda: random.uniform(5), lambda: random.permutation(6),
                                  lambda: dl.nn.functional.dropout(dl.ones(40))])
def test_a_block_draws_from_the_generator_that_it_names(draw, backend):
    dl.random.seed(7)
    expected, state = draw().tolist(), random.default_generator.state
    dl.random.seed(9)
    before = random.default_generator.state

    with random.drawing_from(Generator(7)) as chosen, random.drawing_from(chosen):
        found = draw().tolist()

    assert found == expected
    assert chosen.state == state
    assert random.default_generator.state == before
    draw()
    assert random.default_generator.state != before


def test_other_generators_and_other_threads_draw_as_ever():
    own, found = Generator(4), []
    dl.random.seed(2)

    with random.drawing_from(Generator(7)):
        assert own.uniform(3).tolist() == Generator(4).uniform(3).tolist()
        thread = threading.Thread(target=lambda: found.append(random.uniform(3).tolist()))
        thread.start()
        thread.join()

    assert found == [Generator(2).uniform(3).tolist()]


def test_what_is_computed_again_draws_the_same_numbers_inside_the_block_and_after_it():
    x = dl.tensor([1.0] * 30, requires_grad=True)

    with random.drawing_from(Generator(7)) as chosen:
        out, late = (dl.remat(dl.nn.functional.dropout)(x) for _ in range(2))
        after = chosen.state
        dl.sum(out).backward()
    first, x.grad = x.grad, None
    dl.sum(late).backward()

    assert first.tolist() == out.tolist() != late.tolist() == x.grad.tolist()
    assert chosen.state == after


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda g: g.uniform(2, 1.0, 0.0), ValueError, "uniform: low must not exceed high, got 1.0 and 0.0"),
    (lambda g: g.uniform(2, math.nan), ValueError, "uniform: low must not exceed high, got nan"),
    (lambda g: g.uniform(2, dtype="int64"), ValueError, "uniform: dtype must be a float dtype, got int64"),
    (lambda g: g.normal(2, dtype="bool"), ValueError, "normal: dtype must be a float dtype, got bool"),
    (lambda g: g.normal(2, std=-1.0), ValueError, "normal: std must not be negative, got -1.0"),
    (lambda g: g.uniform(-1), ValueError, "uniform: a shape holds whole numbers .*, got -1"),
    (lambda g: g.normal((1, 2.5)), ValueError, r"normal: a shape .* got \(1, 2.5\)"),
    (lambda g: g.integers(3, shape="a"), ValueError, "integers: a shape .* got 'a'"),
    (lambda g: g.bernoulli(0.5, None), ValueError, "bernoulli: a shape .* got None"),
    (lambda g: g.integers(0), ValueError, "integers: low must be less than high, .* got 0 and 0"),
    (lambda g: g.integers(0, 2**64), ValueError, "both within int64"),
    (lambda g: g.integers(2.5), TypeError, "integers: needs whole numbers, got 2.5"),
    (lambda g: g.bernoulli(1.5), ValueError, "bernoulli: p must be a probability from 0 to 1, got 1.5"),
    (lambda g: g.bernoulli(math.nan), ValueError, "bernoulli: p must be a probability"),
    (lambda g: g.permutation(-1), ValueError, "permutation: n must not be negative, got -1"),
    (lambda g: g.permutation(2.5), TypeError, "permutation: needs whole numbers, got 2.5"),
    (lambda g: g.uniform(backend="gpu"), dl.BackendError, "unknown backend 'gpu'")])
def test_wrong_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call(Generator(0))


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "a", None])
def test_a_seed_is_a_whole_number_of_64_bits(seed):
    for f in (Generator, dl.random.seed):
        with pytest.raises(ValueError, match=r"the seed must be a whole number from 0 to 2\*\*64 - 1, got"):
            f(seed)


@pytest.mark.parametrize("state", [
    (1, -1), (1,), 5, (-1, 0), (2**64, 0), ("a", 0), (1, 2.5), None, (1, 2, 3)])
def test_what_is_no_state_is_refused(state):
    g = Generator(7)

    with pytest.raises(ValueError, match=r"a state is a seed from 0 to 2\*\*64 - 1 and a position, got"):
        g.state = state
    assert g.state == (7, 0)


@pytest.mark.parametrize("seed", [np.int64(3), dl.tensor(3), True])
def test_whole_numbers_of_any_kind_are_seeds(seed):
    assert Generator(seed).state == (int(seed), 0)
