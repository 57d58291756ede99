"""Diffusion's right-hand side cell by cell, in Python's own numbers, from the page that defines it.

It shares nothing with `numfuse.reference`, which has the same formula in whole arrays.
"""

import itertools

import numpy as np


def number(value, place):
    """A number, or the entry of an array at a place."""
    return float(value) if np.ndim(value) == 0 else float(value[place])


def rate(u, problem, time=0.0):
    """du/dt of one field (*space)."""
    out = np.zeros(problem.shape)
    for place in itertools.product(*map(range, problem.shape)):
        if blocked(problem, place) or (problem.held is not None and problem.held[place]):
            continue
        total = 0.0
        for axis in range(len(problem.shape)):
            for end in (0, 1):
                total += inflow(u, problem, place, axis, end, time)
        if problem.decay is not None:
            total -= number(problem.decay, place) * u[place]
        if problem.source is not None:
            source = problem.source(time) if callable(problem.source) else problem.source
            total += number(source, place)
        out[place] = total
    return out


def blocked(problem, place):
    return problem.walls is not None and problem.walls[place]


def neighbour(problem, place, axis, end):
    """The cell beyond a face; None beyond a side that is not periodic, or the cell itself there."""
    n, there = problem.shape[axis], list(place)
    there[axis] += 1 if end else -1
    if not 0 <= there[axis] < n:
        if problem.sides[axis][end].kind != "periodic":
            return None
        there[axis] %= n
    return tuple(there)


def diffusivity(problem, place, axis):
    if isinstance(problem.diffusivity, tuple):
        return problem.diffusivity[axis]
    return float(problem.diffusivity[place])


def inflow(u, problem, place, axis, end, time):
    """What a cell gains through one of its faces, by diffusion and by advection."""
    h, side = problem.spacing[axis], problem.sides[axis][end]
    there = neighbour(problem, place, axis, end)
    here = float(u[place])
    outwards = 1 if end else -1
    speed = 0.0 if problem.velocity is None else float(problem.velocity[axis][place])
    if there is not None:
        if blocked(problem, there):
            return 0.0
        D, other = diffusivity(problem, place, axis), diffusivity(problem, there, axis)
        if isinstance(problem.diffusivity, tuple) or D + other == 0:
            face = D
        else:
            face = 2 * D * other / (D + other) if problem.mean == "harmonic" else (D + other) / 2
        gained = face / h**2 * (float(u[there]) - here)
        if problem.velocity is not None and there != place:
            speed = outwards * (speed + float(problem.velocity[axis][there])) / 2  # outwards
            carried = (
                face_value(u, problem, place, axis, end)
                if speed > 0
                else face_value(u, problem, there, axis, 1 - end)
            )
            gained -= speed * carried / h
        return gained
    if side.kind == "insulated":
        return 0.0
    along_face = place[:axis] + place[axis + 1 :]
    given = number(side.value(time) if callable(side.value) else side.value, along_face)
    if side.kind == "flux":
        return given / h
    if side.kind == "value":
        ghost = 2 * given - here
    else:  # a·(u + ghost)/2 + b·(ghost − u)/h = c
        ghost = (given - here * (side.a / 2 - side.b / h)) / (side.a / 2 + side.b / h)
    gained = diffusivity(problem, place, axis) * (ghost - here) / h**2
    speed *= outwards
    return gained - speed * (here if speed > 0 else (here + ghost) / 2) / h


def face_value(u, problem, place, axis, end):
    """What a flow carries that leaves a cell through one of its inner faces."""
    here = float(u[place])
    before = neighbour(problem, place, axis, 1 - end)
    if problem.advection == "upwind" or before is None or blocked(problem, before):
        return here
    rise = float(u[neighbour(problem, place, axis, end)]) - here
    if rise == 0:
        return here
    ratio = (here - float(u[before])) / rise
    return here + 0.5 * (ratio + abs(ratio)) / (1 + abs(ratio)) * rise
