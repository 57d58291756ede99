"""du/dt of a field: diffusion, sides, advection, decay and source in one sum."""

from typing import Any

import numpy as np

from numfuse.reference.diffusion import faces
from numfuse.reference.diffusion.advection import advection
from numfuse.reference.diffusion.faces import Array
from numfuse.reference.diffusion.stencil import second_derivative


@np.errstate(all="ignore")  # a field may hold anything
def operator(u: Array, problem: Any, time: float = 0.0) -> Array:
    """du/dt of a field (batch, *space) at a time; 0 in wall and held cells."""
    free_cells = faces.free(problem)
    u = faces.without_walls(u, problem)
    rate = sum(direction(u, problem, axis) for axis in range(len(problem.shape)))
    if problem.decay is not None:
        rate = rate - np.asarray(problem.decay, u.dtype) * u
    rate = rate + constant(problem, time)
    if problem.velocity is not None:
        rate = rate + advection(u, problem, time)
    return np.where(free_cells, rate, u.dtype.type(0))


def direction(u: Array, problem: Any, axis: int) -> Array:
    """Diffuse along one axis, the sides' p·u included; wall cells must hold 0."""
    if problem.order > 2:
        return second_derivative(u, problem, axis) * problem.diffusivity[axis]
    before, after = faces.beside(u, problem, axis)
    flux = faces.face_coefficients(problem, axis) * (after - before)  # (batch, n + 1 faces)
    low, high = faces.around(flux, problem, axis)
    rate = high - low
    for end in (0, 1):
        at = faces.edge(problem, axis, end)
        rate[at] += faces.side_slope(problem, axis, end) * u[at]
    return rate


def constant(problem: Any, time: float) -> Array:
    """Sum what u has no part in: source and the sides' q; 0 where nothing changes."""
    rate = np.zeros(problem.shape, problem.dtype)
    if problem.source is not None:
        rate += faces.at_time(problem.source, time, problem.dtype)
    for axis in range(len(problem.shape)):
        for end in (0, 1):
            rate[faces.edge(problem, axis, end)] += faces.side_constant(problem, axis, end, time)
    return np.where(faces.free(problem), rate, problem.dtype.type(0))
