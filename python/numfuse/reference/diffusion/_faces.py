"""What the cells exchange: through faces with their neighbours, through sides with the outside.

An axis of n cells has n + 1 faces; face i lies between cells i − 1 and i. Faces 0 and n are the
grid's sides: one and the same face if the axis is periodic, else closed to neighbours.
"""

from typing import Any

import numpy as np

Array = Any  # ndarray, of the field's dtype if nothing else is said


def free(problem: Any) -> Array:
    """Cells that change: neither wall nor held."""
    cells = np.ones(problem.shape, bool)
    if problem.walls is not None:
        cells &= ~problem.walls
    if problem.held is not None:
        cells &= ~problem.held
    return cells


def without_walls(u: Array, problem: Any) -> Array:
    """Zero in place of what walls hold, which may be NaN and must reach nobody."""
    return u if problem.walls is None else np.where(problem.walls, u.dtype.type(0), u)


def is_periodic(problem: Any, axis: int) -> bool:
    """Whether the last cell's neighbour is the first one."""
    return bool(problem.sides[axis][0].kind == "periodic")


def beside(cells: Array, problem: Any, axis: int) -> tuple[Array, Array]:
    """For each face of the axis the cell before and the cell after it (at a side: the same one).

    `cells` is (..., *space), both results have one element more along the axis.
    """
    along = axis - len(problem.shape)
    first, last = np.split(cells, [1], along)[0], np.split(cells, [-1], along)[1]
    before, after = (last, first) if is_periodic(problem, axis) else (first, last)
    return np.concatenate([before, cells], along), np.concatenate([cells, after], along)


def around(face: Array, problem: Any, axis: int) -> tuple[Array, Array]:
    """For each cell what is given at its low and at its high face; `face` is (..., *faces)."""
    after = [slice(None)] * (len(problem.shape) - 1 - axis)
    return face[(..., slice(None, -1), *after)], face[(..., slice(1, None), *after)]


def edge(problem: Any, axis: int, end: int) -> tuple[Any, ...]:
    """Index of the cells, or faces, at the low (end 0) or high (end 1) side of the axis."""
    return (..., -end, *[slice(None)] * (len(problem.shape) - 1 - axis))


def closed(problem: Any, axis: int) -> Array:
    """Faces of the axis that no neighbours exchange through."""
    shape = list(problem.shape)
    shape[axis] += 1
    shut = np.zeros(shape, bool)
    if not is_periodic(problem, axis) or problem.shape[axis] == 1:
        shut[edge(problem, axis, 0)] = shut[edge(problem, axis, 1)] = True
    if problem.walls is not None:
        before, after = beside(problem.walls, problem, axis)
        shut |= before | after
    return shut


def face_coefficients(problem: Any, axis: int) -> Array:
    """D_face / h² of each face of the axis, 0 where it is closed."""
    square = problem.spacing[axis] ** 2
    shut = closed(problem, axis)
    if isinstance(problem.diffusivity, tuple):
        face = np.full(shut.shape, problem.diffusivity[axis] / square, problem.dtype)
    else:
        a, b = beside(problem.diffusivity, problem, axis)
        if problem.mean == "harmonic":  # 2ab/(a + b), written so that ab cannot leave the range
            low, high = np.minimum(a, b), np.maximum(a, b)
            total = np.where(high == 0, 1, low + high).astype(problem.dtype)
            face = 2 * low * (high / total) * (1 / square)
        else:
            face = (a + b) / 2 * (1 / square)
    return np.where(shut, problem.dtype.type(0), face)


def at_time(value: Any, time: float, dtype: Any) -> Array:
    """Give a number or array, or what f(t) says, in the field's dtype."""
    return np.asarray(value(time) if callable(value) else value, dtype)


def ghost_slope(side: Any, spacing: float) -> float:
    """α of a value or robin side, beyond which a cell would hold α·u + β.

    value: (u + ghost)/2 = v. robin: a·(u + ghost)/2 + b·(ghost − u)/h = c.
    """
    if side.kind == "value":
        return -1.0
    half, slope = side.a / 2, side.b / spacing
    return float((slope - half) / (slope + half))


def ghost(side: Any, spacing: float, time: float, dtype: Any) -> tuple[float, Array]:
    """α and β of a value or robin side at a time."""
    scale = 2.0 if side.kind == "value" else 1 / (side.b / spacing + side.a / 2)
    return ghost_slope(side, spacing), at_time(side.value, time, dtype) * scale


def side_slope(problem: Any, axis: int, end: int) -> Array:
    """Give p of a side, each of whose cells gains p·u + q; shape (*space without the axis)."""
    side, h = problem.sides[axis][end], problem.spacing[axis]
    diffusivity = beside_side(problem, axis, end)
    if side.kind not in ("value", "robin"):
        return np.zeros_like(diffusivity)
    return diffusivity * ((ghost_slope(side, h) - 1) / h**2)


def side_constant(problem: Any, axis: int, end: int, time: float) -> Array:
    """Give q of a side at a time, shape (*space without the axis)."""
    side, h = problem.sides[axis][end], problem.spacing[axis]
    diffusivity = beside_side(problem, axis, end)
    q = np.zeros_like(diffusivity)
    if side.kind == "flux":
        q = q + at_time(side.value, time, problem.dtype) * (1 / h)
    elif side.kind in ("value", "robin"):
        q = diffusivity * ghost(side, h, time, problem.dtype)[1] * (1 / h**2)
    if problem.walls is not None:
        q = np.where(problem.walls[edge(problem, axis, end)], q.dtype.type(0), q)
    return q


def beside_side(problem: Any, axis: int, end: int) -> Array:
    """Diffusivity of the cells at a side, 0 in walls."""
    at = edge(problem, axis, end)
    if isinstance(problem.diffusivity, tuple):
        number = problem.dtype.type(problem.diffusivity[axis])
        cells = np.full_like(np.empty(problem.shape, problem.dtype)[at], number)
    else:
        cells = problem.diffusivity[at]
    return cells if problem.walls is None else np.where(problem.walls[at], 0 * cells, cells)
