"""Steps chosen by tolerance: the bound holds against the exact exponential, whatever the field.

Exact: the operator as a dense matrix, column by column, and its exponential by eigenvalues.
"""

from functools import cache

import numpy as np
import pytest

import numfuse
from numfuse import Diffusion
from numfuse import _diffusion_plan as plans
from numfuse import _diffusion_spectrum as spectra

SHAPE = (9, 12)
RNG = np.random.default_rng(0)
VARIED = RNG.uniform(0.05, 2.0, SHAPE)
LAYERS = np.where(np.arange(SHAPE[1]) % 4 < 2, 1.0, 50.0) * np.ones(SHAPE)
WALLS = RNG.random(SHAPE) < 0.15
HELD = RNG.random(SHAPE) < 0.1
MIXED = {0: ("value", 1.5), (1, "low"): ("flux", 0.5), (1, "high"): ("robin", 1.0, 2.0, 0.5)}
PROBLEMS = {
    "insulated": {"diffusivity": 1.0},
    "periodic": {"diffusivity": (1.0, 3.0), "boundary": "periodic"},
    "value 0": {"diffusivity": 1.0, "boundary": ("value", 0.0)},
    "order 8": {"diffusivity": 1.0, "order": 8, "boundary": {0: "periodic", (1, "low"): ("value", 0)}},
    "decay": {"diffusivity": 1.0, "decay": 0.2},
    "source and sides": {"diffusivity": 1.0, "boundary": MIXED, "source": 0.7},
    "varied": {"diffusivity": VARIED},
    "layers": {"diffusivity": LAYERS, "boundary": "periodic"},
    "varied, walls": {"diffusivity": VARIED, "walls": WALLS, "decay": VARIED / 9},
    "varied, held, sides": {"diffusivity": VARIED, "held": HELD, "boundary": MIXED, "source": 1.0},
}  # fmt: skip


def change(problem, field):
    """du/dt, by the reference."""
    from numfuse._diffusion_problem import fitted
    from numfuse.reference import diffusion as reference

    fit = fitted(problem._options, field.shape[1:], field.dtype)
    return reference.operator(field, fit)


@cache
def exact(name, time):
    """The fields after a time: exp of the operator and what it is fed with, in an augmented matrix."""
    problem, fields = Diffusion(**PROBLEMS[name], axes=(1, 2)), starts(name)
    cells = SHAPE[0] * SHAPE[1]
    fed = change(problem, np.zeros((1, *SHAPE))).ravel()
    units = np.eye(cells).reshape(cells, *SHAPE)
    matrix = (change(problem, units).reshape(cells, cells) - fed).T
    whole = np.zeros((cells + 1, cells + 1))
    whole[:cells, :cells], whole[:cells, cells] = matrix * time, fed * time
    squarings = max(int(np.ceil(np.log2(np.abs(whole).sum(1).max() + 1))) + 4, 0)
    small, term = whole / 2.0**squarings, np.eye(cells + 1)
    power = term.copy()
    for k in range(1, 16):  # Taylor: small is below 1/16
        term = term @ small / k
        power += term
    for _ in range(squarings):
        power = power @ power
    flat = np.concatenate([fields.reshape(-1, cells), np.ones((len(fields), 1))], axis=1)
    return (flat @ power.T)[:, :cells].reshape(fields.shape)


@cache
def starts(name):
    """Noise, smooth fields, single cells and the chequered one."""
    y, x = np.ogrid[: SHAPE[0], : SHAPE[1]]
    made = list(RNG.standard_normal((4, *SHAPE)))
    made += [np.cos(np.pi * (y + 0.5) * k / SHAPE[0]) + 0 * x for k in range(3)]
    made += [np.cos(np.pi * (x + 0.5) * k / SHAPE[1]) + 0 * y for k in range(3)]
    made.append((-1.0) ** (x + y))
    single = np.zeros(SHAPE)
    single[4, 5] = 1
    start = np.stack([*made, single])
    if "walls" in PROBLEMS[name]:
        start[:, WALLS] = 0
    return start


def norms(a):
    return np.sqrt((a * a).sum((1, 2)))


def methods():
    for name, options in PROBLEMS.items():
        for method in ("auto", "explicit", "rkl2", "adi"):
            if not (method == "adi" and "order" in options):
                for tolerance in (1e-2, 1e-4) if method == "adi" else (1e-2, 1e-4, 1e-6):
                    yield name, method, tolerance


@pytest.mark.parametrize(("name", "method", "tolerance"), list(methods()))
def test_the_error_is_below_the_bound_and_the_bound_below_the_tolerance(name, method, tolerance):
    options, start = PROBLEMS[name], starts(name)
    for time in (0.01, 1.0, 30.0):
        problem = Diffusion(**options, method=method, tolerance=tolerance, axes=(1, 2))
        plan = problem.plan(start, time=time)
        end, right = problem.advance(start, time=time), exact(name, time)
        size = np.maximum(norms(start), norms(right))
        # What Taylor's and the steps' rounding may add, far below every tolerance here.
        assert (norms(end - right) <= plan.bound * size + 1e-11 * size).all(), (time, plan)
        if method != "explicit":
            assert plan.bound <= tolerance, (time, plan)


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_stable_step_is_below_two_over_the_largest_eigenvalue_and_above_its_half(name):
    problem = Diffusion(**PROBLEMS[name], axes=(1, 2))
    cells = SHAPE[0] * SHAPE[1]
    units = np.eye(cells).reshape(cells, *SHAPE)
    fed = change(problem, np.zeros((1, *SHAPE))).ravel()
    matrix = change(problem, units).reshape(cells, cells) - fed
    largest = np.abs(np.linalg.eigvals(matrix)).max()
    step = problem.stable_step(units)
    assert step <= 2 / largest * (1 + 1e-12)
    assert step >= 1 / largest * (1 - 1e-12)
    box = {"insulated", "periodic", "value 0", "order 8", "decay"}
    if name in box:
        assert step == pytest.approx(2 / largest, rel=1e-12)


@pytest.mark.parametrize(
    "name", [name for name in PROBLEMS if "varied" in name or name == "layers"]
)
@pytest.mark.parametrize("backend", ["rust", "numpy"])
def test_a_tightened_bound_is_a_bound_and_no_looser(name, backend):
    from numfuse._diffusion_problem import fitted

    problem = Diffusion(**PROBLEMS[name], axes=(1, 2))
    cells = SHAPE[0] * SHAPE[1]
    fed = change(problem, np.zeros((1, *SHAPE))).ravel()
    units = np.eye(cells).reshape(cells, *SHAPE)
    matrix = change(problem, units).reshape(cells, cells) - fed
    largest = np.abs(np.linalg.eigvals(matrix)).max()
    with numfuse.config_context(backend=backend):
        fit = fitted(problem._options, SHAPE, np.dtype(float))
        loose = spectra.spectrum(fit)
        tight = spectra.tightened(fit, loose)
    assert largest <= tight.largest <= loose.largest


def test_rkl2_as_the_bound_sees_it_is_rkl2_as_it_runs():
    """R(z) = 1 − b + b·P(1 + wz) against the reference's recursion over the stages."""
    from numfuse.reference import diffusion as reference

    mode = np.cos(np.pi * 3 * (np.arange(16) + 0.5) / 16)
    rate = 4 * np.sin(np.pi * 3 / 32) ** 2
    problem = Diffusion(1.0)
    problem.stable_step(mode)
    fit = next(iter(problem._grids.values())).problem
    for stages in (2, 3, 6, 11):
        dt = 0.3 * (stages * stages + stages - 2) / 2
        run = reference.rkl2(mode[None], fit, dt, 1, stages)[0]
        span = stages * stages + stages - 2
        b = span / (2 * stages * (stages + 1))
        at = 1 - 4 / span * dt * rate
        legendre = np.polynomial.legendre.Legendre.basis(stages)(at)
        np.testing.assert_allclose(run, (1 - b + b * legendre) * mode, atol=1e-13)


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize("backend", ["rust", "numpy"])
def test_rkl1_as_the_bound_sees_it_is_rkl1_as_it_runs(backend, order):
    """R(z) = P(1 + wz), w = 2/(s² + s), and stays at walls' and held cells' bits."""
    from numfuse import _diffusion_plan, _diffusion_run

    mode = np.cos(np.pi * 3 * (np.arange(16) + 0.5) / 16)
    rate = spectra.symbol(np.pi * 3 / 16, order)
    problem = Diffusion(1.0, order=order)
    problem.stable_step(mode)
    fit = next(iter(problem._grids.values())).problem
    for stages in (2, 3, 6, 11):
        dt = 0.3 * (stages * stages + stages)
        at = 1 - 2 / (stages * stages + stages) * dt * rate
        legendre = np.polynomial.legendre.Legendre.basis(stages)(at)
        schedule = _diffusion_plan.Schedule("rkl2", 1e-9, 1, 2, 0.0, (dt,), stages)
        out = np.empty((1, 16))
        with numfuse.config_context(backend=backend):
            _diffusion_run.run(fit, mode[None], out, schedule, 0.0)
        np.testing.assert_allclose(out[0], legendre * mode, atol=1e-8)


@pytest.mark.parametrize("backend", ["rust", "numpy"])
def test_walls_and_held_cells_keep_their_bits_through_a_plan(backend):
    start = starts("varied").copy()
    start[:, WALLS] = np.array([np.nan, np.inf, -np.inf, 7.0] * 27)[: WALLS.sum()]
    problem = Diffusion(VARIED, walls=WALLS, held=HELD & ~WALLS, axes=(1, 2), tolerance=1e-4)
    with numfuse.config_context(backend=backend):
        assert "RKL1" in problem.plan(start, time=30.0).why
        end = problem.advance(start, time=30.0)
    for kept in (WALLS, HELD & ~WALLS):
        np.testing.assert_array_equal(end[:, kept], start[:, kept])
    assert np.isfinite(end[:, ~WALLS]).all()


def test_stages_are_enough_and_few():
    for rate in np.geomspace(1e-3, 1e6, 400):
        stages = spectra.stages_for(rate)
        assert (stages * stages + stages - 2) / 2 >= rate * (1 - 1e-12)
        fewer = stages - 2
        assert fewer < 2 or (fewer * fewer + fewer - 2) / 2 < rate or stages == 3


def test_the_symbol_is_that_of_the_stencil():
    angles = np.linspace(0, np.pi, 7)
    weights = {
        2: [1.0],
        4: [4 / 3, -1 / 12],
        6: [3 / 2, -3 / 20, 1 / 90],
        8: [8 / 5, -1 / 5, 8 / 315, -1 / 560],
    }
    for order, w in weights.items():
        for angle in angles:
            right = sum(c * 2 * (1 - np.cos((k + 1) * angle)) for k, c in enumerate(w))
            assert spectra.symbol(angle, order) == pytest.approx(right, abs=1e-13)


def test_auto_does_not_trust_an_estimate():
    for name in ("varied", "layers", "varied, walls", "varied, held, sides"):
        for time in (0.1, 10.0, 1000.0):
            plan = Diffusion(**PROBLEMS[name], axes=(1, 2)).plan(starts(name), time=time)
            assert plan.method in ("explicit", "rkl2")
            assert "estimate" not in plan.why


def test_a_plan_says_where_its_bound_is_an_estimate():
    varied = Diffusion(VARIED, method="adi").plan(VARIED, time=1.0)
    stirred = Diffusion(1.0, velocity=np.ones((2, *SHAPE))).plan(VARIED, time=1.0)
    fed = Diffusion(1.0, source=lambda time: time).plan(VARIED, time=1.0)
    for plan in (varied, stirred, fed):
        assert "estimate" in plan.why
    assert "velocity" in stirred.why
    assert "function of time as source" in fed.why


def test_plans_depend_on_shape_and_dtype_alone():
    problem = Diffusion(VARIED, tolerance=1e-4)
    plan = problem.plan(np.zeros(SHAPE), time=3.0)
    assert problem.plan(np.full(SHAPE, np.nan), time=3.0) == plan
    assert Diffusion(VARIED, tolerance=1e-4).plan(RNG.standard_normal(SHAPE), time=3.0) == plan


def test_no_time_takes_no_steps():
    for method in ("auto", "explicit", "rkl2", "adi", "spectral"):
        problem = Diffusion(1.0, method=method)
        plan = problem.plan(np.zeros(SHAPE), time=0.0)
        assert (plan.steps, plan.bytes, plan.bound) == (0, 0, 0.0)
        np.testing.assert_array_equal(problem.advance(VARIED, time=0.0), VARIED)


@pytest.mark.parametrize("backend", ["rust", "numpy"])
@pytest.mark.parametrize(
    ("diffusivity", "shape"),
    [(0.0, SHAPE), (np.zeros(SHAPE), SHAPE), (0.3, (1, 1)), (0.3, (0, 6)), (0.3, (6, 0)), (0.3, (0,))],
)  # fmt: skip
def test_adi_moves_on_what_does_not_move_as_the_other_methods_do(backend, diffusivity, shape):
    field = RNG.standard_normal(shape)
    with numfuse.config_context(backend=backend):
        for options in ({}, {"source": 0.7}):
            problem = Diffusion(diffusivity, method="adi", **options)
            assert problem.plan(field, time=2.0).bound == 0.0
            end = problem.advance(field, time=2.0)
            right = Diffusion(diffusivity, method="explicit", **options).advance(field, time=2.0)
            np.testing.assert_allclose(end, right, rtol=1e-13)
            np.testing.assert_allclose(right, field + 2 * options.get("source", 0), rtol=1e-13)


@pytest.mark.parametrize(("diffusivity", "time"), [(0.3, 1e308), (1e300, 1.0), (1e300, 1e300)])
def test_auto_leaves_out_what_cannot_go_so_far(diffusivity, time):
    problem = Diffusion(diffusivity)
    assert problem.plan(VARIED, time=time).method == "spectral"
    end = problem.advance(VARIED, time=time)
    np.testing.assert_allclose(end, np.full(SHAPE, VARIED.mean()), rtol=1e-12)


def test_the_fewest_are_found():
    for least in (1, 5):
        for guess in (1, 7, 300):
            for wanted in (1, 2, 5, 6, 40, 999):
                found = plans._fewest(lambda n, wanted=wanted: n >= wanted, least, guess)
                assert found == max(wanted, least)
    assert plans._fewest(lambda n: False, 1, 3, 50) == 51
