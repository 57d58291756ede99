"""The transformer itself: dense layers as NumPy products, all else through numfuse's kernels.

Texts of one pass lie packed, one below the other, longest first, without a padding token anywhere:

  states  (tokens, H + 1)      token 0 of text 0, token 1 of text 0, …; the last column is one
  for each block:
    qkv     = states @ query_key_value                    (tokens, 3 H)
    context = attention(q, k, v) of texts of one length at a time, on strided views of qkv
    states  = layer_norm(context @ attention_output + states)
    states  = layer_norm(gelu(states @ intermediate) @ output + states)

Texts of equal length stand side by side, so a slice of the rows reshapes to (texts, length, heads,
head_dim) without a copy, and nothing of one text can reach another. Each buffer is allocated once
and reused by every block of every pass.

Source: Devlin et al. 2019 (BERT), the post-norm block.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numfuse import attention, layers

from ._settings import Settings
from ._weights import Layer, Norm, Weights


@dataclass(frozen=True)
class Group:
    """Texts of equal length: rows `start` to `start + texts * length` of the packed states."""

    start: int
    texts: int
    length: int

    @property
    def rows(self) -> slice:
        return slice(self.start, self.start + self.texts * self.length)


class Pack:
    """Token ids of several texts, one below the other; texts of one length must be neighbours."""

    def __init__(self, ids: Sequence[NDArray[np.intp]]) -> None:
        self.ids = np.concatenate(ids)
        self.places = np.concatenate([np.arange(len(text)) for text in ids])
        self.groups: list[Group] = []
        start = 0
        for length, same in groupby(len(text) for text in ids):
            group = Group(start, sum(1 for _ in same), length)
            self.groups.append(group)
            start = group.rows.stop

    @property
    def tokens(self) -> int:
        return len(self.ids)


class Forward:
    """Runs packs of up to `tokens` tokens through the encoder, in buffers of its own."""

    def __init__(self, settings: Settings, weights: Weights, tokens: int) -> None:
        self._settings, self._weights = settings, weights
        dtype, hidden = weights.words.dtype, settings.hidden
        self._states = _with_ones(tokens, hidden, dtype)
        self._context = _with_ones(tokens, hidden, dtype)
        self._active = _with_ones(tokens, settings.intermediate, dtype)
        self._query_key_value = np.empty((tokens, 3 * hidden), dtype)
        self._wide = np.empty((tokens, settings.intermediate), dtype)
        self._sum = np.empty((tokens, hidden), dtype)

    def states(self, pack: Pack) -> NDArray[Any]:
        """Return the last block's states, (tokens, hidden + 1), valid until the next pass."""
        for _ in self.blocks(pack):
            pass
        return self._states[: pack.tokens]

    def blocks(self, pack: Pack) -> Iterator[list[tuple[NDArray[Any], ...]]]:
        """Run the blocks one by one; yield each one's query, key and value by group."""
        self._embed(pack)
        for layer in self._weights.layers:
            yield self._attend(layer, pack)
            self._feed_forward(layer, pack.tokens)

    def _embed(self, pack: Pack) -> None:
        total = self._sum[: pack.tokens]
        np.take(self._weights.words, pack.ids, axis=0, out=total, mode="clip")
        total += self._weights.positions[pack.places]
        self._normalise(self._weights.embedding_norm, pack.tokens)

    def _attend(self, layer: Layer, pack: Pack) -> list[tuple[NDArray[Any], ...]]:
        hidden, heads = self._settings.hidden, self._settings.heads
        states, context = self._states[: pack.tokens], self._context[: pack.tokens]
        projected = np.matmul(
            states, layer.query_key_value, out=self._query_key_value[: pack.tokens]
        )
        seen = []
        for group in pack.groups:
            split = (group.texts, group.length, 3, heads, hidden // heads)
            # (query, key, value), each (texts, heads, length, head_dim): views, no copies
            parts = tuple(projected[group.rows].reshape(split).transpose(2, 0, 3, 1, 4))
            out = context[group.rows, :hidden].reshape(*split[:2], *split[3:]).swapaxes(1, 2)
            attention(*parts, out=out)
            seen.append(parts)
        self._add_and_normalise(context, layer.attention_output, layer.attention_norm)
        return seen

    def _feed_forward(self, layer: Layer, tokens: int) -> None:
        wide, active = self._wide[:tokens], self._active[:tokens]
        np.matmul(self._states[:tokens], layer.intermediate, out=wide)
        inner = active[:, :-1]
        match self._settings.activation:
            case "gelu":
                layers.gelu(wide, out=inner)
            case "gelu_tanh":
                layers.gelu(wide, approximate="tanh", out=inner)
            case "relu":
                np.maximum(wide, 0, out=inner)
        self._add_and_normalise(active, layer.output, layer.output_norm)

    def _add_and_normalise(self, x: NDArray[Any], dense: NDArray[Any], norm: Norm) -> None:
        total = np.matmul(x, dense, out=self._sum[: len(x)])
        total += self._states[: len(x), :-1]
        self._normalise(norm, len(x))

    def _normalise(self, norm: Norm, tokens: int) -> None:
        layers.layer_norm(
            self._sum[:tokens],
            norm.weight,
            norm.bias,
            epsilon=self._settings.epsilon,
            out=self._states[:tokens, :-1],
        )


def _with_ones(rows: int, columns: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Allocate (rows, columns + 1) with the column of ones that multiplies a dense layer's bias."""
    buffer = np.empty((rows, columns + 1), dtype)
    buffer[:, -1] = 1
    return buffer
