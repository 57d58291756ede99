"""L-BFGS by itself, on functions whose minimum is known."""

import math

import numpy as np
import pytest

from numfuse._finetune_minimise import minimise

EVALUATIONS = 2000


def run(function, start, *, tolerance=1e-8, max_iter=1000):
    """The outcome, the iterations, and how many evaluations they took."""
    accepted = []
    generator = minimise(np.array(start, float), max_iter, tolerance, accepted)
    point, count = next(generator), 0
    while count < EVALUATIONS:
        count += 1
        value, gradient = function(point)
        try:
            point = generator.send((value, gradient, float(np.abs(gradient).max())))
        except StopIteration as end:
            return end.value, accepted, count
    raise AssertionError("it does not come to an end")


def rosenbrock(x):
    a, b = x[:-1], x[1:]
    gradient = np.zeros_like(x)
    gradient[:-1] = -400 * a * (b - a**2) - 2 * (1 - a)
    gradient[1:] += 200 * (b - a**2)
    return float((100 * (b - a**2) ** 2 + (1 - a) ** 2).sum()), gradient


@pytest.mark.parametrize("width", [2, 10, 50])
def test_the_bent_valley_of_rosenbrock_is_followed_to_its_end(width):
    outcome, accepted, _ = run(rosenbrock, -np.ones(width) * 1.2)
    assert outcome.converged
    np.testing.assert_allclose(outcome.point, 1, atol=1e-6)
    assert (np.diff([each.loss for each in accepted]) <= 0).all()


def test_a_round_bowl_takes_two_steps():
    outcome, accepted, _ = run(lambda x: (float(x @ x) / 2, x.copy()), [3.0, -4.0, 12.0])
    assert outcome.converged
    assert len(accepted) <= 2


@pytest.mark.parametrize("condition", [10.0, 1e2, 1e4])
def test_a_stretched_bowl_is_solved_to_its_tolerance(condition):
    scale = np.logspace(0, math.log10(condition), 20)
    outcome, _, _ = run(lambda x: (float(scale @ x**2) / 2, scale * x), np.ones(20), tolerance=1e-6)
    assert outcome.converged
    assert np.abs(scale * outcome.point).max() <= 1e-6


def test_a_start_at_the_minimum_is_left_there():
    outcome, accepted, count = run(lambda x: (float(x @ x), 2 * x), np.zeros(3))
    assert (outcome.converged, len(accepted), count) == (True, 0, 1)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_points_without_a_value_are_stepped_back_from(bad):
    def wall(x):
        """−ln of 1 − x², which has no value beyond 1."""
        if (np.abs(x) >= 1).any():
            return bad, np.full_like(x, math.nan)
        return float(-np.log1p(-(x**2)).sum()), 2 * x / (1 - x**2)

    outcome, _, _ = run(wall, [0.99, -0.999])
    assert outcome.converged
    np.testing.assert_allclose(outcome.point, 0, atol=1e-8)


def test_a_gradient_that_lies_comes_to_an_end():
    outcome, _, count = run(lambda x: (float(x @ x), -2 * x), np.ones(4))
    assert not outcome.converged
    assert count < 200
    # Steps within the value's rounding are taken, and lead nowhere.
    np.testing.assert_allclose(outcome.point, 1, rtol=1e-12)


def test_noise_in_the_value_does_not_hide_the_minimum():
    rng = np.random.default_rng(0)
    scale = np.logspace(0, 2, 10)

    def noisy(x):
        value = 1 + float(scale @ x**2) / 2
        return value * (1 + 1e-8 * rng.standard_normal()), scale * x

    accepted = []
    generator = minimise(np.ones(10), 1000, 1e-6, accepted, rounding=1.2e-7)
    point = next(generator)
    with pytest.raises(StopIteration) as end:
        for _ in range(EVALUATIONS):
            value, gradient = noisy(point)
            point = generator.send((value, gradient, float(np.abs(gradient).max())))
    # The gradient is below its noise in the value: 1e-8·1 is what a step of √(2e-8/100) gains.
    assert end.value.value.converged


def test_so_many_iterations_and_no_more():
    for count in (1, 3, 7):
        outcome, accepted, _ = run(rosenbrock, [-1.2, 1.0], max_iter=count)
        assert len(accepted) == count
        assert not outcome.converged
