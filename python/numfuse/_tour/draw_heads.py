"""The tour's drawings of heads: those of `numfuse.plot` in the tour's style, as PNG bytes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter
from numpy.typing import NDArray

from numfuse import plot
from numfuse._colours import COLOURS, FAINT, MARKERS

from .draw import STYLE, png


def by_labels(
    counts: Sequence[int],
    scores: Mapping[str, NDArray[Any]],
    *,
    chance: float,
    narrow: bool = False,
) -> bytes:
    """Draw accuracies (counts, repetitions): the mean as a line, least to largest as a band."""
    with rc_context(STYLE):
        figure = Figure(figsize=(4.8, 4.6) if narrow else (7.2, 4.6), layout="constrained")
        axes = figure.add_subplot()
        for (name, values), colour, marker in zip(scores.items(), COLOURS, MARKERS, strict=False):
            axes.fill_between(
                counts,
                values.min(axis=1),
                values.max(axis=1),
                color=colour,
                alpha=0.15,
                linewidth=0,
            )
            mean = values.mean(axis=1)
            axes.plot(counts, mean, color=colour, marker=marker, markersize=6, label=name)
        axes.axhline(chance, color=FAINT, linestyle=":", label="guessing")
        axes.set_xscale("log")
        axes.set_xticks(counts, [str(count) for count in counts])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_xlabel("labels for each class")
        axes.set_ylabel("right on held-out rows")
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside lower center", ncols=1 if narrow else 2, frameon=False)
        return png(figure, colours=128)


def sweep(
    results: Mapping[str, NDArray[Any]], x: str, y: str, *, title: str, narrow: bool = False
) -> bytes:
    """Draw a sweep's metric over two keywords."""
    with rc_context(STYLE):
        figure = Figure(figsize=(5.2, 3.6) if narrow else (7.2, 3.8), layout="constrained")
        axes = plot.sweep(results, x, y, ax=figure.add_subplot())
        axes.set_title(title)
        return png(figure, colours=128)


def confusion(
    targets: NDArray[Any], predictions: NDArray[Any], classes: NDArray[Any], *, narrow: bool = False
) -> bytes:
    """Draw which class was taken for which, as shares of the true class."""
    with rc_context(STYLE | ({"font.size": 9} if narrow else {})):
        figure = Figure(figsize=(4.8, 4.6) if narrow else (7.2, 6.0), layout="constrained")
        plot.confusion(
            targets, predictions, classes=classes, normalize=True, ax=figure.add_subplot()
        )
        return png(figure, colours=128)


def learning(history: Mapping[str, NDArray[Any]], *, narrow: bool = False) -> bytes:
    """Draw losses and metric over the epochs."""
    with rc_context(STYLE | ({"font.size": 9} if narrow else {})):
        figure = Figure(figsize=(4.8, 3.8) if narrow else (7.2, 4.0), layout="constrained")
        plot.learning_curves(history, ax=figure.add_subplot())
        return png(figure, colours=128)


def precision_recall(
    targets: NDArray[np.bool_], scores: Mapping[str, NDArray[Any]], *, narrow: bool = False
) -> bytes:
    """Draw precision over recall, a curve for each score."""
    with rc_context(STYLE | ({"font.size": 9} if narrow else {})):
        figure = Figure(figsize=(4.8, 4.4) if narrow else (7.2, 4.6), layout="constrained")
        plot.precision_recall(targets, scores, ax=figure.add_subplot())
        return png(figure, colours=128)
