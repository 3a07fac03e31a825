"""Laws about memory: how an array lies in it changes no result, and nothing that came in is written to."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import backends
import dlcore as dl
from dlcore.testing.calls import outputs
from dlcore.testing.strategies import SEEDS, calls
from tests.strategies import SIZES_AND_NONE, SUBJECTS, fewer

every = pytest.mark.parametrize("name", SUBJECTS)
with_views = pytest.mark.parametrize(  # array-api-strict has no views
    "backend", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)], indirect=True)


def contiguous(xp, a):
    return xp.from_host(xp.to_host(a))


def transposed(xp, a):
    return contiguous(xp, a.T).T


def every_second(xp, a):
    stretched = xp.repeat(xp.repeat(a, 2, axis=0), 2, axis=-1)
    return stretched[::2, ..., ::2] if a.ndim > 1 else stretched[::4]


def backwards(xp, a):
    around = (slice(None, None, -1),) * a.ndim
    return contiguous(xp, a[around])[around]


def repeated(xp, a):
    """The first row as often as there are rows: a view with a stride of 0, whose numbers are others."""
    return xp.namespace.broadcast_to(a[:1], a.shape)


LAYOUTS = [transposed, every_second, backwards, repeated]


def test_the_layouts_differ_and_hold_the_same_numbers():
    a = np.arange(6.0).reshape(2, 3)

    made = [layout(backends.get_backend("cpu"), a) for layout in LAYOUTS]

    assert [x.strides for x in made] == [(8, 16), (96, 16), (-24, -8), (0, 8)]
    assert [x.tolist() for x in made] == [a.tolist()] * 3 + [[[0.0, 1.0, 2.0]] * 2]


def laid_out(backend, array, rng, ways=LAYOUTS):
    """``array`` laid out in one of these ways, or an array of no axes as it is; and a plain copy of that."""
    a = array if not array.ndim else ways[rng.integers(len(ways))](backend, array)
    if isinstance(a, np.ndarray):
        a.flags.writeable = False
    return a, contiguous(backend, a)


def with_gradients(call, arrays, cotangents):
    """The results of a call, and the gradients for cotangents of them; all as NumPy arrays."""
    args = [dl.Tensor(a) for a in arrays]
    for i in call.floats:
        args[i].requires_grad = True
    results = outputs(call(*args))
    for y, g in zip(results, cotangents, strict=True):
        if y.requires_grad:
            y.backward(dl.Tensor(g), retain_graph=True)
    return [x.numpy() for x in (*results, *(args[i].grad for i in call.floats)) if x is not None]


@every
@with_views
@fewer(2)
@given(data=st.data())
def test_how_arrays_lie_in_memory_makes_no_difference(name, backend, data):
    call, rng = data.draw(calls(SUBJECTS[name])), np.random.default_rng(data.draw(SEEDS))
    matrices = any(domain.matrix for s in call.subject.samples for domain in s.domains)
    ways = [w for w in LAYOUTS if w is not repeated] if matrices else LAYOUTS  # equal rows make one singular
    pairs = [laid_out(backend, x.data, rng, ways) for x in call.tensors()]
    before = [backend.to_host(a).copy() for a, _ in pairs]
    shapes = [y.shape for y in outputs(call(*map(dl.Tensor, (plain for _, plain in pairs))))]
    seeds = [laid_out(backend, dl.tensor(rng.uniform(0.5, 1.5, s)).data, rng) for s in shapes]

    found = with_gradients(call, [a for a, _ in pairs], [g for g, _ in seeds])
    expected = with_gradients(call, [plain for _, plain in pairs], [plain for _, plain in seeds])

    for x, y in zip(found, expected, strict=True):
        assert_allclose(x, y, rtol=1e-12, atol=1e-13)  # sums in another order
    for (a, _), b in zip(pairs, before, strict=True):
        np.testing.assert_array_equal(backend.to_host(a), b)


@pytest.mark.parametrize("name", [name for name in SUBJECTS if name.endswith("()")])
@fewer(2)
@given(data=st.data())
def test_an_operation_on_empty_arrays_has_a_gradient_of_their_shape_or_says_why_not(name, backend, data):
    call = data.draw(calls(SUBJECTS[name], SIZES_AND_NONE))
    args = call.tensors(requires_grad=True)

    try:
        results = outputs(call(*args))
    except (ValueError, IndexError) as reason:
        message = str(reason)
        assert "(0" in message or "0 " in message or " 0" in message, message
        return
    for y in results:
        if y.requires_grad:
            y.backward(dl.ones(y.shape, dtype=y.dtype), retain_graph=True)

    reached = [x for x in args if x.grad is not None]  # some arguments count for nothing, as others are given
    assert [x.grad.shape for x in reached] == [x.shape for x in reached]
