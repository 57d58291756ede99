"""Layers that stand beside attention in a transformer, each in one pass over its input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays, _config, _native, _options

if TYPE_CHECKING:
    from typing import Literal

    from numpy.typing import ArrayLike, NDArray

__all__ = ["gelu", "layer_norm"]


def gelu(
    x: ArrayLike,
    *,
    approximate: Literal["none", "tanh"] = "none",
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Gaussian error linear unit x·Φ(x), Φ the normal distribution function [1]_.

    Parameters
    ----------
    x : array_like of any shape, float32 or float64
        Where to evaluate it.
    approximate : {"none", "tanh"}, default "none"
        "none" is ½x·(1 + erf(x/√2)); "tanh" is ½x·(1 + tanh(√(2/π)·(x + 0.044715x³))), which
        GPT-2 was trained with. As in PyTorch.
    out : ndarray, shape and dtype of `x`, optional
        Where to write the result; it may share memory with `x`, for which the result is computed
        aside and copied.

    Returns
    -------
    ndarray, shape and dtype of `x`
        `out` if it was given.

    Raises
    ------
    TypeError
        If `x` is neither float32 nor float64, or `out` is no array of that dtype.
    ValueError
        If `approximate` is neither of the two, or `out` has another shape or is read-only.

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
    if out is not None:
        _arrays.check_out(out, x.shape, dtype)
    if _config.backend() == "numpy":
        from . import reference

        result = np.asarray(reference.gelu(x.astype(dtype, copy=False), approximate=approximate))
        return _arrays.deliver(result, out)
    result = _arrays.result(out, x.shape, dtype, [x])
    _native.kernels.gelu(
        np.atleast_1d(_arrays.rows(x, dtype)),
        np.atleast_1d(result),
        approximate == "tanh",
        _config.threads(),
    )
    return _arrays.deliver(result, out)


def layer_norm(
    x: ArrayLike,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    *,
    epsilon: float = 1e-5,
    out: NDArray[Any] | None = None,
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
    out : ndarray, shape and dtype of `x`, optional
        Where to write the result; it may share memory with an input, for which the result is
        computed aside and copied.

    Returns
    -------
    ndarray, shape and dtype of `x`
        `out` if it was given. The variance of a row is the mean of its squared deviations.

    Raises
    ------
    TypeError
        If `x` is neither float32 nor float64, `weight` or `bias` is no array of floats, or `out`
        is no array of x's dtype.
    ValueError
        If `weight` or `bias` has not one number for each feature, `x` has no axis, `epsilon` is
        negative or not finite, or `out` has another shape or is read-only.

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
        return _arrays.rows(_options.FEATURES.checked(name, value, features, dtype), dtype)

    weight, bias = vector("weight", weight), vector("bias", bias)
    epsilon = _options.EPSILON.checked("epsilon", epsilon, dtype)
    if out is not None:
        _arrays.check_out(out, x.shape, dtype)
    if _config.backend() == "numpy":
        from . import reference

        result = reference.layer_norm(x.astype(dtype, copy=False), weight, bias, epsilon=epsilon)
        return _arrays.deliver(result, out)
    result = _arrays.result(out, x.shape, dtype, [x, weight, bias])
    _native.kernels.layer_norm(
        _arrays.rows(x, dtype), weight, bias, epsilon, result, _config.threads()
    )
    return _arrays.deliver(result, out)
