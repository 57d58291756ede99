"""What each option of diffusion may be, written once, as `_options` does for attention.

`Scalar` is `_options`'s. An `Amount` is a number, an array or, where that is allowed, a function of
time; the others (`Rule`) have a check of their own here or in `_diffusion_boundary`. Shapes and the
field's dtype are not known yet: `_diffusion_problem` looks at them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _arrays
from ._options import CONSTRAINTS, Scalar, integer, number, shown, text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Given = float | NDArray[Any] | Callable[[float], object]

MOST_STEPS = 2**62


class Rule(NamedTuple):
    """A constraint whose check is a function of its own."""

    allowed: str
    """Completes "it has to be …"."""
    way_out: str
    bad: tuple[Any, ...]
    parts: tuple[Amount, ...] = ()
    """Constraints on what a value is made of, whose messages are their own."""

    def refused(
        self, name: str, given: str, error: type[TypeError | ValueError] = ValueError
    ) -> TypeError | ValueError:
        """Return the error to raise; `given` is its sentence's predicate, as in "is 3"."""
        return error(f"{name} {given}, but has to be {self.allowed}; {self.way_out}.")


class Amount(NamedTuple):
    """A constraint on a finite quantity: a number, an array, maybe a function of time."""

    allowed: str
    """Completes "it has to be …"."""
    way_out: str
    least: float
    """Smallest value allowed."""
    varies: bool
    """Whether a function of time is allowed."""
    bad: tuple[Any, ...]

    def checked(self, name: str, value: object) -> Given:
        """`value` as a float, an array of numbers, or the function that it is."""
        if callable(value) and not hasattr(value, "__array__"):
            if not self.varies:
                raise self.refused(name, f"is the function {shown(value)}", TypeError)
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                single = float(value)
            except OverflowError:
                single = math.inf
            if not self.least <= single < math.inf or single == -math.inf:
                raise self.refused(name, f"is {shown(value)}")
            return single
        array = _arrays.as_array(name, value)
        if array.dtype.kind not in "iuf":
            given = shown(value) if array.ndim == 0 else f"an array of {array.dtype.name}"
            raise self.refused(name, f"is {given}", TypeError)
        if array.size:
            # A NaN shows in both; looked at this way, no temporary array is needed.
            low, high = float(array.min()), float(array.max())
            if not (self.least <= low and -math.inf < low and high < math.inf):
                good = np.isfinite(array) & (array >= self.least)
                index = np.unravel_index(int(np.argmin(good)), array.shape)
                at = f" at {[int(i) for i in index]}" if index else ""
                raise self.refused(name, f"is {array[index]}{at}")
        return float(array) if array.ndim == 0 else array

    def cast(
        self, name: str, value: float | NDArray[Any], dtype: np.dtype[Any]
    ) -> float | NDArray[Any]:
        """Round what was `checked` to `dtype`: a float, or an array in C order."""
        if isinstance(value, float):
            if dtype.itemsize == 8:
                return value
            with np.errstate(all="ignore"):
                rounded = float(dtype.type(value))
            if not math.isfinite(rounded):
                raise self.refused(name, f"is {value}, which is {rounded} in {dtype}")
            return rounded
        if value.dtype == dtype and value.flags.c_contiguous and value.flags.aligned:
            return value
        with np.errstate(all="ignore"):
            rounded_array = np.array(value, dtype, order="C", subok=False)
        if value.dtype.itemsize > dtype.itemsize and not np.isfinite(rounded_array).all():
            raise self.refused(name, f"has values that are infinite in {dtype}")
        return rounded_array

    def refused(
        self, name: str, given: str, error: type[TypeError | ValueError] = ValueError
    ) -> TypeError | ValueError:
        return error(f"{name} {given}, but has to be {self.allowed}; {self.way_out}.")


def cells(name: str, value: object, rule: Rule) -> NDArray[np.bool_]:
    """`walls` or `held` as an array of bool."""
    array = _arrays.as_array(name, value)
    if array.dtype != np.bool_:
        given = shown(value) if array.ndim == 0 else f"an array of {array.dtype.name}"
        raise rule.refused(name, f"is {given}", TypeError)
    return array


def spacing(value: object) -> float | tuple[float, ...]:
    """`spacing` as a number, or one for each space axis."""
    if isinstance(value, tuple | list) or (isinstance(value, np.ndarray) and value.ndim):
        return tuple(_step(value, each) for each in value)
    return _step(value, value)


def _step(whole: object, each: object) -> float:
    try:
        step = number(each)
    except (TypeError, ValueError):
        raise SPACING.refused("spacing", f"is {shown(whole)}", TypeError) from None
    except OverflowError:
        step = math.inf
    if not 0 < step < math.inf:
        raise SPACING.refused("spacing", f"is {shown(whole)}")
    return step


def axes(value: object) -> tuple[int, ...] | None:
    """`axes` as a tuple of different integers, or None."""
    if value is None:
        return None
    try:
        named = tuple(map(integer, value if isinstance(value, tuple | list) else (value,)))
    except TypeError:
        raise AXES.refused("axes", f"is {shown(value)}", TypeError) from None
    if not 1 <= len(named) <= 3:
        raise AXES.refused("axes", f"is {shown(value)}")
    return named


TIME = Scalar(
    allowed="a finite number >= 0",
    way_out="it is how long the field diffuses; give steps= for a number of steps instead",
    convert=number,
    fits=lambda value: 0 <= value < math.inf,
    bad=(-1.0, math.nan, math.inf, 10**400, "1", True, 1j, [1.0], np.ones(1)),
)
STEPS = Scalar(
    allowed="an integer >= 0",
    way_out="give time= to have the steps counted",
    convert=integer,
    fits=lambda value: 0 <= value <= MOST_STEPS,
    bad=(-1, 1.5, 2.0, "3", True, 2**63, [1], math.nan),
)
DT = Scalar(
    allowed="a finite number > 0",
    way_out="leave it out to have it chosen",
    convert=number,
    fits=lambda value: 0 < value < math.inf,
    bad=(0.0, -1.0, math.nan, math.inf, "1", True, 1j, [1.0], np.ones(1)),
)
START_TIME = Scalar(
    allowed="a finite number",
    way_out="it is the time at the first step, for functions of time; 0 is usual",
    convert=number,
    fits=math.isfinite,
    bad=(math.nan, math.inf, -math.inf, "0", None, True, 1j, np.ones(1)),
)
TOLERANCE = Scalar(
    allowed="a finite number > 0",
    way_out="1e-3 is usual",
    convert=number,
    fits=lambda value: 0 < value < math.inf,
    bad=(0.0, -1e-3, math.nan, math.inf, "1", None, True, 1j, np.ones(1)),
)
METHOD = Scalar(
    allowed='"auto", "explicit", "rkl2", "adi" or "spectral"',
    way_out='"auto" takes the cheapest that meets the tolerance',
    convert=text,
    fits=lambda value: value in ("auto", "explicit", "rkl2", "adi", "spectral"),
    bad=("euler", "", "RKL2", None, True, 2),
)
ORDER = Scalar(
    allowed="2, 4, 6 or 8",
    way_out="2 goes with everything",
    convert=integer,
    fits=lambda value: value in (2, 4, 6, 8),
    bad=(0, 1, 3, 10, -2, 2.0, "2", None, True),
)
MEAN = Scalar(
    allowed='"harmonic" or "arithmetic"',
    way_out='"harmonic" keeps the flux right between layers',
    convert=text,
    fits=lambda value: value in ("harmonic", "arithmetic"),
    bad=("geometric", "", None, True, 1),
)
ADVECTION = Scalar(
    allowed='"upwind" or "limited"',
    way_out='"upwind" is of first order, "limited" of second',
    convert=text,
    fits=lambda value: value in ("upwind", "limited"),
    bad=("central", "", None, True, 1),
)
EDGE = Scalar(
    allowed="a finite number > 0",
    way_out="it is the difference between neighbours that counts as an edge, in the image's units",
    convert=number,
    fits=lambda value: 0 < value < math.inf,
    bad=(0.0, -1.0, 1e-400, math.nan, math.inf, "1", None, True, 1j, np.ones(1)),
)
CONDUCTANCE = Scalar(
    allowed='"exponential" or "reciprocal"',
    way_out='"exponential" favours strong edges, "reciprocal" wide regions',
    convert=text,
    fits=lambda value: value in ("exponential", "reciprocal"),
    bad=("gaussian", "", None, True, 1),
)
CHANNEL_AXIS = Scalar(
    allowed="an integer that names an axis of the image",
    way_out="leave it out for an image without channels",
    convert=integer,
    fits=lambda value: True,
    bad=(7, -8, 1.0, "0", True, (0,)),
)
DIFFUSIVITY = Amount(
    allowed="finite and >= 0",
    way_out="give a number, one for each space axis, or an array of the grid's shape",
    least=0.0,
    varies=False,
    bad=(-1.0, math.nan, math.inf, 10**400, np.ones(7), [-1.0], "1", None, True, 1j, abs),
)
DECAY = Amount(
    allowed="finite and >= 0",
    way_out="give a number or an array of the grid's shape; what adds to the field is source",
    least=0.0,
    varies=False,
    bad=(-1.0, math.nan, math.inf, np.ones(7), [-1.0], "1", True, 1j, abs),
)
SOURCE = Amount(
    allowed="finite",
    way_out="give a number, an array of the grid's shape, or a function of time that returns one",
    least=-math.inf,
    varies=True,
    bad=(math.nan, -math.inf, np.ones(7), [math.nan], "1", True, 1j, lambda time: math.nan),
)
VELOCITY = Amount(
    allowed="finite, one array of the grid's shape for each space axis",
    way_out="np.stack makes an array (axes, *grid) of them",
    least=-math.inf,
    varies=False,
    bad=(1.0, math.nan, np.ones(7), np.ones((1, 7)), "1", True, 1j, abs),
)
SIDE = Amount(
    allowed="finite",
    way_out="give a number, an array along the face, or a function of time that returns one",
    least=-math.inf,
    varies=True,
    bad=(math.nan,),
)
WALLS = Rule(
    allowed="an array of bool of the grid's shape, True where nothing flows",
    way_out="walls != 0 makes one",
    bad=(1.0, "yes", True, np.ones(7), np.ones(7, bool), np.ones((1, 1), np.uint8)),
)
HELD = Rule(
    allowed="an array of bool of the grid's shape, True where the field keeps its value",
    way_out="held != 0 makes one",
    bad=(1.0, "yes", True, np.ones(7), np.ones(7, bool), np.ones((1, 1), np.uint8)),
)
SPACING = Rule(
    allowed="a finite number > 0, or one for each space axis",
    way_out="1.0 counts in cells",
    bad=(0.0, -1.0, math.nan, math.inf, (1.0,) * 7, (1.0, 0.0), "1", None, True, 1j, ("1",)),
)
AXES = Rule(
    allowed="a tuple of one to three different axes of the field",
    way_out="the other axes are independent fields; leave it out if all axes are space",
    bad=((), (0, 0), (7,), (-8,), (0, 1, 2, 3), 1.0, "0", (0.0,), True),
)
BOUNDARY = Rule(
    allowed='"periodic", "insulated", ("value", v), ("flux", g) or ("robin", a, b, c)',
    way_out='a dict has one of them for each axis 0 or side (0, "low"), (0, "high") of space',
    bad=(
        "open", None, 1.0, (), ("value",), ("value", 1.0, 2.0), ("value", math.nan), ("flux", "1"),
        ("flux", np.ones(7)), ("robin", 0, 0, 1.0), ("robin", 1.0, math.inf, 0.0), ("robin", 1.0),
        {7: "periodic"}, {-1: "periodic"}, {(0, "left"): "insulated"}, {"0": "insulated"},
        {(0, "low"): "periodic"}, {True: "insulated"}, {0: None}, ("value", lambda time: math.inf),
    ),
    parts=(SIDE,),
)  # fmt: skip

_LAPLACIAN: dict[str, Any] = {
    "spacing": SPACING,
    "axes": AXES,
    "boundary": BOUNDARY,
    "order": ORDER,
}
_DIFFUSION: dict[str, Any] = _LAPLACIAN | {
    "diffusivity": DIFFUSIVITY,
    "mean": MEAN,
    "velocity": VELOCITY,
    "advection": ADVECTION,
    "decay": DECAY,
    "source": SOURCE,
    "walls": WALLS,
    "held": HELD,
    "method": METHOD,
    "tolerance": TOLERANCE,
}
_DIFFUSE: dict[str, Any] = _DIFFUSION | {
    "time": TIME,
    "steps": STEPS,
    "dt": DT,
    "start_time": START_TIME,
}
_IMAGE: dict[str, Any] = {
    "steps": STEPS,
    "edge": EDGE,
    "conductance": CONDUCTANCE,
    "dt": DT,
    "channel_axis": CHANNEL_AXIS,
}
CONSTRAINTS |= {"laplacian": _LAPLACIAN, "diffuse": _DIFFUSE, "diffuse_image": _IMAGE}
