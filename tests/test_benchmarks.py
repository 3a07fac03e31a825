"""A comparison of speeds is worth something only if everyone computes the same."""

import sys
from importlib import import_module
from types import SimpleNamespace

import pytest

import dlcore as dl
from benchmarks.driver import same
from benchmarks.worker import digest, prepare, seconds
from benchmarks.workloads import WORKLOADS
from tests import card_speed

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


@pytest.mark.cuda
@pytest.mark.parametrize(("workload", "variant"), card_speed.WORK[:2])
def test_a_card_computes_in_a_benchmark_what_the_cpu_does(workload, variant, monkeypatch):
    monkeypatch.delitem(sys.modules, "benchmarks.peers.dlcore_cuda", raising=False)  # importing selects
    here, _ = prepare("dlcore_eager", workload, variant)
    try:
        there, _ = prepare("dlcore_cuda", workload, variant)
        assert dl.get_backend().name == "cuda"
    finally:
        dl.set_backend("cpu")

    assert all(same(there[phase][0], here[phase][0]) for phase in here)


def test_a_phase_is_timed_until_its_device_is_done():
    done = []

    seconds(lambda: done.append("run"), 2, lambda: done.append("wait"))

    assert done[-4:] == ["wait", "run", "run", "wait"]


def record(peer, median, same=True):
    return SimpleNamespace(workload="mlp", phase="step", peer=peer, median=median, same=same)


def test_the_figures_of_a_card_stand_in_one_line():
    records = [record("dlcore_cuda", 300.0), record("dlcore_eager", 1500.0), record("torch_cuda", 200.0)]

    assert card_speed.told(records) == "mlp step: 300 us, 0.2 of the CPU's time, 1.5 of PyTorch's time"
    assert card_speed.told(records[:2]) == "mlp step: 300 us, 0.2 of the CPU's time"


@pytest.mark.parametrize(
    ("records", "complaint"),
    [
        ([], "nothing was timed"),
        ([record("dlcore_eager", 1.0)], "mlp step: the card was not timed"),
        ([record("dlcore_cuda", 1.0), record("torch_cuda", 1.0, same=False)],
         "mlp step: torch_cuda computes something else than dlcore_cuda"),
    ],
)
def test_figures_without_a_card_or_of_something_else_are_none(records, complaint):
    with pytest.raises(SystemExit, match=complaint):
        card_speed.told(records)
