"""Reductions, products and special functions of every backend, held against NumPy and SciPy."""

import math
import warnings

import ml_dtypes
import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from backends.dtypes import (
    bfloat16,
    bool_,
    complex128,
    float16,
    float32,
    float64,
    int8,
    int64,
    uint8,
)
from tests.backend_laws import (
    FULL_SHAPES,
    SMALL_FLOATS,
    available,
    axes,
    host_arrays,
    on_every_backend,
    same,
)

pytestmark = on_every_backend


# --- reductions and order ----------------------------------------------------------


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "any", "all", "mean"])
@given(data=st.data())
def test_reductions_are_those_of_numpy(backend, name, data):
    x = data.draw(host_arrays(FULL_SHAPES))
    axis = data.draw(axes(x.ndim))
    keepdims = data.draw(st.booleans())
    there = backend.from_host(x > 0 if name in ("any", "all") else x)

    found = getattr(backend, name)(there, axis, keepdims)

    same(backend, found, getattr(np, name)(backend.to_host(there), axis, keepdims=keepdims))


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@given(data=st.data())
def test_places_of_extremes_are_the_first_ones(backend, name, data):
    x = data.draw(host_arrays(FULL_SHAPES))
    axis = data.draw(st.none() | st.integers(-x.ndim, x.ndim - 1))
    keepdims = data.draw(st.booleans())

    found = getattr(backend, name)(backend.from_host(x), axis, keepdims)

    same(backend, found, getattr(np, name)(x, axis, keepdims=keepdims))


@pytest.mark.parametrize("dtype", [bool_, int8, uint8, int64])
@pytest.mark.parametrize("name", ["sum", "prod", "cumulative_sum", "cumulative_prod"])
def test_sums_and_products_of_integers_are_int64(backend, name, dtype):
    x = backend.ones((300,), dtype)

    found = getattr(backend, name)(x, axis=0)

    assert backend.dtype_name(found) is int64
    if name == "sum":
        same(backend, found, np.int64(300))  # which no int8 holds


def test_means_of_integers_are_of_the_default_dtype(backend):
    same(backend, backend.mean(backend.from_host(np.array([1, 2]))), np.float32(1.5))


@pytest.mark.parametrize("dtype", [float16, bfloat16])
def test_sums_of_halves_are_accumulated_in_float32(backend, dtype):
    available(backend, dtype)
    x = backend.ones((1 << 13, 1), dtype)

    total, mean = backend.sum(x, 0), backend.mean(x, 0)

    assert backend.dtype_name(total) is backend.dtype_name(mean) is dtype
    assert backend.to_host(total).item() == 8192.0  # adding in dtype itself stops at 2048 or 256
    assert backend.to_host(mean).item() == 1.0


@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod"])
@given(data=st.data())
def test_running_sums_and_products_are_those_of_numpy(backend, name, data):
    x = data.draw(host_arrays(FULL_SHAPES, elements=st.sampled_from([-1.0, 0.5, 1.0, 2.0])))
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))

    found = getattr(backend, name)(backend.from_host(x), axis)

    same(backend, found, getattr(np, name)(x, axis=axis))


@given(data=st.data())
def test_running_maxima_are_those_of_numpy_even_beside_nan(backend, data):
    elements = SMALL_FLOATS | st.sampled_from([math.nan, math.inf, -math.inf])
    x = data.draw(host_arrays(hnp.array_shapes(min_dims=1, max_dims=2, max_side=7),
                              elements=elements))
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))

    found = backend.cumulative_max(backend.from_host(x), axis)

    same(backend, found, np.maximum.accumulate(x, axis))


@given(data=st.data())
def test_sorting_is_stable_in_both_directions(backend, data):
    x = data.draw(host_arrays(FULL_SHAPES))
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    there = backend.from_host(x)

    upwards = backend.argsort(there, axis)
    downwards = backend.argsort(there, axis, descending=True)

    same(backend, upwards, np.argsort(x, axis, stable=True))
    same(backend, downwards, np.argsort(-x, axis, stable=True))
    same(backend, backend.sort(there, axis), np.sort(x, axis))
    same(backend, backend.sort(there, axis, descending=True), -np.sort(-x, axis))


def test_searchsorted_finds_where_to_insert(backend):
    edges = backend.from_host(np.array([1.0, 2.0, 2.0, 3.0]))
    x = backend.from_host(np.array([2.0, 0.0, 9.0]))

    same(backend, backend.searchsorted(edges, x), [1, 0, 4])
    same(backend, backend.searchsorted(edges, x, side="right"), [3, 0, 4])


@given(data=st.data())
def test_broadcasting_repeats_as_numpy_does(backend, data):
    shapes = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=4))
    x = data.draw(host_arrays(st.just(shapes.input_shapes[0])))

    found = backend.broadcast_to(backend.from_host(x), shapes.result_shape)

    same(backend, found, np.broadcast_to(x, shapes.result_shape))


@pytest.mark.parametrize("shape", [(4,), (2, 3), (1 << 12, 3)])
def test_broadcasting_to_a_shape_that_does_not_fit_raises(backend, shape):
    with pytest.raises(ValueError, match=r"broadcast|more dimensions"):
        backend.broadcast_to(backend.ones((1, 4)), shape)


# --- products and special functions --------------------------------------------------


@given(data=st.data())
def test_einsum_reads_subscripts_as_numpy_does(backend, data):
    n, m, k = (data.draw(st.integers(1, 3)) for _ in "nmk")
    x = data.draw(host_arrays(st.just((n, m))))
    y = data.draw(host_arrays(st.just((m, k))))
    z = data.draw(host_arrays(st.just((n, n))))

    for subscripts, arrays in [("ij,jk->ik", (x, y)), ("ij->ji", (x,)), ("ii", (z,)),
                               ("ij,jk,il->lk", (x, y, z)), ("...i->...", (x,))]:
        found = backend.einsum(subscripts, *map(backend.from_host, arrays))

        same(backend, found, np.einsum(subscripts, *arrays))


@pytest.mark.parametrize("dtype", [float16, bfloat16])
def test_matrix_products_of_halves_are_accumulated_in_float32(backend, dtype):
    available(backend, dtype)
    x = backend.ones((1, 1 << 13), dtype)

    product = backend.matmul(x, backend.permute_dims(x, (1, 0)))
    contraction = backend.einsum("ij,kj->ik", x, x)

    assert backend.dtype_name(product) is backend.dtype_name(contraction) is dtype
    assert backend.to_host(product).item() == backend.to_host(contraction).item() == 8192.0


SPECIAL = {
    "erf": scipy.special.erf,
    "erfc": scipy.special.erfc,
    "erfinv": scipy.special.erfinv,
    "lgamma": scipy.special.gammaln,
    "digamma": scipy.special.psi,
}


@pytest.mark.parametrize("name", SPECIAL)
@given(x=host_arrays(elements=st.floats(-0.99, 0.99)))
def test_special_functions_are_those_of_scipy(backend, name, x):
    found = getattr(backend, name)(backend.from_host(x))

    expected = SPECIAL[name](x)
    assert type(found) is backend.array_type
    np.testing.assert_allclose(backend.to_host(found), expected, rtol=1e-13)


@pytest.mark.parametrize("dtype", [float16, bfloat16, float32, float64])
def test_special_functions_keep_the_dtype(backend, dtype):
    available(backend, dtype)
    x = backend.full((3,), 0.5, dtype)

    for name, function in SPECIAL.items():
        found = getattr(backend, name)(x)

        assert backend.dtype_name(found) is dtype
        wide = backend.to_host(found).astype(np.float64)
        rounding = float(ml_dtypes.finfo(str(dtype)).eps)
        np.testing.assert_allclose(wide, function(0.5), rtol=4 * rounding)
    assert backend.dtype_name(backend.polygamma(1, x)) is dtype


@pytest.mark.parametrize("n", [0, 1, 2, 3])
@given(x=host_arrays(elements=st.floats(0.1, 9.0)))
def test_polygamma_is_the_nth_derivative_of_digamma(backend, n, x):
    found = backend.polygamma(n, backend.from_host(x))

    np.testing.assert_allclose(backend.to_host(found), scipy.special.polygamma(n, x), rtol=1e-12)


ANYTHING = st.sampled_from([0.0, -0.0, 1.0, -2.0, math.inf, -math.inf, math.nan, 1e300])


@pytest.mark.parametrize("name", ["multiply", "divide"])
@given(data=st.data())
def test_zero_safe_products_are_zero_where_the_first_factor_is(backend, name, data):
    shapes = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=2, max_side=4))
    d, r = (data.draw(host_arrays(st.just(s), elements=ANYTHING)) for s in shapes.input_shapes)
    with np.errstate(all="ignore"):
        plain = getattr(np, name)(d, r)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = getattr(backend, f"zero_safe_{name}")(backend.from_host(d), backend.from_host(r))

    same(backend, found, np.where(np.broadcast_to(d == 0, plain.shape), 0.0, plain))


@pytest.mark.parametrize("dtype", [float16, bfloat16, float32, complex128])
def test_zero_safe_products_keep_the_dtype(backend, dtype):
    available(backend, dtype)
    d = backend.astype(backend.from_host(np.array([0.0, 2.0])), dtype)
    r = backend.astype(backend.from_host(np.array([np.inf, 3.0])), dtype)

    found = backend.zero_safe_multiply(d, r)

    assert backend.dtype_name(found) is dtype
    assert backend.to_host(found).astype(complex)[0] == 0


@pytest.mark.parametrize("half", [float16, bfloat16])
@pytest.mark.parametrize("name", ["multiply", "divide"])
def test_zero_safe_products_of_two_dtypes_have_the_wider(backend, name, half):
    available(backend, half)
    d = backend.from_host(np.array([0.0, 2.0], "float32"))
    r = backend.astype(backend.from_host(np.array([np.inf, 4.0])), half)
    function = getattr(backend, f"zero_safe_{name}")

    for found, expected in ((function(d, r), 8.0 if name == "multiply" else 0.5), (function(r, d), None)):
        assert backend.dtype_name(found) is float32
        assert expected is None or backend.to_host(found).tolist() == [0.0, expected]
