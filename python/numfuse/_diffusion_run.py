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
    elif schedule.method == "rkl2":
        _rkl2(problem, field, out, schedule)
    elif problem.over_time() is None:
        _native.kernels.diffusion_explicit(
            problem, field, out, _aside(out), schedule.dt, schedule.steps, 0, _config.threads()
        )
    else:
        _explicit_over_time(problem, field, out, schedule.dt, schedule.steps, start_time)


def _aside(out: NDArray[Any]) -> NDArray[Any]:
    """Return memory for what is between two passes; what is not used is not touched either.

    NumPy asks the system for large pages, with which fields of several MB are sooner there.
    """
    return np.empty_like(out)


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
        for each in schedule.few:
            field = _rkl1_reference(problem, field, each, schedule.few_stages)
        out[...] = diffusion.rkl2(field, problem, dt, steps, schedule.stages)
    elif method == "explicit":
        out[...] = diffusion.explicit(field, problem, dt, steps, start_time)
    else:
        for each in schedule.few:
            field = diffusion.adi(field, problem, each, 1)
        out[...] = diffusion.adi(field, problem, dt, steps)


def _rkl1_reference(problem: Problem, field: NDArray[Any], dt: float, stages: int) -> NDArray[Any]:
    """One step of RKL1: Z₀ = u, Z₁ = E(Z₀), Zⱼ = Zⱼ₋₂ + (2j − 1)/j·(E(Zⱼ₋₁) − Zⱼ₋₂), u ← Zₛ.

    E is an explicit step of w·dt, w = 2/(s² + s).
    """
    from .reference import diffusion

    length = 2 / (stages * stages + stages) * dt
    before, now = field, diffusion.explicit(field, problem, length, 1)
    with np.errstate(all="ignore"):
        for j in range(2, stages + 1):
            after = diffusion.explicit(now, problem, length, 1)
            before, now = now, before + field.dtype.type((2 * j - 1) / j) * (after - before)
    return now if problem.walls is None else np.where(problem.walls, field, now)


def _rkl2(problem: Problem, field: NDArray[Any], out: NDArray[Any], schedule: Schedule) -> None:
    """RKL2, after an opening step of RKL1 if there is one."""
    kernels, threads = _native.kernels, _config.threads()
    if problem.order > 2:
        np.copyto(out, field)
        for each in schedule.few:
            _legendre(problem, out, each, schedule.few_stages, first_order=True)
        for _ in range(schedule.steps):
            _legendre(problem, out, schedule.dt, schedule.stages, first_order=False)
        return
    for each in schedule.few:
        opened = np.empty_like(out)
        kernels.diffusion_rkl1(problem, field, opened, each, schedule.few_stages, 0, threads)
        field = opened
    kernels.diffusion_rkl2(
        problem, field, out, _aside(out), schedule.dt, schedule.steps, schedule.stages, 0, threads
    )


def _legendre(
    problem: Problem, field: NDArray[Any], dt: float, stages: int, *, first_order: bool
) -> None:
    """Move `field` on by one step of RKL1 or RKL2 made of explicit steps, for orders above 2.

    As `_rkl1_reference` has it; RKL2 has w = 4/(s² + s − 2), and ends at u + b·(Zₛ − u) with b as
    in `rkl2_error`: the method's usual recursion, in which Yⱼ = u + bⱼ·(Zⱼ − u).
    """
    span = stages * stages + stages
    length = 2 / span * dt if first_order else 4 / (span - 2) * dt
    blend = 1.0 if first_order else (span - 2) / (2 * span)
    explicit, threads = _native.kernels.diffusion_explicit, _config.threads()
    before, now, after = field.copy(), np.empty_like(field), np.empty_like(field)
    # A single step has nothing between, so that it leaves what is lent for that alone.
    explicit(problem, field, now, before, length, 1, 0, threads)
    for j in range(2, stages + 1):
        explicit(problem, now, after, before, length, 1, 0, threads)
        after -= before
        after *= after.dtype.type((2 * j - 1) / j)
        after += before
        before, now, after = now, after, before
    now -= field
    now *= now.dtype.type(blend)
    field += now


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
    aside = _aside(out)
    for number, first in enumerate(chunks):
        count = min(together, steps - first)
        times = [start_time + i * dt for i in range(first, first + count)]
        target = out if (len(chunks) - number) % 2 else other
        _native.kernels.diffusion_explicit(
            _at(problem, times), field, target, aside, dt, count, 0, _config.threads()
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
