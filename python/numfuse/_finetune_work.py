"""What one call of the fine-tuning kernels is told: rows, heads, and what each head aims at.

Heads that read the same rows in the same order are stacked along the outputs: `parameters` is
(K, in + 1), K the sum of the heads' outputs, the bias last, as the weight of a column of ones.
The kernels and `reference.finetune` read `Work` by attribute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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
