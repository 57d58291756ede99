"""What `plot` draws: one or two axes of a field, checked, and put on matplotlib's axes.

matplotlib is imported by those functions alone that draw.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

WALLS = "#8a949e"
BLANK = "#e6e9ec"


class Plane(NamedTuple):
    """What is drawn of a field: one or two axes, in float64, NaN where nothing is known."""

    values: NDArray[np.float64]
    walls: NDArray[np.bool_] | None
    steps: tuple[float, ...]
    first_axis: int


def checked_plane(
    name: str,
    field: ArrayLike,
    *,
    spacing: float | Sequence[float],
    walls: ArrayLike | None,
    index: int | None,
) -> Plane:
    """Check one field, and take what is drawn of it."""
    array = np.asarray(field)
    if array.dtype.kind not in "buif":
        raise TypeError(
            f"{name} is {array.dtype.name}, but has to be real numbers; "
            f"{name}.real, {name}.imag or abs({name}) can be drawn."
        )
    if not 1 <= array.ndim <= 3 or array.size == 0:
        raise ValueError(
            f"{name} has shape {array.shape}, but has to have 1, 2 or 3 axes and no empty one; "
            f"choose one field of several, such as {name}[0]."
        )
    steps = _steps(spacing, array.ndim)
    blocked = None
    if walls is not None:
        blocked = np.asarray(walls)
        if blocked.dtype != np.bool_:
            raise TypeError(
                f"walls is {blocked.dtype.name}, but has to be bool, True where there is a wall; "
                "walls != 0 makes one."
            )
        if blocked.shape != array.shape:
            raise ValueError(
                f"walls has shape {blocked.shape}, but has to have the field's, {array.shape}."
            )
    if array.ndim == 3:
        number = _plane_number(index, len(array))
        array = array[number]
        blocked = None if blocked is None else blocked[number]
        steps = steps[1:]
    elif index is not None:
        raise ValueError(
            f"index is {index!r}, but {name} has {array.ndim} axes and is drawn whole; "
            "leave it out."
        )
    values = array.astype(np.float64)
    values[~np.isfinite(values)] = np.nan
    return Plane(values, blocked, steps, len(np.shape(field)) - values.ndim)


def _steps(spacing: float | Sequence[float], ndim: int) -> tuple[float, ...]:
    try:
        steps = tuple(np.broadcast_to(np.asarray(spacing, np.float64), (ndim,)).tolist())
    except (TypeError, ValueError):
        steps = ()
    if not steps or not all(0 < step < math.inf for step in steps):
        raise ValueError(
            f"spacing is {spacing!r}, but has to be a finite number > 0, or one for each of the "
            f"field's {ndim} axes."
        )
    return steps


def _plane_number(index: int | None, planes: int) -> int:
    if index is None:
        return planes // 2
    if not isinstance(index, int | np.integer) or not -planes <= index < planes:
        raise ValueError(
            f"index is {index!r}, but has to be an integer from {-planes} to {planes - 1}: "
            f"the field has {planes} planes."
        )
    return int(index) % planes


def find_ends(limits: tuple[float, float] | None, planes: Sequence[Plane]) -> tuple[float, float]:
    """Check the limits, or find them: apart, so that a field of one value can be drawn."""
    if limits is not None:
        try:
            low, high = map(float, limits)
        except (TypeError, ValueError):
            low = high = math.nan
        if not -math.inf < low < high < math.inf:
            raise ValueError(
                f"limits is {limits!r}, but has to be two finite numbers, the lower first; "
                "leave it out to have them found."
            )
        return low, high
    found = [
        values[np.isfinite(values)]
        for plane in planes
        for values in [plane.values if plane.walls is None else plane.values[~plane.walls]]
    ]
    found = [values for values in found if values.size]
    if not found:
        return 0.0, 1.0
    low = min(float(values.min()) for values in found)
    high = max(float(values.max()) for values in found)
    if low == high:
        half = abs(low) / 10 or 0.5
        return low - half, high + half
    return low, high


class Drawing:
    """One picture whose values can be replaced, so that a film's frames need not start anew."""

    def __init__(
        self,
        ax: Axes,
        plane: Plane,
        ends: tuple[float, float],
        colormap: str,
        label: str | None,
    ) -> None:
        self._ax = ax
        self._mark: Any
        if plane.values.ndim == 1:
            self._line(plane, ends, label)
        else:
            self._image(plane, ends, colormap, label)

    def _line(self, plane: Plane, ends: tuple[float, float], label: str | None) -> None:
        (step,) = plane.steps
        count = len(plane.values)
        (self._mark,) = self._ax.plot(step * (np.arange(count) + 0.5), self._shown(plane))
        self._ax.set_xlim(0, step * count)
        margin = 0.04 * (ends[1] - ends[0])
        self._ax.set_ylim(ends[0] - margin, ends[1] + margin)
        self._ax.set_xlabel("axis 0")
        if label is not None:
            self._ax.set_ylabel(label)
        if plane.walls is not None:
            edges = np.flatnonzero(np.diff(plane.walls, prepend=False, append=False))
            for low, high in edges.reshape(-1, 2):
                self._ax.axvspan(step * low, step * high, color=WALLS, linewidth=0)

    def _image(
        self, plane: Plane, ends: tuple[float, float], colormap: str, label: str | None
    ) -> None:
        from matplotlib.colors import ListedColormap

        rows, columns = plane.values.shape
        extent = (0, plane.steps[1] * columns, plane.steps[0] * rows, 0)
        self._ax.set_facecolor(BLANK)
        self._mark = self._ax.imshow(
            self._shown(plane),
            cmap=colormap,
            vmin=ends[0],
            vmax=ends[1],
            extent=extent,
            interpolation="nearest",
        )
        if plane.walls is not None and plane.walls.any():
            self._ax.imshow(
                np.ma.masked_where(~plane.walls, plane.walls),
                cmap=ListedColormap([WALLS]),
                extent=extent,
                interpolation="nearest",
            )
        self._ax.set_ylabel(f"axis {plane.first_axis}")
        self._ax.set_xlabel(f"axis {plane.first_axis + 1}")
        # As high as the picture, whatever its shape.
        bar = self._ax.figure.colorbar(self._mark, cax=self._ax.inset_axes((1.03, 0, 0.04, 1)))
        bar.outline.set_visible(False)
        if label is not None:
            bar.set_label(label)

    @staticmethod
    def _shown(plane: Plane) -> NDArray[np.float64]:
        if plane.walls is None or plane.values.ndim == 2:
            return plane.values
        return np.where(plane.walls, np.nan, plane.values)  # a line stops at a wall

    def title(self, title: str | None) -> None:
        """Write what stands above."""
        if title is not None:
            self._ax.set_title(title)

    def show(self, plane: Plane) -> None:
        """Replace the values."""
        if plane.values.ndim == 1:
            self._mark.set_ydata(self._shown(plane))
        else:
            self._mark.set_data(self._shown(plane))
