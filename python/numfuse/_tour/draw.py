"""The tour's drawings: arrays in, PNG bytes out. matplotlib is imported here and nowhere else.

Its colours are `numfuse._colours`; each topic has one, and a marker.
"""

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from numfuse._colours import BLANK, COLOURS, FAINT, INK, MAP, MARKERS

STYLE = {
    "figure.dpi": 160,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.6,
    "axes.titlesize": 11,
    "xtick.color": INK,
    "ytick.color": INK,
}


def similarity_matrix(
    similarity: NDArray[Any], sizes: Mapping[str, int], *, narrow: bool = False
) -> bytes:
    """Draw cosines of all pairs; `sizes` names the groups of neighbouring rows."""
    # The diagonal is 1 whatever the model does: left out, it does not eat the colours.
    shown = np.ma.masked_where(np.eye(len(similarity), dtype=bool), similarity)
    with rc_context(STYLE):
        figure = Figure(figsize=(4.8, 5.6) if narrow else (7.2, 6.4), layout="constrained")
        axes = figure.add_subplot()
        axes.set_facecolor(BLANK)
        top = math.ceil(10 * shown.max()) / 10
        image = axes.imshow(shown, cmap=MAP, vmin=0, vmax=top, interpolation="nearest")
        ends = np.cumsum(list(sizes.values()))
        for end in ends[:-1]:
            axes.axhline(end - 0.5, color="white", linewidth=1.5)
            axes.axvline(end - 0.5, color="white", linewidth=1.5)
        middles = ends - np.array(list(sizes.values())) / 2 - 0.5
        axes.set_xticks(middles, list(sizes), rotation=30, ha="right", rotation_mode="anchor")
        axes.set_yticks(middles, list(sizes))
        axes.tick_params(length=0)
        axes.set_title("Similarity of sentences, grouped by topic")
        bar = figure.colorbar(image, ax=axes, extend="min", **bar_place(narrow=narrow))
        bar.set_label("cosine similarity (no unit)")
        bar.outline.set_visible(False)
        return png(figure)


def topic_map(
    places: NDArray[Any], topics: Sequence[str], shares: NDArray[Any], *, narrow: bool = False
) -> bytes:
    """Scatter (sentences, 2) places; `shares` are the parts of the variance on the two axes."""
    with rc_context(STYLE):
        figure = Figure(figsize=(5, 5.6) if narrow else (7.2, 6.2), layout="constrained")
        axes = figure.add_subplot()
        for topic, colour, marker in zip(dict.fromkeys(topics), COLOURS, MARKERS, strict=False):
            chosen = places[[name == topic for name in topics]]
            axes.scatter(
                chosen[:, 0],
                chosen[:, 1],
                s=64,
                c=colour,
                marker=marker,
                label=topic,
                edgecolors="white",
                linewidths=0.8,
            )
        axes.axhline(0, color=FAINT, linewidth=0.5, zorder=0)
        axes.axvline(0, color=FAINT, linewidth=0.5, zorder=0)
        axes.set_xlabel(f"first principal component ({shares[0]:.0%} of the variance)")
        axes.set_ylabel(f"second principal component ({shares[1]:.0%})")
        axes.set_title("Sentences on their two main axes")
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_aspect("equal")
        figure.legend(loc="outside lower center", ncols=3, frameon=False)
        return png(figure)


def heads_overview(weights: NDArray[Any], *, narrow: bool = False) -> bytes:
    """Draw (layers, heads, tokens, tokens) as a grid of squares in one image."""
    layers, heads, tokens = weights.shape[:3]
    step = tokens + 1  # a blank row and column between squares
    mosaic = np.full((layers, step, heads, step), np.nan)
    mosaic[:, :tokens, :, :tokens] = weights.transpose(0, 2, 1, 3)
    mosaic = mosaic.reshape(layers * step, heads * step)[:-1, :-1]
    with rc_context(STYLE):
        side, width, height = (0.42, 0.6, 1.5) if narrow else (0.72, 1.6, 1.1)
        size = (side * heads + width, side * layers + height)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        image = axes.imshow(mosaic, cmap=MAP, vmin=0, vmax=1, interpolation="nearest")
        middle = (tokens - 1) / 2
        axes.set_xticks(middle + step * np.arange(heads), [str(h + 1) for h in range(heads)])
        axes.set_yticks(middle + step * np.arange(layers), [str(n + 1) for n in range(layers)])
        axes.tick_params(length=0, labeltop=True, labelbottom=False)
        axes.xaxis.set_label_position("top")
        axes.set_xlabel("head")
        axes.set_ylabel("layer")
        axes.spines[:].set_visible(False)
        axes.set_title("Attention weights by layer and head", fontsize=12)
        bar = figure.colorbar(image, ax=axes, **bar_place(narrow=narrow))
        bar.set_label("attention weight (each row sums to 1)", fontsize=10)
        bar.outline.set_visible(False)
        return png(figure)


def single_heads(weights: NDArray[Any], tokens: Sequence[str]) -> Iterator[bytes]:
    """Draw each of (heads, tokens, tokens) by itself, the tokens along its sides."""
    with rc_context(STYLE):
        figure = Figure(figsize=(2.4, 2.5), layout="constrained")
        axes = figure.add_subplot()
        image = axes.imshow(weights[0], cmap=MAP, vmin=0, vmax=1, interpolation="nearest")
        places = range(len(tokens))
        axes.set_xticks(places, tokens, rotation=90, fontsize=9)
        axes.set_yticks(places, tokens, fontsize=9)
        axes.tick_params(length=0, pad=2)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # the same places for every head, found once
        for head in weights:
            image.set_data(head)
            yield png(figure, colours=128)


def weight_bar() -> bytes:
    """Draw the colours of attention weights from 0 to 1."""
    with rc_context(STYLE):
        figure = Figure(figsize=(4.2, 0.75), layout="constrained")
        colours = ScalarMappable(Normalize(0, 1), MAP)
        bar = figure.colorbar(colours, cax=figure.add_subplot(), orientation="horizontal")
        bar.set_label("attention weight (each row sums to 1)", fontsize=10)
        bar.outline.set_visible(False)
        return png(figure)


def bar_place(*, narrow: bool) -> dict[str, Any]:
    if narrow:
        return {"location": "bottom", "shrink": 0.8, "aspect": 30, "pad": 0.02}
    return {"location": "right", "shrink": 0.7, "aspect": 30, "pad": 0.02}


def png(figure: Figure, *, colours: int | None = None) -> bytes:
    """Render; with a palette of `colours`, what has few of them takes a quarter of the bytes."""
    canvas, file = FigureCanvasAgg(figure), io.BytesIO()
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    if colours is not None:
        picture = picture.quantize(colours)
    picture.save(file, format="png", optimize=colours is not None)
    return file.getvalue()
