"""Which method, in which steps: the cheapest whose error is bounded by the tolerance.

For each method that can solve the problem, the fewest steps whose bound (`_diffusion_spectrum`)
meets the tolerance are found, and their cost is predicted from `COSTS`. Everything follows from
coefficients, geometry and time, nothing from the field's values or the machine's state, so that a
call always takes the same steps.
"""

from __future__ import annotations

import math
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from . import _config
from . import _diffusion_options as _constraints
from . import _diffusion_problem as _problem
from ._diffusion_spectrum import (
    adi_error,
    explicit_error,
    opening_stages,
    rkl2_error,
    stages_for,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ._diffusion_problem import Options, Problem
    from ._diffusion_spectrum import Spectrum

# The share of the stability limit that a step takes which nobody has chosen.
SHARE = 0.8
# Time of one stage or step for one cell, relative to an explicit step with constant D in two
# dimensions, as measured; by dimensions, for constant and for variable D. Of "spectral", for each
# axis and doubling of its length.
COSTS = {
    "explicit": {1: (5.0, 5.0), 2: (1.0, 2.3), 3: (2.0, 5.0)},
    "rkl2": {1: (5.0, 5.0), 2: (1.3, 2.5), 3: (4.0, 6.0)},
    "adi": {1: (30.0, 35.0), 2: (9.0, 15.0), 3: (40.0, 80.0)},
    "spectral": {1: (80.0, 80.0), 2: (11.0, 11.0), 3: (20.0, 20.0)},
}
# A length of ADI's steps that is new takes as long as so many steps.
NEW_LENGTH = 3
# Where the parts along the axes do not commute, ADI's bound is an estimate with this factor on it,
# twice what D that is random from cell to cell was seen to need.
NOT_COMMUTING = 30.0
# Douglas and Gunn's steps may grow there if they are longer than this, times the fastest rate.
LONGEST_NOT_COMMUTING = 20.0
MOST_STEPS = 10**7
# Stages of one step of RKL2, at most; and of one whose error is to be bounded, which takes a time
# that grows with their square.
MOST_STAGES = 10**7
MOST_BOUNDED_STAGES = 10**5
# Length of RKL1's opening step, in steps of RKL2: it makes the errors of slow and fast modes, which
# have different signs, equally large.
OPENING = 0.75
# What the kernels keep at hand beside whole fields, in bytes, at most; and of lines that are
# transformed, for each thread.
MOST_HOT = 32 * 2**20
LINES = 16
# With so many stages of RKL2 a sharper bound of the spectrum earns what it costs.
WORTH_TIGHTENING = 200
# Steps that damp the fastest modes of ADI: at most so many.
MOST_DAMPING = 10


class Schedule(NamedTuple):
    """Steps to take: `few` of the lengths given, then `steps` equal ones of `dt`."""

    method: str
    dt: float
    steps: int
    stages: int
    bound: float
    few: tuple[float, ...] = ()
    """Of "rkl2", at most one, which is a step of RKL1 and of `few_stages`."""
    few_stages: int = 1
    others: str = ""
    """What a message says about the methods that were not taken."""

    def all_steps(self) -> list[float]:
        """Every step of ADI, in order."""
        return [*self.few, *[self.dt] * self.steps]


def cost(problem: Problem, schedule: Schedule) -> float:
    """Predict the time for one cell, in explicit steps of constant D in two dimensions."""
    dimensions = len(problem.shape)
    each = COSTS[schedule.method][dimensions][not problem.constant()]
    if schedule.method == "spectral":
        return each * sum(math.log2(n + 1) for n in problem.shape)
    few = len(schedule.few) * (NEW_LENGTH if schedule.method == "adi" else schedule.few_stages)
    return each * (schedule.steps * max(schedule.stages, 1) + few)


def by_dt(method: str, spectrum: Spectrum, dt: float, steps: int) -> Schedule:
    """Equal steps as they were asked for."""
    if method != "rkl2":
        return Schedule(method, dt, steps, 1, math.inf)
    rate = dt * spectrum.largest
    if not rate < MOST_STAGES**2 / 2:
        raise ValueError(
            f"dt is {dt:g}, but so long a step of 'rkl2' takes {math.sqrt(2 * rate):.3g} stages, "
            f"which may be {MOST_STAGES:g} at most; give a shorter dt and more steps, or use "
            "method='spectral' where it can solve the problem."
        )
    return Schedule(method, dt, steps, stages_for(rate), math.inf)


def by_tolerance(
    method: str,
    problem: Problem,
    spectrum: Spectrum,
    time: float,
    tolerance: float,
    tighter: Callable[[], Spectrum],
) -> Schedule:
    """Return the cheapest steps within `tolerance`, by one method or, for "auto", by any.

    `tighter` gives a sharper bound of the spectrum, for longer than `spectrum` took.
    """
    if time == 0:
        return Schedule("explicit" if method == "auto" else method, 0.0, 0, 0, 0.0)
    only_explicit = problem.velocity is not None or problem.over_time() is not None
    if method == "explicit" or (method == "auto" and only_explicit):
        return _explicit(problem, spectrum, time, tolerance if method == "auto" else math.inf)
    if method == "spectral":
        return Schedule("spectral", time, 1, 1, 0.0)
    if method == "rkl2":
        return _rkl2(problem, spectrum, time, tolerance, tighter)
    if method == "adi":
        return _adi(problem, spectrum, time, tolerance)
    exact = _problem.not_spectral(problem) is None
    spectral = [Schedule("spectral", time, 1, 1, 0.0)] if exact else []
    found = [
        *_within_reach(lambda: _explicit(problem, spectrum, time, tolerance)),
        *_within_reach(lambda: _rkl2(problem, spectrum, time, tolerance, tighter)),
    ]
    # A bound that is an estimate is no reason to trust a method unasked.
    if problem.order == 2 and spectrum.commutes:
        # Many problems are cheaper by other methods whatever ADI's damping costs.
        costs = [cost(problem, schedule) for schedule in found or spectral]
        best = min(costs, default=math.inf)
        fewest = max(math.floor(0.33 / math.sqrt(tolerance)), 1)
        if cost(problem, Schedule("adi", time, fewest, 1, 0.0)) < best:
            found += _within_reach(lambda: _adi(problem, spectrum, time, tolerance))
    found += spectral
    if not found:
        return _explicit(problem, spectrum, time, tolerance)  # which says why it cannot
    found.sort(key=lambda schedule: cost(problem, schedule))
    lowest = cost(problem, found[0])
    others = ", ".join(
        f"{schedule.method} would cost {cost(problem, schedule) / lowest:.1f} times as much"
        for schedule in found[1:]
    )
    return found[0]._replace(others=others)


def working_bytes(problem: Problem, schedule: Schedule, cells: int) -> int:
    """Bound the memory of a call beside field and result, for a field of `cells` in all."""
    size, grid = problem.dtype.itemsize, math.prod(problem.shape)
    if schedule.steps == 0 or cells == 0:
        return 0
    if schedule.method == "spectral":
        # Lines on the way through a transform, and a second field for what feeds the first.
        wide = max((2 * n for n in problem.shape[:-1]), default=0)
        lines = LINES * (1 + _config.threads()) * max(wide, problem.shape[-1]) * size
        return 2**20 + lines + (grid * size if problem.feeds() else 0)
    # Planes that a pass over memory keeps at hand.
    planes = 512 * (grid // problem.shape[0] + 1024) * size
    hot = min(planes, MOST_HOT)
    if schedule.method == "explicit":
        return cells * size + hot
    if schedule.method == "rkl2":
        return 2 * cells * size + hot
    axes, plain = len(problem.shape), isinstance(problem.decay, float | None)
    shared = problem.constant() and plain and problem.walls is None and problem.held is None
    # Fields with rows and columns padded to whole lanes; grids of a batch are solved together.
    lanes = 64 // size
    padded = math.prod(-(-n // lanes) * lanes for n in problem.shape[-2:])
    padded *= math.prod(problem.shape[:-2])
    together = min(max(2**20 // grid, 1), cells // grid)
    rings = sum(low.kind == "periodic" for low, _ in problem.sides)
    factors = (4 if axes == 1 else 2) if shared else 3 * axes + rings + 3
    fed = 2 if problem.feeds() else 0
    return ((axes - 1 or 1) * together + factors + fed) * padded * size + hot


def why(options: Options, problem: Problem, spectrum: Spectrum, schedule: Schedule) -> str:
    """Say in one sentence why a schedule was chosen, and what its bound is worth."""
    method, count = schedule.method, schedule.steps + len(schedule.few)
    if schedule.steps == 0:
        return "There is no time to pass, so the field is copied."
    steps = "one step" if count == 1 else f"{count} steps"
    if method == "rkl2":
        steps += f" of {schedule.stages} stages"
        if schedule.few:
            steps += f", the first one of RKL1 with {schedule.few_stages}"
    elif schedule.few:
        steps += f", the first {len(schedule.few)} shorter to damp the fastest modes"
    varying = problem.over_time()
    only = "velocity" if problem.velocity is not None else None
    if varying is not None:
        only = f"a function of time as {varying}"
    if options.method == "explicit":
        reason = (
            f"You asked for explicit, which takes {steps} of at most {SHARE} times the longest "
            "stable one"
        )
    elif only is not None:
        reason = f"Only explicit can take {only}, and it needs {steps}"
    elif method == "spectral":
        if options.method == "spectral":
            reason = "You asked for spectral, which is exact in time and needs no steps"
        else:
            reason = "All modes are known here, so spectral is exact in time and needs no steps"
    else:
        asked = "You asked for" if options.method == method else "The cheapest is"
        reason = (
            f"{asked} {method}, which keeps to the tolerance of {options.tolerance:g} in {steps}"
        )
    if schedule.others:
        reason += f"; {schedule.others}"
    if not spectrum.symmetric or varying is not None or spectrum.grows:
        reason += "; the bound is an estimate, made for diffusion alone"
    elif method == "adi" and not spectrum.commutes:
        reason += "; the bound is an estimate, since the axes do not commute"
    return reason + "."


def _within_reach(plan: Callable[[], Schedule]) -> Iterator[Schedule]:
    """Give what a method plans, or nothing if it cannot go so far."""
    try:
        yield plan()
    except ValueError:
        return


def _too_far(
    problem: Problem,
    time: float,
    why: str,
    way_out: str = "give a shorter time or a smaller diffusivity",
) -> ValueError:
    if _problem.not_spectral(problem) is None:
        way_out += ", or use method='spectral', which needs no steps"
    return ValueError(f"time is {time:g}, but {why}; {way_out}.")


def _out_of_tolerance(problem: Problem, method: str, time: float, tolerance: float) -> ValueError:
    return _too_far(
        problem,
        time,
        f"no number of steps of {method!r} up to {MOST_STEPS:g} keeps to the tolerance of "
        f"{tolerance:g}",
        "give a shorter time or a smaller diffusivity, or allow a larger tolerance",
    )


def _explicit(problem: Problem, spectrum: Spectrum, time: float, tolerance: float) -> Schedule:
    feeds, total = problem.feeds(), spectrum.largest * time
    usual = SHARE * spectrum.stable_step
    if not time < usual * _constraints.MOST_STEPS:
        raise _too_far(
            problem,
            time,
            f"'explicit' is stable up to a dt of {spectrum.stable_step:g} here, and would take "
            f"more than {_constraints.MOST_STEPS:g} steps",
        )
    steps = least = _problem.steps_of(time, usual)
    if tolerance < math.inf:
        steps = _fewest(lambda n: explicit_error(total, n, feeds) <= tolerance, least, least)
    return Schedule("explicit", time / steps, steps, 1, explicit_error(total, steps, feeds))


def _rkl2(
    problem: Problem,
    spectrum: Spectrum,
    time: float,
    tolerance: float,
    tighter: Callable[[], Spectrum],
) -> Schedule:
    feeds, total = problem.feeds(), spectrum.largest * time
    if not total / _rkl2_guess(tolerance) < MOST_BOUNDED_STAGES**2 / 2:
        raise _too_far(
            problem,
            time,
            "so long a step of 'rkl2' as the tolerance allows takes more than "
            f"{MOST_BOUNDED_STAGES:g} stages",
        )
    found = _rkl2_steps(total, tolerance, feeds)
    if found[0] * found[1] >= WORTH_TIGHTENING:
        spectrum = tighter()
        found = _rkl2_steps(spectrum.largest * time, tolerance, feeds)
    steps, stages, opening, bound = found
    if bound == math.inf:
        raise _out_of_tolerance(problem, "rkl2", time, tolerance)
    dt = time * (1 - opening) / steps
    if not opening:
        return Schedule("rkl2", dt, steps, stages, bound)
    few_stages = opening_stages(opening * spectrum.largest * time)
    return Schedule("rkl2", dt, steps, stages, bound, (opening * time,), few_stages)


def _rkl2_guess(tolerance: float) -> int:
    """About how many steps RKL2 takes, whatever the time."""
    return max(round(0.17 / math.sqrt(tolerance)), 1)


@lru_cache(maxsize=128)
def _rkl2_steps(total: float, tolerance: float, feeds: bool) -> tuple[int, int, float, float]:
    """Find steps, their stages, the share of an opening step, and the bound; the whole time is 1.

    RKL2 alone leaves modes x = λt too large by c·x³/steps²·exp(−x), c = 0.057. RKL1 leaves them too
    small by (x·share)²/4·exp(−x): one such step, of a length that `OPENING` makes the best, takes
    more than half of the error away and saves a quarter of the stages.
    """

    @cache
    def best(steps: int) -> tuple[float, int, float, float]:
        """Stages in all, those of a step, the opening's share and the bound; inf if none fits."""
        found = (math.inf, 2, 0.0, math.inf)
        for share in (OPENING / (steps + 1.5 * OPENING), 0.0):
            stages = stages_for((1 - share) * total / steps)
            # One stage less is often stable too, but may damp too little.
            for fewer in (stages - 1, stages):
                rate = (1 - share) * total / steps
                if fewer < 2 or (fewer * fewer + fewer - 2) / 2 < rate:
                    continue
                error = rkl2_error(total, steps, fewer, feeds, share)
                if error <= tolerance:
                    opening = opening_stages(share * total) if share else 0
                    found = min(found, (steps * fewer + opening, fewer, share, error))
                    break
        return found

    guess = _rkl2_guess(tolerance)
    least = _fewest(lambda n: best(n)[0] < math.inf, 1, guess)
    # A few more steps may take fewer stages.
    steps = min(range(least, least + 6), key=lambda n: best(n)[0])
    _, stages, opening, bound = best(steps)
    return steps, stages, opening, bound


def _adi(problem: Problem, spectrum: Spectrum, time: float, tolerance: float) -> Schedule:
    axes = tuple(each * time for each in spectrum.axes)
    if max(axes) == 0:  # nothing moves, and one step adds what feeds the field
        return Schedule("adi", time, 1, 1, 0.0)
    few: tuple[float, ...] = ()
    steps, step, bound = 1, 1.0, math.inf
    if max(sum(axes), spectrum.largest * time) < math.inf:
        least = 1
        if len(axes) == 3 and not spectrum.commutes:
            least = math.ceil(spectrum.largest * time / LONGEST_NOT_COMMUTING) or 1
        feeds, commutes = problem.feeds(), spectrum.commutes
        least = min(least, MOST_STEPS + 1)
        few, steps, step, bound = _adi_steps(axes, tolerance, feeds, commutes, least)
    if not bound <= tolerance:
        raise _out_of_tolerance(problem, "adi", time, tolerance)
    return Schedule("adi", step * time, steps, 1, bound, tuple(tau * time for tau in few))


@lru_cache(maxsize=128)
def _adi_steps(
    axes: tuple[float, ...], tolerance: float, feeds: bool, commutes: bool, least: int
) -> tuple[tuple[float, ...], int, float, float]:
    """Find a few short steps that damp fast modes, and the fewest equal ones; their sum is 1.

    Equal steps alone leave the fastest modes nearly as they are, with changing sign. A step τ takes
    away the modes around λ = 2/τ; a few whose λ are spread evenly, in logarithms, over what equal
    steps leave, take away all of them.
    """
    factor = 1.0 if commutes else NOT_COMMUTING

    def damped(count: int, steps: int) -> tuple[tuple[float, ...], float]:
        # Equal steps damp λ well up to some times 2/step.
        first = 2 * steps * 2.0
        ratio = max(max(axes) / first, 1.0) ** (1 / count) if count else 1.0
        few = tuple(2 / (max(axes) / ratio ** (j + 0.5)) for j in range(count))
        return few, (1 - sum(few)) / steps

    def bound(count: int, steps: int) -> float:
        few, step = damped(count, steps)
        return math.inf if step <= 0 else factor * adi_error(axes, few, steps, step, feeds)

    def total(count: int, steps: int) -> int:
        return NEW_LENGTH * count + steps

    guess = max(round(0.34 / math.sqrt(tolerance / factor)), 1)
    best: tuple[int, int] | None = None
    for count in range(MOST_DAMPING + 1):
        limit = MOST_STEPS if best is None else total(*best) - NEW_LENGTH * count
        steps = _fewest(lambda n, c=count: bound(c, n) <= tolerance, least, guess, limit)  # type: ignore[misc]
        if steps <= limit and (best is None or total(count, steps) < total(*best)):
            best = count, steps
    count, steps = best or (0, MOST_STEPS)
    few, step = damped(count, steps)
    return few, steps, step, bound(count, steps)


def _fewest(fits: Callable[[int], bool], least: int, guess: int, most: int = MOST_STEPS) -> int:
    """Return the smallest n ≥ `least` that fits, all larger ones fitting too; most + 1 if none."""
    fitting, unfit = max(guess, least), least - 1
    while not fits(fitting):
        unfit = fitting
        if fitting >= most:
            return most + 1
        fitting = min(max(fitting + 1, fitting * 5 // 4), most)
    while fitting - unfit > 1:
        middle = max(fitting * 4 // 5, unfit + 1) if unfit < least else (fitting + unfit) // 2
        if fits(middle):
            fitting = middle
        else:
            unfit = middle
    return fitting
