"""The methods on canonical arrays, (batch, *space) in C order, by the backend in force.

Functions of time are called here, between the kernels' calls, never in them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _config, _native

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._diffusion_boundary import Side
    from ._diffusion_plan import Schedule
    from ._diffusion_problem import Problem

# Steps for which the sides' functions of time are called at once: a kernel takes several in each
# pass over memory.
TOGETHER = 16


def run(
    problem: Problem,
    field: NDArray[Any],
    out: NDArray[Any],
    schedule: Schedule,
    start_time: float,
) -> None:
    """Write the field after all steps of `schedule` to `out`, which shares no memory with it."""
    if schedule.steps == 0 or field.size == 0:
        np.copyto(out, field)
    elif _config.backend() == "numpy":
        _reference(problem, field, out, schedule, start_time)
    elif schedule.method == "spectral":
        time = schedule.dt * schedule.steps
        _native.kernels.diffusion_spectral(problem, field, out, time, _config.threads())
    elif schedule.method == "adi":
        _native.kernels.diffusion_adi(problem, field, out, schedule.all_steps(), _config.threads())
    elif schedule.method == "rkl2" and problem.order > 2:
        _rkl2_by_steps(problem, field, out, schedule)
    elif schedule.method == "rkl2":
        _native.kernels.diffusion_rkl2(
            problem, field, out, schedule.dt, schedule.steps, schedule.stages, 0, _config.threads()
        )
    elif problem.over_time() is None:
        _native.kernels.diffusion_explicit(
            problem, field, out, schedule.dt, schedule.steps, 0, _config.threads()
        )
    else:
        _explicit_over_time(problem, field, out, schedule.dt, schedule.steps, start_time)


def _reference(
    problem: Problem,
    field: NDArray[Any],
    out: NDArray[Any],
    schedule: Schedule,
    start_time: float,
) -> None:
    from .reference import diffusion

    method, dt, steps = schedule.method, schedule.dt, schedule.steps
    if method == "spectral":
        out[...] = diffusion.spectral(field, problem, dt * steps)
    elif method == "rkl2":
        out[...] = diffusion.rkl2(field, problem, dt, steps, schedule.stages)
    elif method == "explicit":
        out[...] = diffusion.explicit(field, problem, dt, steps, start_time)
    else:
        for each in schedule.few:
            field = diffusion.adi(field, problem, each, 1)
        out[...] = diffusion.adi(field, problem, dt, steps)


def _rkl2_by_steps(
    problem: Problem, field: NDArray[Any], out: NDArray[Any], schedule: Schedule
) -> None:
    """RKL2 from explicit steps E of length w·dt, by Legendre's recursion over the stages.

    Z₀ = u, Z₁ = E(Z₀), Zⱼ = Zⱼ₋₂ + (2j − 1)/j·(E(Zⱼ₋₁) − Zⱼ₋₂); u ← u + b·(Zₛ − u), with b and w as
    in `rkl2_error`: the method's usual recursion, in which Yⱼ = u + bⱼ·(Zⱼ − u).
    """
    stages = schedule.stages
    span = stages * stages + stages - 2
    length, blend = 4 / span * schedule.dt, span / (2 * stages * (stages + 1))
    threads = _config.threads()
    one, other = np.empty_like(out), np.empty_like(out)
    np.copyto(out, field)
    for _ in range(schedule.steps):
        before, now, after = np.copy(out), one, other
        _native.kernels.diffusion_explicit(problem, out, now, length, 1, 0, threads)
        for j in range(2, stages + 1):
            _native.kernels.diffusion_explicit(problem, now, after, length, 1, 0, threads)
            after -= before
            after *= after.dtype.type((2 * j - 1) / j)
            after += before
            before, now, after = now, after, before
        now -= out
        now *= now.dtype.type(blend)
        out += now
        one, other = now, after


def _explicit_over_time(
    problem: Problem,
    field: NDArray[Any],
    out: NDArray[Any],
    dt: float,
    steps: int,
    start_time: float,
) -> None:
    """Explicit steps, the functions of time called at the start of each."""
    together = 1 if callable(problem.source) else min(TOGETHER, steps)
    chunks = range(0, steps, together)
    # The last chunk writes to `out`, and the ones before to it and another array in turn.
    other = np.empty_like(out) if len(chunks) > 1 else out
    for number, first in enumerate(chunks):
        count = min(together, steps - first)
        times = [start_time + i * dt for i in range(first, first + count)]
        target = out if (len(chunks) - number) % 2 else other
        _native.kernels.diffusion_explicit(
            _at(problem, times), field, target, dt, count, 0, _config.threads()
        )
        field = target


def _at(problem: Problem, times: list[float]) -> Problem:
    """Return the problem with what its functions of time give at `times`, one for each step."""
    source = problem.source(times[0]) if callable(problem.source) else problem.source
    sides = tuple(
        (_levels(low, times, len(problem.shape)), _levels(high, times, len(problem.shape)))
        for low, high in problem.sides
    )
    return problem._replace(source=source, sides=sides)


def _levels(side: Side, times: list[float], axes: int) -> Side:
    """Return a side with an axis of times before those of its face."""
    if not callable(side.value):
        return side
    values = np.stack(np.broadcast_arrays(*map(side.value, times)))
    return side._replace(value=values.reshape(len(times), *(values.shape[1:] or (1,) * (axes - 1))))
