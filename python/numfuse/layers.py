"""Layers that stand beside attention in a transformer, each in one pass over its input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays, _config, _native, _options

if TYPE_CHECKING:
    from typing import Literal

    from numpy.typing import ArrayLike, NDArray

__all__ = ["gelu", "layer_norm"]


def gelu(x: ArrayLike, *, approximate: Literal["none", "tanh"] = "none") -> NDArray[Any]:
    """Gaussian error linear unit x·Φ(x), Φ the normal distribution function [1]_.

    Parameters
    ----------
    x : array_like of any shape, float32 or float64
        Where to evaluate it.
    approximate : {"none", "tanh"}, default "none"
        "none" is ½x·(1 + erf(x/√2)); "tanh" is ½x·(1 + tanh(√(2/π)·(x + 0.044715x³))), which
        GPT-2 was trained with. As in PyTorch.

    Returns
    -------
    ndarray, shape and dtype of `x`
        A new array.

    Raises
    ------
    TypeError
        If `x` is neither float32 nor float64.
    ValueError
        If `approximate` is neither of the two.

    References
    ----------
    .. [1] D. Hendrycks, K. Gimpel, "Gaussian error linear units" (2016), arXiv:1606.08415.

    Examples
    --------
    >>> from numfuse import layers
    >>> layers.gelu([-1.0, 0.0, 1.0]).round(4)
    array([-0.1587,  0.    ,  0.8413])
    """
    (x,), dtype = _arrays.floats(x=x)
    approximate = _options.APPROXIMATE.checked("approximate", approximate)
    if _config.backend() == "numpy":
        from . import reference

        return np.asarray(reference.gelu(x.astype(dtype, copy=False), approximate=approximate))
    out = np.empty(x.shape, dtype)
    rows = _arrays.rows(x, dtype)
    _native.kernels.gelu(
        np.atleast_1d(rows), np.atleast_1d(out), approximate == "tanh", _config.threads()
    )
    return out


def layer_norm(
    x: ArrayLike,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    *,
    epsilon: float = 1e-5,
) -> NDArray[Any]:
    """Layer normalisation [1]_: (x − mean) / √(variance + epsilon)·weight + bias on the last axis.

    Parameters
    ----------
    x : array_like, shape (..., features), float32 or float64
        At least one axis.
    weight : array_like of float, shape (features,), optional
        Factor of each feature, in the dtype of `x`; 1 unless given.
    bias : array_like of float, shape (features,), optional
        Added to each feature, in the dtype of `x`; 0 unless given.
    epsilon : float, default 1e-5
        Added to the variance, >= 0. BERT has 1e-12.

    Returns
    -------
    ndarray, shape and dtype of `x`
        A new array. The variance is that of the row itself, divided by the number of features.

    Raises
    ------
    TypeError
        If `x` is neither float32 nor float64, or `weight` or `bias` is no array of floats.
    ValueError
        If `weight` or `bias` has not one number for each feature, `x` has no axis, or `epsilon` is
        negative or not finite.

    References
    ----------
    .. [1] J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer normalization" (2016), arXiv:1607.06450.

    Examples
    --------
    >>> from numfuse import layers
    >>> layers.layer_norm([[1.0, 2.0, 3.0], [0.0, 0.0, 9.0]]).round(3)
    array([[-1.225,  0.   ,  1.225],
           [-0.707, -0.707,  1.414]])
    """
    (x,), dtype = _arrays.floats(x=x)
    if x.ndim == 0:
        raise ValueError(
            "x has no axis, but layer_norm is over its last one; pass an array (..., features)."
        )
    features = x.shape[-1:]

    def vector(name: str, value: ArrayLike | None) -> NDArray[Any] | None:
        if value is None:
            return None
        return _options.FEATURES.checked(name, value, features, dtype)

    weight, bias = vector("weight", weight), vector("bias", bias)
    epsilon = _options.EPSILON.checked("epsilon", epsilon, dtype)
    if _config.backend() == "numpy":
        from . import reference

        return reference.layer_norm(x.astype(dtype, copy=False), weight, bias, epsilon=epsilon)
    out = np.empty(x.shape, dtype)
    _native.kernels.layer_norm(
        _arrays.rows(x, dtype), weight, bias, epsilon, out, _config.threads()
    )
    return out
