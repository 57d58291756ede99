"""Exact in time: each eigenvector of the stencil decays at its own rate.

A line of n cells between two mirrors has the eigenvectors cos or sin of θ·(i + ½), a ring those of
θ·i. All have the eigenvalue of the stencil's weights, Σ w_k·(2 − 2·cos kθ) / h²:

================= ================== ============ =============
sides             vector i           θ            transform
================= ================== ============ =============
periodic          cos θi + sin θi    2πj / n      Hartley
insulated twice   cos θ(i + ½)       πj / n       DCT-II
value twice       sin θ(i + ½)       π(j + 1) / n DST-II
insulated, value  cos θ(i + ½)       π(j + ½) / n DCT-IV
value, insulated  sin θ(i + ½)       π(j + ½) / n DST-IV
================= ================== ============ =============
"""

import math
from typing import Any

import numpy as np

from numfuse.reference.diffusion._faces import Array
from numfuse.reference.diffusion._operator import constant
from numfuse.reference.diffusion._stencil import weights


@np.errstate(all="ignore")
def spectral(u: Array, problem: Any, time: float) -> Array:
    """û ← e^(−λt)·û + (1 − e^(−λt))/λ·b̂ in the basis of eigenvectors, b what u has no part in."""
    b = constant(problem, 0.0)
    rate = np.asarray(0.0 if problem.decay is None else problem.decay, np.float64)
    for axis in range(len(problem.shape)):
        u, b = to_modes(u, problem, axis), to_modes(b, problem, axis)
        along = [1] * len(problem.shape)
        along[axis] = -1
        rate = rate + problem.diffusivity[axis] * eigenvalues(problem, axis).reshape(along)
    gone = -np.expm1(-rate * time)  # 1 − e^(−λt)
    fed = np.where(rate == 0, time, gone / np.where(rate == 0, 1, rate))
    u = u * np.exp(-rate * time).astype(u.dtype) + b * fed.astype(u.dtype)
    for axis in range(len(problem.shape)):
        u = from_modes(u, problem, axis)
    return u


def angles(problem: Any, axis: int) -> Array:
    """θ of each eigenvector, in units of π / 2n: whole numbers."""
    j = np.arange(problem.shape[axis])
    low, high = (side.kind for side in problem.sides[axis])
    if low == "periodic":
        return 4 * j
    if (low == "value") != (high == "value"):
        return 2 * j + 1
    return 2 * j + 2 if low == "value" else 2 * j


def eigenvalues(problem: Any, axis: int) -> Array:
    """Eigenvalues of −∂²/∂x² along an axis, as its stencil and its sides make them."""
    theta = angles(problem, axis) * (math.pi / (2 * problem.shape[axis]))
    terms = [w * 4 * np.sin(k * theta / 2) ** 2 for k, w in enumerate(weights(problem.order), 1)]
    total: Array = sum(terms) / problem.spacing[axis] ** 2
    return total


def basis(problem: Any, axis: int) -> Array:
    """Orthonormal eigenvectors, one a column, (n, n) in float64."""
    n, odd = problem.shape[axis], problem.sides[axis][0].kind == "value"
    if problem.sides[axis][0].kind == "periodic":
        phase = np.outer(2 * np.arange(n), angles(problem, axis))
    else:
        phase = np.outer(2 * np.arange(n) + 1, angles(problem, axis))
    phase = phase % (8 * n) * (math.pi / (4 * n))  # reduced as whole numbers, which is exact
    if problem.sides[axis][0].kind == "periodic":
        vectors = np.cos(phase) + np.sin(phase)
    else:
        vectors = np.sin(phase) if odd else np.cos(phase)
    return vectors / np.sqrt((vectors * vectors).sum(0))


def to_modes(u: Array, problem: Any, axis: int) -> Array:
    """Coefficients of the eigenvectors along one axis of (..., *space)."""
    along = axis - len(problem.shape)
    return np.moveaxis(np.moveaxis(u, along, -1) @ basis(problem, axis).astype(u.dtype), -1, along)


def from_modes(u: Array, problem: Any, axis: int) -> Array:
    """Build the field that has these coefficients."""
    along = axis - len(problem.shape)
    vectors = basis(problem, axis).T.astype(u.dtype)
    return np.moveaxis(np.moveaxis(u, along, -1) @ vectors, -1, along)
