"""One frozen linear layer with an update of low rank, and a head behind it: values and gradients.

    u = mask·x/(1 − p)    a = x W₀ᵀ + b₀ + s·(u Aᵀ) Bᵀ    y = f(a)    z = y Vᵀ + c

With e = ∂loss/∂z, each row scaled by its weight over the batch's sum of weights:

    ∂V = eᵀ y      ∂c = Σ e      δ = (e V)·f′(a)      ∂B = s·δᵀ (u Aᵀ)      ∂A = s·(δ B)ᵀ u

Each of A, B and V is kept with one more column, as the optimiser takes a head's weight and bias:
V's holds c, that of A and B stays 0. Products are NumPy's, so their last bits depend on its BLAS
and the number of its threads.

Source: Hu et al. 2021 (LoRA), Kalajdzievski 2023 (s = alpha/√rank).
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import layers

Array = NDArray[Any]


class Layer(NamedTuple):
    """What stays as it is: W₀ (out, in), b₀ (out,) or None, s, f's name or None."""

    weight: Array
    bias: Array | None
    scaling: float
    activation: str | None


class Parameters(NamedTuple):
    """What is trained, each with the column that a bias has."""

    A: Array
    """(rank, in + 1), the last column 0."""
    B: Array
    """(out, rank + 1), the last column 0."""
    head: Array
    """(classes, out + 1), the last column the bias."""

    def copy(self) -> "Parameters":
        return Parameters(*(part.copy() for part in self))


def adapted(layer: Layer, parameters: Parameters, x: Array, dropped: Array | None = None) -> Array:
    """Return a, (n, out); `dropped` is u where it is not x."""
    A, B = parameters.A[:, :-1], parameters.B[:, :-1]
    a = x @ layer.weight.T
    if layer.bias is not None:
        a += layer.bias
    scaling = a.dtype.type(layer.scaling)
    a += ((x if dropped is None else dropped) @ A.T * scaling) @ B.T
    return a


def activate(layer: Layer, a: Array) -> Array:
    """Return f(a)."""
    match layer.activation:
        case "relu":
            return np.maximum(a, 0)
        case "gelu":
            return layers.gelu(a)
        case "tanh":
            return np.tanh(a)
    return a


def slope(layer: Layer, a: Array, y: Array) -> Array | None:
    """Return f′(a) from a and y = f(a); None for 1 everywhere."""
    match layer.activation:
        case "relu":
            return np.asarray(a > 0)
        case "gelu":
            # Φ = y/a loses its digits where a nears 0; there Φ = ½ + a/√(2π) to the last one.
            near = np.abs(a) < np.cbrt(np.finfo(a.dtype).eps)
            density = np.exp(a * a / -2) * a.dtype.type(1 / math.sqrt(2 * math.pi))
            cumulative: Array = np.where(
                near, a * density + a.dtype.type(0.5), y / np.where(near, 1, a)
            )
            return np.asarray(cumulative + a * density)
        case "tanh":
            return np.asarray(1 - y * y)
    return None


def logits(parameters: Parameters, y: Array) -> Array:
    """Return z, (n, classes)."""
    return y @ parameters.head[:, :-1].T + parameters.head[:, -1]


def gradients(
    layer: Layer, parameters: Parameters, x: Array, dropped: Array, a: Array, y: Array, e: Array
) -> Parameters:
    """Return the loss's gradient by each parameter; `e` is ∂loss/∂z with the rows' weights in."""
    A, B = parameters.A[:, :-1], parameters.B[:, :-1]
    found = Parameters(*map(np.zeros_like, parameters))
    np.matmul(e.T, y, out=found.head[:, :-1])
    e.sum(axis=0, out=found.head[:, -1])
    delta = e @ parameters.head[:, :-1]
    steepness = slope(layer, a, y)
    if steepness is not None:
        delta *= steepness
    delta *= delta.dtype.type(layer.scaling)
    found.B[:, :-1] = delta.T @ (dropped @ A.T)
    found.A[:, :-1] = (delta @ B).T @ dropped
    return found
