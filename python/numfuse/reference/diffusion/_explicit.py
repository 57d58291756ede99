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

    References
    ----------
    .. [1] C. Meyer, D. Balsara, T. Aslam, "A stabilized Runge–Kutta–Legendre method for explicit
           super-time-stepping of parabolic and mixed equations", J. Comput. Phys. 257 (2014)
           594-626, equations 16 and 17.
    """
    field, rate = u, Operator(problem)
    b = [1 / 3] * 3 + [(j * j + j - 2) / (2 * j * (j + 1)) for j in range(3, stages + 1)]
    w = 4 / (stages**2 + stages - 2)
    for _ in range(steps):
        first = rate(u)
        before, y = u, u + b[1] * w * dt * first  # Y_{j−2}, Y_{j−1}
        for j in range(2, stages + 1):
            mu = (2 * j - 1) / j * b[j] / b[j - 1]
            nu = -(j - 1) / j * b[j] / b[j - 2]
            mu_tilde = mu * w
            gamma_tilde = -(1 - b[j - 1]) * mu_tilde
            before, y = (
                y,
                (
                    mu * y
                    + nu * before
                    + (1 - mu - nu) * u
                    + mu_tilde * dt * rate(y)
                    + gamma_tilde * dt * first
                ),
            )
        u = y
    return np.where(rate.free, u, field)
