"""du/dt of a field: diffusion, sides, advection, decay and source in one sum."""

from typing import Any

import numpy as np

from numfuse.reference.diffusion import _faces as faces
from numfuse.reference.diffusion._advection import advection, face_velocity
from numfuse.reference.diffusion._faces import Array
from numfuse.reference.diffusion._stencil import second_derivative


def operator(u: Array, problem: Any, time: float = 0.0) -> Array:
    """du/dt of a field (batch, *space) at a time; 0 in wall and held cells."""
    return Operator(problem)(u, time)


class Operator:
    """The same of many fields, one after the other: what they have in common is found once."""

    def __init__(self, problem: Any) -> None:
        axes = range(len(problem.shape))
        self.problem = problem
        self.free = faces.free(problem)
        self.faces = [faces.face_coefficients(problem, axis) for axis in axes]
        self.slopes = [[faces.side_slope(problem, axis, end) for end in (0, 1)] for axis in axes]
        self.decay = problem.dtype.type(0)
        if problem.decay is not None:
            self.decay = np.asarray(problem.decay, problem.dtype)
        self.velocity = None
        if problem.velocity is not None:
            self.velocity = [face_velocity(problem, axis) for axis in axes]
        values = [side.value for sides in problem.sides for side in sides]
        changes = any(callable(value) for value in [problem.source, *values])
        self.constant = None if changes else constant(problem, 0.0)

    @np.errstate(all="ignore")  # a field may hold anything
    def __call__(self, u: Array, time: float = 0.0) -> Array:
        u = faces.without_walls(u, self.problem)
        rate = constant(self.problem, time) if self.constant is None else self.constant
        rate = rate - self.decay * u
        for axis in range(len(self.problem.shape)):
            rate += self.direction(u, axis)
        if self.velocity is not None:
            rate += advection(u, self.problem, self.velocity, time)
        return np.where(self.free, rate, u.dtype.type(0))

    def direction(self, u: Array, axis: int) -> Array:
        """Diffuse along one axis, the sides' p·u included; wall cells must hold 0."""
        if self.problem.order > 2:
            second = second_derivative(u, self.problem, axis)
            return second * self.problem.diffusivity[axis]
        before, after = faces.beside(u, self.problem, axis)
        flux = self.faces[axis] * (after - before)  # (batch, n + 1 faces)
        low, high = faces.around(flux, self.problem, axis)
        rate = high - low
        for end in (0, 1):
            at = faces.edge(self.problem, axis, end)
            rate[at] += self.slopes[axis][end] * u[at]
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
