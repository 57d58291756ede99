"""A frozen layer, an update of low rank to it, and a head behind both.

    u = x·mask,  a = x W₀ᵀ + b₀ + s·(u Aᵀ) Bᵀ,  y = f(a),  z = y Vᵀ + c

From e = ∂objective/∂z back to the parameters, δ = (e V)·f′(a) being what reaches the layer:

    ∂V = eᵀ y,  ∂c = Σ e,  ∂B = s·δᵀ (u Aᵀ),  ∂A = s·(δ B)ᵀ u

References
----------
.. [1] E. Hu et al., "LoRA: low-rank adaptation of large language models", ICLR 2022.
"""

import math
from typing import Any

import numpy as np

from numfuse.reference.finetune._losses import extended, loss_rows, objective, row_weights
from numfuse.reference.layers import gelu

Array = Any  # ndarray, of the dtype that is computed in

_erf = np.frompyfunc(math.erf, 1, 1)


def lowrank_objective(
    loss: str,
    parameters: dict[str, Array],
    weight: Array,
    bias: Array | None,
    features: Array,
    targets: Array,
    weights: Array | None = None,
    *,
    scaling: float,
    activation: str | None = None,
    mask: Array | None = None,
    **options: Any,
) -> tuple[float, dict[str, Array]]:
    """`objective` of the logits behind the adapted layer, and its gradient, by name.

    Parameters
    ----------
    loss, features, targets, weights, **options
        As for `objective`; penalty and anchor are the head's.
    parameters : dict
        "A" (rank, in), "B" (out, rank), and "head" (K, out + 1): V, then c.
    weight, bias : ndarray, shape (out, in) and (out,), or None
        W₀ and b₀.
    scaling : float
        s.
    activation : {"relu", "gelu", "tanh"}, optional
        f; none by default.
    mask : ndarray, shape (n, in), optional
        Dropout's: 0 where a feature is hidden from A, else 1/(1 − p).
    """
    A, B, head = parameters["A"], parameters["B"], parameters["head"]
    x = features
    u = x if mask is None else x * mask
    a = x @ weight.T + scaling * (u @ A.T) @ B.T  # (n, out)
    if bias is not None:
        a = a + bias
    y, slope = _activated(activation, a)
    value, head_gradient = objective(loss, head, y, targets, weights, **options)
    given = {name: options[name] for name in ("smoothing", "delta") if name in options}
    e = loss_rows(loss, extended(y) @ head.T, targets, **given)[1]
    w = row_weights(e[:, 0], weights)
    total = w.sum(dtype=np.float64)
    share = w * w.dtype.type(1 / total if total else 0)
    delta = (e * share[:, None]) @ head[:, :-1] * slope  # (n, out)
    return value, {
        "A": scaling * (delta @ B).T @ u,
        "B": scaling * delta.T @ (u @ A.T),
        "head": head_gradient,
    }


def _activated(activation: str | None, a: Array) -> tuple[Array, Array]:
    """f(a) and f′(a)."""
    if activation == "relu":
        return np.maximum(a, 0), (a > 0).astype(a.dtype)
    if activation == "tanh":
        return np.tanh(a), 1 - np.tanh(a) ** 2
    if activation == "gelu":  # aΦ(a), so Φ(a) + a·φ(a)
        below = (1 + _erf(a / math.sqrt(2)).astype(a.dtype)) / 2
        return gelu(a), below + a * np.exp(-a * a / 2) / math.sqrt(2 * math.pi)
    return a, np.ones_like(a)
