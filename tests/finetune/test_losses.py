"""The losses' own mathematics: slopes are slopes, curvature is curvature, and what must be equal is."""

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numfuse.reference import finetune

from .cases import LOSSES

EPS = np.finfo(float).eps
# A central difference of step h is off by h²/6 of the third derivative and by eps/h of the value.
STEP = np.cbrt(EPS)


def draw_targets(rng, loss, n, outputs):
    if loss == "softmax":
        y = np.exp(rng.standard_normal((n, outputs)))
        return y / y.sum(axis=1, keepdims=True)
    y = rng.standard_normal((n, outputs))
    return (y > 0).astype(float) if loss == "sigmoid" else y


@st.composite
def problems(draw, losses=LOSSES):
    """loss, θ, features, targets, weights and options of an objective."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    loss = draw(st.sampled_from(losses))
    n, width = draw(st.sampled_from([1, 3, 20])), draw(st.sampled_from([1, 2, 5]))
    outputs = draw(st.sampled_from([1, 2, 4]))
    targets = draw_targets(rng, loss, n, outputs)
    if loss == "softmax" and draw(st.booleans()):
        targets = rng.integers(0, outputs, n)
    weights = None
    if draw(st.booleans()):
        weights = rng.random(n)
        weights[rng.random(n) < 0.3] = 0
    options = {
        "l2": draw(st.sampled_from([0.0, 0.3])),
        "anchor": rng.standard_normal((outputs, width)) if draw(st.booleans()) else None,
        "delta": 0.7,
    }
    if loss in ("softmax", "sigmoid"):
        options["smoothing"] = draw(st.sampled_from([0.0, 0.2]))
    theta = rng.standard_normal((outputs, width + 1))
    return loss, theta, rng.standard_normal((n, width)), targets, weights, options


def slopes(function, point):
    """Central differences of a function of an array, along each of its entries."""
    found = []
    for place in np.ndindex(point.shape):
        h = STEP * max(1.0, abs(point[place]))
        up, down = point.copy(), point.copy()
        up[place] += h
        down[place] -= h
        found.append((function(up) - function(down)) / (up[place] - down[place]))
    return np.array(found)


@given(problem=problems())
def test_gradient_is_the_objectives_slope(problem):
    loss, theta, x, y, w, options = problem

    def value(at):
        return finetune.objective(loss, at, x, y, w, **options)[0]

    gradient = finetune.objective(loss, theta, x, y, w, **options)[1]
    assert gradient.shape == theta.shape and gradient.dtype == theta.dtype
    # Huber's second derivative jumps by |x|² where a residual passes δ: up to h·|x|² of the slope.
    size = max(1.0, np.abs(gradient).max(), abs(value(theta)))
    bound = 1e-7 * size + (STEP * 40 if loss == "huber" else 0)
    assert np.abs(slopes(value, theta) - gradient.ravel()).max() <= bound


@given(problem=problems())
def test_e_is_each_rows_slope_in_its_logits(problem):
    loss, _, x, y, _, options = problem
    options = {name: options[name] for name in ("delta", "smoothing") if name in options}
    rng = np.random.default_rng(len(x))
    outputs = problem[1].shape[0]
    z = 3 * rng.standard_normal((len(x), outputs))
    ell, e = finetune.loss_rows(loss, z, y, **options)
    assert ell.shape == (len(x),) and e.shape == z.shape
    found = slopes(lambda at: finetune.loss_rows(loss, at, y, **options)[0].sum(), z)
    bound = 1e-7 * max(1.0, ell.sum()) + (STEP if loss == "huber" else 0)
    assert np.abs(found - e.ravel()).max() <= bound
    if loss == "softmax":  # probabilities against targets: both sum to 1
        np.testing.assert_allclose(e.sum(axis=1), 0, atol=8 * EPS)


@given(problem=problems(["softmax", "sigmoid", "squared"]))
def test_hessian_is_the_gradients_slope(problem):
    loss, theta, x, y, w, options = problem

    def gradient(at):
        return finetune.objective(loss, at, x, y, w, **options)[1].ravel()

    if w is not None and not w.any():
        w = np.ones_like(w)
    hessian = finetune.hessian(loss, theta, x, y, w, l2=options["l2"])
    found = slopes(gradient, theta)
    assert np.abs(found - hessian).max() <= 1e-6 * max(1.0, np.abs(hessian).max())
    np.testing.assert_allclose(hessian, hessian.T, atol=16 * EPS * np.abs(hessian).max())
    lowest = np.linalg.eigvalsh(hessian).min()  # the objective is convex
    assert lowest >= -64 * len(hessian) * EPS * max(1.0, np.abs(hessian).max())


def test_hubers_curvature_is_that_of_the_side_it_is_on():
    x, y = np.zeros((2, 1)), np.array([0.1, 5.0])
    hessian = finetune.hessian("huber", np.zeros((1, 2)), x, y, delta=1.0)
    np.testing.assert_array_equal(hessian, [[0, 0], [0, 0.5]])


@pytest.mark.parametrize("loss", ["sigmoid", "squared", "huber"])
def test_outputs_side_by_side_are_outputs_alone(loss):
    rng = np.random.default_rng(1)
    x, theta = rng.standard_normal((30, 4)), rng.standard_normal((5, 5))
    y = draw_targets(rng, loss, 30, 5)
    value, gradient = finetune.objective(loss, theta, x, y, l2=0.1)
    alone = [
        finetune.objective(loss, theta[k : k + 1], x, y[:, k], l2=0.1) for k in range(len(theta))
    ]  # fmt: skip
    assert value == pytest.approx(sum(each for each, _ in alone), rel=1e-14)
    np.testing.assert_allclose(gradient, np.vstack([each for _, each in alone]), rtol=1e-12)


@given(problem=problems(), copies=st.integers(2, 4))
def test_weight_of_a_row_is_how_often_it_stands_there(problem, copies):
    loss, theta, x, y, _, options = problem
    weights = np.ones(len(x))
    weights[0], weights[-1] = copies, 0 if len(x) > 1 else copies
    times = weights.astype(int)
    weighed = finetune.objective(loss, theta, x, y, weights, **options)
    repeated = finetune.objective(
        loss, theta, np.repeat(x, times, axis=0), np.repeat(y, times, axis=0), **options
    )  # fmt: skip
    assert weighed[0] == pytest.approx(repeated[0], rel=1e-12)
    np.testing.assert_allclose(weighed[1], repeated[1], rtol=1e-9, atol=1e-12)


def test_rows_that_all_weigh_nothing_leave_the_penalty():
    theta = np.array([[3.0, 4.0, 100.0]])
    value, gradient = finetune.objective(
        "squared", theta, np.ones((2, 2)), np.ones(2), np.zeros(2), l2=0.5
    )  # fmt: skip
    assert value == 0.25 * 25
    np.testing.assert_array_equal(gradient, [[1.5, 2.0, 0.0]])


def test_no_penalty_pulls_the_bias_and_an_anchor_is_where_it_ends():
    theta = np.array([[1.0, -2.0, 7.0]])
    for anchor in (theta[:, :-1], theta, np.array([[1.0, -2.0, np.nan]])):
        value, gradient = finetune.objective(
            "squared", theta, np.zeros((1, 2)), np.array([7.0]), l2=10.0, anchor=anchor
        )  # fmt: skip
        assert value == 0
        assert not gradient.any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_labels_are_soft_targets_that_are_sure(dtype):
    z = np.random.default_rng(2).standard_normal((6, 3)).astype(dtype)
    labels = np.array([0, 2, 1, 1, 0, 2])
    for smoothing in (0.0, 0.2):
        by_label = finetune.loss_rows("softmax", z, labels, smoothing=smoothing)
        by_row = finetune.loss_rows("softmax", z, np.eye(3)[labels], smoothing=smoothing)
        for a, b in zip(by_label, by_row, strict=True):
            assert a.dtype == dtype
            np.testing.assert_array_equal(a, b)


def test_smoothing_mixes_in_the_loss_of_every_output():
    """(1 − ε)·ℓ(y) + ε·the mean of ℓ over all labels, for softmax and for both sides of a sigmoid."""
    z = np.random.default_rng(3).standard_normal((5, 4))
    y = np.array([0, 3, 1, 2, 2])
    each = np.stack([finetune.loss_rows("softmax", z, np.full(5, k))[0] for k in range(4)])
    smooth = finetune.loss_rows("softmax", z, y, smoothing=0.2)[0]
    np.testing.assert_allclose(smooth, 0.8 * each[y, np.arange(5)] + 0.2 * each.mean(axis=0))
    one = z[:, :1]
    no, yes = (finetune.loss_rows("sigmoid", one, np.full(5, label))[0] for label in (0, 1))
    smooth = finetune.loss_rows("sigmoid", one, np.ones(5), smoothing=0.2)[0]
    np.testing.assert_allclose(smooth, 0.8 * yes + 0.2 * (yes + no) / 2)


def test_sigmoid_is_softmax_of_two_whose_first_logit_is_0():
    z = np.random.default_rng(4).standard_normal((9, 1)) * 5
    labels = np.arange(9) % 2
    ell, e = finetune.loss_rows("sigmoid", z, labels)
    both, e_both = finetune.loss_rows("softmax", np.hstack([np.zeros_like(z), z]), labels)
    np.testing.assert_allclose(ell, both, rtol=8 * EPS, atol=2 * EPS)
    np.testing.assert_allclose(e[:, 0], e_both[:, 1], rtol=1e-12)


def test_huber_is_squared_within_delta_and_a_line_beyond():
    r = np.array([[-3.0], [-1.0], [0.0], [0.5], [1.0], [2.5]])
    ell, e = finetune.loss_rows("huber", r, np.zeros(6), delta=1.0)
    np.testing.assert_array_equal(ell, [2.5, 0.5, 0, 0.125, 0.5, 2.0])
    np.testing.assert_array_equal(e[:, 0], [-1, -1, 0, 0.5, 1, 1])
    wide = finetune.loss_rows("huber", r, np.zeros(6), delta=3.0)
    squared = finetune.loss_rows("squared", r, np.zeros(6))
    np.testing.assert_array_equal(wide[0], squared[0])
    np.testing.assert_array_equal(wide[1], squared[1])


EXTREMES = [-1e4, -700.0, -88.0, -1.0, 0.0, 1.0, 88.0, 700.0, 1e4]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logits_of_any_size_give_the_loss_to_the_last_digits(dtype):
    """Against decimals: exponential, sum, logarithm and the sum with a logit, each of a few u."""
    u, tiny = float(np.finfo(dtype).eps) / 2, float(np.finfo(dtype).tiny)
    pairs = [(a, b) for a in EXTREMES for b in EXTREMES]
    z = np.array(pairs, dtype)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        two, e_two = finetune.loss_rows("softmax", z, np.zeros(len(z), int))
        one, e_one = finetune.loss_rows("sigmoid", z[:, :1], np.ones(len(z)))
    with localcontext(prec=350):  # e⁻⁷⁰⁰ beside 1
        for i, (a, b) in enumerate(z.tolist()):
            a, b = Decimal(a), Decimal(b)
            top = max(a, b)
            log_sum = ((a - top).exp() + (b - top).exp()).ln()
            assert two[i] == pytest.approx(float(log_sum + top - a), rel=16 * u, abs=16 * u)
            p = float((a - top - log_sum).exp())
            assert e_two[i, 0] == pytest.approx(p - 1, abs=16 * u)
            softplus = (1 + (-abs(a)).exp()).ln() + max(-a, Decimal(0))
            assert one[i] == pytest.approx(float(softplus), rel=16 * u, abs=tiny)
            assert e_one[i, 0] == pytest.approx(float(1 / (1 + (-a).exp()) - 1), abs=16 * u)


def test_output_without_a_share_costs_nothing_however_unlikely():
    ell, e = finetune.loss_rows("softmax", np.array([[0.0, -np.inf]]), np.array([0]))
    assert ell.tolist() == [0.0]
    np.testing.assert_array_equal(e, [[0.0, 0.0]])


@pytest.mark.parametrize("outputs", [1, 2, 10, 1000])
def test_logits_that_are_equal_cost_ln_k(outputs):
    ell, e = finetune.loss_rows(
        "softmax", np.full((3, outputs), 7.0), np.array([0, 0, outputs - 1])
    )
    np.testing.assert_allclose(ell, math.log(outputs), rtol=4 * EPS)
    np.testing.assert_allclose(e[0, 1:], 1 / outputs, rtol=4 * EPS)


@settings(max_examples=20)
@given(steps=st.integers(1, 60), warmup=st.integers(0, 12), rate=st.floats(1e-6, 10))
@pytest.mark.parametrize("kind", ["constant", "cosine", "linear"])
def test_schedule_is_the_formula_step_by_step(kind, steps, warmup, rate):
    found = finetune.schedule(kind, rate, steps, warmup)
    assert found.shape == (steps,)
    for t in range(steps):
        if t < warmup:
            expected = rate * (t + 1) / warmup
        else:
            s = (t - warmup) / (steps - warmup)
            expected = {
                "constant": rate,
                "cosine": rate * 0.5 * (1 + math.cos(math.pi * s)),
                "linear": rate * (1 - s),
            }[kind]
        assert found[t] == pytest.approx(expected, rel=8 * EPS, abs=8 * EPS * rate)
    for first in range(0, steps, 7):  # any part of it is that part of the whole
        part = finetune.schedule(kind, rate, steps, warmup, first=first, count=7)
        np.testing.assert_array_equal(part[: steps - first], found[first : first + 7])


def test_share_of_warmup_is_rounded_down_and_no_step_is_not_a_step():
    np.testing.assert_array_equal(
        finetune.schedule("constant", 1.0, 9, 0.25), [0.5] + [1.0] * 8
    )  # fmt: skip
    np.testing.assert_array_equal(finetune.schedule("cosine", 1.0, 2, 0.0), [1.0, 0.5])
    np.testing.assert_array_equal(
        finetune.schedule("linear", 1.0, 3, 5), [0.2, 0.4, 0.6]
    )  # fmt: skip
