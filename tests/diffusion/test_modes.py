"""The grid's own modes decay exactly as the scheme says: by its factor at their eigenvalue, to rounding."""

import itertools

import numpy as np
import pytest

import numfuse

from .problems import UNIT, stages

# Of −h²·∂²/∂x² at an angle θ between neighbours: Σ w_k·(2 − 2·cos kθ).
WEIGHTS = {
    2: [1],
    4: [4 / 3, -1 / 12],
    6: [3 / 2, -3 / 20, 1 / 90],
    8: [8 / 5, -1 / 5, 8 / 315, -1 / 560],
}
ZERO = ("value", 0.0)
# low side, high side, angle of mode j among n, its phase at cell 0 and whether it is a sine
LINES = {
    "periodic": ("periodic", "periodic", lambda j, n: 2 * np.pi * j / n, 0.3),
    "insulated": ("insulated", "insulated", lambda j, n: np.pi * j / n, 0.0),
    "zero": (ZERO, ZERO, lambda j, n: np.pi * (j + 1) / n, -np.pi / 2),
    "insulated, zero": ("insulated", ZERO, lambda j, n: np.pi * (j + 0.5) / n, 0.0),
    "zero, insulated": (ZERO, "insulated", lambda j, n: np.pi * (j + 0.5) / n, -np.pi / 2),
}


def mode(name, j, n):
    """A mode along one axis and its angle."""
    _, _, angle, phase = LINES[name]
    theta = angle(j, n)
    centre = np.arange(n) + (0 if name == "periodic" else 0.5)
    return np.cos(theta * centre + phase), theta


def eigenvalue(theta, h, order):
    terms = (w * 4 * np.sin(k * theta / 2) ** 2 for k, w in enumerate(WEIGHTS[order], start=1))
    return sum(terms) / h**2


def legendre(s, x):
    before, value = 1.0, x
    for j in range(2, s + 1):
        before, value = value, ((2 * j - 1) * x * value - (j - 1) * before) / j
    return value


def factor(method, rates, largest, dt):
    """What one step makes of a mode whose rates along the axes are given, decay shared out."""
    total = sum(rates)
    if method == "spectral":
        return np.exp(-total * dt)
    if method == "explicit":
        return 1 - total * dt
    if method == "rkl2":
        s = stages(dt * largest)
        span = s * s + s - 2
        b = span / (2 * s * (s + 1))
        return 1 - b + b * legendre(s, 1 - 4 / span * total * dt)
    half = [rate * dt / 2 for rate in rates]
    implicit = np.prod([1 + each for each in half])
    if len(rates) < 3:
        return np.prod([1 - each for each in half]) / implicit
    return 1 - total * dt / implicit


CASES = [
    *itertools.product(["explicit", "rkl2", "spectral"], [2, 4, 6, 8]),
    ("adi", 2),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("method", "order"), CASES)
@pytest.mark.parametrize(
    "lines",
    [*((name,) for name in LINES), ("zero", "periodic"), ("insulated, zero", "zero", "insulated")],
    ids=", ".join,
)
def test_modes_decay_as_the_scheme_says(engine, lines, method, order, dtype):
    shape = {1: (19,), 2: (9, 34), 3: (5, 8, 17)}[len(lines)]
    spacing, D, decay = (0.5, 0.75, 1.0)[: len(shape)], (0.5, 1.0, 0.25)[: len(shape)], 0.125
    boundary = {}
    for axis, name in enumerate(lines):
        low, high = LINES[name][:2]
        boundary |= (
            {axis: low} if name == "periodic" else {(axis, "low"): low, (axis, "high"): high}
        )
    ends = [max(eigenvalue(LINES[name][2](j, n), h, order) for j in range(n))
            for name, n, h in zip(lines, shape, spacing, strict=True)]  # fmt: skip
    largest = decay + sum(d * end for d, end in zip(D, ends, strict=True))
    # Between two numbers of stages, and where ADI and RKL2 leave something of the modes.
    dt = {"explicit": 0.9 * 2, "rkl2": 11.3, "adi": 7.0, "spectral": 3.0}[method] / largest
    steps = 4
    run = {"time": steps * dt} if method == "spectral" else {"steps": steps, "dt": dt}
    rng = np.random.default_rng(0)
    for _ in range(6):
        j = [int(rng.integers(n)) for n in shape]
        parts = [mode(name, k, n) for name, k, n in zip(lines, j, shape, strict=True)]
        field = np.prod(np.broadcast_arrays(*np.ix_(*(vector for vector, _ in parts))), axis=0)
        rates = [d * eigenvalue(theta, h, order) + decay / len(shape)
                 for d, (_, theta), h in zip(D, parts, spacing, strict=True)]  # fmt: skip
        expected = field * factor(method, rates, largest, dt) ** steps
        out = numfuse.diffuse(
            field.astype(dtype), D, spacing=spacing, boundary=boundary, decay=decay, order=order,
            method=method, **run,
        )  # fmt: skip
        # 40 roundings for a step or stage, each of at most the mode's size times 1 + dt·λ; a
        # transform sums n products along each axis, of the size of the field's 2-norm.
        count = 40 * steps * {"explicit": 3, "rkl2": stages(dt * largest), "adi": 8}.get(method, 1)
        if method == "spectral":
            count += 4 * sum(shape) * np.prod(shape) ** 0.5
        bound = count * UNIT[np.dtype(dtype)] * np.abs(field).max()
        np.testing.assert_allclose(out, expected, rtol=0, atol=bound)
