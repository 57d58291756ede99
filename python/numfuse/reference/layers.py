"""GELU and layer normalisation in plain NumPy."""

import math

import numpy as np

# The C library's erf, element by element: this module defines what is right, and no short rational
# approximation comes as close. It is slow, as all of the reference may be.
_erf = np.frompyfunc(math.erf, 1, 1)


def gelu(x, *, approximate="none"):
    """x·Φ(x), Φ the normal distribution function; "tanh": Hendrycks and Gimpel's approximation."""
    x = np.asarray(x)
    half, one = x.dtype.type(0.5), x.dtype.type(1)
    with np.errstate(all="ignore"):
        if approximate == "tanh":
            inner = x.dtype.type(math.sqrt(2 / math.pi)) * (x + x.dtype.type(0.044715) * x**3)
            return half * x * (one + np.tanh(inner))
        erf = np.asarray(_erf(x / x.dtype.type(math.sqrt(2))), dtype=x.dtype)
        return half * x * (one + erf)


def layer_norm(x, weight=None, bias=None, *, epsilon=1e-5):
    """(x − mean) / √(variance + epsilon)·weight + bias over the last axis."""
    x = np.asarray(x)
    count = x.dtype.type(max(x.shape[-1], 1))
    with np.errstate(all="ignore"):
        centred = x - x.sum(-1, keepdims=True) / count  # (..., features)
        variance = (centred * centred).sum(-1, keepdims=True) / count  # (..., 1)
        out = centred / np.sqrt(variance + x.dtype.type(epsilon))
        if weight is not None:
            out = out * np.asarray(weight, x.dtype)
        if bias is not None:
            out = out + np.asarray(bias, x.dtype)
    return out
