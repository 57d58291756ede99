"""Rotary position embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays, _config, _native, _options

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def rotary(
    x: ArrayLike,
    positions: ArrayLike,
    *,
    base: float = 10000.0,
    interleaved: bool = False,
    rotary_dim: int | None = None,
) -> NDArray[Any]:
    """Turn pairs of features by angles that grow with position (rotary embedding, RoPE [1]_).

    Products of queries and keys turned this way depend on the distance of their positions only.

    Parameters
    ----------
    x : array_like, shape (..., heads, length, head_dim) or (length, head_dim), float32 or float64
        Queries or keys.
    positions : array_like of int or float, shape (length,) or (..., length)
        Position of each row: of shape (length,) for all items and heads; with the leading axes but
        without heads, as in (batch, length), for all heads; or with one axis for each of x's but
        the last. Axes of length 1 broadcast, and a single number stands for all rows.
    base : float, default 10000.0
        Pair c turns by positions·base^(−2c/rotary_dim) radians. > 0.
    interleaved : bool, default False
        Pair c is features 2c and 2c + 1, as in GPT-J and the paper; otherwise features c and
        c + rotary_dim / 2, as in GPT-NeoX and Llama.
    rotary_dim : int, optional
        How many features are turned, even; those after them stay. All by default.

    Returns
    -------
    ndarray, shape and dtype of `x`
        A new array. The angles are computed in float64.

    Raises
    ------
    TypeError
        If `x` is neither float32 nor float64, or an option has a wrong type.
    ValueError
        If `positions` do not broadcast to the rows of `x` or are not finite, or an option is out
        of its range.

    References
    ----------
    .. [1] J. Su et al., "RoFormer: Enhanced transformer with rotary position embedding" (2021),
       arXiv:2104.09864.

    Examples
    --------
    The first pair turns by one radian a position, here by quarter turns:

    >>> import numpy as np
    >>> import numfuse
    >>> numfuse.rotary([[1.0, 0.0]] * 3, np.pi / 2 * np.arange(3)).round(6)
    array([[ 1.,  0.],
           [ 0.,  1.],
           [-1.,  0.]])
    """
    (x,), dtype = _arrays.floats(x=x)
    if x.ndim < 2:
        raise ValueError(
            f"x has shape {x.shape}, but has to have at least 2 axes; reshape it to "
            "(..., heads, length, head_dim), or to (length, head_dim) for one head."
        )
    head_dim = x.shape[-1]
    base = _options.BASE.checked("base", base)
    interleaved = _options.FLAG.checked("interleaved", interleaved)
    if rotary_dim is None and head_dim % 2:
        raise ValueError(
            f"x has shape {x.shape}, and {head_dim} features do not make pairs; pass "
            f"rotary_dim={head_dim - 1} to leave the last one as it is."
        )
    turned = head_dim
    if rotary_dim is not None:
        turned = _options.ROTARY_DIM.checked("rotary_dim", rotary_dim)
    if turned > head_dim:
        raise ValueError(
            f"rotary_dim is {turned}, but x has shape {x.shape} and with it {head_dim} features "
            "to turn; leave rotary_dim out to turn them all."
        )
    place = _placed(_arrays.as_array("positions", positions), x.shape)
    if _config.backend() == "numpy":
        from . import reference

        return reference.rotary(
            x.astype(dtype, copy=False),
            place,
            base=base,
            interleaved=interleaved,
            rotary_dim=turned,
        )
    angle = place[..., None] * base ** (-np.arange(0, turned, 2) / max(turned, 1))
    shape = (*x.shape[:-1], turned // 2)
    out = np.empty(x.shape, dtype)
    _native.kernels.rotary(
        _arrays.rows(x, dtype),
        _arrays.broadcast("cos", np.cos(angle).astype(dtype), shape),
        _arrays.broadcast("sin", np.sin(angle).astype(dtype), shape),
        interleaved,
        out,
        _config.threads(),
    )
    return out


def _placed(positions: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Check positions; return them as float64 that broadcasts to x's axes but the last."""
    rows = shape[:-1]
    without_heads = 1 < positions.ndim < len(rows)
    if without_heads:
        rows = (*shape[:-3], shape[-2])
    place = _options.POSITIONS.checked("positions", positions, rows, np.dtype(np.float64))
    place = _arrays.once(place, place.ndim)
    return place[..., None, :] if without_heads else place
