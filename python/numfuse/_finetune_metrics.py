"""How good a head is on data that it has not seen: metrics of targets and logits, in float64.

All of them are weighted means over the rows, the weights being the validation's own.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .reference.finetune import loss_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ._finetune_targets import Encoded, Kind

METRICS = ("accuracy", "balanced_accuracy", "average_precision", "loss", "mse", "r2")
LOWER_IS_BETTER = ("loss", "mse")
_OF_LABELS = ("accuracy", "balanced_accuracy", "average_precision")


def resolved(metric: str | Callable[..., float], kind: Kind) -> str | Callable[..., float]:
    """Return what "auto" means for targets of this kind; refuse a metric that they do not have."""
    if not isinstance(metric, str):
        return metric
    if metric == "auto":
        return {"labels": "accuracy", "numbers": "r2"}.get(kind.name, "loss")
    if metric in _OF_LABELS and kind.name != "labels":
        raise ValueError(
            f'metric "{metric}" is one of labels, but the targets are of another kind; use "loss".'
        )
    if metric in ("mse", "r2") and kind.name != "numbers":
        raise ValueError(
            f'metric "{metric}" is one of numbers, but the targets are labels; use "accuracy".'
        )
    return metric


def better(metric: str | Callable[..., float], value: float, than: float) -> bool:
    """Whether a value is strictly better than another one; NaN never is, and is never kept."""
    if math.isnan(value):
        return False
    if math.isnan(than):
        return True
    return value < than if metric in LOWER_IS_BETTER else value > than


def rank_key(metric: str | Callable[..., float], value: float) -> float:
    """Return a number to sort by: the best value first, NaN last."""
    if math.isnan(value):
        return math.inf
    return value if metric in LOWER_IS_BETTER else -value


def data_loss(
    loss: str,
    delta: float,
    logits: NDArray[Any],
    targets: Encoded,
    weights: NDArray[np.float64] | None,
) -> float:
    """Return the weighted mean of the rows' losses, without smoothing and penalty."""
    aims = targets.labels if targets.labels is not None else targets.values
    assert aims is not None
    if aims.dtype.kind == "f":
        aims = aims.astype(np.float64)
    rows, _ = loss_rows(loss, logits.astype(np.float64), aims, delta=delta)
    return _mean(rows, weights)


def score(
    metric: str | Callable[..., float],
    loss: str,
    delta: float,
    given: Any,
    targets: Encoded,
    logits: NDArray[Any],
    weights: NDArray[np.float64] | None,
) -> float:
    """Return the metric of logits (n, outputs) for the targets."""
    if not isinstance(metric, str):
        value = metric(given, logits)
        if not isinstance(value, int | float | np.integer | np.floating | np.bool_):
            raise TypeError(
                f"metric returned {value!r}, but has to return a number, of which more is better."
            )
        return float(value)
    with np.errstate(all="ignore"):
        if not np.isfinite(logits).all() and metric != "loss":
            return math.nan
        if metric == "loss":
            return data_loss(loss, delta, logits, targets, weights)
        if targets.labels is not None:
            return _of_labels(metric, targets.labels, logits.astype(np.float64), weights)
        assert targets.values is not None
        numbers = targets.values.astype(np.float64)
        return (mse if metric == "mse" else r2)(numbers, logits.astype(np.float64), weights)


def _of_labels(
    metric: str, labels: NDArray[np.int64], logits: NDArray[Any], weights: NDArray[Any] | None
) -> float:
    if metric == "average_precision":
        return average_precision(labels, logits, weights)
    right = (chosen(logits) == labels).astype(np.float64)
    if metric == "accuracy":
        return _mean(right, weights)
    # Mean recall over the classes that are there.
    sums = np.bincount(labels, weights)
    hits = np.bincount(labels, right if weights is None else right * weights)
    there = sums > 0
    return float(np.mean(hits[there] / sums[there])) if there.any() else math.nan


def chosen(logits: NDArray[Any]) -> NDArray[np.int64]:
    """Return the index of the class that logits speak for; of equal ones the first."""
    if logits.shape[1] == 1:
        return (logits[:, 0] > 0).astype(np.int64)
    best: NDArray[np.int64] = logits.argmax(axis=1)
    return best


def average_precision(
    labels: NDArray[np.int64], logits: NDArray[Any], weights: NDArray[Any] | None = None
) -> float:
    """Return Σ (Rᵢ − Rᵢ₋₁)·Pᵢ over the thresholds, the mean over classes that have a positive.

    Of two classes it is that of the second.
    """
    if logits.shape[1] == 1:
        return _one_precision(labels == 1, logits[:, 0], weights)
    if logits.shape[1] == 2:
        return _one_precision(labels == 1, logits[:, 1] - logits[:, 0], weights)
    # A softmax's shares, so that rows can be compared.
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    values = [
        _one_precision(labels == place, shares[:, place], weights)
        for place in range(logits.shape[1])
    ]
    there = [value for value in values if not math.isnan(value)]
    return float(np.mean(there)) if there else math.nan


def _one_precision(
    positive: NDArray[np.bool_], scores: NDArray[Any], weights: NDArray[Any] | None
) -> float:
    order = np.argsort(-scores, kind="stable")
    scores, positive = scores[order], positive[order]
    weight = np.ones(len(scores)) if weights is None else weights[order]
    hits, all_ = np.cumsum(weight * positive), np.cumsum(weight)
    if not len(hits) or hits[-1] == 0:
        return math.nan
    # Rows of one score are one threshold.
    last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)
    last = last[all_[last] > 0]
    recall = hits[last] / hits[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * (hits[last] / all_[last])))


def mse(numbers: NDArray[Any], logits: NDArray[Any], weights: NDArray[Any] | None = None) -> float:
    """Return the mean squared difference over rows and outputs."""
    return _mean(((numbers - logits) ** 2).mean(axis=1), weights)


def r2(numbers: NDArray[Any], logits: NDArray[Any], weights: NDArray[Any] | None = None) -> float:
    """Return 1 − Σ residual² / Σ (y − mean)², the mean over the outputs."""
    weight = np.ones(len(numbers)) if weights is None else weights
    if not weight.sum() > 0:
        return math.nan
    residual = weight @ (numbers - logits) ** 2
    mean = weight @ numbers / weight.sum()
    total = weight @ (numbers - mean) ** 2
    values = np.where(total > 0, 1 - residual / np.where(total > 0, total, 1), residual == 0)
    return float(values.mean())


def _mean(values: NDArray[Any], weights: NDArray[Any] | None) -> float:
    if weights is None:
        return float(values.mean()) if len(values) else math.nan
    total = float(weights.sum())
    return float(values @ weights) / total if total > 0 else math.nan
