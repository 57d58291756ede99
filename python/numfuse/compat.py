"""Other libraries' signatures and conventions, on NumPy arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays, _options
from ._attention import attention

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    attn_mask: ArrayLike | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> NDArray[Any]:
    """Attention with the signature and the conventions of PyTorch's function of that name [1]_.

    Two things differ from `numfuse.attention`: causal attention is aligned at the top left (query i
    sees keys 0 to i, whatever the lengths), and all axes before the last two broadcast as a batch
    unless `enable_gqa` says that one of them holds grouped heads.

    Parameters
    ----------
    query : array_like, shape (..., heads, queries, head_dim), float32 or float64
        The axis of heads may be absent.
    key : array_like, shape (..., key_heads, keys, head_dim), float32 or float64
        With `enable_gqa`, `key_heads` divides `heads`.
    value : array_like, shape (..., key_heads, keys, value_dim), float32 or float64
        Promotes with `query` and `key` (PyTorch wants equal dtypes).
    attn_mask : array_like, shape broadcasting to (..., heads, queries, keys), optional
        Of bool: True where a query may see a key. Of float: added to the scores.
    dropout_p : float, default 0.0
        Has to be 0: dropout is not supported yet.
    is_causal : bool, default False
        Query i sees keys 0 to i only. Not together with `attn_mask`.
    scale : float, optional
        Factor of query·key, 1/√head_dim unless given.
    enable_gqa : bool, default False
        Let groups of query heads share a key and a value head: heads / key_heads neighbours each.

    Returns
    -------
    ndarray, shape (..., heads, queries, value_dim)
        Zeros for a query that may see nothing, as in PyTorch since 2.5.

    Raises
    ------
    TypeError
        If an array has an unsupported dtype or an option a wrong type.
    ValueError
        If `dropout_p` is not 0, `attn_mask` and `is_causal` are both given, or shapes do not go
        together.

    See Also
    --------
    numfuse.attention : More options, and causal attention aligned at the bottom right.

    References
    ----------
    .. [1] https://docs.pytorch.org/docs/stable/generated/
       torch.nn.functional.scaled_dot_product_attention.html

    Examples
    --------
    >>> import numpy as np
    >>> from numfuse.compat import scaled_dot_product_attention
    >>> zeros, steps = np.zeros((4, 1)), np.arange(4.0)[:, None]
    >>> scaled_dot_product_attention(zeros, zeros, steps, is_causal=True).ravel()
    array([0. , 0.5, 1. , 1.5])
    """
    is_causal = _options.FLAG.checked("is_causal", is_causal)
    enable_gqa = _options.FLAG.checked("enable_gqa", enable_gqa)
    _options.DROPOUT_P.checked("dropout_p", dropout_p)
    if attn_mask is not None and is_causal:
        raise ValueError(
            "attn_mask is given and is_causal is True, but only one of them can be; put the causal "
            "triangle into attn_mask: attn_mask & np.tri(queries, keys, dtype=bool)."
        )
    named = {"query": query, "key": key, "value": value}
    arrays, dtype = _arrays.floats(**named)
    query, key, value = _batched(dict(zip(named, arrays, strict=True)), 3 if enable_gqa else 2)
    mask = bias = None
    if attn_mask is not None and query.ndim > 1 and key.ndim > 1:
        array = _arrays.as_array("attn_mask", attn_mask)
        scores = (*query.shape[:-1], key.shape[-2])
        if array.dtype == np.bool_:
            mask = _options.ATTN_MASK.checked("attn_mask", array, scores, array.dtype)
        else:
            bias = _options.ATTN_MASK.checked("attn_mask", array, scores, dtype)
    return attention(
        query,
        key,
        value,
        causal=is_causal,
        mask=mask,
        bias=bias,
        scale=scale,
        query_offset=0 if is_causal else None,
    )


def _batched(arrays: dict[str, NDArray[Any]], own_axes: int) -> list[NDArray[Any]]:
    """Broadcast all axes before the last `own_axes`: heads too, unless they are grouped."""
    lead = _arrays.broadcast_shapes(*(array.shape[:-own_axes] for array in arrays.values()))
    if lead is None:
        given = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(
            f"The axes before the last {own_axes} do not broadcast ({given}); if query has a "
            "multiple of key's and value's heads, pass enable_gqa=True."
        )
    return [
        _arrays.broadcast(name, array, (*lead, *array.shape[-own_axes:]))
        for name, array in arrays.items()
    ]
