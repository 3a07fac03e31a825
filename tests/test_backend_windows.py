"""What a backend promises of windows, on every backend."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import backends
import dlcore as dl
from dlcore.nn import functional as F
from tests.backend_laws import SMALL_FLOATS, on_every_backend, same


@st.composite
def settings_of_windows(draw):
    """An array and a window that lies in it."""
    axes = draw(st.integers(1, 3))
    window, stride, dilation, extra = (
        tuple(draw(st.integers(1, 3)) for _ in range(axes)) for _ in range(4)
    )
    sizes = (d * (k - 1) + e for k, d, e in zip(window, dilation, extra, strict=True))
    shape = (draw(st.integers(0, 2)), *sizes, draw(st.integers(0, 2)))
    return draw(hnp.arrays("float64", shape, elements=SMALL_FLOATS)), window, stride, dilation


def by_hand(x, window, stride, dilation):
    """What all windows hold, element by element."""
    counts = tuple(
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(x.shape[1:-1], window, stride, dilation, strict=True)
    )
    out = np.empty((x.shape[0], *window, *counts, x.shape[-1]))
    places = {}
    for offset in itertools.product(*map(range, window)):
        for position in itertools.product(*map(range, counts)):
            place = tuple(
                p * s + o * d for p, s, o, d in zip(position, stride, offset, dilation, strict=True)
            )
            out[(slice(None), *offset, *position)] = x[(slice(None), *place)]
            places[offset + position] = place
    return out, places


@on_every_backend
@given(case=settings_of_windows())
def test_windows_hold_what_lies_there(backend, case):
    x, window, stride, dilation = case
    expected, _ = by_hand(x, window, stride, dilation)

    found = backend.windows(backend.from_host(x), window, stride, dilation)

    same(backend, found, expected)


@on_every_backend
@given(case=settings_of_windows(), row=st.integers(0, 2))
def test_windows_are_added_in_place_where_they_lie(backend, case, row):
    x, window, stride, dilation = case
    held, places = by_hand(x, window, stride, dilation)
    expected = np.ones((x.shape[0], x.shape[1] + row, *x.shape[2:]))
    for at, place in places.items():
        expected[(slice(None), place[0] + row, *place[1:])] += held[(slice(None), *at)]
    out = backend.ones(expected.shape, "float64")

    found = backend.add_windows_(out, backend.from_host(held), stride, dilation, row)

    same(backend, found, expected)
    same(backend, out, expected)


@on_every_backend
def test_images_are_convolved_pooled_and_interpolated_as_on_the_cpu(backend):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 4, 7, 6)), rng.standard_normal((6, 2, 3, 2))

    def network(x, w):
        h = F.conv2d(x, w, stride=(2, 1), padding=1, groups=2)
        h = F.interpolate(F.max_pool2d(h, 3, 2, 1), (5, 4), mode="bilinear")
        h = F.adaptive_max_pool2d(F.conv_transpose2d(h, w, stride=2, groups=2), 3)
        return F.avg_pool2d(F.fold(F.unfold(F.group_norm(h, 2), 2), 3, 2), 2, 1, ceil_mode=True)

    def derivatives():
        at = [dl.tensor(x), dl.tensor(w)]
        gradient = dl.grad(lambda x, w: (network(x, w) ** 2).sum(), (0, 1))
        return [y.numpy() for y in (network(*at), *gradient(*at))]

    with backends.use_backend(backend.name):
        found = derivatives()

    for a, b in zip(found, derivatives(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)
