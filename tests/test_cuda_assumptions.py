"""What the stand-in takes for granted about CuPy, each assumption held against both.

Here the stand-in has to be as these tests say; on a machine with a card CuPy itself has to, so that the
two cannot drift apart unnoticed.  Where the stand-in is stricter than CuPy there is nothing to hold.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose

import backends
from tests import fake_cupy

ACCUMULATING = ("int32", "int64", "uint32", "uint64", "float16", "float32", "float64")
NOT_ACCUMULATING = ("bool", "int16", "complex64")


@pytest.fixture(scope="module", params=["stand-in", pytest.param("card", marks=pytest.mark.cuda)])
def library(request):
    """What the files of the backend have imported: ``cp``, ``cupyx``, ``special`` and ``compat``."""
    backend = fake_cupy.load() if request.param == "stand-in" else backends.get_backend("cuda")
    return SimpleNamespace(**type(backend).owns.__globals__ | type(backend).special.__globals__)


@pytest.fixture
def cp(library):
    return library.cp


def host(cp, x):
    """An array's values, its dtype and that it is one."""
    assert type(x) is cp.ndarray
    return cp.asnumpy(x)


# --- the host and the device ---------------------------------------------------------------------------


def test_numpy_cannot_read_an_array(cp):
    with pytest.raises(TypeError, match="Implicit conversion to a NumPy array is not allowed"):
        np.asarray(cp.ones(3))


@pytest.mark.parametrize("operation", [lambda x, y: x + y, lambda x, y: y + x, lambda x, y: x * y])
def test_an_array_of_the_host_is_refused_as_an_operand(cp, operation):
    with pytest.raises(TypeError):
        operation(cp.ones(3), np.ones(3))


def test_what_comes_from_the_host_is_a_copy_in_the_order_of_rows(cp):
    there = np.asfortranarray(np.arange(6.0).reshape(2, 3))

    x = cp.array(there, "float32", order="C")
    there[:] = 0

    assert x.strides == (12, 4)
    assert host(cp, x).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert type(cp.asnumpy(x)) is np.ndarray


def test_an_array_knows_its_device(cp):
    assert cp.ones(2).device.id == 0
    assert cp.cuda.runtime.getDeviceCount() >= 1
    with cp.cuda.Device(0):
        assert host(cp, cp.zeros(2)).tolist() == [0, 0]


# --- dtypes and 0-d results ----------------------------------------------------------------------------


@pytest.mark.parametrize("reduce", ["sum", "prod", "max", "min", "any", "all", "argmax", "argmin"])
def test_a_reduction_of_everything_is_an_array(cp, reduce):
    assert host(cp, getattr(cp, reduce)(cp.ones(3))).shape == ()


def test_an_element_is_an_array(cp):
    assert host(cp, cp.arange(3)[1]).shape == ()


def test_numbers_of_python_are_weak_and_those_of_numpy_are_not(cp):
    x = cp.ones(3, "float32")

    assert (x * 2.0).dtype == (2 * x).dtype == "float32"
    assert (x * np.float64(2.0)).dtype == "float64"
    assert (cp.ones(3, "float16") * 2.0).dtype == "float16"


def test_comparisons_are_boolean_and_true_division_of_integers_is_float64(cp):
    assert (cp.arange(3) > 1).dtype == "bool"
    assert (cp.arange(3) / 2).dtype == "float64"


def test_sums_of_integers_are_as_asked_for_and_of_halves_are_made_in_float32(cp):
    many = cp.ones(70_000, "float16") * 0.25

    assert host(cp, cp.sum(cp.ones(3, "int8"), dtype=cp.int64)).dtype == "int64"
    assert host(cp, cp.sum(many)) == 17_504  # which a sum in float16 would not come near
    assert host(cp, cp.sum(many, dtype="float32")) == 17_500


def test_products_of_halves_are_added_up_in_float32(cp):
    x = cp.ones((1, 8192), "float16") * 0.25

    assert host(cp, cp.matmul(x, x.T)).tolist() == [[512.0]]
    assert cp.matmul(x, x.T).dtype == "float16"


# --- indices -------------------------------------------------------------------------------------------


def test_an_index_array_outside_wraps_around(cp):
    x = cp.arange(3)
    outside = cp.array(np.array([5, -4]))

    assert host(cp, x[outside]).tolist() == [2, 2]
    assert host(cp, cp.take(x, outside, 0)).tolist() == [2, 2]
    assert host(cp, cp.take_along_axis(x, outside, 0)).tolist() == [2, 2]


def test_a_number_outside_is_an_error(cp):
    with pytest.raises(IndexError):
        cp.arange(3)[5]


def test_slices_are_views_and_index_arrays_make_copies(cp):
    x = cp.zeros(4)

    part = x[1:3]
    part += 1.0
    apart = x[cp.array(np.array([0, 1]))]
    apart += 1.0

    assert host(cp, x).tolist() == [0, 1, 1, 0]


def test_places_are_written_by_slices_arrays_and_masks(cp):
    x = cp.zeros(5)

    x[:2] = 1.0
    x[cp.array(np.array([4, 2]))] = cp.array(np.array([5.0, 3.0]))
    x[x == 0] = 7.0

    assert host(cp, x).tolist() == [1, 1, 3, 7, 5]


def test_a_mask_selects_and_nonzero_numbers_places(cp):
    x = cp.array(np.array([[0, 2], [3, 0]]))

    assert host(cp, x[x > 0]).tolist() == [2, 3]
    assert [host(cp, i).tolist() for i in cp.nonzero(x)] == [[0, 1], [1, 0]]
    assert cp.nonzero(x)[0].dtype == "int64"


@pytest.mark.parametrize("dtype", ACCUMULATING)
def test_additions_at_repeated_places_accumulate(library, dtype):
    x = library.cp.zeros(3, dtype)

    library.cupyx.scatter_add(x, library.cp.array(np.array([0, 2, 0])), library.cp.ones(3, dtype))

    assert host(library.cp, x).tolist() == [2, 0, 1]


@pytest.mark.parametrize("dtype", NOT_ACCUMULATING)
def test_additions_at_repeated_places_have_no_other_dtypes(library, dtype):
    with pytest.raises(TypeError):
        library.cupyx.scatter_add(
            library.cp.zeros(3, dtype), library.cp.array(np.array([0])), library.cp.ones(1, dtype))


# --- functions -----------------------------------------------------------------------------------------


def test_a_ufunc_takes_no_where(cp):
    with pytest.raises(TypeError):
        cp.maximum(cp.ones(3), 1.0, where=cp.ones(3, "bool"))


def test_there_is_no_running_maximum(cp):
    with pytest.raises((AttributeError, TypeError, NotImplementedError)):
        cp.maximum.accumulate(cp.ones(3))


def test_sorting_keeps_equal_numbers_in_order(cp):
    keys = np.random.default_rng(0).integers(0, 5, 10_000).astype("int32")

    assert (host(cp, cp.argsort(cp.array(keys))) == np.argsort(keys, kind="stable")).all()


def test_extremes_know_nan_and_infinity(cp):
    inf = cp.array(np.array([np.inf, np.inf]))

    assert np.isnan(host(cp, cp.max(cp.array(np.array([1.0, np.nan, 2.0])))))
    assert host(cp, cp.min(inf)) == np.inf
    assert host(cp, cp.argmax(cp.array(np.array([-np.inf, -np.inf, 1.0])))) == 2
    assert host(cp, cp.argmin(inf)) == 0
    assert host(cp, cp.clip(cp.arange(4.0), None, 2.0)).tolist() == [0, 1, 2, 2]


def test_a_view_that_repeats_holds_no_copies(cp):
    x = cp.arange(3.0)

    assert cp.broadcast_to(x, (4, 3)).strides == (0, 8)
    assert cp.lib.stride_tricks.as_strided(x, (2, 2), (8, 8)).strides == (8, 8)


def test_matrices_have_a_transpose_and_stacks_theirs(cp):
    assert cp.ones((2, 3)).T.shape == (3, 2)
    assert cp.ones((4, 2, 3)).mT.shape == (4, 3, 2)


def test_the_functions_of_the_standard_are_there_as_the_standard_has_them(library):
    x = library.cp.array(np.array([[1.0, 2.0], [3.0, 4.0]]))
    compat = library.compat

    assert host(library.cp, compat.astype(x, library.cp.dtype("int64"))).dtype == "int64"
    assert host(library.cp, compat.concat([x, x], axis=1)).shape == (2, 4)
    assert host(library.cp, compat.permute_dims(x, (1, 0))).tolist() == [[1, 3], [2, 4]]
    assert compat.finfo(x.dtype).bits == 64


SPECIAL = {"erf": (-3, 3), "erfc": (-3, 3), "erfinv": (-0.9, 0.9), "gammaln": (0.1, 30), "psi": (0.1, 30)}


@pytest.mark.parametrize(("name", "low", "high"), [(name, *ends) for name, ends in SPECIAL.items()])
def test_special_functions_are_those_of_scipy(library, name, low, high):
    x = np.linspace(low, high, 501)

    found = host(library.cp, getattr(library.special, name)(library.cp.array(x)))

    with backends.use_backend("cpu") as cpu:
        assert_allclose(found, cpu.special(name, x), rtol=1e-10, atol=1e-10)


# --- matrices ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", ["solve", "inv"])
@pytest.mark.parametrize("stack", [(), (2,)])
def test_a_singular_matrix_gives_no_error_and_no_finite_result(cp, function, stack):
    x = cp.zeros((*stack, 3, 3))

    out = cp.linalg.solve(x, cp.ones((*stack, 3, 1))) if function == "solve" else cp.linalg.inv(x)

    assert not np.isfinite(host(cp, out)).any()


def test_what_is_not_positive_definite_gives_no_error(cp):
    out = cp.linalg.cholesky(-cp.eye(3))

    assert not np.allclose(host(cp, cp.matmul(out, out.T)), -np.eye(3))


def test_linear_algebra_takes_stacks(cp):
    a = np.random.default_rng(0).standard_normal((2, 3, 3))
    symmetric = a @ a.swapaxes(-1, -2) + np.eye(3)
    x = cp.array(symmetric)

    assert_allclose(host(cp, cp.linalg.cholesky(x)), np.linalg.cholesky(symmetric), rtol=1e-10)
    assert_allclose(host(cp, cp.linalg.eigh(x)[0]), np.linalg.eigh(symmetric)[0], rtol=1e-9)
    assert_allclose(host(cp, cp.linalg.svd(x)[1]), np.linalg.svd(symmetric)[1], rtol=1e-9)
    assert_allclose(host(cp, cp.linalg.inv(x)), np.linalg.inv(symmetric), rtol=1e-9)
    assert_allclose(host(cp, cp.linalg.det(x)), np.linalg.det(symmetric), rtol=1e-9)
    assert_allclose(host(cp, cp.linalg.slogdet(x)[1]), np.linalg.slogdet(symmetric)[1], rtol=1e-9)
    assert_allclose(np.abs(host(cp, cp.linalg.qr(x)[1])), np.abs(np.linalg.qr(symmetric)[1]), atol=1e-9)


# --- kernels -------------------------------------------------------------------------------------------


@pytest.fixture
def kernel(library):
    """Makes kernels; on the stand-in they are compiled for the host."""
    if fake_cupy.COMPILER is None and library.cp.ndarray is fake_cupy.ndarray:
        pytest.skip("kernels run on the host only with g++ or clang++")
    return library.cp.ElementwiseKernel


def test_a_kernel_makes_its_result_and_spreads_its_arguments(cp, kernel):
    add = kernel("T x, float64 y", "T z", "z = x + (T)y", "test_add")

    assert host(cp, add(cp.arange(3.0), 0.5)).tolist() == [0.5, 1.5, 2.5]
    assert host(cp, add(cp.ones((2, 1)), cp.arange(3.0))).shape == (2, 3)
    assert host(cp, add(cp.arange(6.0)[::2], 1.0)).tolist() == [1, 3, 5]
    assert host(cp, add(cp.zeros(0), 1.0)).shape == (0,)


def test_a_kernel_writes_where_it_is_told(cp, kernel):
    double = kernel("raw T x, int64 n", "raw T y", "if (i < n) y[i] = x[n - 1 - i]", "test_backwards")
    out = cp.zeros(4)

    double(cp.arange(3.0), 3, out, size=3)
    double(cp.arange(3.0), 0, out, size=0)

    assert host(cp, out).tolist() == [2, 1, 0, 0]


def test_a_kernel_refuses_a_wrong_number_of_arguments_and_two_types_for_one_letter(cp, kernel):
    add = kernel("T x, T y", "T z", "z = x + y", "test_both")

    with pytest.raises(TypeError, match="Wrong number of arguments"):
        add(cp.ones(3))
    with pytest.raises(TypeError, match="Type is mismatched"):
        add(cp.ones(3), cp.ones(3, "float32"))


def test_a_kernel_knows_halves(cp, kernel):
    add = kernel("T x, T y", "T z", "T sum = (T)(x + y); z = sum", "test_halves")

    assert host(cp, add(cp.ones(3, "float16"), cp.ones(3, "float16"))).tolist() == [2, 2, 2]
