"""Chapter: what each attention head of MiniLM looks at."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import draw
from .chapter import Chapter, Gallery, Guide, Picture, Table
from .sentences import CAT


def heads(guide: Guide) -> Chapter:
    """Draw the attention weights of one sentence for each layer and head."""
    guide.say(f"Attention of “{CAT}”")
    tokens = guide.encoder.tokens(CAT)
    weights = guide.encoder.attention_weights(CAT)  # (layers, heads, tokens, tokens)
    layers, count = weights.shape[:2]

    galleries = []
    for index, layer in enumerate(weights):
        guide.say(f"Drawing layer {index + 1} of {layers}")
        galleries.append(_layer(index, layer, tokens))
    marks = [index for index, token in enumerate(tokens) if token.startswith("[")]
    shares = weights[..., marks].sum(axis=-1).mean(axis=(1, 2))
    return Chapter(
        f"{layers * count} heads read “{CAT}”",
        (
            (
                f"The model has {layers} layers of {count} attention heads. In each head every "
                "token looks at all tokens and divides one unit of attention among them. "
                "numfuse.attention never stores these weights; numfuse.attention_weights does, for "
                "looking at."
            ),
            (
                "Much of the attention rests on the marks at both ends, [CLS] and [SEP]: "
                f"{_listed(shares)} of it in layers 1 to {layers}. Words share the rest; some "
                "heads have a plain task, such as looking at the token before."
            ),
            _specialists(weights, tokens),
            _overview(weights),
            *galleries,
        ),
    )


def _listed(shares: NDArray[Any]) -> str:
    words = [f"{share:.0%}" for share in shares]
    return ", ".join(words[:-1]) + " and " + words[-1]


def _specialists(weights: NDArray[Any], tokens: Sequence[str]) -> Table:
    """Name the head that looks hardest at the next token, the previous one, itself, and so on."""
    looks = {
        "each token at the one before": np.diagonal(weights, -1, 2, 3).mean(-1),
        "each token at the one after": np.diagonal(weights, 1, 2, 3).mean(-1),
        "each token at itself": np.diagonal(weights, 0, 2, 3).mean(-1),
        "all at the opening [CLS]": weights[..., 0].mean(-1),
        "all at the closing [SEP]": weights[..., -1].mean(-1),
    }
    cat, sat, mat = (tokens.index(word) for word in ("cat", "sat", "mat"))
    looks |= {"“cat” at “mat”": weights[..., cat, mat], "“mat” at “sat”": weights[..., mat, sat]}
    rows = []
    for what, scores in looks.items():
        layer, head = np.unravel_index(scores.argmax(), scores.shape)
        rows.append((what, f"layer {layer + 1}, head {head + 1}", float(scores.max())))
    return Table(
        "Heads that stand out",
        ("What looks at what", "The head that does it most", "Mean weight"),
        tuple(rows),
        printed=True,
    )


def _overview(weights: NDArray[Any]) -> Picture:
    layers, heads, count = weights.shape[:3]
    return Picture(
        "All heads at a glance",
        "One small square a head: rows look, columns are looked at, dark is much attention. A dark "
        "column is a token that all look at; a dark diagonal is a head that looks at a fixed "
        "distance.",
        f"Grid of {layers} by {heads} heat maps of attention weights, {count} by {count} tokens "
        "each, one for each layer and head.",
        draw.heads_overview(weights),
        draw.heads_overview(weights, narrow=True),
    )


def _layer(index: int, layer: NDArray[Any], tokens: Sequence[str]) -> Gallery:
    links = [_strongest(head, tokens) for head in layer]
    weight, source, target, head = max((*link, head) for head, link in enumerate(links))
    bar = Picture(
        "", "", "Colour bar: attention weight from 0, light, to 1, dark.", draw.weight_bar()
    )
    return Gallery(
        f"Layer {index + 1}",
        "Rows look, columns are looked at. The strongest link between words goes from "
        f"“{source}” to “{target}” in head {head + 1}: {weight:.2f}.",
        bar,
        tuple(
            Picture(
                f"Head {number}",
                "",
                f"Layer {index + 1}, head {number}: attention of {' '.join(tokens)}; strongest "
                f"between words from {source} to {target}, {weight:.2f}.",
                png,
            )
            for number, (png, (weight, source, target)) in enumerate(
                zip(draw.single_heads(layer, tokens), links, strict=True), start=1
            )
        ),
    )


def _strongest(head: NDArray[Any], tokens: Sequence[str]) -> tuple[float, str, str]:
    """Return the largest weight between two words, the marks at both ends left out."""
    inner = head[1:-1, 1:-1]
    row, column = map(int, np.unravel_index(inner.argmax(), inner.shape))
    return float(inner[row, column]), tokens[row + 1], tokens[column + 1]
