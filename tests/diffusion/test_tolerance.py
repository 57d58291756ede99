"""A tolerance is kept on random fields, with a varied D, against the exact answer in time."""

import functools

import numpy as np
import pytest

import numfuse
from numfuse.reference import diffusion as reference

from .problems import problem

SHAPE = (22, 24)


@functools.cache
def eigen():
    """D from e⁻² to e², insulated: L is symmetric, so that its eigenvectors are orthogonal."""
    D = np.exp(np.clip(np.random.default_rng(1).standard_normal(SHAPE), -2, 2))
    n = D.size
    matrix = reference.operator(np.eye(n).reshape(n, *SHAPE), problem(SHAPE, "f8", D)).reshape(n, n)
    return D, *np.linalg.eigh(matrix)


@pytest.mark.parametrize("steps", [20, 2000])
@pytest.mark.parametrize("method", ["auto", "rkl2"])
def test_ten_random_fields_end_within_the_tolerance(engine, method, steps):
    """For the time of so many explicit steps; the issue's size of 1024² is in the benchmarks."""
    D, rates, vectors = eigen()
    grid = numfuse.Diffusion(D, method=method, tolerance=1e-4)
    for seed in range(10):
        field = np.random.default_rng(seed).standard_normal(SHAPE)
        time = steps * grid.stable_step(field)
        modes = vectors.T @ field.ravel() * np.exp(rates * time)
        truth = (vectors @ modes).reshape(SHAPE)
        error = np.linalg.norm(grid.advance(field, time=time) - truth)
        assert error <= 1e-4 * max(np.linalg.norm(field), np.linalg.norm(truth))
        assert grid.plan(field, time=time).bound <= 1e-4
