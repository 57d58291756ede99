"""The tour's drawings of fields on grids: arrays in, PNG bytes out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from numfuse._colours import BLANK, COLOURS, FAINT, INK

from .draw import STYLE, bar_place, png

WALL = "#5b6670"


def panels(
    fields: Sequence[NDArray[Any]],
    titles: Sequence[str],
    *,
    size: tuple[float, float],
    unit: str,
    label: str,
    norm: Normalize,
    colormap: str,
    walls: NDArray[np.bool_] | None = None,
    lines: Sequence[float] | None = None,
    streams: NDArray[Any] | None = None,
    marks: Sequence[float] = (),
    narrow: bool = False,
) -> bytes:
    """Draw (rows, columns) fields of the same place beside each other, under one colour bar.

    `size` is the place's height and width in `unit`; `lines` are levels to trace in every panel,
    `streams` a stream function whose lines are traced in the first, `marks` heights of layers.
    """
    height, width = size
    across = 1 if narrow and width > 1.8 * height else 2 if narrow or len(fields) == 4 else 3
    down = -(-len(fields) // across)
    inches = (4.6 if narrow else 9.6) / across
    with rc_context(STYLE):
        figure = Figure(
            figsize=(inches * across, (inches - 0.45) * height / width * down + 0.45 * down + 1.1),
            layout="constrained",
        )
        grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
        extent = (0, width, height, 0)
        for number, axes in enumerate(grid.flat):
            if number >= len(fields):
                axes.set_visible(False)
                continue
            image = axes.imshow(
                fields[number], cmap=colormap, norm=norm, extent=extent, interpolation="nearest"
            )
            if walls is not None:
                axes.imshow(
                    np.ma.masked_where(~walls, walls),
                    cmap=ListedColormap([WALL]),
                    extent=extent,
                    interpolation="nearest",
                )
            if lines is not None:
                traced = axes.contour(
                    fields[number],
                    levels=lines,
                    colors="white",
                    linewidths=0.6,
                    extent=extent,
                    origin="upper",
                )
                traced.set_alpha(0.7)
            if streams is not None and number == 0:
                axes.contour(
                    streams,
                    levels=7,
                    colors=FAINT,
                    linewidths=0.7,
                    extent=extent,
                    origin="upper",
                )
            for mark in marks:
                axes.axhline(mark, color=INK, linewidth=0.6, linestyle=(0, (4, 3)))
            axes.set_title(titles[number], fontsize=10)
            axes.tick_params(length=2, labelsize=8)
        for axes in grid[-1]:
            axes.set_xlabel(unit, fontsize=9)
        for axes in grid[:, 0]:
            axes.set_ylabel(unit, fontsize=9)
        figure.get_layout_engine().set(h_pad=0.09)
        bar = figure.colorbar(image, ax=grid, **(bar_place(narrow=True) | {"shrink": 0.6}))
        bar.set_label(label, fontsize=9)
        bar.ax.tick_params(labelsize=8)
        bar.outline.set_visible(False)
        return png(figure)


def profiles(
    places: NDArray[Any],
    lines: Sequence[NDArray[Any]],
    names: Sequence[str],
    bands: Sequence[tuple[float, float, str]],
    *,
    x_label: str,
    y_label: str,
    narrow: bool = False,
) -> bytes:
    """Draw lines over a place cut into named bands, from (start, end, name)."""
    with rc_context(STYLE):
        figure = Figure(figsize=(4.8, 4.2) if narrow else (8.2, 4.0), layout="constrained")
        axes = figure.add_subplot()
        for number, (start, end, name) in enumerate(bands):
            if number % 2:
                axes.axvspan(start, end, color=BLANK, alpha=0.7, linewidth=0)
            axes.annotate(
                name,
                ((start + end) / 2, 1),
                xycoords=axes.get_xaxis_transform(),
                xytext=(0, -4),
                textcoords="offset points",
                ha="center",
                va="top",
                fontsize=7.5 if narrow else 9,
            )
        for line, name, colour in zip(lines, names, COLOURS, strict=False):
            axes.plot(places, line, color=colour, linewidth=1.8, label=name)
        axes.set_xlim(bands[0][0], bands[-1][1])
        axes.set_ylim(0, 1.15 * max(float(line.max()) for line in lines))
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside lower center", ncols=len(names), frameon=False, fontsize=9)
        return png(figure)
