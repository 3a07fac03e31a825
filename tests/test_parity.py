"""PyTorch computes the same values, gradients and second derivatives, to 1e-9 in float64."""

import re
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import dlcore as dl
from dlcore.nn import functional
from dlcore.testing.calls import numbers
from tests import parity, parity_kinks, parity_nn
from tests.second_order import assert_equal_to_second_order

TABLES = {"ops": (dl.ops, parity), "nn.functional": (functional, parity_nn)}
CASES = [case for _, table in TABLES.values() for case in table.CASES]


@pytest.fixture
def torch():
    return pytest.importorskip(
        "torch", reason="PyTorch is not installed: nothing to compare with", exc_type=ImportError)


@pytest.mark.parametrize("which", TABLES)
def test_every_public_name_is_compared_or_has_a_reason_not_to_be(which):
    module, table = TABLES[which]
    compared = {case.name for case in table.CASES} | set(table.COMPARED_ELSEWHERE)

    assert set(module.__all__) - compared - set(table.NOT_COMPARED) == set()
    assert compared & set(table.NOT_COMPARED) == set()
    assert (compared | set(table.NOT_COMPARED)) - set(module.__all__) == set()


@pytest.mark.parametrize("table", [parity, parity_nn])
def test_what_is_compared_elsewhere_is_named_there(table):
    for name, file in table.COMPARED_ELSEWHERE.items():
        of_any_axes = re.sub(r"\dd$", "{axes}d", name)
        text = (Path(__file__).parent / file).read_text("utf-8")
        assert f'"{name}"' in text or f"F.{name}" in text or f'f"{of_any_axes}"' in text


@pytest.mark.parametrize("case", CASES, ids=[f"{i} {c.name}" for i, c in enumerate(CASES)])
def test_pytorch_agrees(case, torch):
    args = [numbers(case.shape, d, i + 1, offset=0.07 * i) for i, d in enumerate(case.domains)]
    y = case.ours(*map(dl.tensor, args))
    if y.dtype.kind != "float":
        assert_array_equal(y.numpy(), case.theirs(torch, *map(torch.tensor, args)).numpy())
        return

    assert_equal_to_second_order(torch, case.ours, lambda *xs: case.theirs(torch, *xs), args)


@pytest.mark.parametrize("kink", parity_kinks.KINKS, ids=lambda kink: kink.what)
def test_pytorch_takes_the_same_derivative_where_there_is_none(kink, torch):
    ours = [dl.tensor(np.array(x), requires_grad=True) for x in kink.args]
    theirs = [torch.tensor(np.array(x), requires_grad=True) for x in kink.args]
    y, z = kink.ours(*ours), kink.theirs(torch, *theirs)
    weights = np.arange(1.0, 1.0 + y.size).reshape(y.shape)

    y.backward(dl.tensor(weights))
    z.backward(torch.tensor(weights))

    assert_allclose(y.numpy(), z.detach().numpy(), rtol=1e-9)
    for x, expected in zip(ours, theirs, strict=True):
        assert_allclose(x.grad.numpy(), expected.grad.numpy(), rtol=1e-9)
