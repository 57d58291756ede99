"""Attention straight from its definition, in any precision: what the bounds are computed from.

Written from the public description alone, not from `numfuse.reference`, so that the two check
each other. It stores everything and is slow.
"""

import math
from typing import NamedTuple

import numpy as np


class Answer(NamedTuple):
    """Everything that attention computes on its way, each (..., heads, queries, keys or columns)."""

    out: np.ndarray
    lse: np.ndarray
    weights: np.ndarray
    scores: np.ndarray  # −inf where not visible
    visible: np.ndarray


def answer(
    query,
    key,
    value,
    *,
    causal=False,
    window=None,
    mask=None,
    bias=None,
    alibi_slopes=None,
    sinks=None,
    scale=None,
    softcap=None,
    key_lengths=None,
    query_offset=None,
    precision=np.float64,
):
    """Out, lse, weights, scores and visibility of one call, all in `precision`."""
    if query.ndim == 2:
        one = answer(
            query[None],
            key[None],
            value[None],
            causal=causal,
            window=window,
            mask=mask,
            bias=bias,
            alibi_slopes=alibi_slopes,
            sinks=sinks,
            scale=scale,
            softcap=softcap,
            key_lengths=key_lengths,
            query_offset=query_offset,
            precision=precision,
        )
        return Answer(*(part[0] for part in one))
    lead = np.broadcast_shapes(query.shape[:-3], key.shape[:-3], value.shape[:-3])
    heads, queries, head_dim = query.shape[-3:]
    keys = key.shape[-2]
    group = heads // key.shape[-3]
    q = query.astype(precision)
    k = np.repeat(key.astype(precision), group, axis=-3)
    v = np.repeat(value.astype(precision), group, axis=-3)

    scores = (q @ np.swapaxes(k, -1, -2)) * precision(
        1 / math.sqrt(head_dim) if scale is None else scale
    )
    scores = np.broadcast_to(scores, (*lead, heads, queries, keys))
    if softcap is not None:
        scores = precision(softcap) * np.tanh(scores / precision(softcap))

    def per_item(numbers):
        return np.broadcast_to(np.asarray(numbers), lead).astype(np.int64)[..., None, None, None]

    lengths = per_item(keys if key_lengths is None else key_lengths)
    offset = lengths - queries if query_offset is None else per_item(query_offset)
    j = np.arange(keys)
    p = np.arange(queries)[:, None] + offset
    visible = np.broadcast_to(j < lengths, scores.shape)
    if causal:
        visible = visible & (j <= p)
    if window is not None:
        left, right = window if isinstance(window, tuple) else (window, window)
        if left is not None:
            visible = visible & (p - left <= j)
        if right is not None:
            visible = visible & (j <= p + right)
    if mask is not None:
        visible = visible & mask
    if bias is not None:
        visible = visible & (bias != -np.inf)
        scores = scores + bias.astype(precision)
    if alibi_slopes is not None:
        scores = scores - alibi_slopes.astype(precision)[..., None, None] * np.abs(p - j)
    scores = np.where(visible, scores, -np.inf)

    largest = scores.max(axis=-1, initial=-np.inf, keepdims=True)
    if sinks is not None:
        sink = np.broadcast_to(sinks.astype(precision)[..., None, None], largest.shape)
        largest = np.maximum(largest, sink)
    largest = np.where(np.isneginf(largest), 0, largest)
    weights = np.exp(scores - largest)
    total = weights.sum(axis=-1, keepdims=True)
    if sinks is not None:
        total = total + np.exp(sink - largest)
    with np.errstate(divide="ignore"):
        lse = (np.log(total) + largest)[..., 0]
    weights = np.where(visible, weights / np.where(total == 0, 1, total), 0)
    return Answer(weights @ v, lse, weights, scores, visible)


def by_hand(query, key, value, **options):
    """The same output and lse, one number at a time: for small shapes of rank 4.

    Nothing here is vectorised, so that no broadcasting mistake can be shared with the others.
    """
    batch, heads, queries, head_dim = query.shape
    keys = key.shape[2]
    get = options.get
    out = np.zeros((batch, heads, queries, value.shape[3]))
    lse = np.full((batch, heads, queries), -np.inf)
    scale = 1 / math.sqrt(head_dim) if get("scale") is None else get("scale")
    window = get("window")
    left, right = window if isinstance(window, tuple) else (window, window)

    def entry(array, b, h, i=None, j=None):
        index = (b, h) if i is None else (b, h, i, j)
        index = index[len(index) - array.ndim :]
        return array[tuple(0 if n == 1 else x for x, n in zip(index, array.shape, strict=True))]

    def integer(numbers, b):
        numbers = np.asarray(numbers)
        return int(numbers if numbers.ndim == 0 else numbers[b if numbers.size > 1 else 0])

    for b in range(batch):
        length = keys if get("key_lengths") is None else integer(options["key_lengths"], b)
        offset = (
            length - queries if get("query_offset") is None else integer(options["query_offset"], b)
        )
        for h in range(heads):
            g = h // (heads // key.shape[1])
            for i in range(queries):
                p = i + offset
                logits = {}
                for j in range(min(keys, length)):
                    if get("causal") and j > p:
                        continue
                    if left is not None and j < p - left:
                        continue
                    if right is not None and j > p + right:
                        continue
                    if get("mask") is not None and not entry(options["mask"], b, h, i, j):
                        continue
                    score = scale * sum(
                        float(x) * float(y)
                        for x, y in zip(query[b, h, i], key[b, g, j], strict=True)
                    )
                    if get("softcap") is not None:
                        score = options["softcap"] * math.tanh(score / options["softcap"])
                    if get("bias") is not None:
                        score += float(entry(options["bias"], b, h, i, j))
                        if score == -math.inf:
                            continue
                    if get("alibi_slopes") is not None:
                        score -= float(entry(options["alibi_slopes"], b, h)) * abs(p - j)
                    logits[j] = score
                sink = [] if get("sinks") is None else [float(entry(options["sinks"], b, h))]
                if not logits and not sink:
                    continue
                top = max([*logits.values(), *sink])
                total = math.fsum(math.exp(s - top) for s in [*logits.values(), *sink])
                lse[b, h, i] = math.log(total) + top
                for c in range(value.shape[3]):
                    out[b, h, i, c] = math.fsum(
                        math.exp(s - top) / total * float(value[b, g, j, c])
                        for j, s in logits.items()
                    )
    return out, lse
