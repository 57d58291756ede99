"""The four functions of the engine, with the arguments that the kernels take.

`epoch` is training, batch by batch; `evaluate` the sums that a full-batch solver asks for;
`logits` prediction; `moments` what standardising needs. Features are read by rows, so that none of
them copies more than a block. Results are written in place.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from numfuse.reference.finetune._losses import extended, loss_rows, objective, row_weights
from numfuse.reference.finetune._optimizers import clip, optimizer_step

Array = Any  # ndarray, of the dtype that is computed in if nothing else is said

BLOCK = 1024


@np.errstate(all="ignore")
def epoch(
    work: Any,
    batch: int,
    parameters: Array,
    moments: Array,
    anchor: Array | None,
    rates: NDArray[np.float64],
    losses: NDArray[np.float64],
    weight_sums: NDArray[np.float64],
) -> None:
    """Train all heads on the rows of `work.order`, `batch` rows a step.

    Parameters
    ----------
    work : Work
    batch : int
        The last batch may be shorter.
    parameters : ndarray, shape (K, in + 1)
        Heads one below the other; moved.
    moments : ndarray, shape (0, 1 or 2, K, in + 1)
        What the optimiser remembers; moved.
    anchor : ndarray, shape (K, in) or (K, in + 1), or None
        Where the penalty pulls those heads that are `anchored`.
    rates : ndarray, shape (heads, steps, 3)
    losses, weight_sums : ndarray, shape (heads, steps)
        Filled with each batch's objective before its step, penalty included, and its Σw.

    Raises
    ------
    ValueError
        If a feature is not finite. Where training stands then is undefined.
    """
    for step, rows in enumerate(_batches(work.features, work.order, batch)):
        x = read(work.features, work.half, work.shift, work.scale, rows, parameters.dtype)
        for h, (head, outputs) in enumerate(_stacked(work.heads)):
            theta = parameters[outputs]
            targets, weights = _asked(work, head, rows)
            losses[h, step], g = objective(
                head.loss,
                theta,
                x,
                targets,
                weights,
                l2=head.l2,
                anchor=anchor[outputs] if anchor is not None and head.anchored else None,
                smoothing=head.smoothing,
                delta=head.delta,
            )
            if not head.bias:
                g[:, -1] = 0
            if head.clip_norm is not None:
                g *= clip(g, head.clip_norm)
            optimizer_step(head, theta, g, moments[:, outputs], rates[h, step])
            weight_sums[h, step] = len(rows) if weights is None else weights.sum(dtype=np.float64)


@np.errstate(all="ignore")
def evaluate(
    work: Any,
    parameters: Array,
    losses: NDArray[np.float64],
    weight_sums: NDArray[np.float64],
    gradient: NDArray[np.float64],
) -> None:
    """Sum over all rows: Σ wℓ and Σ w of each head (heads,), and Σ w·e xᵀ (K, in + 1).

    Neither divided by Σw nor penalised. Blocks of 1024 rows are summed in the parameters' dtype,
    the blocks in float64.
    """
    losses[...], weight_sums[...], gradient[...] = 0, 0, 0
    for rows in _batches(work.features, work.order, BLOCK):
        x = extended(read(work.features, work.half, work.shift, work.scale, rows, parameters.dtype))
        for h, (head, outputs) in enumerate(_stacked(work.heads)):
            targets, weights = _asked(work, head, rows)
            z = x @ parameters[outputs].T
            ell, e = loss_rows(head.loss, z, targets, smoothing=head.smoothing, delta=head.delta)
            w = row_weights(ell, weights)
            losses[h] += np.dot(ell.astype(np.float64), w.astype(np.float64))
            weight_sums[h] += w.sum(dtype=np.float64)
            gradient[outputs] += (e * w[:, None]).T @ x
            if not head.bias:
                gradient[outputs, -1] = 0


@np.errstate(all="ignore")
def logits(
    features: Array,
    half: str | None,
    shift: Array | None,
    scale: Array | None,
    rows: NDArray[np.int64] | None,
    parameters: Array,
    out: Array,
) -> None:
    """Z = θ x of all rows, or of those in `rows`, into `out` (rows, K)."""
    filled = 0
    for some in _batches(features, rows, BLOCK):
        x = extended(read(features, half, shift, scale, some, parameters.dtype))
        out[filled : filled + len(some)] = x @ parameters.T
        filled += len(some)


@np.errstate(all="ignore")
def moments(
    features: Array,
    half: str | None,
    rows: NDArray[np.int64] | None,
    weights: NDArray[np.float64] | None,
    mean: NDArray[np.float64],
    deviation: NDArray[np.float64],
) -> None:
    """Weighted mean and deviation (in,) of each feature, a constant one's deviation being 1.

    Each block of 1024 rows has its mean, then the sum of squares about it; two parts of mean μ,
    weight w and sum of squares S join to (Chan, Golub and LeVeque 1983)

        w = w₁ + w₂,  μ = μ₁ + (μ₂ − μ₁)·w₂/w,  S = S₁ + S₂ + (μ₂ − μ₁)²·w₁w₂/w.
    """
    total, squares = 0.0, np.zeros_like(mean)
    mean[...] = 0
    for some in _batches(features, rows, BLOCK):
        x = read(features, half, None, None, some, np.float64)
        w = np.ones(len(some)) if weights is None else weights[some]
        weight = w.sum()
        if weight == 0:
            continue
        middle = w @ x / weight
        away = middle - mean
        squares += w @ (x - middle) ** 2 + away**2 * (total * weight / (total + weight))
        total += weight
        mean += away * (weight / total)
    deviation[...] = np.sqrt(squares / total)
    # Rounding alone gives a constant column a deviation of some units of its last place.
    deviation[deviation <= 1e-12 * np.abs(mean)] = 1


def read(
    features: Array,
    half: str | None,
    shift: Array | None,
    scale: Array | None,
    rows: NDArray[np.int64],
    dtype: DTypeLike,
) -> Array:
    """Read some rows: widened from half precision, finite, (x − shift)·scale."""
    x = features[rows]
    if half == "float16":
        x = x.view(np.float16)
    elif half == "bfloat16":  # the upper half of a float32
        x = (x.astype(np.uint32) << np.uint32(16)).view(np.float32)
    bad = np.argwhere(~np.isfinite(x))
    if len(bad):
        row, column = rows[bad[0, 0]], bad[0, 1]
        raise ValueError(
            f"features has a value that is not finite in row {row}, column {column}; "
            "drop or fill it"
        )
    x = x.astype(dtype)
    return x if shift is None else (x - shift) * scale


def _batches(
    features: Array, order: NDArray[np.int64] | None, size: int
) -> Iterator[NDArray[np.int64]]:
    """Cut the rows, in order, into batches."""
    rows = np.arange(len(features)) if order is None else order
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _stacked(heads: tuple[Any, ...]) -> Iterator[tuple[Any, slice]]:
    """Give each head with its rows of the stacked parameters."""
    first = 0
    for head in heads:
        yield head, slice(first, first + head.outputs)
        first += head.outputs


def _asked(work: Any, head: Any, rows: NDArray[np.int64]) -> tuple[Array, Array | None]:
    """Targets and weights of some rows for a head."""
    targets = work.values[head.values] if head.labels is None else work.labels[head.labels]
    return targets[rows], None if head.weights is None else work.weights[head.weights][rows]
