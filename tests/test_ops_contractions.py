"""Products over named axes: NumPy is the model for values, finite differences for gradients."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import dlcore as dl
from dlcore.testing import check_grads

SUBSCRIPTS = {
    "ij,jk->ik": [(2, 3), (3, 4)],
    "ij,jk": [(2, 3), (3, 4)],
    "ba": [(2, 3)],
    "ii": [(3, 3)],
    "ii->i": [(3, 3)],
    "iij->j": [(2, 2, 3)],
    "iji->j": [(3, 2, 3)],
    "iii->i": [(2, 2, 2)],
    "iijj->ij": [(2, 2, 3, 3)],
    "ii,ii->": [(2, 2), (2, 2)],
    "ij->": [(2, 3)],
    "ijk->j": [(2, 3, 4)],
    "ij,ij->ij": [(2, 3), (2, 3)],
    "i,j->ij": [(2,), (3,)],
    ",i->i": [(), (3,)],
    "...ij,...jk->...ik": [(5, 2, 3), (1, 3, 4)],
    "...i->...": [(2, 3, 4)],
    "a...,...b->ab...": [(2, 3), (1, 4)],
    "...ii->...i": [(4, 3, 3)],
    "i...,i": [(2, 3), (2,)],
    "i,i": [(3,), (1,)],
    "ij,j,j,k->ik": [(2, 3), (3,), (3,), (2,)],
    "bhqd, bhkd -> bhqk": [(2, 1, 3, 2), (2, 1, 4, 2)],
}


@pytest.mark.parametrize(("subscripts", "shapes"), SUBSCRIPTS.items(), ids=SUBSCRIPTS)
def test_einsum_is_numpys_and_its_derivatives_are_right(subscripts, shapes, backend):
    rng = np.random.default_rng(0)
    xs = [rng.standard_normal(s) for s in shapes]

    found = dl.einsum(subscripts, *map(dl.tensor, xs))

    assert_allclose(found.numpy(), np.einsum(subscripts, *xs), rtol=1e-12, atol=1e-14)
    check_grads(lambda *xs: dl.einsum(subscripts, *xs), *xs)


@pytest.mark.parametrize(("subscripts", "shapes", "match"), [
    ("ij,jk", [(2, 3)], "'ij,jk' names 2 operands, got 1"),
    ("ij,jk->ik", [(2, 3), (2, 3)], "axis 'j' has size 3 in one operand and 2 in another"),
    ("ij->ijk", [(2, 3)], "names 'k', which no operand has"),
    ("ij->ii", [(2, 3)], "names an axis twice"),
    ("i", [(2, 3)], "'i' in 'i' does not name the 2 axes of operand 0"),
    ("ijk", [(2, 3)], "does not name the 2 axes"),
    ("i.j", [(2, 3)], "must be letters"),
    ("i1", [(2, 3)], "must be letters"),
    ("ii", [(2, 3)], r"axes 'i' of an operand of shape \(2, 3\) differ in size"),
])
def test_subscripts_that_do_not_fit_are_explained(subscripts, shapes, match):
    with pytest.raises(ValueError, match=f"einsum: .*{match}"):
        dl.einsum(subscripts, *map(dl.zeros, shapes))


def test_einsum_wants_its_subscripts_first():
    with pytest.raises(TypeError, match="subscripts come first"):
        dl.einsum(dl.zeros(2), "i")


@pytest.mark.parametrize("axes", [0, 1, 2, ((0, 2), (2, 1)), ([-1], [1])])
def test_tensordot_is_numpys(axes, backend):
    x, y = np.arange(24.0).reshape(2, 3, 4), np.arange(24.0).reshape(3, 4, 2)
    if axes == 1:
        y = np.moveaxis(y, 1, 0)

    found = dl.tensordot(dl.tensor(x), dl.tensor(y), axes)

    assert_allclose(found.numpy(), np.tensordot(x, y, axes), rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda x: dl.tensordot(x, x, 3), r"axes=3, but the shapes are \(2, 3\) and \(2, 3\)"),
        (
            lambda x: dl.tensordot(x, x, 1),
            r"axes \[1\] of shape \(2, 3\) and \[0\] of shape \(2, 3\) differ in size",
        ),
        (lambda x: dl.tensordot(x, x, ((5,), (0,))), "axis 5 is out of range"),
        (lambda x: dl.outer(x, x), r"outer: takes two vectors, got shapes \(2, 3\) and \(2, 3\)"),
        (lambda x: dl.matmul(x, x), r"matmul: shapes \(2, 3\) and \(2, 3\) do not fit"),
        (lambda x: dl.matmul(x, x[0, 0]), r"a 0-d operand has no matrix product"),
    ],
)
def test_axes_that_do_not_meet_are_explained(call, match):
    with pytest.raises(ValueError, match=match):
        call(dl.zeros((2, 3)))
