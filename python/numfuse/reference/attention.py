"""Attention in plain NumPy: the definition of right for every kernel of this package.

out_i = Σⱼ exp(s_ij) v_j / Σⱼ exp(s_ij), over the keys j that query i may see, with

    s_ij = softcap·tanh(scale·q_i·k_j / softcap) + bias_ij − slope·|p_i − j|,   p_i = i + offset.

The whole score matrix is stored, and every step runs in the dtype of the inputs: a call on float64
arrays is the truth that a float32 kernel is held against. Arrays are (..., heads, length, head_dim),
or all 2-D for a single head; nothing is validated here (`numfuse.attention` does that).
"""

import math

import numpy as np


def attention(
    query, key, value, *, causal=False, window=None, mask=None, bias=None, alibi_slopes=None, sinks=None,
    scale=None, softcap=None, key_lengths=None, query_offset=None, return_lse=False,
):  # fmt: skip
    """`numfuse.attention` by its formula; with `return_lse` the pair (out, lse)."""
    query, key, value = _same_dtype(query, key, value)
    options = causal, window, mask, bias, alibi_slopes, sinks, scale, softcap, key_lengths, query_offset
    if query.ndim == 2:
        out, lse = _attention(query[None], key[None], value[None], *options)
        out, lse = out[0], lse[0]
    else:
        out, lse = _attention(query, key, value, *options)
    return (out, lse) if return_lse else out


def _attention(query, key, value, *options):
    weight, visible, total, peak = _exponentials(query, key, *options)  # (..., heads, Lq, K), the last two with K = 1
    value = np.repeat(value, query.shape[-3] // max(value.shape[-3], 1), axis=-3)  # (..., heads, K, value_dim)
    others = tuple(axis for axis in range(value.ndim) if axis != value.ndim - 2)
    tame = np.isfinite(value).all(axis=others)  # (K,)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        out = weight @ np.where(tame[:, None], value, 0)  # (..., heads, Lq, value_dim)
        for j in np.flatnonzero(~tame):  # 0·NaN is NaN: such values meet only the rows that see them
            out = out + np.where(visible[..., j, None], weight[..., j, None] * value[..., j, None, :], 0)
        out = np.where(total == 0, 0, out / total)
        lse = np.broadcast_to(peak + np.log(total), (*out.shape[:-1], 1))
    return out, lse[..., 0].copy()  # (..., heads, Lq, value_dim), (..., heads, Lq)


def attention_weights(
    query, key, *, causal=False, window=None, mask=None, bias=None, alibi_slopes=None, sinks=None,
    scale=None, softcap=None, key_lengths=None, query_offset=None,
):  # fmt: skip
    """`numfuse.attention_weights` by its formula."""
    query, key = _same_dtype(query, key)
    options = causal, window, mask, bias, alibi_slopes, sinks, scale, softcap, key_lengths, query_offset
    if query.ndim == 2:
        return attention_weights(query[None], key[None], **dict(zip(_OPTIONS, options, strict=True)))[0]
    weight, _, total, _ = _exponentials(query, key, *options)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total == 0, 0, weight / total)  # (..., heads, Lq, K)


_OPTIONS = tuple(attention_weights.__kwdefaults__)


def _same_dtype(*arrays):
    dtype = np.result_type(*arrays)
    return [np.asarray(array, dtype if dtype.kind == "f" else np.float64) for array in arrays]


def _exponentials(query, key, causal, window, mask, bias, slopes, sinks, scale, softcap, lengths, offset):
    """exp(score − peak) for each query and key, who sees whom, their sum and the peak of each row."""
    queries, keys, dtype = query.shape[-2], key.shape[-2], query.dtype.type
    scale = 1 / math.sqrt(max(query.shape[-1], 1)) if scale is None else float(scale)
    lengths = np.asarray(keys if lengths is None else lengths)[..., None, None, None]  # (..., 1, 1, 1)
    offset = lengths - queries if offset is None else np.asarray(offset)[..., None, None, None]
    p, j = np.arange(queries)[:, None] + offset, np.arange(keys)  # (..., 1, Lq, 1), (K,)
    left, right = window if isinstance(window, (tuple, list)) else (window, window)

    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        key = np.repeat(key, query.shape[-3] // max(key.shape[-3], 1), axis=-3)  # (..., heads, K, head_dim)
        score = dtype(scale) * (query @ key.mT)  # (..., heads, Lq, K)
        if softcap is not None:
            score = dtype(softcap) * np.tanh(score / dtype(softcap))
        if bias is not None:
            score = score + np.asarray(bias, dtype)
        if slopes is not None:
            score = score - np.asarray(slopes, dtype)[..., None, None] * np.abs(p - j).astype(dtype)

        visible = np.broadcast_to(j < lengths, np.broadcast_shapes(score.shape, lengths.shape, p.shape))
        if causal:
            visible = visible & (j <= p)
        if left is not None:
            visible = visible & (p - left <= j)
        if right is not None:
            visible = visible & (j <= p + right)
        if mask is not None:
            visible = visible & mask
        if bias is not None:
            visible = visible & (np.asarray(bias, dtype) != -np.inf)

        score = np.where(visible, score, dtype(-np.inf))
        sink = dtype(-np.inf) if sinks is None else np.asarray(sinks, dtype)[..., None, None]  # (..., heads, 1, 1)
        peak = np.maximum(score.max(-1, keepdims=True, initial=-np.inf), sink)  # (..., heads, Lq, 1)
        empty = ~visible.any(-1, keepdims=True) & (peak == -np.inf)
        peak = np.where(empty, dtype(0), peak)
        weight = np.where(visible, np.exp(score - peak), dtype(0))
        total = weight.sum(-1, keepdims=True) + np.exp(sink - peak)
    return weight, visible, total, peak


def merge_attention(outs, lses):
    """`numfuse.merge_attention`: the pair (out, lse) of attention over all parts' keys."""
    outs, lses = np.stack(np.broadcast_arrays(*outs)), np.stack(np.broadcast_arrays(*lses))[..., None]
    with np.errstate(invalid="ignore", divide="ignore"):
        peak = lses.max(0)  # (..., heads, Lq, 1)
        peak = np.where(peak == -np.inf, 0, peak).astype(peak.dtype)
        weight = np.exp(lses - peak)  # (parts, ..., heads, Lq, 1)
        total = weight.sum(0)
        out = np.where(lses == -np.inf, 0, weight * outs).sum(0)  # (..., heads, Lq, value_dim)
        return np.where(total == 0, 0, out / total).astype(outs.dtype), (peak + np.log(total))[..., 0]


def rotary(x, positions, *, base=10000.0, interleaved=False, rotary_dim=None):
    """`numfuse.rotary`: pair c of x turned by the angle position·base^(−2c/rotary_dim)."""
    x, positions = np.asarray(x), np.asarray(positions, np.float64)
    rotary_dim = x.shape[-1] if rotary_dim is None else rotary_dim
    if 1 < positions.ndim < x.ndim - 1:
        positions = positions[..., None, :]  # (..., 1, length): one position for all heads
    angle = positions[..., None] * base ** (-np.arange(0, rotary_dim, 2) / max(rotary_dim, 1))
    cosine, sine = np.cos(angle).astype(x.dtype), np.sin(angle).astype(x.dtype)  # (..., length, rotary_dim / 2)
    half = rotary_dim // 2
    one, two = slice(0, half), slice(half, rotary_dim)
    if interleaved:
        one, two = slice(0, rotary_dim, 2), slice(1, rotary_dim, 2)
    out = x.copy()
    out[..., one] = x[..., one] * cosine - x[..., two] * sine
    out[..., two] = x[..., two] * cosine + x[..., one] * sine
    return out
