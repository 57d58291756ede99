"""What happens at the sides of a grid: from what a caller writes to one `Side` for each side.

`checked` reads a specification without knowing the grid, `sides` fits it to one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._diffusion_options import BOUNDARY, SIDE
from ._options import integer, number, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ._diffusion_options import Amount, Given

LOW_HIGH = ("low", "high")


class Side(NamedTuple):
    """One side of one space axis."""

    kind: str
    """"periodic", "insulated", "value", "flux" or "robin"."""
    value: NDArray[Any] | OverTime | None
    """v, g or c: an array of shape () or the face's, or a function of time that gives one."""
    a: float
    b: float


class Specification(NamedTuple):
    """What a caller says about one side or several, its numbers checked."""

    kind: str
    value: Given | None
    a: float
    b: float


# Specifications by (axis, side), (axis, None) for both sides of one or (None, None) for all.
Boundary = dict[tuple[int | None, int | None], Specification]

_CLOSED = Side("insulated", None, 0.0, 0.0)
_RING = Side("periodic", None, 0.0, 0.0)
_PLAIN = {
    "insulated": Specification("insulated", None, 0.0, 0.0),
    "periodic": Specification("periodic", None, 0.0, 0.0),
}


class OverTime:
    """A caller's function of time; what it gives is checked at each call."""

    def __init__(
        self,
        name: str,
        function: Callable[[float], object],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        amount: Amount,
    ) -> None:
        self.name, self.function, self.shape = name, function, shape
        self.dtype, self.amount = dtype, amount

    def __call__(self, time: float) -> NDArray[Any]:
        """Return the value at `time`, an array of shape () or that of the face or grid."""
        name = f"{self.name} at time {time:g}"
        value = self.amount.checked(name, self.function(time))
        if callable(value):
            raise self.amount.refused(name, "is a function again", TypeError)
        return fitted(name, value, self.shape, self.dtype, self.amount)


def fitted(
    name: str,
    value: float | NDArray[Any],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    amount: Amount,
) -> NDArray[Any]:
    """`value` in `dtype`: an array without axes, or one of `shape`."""
    if not isinstance(value, float) and value.shape != shape:
        where = "along the face is" if amount is SIDE else "of the grid is"
        raise ValueError(
            f"{name} has shape {value.shape}, but an array {where} {shape}; {amount.way_out}."
        )
    return np.asarray(amount.cast(name, value, dtype), dtype)


def checked(given: object, copied: Callable[[Given], Given]) -> Boundary:
    """Read `boundary`; `copied` makes an array the owner's."""
    if not isinstance(given, dict):
        return {(None, None): _specification("boundary", given, copied)}
    return {
        _place(key): _specification(f"boundary[{key!r}]", value, copied)
        for key, value in given.items()
    }


def _place(key: object) -> tuple[int, int | None]:
    axis, side = key if isinstance(key, tuple) and len(key) == 2 else (key, None)
    try:
        place = integer(axis)
    except TypeError:
        place = -1
    if place < 0 or not (side is None or (isinstance(side, str) and side in LOW_HIGH)):
        raise ValueError(f"boundary has the key {key!r}, which names no side; {BOUNDARY.way_out}.")
    return place, None if side is None else LOW_HIGH.index(side)


def _specification(name: str, given: object, copied: Callable[[Given], Given]) -> Specification:
    if isinstance(given, str) and given in _PLAIN:
        return _PLAIN[given]
    if isinstance(given, tuple | list) and given and isinstance(given[0], str):
        kind, *numbers = given
        if kind in ("value", "flux") and len(numbers) == 1:
            value = SIDE.checked(f"{name}'s {kind}", numbers[0])
            return Specification(kind, copied(value), 0.0, 0.0)
        if kind == "robin" and len(numbers) == 3:
            a, b = (_factor(name, letter, x) for letter, x in zip("ab", numbers, strict=False))
            if a == b == 0:
                raise BOUNDARY.refused(name, "has a = b = 0, which says nothing")
            return Specification(kind, copied(SIDE.checked(f"{name}'s c", numbers[2])), a, b)
    error = ValueError if isinstance(given, str | tuple | list) else TypeError
    raise BOUNDARY.refused(name, f"is {shown(given)}", error)


def _factor(name: str, letter: str, value: object) -> float:
    factor = SIDE.checked(f"{name}'s {letter}", number(value) if _is_zero_d(value) else value)
    if not isinstance(factor, float):
        raise BOUNDARY.refused(f"{name}'s {letter}", f"is {shown(value)}, no number", TypeError)
    return factor


def _is_zero_d(value: object) -> bool:
    return isinstance(value, np.ndarray | np.generic) and value.ndim == 0


def sides(
    boundary: Boundary, shape: tuple[int, ...], steps: tuple[float, ...], dtype: np.dtype[Any]
) -> tuple[tuple[Side, Side], ...]:
    """Low and high side of each axis of a grid of `shape`, cells as wide as `steps` say."""
    whole = boundary.get((None, None))
    if whole is not None and whole.kind in _PLAIN:
        side = _RING if whole.kind == "periodic" else _CLOSED
        return ((side, side),) * len(shape)
    for axis, _ in boundary:
        if axis is not None and axis >= len(shape):
            raise ValueError(
                f"boundary has a key for axis {axis}, which a grid of {len(shape)} space axes does "
                f"not have; {BOUNDARY.way_out}."
            )
    result = []
    for axis in range(len(shape)):
        both = boundary.get((axis, None), whole or _PLAIN["insulated"])
        low, high = (boundary.get((axis, side), both) for side in (0, 1))
        if (low.kind == "periodic") != (high.kind == "periodic"):
            raise ValueError(
                f"boundary is periodic on one side of axis {axis} only, but that belongs to a "
                f'whole axis, as in {{{axis}: "periodic"}}; {BOUNDARY.way_out}.'
            )
        result.append(
            (
                _side(low, axis, 0, shape, steps[axis], dtype),
                _side(high, axis, 1, shape, steps[axis], dtype),
            )
        )
    return tuple(result)


def _side(
    given: Specification,
    axis: int,
    side: int,
    shape: tuple[int, ...],
    step: float,
    dtype: np.dtype[Any],
) -> Side:
    if given.value is None:
        return _RING if given.kind == "periodic" else _CLOSED
    name = f"boundary on side ({axis}, {LOW_HIGH[side]!r})"
    if given.kind == "robin" and abs(given.a / 2 + given.b / step) <= 1e-12 * abs(given.a):
        raise ValueError(
            f"{name} has a = {given.a} and b = {given.b}, for which a/2 + b/spacing is 0 and no "
            "value of the field meets the condition; change a, b or the spacing."
        )
    face = (*shape[:axis], *shape[axis + 1 :])
    if callable(given.value):
        value: NDArray[Any] | OverTime = OverTime(name, given.value, face, dtype, SIDE)
    else:
        value = fitted(name, given.value, face, dtype, SIDE)
    return Side(given.kind, value, given.a, given.b)


def as_given(boundary: Boundary, shown: Callable[[object], str]) -> str:
    """Write what `checked` has read as a caller writes it, values as `shown` says."""

    def one(given: Specification) -> str:
        if given.value is None:
            return repr(given.kind)
        factors = [repr(given.a), repr(given.b)] if given.kind == "robin" else []
        return f"({', '.join([repr(given.kind), *factors, shown(given.value)])})"

    if (None, None) in boundary:
        return one(boundary[None, None])
    entries = [
        (str(axis) if side is None else f"({axis}, {LOW_HIGH[side]!r})") + f": {one(given)}"
        for (axis, side), given in boundary.items()
    ]
    return f"{{{', '.join(entries)}}}"
