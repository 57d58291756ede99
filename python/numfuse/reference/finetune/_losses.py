"""What a row costs, how the cost grows with its logits, and the mean cost of all rows.

z are a row's logits, y its targets, ε the smoothing, Σ runs over the outputs:

    softmax   ℓ = −Σ t·ln p,          e = p − t,   p = exp z / Σ exp z,   t = (1 − ε)y + ε/out
    sigmoid   ℓ = Σ ln(1 + eᶻ) − t·z, e = p − t,   p = 1/(1 + exp(−z)),   t = (1 − ε)y + ε/2
    squared   ℓ = Σ r²/2,             e = r,       r = z − y
    huber     ℓ = Σ r²/2, but δ(|r| − δ/2) where |r| > δ,   e = r cut to [−δ, δ]

Each is written so that no logit, however large, overflows: softmax from the largest logit down,
sigmoid by exp(−|z|).
"""

from typing import Any

import numpy as np

Array = Any  # ndarray, of the dtype that is computed in if nothing else is said


@np.errstate(all="ignore")
def loss_rows(
    loss: str, logits: Array, targets: Array, *, smoothing: float = 0.0, delta: float = 1.0
) -> tuple[Array, Array]:
    """ℓ (n,) and e = ∂ℓ/∂z (n, out) of logits (n, out).

    Targets are (n, out); one number a row serves too: softmax's label, or the only output's target.
    """
    z, y = logits, _one_hot(loss, logits, targets)
    if loss == "softmax":
        t = (1 - smoothing) * y + smoothing / z.shape[1]
        below = z - z.max(axis=1, keepdims=True)
        q = np.exp(below)
        s = q.sum(axis=1, keepdims=True)
        # An output that has no share in the target costs nothing, even where ln p is −∞.
        cost = np.where(t == 0, z.dtype.type(0), t * (np.log(s) - below))
        return cost.sum(axis=1), q / s - t
    if loss == "sigmoid":
        t = (1 - smoothing) * y + smoothing / 2
        a = np.exp(-np.abs(z))
        cost = np.maximum(z, 0) - t * z + np.log1p(a)
        return cost.sum(axis=1), np.where(z >= 0, z.dtype.type(1), a) / (1 + a) - t
    r = z - y
    if loss == "squared":
        return (r * r / 2).sum(axis=1), r
    size = np.abs(r)
    cost = np.where(size <= delta, r * r / 2, delta * (size - delta / 2))
    return cost.sum(axis=1), np.clip(r, -delta, delta)


@np.errstate(all="ignore")
def objective(
    loss: str,
    parameters: Array,
    features: Array,
    targets: Array,
    weights: Array | None = None,
    *,
    l2: float = 0.0,
    anchor: Array | None = None,
    smoothing: float = 0.0,
    delta: float = 1.0,
) -> tuple[float, Array]:
    """Σ wℓ/Σw + (l2/2)·‖W − anchor‖² and its gradient (K, in + 1).

    `anchor` is (K, in) or, its last column ignored, (K, in + 1). Rows that all weigh 0 leave the
    penalty alone.
    """
    x = extended(features)  # (n, in + 1)
    ell, e = loss_rows(loss, x @ parameters.T, targets, smoothing=smoothing, delta=delta)
    w = row_weights(ell, weights)
    total = w.sum(dtype=np.float64)
    share = w * w.dtype.type(1 / total if total else 0)  # sums to 1
    cost = np.dot(ell.astype(np.float64), w.astype(np.float64)) / total if total else 0.0
    away = from_anchor(parameters, anchor)
    gradient = (e * share[:, None]).T @ x + l2 * away
    return float(cost + l2 / 2 * np.sum(np.square(away, dtype=np.float64))), gradient


@np.errstate(all="ignore")
def hessian(
    loss: str,
    parameters: Array,
    features: Array,
    targets: Array,
    weights: Array | None = None,
    *,
    l2: float = 0.0,
    delta: float = 1.0,
) -> Array:
    """Second derivatives of `objective`, (K·(in + 1), K·(in + 1)) in C order of the parameters.

    Neither anchor nor smoothing shows in them. Huber's is that of the side on which each residual
    lies.
    """
    x = extended(features)
    z = x @ parameters.T
    w = row_weights(z[:, 0], weights)
    outer = np.einsum("i,ikl,id,ie->kdle", w / w.sum(), _curvature(loss, z, targets, delta), x, x)
    found = outer.reshape(parameters.size, parameters.size)
    penalised = np.ones_like(parameters)
    penalised[:, -1] = 0  # the bias is free
    return found + l2 * np.diag(penalised.ravel())


def extended(features: Array) -> Array:
    """Append the feature that is 1 in every row, whose weight is the bias."""
    return np.hstack([features, np.ones_like(features, shape=(len(features), 1))])


def row_weights(rows: Array, weights: Array | None) -> Array:
    """Each row's weight, 1 where none is given."""
    return np.ones_like(rows) if weights is None else weights


def from_anchor(parameters: Array, anchor: Array | None) -> Array:
    """W − anchor, and 0 for the bias, which no penalty pulls."""
    away = parameters.copy()
    away[:, -1] = 0
    if anchor is not None:
        away[:, :-1] -= anchor[:, : away.shape[1] - 1]
    return away


def _one_hot(loss: str, logits: Array, targets: Array) -> Array:
    """Targets as (n, out), in the dtype of the logits."""
    if targets.ndim == 1 and loss == "softmax":
        return (targets[:, None] == np.arange(logits.shape[1])).astype(logits.dtype)
    return targets.reshape(logits.shape).astype(logits.dtype)


def _curvature(loss: str, z: Array, targets: Array, delta: float) -> Array:
    """∂²ℓ/∂z∂z of each row, (n, out, out)."""
    each = np.eye(z.shape[1], dtype=z.dtype)
    if loss == "softmax":
        # With no target at all e is p, and its derivative is that of e for any target.
        p = loss_rows("softmax", z, np.zeros_like(z))[1]
        return p[:, :, None] * (each - p[:, None, :])
    if loss == "sigmoid":
        p = loss_rows("sigmoid", z, np.zeros_like(z))[1]
        return (p * (1 - p))[:, :, None] * each
    if loss == "squared":
        return np.ones_like(z)[:, :, None] * each
    inside = np.abs(z - _one_hot(loss, z, targets)) <= delta
    return inside[:, :, None] * each
