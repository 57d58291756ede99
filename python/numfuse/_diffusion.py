"""Diffusion over time: `diffuse`, and `Diffusion` for a problem that is solved more than once."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _arrays
from . import _diffusion_options as _constraints
from . import _diffusion_plan as _plan
from . import _diffusion_problem as _problem
from ._diffusion_layout import Layout
from ._diffusion_run import run
from ._diffusion_spectrum import Spectrum, spectrum, tightened

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Literal

    from numpy.typing import ArrayLike, NDArray

    from ._diffusion_plan import Schedule
    from ._diffusion_problem import Problem

    Number = ArrayLike | Callable[[float], ArrayLike]
    Side = (
        Literal["periodic", "insulated"]
        | tuple[Literal["value", "flux"], Number]
        | tuple[Literal["robin"], float, float, Number]
    )
    Boundary = Side | dict[int | tuple[int, Literal["low", "high"]], Side]
    Method = Literal["auto", "explicit", "rkl2", "adi", "spectral"]
    Order = Literal[2, 4, 6, 8]


class Plan(NamedTuple):
    """What `Diffusion` would do for a time.

    Parameters
    ----------
    method : str
        "explicit", "rkl2", "adi" or "spectral".
    dt : float
        Length of a step; of all but the first ones, where some are shorter: "rkl2" may begin with
        a step of RKL1, whose error has the other sign, and "adi" with some that damp fast modes.
    steps : int
        Number of steps.
    stages : int
        Applications of the operator in each step: 1 but for "rkl2".
    bytes : int
        Memory that the call takes beside the field and the result.
    bound : float
        Bound of the error in time, as a share of the larger of the field's 2-norms at start and
        end; rounding is not counted.
    why : str
        The reason in one sentence.

    Examples
    --------
    >>> import numpy as np
    >>> from numfuse import Diffusion
    >>> plan = Diffusion(1.0, method="explicit").plan(np.zeros((64, 64)), time=8.0)
    >>> plan.method, plan.steps, plan.dt
    ('explicit', 40, 0.2)
    """

    method: str
    dt: float
    steps: int
    stages: int
    bytes: int
    bound: float
    why: str


class _Grid:
    """A problem on one grid, and the bounds that its plans rest on."""

    __slots__ = ("_tighter", "problem", "spectrum")

    def __init__(self, problem: Problem) -> None:
        self.problem, self.spectrum = problem, spectrum(problem)
        self._tighter: Spectrum | None = None

    def tighter(self) -> Spectrum:
        """Return sharper bounds, found when they are first asked for."""
        if self._tighter is None:
            self._tighter = tightened(self.problem, self.spectrum)
        return self._tighter


# The last grid that a problem was fitted to.
_Grids = dict[tuple[tuple[int, ...], np.dtype[Any]], _Grid]


class Diffusion:
    r"""A diffusion problem, ready to move fields on in time.

    ::

        ∂u/∂t = ∇·(D∇u) − ∇·(velocity·u) − decay·u + source

    in finite volumes: a grid's n cells along an axis cover n·spacing, their centres stand at
    (i + ½)·spacing, and what leaves a cell through a face enters its neighbour. Arrays are copied,
    so that later changes to them do nothing; bounds and plans are kept for the next field.

    Parameters
    ----------
    diffusivity : float or array_like
        D ≥ 0, in length²/time: a number, one for each space axis, or an array over the space grid.
        Between two zeros nothing flows.
    spacing : float or tuple of float, default 1.0
        Width of a cell along each space axis.
    axes : tuple of int, optional
        One to three axes of the field that are space; the others are independent fields. All of
        them by default. Space axis k is ``axes[k]``: spacing, `boundary`'s keys, `diffusivity`,
        `velocity`, `walls` and `held` count in this order.
    boundary : str, tuple or dict, default "insulated"
        What happens at the sides, for all of them or as a dict by axis ``0`` or side
        ``(0, "low")``, ``(0, "high")``, where a side wins over its axis and what is not named is
        insulated:

        ``"periodic"``
            The axis is a ring.
        ``"insulated"``
            Nothing flows.
        ``("value", v)``
            u is v on the face: 2D(v − u)/spacing flows in.
        ``("flux", g)``
            g = D·∂u/∂n flows in, n the outward normal: positive g adds to the field.
        ``("robin", a, b, c)``
            a·u + b·∂u/∂n = c on the face.

        v, g and c are a number, an array along the face (the grid without that axis) or a function
        of time that returns one.
    order : {2, 4, 6, 8}, default 2
        Of the second differences. Above 2 for constant `diffusivity` and sides that are periodic,
        insulated or of value 0, without `walls`, `held`, `velocity`, and not by "adi".
    mean : {"harmonic", "arithmetic"}, default "harmonic"
        D on the face between two cells.
    velocity : array_like, shape (axes, \*grid), optional
        In length/time, at cell centres; on a face it is the mean of two cells. Sides that are
        insulated, and walls, are closed to it.
    advection : {"upwind", "limited"}, default "upwind"
        First order, or second order with van Leer's limiter [2]_.
    decay : float or array_like over the grid, optional
        Rate ≥ 0, in 1/time.
    source : float, array_like over the grid, or function of time, optional
        What each cell gains per unit of time.
    walls : array_like of bool over the grid, optional
        True where nothing flows through. What stands there, NaN included, reaches nobody and comes
        back as it was.
    held : array_like of bool over the grid, optional
        True where the field keeps its value, while it exchanges flux with its neighbours.
    method : {"auto", "explicit", "rkl2", "adi", "spectral"}, default "auto"
        ``"explicit"`` is Euler's method, the only one for velocity and functions of time;
        ``"rkl2"`` takes long stabilized steps of many stages, the first one by RKL1 where that
        saves stages under a tolerance [1]_; ``"adi"`` is implicit along one axis after the other
        (Crank-Nicolson, Peaceman-Rachford, Douglas-Gunn; in 3-D with D by cell, walls or held
        cells, steps beyond some 20 times the stable one may grow); ``"spectral"`` is exact in time,
        for constant D and decay, sides that are periodic, insulated or numbers as value, no walls,
        held or velocity. ``"auto"`` is the cheapest that meets `tolerance` where only a time is
        given, else explicit.
    tolerance : float, default 1e-3
        Where only a time is given, the 2-norm of the error in time is at most this times the larger
        of the field's 2-norms at start and end. "explicit", when asked for by name, does not look.

    Raises
    ------
    TypeError, ValueError
        If an option has a wrong type, is not finite or out of its range; what depends on the grid
        is found when a field comes.

    See Also
    --------
    diffuse : The same in one call.

    References
    ----------
    .. [1] C. Meyer, D. Balsara, T. Aslam, "A stabilized Runge-Kutta-Legendre method for explicit
       super-time-stepping of parabolic and mixed equations", J. Comput. Phys. 257 (2014) 594-626.
    .. [2] B. van Leer, "Towards the ultimate conservative difference scheme. II", J. Comput. Phys.
       14 (1974) 361-370.

    Examples
    --------
    A rod of 1 m, its left end kept at 100 degrees; after a long time all of it is as hot:

    >>> import numpy as np
    >>> from numfuse import Diffusion
    >>> rod = Diffusion(1e-4, spacing=0.01, boundary={(0, "low"): ("value", 100.0)})
    >>> rod.advance(np.zeros(100), time=1e5)[[0, -1]].round(1)
    array([100., 100.])
    >>> rod
    Diffusion(0.0001, spacing=0.01, boundary={(0, 'low'): ('value', 100.0)})
    """

    __slots__ = ("_grids", "_options")

    def __init__(
        self,
        diffusivity: ArrayLike,
        *,
        spacing: float | Sequence[float] = 1.0,
        axes: Sequence[int] | None = None,
        boundary: Boundary = "insulated",
        order: Order = 2,
        mean: Literal["harmonic", "arithmetic"] = "harmonic",
        velocity: ArrayLike | None = None,
        advection: Literal["upwind", "limited"] = "upwind",
        decay: ArrayLike | None = None,
        source: Number | None = None,
        walls: ArrayLike | None = None,
        held: ArrayLike | None = None,
        method: Method = "auto",
        tolerance: float = 1e-3,
    ) -> None:
        self._options = _problem.checked(
            diffusivity, spacing, axes, boundary, order, mean, velocity, advection, decay, source,
            walls, held, method, tolerance, copy=True,
        )  # fmt: skip
        self._grids: _Grids = {}

    def advance(
        self,
        field: ArrayLike,
        *,
        time: float | None = None,
        steps: int | None = None,
        dt: float | None = None,
        start_time: float = 0.0,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Move a field on in time.

        Parameters
        ----------
        field : array_like of any shape with the space axes, float32 or float64
            u at the start, at cell centres.
        time : float, optional
            How long. Exactly one of `time` and `steps` is given.
        steps : int, optional
            How many steps.
        dt : float, optional
            Length of a step; with `time` an upper limit of it, and equal steps end exactly there.
            Left out, "explicit" takes 0.8 of `stable_step`; the other methods choose by the
            tolerance, for which they need `time`.
        start_time : float, default 0.0
            Time at the first step, for functions of time: they are called at the start of each.
        out : ndarray, shape and dtype of `field`, optional
            Where to write the result; it may share memory with `field`, for which the result is
            computed aside and copied.

        Returns
        -------
        ndarray, shape and dtype of `field`
            `out` if it was given.

        Raises
        ------
        TypeError
            If `field` is neither float32 nor float64, or an argument has a wrong type.
        ValueError
            If a step is beyond `stable_step` for "explicit", both or neither of `time` and `steps`
            are given, an array does not have the grid's shape, or the method cannot solve the
            problem, or not in as many steps or stages as it may take.
        MemoryError
            If there is no memory for the result; `out` is untouched then.

        Examples
        --------
        >>> import numpy as np
        >>> from numfuse import Diffusion
        >>> Diffusion(1.0).advance([0.0, 0.0, 9.0, 0.0, 0.0], steps=1, dt=0.25)
        array([0.  , 2.25, 4.5 , 2.25, 0.  ])
        """
        return _advance(self._options, self._grids, field, time, steps, dt, start_time, out)

    def plan(self, field: ArrayLike, *, time: float) -> Plan:
        """Tell how a field would be moved on by a time: method, steps, memory, bound, and why.

        Parameters
        ----------
        field : array_like
            Only its shape and dtype are looked at.
        time : float
            How long.

        Returns
        -------
        Plan
            What `advance` with this time and no `dt` does.

        Raises
        ------
        TypeError, ValueError
            As `advance` does.

        Examples
        --------
        >>> import numpy as np
        >>> from numfuse import Diffusion
        >>> Diffusion(1.0).plan(np.zeros((64, 64)), time=800.0).method
        'spectral'
        """
        (array,), dtype = _arrays.floats(field=field)
        axes = _problem.space_axes("field", array.ndim, self._options.axes)
        time = _constraints.TIME.checked("time", time)
        shape = tuple(array.shape[axis] for axis in axes)
        grid = _grid(self._options, self._grids, shape, dtype)
        schedule = _schedule(self._options, grid, time, None, None)
        return Plan(
            schedule.method,
            schedule.dt,
            schedule.steps + len(schedule.few),
            schedule.stages,
            _plan.working_bytes(grid.problem, schedule, array.size),
            schedule.bound,
            _plan.why(self._options, grid.problem, grid.spectrum, schedule),
        )

    def stable_step(self, field: ArrayLike) -> float:
        """Return the longest step that "explicit" takes on a field of this shape and dtype.

        Parameters
        ----------
        field : array_like
            Only its shape and dtype are looked at.

        Returns
        -------
        float
            Without velocity at most 2/λ, λ the operator's largest eigenvalue: exactly that for
            constant D without walls, held cells and robin sides, else at least half of it. With
            velocity, the longest step in which no cell's weight of first order is negative, the
            flow counted twice for "limited". Infinite where nothing moves.

        Raises
        ------
        TypeError, ValueError
            If an array does not have the grid's shape.

        Examples
        --------
        >>> import numpy as np
        >>> from numfuse import Diffusion
        >>> Diffusion(1.0, boundary="periodic").stable_step(np.zeros((64, 64)))
        0.25
        """
        (array,), dtype = _arrays.floats(field=field)
        axes = _problem.space_axes("field", array.ndim, self._options.axes)
        shape = tuple(array.shape[axis] for axis in axes)
        return _grid(self._options, self._grids, shape, dtype).spectrum.stable_step

    def __repr__(self) -> str:
        return f"Diffusion({_problem.described(self._options)})"

    def __getstate__(self) -> _problem.Options:
        return self._options

    def __setstate__(self, options: _problem.Options) -> None:
        self._options, self._grids = options, {}


def diffuse(
    field: ArrayLike,
    diffusivity: ArrayLike,
    *,
    time: float | None = None,
    steps: int | None = None,
    dt: float | None = None,
    start_time: float = 0.0,
    out: NDArray[Any] | None = None,
    spacing: float | Sequence[float] = 1.0,
    axes: Sequence[int] | None = None,
    boundary: Boundary = "insulated",
    order: Order = 2,
    mean: Literal["harmonic", "arithmetic"] = "harmonic",
    velocity: ArrayLike | None = None,
    advection: Literal["upwind", "limited"] = "upwind",
    decay: ArrayLike | None = None,
    source: Number | None = None,
    walls: ArrayLike | None = None,
    held: ArrayLike | None = None,
    method: Method = "auto",
    tolerance: float = 1e-3,
) -> NDArray[Any]:
    """Move a field on in time by diffusion: ``Diffusion(diffusivity, …).advance(field, …)``.

    Parameters
    ----------
    field : array_like of any shape with the space axes, float32 or float64
        u at the start, at cell centres.
    diffusivity : float or array_like
        D ≥ 0, in length²/time: a number, one for each space axis, or an array over the space grid.
    time, steps, dt, start_time, out
        As in `Diffusion.advance`; exactly one of `time` and `steps` is given.
    spacing, axes, boundary, order, mean, velocity, advection, decay, source, walls, held
        The problem, as in `Diffusion`.
    method, tolerance
        How it is solved, as in `Diffusion`.

    Returns
    -------
    ndarray, shape and dtype of `field`
        `out` if it was given.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `Diffusion` and its `advance` do.

    See Also
    --------
    Diffusion : For several fields, and to look at the plan first.
    diffuse_image : Smoothing that keeps edges.

    Examples
    --------
    A drop in the middle of a bowl; nothing gets lost:

    >>> import numpy as np
    >>> from numfuse import diffuse
    >>> bowl = np.zeros((101, 101))
    >>> bowl[50, 50] = 1000.0
    >>> later = diffuse(bowl, 0.5, time=100.0)
    >>> float(later.sum().round(6)), float(later.max().round(2))
    (1000.0, 1.6)

    A step beyond the limit of Euler's method is refused, not taken:

    >>> diffuse(bowl, 0.5, steps=10, dt=0.6)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ValueError: dt is 0.6, but the explicit method is stable up to 0.5001209587 here; ...
    """
    given: tuple[Any, ...] = (
        diffusivity, spacing, axes, boundary, order, mean, velocity, advection, decay, source,
        walls, held, method, tolerance,
    )  # fmt: skip
    if all(type(each) in _PLAIN for each in given):
        options, grids = _remembered(*given)
    else:
        options, grids = _problem.checked(*given, copy=False), {}
    return _advance(options, grids, field, time, steps, dt, start_time, out)


# A call with nothing but these is not checked again: for small fields that would take longer than
# the steps.
_PLAIN = (float, int, str, type(None))


@lru_cache(maxsize=64, typed=True)
def _remembered(*given: Any) -> tuple[_problem.Options, _Grids]:
    return _problem.checked(*given, copy=False), {}


def _grid(
    options: _problem.Options,
    grids: _Grids,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
) -> _Grid:
    """Fit the problem to a grid, unless it was the last one."""
    grid = grids.get((shape, dtype))
    if grid is None:
        problem = _problem.fitted(options, shape, dtype)
        _problem.check_method(problem, options.method)
        grid = _Grid(problem)
        grids.clear()
        grids[shape, dtype] = grid
    return grid


def _advance(
    options: _problem.Options,
    grids: _Grids,
    field: ArrayLike,
    time: float | None,
    steps: int | None,
    dt: float | None,
    start_time: float,
    out: NDArray[Any] | None,
) -> NDArray[Any]:
    (array,), dtype = _arrays.floats(field=field)
    places = _problem.space_axes("field", array.ndim, options.axes)
    if time is not None:
        time = _constraints.TIME.checked("time", time)
    if steps is not None:
        steps = _constraints.STEPS.checked("steps", steps)
    if dt is not None:
        dt = _constraints.DT.checked("dt", dt)
    start_time = _constraints.START_TIME.checked("start_time", start_time)
    if (time is None) == (steps is None):
        given = "neither of them is" if time is None else "both are"
        raise ValueError(
            f"time and steps say how far to go, and {given} given; give time=, or steps= with dt=."
        )
    layout = Layout(array, dtype, places, out)
    grid = _grid(options, grids, layout.grid, dtype)
    schedule = _schedule(options, grid, time, steps, dt)
    target = layout.target(grid.problem)
    run(grid.problem, layout.field, target, schedule, start_time)
    return layout.delivered(target)


def _schedule(
    options: _problem.Options,
    grid: _Grid,
    time: float | None,
    steps: int | None,
    dt: float | None,
) -> Schedule:
    method, bounds = options.method, grid.spectrum
    if dt is None and steps is None:
        assert time is not None
        return _plan.by_tolerance(
            method, grid.problem, bounds, time, options.tolerance, grid.tighter
        )
    if method == "auto":
        method = "explicit"
    if dt is None:
        if method != "explicit" or bounds.stable_step == math.inf:
            what = (
                f"method {method!r}" if method != "explicit" else "a field in which nothing moves"
            )
            raise ValueError(
                f"steps is given without dt, but for {what} no length of a step follows; give dt=, "
                "or time= instead of steps=."
            )
        assert steps is not None
        return _plan.by_dt(method, bounds, _plan.SHARE * bounds.stable_step, steps)
    # Rounding may put a limit that was computed in another way just below.
    if method == "explicit" and dt > bounds.stable_step * (1 + 1e-12):
        raise ValueError(
            f"dt is {dt:.10g}, but the explicit method is stable up to {bounds.stable_step:.10g} "
            "here; take a shorter step, or leave dt= away, or use method='rkl2'."
        )
    if steps is None:
        assert time is not None
        steps = _problem.steps_of(time, dt)
        dt = time / steps if steps else dt
    return _plan.by_dt(method, bounds, dt, steps)
