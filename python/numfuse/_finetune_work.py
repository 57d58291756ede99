"""What one call of the fine-tuning kernels is told: rows, heads, and what each head aims at.

Heads that read the same rows in the same order are stacked along the outputs: `parameters` is
(K, in + 1), K the sum of the heads' outputs, the bias last, as the weight of a column of ones.
The kernels and `reference.finetune` read `Work` by attribute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _finetune_engine as _engine
from ._finetune_targets import balanced_factors, row_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ._finetune_data import Block, Data
    from ._finetune_fit import Plan, Task


class Head(NamedTuple):
    """One head of a call: `outputs` rows of the parameters, and how they are trained."""

    outputs: int
    bias: bool
    loss: str
    """Either "softmax", "sigmoid", "squared" or "huber"."""
    labels: int | None
    """Index into `Work.labels`, or None where `values` says."""
    values: int | None
    """Index into `Work.values`."""
    weights: int | None
    """Index into `Work.weights`; None: each row weighs 1."""
    smoothing: float
    delta: float
    l2: float
    optimizer: str
    """Either "sgd", "adamw", or "none" where the objective is only evaluated."""
    momentum: float
    nesterov: bool
    beta1: float
    beta2: float
    epsilon: float
    weight_decay: float
    clip_norm: float | None
    anchored: bool
    """Whether the head's rows of the anchors count; else it is pulled towards 0."""


class Work(NamedTuple):
    """Rows, and the heads that learn from them. T is the dtype that is computed in."""

    features: NDArray[Any]
    """(n, in), rows of unit stride: float32, float64, or uint16 where `half` names its kind."""
    half: str | None
    """Either "float16" or "bfloat16": what the 16 bits of uint16 features are; T is float32."""
    shift: NDArray[Any] | None
    """(in,) T: subtracted from the features …"""
    scale: NDArray[Any] | None
    """(in,) T: … and multiplied with what is left."""
    order: NDArray[np.int64] | None
    """Rows in the order in which they are visited; None: all, as they lie."""
    heads: tuple[Head, ...]
    labels: tuple[NDArray[np.int64], ...]
    """Each (n,), by row of `features`."""
    values: tuple[NDArray[Any], ...]
    """Each (n, outputs), T, C order."""
    weights: tuple[NDArray[Any], ...]
    """Each (n,), T."""


class Scaling(NamedTuple):
    """Standardised features x' = (x − mean)/deviation, and what it makes of weights.

    A head that is trained on x' has V = W·deviation and c = b + W·mean; penalties are on V. Where
    there is no bias to fold the mean into, it is 0.
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    def arrays(self, dtype: np.dtype[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return what the kernels subtract, and what they multiply with."""
        return self.mean.astype(dtype), (1 / self.deviation).astype(dtype)


def scaling(data: Data, task: Task, rows: NDArray[np.int64] | None) -> Scaling | None:
    """Go through the training rows for mean and deviation, if the task standardises."""
    settings = task.settings
    if not settings.standardize:
        return None
    first = 0 if task.columns is None else task.columns.start
    total, mean, squares = 0.0, np.zeros(task.width), np.zeros(task.width)
    for block in data.blocks():
        features = block.rows.columns(task.columns)
        middle, deviation = np.empty(task.width), np.empty(task.width)
        with _engine.naming("features", features, first):
            _engine.moments(features, block.rows.half, rows, block.weights, middle, deviation)
        weight = _sum(block.weights, rows, block.length)
        if not data.in_blocks:
            mean = middle
            break
        if weight == 0:
            continue
        # A block's own constant column counts as 1, so its squares are taken anew.
        away = middle - mean
        squares += _squares(block, task.columns, middle)
        squares += away**2 * (total * weight / (total + weight))
        total += weight
        mean += away * (weight / total)
    if data.in_blocks:
        deviation = np.sqrt(squares / total) if total else np.ones(task.width)
        deviation[deviation <= 1e-12 * np.abs(mean)] = 1
    return Scaling(mean if settings.bias else np.zeros(task.width), deviation)


def _sum(weights: NDArray[np.float64] | None, rows: NDArray[np.int64] | None, count: int) -> float:
    if weights is None:
        return float(count if rows is None else len(rows))
    return float((weights if rows is None else weights[rows]).sum())


def _squares(
    block: Block, columns: slice | None, middle: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the weighted sum of squares about the mean, by parts of 1024 rows."""
    part = block.rows._replace(array=block.rows.columns(columns))
    squares = np.zeros_like(middle)
    for start in range(0, block.length, 1024):
        stop = min(start + 1024, block.length)
        away = (part.wide(start, stop, np.dtype(np.float64)) - middle) ** 2
        squares += away.sum(axis=0) if block.weights is None else block.weights[start:stop] @ away
    return squares


def to_training(
    weight: NDArray[np.float64], bias: NDArray[np.float64], scaled: Scaling | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weight and bias as they act on standardised features."""
    if scaled is None:
        return weight, bias
    return weight * scaled.deviation, bias + weight @ scaled.mean


def from_training(
    weight: NDArray[Any], bias: NDArray[Any], scaled: Scaling | None, dtype: np.dtype[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return weight and bias as they act on the features themselves, rounded once."""
    with np.errstate(all="ignore"):  # of a fit that diverged
        if scaled is not None:
            weight = weight.astype(np.float64) / scaled.deviation
            bias = bias.astype(np.float64) - weight @ scaled.mean
        return np.array(weight, dtype, order="C"), np.array(bias, dtype)


def factors(plan: Plan, task: Task, rows: NDArray[np.int64] | None) -> NDArray[np.float64] | None:
    """Return the weights of a task's classes, "balanced" ones by the training rows."""
    if not task.balanced:
        return task.factors
    sums = np.zeros(len(task.kind.classes if task.kind.classes is not None else ()))
    for block in plan.data.blocks():
        labels, weights = block.targets[task.aim].labels, block.weights
        assert labels is not None
        if rows is not None:
            labels = labels[rows]
            weights = None if weights is None else weights[rows]
        sums += np.bincount(labels, weights, minlength=len(sums))
    return balanced_factors(sums)


def stacked(
    block: Block,
    tasks: Sequence[Task],
    class_factors: Sequence[NDArray[np.float64] | None],
    scaled: tuple[NDArray[Any], NDArray[Any]] | None,
    optimizer: str,
) -> Work:
    """Put heads of the same columns together for one call; arrays that are the same once."""
    labels: list[NDArray[np.int64]] = []
    values: list[NDArray[Any]] = []
    weights: list[NDArray[Any]] = []
    place: dict[Any, int] = {}
    heads = []
    dtype = block.rows.dtype
    for task, factor in zip(tasks, class_factors, strict=True):
        settings, aims = task.settings, block.targets[task.aim]
        if task.aim not in place:
            if aims.labels is not None:
                place[task.aim] = len(labels)
                labels.append(aims.labels)
            else:
                assert aims.values is not None
                place[task.aim] = len(values)
                values.append(aims.values)
        weighs = None
        if factor is not None or block.weights is not None:
            by_class = None if factor is None else (task.aim, factor.tobytes())
            key = ("weights", by_class)
            if key not in place:
                place[key] = len(weights)
                rows = row_weights(block.weights, factor, aims.labels, dtype)
                assert rows is not None
                weights.append(rows)
            weighs = place[key]
        at = place[task.aim]
        heads.append(
            Head(
                task.kind.outputs, settings.bias, settings.loss,
                at if aims.labels is not None else None, None if aims.labels is not None else at,
                weighs, settings.label_smoothing, settings.huber_delta, _l2(settings.l2),
                optimizer, settings.momentum, settings.nesterov, settings.betas[0],
                settings.betas[1], settings.epsilon, settings.weight_decay, settings.clip_norm,
                task.anchor is not None,
            )
        )  # fmt: skip
    shift, scale = scaled if scaled is not None else (None, None)
    columns = tasks[0].columns
    return Work(
        block.rows.columns(columns), block.rows.half, shift, scale, None, tuple(heads),
        tuple(labels), tuple(values), tuple(weights),
    )  # fmt: skip


def _l2(l2: float | NDArray[np.float64]) -> float:
    return l2 if isinstance(l2, float) else 0.0
