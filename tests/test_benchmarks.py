"""A comparison of speeds is worth something only if everyone computes the same."""

from importlib import import_module

import pytest

from benchmarks.driver import same
from benchmarks.worker import digest, prepare
from benchmarks.workloads import WORKLOADS

BY_HAND = import_module("benchmarks.peers.numpy_hand")
KNOWN = [name for name in WORKLOADS if hasattr(BY_HAND, name)]
LIGHT = [(name, WORKLOADS[name].variants[0]) for name in KNOWN]


@pytest.mark.parametrize(("workload", "variant"), LIGHT)
def test_dlcore_computes_in_a_benchmark_what_numpy_does_by_hand(workload, variant):
    ours, _ = prepare("dlcore_eager", workload, variant)
    by_hand, _ = prepare("numpy_hand", workload, variant)

    assert ours.keys() == by_hand.keys()
    for phase in ours:
        assert same(ours[phase][0], by_hand[phase][0])


@pytest.mark.parametrize(
    "other", [([1.0, 2.0], 3.01), ([2.0, 1.0], 3.0), ([1.0, 2.005], 3.0), (1.0, 2.0)]
)
def test_a_peer_that_computes_something_else_is_noticed(other):
    values = [digest(result, lambda x: x) for result in (([1.0, 2.0], 3.0), other)]

    assert not same(*([value] for value in values))
