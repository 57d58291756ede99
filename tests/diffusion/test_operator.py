"""du/dt by the formula, cell by cell: the reference, the Laplacian, and one step of every engine."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import numfuse
from numfuse.reference import diffusion as reference

from . import formula
from .problems import KINDS, UNIT, cases, problem

# Central differences of the second derivative: B. Fornberg, Math. Comp. 51 (1988), table 1.
WEIGHTS = {
    2: [-2, 1],
    4: [-5 / 2, 4 / 3, -1 / 12],
    6: [-49 / 18, 3 / 2, -3 / 20, 1 / 90],
    8: [-205 / 72, 8 / 5, -1 / 5, 8 / 315, -1 / 560],
}


def scale(u, problem):
    """Size of what the rate sums: rounding errors are a few units of it."""
    rows = reference.largest_rate(problem)
    speed = 0 if problem.velocity is None else 1 / reference.step_limit(problem)
    constant = np.abs(reference.operator(np.zeros((1, *problem.shape)), problem)).max()
    return np.abs(u).max(initial=0) * (rows + 2 * speed) + constant


@settings(max_examples=200)
@given(case=cases(dtypes=("f8",), methods=("explicit",), most=60))
def test_reference_is_the_formula_in_every_cell(case):
    problem = case.problem()._replace(order=2)
    rates = reference.operator(case.field, problem)
    inside = np.nan_to_num(case.field, nan=0.0, posinf=0.0)
    for u, ours in zip(inside, rates, strict=True):
        bound = 60 * UNIT[np.dtype("f8")] * scale(u, problem)  # 20 operations along each axis
        np.testing.assert_allclose(ours, formula.rate(u, problem), rtol=0, atol=bound)


@settings(max_examples=60)
@given(
    shape=st.sampled_from([(1,), (2,), (9,), (7, 4), (1, 5), (3, 4, 5), (2, 1, 3)]),
    seed=st.integers(0, 2**32 - 1),
)
def test_functions_of_time_are_read_at_the_time_given(shape, seed):
    rng = np.random.default_rng(seed)
    walls = rng.random(shape) < 0.1
    options = {
        "diffusivity": rng.random(shape),
        "walls": walls,
        "source": lambda t: t * np.cos(np.arange(np.prod(shape))).reshape(shape),
        "boundary": {
            (0, "low"): ("value", lambda t: t * t),
            (0, "high"): ("robin", 1.0, 0.5, lambda t: np.full(shape[1:], 1 - t)),
        },
    }
    made = problem(shape, "f8", **options)
    u = rng.standard_normal((1, *shape))
    ours = reference.operator(u, made, time=1.25)[0]
    theirs = formula.rate(np.where(walls, 0, u[0]), made, time=1.25)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "shape", [(1,), (2,), (37,), (6, 35), (5, 1), (4, 5, 18), (70, 133)], ids=str
)
def test_laplacian_is_the_formula(engine, shape, kind, dtype):
    rng = np.random.default_rng(1)
    spacing = tuple(0.5 + np.arange(len(shape)) / 4)
    boundary = {"value": ("value", 1.5), "flux": ("flux", -0.5), "robin": ("robin", 1.0, 0.75, 2.0)}
    options = {"spacing": spacing, "boundary": boundary.get(kind, kind)}
    u = rng.standard_normal(shape).astype(dtype)
    made = problem(shape, "f8", 1.0, **options)
    out = numfuse.laplacian(u, **options)
    assert out.dtype == dtype
    bound = 40 * UNIT[u.dtype] * scale(u, made)
    np.testing.assert_allclose(out, formula.rate(u, made), rtol=0, atol=bound)


@pytest.mark.parametrize("order", WEIGHTS)
@pytest.mark.parametrize("sides", ["periodic", "ii", "iv", "vi", "vv"])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 9, 40])
def test_laplacian_of_higher_order_mirrors_at_its_sides(engine, n, sides, order):
    """Against the stencil on a line that is written out mirror by mirror."""
    u = np.random.default_rng(n).standard_normal(n)
    spec = {"i": "insulated", "v": ("value", 0.0)}
    if sides == "periodic":
        boundary, line = sides, np.concatenate([u] * 11)
    else:
        low, high = ({"i": 1, "v": -1}[letter] for letter in sides)
        boundary = {(0, "low"): spec[sides[0]], (0, "high"): spec[sides[1]]}
        parts = [u]
        for mirror in range(5):  # at both ends, in turn
            parts = [*parts, parts[-1][::-1] * (high if mirror % 2 == 0 else low)]
            parts = [parts[0][::-1] * (low if mirror % 2 == 0 else high), *parts]

        line = np.concatenate(parts)
    weights = np.array(WEIGHTS[order])
    centre = 5 * n + np.arange(n)
    expected = weights[0] * line[centre]
    for k, weight in enumerate(weights[1:], start=1):
        expected = expected + weight * (line[centre + k] + line[centre - k])
    out = numfuse.laplacian(u, spacing=0.5, boundary=boundary, order=order)
    bound = 30 * UNIT[u.dtype] * 8 * np.abs(u).max() / 0.25
    np.testing.assert_allclose(out, expected / 0.25, rtol=0, atol=bound)


def test_laplacian_of_a_parabola_is_its_second_derivative(engine):
    """Central differences of second order are exact for polynomials of third degree."""
    x, y = np.arange(40) / 4, np.arange(33) / 2
    u = x[:, None] ** 2 - 3 * y**2 + x[:, None] * y
    inner = numfuse.laplacian(u, spacing=(0.25, 0.5))[1:-1, 1:-1]
    np.testing.assert_allclose(inner, 2 - 6, rtol=0, atol=40 * 2.0**-53 * np.abs(u).max() / 0.25**2)


def test_laplacian_leaves_other_axes_apart(engine):
    u = np.random.default_rng(0).standard_normal((3, 20, 2, 30))
    out = numfuse.laplacian(u, axes=(3, -3), spacing=(1.0, 0.5))
    for i in range(3):
        for j in range(2):
            alone = numfuse.laplacian(u[i, :, j].T, spacing=(1.0, 0.5))
            np.testing.assert_array_equal(out[i, :, j].T, alone)
