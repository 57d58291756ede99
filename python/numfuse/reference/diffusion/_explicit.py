"""Methods that only ever apply the operator: Euler's, and stabilized steps of many stages."""

from typing import Any

import numpy as np

from numfuse.reference.diffusion._faces import Array
from numfuse.reference.diffusion._operator import Operator


@np.errstate(all="ignore")
def explicit(u: Array, problem: Any, dt: float, steps: int, start_time: float = 0.0) -> Array:
    """Euler's steps: u ← u + dt·du/dt, each at its own time start_time + i·dt."""
    field, rate = u, Operator(problem)
    for i in range(steps):
        u = u + dt * rate(u, start_time + i * dt)
    return np.where(rate.free, u, field)  # walls and held cells to the bit


@np.errstate(all="ignore")
def rkl2(u: Array, problem: Any, dt: float, steps: int, stages: int) -> Array:
    """Runge–Kutta–Legendre steps of second order: stable if dt·λ ≤ (stages² + stages − 2)/2.

    In the paper's stages Y_j put Z_j = Y_0 + (Y_j − Y_0)/b_j. With w = 4/(s² + s − 2),
    b_s = 2/(s·(s + 1)·w) and the Euler step E(Z) = Z + w·dt·(dZ/dt) they are Legendre's recursion:

        Z_0 = u,  Z_1 = E(Z_0),  Z_j = Z_{j−2} + (2j − 1)/j·(E(Z_{j−1}) − Z_{j−2}),
        u ← u + b_s·(Z_s − u).

    References
    ----------
    .. [1] C. Meyer, D. Balsara, T. Aslam, "A stabilized Runge–Kutta–Legendre method for explicit
           super-time-stepping of parabolic and mixed equations", J. Comput. Phys. 257 (2014)
           594-626, equations 16 and 17.
    """
    field, rate = u, Operator(problem)
    w = 4 / (stages**2 + stages - 2)
    b = 2 / (stages * (stages + 1) * w)
    for _ in range(steps):
        before, z = u, u + w * dt * rate(u)  # Z_{j−2}, Z_{j−1}
        for j in range(2, stages + 1):
            before, z = z, before + (2 * j - 1) / j * (z + w * dt * rate(z) - before)
        u = u + b * (z - u)
    return np.where(rate.free, u, field)
