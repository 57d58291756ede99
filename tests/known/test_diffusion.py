"""Diffusion where the answer is known in closed form."""

import math

import numpy as np
import pytest

import numfuse

METHODS = ["explicit", "rkl2", "adi", "spectral"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_heat_kernel(engine, ndim, method):
    """exp(−r²/2σ²)·(σ0/σ)ⁿ with σ² = σ0² + 2Dt.

    In space the scheme is off by h²/12·D·Σ ∂⁴u/∂x⁴ in each moment, of which the maximum principle
    makes no more than its integral; |∂⁴u/∂x⁴| ≤ 3·peak/σ⁴. Euler's steps are off by dt/2·u_tt,
    |u_tt| ≤ n(n + 2)·D²·peak/σ⁴. RKL2 and ADI take steps that are shorter than would show.
    """
    n, h, D, time, start = {1: 200, 2: 80, 3: 30}[ndim], 0.25, 0.5, 0.5, 1.0
    x = (np.arange(n) - (n - 1) / 2) * h
    square = sum(np.meshgrid(*[x**2] * ndim, indexing="ij", sparse=True))

    def gauss(t):
        width = start + 2 * D * t
        return (start / width) ** (ndim / 2) * np.exp(-square / (2 * width))

    run = {"time": time} if method == "spectral" else {"time": time, "dt": 0.005}
    later = numfuse.diffuse(gauss(0.0), D, spacing=h, method=method, **run)
    integral = time * 3 / start**2  # σ only grows
    bound = ndim * h**2 / 12 * D * integral
    bound += 0.005 / 2 * ndim * (ndim + 2) * D**2 * time / start**2 if method == "explicit" else 0
    tails = math.exp(-(x[-1] ** 2) / (2 * (start + 2 * D * time)))  # what the box cuts off
    assert np.abs(later - gauss(time)).max() <= 1.05 * bound + 2 * tails


@pytest.mark.parametrize("method", METHODS)
def test_plate_between_two_held_edges_ends_as_a_straight_line(engine, method):
    """The scheme has the line itself as its steady state, and exp(−π²·2) of the start is left."""
    n = 32
    line = (np.arange(n) + 0.5) / n
    boundary = {(0, "low"): ("value", 2.0), (0, "high"): ("value", 5.0)}
    field = np.full((n, 5), 3.0)
    # ADI damps short waves but slowly in long steps
    run = {"time": 4.0} if method in ("explicit", "spectral") else {"time": 4.0, "dt": 0.01}
    later = numfuse.diffuse(field, 1.0, spacing=1 / n, boundary=boundary, method=method, **run)
    expected = np.broadcast_to((2 + 3 * line)[:, None], field.shape)
    # 8,000 explicit steps round at most some units each, and forget them with the slowest mode
    np.testing.assert_allclose(later, expected, rtol=0, atol=1e-10 if method != "adi" else 1e-6)


@pytest.mark.parametrize("method", METHODS[:3])
def test_layers_between_two_edges_keep_the_flux_of_their_resistances(engine, method):
    """Harmonic means make layers exact: the flux is Δu / Σ dᵢ/Dᵢ, each layer a straight line."""
    D = np.repeat([1.0, 4.0, 0.5, 2.0], [5, 7, 3, 9])
    h = 0.5
    resistance = np.cumsum(h / D)
    flux = 10.0 / resistance[-1]
    steady = 10.0 - flux * (resistance - h / D / 2)
    boundary = {(0, "low"): ("value", 10.0), (0, "high"): ("value", 0.0)}
    later = numfuse.diffuse(
        steady, D, spacing=h, boundary=boundary, method=method, steps=50, dt=0.02
    )
    np.testing.assert_allclose(later, steady, rtol=0, atol=50 * 100 * 2.0**-53 * 10)


@pytest.mark.parametrize("method", METHODS[:3])
def test_wall_that_radiates_ends_where_what_comes_in_goes_out(engine, method):
    """a·u + b·∂u/∂n = c on the right, u = 1 on the left: a line with slope (c − a)/(a·L + b)."""
    n, a, b, c = 20, 2.0, 0.5, 6.0
    x = (np.arange(n) + 0.5) / n
    line = 1 + (c - a) / (a + b) * x
    boundary = {(0, "low"): ("value", 1.0), (0, "high"): ("robin", a, b, c)}
    later = numfuse.diffuse(
        line, 1.0, spacing=1 / n, boundary=boundary, method=method, steps=60, dt=0.001
    )
    np.testing.assert_allclose(later, line, rtol=0, atol=60 * 100 * 2.0**-53 * 4)


@pytest.mark.parametrize("method", METHODS)
def test_source_against_decay_fills_up_as_one_cell_does(engine, method):
    """u = s/λ·(1 − exp(−λt)) in every cell; Euler's factor is (1 − λ·dt)ⁿ."""
    decay, source, time, steps = 0.5, 3.0, 2.0, 400
    later = numfuse.diffuse(
        np.zeros((6, 7)), 1.0, decay=decay, source=source, method=method, time=time, dt=time / steps
    )
    left = (1 - decay * time / steps) ** steps if method == "explicit" else math.exp(-decay * time)
    # the others are of second order: (λ·dt)²/12·λt at most
    bound = 1e-12 if method in ("explicit", "spectral") else (decay * time / steps) ** 2 / 6
    np.testing.assert_allclose(
        later, source / decay * (1 - left), rtol=0, atol=source / decay * bound
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("advection", ["upwind", "limited"])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("direction", [1, -1])
def test_stream_of_one_cell_a_step_shifts_the_field(engine, advection, axis, direction, dtype):
    """Upwind at dt = h/v is a shift, to the bit; limited at half of it keeps the mass and the range."""
    field = np.random.default_rng(0).integers(0, 8, (12, 21)).astype(dtype)
    velocity = np.zeros((2, 12, 21))
    velocity[axis] = 2.0 * direction
    given = {"spacing": 0.5, "velocity": velocity, "boundary": "periodic", "advection": advection}
    if advection == "upwind":
        later = numfuse.diffuse(field, 0.0, steps=5, dt=0.25, **given)
        np.testing.assert_array_equal(later, np.roll(field, 5 * direction, axis))
    else:
        later = numfuse.diffuse(field, 0.0, steps=20, dt=0.125, **given)
        assert later.sum(dtype=float) == pytest.approx(field.sum(dtype=float), rel=1e-5)
        assert later.min() >= -1e-4 and later.max() <= 7 + 1e-4


def test_published_coefficients_of_the_five_point_star(engine):
    """Abramowitz and Stegun, Handbook of Mathematical Functions, 25.3.30."""
    field = np.zeros((5, 5))
    field[2, 2] = 1.0
    star = np.zeros((5, 5))
    star[2, 1] = star[2, 3] = star[1, 2] = star[3, 2] = 4.0
    star[2, 2] = -16.0
    np.testing.assert_array_equal(numfuse.laplacian(field, spacing=0.5), star)
