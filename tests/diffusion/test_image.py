"""Smoothing that keeps edges: by its formula, pixel by pixel, and what it must not do."""

import itertools
import math

import numpy as np
import pytest

import numfuse

from .problems import UNIT

CONDUCTANCES = ["exponential", "reciprocal"]
SHAPES = [(1,), (33,), (2, 1), (7, 35), (40, 130), (5, 6, 19)]


def formula(u, edge, conductance, dt):
    """One step of an image (channels, *space)."""
    out = u.copy()
    for place in itertools.product(*map(range, u.shape[1:])):
        for axis, by in itertools.product(range(len(place)), (-1, 1)):
            there = list(place)
            there[axis] += by
            if 0 <= there[axis] < u.shape[axis + 1]:
                d = u[(slice(None), *there)] - u[(slice(None), *place)]
                s = math.sqrt(sum(each * each for each in d)) / edge
                c = math.exp(-s * s) if conductance == "exponential" else 1 / (1 + s * s)
                out[(slice(None), *place)] += dt * c * d
    return out


def step(shape, channels, seed=0):
    """Two regions, a jump of 1 between them, and ripples."""
    rng = np.random.default_rng(seed)
    u = 0.1 * rng.standard_normal((channels, *shape))
    u[..., shape[-1] // 2 :] += 1
    return u


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("conductance", CONDUCTANCES)
@pytest.mark.parametrize("channels", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_smoothing_is_the_formula(engine, shape, channels, conductance, dtype):
    u = step(shape, max(channels, 1)).astype(dtype)
    dt, steps = 0.9 / (2 * len(shape)), 3
    expected = u.astype(float)
    for _ in range(steps if u[0].size < 500 else 1):
        expected = formula(expected, 0.25, conductance, dt)
    given = {
        "steps": steps if u[0].size < 500 else 1,
        "edge": 0.25,
        "conductance": conductance,
        "dt": dt,
    }
    if channels:
        image = np.moveaxis(u, 0, -1)
        out = np.moveaxis(numfuse.diffuse_image(image, channel_axis=-1, **given), -1, 0)
    else:
        out = numfuse.diffuse_image(u[0], **given)[None]
    # A step rounds some 20 operations a face, c by at most 4 units; sizes are those of u and of
    # d·c ≤ edge, and the rate changes with d by at most 1.
    bound = 3 * 20 * 2 * len(shape) * UNIT[np.dtype(dtype)] * np.abs(u).max()
    np.testing.assert_allclose(out, expected, rtol=0, atol=bound)


@pytest.mark.parametrize("conductance", CONDUCTANCES)
def test_smoothing_keeps_the_mean_and_the_edge(engine, conductance):
    u = step((40, 60), 1)[0]
    later = numfuse.diffuse_image(u, steps=200, edge=0.15, conductance=conductance)
    assert later.mean() == pytest.approx(u.mean(), abs=1e-13)
    assert later[:, :30].std() < 0.7 * u[:, :30].std()
    assert later[:, 30:].mean() - later[:, :30].mean() > 0.8


@pytest.mark.parametrize("conductance", CONDUCTANCES)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_mirrored_image_is_smoothed_to_the_mirror_image(engine, conductance, axis):
    u = step((6, 9, 20), 1, seed=3)[0]
    given = {"steps": 5, "edge": 0.2, "conductance": conductance}
    later = numfuse.diffuse_image(u, **given)
    mirrored = np.flip(numfuse.diffuse_image(np.flip(u, axis), **given), axis)
    np.testing.assert_allclose(mirrored, later, rtol=0, atol=5 * 60 * 2.0**-53)


@pytest.mark.parametrize("channels", [None, 3])
def test_smoothing_has_the_same_bits_at_any_number_of_threads(level, channels):
    u = step((130, 210), channels or 1).astype(np.float32)
    image = u if channels else u[0]
    given = {"steps": 9, "edge": 0.2, "channel_axis": 0 if channels else None}
    with numfuse.config_context(threads=1):
        alone = numfuse.diffuse_image(image, **given)
    for threads in (2, 3, 7):
        with numfuse.config_context(threads=threads):
            assert numfuse.diffuse_image(image, **given).tobytes() == alone.tobytes()


def test_strong_edge_stops_everything_exactly(engine):
    """exp(−(d/edge)²) of a jump of 100 edges is 0 in any dtype."""
    u = np.zeros((4, 12), np.float32)
    u[:, 6:] = 100.0
    np.testing.assert_array_equal(numfuse.diffuse_image(u, steps=50, edge=1.0), u)
