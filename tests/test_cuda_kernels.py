"""Every kernel launched on a card, in every dtype, size and layout, beside NumPy's answer.

The same cases run on the host under AddressSanitizer, in test_cuda_on_cpu.
"""

import pytest

import backends
from tests.kernel_cases import CASES, SIZES, Machine, run

pytestmark = pytest.mark.cuda


@pytest.fixture
def card():
    """The machine with the device, and the file of kernels that its backend has."""
    with backends.use_backend("cuda") as xp:
        yield Machine(type(xp).random_words.__globals__["cuda_kernels"], xp.from_host, xp.to_host)
        xp.synchronize()


@pytest.mark.parametrize("name", CASES)
def test_every_kernel_computes_what_numpy_does(card, name):
    assert run(name, on=card) == len(SIZES) * len(CASES[name].dtypes) * 2
