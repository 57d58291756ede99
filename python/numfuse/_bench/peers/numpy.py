"""NumPy as one writes it by hand: the formula in five lines, in place where that saves a pass."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from numfuse._bench.cases import Array, Attention, Case, Layer
from numfuse._bench.child import RefusalError
from numfuse._bench.diffusion import Heat
from numfuse._bench.finetune import Tune

from ._faces import lower_faces
from .numfuse import in_order_first
from .reference import refuse_if_too_large


def versions() -> dict[str, str]:
    """State NumPy's release, and the BLAS that it was built with."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {"numpy": np.__version__, "blas": f"{blas['name']} {blas['version']}"}


def settle(threads: int) -> None:
    """Do nothing: NumPy's BLAS has read the environment."""


def prepare(case: Case, inputs: dict[str, Array]) -> Callable[[], Any]:
    """Take the plain formula, for what it says without further code."""
    if isinstance(case, Attention):
        if not case.plain:
            raise RefusalError("plain attention only")
        refuse_if_too_large(case, 2)
        return _attention(case, inputs)
    if isinstance(case, Layer) and case.function == "layer_norm":
        return lambda: layer_norm(inputs["x"], inputs["weight"], inputs["bias"])
    if isinstance(case, Layer) and case.approximate == "tanh":
        return lambda: gelu_tanh(inputs["x"])
    if isinstance(case, Heat):
        if case.order != 2:
            raise RefusalError("order 2 only")
        return lambda: heat(case, inputs["field"], inputs.get("diffusivity"))
    if isinstance(case, Tune) and case.heads == 1:
        return in_order_first(lambda shuffle: tune(case, inputs, shuffle=shuffle))
    raise RefusalError(
        "NumPy has no erf" if isinstance(case, Layer) else "one head of batches only"
    )


def _attention(case: Attention, inputs: dict[str, Array]) -> Callable[[], Any]:
    query, key, value = inputs["query"], inputs["key"], inputs["value"]
    hidden = None
    if case.causal:
        hidden = ~np.tri(case.queries, case.keys, case.keys - case.queries, dtype=bool)
    if case.key_heads == case.heads:
        return lambda: attention(query, key, value, hidden)
    # The queries of one group share their key head by broadcasting.
    query = query.reshape(case.batch, case.key_heads, -1, case.queries, case.head_dim)
    key, value = key[:, :, None], value[:, :, None]
    return lambda: attention(query, key, value, hidden).reshape(
        case.batch, case.heads, case.queries, case.head_dim
    )


def attention(query: Array, key: Array, value: Array, hidden: Array | None) -> Array:
    """softmax(query keyᵀ / √head_dim) value."""
    score = (query * query.dtype.type(1 / math.sqrt(query.shape[-1]))) @ key.mT
    if hidden is not None:
        np.copyto(score, -np.inf, where=hidden)
    score -= score.max(axis=-1, keepdims=True)
    np.exp(score, out=score)
    total = score.sum(axis=-1, keepdims=True)
    out: Array = score @ value
    out /= total
    return out


def layer_norm(x: Array, weight: Array, bias: Array, epsilon: float = 1e-5) -> Array:
    """(x − mean) / √(variance + epsilon)·weight + bias."""
    out: Array = x - x.mean(axis=-1, keepdims=True)
    variance = np.square(out).mean(axis=-1, keepdims=True)
    out /= np.sqrt(variance + x.dtype.type(epsilon))
    out *= weight
    out += bias
    return out


def gelu_tanh(x: Array) -> Array:
    """0.5·x·(1 + tanh(√(2/π)·(x + 0.044715 x³)))."""
    out: Array = x * x
    out *= x.dtype.type(0.044715)
    out += 1
    out *= x
    out *= x.dtype.type(math.sqrt(2 / math.pi))
    np.tanh(out, out=out)
    out += 1
    out *= x
    out *= x.dtype.type(0.5)
    return out


def heat(case: Heat, field: Array, diffusivity: Array | None) -> Array:
    """Let every face carry dt·D times the difference of its cells, step by step."""
    u = field.copy()
    faces = []
    for axis in range(u.ndim):
        low = (slice(None),) * axis + (slice(None, -1),)
        high = (slice(None),) * axis + (slice(1, None),)
        carried: Any = u.dtype.type(case.dt)
        if diffusivity is not None:
            carried = lower_faces(diffusivity, axis, case.dt)[high]
        faces.append((low, high, carried, np.empty_like(u[low])))
    for _ in range(case.steps):
        for low, high, carried, flux in faces:
            np.subtract(u[high], u[low], out=flux)
            flux *= carried
        for low, high, _, flux in faces:
            u[low] += flux
            u[high] -= flux
    return u


def tune(case: Tune, inputs: dict[str, Array], *, shuffle: bool) -> Array:
    """Return the weight (1, outputs, width) after the epochs; the gradient in five lines."""
    x, y = inputs["features"], inputs["labels"]
    weight = np.zeros((case.outputs, case.width), x.dtype)
    bias = np.zeros(case.outputs, x.dtype)
    parameters = (weight, bias)
    first, second = ([np.zeros_like(each) for each in parameters] for _ in range(2))
    generator, step = np.random.default_rng(0), 0
    for _ in range(case.epochs):
        order = generator.permutation(len(x)) if shuffle else np.arange(len(x))
        for start in range(0, len(x), case.batch):
            rows = order[start : start + case.batch]
            batch = x[rows]
            share = batch @ weight.T + bias
            np.exp(share - share.max(axis=1, keepdims=True), out=share)
            share /= len(rows) * share.sum(axis=1, keepdims=True)
            share[np.arange(len(rows)), y[rows]] -= x.dtype.type(1 / len(rows))
            step += 1
            for p, m, v, g in zip(
                parameters, first, second, (share.T @ batch, share.sum(axis=0)), strict=True
            ):
                if case.optimizer == "sgd":
                    m *= 0.9
                    m += g
                    p -= case.learning_rate * m
                    continue
                m += (1 - 0.9) * (g - m)
                v += (1 - 0.999) * (g * g - v)
                rate = case.learning_rate / (1 - 0.9**step)
                p -= rate * m / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    return weight[None]


def to_numpy(result: Array) -> Array:
    """Return it: it is an array already."""
    return result
