"""Attention in plain NumPy: the definition of right for every kernel of this package.

out_i = Σⱼ exp(s_ij) v_j / Σⱼ exp(s_ij), over the keys j that query i may see, with

    s_ij = softcap·tanh(scale·q_i·k_j / softcap) + bias_ij − slope·|p_i − j|,  p_i = i + offset.

The whole score matrix is stored, and every step runs in the dtype of the inputs: a call on float64
arrays is the truth that a float32 kernel is held against. Arrays are (..., heads, length,
head_dim), or all 2-D for a single head. Nothing is validated here: `numfuse.attention` does that.
"""

import math

import numpy as np


def attention(
    query, key, value, *, causal=False, window=None, mask=None, bias=None, alibi_slopes=None,
    sinks=None, scale=None, softcap=None, key_lengths=None, query_offset=None, return_lse=False,
):  # fmt: skip
    """`numfuse.attention` by its formula; with `return_lse` the pair (out, lse)."""
    one_head = np.ndim(query) == 2
    query, key, value = _arrays(query, key, value)
    weight, visible, total, peak = _exponentials(
        query, key, causal, window, mask, bias, alibi_slopes, sinks, scale, softcap, key_lengths,
        query_offset,
    )  # fmt: skip
    value = _repeat_heads(value, query)  # (..., heads, K, value_dim)
    wild = ~np.isfinite(value).all(axis=(*range(value.ndim - 2), -1))  # (K,)
    with np.errstate(all="ignore"):
        out = weight @ np.where(wild[:, None], 0, value)  # (..., heads, Lq, value_dim)
        for j in np.flatnonzero(wild):  # 0·NaN is NaN: only rows that see such a value may meet it
            term = weight[..., j, None] * value[..., j, None, :]
            out = out + np.where(visible[..., j, None], term, 0)
        out = np.where(total == 0, 0, out / total)
        lse = np.broadcast_to((peak + np.log(total))[..., 0], out.shape[:-1])  # (..., heads, Lq)
    out, lse = (out[0], lse[0]) if one_head else (out, lse)
    return (out, lse.copy()) if return_lse else out


def attention_weights(
    query, key, *, causal=False, window=None, mask=None, bias=None, alibi_slopes=None,
    sinks=None, scale=None, softcap=None, key_lengths=None, query_offset=None,
):  # fmt: skip
    """`numfuse.attention_weights` by its formula."""
    one_head = np.ndim(query) == 2
    weight, visible, total, _ = _exponentials(
        *_arrays(query, key), causal, window, mask, bias, alibi_slopes, sinks, scale, softcap,
        key_lengths, query_offset,
    )  # fmt: skip
    with np.errstate(all="ignore"):
        out = np.where(visible & (total != 0), weight / total, 0)  # (..., heads, Lq, K)
    return out[0] if one_head else out


def _exponentials(
    query, key, causal, window, mask, bias, slopes, sinks, scale, softcap, lengths, offset
):
    """exp(score − peak), who sees whom, and for each row the sum (sink included) and the peak."""
    queries, keys, dtype = query.shape[-2], key.shape[-2], query.dtype.type
    scale = 1 / math.sqrt(max(query.shape[-1], 1)) if scale is None else scale
    lengths = np.asarray(keys if lengths is None else lengths, np.int64)[..., None, None, None]
    offset = lengths - queries if offset is None else np.int64(offset)[..., None, None, None]
    p, j = np.arange(queries)[:, None] + offset, np.arange(keys)  # (..., 1, Lq, 1), (K,)
    left, right = window if isinstance(window, tuple | list) else (window, window)

    with np.errstate(all="ignore"):
        score = dtype(scale) * (query @ _repeat_heads(key, query).mT)  # (..., heads, Lq, K)
        if softcap is not None:
            score = dtype(softcap) * np.tanh(score / dtype(softcap))
        if bias is not None:
            bias = np.asarray(bias, dtype)
            score = score + bias
        if slopes is not None:
            slopes = np.asarray(slopes, dtype)[..., None, None]  # (..., heads, 1, 1)
            score = score - slopes * np.abs(p - j).astype(dtype)

        visible = (j < lengths) & np.ones(score.shape, bool)  # (..., heads, Lq, K)
        if causal:
            visible = visible & (j <= p)
        if left is not None:
            visible = visible & (p - left <= j)
        if right is not None:
            visible = visible & (j <= p + right)
        if mask is not None:
            visible = visible & mask
        if bias is not None:
            visible = visible & (bias != -np.inf)

        score = np.where(visible, score, -np.inf)
        sink = np.asarray(-np.inf if sinks is None else sinks, dtype)[..., None, None]
        peak = np.maximum(score.max(-1, keepdims=True, initial=-np.inf), sink)
        empty = (peak == -np.inf) & ~visible.any(-1, keepdims=True)  # (..., heads, Lq, 1)
        peak = np.where(empty, 0, peak)
        weight = np.where(visible, np.exp(score - peak), 0)
        return weight, visible, weight.sum(-1, keepdims=True) + np.exp(sink - peak), peak


def _arrays(*arrays):
    """Arrays of one floating-point dtype, with an axis of heads."""
    dtype = np.result_type(*arrays)
    arrays = [np.asarray(array, dtype if dtype.kind == "f" else np.float64) for array in arrays]
    return [array[None] if array.ndim == 2 else array for array in arrays]


def _repeat_heads(array, query):
    """Query head h reads head h // (heads / array's heads)."""
    return np.repeat(array, query.shape[-3] // max(array.shape[-3], 1), axis=-3)


def merge_attention(outs, lses):
    """`numfuse.merge_attention`: the pair (out, lse) of attention over all parts' keys."""
    outs, lses = np.stack(np.broadcast_arrays(*outs)), np.stack(np.broadcast_arrays(*lses))
    with np.errstate(all="ignore"):
        peak = lses.max(0)  # (..., heads, Lq)
        peak = np.where(peak == -np.inf, 0, peak)
        weight = np.exp(lses - peak)[..., None]  # (parts, ..., heads, Lq, 1)
        total = weight.sum(0)
        out = np.where(lses[..., None] == -np.inf, 0, weight * outs).sum(0)
        out = np.where(total == 0, 0, out / total)  # (..., heads, Lq, value_dim)
        return out.astype(outs.dtype), peak + np.log(total[..., 0])


def rotary(x, positions, *, base=10000.0, interleaved=False, rotary_dim=None):
    """`numfuse.rotary`: pair c of x turned by the angle position·base^(−2c/rotary_dim)."""
    x, positions = np.asarray(x), np.asarray(positions, np.float64)
    rotary_dim = x.shape[-1] if rotary_dim is None else rotary_dim
    if 1 < positions.ndim < x.ndim - 1:
        positions = positions[..., None, :]  # (..., 1, length): one position for all heads
    frequency = float(base) ** (-np.arange(0, rotary_dim, 2) / max(rotary_dim, 1))
    angle = positions[..., None] * frequency  # (..., length, rotary_dim / 2)
    cosine, sine = np.cos(angle).astype(x.dtype), np.sin(angle).astype(x.dtype)
    one, two = slice(0, rotary_dim // 2), slice(rotary_dim // 2, rotary_dim)
    if interleaved:
        one, two = slice(0, rotary_dim, 2), slice(1, rotary_dim, 2)
    out = x.copy()
    with np.errstate(all="ignore"):
        out[..., one] = x[..., one] * cosine - x[..., two] * sine
        out[..., two] = x[..., two] * cosine + x[..., one] * sine
    return out
