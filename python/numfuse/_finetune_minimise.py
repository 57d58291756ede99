"""L-BFGS for one function: a generator, so that many can be run side by side.

Memory of the last MEMORY steps in two loops; a step meets the weak Wolfe conditions, found by
bracketing and cubics.

Sources: J. Nocedal, S. Wright, "Numerical optimization" (2006), algorithm 7.4 (two loops);
A. Lewis, M. Overton, "Nonsmooth optimization via quasi-Newton methods", Math. Program. 141 (2013)
(search); W. Hager, H. Zhang, "A new conjugate gradient method with guaranteed descent and an
efficient line search", SIAM J. Optim. 16 (2005) (steps whose gain drowns in rounding).
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

MEMORY = 10
ARMIJO, CURVATURE = 1e-4, 0.9
# Armijo's condition for a parabola, on its slope at the end.
STEEPEST = 2 * ARMIJO - 1
TRIALS = 25
STALLS = 3
EPSILON = float(np.finfo(np.float64).eps)

Evaluation = tuple[float, "NDArray[np.float64]", float]


class Accepted(NamedTuple):
    """An iteration that is done: where, the objective there, the length of the step."""

    point: NDArray[np.float64]
    loss: float
    length: float


class Outcome(NamedTuple):
    """How a minimisation ended."""

    point: NDArray[np.float64]
    converged: bool
    largest: float
    """Largest entry of the gradient at the end."""


class Steps:
    """The memory of one head: H·g by two loops over pairs of steps and gradients' changes."""

    def __init__(self) -> None:
        self.pairs: deque[tuple[NDArray[np.float64], NDArray[np.float64], float]] = deque(
            maxlen=MEMORY
        )

    def add(self, step: NDArray[np.float64], change: NDArray[np.float64]) -> None:
        product, square = _dot(step, change), _dot(change, change)
        if product > 2.2e-16 * square:
            self.pairs.append((step, change, 1 / product))

    def direction(self, gradient: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return −H·g; without memory the gradient turned round, no longer than 1."""
        steepest = -gradient / max(1.0, math.sqrt(_dot(gradient, gradient)))
        if not self.pairs:
            return steepest
        d = -gradient
        alphas = []
        for step, change, rho in reversed(self.pairs):
            alpha = rho * _dot(step, d)
            alphas.append(alpha)
            d = d - alpha * change
        _, change, rho = self.pairs[-1]
        d = d / (rho * _dot(change, change))
        for (step, change, rho), alpha in zip(self.pairs, reversed(alphas), strict=True):
            d = d + (alpha - rho * _dot(change, d)) * step
        lengths = math.sqrt(_dot(gradient, gradient) * _dot(d, d))
        if not _dot(gradient, d) < -1e-14 * lengths:
            self.pairs.clear()
            return steepest
        return d


def _dot(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return a·b, summed in an order that no library's threads change."""
    return float((a * b).sum())


def minimise(
    start: NDArray[np.float64],
    max_iter: int,
    tolerance: float,
    accepted: list[Accepted],
    rounding: float = EPSILON,
) -> Generator[NDArray[np.float64], Evaluation, Outcome]:
    """Look for a minimum from `start`.

    Yields a point, and is sent the objective, its gradient, and the gradient's largest entry in the
    original coordinates. Iterations are appended to `accepted`. `rounding` is the precision that
    the objective is computed in.
    """
    x, memory, stalled = start, Steps(), 0
    loss, gradient, largest = yield x
    least = largest
    while largest > tolerance and len(accepted) < max_iter and stalled < STALLS:
        found = yield from _searched(x, loss, gradient, memory, rounding)
        if found is None and memory.pairs:
            memory.pairs.clear()
            found = yield from _searched(x, loss, gradient, memory, rounding)
        if found is None:
            break
        length, point, (new_loss, new_gradient, largest) = found
        memory.add(point - x, new_gradient - gradient)
        stalled = 0 if new_loss < loss or largest < least else stalled + 1
        least = min(least, largest)
        x, loss, gradient = point, new_loss, new_gradient
        accepted.append(Accepted(x, loss, length))
    return Outcome(x, largest <= tolerance, largest)


class _End(NamedTuple):
    """One end of the bracket of a line search."""

    t: float
    loss: float
    slope: float


def _searched(
    x: NDArray[np.float64],
    loss: float,
    gradient: NDArray[np.float64],
    memory: Steps,
    rounding: float,
) -> Generator[
    NDArray[np.float64], Evaluation, tuple[float, NDArray[np.float64], Evaluation] | None
]:
    """Look along the next direction for a step that meets the weak Wolfe conditions.

    Where the objective's change drowns in its rounding, the slope's stands for it (Hager and Zhang
    2005). If none of the trials will do, the best that lowers the objective enough; None without
    one.
    """
    d = memory.direction(gradient)
    slope = _dot(gradient, d)
    low, high, t = _End(0.0, loss, slope), None, 1.0
    best: tuple[float, NDArray[np.float64], Evaluation] | None = None
    for _ in range(TRIALS):
        point = x + t * d
        there = yield point
        new_loss, new_gradient, _ = there
        new_slope = _dot(new_gradient, d)
        end = _End(t, new_loss, new_slope)
        # NaN fails these too.
        falls = new_loss <= loss + ARMIJO * t * slope + 4 * EPSILON * abs(loss)
        drowned = new_loss <= loss + rounding * abs(loss) and new_slope <= STEEPEST * slope
        if not (falls or drowned):
            high = end
        else:
            if best is None or new_loss <= best[2][0]:
                best = t, point, there
            if not new_slope < CURVATURE * slope:
                return t, point, there
            low = end
        t = 2 * t if high is None else _between(low, high)
    return best


def _between(low: _End, high: _End) -> float:
    """Return the minimum of the cubic through both ends, kept off them; else the middle."""
    width = high.t - low.t
    first = low.slope + high.slope - 3 * (low.loss - high.loss) / (low.t - high.t)
    square = first * first - low.slope * high.slope
    t = math.nan
    if square >= 0:
        second = math.sqrt(square)
        below = high.slope - low.slope + 2 * second
        if below:
            t = high.t - width * (high.slope + second - first) / below
    if not math.isfinite(t):
        return low.t + width / 2
    return min(max(t, low.t + 0.1 * width), high.t - 0.1 * width)
