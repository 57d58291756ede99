"""Fine-tuning where the answer is published, or known in closed form."""

import math

import numpy as np
import pytest

from numfuse import LinearHead
from numfuse import _finetune_engine as functions
from numfuse.reference import finetune

# NIST's reference data for linear regression, "Norris": y and x of 36 ozone monitors' readings,
# with certified values.
NORRIS = np.array([
    (0.1, 0.2), (338.8, 337.4), (118.1, 118.2), (888.0, 884.6), (9.2, 10.1),
    (228.1, 226.5), (668.5, 666.3), (998.5, 996.3), (449.1, 448.6), (778.9, 777.0),
    (559.2, 558.2), (0.3, 0.4), (0.1, 0.6), (778.1, 775.5), (668.8, 666.9),
    (339.3, 338.0), (448.9, 447.5), (10.8, 11.6), (557.7, 556.0), (228.3, 228.1),
    (998.0, 995.8), (888.8, 887.6), (119.6, 120.2), (0.3, 0.3), (0.6, 0.3),
    (557.6, 556.8), (339.3, 339.1), (888.0, 887.2), (998.5, 999.0), (778.9, 779.0),
    (10.2, 11.1), (117.6, 118.3), (228.9, 229.2), (668.4, 669.1), (449.2, 448.9),
    (0.2, 0.5),
])  # fmt: skip
NORRIS_SLOPE, NORRIS_INTERCEPT = 1.00211681802045, -0.262323073774029

# Temperature (°F) at launch of 23 flights of the space shuttle, and whether an O-ring was hurt.
# Dalal, Fowlkes and Hoadley, J. Am. Stat. Assoc. 84 (1989) 945-957; the fit that is quoted since.
LAUNCHES = np.array([
    53, 57, 58, 63, 66, 67, 67, 67, 68, 69, 70, 70, 70, 70, 72, 73, 75, 75, 76, 76, 78, 79, 81,
], float)  # fmt: skip
HURT = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0])  # fmt: skip


def column(*numbers):
    return np.array(numbers, float)[:, None]


@pytest.mark.parametrize("solver", ["ridge", "newton", "lbfgs"])
def test_norris_line_has_the_certified_slope_and_intercept(engine, solver):
    settings = {"loss": "squared", "l2": 0.0, "tolerance": 1e-10, "standardize": solver != "ridge"}
    head = LinearHead(solver=solver, **settings).fit(NORRIS[:, 1:], NORRIS[:, 0])
    # The gradient's tolerance is one of standardised features, 1e-10 of readings up to 1000.
    assert head.weight_[0, 0] == pytest.approx(NORRIS_SLOPE, rel=1e-11)
    assert head.bias_[0] == pytest.approx(NORRIS_INTERCEPT, rel=1e-8)


@pytest.mark.parametrize("solver", ["newton", "lbfgs"])
@pytest.mark.parametrize("loss", ["sigmoid", "softmax"])
def test_o_rings_fail_by_the_published_logit(engine, solver, loss):
    """logit = 15.0429 − 0.2322·temperature; softmax has it as the difference of its two rows."""
    head = LinearHead(loss=loss, solver=solver, l2=0.0, tolerance=1e-9, standardize=True)
    head.fit(LAUNCHES[:, None], HURT)
    weight, bias = head.weight_[-1, 0], head.bias_[-1]
    if loss == "softmax":
        weight, bias = weight - head.weight_[0, 0], bias - head.bias_[0]
    assert weight == pytest.approx(-0.2322, abs=5e-5)
    assert bias == pytest.approx(15.0429, abs=5e-5)
    z = head.decision_function([[31.0]])[0]  # the Challenger's last launch
    logit = z[-1] - (z[0] if loss == "softmax" else 0)
    assert logit == pytest.approx(15.0429 - 0.2322 * 31, abs=5e-5 * 32)


def test_ridge_along_one_feature_is_what_a_hand_finds(engine):
    """w = Σxy/(Σx² + n·l2) without a bias; with one, of what is left of the means."""
    x, y, l2 = column(1, 2, 4), np.array([1.0, 3.0, 2.0]), 0.5
    plain = LinearHead(loss="squared", solver="ridge", l2=l2, bias=False).fit(x, y)
    assert plain.weight_[0, 0] == pytest.approx((1 + 6 + 8) / (1 + 4 + 16 + 3 * l2), rel=1e-15)
    head = LinearHead(loss="squared", solver="ridge", l2=l2).fit(x, y)
    left_x, left_y = x[:, 0] - 7 / 3, y - 2
    w = left_x @ left_y / (left_x @ left_x + 3 * l2)
    assert head.weight_[0, 0] == pytest.approx(w, rel=1e-14)
    assert head.bias_[0] == pytest.approx(2 - w * 7 / 3, rel=1e-14)


def test_mean_that_leaves_a_row_out_is_known(engine):
    """Features that are 0 leave the bias: without row i it is (nȳ − yᵢ)/(n − 1)."""
    y = np.array([1.0, 5.0, 6.0, 2.0])
    head = LinearHead(loss="squared", solver="ridge", l2=1.0).fit(np.zeros((4, 2)), y)
    others = (y.sum() - y) / 3
    np.testing.assert_allclose(head.loo_predictions_, others, rtol=1e-14)
    np.testing.assert_allclose(head.loo_error_, [np.mean((y - others) ** 2)], rtol=1e-14)


@pytest.mark.parametrize("solver", ["newton", "lbfgs"])
def test_two_points_and_a_penalty_have_a_weight_to_order(engine, solver):
    """x = ±1 of two labels: l2·w = σ(−w), so l2 = σ(−3/2)/(3/2) makes w = 3/2."""
    l2 = 1 / (1 + math.exp(1.5)) / 1.5
    head = LinearHead(loss="sigmoid", solver=solver, l2=l2, tolerance=1e-12)
    head.fit(column(-1, 1), ["no", "yes"])
    assert head.weight_[0, 0] == pytest.approx(1.5, rel=1e-10)
    assert abs(head.bias_[0]) <= 1e-10
    # softmax has half of it on each row: twice the penalty, by symmetry
    head = LinearHead(solver=solver, l2=2 * l2, tolerance=1e-12)
    head.fit(column(-1, 1), ["no", "yes"])
    np.testing.assert_allclose(head.weight_, [[-0.75], [0.75]], rtol=1e-10)


@pytest.mark.parametrize("solver", ["newton", "lbfgs"])
def test_head_that_sees_nothing_says_how_often_each_label_occurs(engine, solver):
    y = np.repeat(["a", "b", "c"], [1, 4, 5])
    weights = np.repeat([3.0, 1.0, 1.0], [1, 4, 5])
    x = np.zeros((10, 2))
    head = LinearHead(solver=solver, tolerance=1e-10).fit(x, y, sample_weight=weights)
    np.testing.assert_allclose(head.predict_proba(x[:1])[0], [3 / 12, 4 / 12, 5 / 12], rtol=1e-8)
    one = LinearHead(loss="sigmoid", solver=solver, tolerance=1e-10).fit(x, y == "c")
    np.testing.assert_allclose(one.bias_, [0.0], atol=1e-8)  # five of ten
    balanced = LinearHead(solver=solver, class_weight="balanced", tolerance=1e-10).fit(x, y)
    np.testing.assert_allclose(balanced.predict_proba(x[:1])[0], [1 / 3] * 3, rtol=1e-8)


@pytest.mark.parametrize("outputs", [2, 3, 10, 100])
def test_head_that_knows_nothing_pays_ln_k(engine, outputs):
    x = np.random.default_rng(0).standard_normal((200, 3))
    labels = np.arange(200) % outputs
    head = LinearHead(solver="sgd", epochs=1, batch_size=200).fit(x, labels)
    assert head.history_["loss"][0] == pytest.approx(math.log(outputs), rel=1e-14)


def test_adams_first_step_is_the_learning_rate_to_the_side_that_the_gradient_says(engine):
    """Kingma and Ba: m̂/√v̂ = g/|g| at t = 1, whatever the gradient's size."""
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((50, 4)) * [1e-3, 1.0, 1e3, 10.0], rng.standard_normal((50, 2))
    settings = {"batch_size": 50, "epochs": 1, "learning_rate": 0.01, "epsilon": 1e-300}
    head = LinearHead(loss="squared", solver="adamw", l2=0.0, **settings).fit(x, y)
    theta = np.zeros((2, 5))
    gradient = finetune.objective("squared", theta, x, y)[1]
    np.testing.assert_allclose(head.weight_, -0.01 * np.sign(gradient[:, :-1]), rtol=1e-13)
    np.testing.assert_allclose(head.bias_, -0.01 * np.sign(gradient[:, -1]), rtol=1e-13)


@pytest.mark.parametrize(
    ("momentum", "nesterov"), [(0.0, False), (0.5, False), (0.9, False), (0.5, True), (0.9, True)]
)
def test_steps_down_a_parabola_are_powers_of_its_matrix(engine, momentum, nesterov):
    """ℓ = (w − c)²/2: (w − c, v) is multiplied by one matrix in each step."""
    c, lr, steps = 3.0, 0.1, 60
    # v ← μv + e;  e ← e − lr·(v or e + μv)
    to_v = np.array([1.0, momentum])
    step = np.array([1.0, 0.0]) + momentum * to_v if nesterov else to_v
    matrix = np.stack([np.array([1.0, 0.0]) - lr * step, to_v])
    error = (np.linalg.matrix_power(matrix, steps) @ [-c, 0.0])[0]
    head = LinearHead(
        loss="squared",
        solver="sgd",
        l2=0.0,
        bias=False,
        learning_rate=lr,
        momentum=momentum,
        nesterov=nesterov,
        epochs=steps,
    ).fit(column(1.0, 1.0), [c, c])
    assert head.weight_[0, 0] - c == pytest.approx(error, rel=0, abs=steps * 8 * 2.0**-53 * c)


def test_hubers_mean_stays_with_the_many(engine):
    """Two readings of 0 and one far away: 2b/3 = δ/3, so b = δ/2, however far it is."""
    for far in (10.0, 1e6):
        head = LinearHead(loss="huber", solver="lbfgs", huber_delta=0.5, tolerance=1e-12)
        head.fit(np.zeros((3, 1)), [0.0, 0.0, far])
        assert head.bias_[0] == pytest.approx(0.25, rel=1e-9)


def test_anchor_is_what_no_data_contradicts(engine):
    """Rows of zeros say nothing of the weights, which so end where the penalty pulls them."""
    anchor = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, 4.0]])
    x, y = np.zeros((4, 3)), [0, 1, 0, 1]
    for solver in ("newton", "lbfgs"):
        head = LinearHead(solver=solver, l2=0.1, anchor=anchor, initial=anchor * 0 + 7)
        head.fit(x, y)
        np.testing.assert_allclose(head.weight_, anchor, atol=2e-5)  # tolerance / l2
    y = np.array([1.0, 2.0, 0.0, 5.0])
    head = LinearHead(loss="squared", solver="ridge", l2=0.1, anchor=anchor[:1]).fit(x, y)
    np.testing.assert_allclose(head.weight_, anchor[:1], rtol=1e-14)
    assert head.bias_[0] == pytest.approx(2.0, rel=1e-14)


# What a seed has given once it gives for ever: files of checkpoints rely on it.
ORDERS = [
    (0, 0, 0, [9, 8, 7, 0, 6, 2, 3, 4, 5, 1]),
    (7, 3, 2, [7, 6, 2, 5, 9, 8, 1, 0, 4, 3]),
    (2**64 - 1, 0, 0, [5, 1, 3, 4, 2, 0]),
]


@pytest.mark.parametrize(("seed", "epoch", "block", "rows"), ORDERS)
def test_a_seed_gives_the_order_of_rows_that_it_gave_before(engine, seed, epoch, block, rows):
    assert finetune.order(seed, epoch, block, len(rows)).tolist() == rows
    drawn = functions.permutation(seed, finetune.stream(1, epoch, block), len(rows))
    assert drawn.tolist() == rows


def test_purposes_epochs_and_blocks_have_streams_of_their_own():
    streams = {
        finetune.stream(purpose, epoch, block)
        for purpose in range(1, 6)
        for epoch in (0, 1, 2**31)
        for block in (0, 1, 2**24 - 1)
    }
    assert len(streams) == 45
    assert max(streams) < 2**64
