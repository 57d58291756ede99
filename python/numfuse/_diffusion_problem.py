"""What diffusion is asked for: options checked without a grid, then fitted to one.

`checked` makes `Options` of a caller's keywords; `fitted` makes of them the `Problem` on a grid of
one shape and dtype, which both backends read.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _diffusion_boundary as _boundary
from . import _diffusion_options as _constraints
from ._diffusion_boundary import OverTime, Side

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._diffusion_boundary import Boundary
    from ._diffusion_options import Given


class Problem(NamedTuple):
    """A diffusion problem on a grid; arrays in C order, in the dtype of the field."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    spacing: tuple[float, ...]
    diffusivity: tuple[float, ...] | NDArray[Any]
    """One number for each axis, or an array over the grid."""
    mean: str
    sides: tuple[tuple[Side, Side], ...]
    """(low, high) for each axis, both periodic or neither."""
    walls: NDArray[np.bool_] | None
    held: NDArray[np.bool_] | None
    decay: float | NDArray[Any] | None
    source: float | NDArray[Any] | OverTime | None
    velocity: NDArray[Any] | None
    """(axes, *shape)."""
    advection: str
    order: int

    def arrays(self) -> list[NDArray[Any]]:
        """All arrays that are read."""
        values = [side.value for both in self.sides for side in both]
        return [entry for entry in (*self, *values) if isinstance(entry, np.ndarray)]

    def varying_sides(self) -> bool:
        """Whether a side's value is a function of time."""
        return any(callable(side.value) for both in self.sides for side in both)

    def over_time(self) -> str | None:
        """Return what is a function of time, as a message calls it; None if nothing is."""
        if callable(self.source):
            return "source"
        return "boundary" if self.varying_sides() else None

    def operator_alone(self) -> Problem:
        """Return the problem with zeros for what is a function of time, which bounds do not see."""
        if self.over_time() is None:
            return self
        zero = np.zeros((), self.dtype)
        sides = tuple(
            (
                low._replace(value=zero if callable(low.value) else low.value),
                high._replace(value=zero if callable(high.value) else high.value),
            )
            for low, high in self.sides
        )
        return self._replace(source=None if callable(self.source) else self.source, sides=sides)

    def constant(self) -> bool:
        """Whether D is constant along each axis."""
        return isinstance(self.diffusivity, tuple)

    def is_box(self) -> bool:
        """Whether diffusion is a sum of one-dimensional operators with known eigenvalues."""
        return (
            isinstance(self.diffusivity, tuple)
            and self.walls is None
            and self.held is None
            and self.velocity is None
            and not any(side.kind == "robin" for both in self.sides for side in both)
        )

    def feeds(self) -> bool:
        """Whether something beside the field itself changes it: sources, sides, held cells."""
        return (
            self.source is not None
            or self.held is not None
            or any(
                callable(side.value) or (side.value is not None and side.value.any())
                for both in self.sides
                for side in both
            )
        )


class Options(NamedTuple):
    """A caller's keywords, each checked by itself."""

    diffusivity: Given
    spacing: float | tuple[float, ...]
    axes: tuple[int, ...] | None
    boundary: Boundary
    order: int
    mean: str
    velocity: NDArray[Any] | None
    advection: str
    decay: Given | None
    source: Given | None
    walls: NDArray[np.bool_] | None
    held: NDArray[np.bool_] | None
    method: str
    tolerance: float


def checked(
    diffusivity: object,
    spacing: object,
    axes: object,
    boundary: object,
    order: object,
    mean: object,
    velocity: object,
    advection: object,
    decay: object,
    source: object,
    walls: object,
    held: object,
    method: object,
    tolerance: object,
    *,
    copy: bool,
) -> Options:
    """Check every keyword by itself; with `copy`, later changes to a caller's arrays do nothing."""
    own = _copied if copy else _kept
    masks = {"walls": walls, "held": held}
    for name, rule in (("walls", _constraints.WALLS), ("held", _constraints.HELD)):
        if masks[name] is not None:
            masks[name] = own(_constraints.cells(name, masks[name], rule))
    speeds = None if velocity is None else own(_constraints.VELOCITY.checked("velocity", velocity))
    if isinstance(speeds, float):
        raise _constraints.VELOCITY.refused("velocity", f"is the number {speeds}", TypeError)
    return Options(
        own(_constraints.DIFFUSIVITY.checked("diffusivity", diffusivity)),
        _constraints.spacing(spacing),
        _constraints.axes(axes),
        _boundary.checked(boundary, own),
        _constraints.ORDER.checked("order", order),
        _constraints.MEAN.checked("mean", mean),
        speeds,
        _constraints.ADVECTION.checked("advection", advection),
        None if decay is None else own(_constraints.DECAY.checked("decay", decay)),
        None if source is None else own(_constraints.SOURCE.checked("source", source)),
        masks["walls"],  # type: ignore[arg-type]
        masks["held"],  # type: ignore[arg-type]
        _constraints.METHOD.checked("method", method),
        _constraints.TOLERANCE.checked("tolerance", tolerance),
    )


def _copied(given: Any) -> Any:
    return given.copy() if isinstance(given, np.ndarray) else given


def _kept(given: Any) -> Any:
    return given


def space_axes(name: str, ndim: int, axes: tuple[int, ...] | None) -> tuple[int, ...]:
    """Which axes of an `ndim`-dimensional array are space, counted from 0."""
    if axes is None:
        if 1 <= ndim <= 3:
            return tuple(range(ndim))
        raise ValueError(
            f"{name} is {ndim}-D, but without axes all of its axes are space, of which there are 1 "
            f"to 3; " + ("pass an array with axes." if ndim == 0 else "name them by axes=.")
        )
    if ndim == 0:
        raise ValueError(f"{name} has no axes, but has to have those that axes={axes} names.")
    for axis in axes:
        if not -ndim <= axis < ndim:
            raise _constraints.AXES.refused("axes", f"is {axes} for a {name} of {ndim} axes")
    places = tuple(axis % ndim for axis in axes)
    if len(set(places)) < len(places):
        raise _constraints.AXES.refused("axes", f"is {axes}, which names an axis twice")
    return places


def fitted(options: Options, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Problem:
    """Fit the problem to a grid of `shape` for a field of `dtype`."""
    spacing = options.spacing
    if isinstance(spacing, float):
        spacing = (spacing,) * len(shape)
    elif len(spacing) != len(shape):
        given = f"has {len(spacing)} numbers for a grid of {len(shape)} space axes"
        raise _constraints.SPACING.refused("spacing", given)
    over_grid = shape, dtype
    problem = Problem(
        shape,
        dtype,
        spacing,
        _diffusivity(options.diffusivity, spacing, *over_grid),
        options.mean,
        _boundary.sides(options.boundary, shape, spacing, dtype),
        _mask("walls", options.walls, shape),
        _mask("held", options.held, shape),
        _term("decay", _constraints.DECAY, options.decay, *over_grid),
        _term("source", _constraints.SOURCE, options.source, *over_grid),
        _velocity(options.velocity, *over_grid),
        options.advection,
        options.order,
    )
    if problem.walls is not None and problem.walls.all():
        raise ValueError("walls is True everywhere, which leaves no cell to diffuse in; open some.")
    if problem.order > 2:
        _check_order(problem)
    return problem


def _diffusivity(
    given: Given, spacing: tuple[float, ...], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> tuple[float, ...] | NDArray[Any]:
    amount = _constraints.DIFFUSIVITY
    diffusivity: tuple[float, ...] | NDArray[Any]
    if isinstance(given, np.ndarray):
        if given.shape == (len(shape),) and (len(shape) > 1 or shape != (1,)):
            diffusivity = tuple(
                float(amount.cast("diffusivity", float(each), dtype)) for each in given
            )
        elif given.shape == shape:
            cast = amount.cast("diffusivity", given, dtype)
            assert isinstance(cast, np.ndarray)
            largest = float(cast.max()) if cast.size else 0.0
            _check_rate((largest,) * len(shape), spacing, dtype)
            return cast
        else:
            raise ValueError(
                f"diffusivity has shape {given.shape}, but the grid has {shape}; {amount.way_out}."
            )
    else:
        assert isinstance(given, float)
        diffusivity = (float(amount.cast("diffusivity", given, dtype)),) * len(shape)
    _check_rate(diffusivity, spacing, dtype)
    return diffusivity


def _check_rate(
    diffusivity: tuple[float, ...], spacing: tuple[float, ...], dtype: np.dtype[Any]
) -> None:
    """Refuse coefficients that the dtype cannot hold: the field would be NaN after one step."""
    largest = 1e38 if dtype.itemsize == 4 else 1e308
    for axis, (each, step) in enumerate(zip(diffusivity, spacing, strict=True)):
        # In this order nothing overflows that the kernels' own quotients do not.
        if each and not each / step / step < largest / 16:
            raise ValueError(
                f"diffusivity is {each:g} and spacing {step:g} along space axis {axis}, so that "
                f"diffusivity / spacing² is no number in {dtype}; use other units."
            )


def _mask(
    name: str, given: NDArray[np.bool_] | None, shape: tuple[int, ...]
) -> NDArray[np.bool_] | None:
    """`walls` or `held` in C order; None if no cell is one."""
    if given is None:
        return None
    if given.shape != shape:
        rule = _constraints.WALLS if name == "walls" else _constraints.HELD
        raise ValueError(
            f"{name} has shape {given.shape}, but the grid has {shape}; it has to be "
            f"{rule.allowed}."
        )
    return np.ascontiguousarray(given) if given.any() else None


def _term(
    name: str,
    amount: _constraints.Amount,
    given: Given | None,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
) -> Any:
    """`decay` or `source` as a float, an array or a function of time; None if there is none."""
    if given is None:
        return None
    if callable(given) and not isinstance(given, np.ndarray):
        return OverTime(name, given, shape, dtype, amount)
    value = _boundary.fitted(name, given, shape, dtype, amount)
    if value.ndim:
        return value
    return float(value) if value else None


def _velocity(
    given: NDArray[Any] | None, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> NDArray[Any] | None:
    if given is None:
        return None
    wanted = (len(shape), *shape)
    if given.shape != wanted:
        raise ValueError(
            f"velocity has shape {given.shape}, but has to have {wanted}: one array of the grid's "
            f"shape for each space axis; {_constraints.VELOCITY.way_out}."
        )
    cast = _constraints.VELOCITY.cast("velocity", given, dtype)
    assert isinstance(cast, np.ndarray)
    return cast


def _check_order(problem: Problem) -> None:
    """Orders above 2: constant D, sides that mirror, nothing inside that breaks the stencil."""
    unfit = None
    if not problem.constant():
        unfit = "an array for diffusivity"
    for name in ("walls", "held", "velocity"):
        if getattr(problem, name) is not None:
            unfit = name
    for both in problem.sides:
        for side in both:
            zero = side.kind == "value" and not callable(side.value) and not _any(side.value)
            if side.kind not in ("periodic", "insulated") and not zero:
                unfit = f"a {side.kind} side" + (" other than 0" if side.kind == "value" else "")
    if unfit is not None:
        raise ValueError(
            f"order is {problem.order}, which does not go with {unfit}, only with constant "
            'diffusivity and sides that are "periodic", "insulated" or ("value", 0); use order=2.'
        )


def _any(value: NDArray[Any] | None) -> bool:
    return value is not None and bool(value.any())


def check_method(problem: Problem, method: str) -> None:
    """Refuse a method for a problem that it cannot solve, and name one that can."""
    varying = problem.over_time()
    if method in ("rkl2", "adi", "spectral"):
        for name, unfit in (("velocity", problem.velocity is not None), (varying, varying)):
            if unfit:
                what = "velocity" if name == "velocity" else f"a function of time as {name}"
                raise ValueError(
                    f"method is {method!r}, which cannot take {what}; use method='explicit'."
                )
    if method == "adi" and problem.order > 2:
        raise ValueError(
            f"method is 'adi', which is of order 2 in space, but order is {problem.order}; use "
            "method='rkl2', or method='spectral' where it can."
        )
    if method == "spectral" and (unfit_for := not_spectral(problem)) is not None:
        raise ValueError(f"method is 'spectral', which cannot take {unfit_for}; use method='rkl2'.")


def not_spectral(problem: Problem) -> str | None:
    """Return what keeps a problem from being solved by eigenvalues; None if nothing does."""
    if not problem.constant():
        return "an array for diffusivity"
    for name in ("walls", "held", "velocity"):
        if getattr(problem, name) is not None:
            return name
    if isinstance(problem.decay, np.ndarray):
        return "an array for decay"
    if (varying := problem.over_time()) is not None:
        return f"a function of time as {varying}"
    for both in problem.sides:
        for side in both:
            if side.kind in ("flux", "robin"):
                return f"a {side.kind} side"
            if side.value is not None and not callable(side.value) and side.value.ndim:
                return "an array along a side"
    return None


def steps_of(time: float, dt: float) -> int:
    """How many equal steps of at most `dt` end exactly at `time`."""
    if time == 0:
        return 0
    count = time / dt
    if not count < _constraints.MOST_STEPS:
        raise ValueError(
            f"dt is {dt:g}, so that time = {time:g} would take {count:.3g} steps; use a longer dt."
        )
    return max(math.ceil(count - 1e-9), 1)


def described(options: Options) -> str:
    """Write options as a call has them: those that are not the default, large arrays by shape."""
    text = [_shown(options.diffusivity)]
    for name, default in _DEFAULTS.items():
        value = getattr(options, name)
        if name == "boundary":
            value = _boundary.as_given(value, _shown)
            if value != "'insulated'":
                text.append(f"boundary={value}")
        elif isinstance(value, np.ndarray) or value != default:
            text.append(f"{name}={_shown(value)}")
    return ", ".join(text)


_DEFAULTS = {
    "spacing": 1.0, "axes": None, "boundary": None, "order": 2, "mean": "harmonic",
    "velocity": None, "advection": "upwind", "decay": None, "source": None, "walls": None,
    "held": None, "method": "auto", "tolerance": 1e-3,
}  # fmt: skip


def _shown(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"<{value.dtype} array {value.shape}>"
    if callable(value):
        return f"<function {getattr(value, '__name__', type(value).__name__)}>"
    return repr(value)
