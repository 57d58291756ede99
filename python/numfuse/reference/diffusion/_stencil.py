"""Second derivatives of order 4, 6 and 8, of a field continued beyond its sides by mirrors."""

import math
from typing import Any

import numpy as np

from numfuse.reference.diffusion._faces import Array


def weights(order: int) -> list[float]:
    """w_k, k = 1 … order/2, of h²u″ ≈ Σ w_k·(u_{i+k} − 2u_i + u_{i−k}).

    References
    ----------
    .. [1] B. Fornberg, "Generation of finite difference formulas on arbitrarily spaced grids",
           Math. Comp. 51 (1988) 699-706.
    """
    m = order // 2
    top = math.factorial(m) ** 2
    return [
        -2 * (-1) ** k * top / (k**2 * math.factorial(m - k) * math.factorial(m + k))
        for k in range(1, m + 1)
    ]


def mirrored(u: Array, problem: Any, axis: int, reach: int) -> Array:
    """Continue u (batch, *space) by `reach` cells at both ends of the axis.

    An insulated side mirrors evenly about its face, a side of value 0 oddly; a mirror image that
    is too short is mirrored again at the other side.
    """
    n = problem.shape[axis]
    low, high = (side.kind for side in problem.sides[axis])
    index, sign = [], []
    for i in range(-reach, n + reach):
        factor = 1
        while low != "periodic" and not 0 <= i < n:
            factor *= -1 if (low if i < 0 else high) == "value" else 1
            i = -1 - i if i < 0 else 2 * n - 1 - i
        index.append(i % n)
        sign.append(factor)
    along = [1] * len(problem.shape)
    along[axis] = -1
    signs = np.array(sign, u.dtype).reshape(along)
    return np.take(u, index, axis=axis - len(problem.shape)) * signs


def second_derivative(u: Array, problem: Any, axis: int) -> Array:
    """∂²u/∂x² of a field (batch, *space) in the problem's order."""
    n, reach = problem.shape[axis], problem.order // 2
    wide = mirrored(u, problem, axis, reach)

    def shifted(by: int) -> Array:
        after = [slice(None)] * (len(problem.shape) - 1 - axis)
        return wide[(..., slice(reach + by, reach + by + n), *after)]

    rate = np.zeros_like(u)
    for k, weight in enumerate(weights(problem.order), start=1):
        rate += weight * ((shifted(k) - u) - (u - shifted(-k)))
    return rate * (1 / problem.spacing[axis] ** 2)
