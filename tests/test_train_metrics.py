"""Metrics against scikit-learn's, whatever the batches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dlcore as dl
from dlcore import train
from dlcore.train.running import Running

metrics = pytest.importorskip("sklearn.metrics", reason="nothing to compare with: no scikit-learn")

CLASSES = 4
macro = {"average": "macro", "labels": range(CLASSES), "zero_division": 0}
EXPECTED = {
    "accuracy": (train.accuracy, lambda t, s: metrics.accuracy_score(t, s.argmax(1))),
    "top 2": (train.top_k_accuracy(2),
              lambda t, s: metrics.top_k_accuracy_score(t, s, k=2, labels=range(CLASSES))),
    "precision": (train.precision, lambda t, s: metrics.precision_score(t, s.argmax(1), **macro)),
    "recall": (train.recall, lambda t, s: metrics.recall_score(t, s.argmax(1), **macro)),
    "f1": (train.f1, lambda t, s: metrics.f1_score(t, s.argmax(1), **macro)),
}


def over_batches(metric, outputs, targets, size):
    running = Running({"it": metric})
    for i in range(0, len(targets), size):
        parts = dl.tensor(outputs[i:i + size]), dl.tensor(targets[i:i + size])
        running.add(dl.tensor(0.0), *parts, len(parts[1]))
    return running.read()["it"]


@pytest.mark.parametrize(("metric", "expected"), EXPECTED.values(), ids=EXPECTED)
@given(n=st.integers(1, 20), size=st.integers(1, 20), seed=st.integers(0, 2**32 - 1))
def test_metrics_of_classes_are_those_of_scikit_learn(metric, expected, backend, n, size, seed):
    rng = np.random.default_rng(seed)
    scores, targets = rng.standard_normal((n, CLASSES)), rng.integers(0, CLASSES, n)

    found = over_batches(metric, scores, targets, size)

    assert found == pytest.approx(expected(targets, scores), abs=1e-6)  # shares are float32


@given(n=st.integers(2, 20), size=st.integers(1, 20), seed=st.integers(0, 2**32 - 1))
def test_metrics_of_numbers_are_those_of_scikit_learn(backend, n, size, seed):
    y, noise = np.random.default_rng(seed).standard_normal((2, n))

    mae, r2 = (over_batches(metric, y + noise, y, size) for metric in (train.mae, train.r2))

    assert mae == pytest.approx(metrics.mean_absolute_error(y, y + noise))
    assert r2 == pytest.approx(metrics.r2_score(y, y + noise), rel=1e-9)


@pytest.mark.parametrize("metric", [train.accuracy, train.precision, train.top_k_accuracy(1)])
def test_outputs_that_are_no_scores_of_classes_are_refused(metric):
    message = r"needs outputs \(n, classes, ...\) and integer targets .*, got float32\(3,\) and int64\(3,\)"
    with pytest.raises(ValueError, match=message):
        metric(dl.zeros(3), dl.tensor([0, 1, 2]))


def test_more_guesses_than_classes_are_refused():
    with pytest.raises(ValueError, match="k=4 of 3 classes"):
        train.top_k_accuracy(4)(dl.zeros((2, 3)), dl.tensor([0, 1]))


@pytest.mark.parametrize("metric", [train.mae, train.r2])
def test_unequal_shapes_are_refused_and_not_broadcast(metric):
    with pytest.raises(ValueError, match=r"outputs of shape \(3, 1\) and targets of shape \(3,\)"):
        metric(dl.zeros((3, 1)), dl.zeros(3))


@pytest.mark.parametrize("method", ["counts", "value"])
def test_a_metric_without_its_methods_says_so(method):
    with pytest.raises(NotImplementedError, match=f"Metric: define {method}"):
        getattr(train.Metric(), method)(*[None] * (2 if method == "counts" else 1))
