"""How fast the modes of a problem decay, and how well a method follows them.

In eigenvectors of the operator −L, with eigenvalues 0 ≤ λ ≤ `Spectrum.largest`, the field after a
time t is exp(−λt) of what it was, and R(λ) after the steps of a method, R its stability function.
The largest |R(λ) − exp(−λt)| bounds the error's 2-norm by that of the field at the start.

What feeds the field from outside (sources, sides, held cells) moves its limit u∞ away from 0; each
method here keeps u∞ exactly, so that the error is (R − exp(−λt))·(u − u∞), and with u∞ expressed by
start and end at most |R − exp(−λt)|·(1 + 2/(1 − exp(−λt))) times the larger of the two.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _config, _native

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._diffusion_boundary import Side
    from ._diffusion_problem import Problem

# Between two points of a grid over λ an error may be larger than at both by this factor.
BETWEEN_POINTS = 1.02
# Steps of `tightened`, and their length in units of the largest eigenvalue's bound.
POWER_STEPS = 8
POWER_STEP = 4.0


class Spectrum(NamedTuple):
    """Bounds of the eigenvalues of −L, decay included."""

    largest: float
    axes: tuple[float, ...]
    """The same for the part along each axis, decay shared out evenly."""
    stable_step: float
    """Largest step of the explicit method."""
    commutes: bool
    """Whether the parts along the axes commute, so that errors are known and not estimated."""
    symmetric: bool
    """Whether the bounds hold: an operator with velocity has other modes."""
    grows: bool
    """Whether a robin side may feed the field from itself."""


def spectrum(problem: Problem) -> Spectrum:
    """Bound the spectrum of a problem: exactly for a box of constant D, else by its rows' sums."""
    if 0 in problem.shape:
        return Spectrum(0.0, (0.0,) * len(problem.shape), math.inf, True, True, False)
    decay = problem.decay
    most_decay = 0.0 if decay is None else float(np.max(decay))
    shares = most_decay / len(problem.shape)
    axes = tuple(_along(problem, axis) + shares for axis in range(len(problem.shape)))
    commutes = problem.constant() and problem.walls is None and problem.held is None
    largest = sum(axes) if problem.is_box() else _rows(problem)
    if problem.velocity is not None:
        limit = _no_negative_weight(problem)
    else:
        limit = 2 / largest if largest > 0 else math.inf
    return Spectrum(
        largest,
        axes,
        limit,
        commutes and not isinstance(decay, np.ndarray),
        problem.velocity is None,
        any(
            _reflection(side, step) > 1
            for both, step in zip(problem.sides, problem.spacing, strict=True)
            for side in both
        ),
    )


def _reflection(side: Side, step: float) -> float:
    """α of the ghost cell αu + β beyond a side."""
    if side.kind == "value":
        return -1.0
    if side.kind != "robin":
        return 1.0
    return (side.b / step - side.a / 2) / (side.b / step + side.a / 2)


def _along(problem: Problem, axis: int) -> float:
    """Largest eigenvalue of the second difference along one axis, times D; a bound for others."""
    n, step, (low, high) = problem.shape[axis], problem.spacing[axis], problem.sides[axis]
    if isinstance(problem.diffusivity, tuple):
        diffusivity = problem.diffusivity[axis]
    else:
        diffusivity = float(problem.diffusivity.max())
    rate = diffusivity / step / step
    if not problem.is_box():
        ends = max(2.0, 1 - _reflection(low, step), 1 - _reflection(high, step))
        return rate * 2 * ends if n == 1 else rate * (2 + ends)
    if low.kind == "periodic":
        angle = 2 * math.pi * (n // 2) / n
    else:
        values = (low.kind == "value") + (high.kind == "value")
        angle = math.pi * (n - 1 + values / 2) / n
    return rate * symbol(angle, problem.order)


def symbol(angle: float, order: int) -> float:
    """Minus the central second difference of exp(i·angle·x) at unit step: angle² + O(angle^order).

    −δ² = Σₖ 2·((k − 1)!)²/(2k)!·(2 sin(angle/2))²ᵏ, cut after order/2 terms; it grows up to π.
    """
    square = (2 * math.sin(angle / 2)) ** 2
    terms = range(1, order // 2 + 1)
    return sum(2 * math.factorial(k - 1) ** 2 / math.factorial(2 * k) * square**k for k in terms)


def _rows(problem: Problem) -> float:
    if _config.backend() == "numpy":
        from .reference import diffusion

        return float(diffusion.largest_rate(problem))
    return _native.kernels.diffusion_largest_rate(problem.operator_alone())


def _no_negative_weight(problem: Problem) -> float:
    if _config.backend() == "numpy":
        from .reference import diffusion

        return float(diffusion.step_limit(problem))
    return _native.kernels.diffusion_step_limit(problem.operator_alone())


def stages_for(rate: float) -> int:
    """Fewest stages of RKL2 for a step of `rate` = dt·λ: odd, for which the fastest modes end at 0.

    Stable up to (s² + s − 2)/2. With an even number of stages the fastest mode would keep its size.
    """
    stages = math.ceil((math.sqrt(9 + 8 * rate) - 1) / 2 - 1e-12)
    if stages <= 2 and rate <= 1.5:
        return 2
    return max(stages + 1 - stages % 2, 3)


def _amplitudes(errors: NDArray[Any], decays: NDArray[Any], feeds: bool) -> float:
    errors = np.abs(errors)
    if feeds:
        # 1 − exp(−λt) ≈ λt near 0, where errors fall off at least as λ².
        errors = errors * (1 + 2 / np.maximum(1 - decays, 1e-300))
    return BETWEEN_POINTS * float(errors.max(initial=0.0))


def _logarithmic(largest: float, count: int) -> NDArray[Any]:
    """Values of λt up to `largest`, from where no method here has an error yet."""
    least = min(1e-3, largest / 2)
    return np.geomspace(least, largest, count)


@lru_cache(maxsize=512)
def explicit_error(total: float, steps: int, feeds: bool) -> float:
    """Bound of Euler's error after `steps` steps, λt up to `total`."""
    if total == 0:
        return 0.0
    x = _logarithmic(total, 300)
    with np.errstate(over="ignore", invalid="ignore"):
        return _amplitudes((1 - x / steps) ** steps - np.exp(-x), np.exp(-x), feeds)


def opening_stages(rate: float) -> int:
    """Fewest stages of RKL1 for a step of `rate` = dt·λ: stable up to s² + s."""
    return max(math.ceil((math.sqrt(1 + 4 * rate) - 1) / 2 - 1e-12), 2)


@lru_cache(maxsize=512)
def rkl2_error(total: float, steps: int, stages: int, feeds: bool, opening: float = 0.0) -> float:
    """Bound of RKL2's error after `steps` equal steps of `stages` stages, λt up to `total`.

    R(z) = 1 − b + b·P(1 + w·z), P the Legendre polynomial of degree s, b = (s² + s − 2)/(2s(s + 1))
    and w = 4/(s² + s − 2), which equals the recursion over the stages. `opening` is the share of
    the time that a step of RKL1 takes first: R(z) = P(1 + w·z), w = 2/(s² + s).
    """
    if total == 0:
        return 0.0
    span = stages * stages + stages - 2
    w, b = 4 / span, span / (2 * stages * (stages + 1))
    step = (1 - opening) / steps
    # Lobes are equally wide in the angle θ with cos θ = 1 + w·z; slow modes need the logarithm.
    theta = np.linspace(0, math.acos(max(1 - w * step * total, -1.0)), 8 * stages)[1:]
    x = np.concatenate([_logarithmic(total, 120), (1 - np.cos(theta)) / (w * step), [total]])
    decays = np.exp(-x)
    with np.errstate(over="ignore", invalid="ignore"):
        kept = (1 - b + b * _legendre(stages, 1 - w * step * x)) ** steps
        if opening:
            few = opening_stages(opening * total)
            kept = kept * _legendre(few, 1 - 2 / (few * few + few) * opening * x)
        error = _amplitudes(kept - decays, decays, feeds)
    return error if math.isfinite(error) else math.inf


def _legendre(degree: int, at: NDArray[Any]) -> NDArray[Any]:
    before, now = np.ones_like(at), at
    for j in range(2, degree + 1):
        before, now = now, ((2 * j - 1) * at * now - (j - 1) * before) / j
    return now


@lru_cache(maxsize=512)
def adi_error(
    axes: tuple[float, ...], few: tuple[float, ...], steps: int, step: float, feeds: bool
) -> float:
    """Bound of ADI's error after the steps `few` and `steps` steps of `step`, times of total 1.

    `axes` has the largest λt along each axis. In one and two dimensions R is the product over the
    axes of (1 − λτ/2)/(1 + λτ/2), in three (Douglas and Gunn) 1 − 2·Σyₖ / Π(1 + yₖ), y = λτ/2.
    """
    counts = {1: 400, 2: 160, 3: 48}[len(axes)]
    values = [np.append(_logarithmic(each, counts), 0.0) if each else np.zeros(1) for each in axes]
    x = np.meshgrid(*values, indexing="ij", sparse=True)
    total = sum(x)
    factor = np.ones_like(total)
    if len(axes) < 3:
        for each in x:
            kept = np.ones_like(each)
            for tau in few:
                kept = kept * (1 - each * tau / 2) / (1 + each * tau / 2)
            kept = kept * ((1 - each * step / 2) / (1 + each * step / 2)) ** steps
            factor = factor * kept
    else:
        for tau, times in (*((tau, 1) for tau in few), (step, steps)):
            implicit = math.prod((1 + each * tau / 2 for each in x), start=np.ones(()))
            factor = factor * (1 - total * tau / implicit) ** times
    decays = np.exp(-total)
    return _amplitudes((factor - decays).ravel(), decays.ravel(), feeds)


def tightened(problem: Problem, bounds: Spectrum) -> Spectrum:
    """Lower the largest eigenvalue's bound where D varies: never below, and often close to it.

    For any v > 0 the largest of (|A|v)ᵢ/vᵢ, A = −L, is a bound (Collatz and Wielandt), and a
    sharper one the more often v has been multiplied by I + δ|A|. Neighbours differ in sign in the
    chequered field u = ±v, so that |A|v = ±Au: explicit steps of −δ multiply, and one more gives
    the quotient.
    """
    chequered = not any(
        low.kind == "periodic" and n % 2
        for n, (low, _) in zip(problem.shape, problem.sides, strict=True)
    )
    if problem.constant() or not chequered or not bounds.symmetric or bounds.grows:
        return bounds
    zero = np.zeros((), problem.dtype)
    sides = tuple(
        (low if low.value is None else low._replace(value=zero),
         high if high.value is None else high._replace(value=zero))
        for low, high in problem.sides
    )  # fmt: skip
    alone = problem._replace(source=None, sides=sides)
    signs = [1 - 2 * (np.arange(n) & 1) for n in problem.shape]
    field = np.ones(problem.shape, problem.dtype)
    for axis, sign in enumerate(signs):
        field *= sign.astype(problem.dtype).reshape(
            [-1 if k == axis else 1 for k in range(len(signs))]
        )
    delta = POWER_STEP / bounds.largest
    grown = _explicit(alone, field[None], -delta, POWER_STEPS)
    more = _explicit(alone, grown, -delta, 1)
    np.divide(more, grown, out=more)
    # All terms of a sum have one sign, so that rounding leaves a few units in the last place.
    rounding = 32 * float(np.finfo(problem.dtype).eps)
    largest = (float(more.max()) * (1 + rounding) - 1) / delta
    if not 0 < largest < bounds.largest:
        return bounds
    return bounds._replace(largest=largest)


def _explicit(problem: Problem, field: NDArray[Any], dt: float, steps: int) -> NDArray[Any]:
    if _config.backend() == "numpy":
        from .reference import diffusion

        return np.asarray(diffusion.explicit(field, problem, dt, steps))
    out = np.empty_like(field)
    aside = np.empty_like(out)
    _native.kernels.diffusion_explicit(problem, field, out, aside, dt, steps, 0, _config.threads())
    return out
