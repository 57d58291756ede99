"""How good logits are, by the definitions: one row, one class, one threshold at a time.

    accuracy            Σ w·[ŷ = y] / Σ w, ŷ the first of the largest logits, or whether one is > 0
    balanced_accuracy   the mean, over the classes that occur, of Σ w·[ŷ = y = c] / Σ w·[y = c]
    average_precision   Σ (Rᵢ − Rᵢ₋₁)·Pᵢ over the thresholds from the highest down; recall and
                        precision of the rows whose score reaches the threshold
    mse                 Σ w·(z − y)² / Σ w, the mean over outputs
    r2                  1 − Σ w·(z − y)² / Σ w·(y − mean y)², the mean over outputs

Average precision is that of the second of two classes, scored by what its logit is above the
first's; of more classes it is the mean over those that occur, each scored by its softmax share.
R² of targets that are all equal is 1 where each is met, else 0.
"""

from typing import Any

import numpy as np

from numfuse.reference.finetune._losses import loss_rows, row_weights

Array = Any  # ndarray, float64 if nothing else is said


def metric(name: str, targets: Array, logits: Array, weights: Array | None = None) -> float:
    """Compute a metric of logits (n, out).

    `targets` are labels (n,), counted from 0, or for mse and r2 numbers (n, out).

    Examples
    --------
    >>> metric("accuracy", np.array([0, 1, 1]), np.array([[1.0, 0], [0, 1], [2, 0]]))
    0.6666666666666666
    """
    w = row_weights(logits[:, 0], weights)
    if name == "mse":
        return float(np.mean(w @ (logits - targets) ** 2 / w.sum()))
    if name == "r2":
        return float(np.mean([_r2(*pair, w) for pair in zip(targets.T, logits.T, strict=True)]))
    classes = [c for c in np.unique(targets) if w[targets == c].any()]
    if name == "average_precision":
        scores, of = _scores(logits)
        found = [_average_precision(targets == c, scores[:, c], w) for c in of if c in classes]
        return float(np.mean(found)) if found else float("nan")
    chosen = logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(axis=1)
    right = chosen == targets
    if name == "accuracy":
        return float(w @ right / w.sum())
    return float(np.mean([w @ (right & (targets == c)) / w[targets == c].sum() for c in classes]))


def _r2(y: Array, z: Array, w: Array) -> float:
    left, all_ = w @ (y - z) ** 2, w @ (y - w @ y / w.sum()) ** 2
    return float(1 - left / all_ if all_ > 0 else left == 0)


def _scores(logits: Array) -> tuple[Array, list[int]]:
    """Scores (n, classes), and of which classes average precision is the mean."""
    if logits.shape[1] == 1:
        return np.hstack([-logits, logits]), [1]
    if logits.shape[1] == 2:
        return logits - logits[:, ::-1], [1]
    # e = p − 0
    return loss_rows("softmax", logits, np.zeros_like(logits))[1], list(range(logits.shape[1]))


def _average_precision(positive: Array, scores: Array, w: Array) -> float:
    area = recall_before = 0.0
    for threshold in np.unique(scores[w > 0])[::-1]:
        reached = scores >= threshold
        hits = w @ (reached & positive)
        recall, precision = hits / (w @ positive), hits / (w @ reached)
        area += (recall - recall_before) * precision
        recall_before = recall
    return area
