"""The truth of diffusion's cases, in float64.

A cell's value after n steps depends on cells up to n·order/2 away. So of a large grid only a few
windows are computed, each with that margin: one in every corner, one in the middle, and some at
random, which would meet a seam between tiles. Besides, the mean of all cells has to stay.

Within a tolerance, the truth is exact in time: exp(−tA) as a series of Chebyshev polynomials of A,
which shares nothing with any method of numfuse's.
"""

import itertools
import math

import numpy as np

import numfuse

from .case import Array
from .diffusion import LARGEST_DIFFUSIVITY, Heat

WINDOW = 16
RANDOM_WINDOWS = 6


def heat(case: Heat, inputs: dict[str, Array]) -> tuple[Array, Array]:
    """Return what `samples` takes from the right answer, and the largest value of the field."""
    field = inputs["field"]
    diffusivity = inputs.get("diffusivity")
    parts = []
    for window in windows(case):
        around = tuple(
            slice(max(0, part.start - margin(case)), part.stop + margin(case)) for part in window
        )
        within = tuple(
            slice(part.start - outer.start, part.stop - outer.start)
            for part, outer in zip(window, around, strict=True)
        )
        after = numfuse.diffuse(
            field[around],
            1.0 if diffusivity is None else diffusivity[around],
            steps=case.steps,
            dt=case.dt,
            order=case.order,
            method="explicit",
        )
        parts.append(after[within].ravel())
    return np.concatenate([*parts, [field.mean()]]), np.array(np.abs(field).max())


def samples(case: Heat, answer: Array) -> Array:
    """Take the windows of an answer, and its mean."""
    parts = [answer[window].ravel() for window in windows(case)]
    return np.concatenate([*parts, [answer.mean(dtype=np.float64)]])


def margin(case: Heat) -> int:
    """Return how far a cell can be seen."""
    return case.steps * case.order // 2


def windows(case: Heat) -> list[tuple[slice, ...]]:
    """Return the parts of the grid that are computed; the whole where that costs less."""
    count = 2 ** len(case.shape) + 1 + RANDOM_WINDOWS
    if count * (WINDOW + 2 * margin(case)) ** len(case.shape) >= case.cells:
        return [tuple(slice(0, length) for length in case.shape)]
    generator = np.random.default_rng(0)
    ends = itertools.product(*((0, length - WINDOW) for length in case.shape))
    middle = tuple((length - WINDOW) // 2 for length in case.shape)
    scattered = (
        tuple(int(generator.integers(length - WINDOW)) for length in case.shape)
        for _ in range(RANDOM_WINDOWS)
    )
    return [
        tuple(slice(start, start + WINDOW) for start in starts)
        for starts in (*ends, middle, *scattered)
    ]


def certified(inputs: dict[str, Array]) -> tuple[Array, Array]:
    """Return each field after the time, and the norm that its error is divided by."""
    fields, time = inputs["field"], float(inputs["time"])
    truth = np.array([_exponential(field, inputs["diffusivity"], time) for field in fields])
    return truth, np.maximum(_norms(fields), _norms(truth))


def largest_norm(difference: Array, size: Array) -> float:
    """Return the largest 2-norm of an error as a share of its field's."""
    return float((_norms(difference) / size).max())


def _norms(fields: Array) -> Array:
    array: Array = np.sqrt(np.square(fields).sum(axis=(1, 2)))
    return array


def _exponential(field: Array, diffusivity: Array, time: float) -> Array:
    """exp(−tA)·field, where −A is diffusion's operator.

    With A = half·(1 + X), −1 ≤ X ≤ 1: exp(−tA) = Σ c_k T_k(X), and c_k falls off quicker than any
    power once k² is several times t·half.
    """
    half = 4 * LARGEST_DIFFUSIVITY  # the largest rate is at most twice the four coefficients
    coefficients = _chebyshev(time * half)
    faces = [_harmonic(diffusivity, axis) for axis in (0, 1)]
    flux = [np.empty_like(face) for face in faces]

    def shifted(u: Array) -> Array:
        """X·u."""
        out = -u
        for axis, (face, through) in enumerate(zip(faces, flux, strict=True)):
            low, high = (_along(axis, part) for part in (slice(None, -1), slice(1, None)))
            np.subtract(u[high], u[low], out=through)
            through *= face
            through /= half
            out[low] -= through
            out[high] += through
        return out

    before, now = field, shifted(field)
    total = coefficients[0] * before + coefficients[1] * now
    for coefficient in coefficients[2:]:
        after = shifted(now)
        after *= 2
        after -= before
        before, now = now, after
        total += coefficient * now
    array: Array = total
    return array


def _chebyshev(z: float) -> Array:
    """Coefficients of exp(−z(1 + x)), |x| ≤ 1, down to 1e-14 of the largest."""
    count = 32 + math.ceil(12 * math.sqrt(z + 1))
    angle = (np.arange(count) + 0.5) * np.pi / count
    values = np.exp(-z * (1 + np.cos(angle)))
    found = np.array([(values * np.cos(k * angle)).mean() for k in range(count)]) * 2
    found[0] /= 2
    array: Array = found[: int(np.flatnonzero(np.abs(found) > 1e-14).max()) + 1]
    return array


def _harmonic(diffusivity: Array, axis: int) -> Array:
    """Return the coefficients of the faces between cells."""
    low = diffusivity[_along(axis, slice(None, -1))]
    high = diffusivity[_along(axis, slice(1, None))]
    array: Array = 2 * low * high / (low + high)
    return array


def _along(axis: int, part: slice) -> tuple[slice, ...]:
    return (slice(None),) * axis + (part,)
