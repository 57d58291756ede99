"""How large a step may be."""

from typing import Any

import numpy as np

from numfuse.reference.diffusion import _faces as faces
from numfuse.reference.diffusion._advection import face_velocity
from numfuse.reference.diffusion._faces import Array
from numfuse.reference.diffusion._spectral import eigenvalues


def largest_rate(problem: Any) -> float:
    """Find the largest eigenvalue of −L, or a bound that is at most twice as large.

    Constant D on a plain box: the stencil's own largest eigenvalue (and the largest decay). Else
    Gershgorin's circles: 2·Σ c − Σ p + decay, the largest of all cells that change.
    """
    axes = range(len(problem.shape))
    plain = problem.walls is None and problem.held is None
    kinds = {side.kind for sides in problem.sides for side in sides}
    if isinstance(problem.diffusivity, tuple) and plain and "robin" not in kinds:
        largest = [eigenvalues(problem, axis).max(initial=0) for axis in axes]
        decay = 0.0 if problem.decay is None else np.max(problem.decay)
        return float(np.dot(problem.diffusivity, largest) + decay)
    inner, outer, decay = losses(problem)
    return float(np.max(2 * inner + outer + decay, where=faces.free(problem), initial=0))


def step_limit(problem: Any) -> float:
    """Find the largest explicit step in which no cell's own weight becomes negative.

    What flows out counts twice in limited advection, whose face value may be twice the cell's.
    """
    loss = sum(losses(problem))
    for axis, h in enumerate(problem.spacing if problem.velocity is not None else ()):
        velocity = face_velocity(problem, axis).astype(np.float64)
        low, high = faces.around(velocity, problem, axis)
        out = np.maximum(high, 0) - np.minimum(low, 0)
        loss += out / h * (2 if problem.advection == "limited" else 1)
        for end, side in enumerate(problem.sides[axis]):
            if side.kind == "robin":  # its inflow carries (1 + α)/2 of the cell's own value
                at = faces.edge(problem, axis, end)
                inflow = np.maximum(velocity[at] * (-1 if end else 1), 0)
                loss[at] -= inflow / h * (1 + faces.ghost_slope(side, h)) / 2
    largest = np.max(loss, where=faces.free(problem), initial=0)
    return float("inf") if largest == 0 else float(1 / largest)


def losses(problem: Any) -> tuple[Array, Array, Array]:
    """Sum what a cell loses per unit of u and time: through faces, through sides, by decay."""
    inner, outer, decay = np.zeros((3, *problem.shape))
    for axis in range(len(problem.shape)):
        face = faces.face_coefficients(problem, axis).astype(np.float64)
        low, high = faces.around(face, problem, axis)
        inner += low + high
        for end in (0, 1):
            outer[faces.edge(problem, axis, end)] -= faces.side_slope(problem, axis, end)
    if problem.decay is not None:
        decay += problem.decay
    return inner, outer, decay
