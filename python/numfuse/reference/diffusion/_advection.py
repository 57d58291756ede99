"""What a velocity carries through each face, upwind or limited."""

from typing import Any

import numpy as np

from numfuse.reference.diffusion import _faces as faces
from numfuse.reference.diffusion._faces import Array

OPEN_SIDES = ("value", "robin")


def face_velocity(problem: Any, axis: int) -> Array:
    """Velocity along the axis at each of its faces: the mean of both cells, 0 where closed.

    A value or robin side has its cell's velocity; a flux side none, for there the given flux is
    all that passes.
    """
    velocity = faces.without_walls(problem.velocity[axis], problem)
    before, after = faces.beside(velocity, problem, axis)
    face = np.where(faces.closed(problem, axis), problem.dtype.type(0), (before + after) / 2)
    for end, side in enumerate(problem.sides[axis]):
        if side.kind in OPEN_SIDES:
            face[faces.edge(problem, axis, end)] = velocity[faces.edge(problem, axis, end)]
    return face


def advection(u: Array, problem: Any, velocities: list[Array], time: float) -> Array:
    """−∇·(velocity·u) of a field (batch, *space) whose wall cells hold 0.

    `velocities`: `face_velocity` of each axis.
    """
    rate = np.zeros_like(u)
    for axis, h in enumerate(problem.spacing):
        velocity = velocities[axis]
        before, after = faces.beside(u, problem, axis)
        if problem.advection == "limited":
            before, after = before + rise(u, problem, axis, 1), after + rise(u, problem, axis, 0)
        for end, side in enumerate(problem.sides[axis]):
            if side.kind in OPEN_SIDES:  # an inflow carries u_face = (u + ghost)/2
                at = faces.edge(problem, axis, end)
                alpha, beta = faces.ghost(side, h, time, problem.dtype)
                (after if end else before)[at] = ((1 + alpha) * u[at] + beta) / 2
        flux = np.maximum(velocity, 0) * before + np.minimum(velocity, 0) * after
        low, high = faces.around(flux, problem, axis)
        rate += (low - high) * (1 / h)
    return rate


def rise(u: Array, problem: Any, axis: int, downstream: int) -> Array:
    """Van Leer's rise from an upwind cell's centre to its face: ½φ(r)·(u_down − u).

    The upwind cell lies before each face (downstream 1, the flow goes up the axis) or after it
    (downstream 0). With d = u_down − u and a = u − u_up, φ(r) = (r + |r|)/(1 + |r|) at r = a/d
    makes this a·d/(a + d) where a and d have one sign, else 0. It is 0 as well where there is
    nothing upstream of the cell: a wall, or the outside of the grid.

    References
    ----------
    .. [1] B. van Leer, "Towards the ultimate conservative difference scheme. II", J. Comput.
           Phys. 14 (1974) 361-370.
    """
    before, after = faces.beside(u, problem, axis)
    step = after - before  # (n + 1 faces)
    blocked = faces.closed(problem, axis)
    if not faces.is_periodic(problem, axis):
        for end in (0, 1):  # a side's own difference is not one of cells
            blocked[faces.edge(problem, axis, end)] = True
    step = np.where(blocked, u.dtype.type(0), step)
    low, high = faces.around(step, problem, axis)
    half = np.where(low * high > 0, low * (high / (low + high)), u.dtype.type(0))
    cell_before, cell_after = faces.beside(half, problem, axis)
    return cell_before if downstream else -cell_after
