"""Metrics by hand, and against scikit-learn's where it is installed."""

import math

import numpy as np
import pytest

from numfuse import _finetune_metrics as metrics
from numfuse._finetune_targets import Encoded

RNG = np.random.default_rng(0)


def of(metric, targets, logits, weights=None, loss="softmax"):
    targets = np.asarray(targets)
    aims = Encoded(targets, None) if targets.ndim == 1 else Encoded(None, targets.astype(float))
    weights = None if weights is None else np.asarray(weights, float)
    return metrics.score(metric, loss, 1.0, targets, aims, np.asarray(logits, float), weights)


def test_accuracy_by_hand():
    logits = [[1, 0], [0, 1], [1, 0], [0, 0]]
    assert of("accuracy", [0, 1, 1, 0], logits) == 0.75  # of a tie the first
    assert of("accuracy", [0, 1, 1, 0], logits, [1, 0, 3, 0]) == 0.25
    assert of("accuracy", [0, 1, 1], [[-1], [1], [0]]) == pytest.approx(2 / 3)


def test_balanced_accuracy_is_the_mean_recall_of_classes_that_are_there():
    logits = np.eye(3)[[0, 0, 1, 1]]
    assert of("balanced_accuracy", [0, 0, 0, 1], logits) == pytest.approx((2 / 3 + 1) / 2)
    assert of("balanced_accuracy", [0, 0, 0, 1], logits, [1, 1, 2, 5]) == pytest.approx(
        (2 / 4 + 1) / 2
    )


def test_average_precision_by_hand():
    # Best first: 1, 0, 1. Recall steps of ½ at precision 1 and 2/3.
    assert of("average_precision", [1, 0, 1], [[3], [2], [1]]) == pytest.approx(0.5 + 0.5 * 2 / 3)
    # One score, one threshold.
    assert of("average_precision", [1, 0, 1, 0], [[0]] * 4) == 0.5
    assert math.isnan(of("average_precision", [0, 0], [[1], [2]]))


def test_numbers_by_hand():
    y, z = np.array([[0.0], [2.0]]), np.array([[1.0], [2.0]])
    assert of("mse", y, z) == 0.5
    assert of("r2", y, z) == 0.5
    assert of("r2", np.ones((2, 1)), np.ones((2, 1))) == 1
    assert of("r2", np.ones((2, 1)), np.zeros((2, 1))) == 0
    both = np.hstack([y, np.ones((2, 1))]), np.hstack([z, np.zeros((2, 1))])
    assert of("r2", *both) == 0.25
    assert of("mse", *both) == 0.75


def test_which_is_better_knows_its_direction_and_never_prefers_nan():
    nan = math.nan
    for metric, high in (
        ("accuracy", True),
        ("r2", True),
        ("loss", False),
        ("mse", False),
        (max, True),
    ):
        assert metrics.better(metric, 2.0, 1.0) == high
        assert metrics.better(metric, 1.0, 2.0) != high
        assert not metrics.better(metric, 1.0, 1.0)
        assert metrics.better(metric, 1.0, nan)
        assert not metrics.better(metric, nan, 1.0)
        assert not metrics.better(metric, nan, nan)
        ranked = sorted([nan, 1.0, 2.0], key=lambda value: metrics.rank_key(metric, value))
        assert ranked[:2] == ([2.0, 1.0] if high else [1.0, 2.0])


def test_logits_that_are_not_finite_have_no_metric():
    for metric in ("accuracy", "balanced_accuracy", "average_precision"):
        assert math.isnan(of(metric, [0, 1], [[math.nan, 0], [0, 1]]))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_metrics_are_those_of_scikit_learn(weighted, classes):
    sklearn = pytest.importorskip("sklearn.metrics")
    labels = RNG.integers(0, classes, 300)
    logits = np.round(RNG.standard_normal((300, classes)) + np.eye(classes)[labels], 1)  # with ties
    weights = RNG.uniform(0, 2, 300) if weighted else None
    chosen = logits.argmax(axis=1)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    if classes == 2:
        precision = sklearn.average_precision_score(
            labels, logits[:, 1] - logits[:, 0], sample_weight=weights
        )
    else:
        precision = sklearn.average_precision_score(
            np.eye(classes)[labels], shares, sample_weight=weights, average="macro"
        )
    for metric, wanted in (
        ("accuracy", sklearn.accuracy_score(labels, chosen, sample_weight=weights)),
        (
            "balanced_accuracy",
            sklearn.balanced_accuracy_score(labels, chosen, sample_weight=weights),
        ),
        ("average_precision", precision),
        ("loss", sklearn.log_loss(labels, shares, sample_weight=weights)),
    ):
        assert of(metric, labels, logits, weights) == pytest.approx(wanted, rel=1e-12), metric
    y, z = RNG.standard_normal((2, 50, classes))
    weights = None if weights is None else weights[:50]
    assert of("r2", y, z, weights) == pytest.approx(
        sklearn.r2_score(y, z, sample_weight=weights), rel=1e-12
    )
    assert of("mse", y, z, weights) == pytest.approx(
        sklearn.mean_squared_error(y, z, sample_weight=weights), rel=1e-12
    )
