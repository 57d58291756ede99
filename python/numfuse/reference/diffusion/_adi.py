"""Alternating directions: each half of a step is implicit along one axis only."""

from typing import Any

import numpy as np

from numfuse.reference.diffusion import _faces as faces
from numfuse.reference.diffusion._faces import Array
from numfuse.reference.diffusion._operator import Operator, constant


@np.errstate(all="ignore")
def adi(u: Array, problem: Any, dt: float, steps: int) -> Array:
    """Crank–Nicolson in 1-D, Peaceman–Rachford in 2-D, Douglas–Gunn in 3-D.

    A_k is all that happens along axis k and its share of the decay; b is what u has no part in.

    References
    ----------
    .. [1] D. Peaceman, H. Rachford, "The numerical solution of parabolic and elliptic differential
           equations", J. SIAM 3 (1955) 28-41.
    .. [2] J. Douglas, J. Gunn, "A general formulation of alternating direction methods", Numer.
           Math. 6 (1964) 428-453.
    """
    field, u = u, faces.without_walls(u, problem)
    rate, b = Operator(problem), constant(problem, 0.0)
    axes, half = len(problem.shape), dt / 2
    decay = rate.decay / axes

    def along(k: int, u: Array) -> Array:
        return np.where(rate.free, rate.direction(u, k) - decay * u, u.dtype.type(0))

    def solve(k: int, right: Array) -> Array:
        return implicit(right, problem, k, half, decay)

    for _ in range(steps):
        if axes == 1:
            u = solve(0, u + half * along(0, u) + dt * b)
        elif axes == 2:
            middle = solve(0, u + half * along(1, u) + half * b)
            u = solve(1, middle + half * along(0, middle) + half * b)
        else:
            first = solve(0, u + half * along(0, u) + dt * (along(1, u) + along(2, u) + b))
            second = solve(1, first - half * along(1, u))
            u = solve(2, second - half * along(2, u))
    return np.where(rate.free, u, field)


def implicit(right: Array, problem: Any, axis: int, half: float, decay: Array) -> Array:
    """Solve (I − half·A)·x = right along the axis.

    Without the face that joins its ends, a line's matrix T is tridiagonal. That face of a periodic
    axis adds κ·g gᵀ with g = first − last unit vector, so that Sherman and Morrison's formula
    gives x = y − z·κ·gᵀy / (1 + κ·gᵀz) from T y = right and T z = g. Rows of cells that do not
    change are those of I.
    """
    free_cells = faces.free(problem)
    face = faces.face_coefficients(problem, axis)
    joint = face[faces.edge(problem, axis, 0)].copy()  # 0 unless periodic
    face[faces.edge(problem, axis, 0)] = face[faces.edge(problem, axis, 1)] = 0
    low, high = faces.around(face, problem, axis)
    loss = low + high + decay
    for end in (0, 1):
        loss[faces.edge(problem, axis, end)] -= faces.side_slope(problem, axis, end)
    zero, one = right.dtype.type(0), right.dtype.type(1)
    below, diagonal, above = (
        np.moveaxis(np.where(free_cells, band, otherwise), axis, 0)
        for band, otherwise in [(-half * low, zero), (1 + half * loss, one), (-half * high, zero)]
    )

    def tridiagonal(right: Array) -> Array:
        lines = np.moveaxis(right, axis - len(problem.shape), 0)  # (n, batch, *others)
        return np.moveaxis(thomas(below, diagonal, above, lines), 0, axis - len(problem.shape))

    y = tridiagonal(right)
    if not faces.is_periodic(problem, axis):
        return y
    first, last = faces.edge(problem, axis, 0), faces.edge(problem, axis, 1)
    g = np.zeros((1, *problem.shape), right.dtype)
    g[first] += 1
    g[last] -= 1
    z = tridiagonal(np.where(free_cells, g, zero))
    kappa = half * joint
    scale = kappa * (y[first] - y[last]) / (1 + kappa * (z[first] - z[last]))
    return y - z * np.expand_dims(scale, axis - len(problem.shape))


def thomas(low: Array, middle: Array, high: Array, right: Array) -> Array:
    """Solve tridiagonal systems along the first axis: eliminate forwards, substitute backwards.

    Bands are (n, *others), `right` is (n, batch, *others).
    """
    n = len(right)
    x, ratio = right.copy(), np.zeros_like(middle)
    pivot = middle[0]
    x[0] /= pivot
    for i in range(1, n):
        ratio[i - 1] = high[i - 1] / pivot
        pivot = middle[i] - low[i] * ratio[i - 1]
        x[i] = (x[i] - low[i] * x[i - 1]) / pivot
    for i in range(n - 2, -1, -1):
        x[i] -= ratio[i] * x[i + 1]
    return x
