"""Pictures of fields and of fitted heads, through matplotlib.

`field` draws a field, `movie` writes many as an animated GIF. `learning_curves`, `sweep`,
`confusion` and `precision_recall` show what `LinearHead` and `HeadSweep` found. matplotlib is
imported by the first call, so that ``import numfuse`` never needs it.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _files
from ._picture import BLANK, WALLS, Drawing, Plane, checked_plane, find_ends
from ._plot_heads import confusion, learning_curves, precision_recall, sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray
    from PIL.Image import Image

__all__ = ["confusion", "field", "learning_curves", "movie", "precision_recall", "sweep"]

COLORMAP = "magma"
# A GIF has 256 colours: these many for the field, the rest for walls, blanks, and greys of text.
FIELD_COLOURS = 200
# Browsers slow down what is quicker than this.
MOST_FRAMES_PER_SECOND = 50


def field(
    field: ArrayLike,
    *,
    spacing: float | Sequence[float] = 1.0,
    walls: ArrayLike | None = None,
    index: int | None = None,
    limits: tuple[float, float] | None = None,
    colormap: str = COLORMAP,
    label: str | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a field: a line in 1-D, colours in 2-D, one plane in 3-D.

    Parameters
    ----------
    field : array_like, shape (n,), (ny, nx) or (nz, ny, nx), real
        The first row of a plane is drawn at the top, as NumPy prints it. NaN and inf stay blank.
    spacing : float or sequence of float, optional
        Grid step of every axis, or of each. Unit: that of the axes' labels.
    walls : array_like of bool, shape of `field`, optional
        Cells that are drawn grey and left out of `limits`.
    index : int, optional
        3-D only: which plane of the first axis; the middle one by default.
    limits : (float, float), optional
        The values of the first and the last colour, or the ends of a line's axis. By default the
        least and the largest value that is drawn.
    colormap : str, optional
        A name of matplotlib's.
    label, title : str, optional
        What the values are, and what stands above.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default axes in a new figure of `matplotlib.pyplot`.

    Returns
    -------
    matplotlib.axes.Axes
        Its ``figure`` has ``savefig``.

    Raises
    ------
    ImportError
        If matplotlib is absent (``pip install 'numfuse[plot]'``).
    TypeError
        If the field is complex or no numbers, or the walls are not bool.
    ValueError
        If a shape, a step, `limits` or `index` does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> import numfuse.plot
    >>> y, x = np.mgrid[-1:1:64j, -1:1:96j]
    >>> ax = numfuse.plot.field(np.exp(-4 * (x**2 + y**2)), label="ink")
    >>> ax.figure.savefig("ink.png")  # doctest: +SKIP
    """
    _need("matplotlib")
    _check_colormap(colormap)
    plane = checked_plane("field", field, spacing=spacing, walls=walls, index=index)
    ends = find_ends(limits, [plane])
    if ax is None:
        from matplotlib import pyplot

        ax = pyplot.figure(layout="constrained").add_subplot()
    Drawing(ax, plane, ends, colormap, label).title(title)
    return ax


def movie(
    fields: Iterable[ArrayLike],
    path: str | os.PathLike[str],
    *,
    frames_per_second: float = 20.0,
    repeat: bool = True,
    spacing: float | Sequence[float] = 1.0,
    walls: ArrayLike | None = None,
    index: int | None = None,
    limits: tuple[float, float] | None = None,
    colormap: str = COLORMAP,
    label: str | None = None,
    titles: Iterable[str] | None = None,
    size: tuple[float, float] = (4.8, 4.0),
    dpi: float = 100.0,
) -> Path:
    """Write fields as an animated GIF, one frame each.

    With `limits` the fields may come from a generator that makes each when it is drawn, and one at
    a time is in memory; without, all are read first to find the limits.

    Parameters
    ----------
    fields : iterable of array_like
        At least one; all of one shape, as `field` draws them. An array counts by its first axis.
    path : str or path
        Ends in ``.gif``. Written whole or not at all: an older file stays until then.
    frames_per_second : float, optional
        Up to 50. A GIF knows steps of 0.01 s, so 20 and 25 are exact and 30 is not.
    repeat : bool, optional
        Whether it begins anew after the last frame.
    spacing, walls, index, limits, colormap, label
        As for `field`, the same for every frame.
    titles : iterable of str, optional
        One for each frame.
    size : (float, float), optional
        Width and height in inches.
    dpi : float, optional
        Pixels for each inch.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ImportError
        If matplotlib or Pillow is absent (``pip install 'numfuse[plot]'``).
    TypeError, ValueError
        As for `field`; also if there is no frame, if frames differ in shape, or if `titles` has
        another length.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> import numfuse.plot
    >>> y, x = np.mgrid[-1:1:64j, -1:1:64j]
    >>> waves = (np.sin(9 * x - phase) for phase in np.linspace(0, 2 * np.pi, 20))
    >>> numfuse.plot.movie(waves, "waves.gif", limits=(-1, 1))  # doctest: +SKIP
    PosixPath('waves.gif')
    """
    _need("matplotlib", "PIL")
    target = Path(path)
    if target.suffix.lower() != ".gif":
        raise ValueError(f"path is {str(target)!r}, but has to end in .gif: no other film is made.")
    _check_colormap(colormap)
    duration = _duration(frames_per_second)
    _check_size(size, dpi)
    planes = _planes(fields, spacing=spacing, walls=walls, index=index)
    if limits is None:
        planes = iter(kept := list(planes))
        ends = find_ends(None, kept)
    else:
        ends = find_ends(limits, [])
    pictures = _pictures(planes, titles, ends, colormap, label, size, dpi)
    first = next(pictures, None)
    if first is None:
        raise ValueError("fields is empty; a film needs one field at least.")
    with _files.replacing(target) as file:
        first.save(
            file,
            format="GIF",
            save_all=True,
            append_images=pictures,
            duration=duration,
            optimize=False,
            disposal=1,
            **({"loop": 0} if repeat else {}),
        )
    return target


def _planes(
    fields: Iterable[ArrayLike],
    *,
    spacing: float | Sequence[float],
    walls: ArrayLike | None,
    index: int | None,
) -> Iterator[Plane]:
    """Check each field when it is asked for."""
    shape = None
    for number, one in enumerate(fields):
        array = np.asarray(one)
        if shape is None:
            shape = array.shape
        elif array.shape != shape:
            raise ValueError(
                f"fields[{number}] has shape {array.shape} and fields[0] {shape}; all frames of a "
                "film have to have one shape."
            )
        yield checked_plane(f"fields[{number}]", array, spacing=spacing, walls=walls, index=index)


def _check_colormap(name: str) -> None:
    from matplotlib import colormaps

    if name not in colormaps:
        raise ValueError(
            f"colormap is {name!r}, but has to be a name of matplotlib's, such as 'magma', "
            "'viridis' or 'coolwarm'."
        )


def _duration(frames_per_second: float) -> int:
    """Milliseconds of one frame."""
    if not 0 < frames_per_second <= MOST_FRAMES_PER_SECOND:
        raise ValueError(
            f"frames_per_second is {frames_per_second!r}, but has to be a number > 0 and at most "
            f"{MOST_FRAMES_PER_SECOND}: viewers slow down what is quicker."
        )
    return max(10, 10 * round(100 / frames_per_second))


def _check_size(size: tuple[float, float], dpi: float) -> None:
    if len(size) != 2 or not all(0 < length * dpi < 2**15 and length > 0 for length in size):
        raise ValueError(
            f"size is {size!r} and dpi {dpi!r}, but size has to be a width and a height > 0 in "
            "inches, of fewer than 32768 pixels each at that dpi."
        )


def _pictures(
    planes: Iterator[Plane],
    titles: Iterable[str] | None,
    ends: tuple[float, float],
    colormap: str,
    label: str | None,
    size: tuple[float, float],
    dpi: float,
) -> Iterator[Image]:
    """Draw each plane as a picture in the film's own 256 colours."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=dpi, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    palette = _Palette(colormap)
    drawing = None
    missing = object()
    pairs: Iterator[tuple[Any, Any]] = (
        zip(planes, itertools.repeat(None))
        if titles is None
        else itertools.zip_longest(planes, titles, fillvalue=missing)
    )
    for number, (plane, title) in enumerate(pairs):
        if plane is missing or title is missing:
            more, fewer = ("titles", "fields") if plane is missing else ("fields", "titles")
            raise ValueError(
                f"{more} goes on after the {number} of {fewer}; titles needs one for each field."
            )
        if drawing is None:
            drawing = Drawing(figure.add_subplot(), plane, ends, colormap, label)
            drawing.title(title)
            figure.draw_without_rendering()
            # The same places in every frame: text that moves would tremble.
            figure.set_layout_engine("none")
        else:
            drawing.show(plane)
            drawing.title(title)
        canvas.draw()
        yield palette.picture(np.asarray(canvas.buffer_rgba()))


class _Palette:
    """The 256 colours of a film: those of its map, walls, blanks, and greys for the rest."""

    def __init__(self, colormap: str) -> None:
        from matplotlib import colormaps
        from matplotlib.colors import to_rgb

        colours = colormaps[colormap](np.linspace(0, 1, FIELD_COLOURS))[:, :3]
        own = np.array([to_rgb(WALLS), to_rgb(BLANK)])
        greys = np.repeat(np.linspace(0, 1, 256 - len(colours) - len(own))[:, None], 3, axis=1)
        self._colours = np.concatenate([colours, own, greys]) * 255

    def picture(self, pixels: NDArray[np.uint8]) -> Image:
        """Give each pixel the nearest colour; few differ, so that all are found exactly."""
        from PIL import Image

        red, green, blue = (pixels[..., k].astype(np.int32) for k in range(3))
        codes, places = np.unique((red << 16) | (green << 8) | blue, return_inverse=True)
        found = np.stack([codes >> 16, (codes >> 8) & 255, codes & 255], axis=1)
        apart = ((found[:, None] - self._colours) ** 2).sum(axis=-1)
        indices = apart.argmin(axis=1).astype(np.uint8)[places].reshape(pixels.shape[:2])
        picture = Image.fromarray(indices).convert("P")
        picture.putpalette(self._colours.round().astype(np.uint8).tobytes())
        return picture


def _need(*modules: str) -> None:
    """Say what is absent and how to get it."""
    names = {"matplotlib": "matplotlib", "PIL": "Pillow"}
    missing = [names[module] for module in modules if find_spec(module) is None]
    if missing:
        raise ImportError(
            f"numfuse.plot needs {' and '.join(missing)}, not installed; "
            "pip install 'numfuse[plot]'"
        )
