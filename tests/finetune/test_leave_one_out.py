"""Ridge: the closed form, and its leave-one-out errors against leaving each row out."""

import numpy as np
import pytest

from numfuse import LinearHead

from .problems import numbered


def solved(x, y, w, l2, bias, anchor):
    """W, b of Σ w‖y − Wx − b‖²/2 + total/2·‖W − anchor‖² with the total penalty given, by least squares."""
    root = np.sqrt(w)[:, None]
    columns = [x, np.ones((len(x), 1))] if bias else [x]
    width = x.shape[1]
    rows = np.vstack([root * np.hstack(columns), np.eye(width, width + bias) * np.sqrt(l2)])
    right = np.vstack([root * (y - x @ anchor.T), np.zeros((width, y.shape[1]))])
    found = np.linalg.lstsq(rows, right, rcond=None)[0].T
    return found[:, :width] + anchor, found[:, width] if bias else np.zeros(y.shape[1])


def left_out(x, y, w, l2, bias, anchor):
    """Predictions of each row by a fit without it, the total penalty as it was."""
    total = l2 * w.sum()
    predictions = np.empty_like(y)
    for i in range(len(x)):
        rest = np.arange(len(x)) != i
        weight, b = solved(x[rest], y[rest], w[rest], total, bias, anchor)
        predictions[i] = weight @ x[i] + b
    return predictions


CASES = {
    "usual": {}, "weighted": {"weighted": True}, "without a bias": {"bias": False}, "one output": {"outputs": 1},
    "fewer rows than columns": {"n": 12, "width": 20}, "weighted, few rows": {"n": 12, "width": 20, "weighted": True},
    "few rows, no bias": {"n": 12, "width": 20, "bias": False}, "an anchor": {"anchored": True}, "far from 0": {"shift": 50.0},
}  # fmt: skip
PATH = [1e-4, 1e-2, 1.0, 100.0]


@pytest.mark.parametrize("name", CASES)
def test_the_path_is_that_of_leaving_each_row_out(name):
    case = {
        "n": 40,
        "width": 5,
        "outputs": 3,
        "bias": True,
        "weighted": False,
        "anchored": False,
        "shift": 0.0,
        **CASES[name],
    }
    x, y = numbered(case["n"], case["width"], case["outputs"])
    x = x + case["shift"]
    rng = np.random.default_rng(3)
    w = rng.uniform(0.1, 2, len(x)) if case["weighted"] else np.ones(len(x))
    anchor = (
        rng.standard_normal((y.shape[1], x.shape[1]))
        if case["anchored"]
        else np.zeros((y.shape[1], x.shape[1]))
    )
    head = LinearHead(
        loss="squared",
        solver="ridge",
        l2=PATH,
        bias=case["bias"],
        anchor=anchor if case["anchored"] else None,
    ).fit(x, y, sample_weight=w if case["weighted"] else None)
    errors = []
    for l2 in PATH:
        predictions = left_out(x, y, w, l2, case["bias"], anchor)
        errors.append((w @ ((y - predictions) ** 2).sum(axis=1)) / w.sum())
        if l2 == head.l2_:
            np.testing.assert_allclose(
                head.loo_predictions_, predictions, rtol=1e-9, atol=1e-9 * np.abs(y).max()
            )
    np.testing.assert_allclose(head.loo_error_, errors, rtol=1e-9)
    assert head.l2_ == PATH[int(np.argmin(errors))]
    np.testing.assert_array_equal(head.l2_path_, PATH)
    weight, bias = solved(x, y, w, head.l2_ * w.sum(), case["bias"], anchor)
    np.testing.assert_allclose(head.weight_, weight, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(head.bias_, bias, rtol=1e-8, atol=1e-8)
    assert head.history_["loss"][0] == pytest.approx(
        (w @ ((y - x @ weight.T - bias) ** 2).sum(axis=1)) / w.sum() / 2
        + head.l2_ / 2 * ((weight - anchor) ** 2).sum(),
        rel=1e-9,
    )


def test_targets_of_one_axis_have_predictions_of_one():
    x, y = numbered(outputs=1)
    head = LinearHead(loss="squared", solver="ridge").fit(x, y[:, 0])
    assert head.loo_predictions_.shape == (200,)
    assert head.l2_ == 1e-4
    assert head.loo_error_.shape == head.l2_path_.shape == (1,)
    assert type(head.l2_) is float


def test_a_row_that_decides_its_own_prediction_has_an_infinite_error():
    x = np.zeros((5, 2))
    x[0, 0] = 1  # the only row that knows its column
    x[1:, 1] = [1, 2, 3, 4]
    y = np.arange(5.0)
    head = LinearHead(loss="squared", solver="ridge", l2=[0.0, 1e-3], bias=False).fit(x, y)
    assert head.loo_error_[0] == np.inf
    assert head.l2_ == 1e-3


def test_of_equal_errors_the_larger_penalty_is_kept():
    x = np.zeros((6, 2))  # features that say nothing: each l2 is as good
    head = LinearHead(loss="squared", solver="ridge", l2=[0.1, 10.0, 1.0]).fit(x, np.arange(6.0))
    assert head.l2_ == 10.0


def test_no_penalty_is_least_squares_and_of_many_the_shortest():
    x, y = numbered(n=12, width=20)
    head = LinearHead(loss="squared", solver="ridge", l2=0.0, bias=False).fit(x, y)
    np.testing.assert_allclose(
        head.weight_, np.linalg.lstsq(x, y, rcond=None)[0].T, rtol=1e-8, atol=1e-10
    )
    x = np.hstack([x, x[:, :1]])[:, -3:]
    x[:, 2] = x[:, 0]  # a column twice
    head = LinearHead(loss="squared", solver="ridge", l2=0.0, bias=False).fit(x, y)
    np.testing.assert_allclose(
        head.weight_, np.linalg.lstsq(x, y, rcond=None)[0].T, rtol=1e-7, atol=1e-8
    )


def test_scikit_learns_ridge_is_ours():
    linear = pytest.importorskip("sklearn.linear_model")
    datasets = pytest.importorskip("sklearn.datasets")
    x, y = datasets.load_diabetes(return_X_y=True)
    w = np.random.default_rng(0).uniform(0.5, 2, len(x))
    for weights in (None, w):
        total = len(x) if weights is None else w.sum()
        head = LinearHead(loss="squared", solver="ridge", l2=1e-3).fit(x, y, sample_weight=weights)
        ridge = linear.Ridge(alpha=1e-3 * total, solver="cholesky").fit(x, y, sample_weight=weights)
        np.testing.assert_allclose(head.weight_[0], ridge.coef_, rtol=1e-8)
        np.testing.assert_allclose(head.bias_[0], ridge.intercept_, rtol=1e-8)
    alphas = np.logspace(-3, 2, 6)
    search = linear.RidgeCV(alphas=alphas, store_cv_results=True).fit(x, y)
    head = LinearHead(loss="squared", solver="ridge", l2=alphas / len(x)).fit(x, y)
    np.testing.assert_allclose(head.loo_error_, search.cv_results_.mean(axis=0), rtol=1e-8)
    assert head.l2_ * len(x) == pytest.approx(search.alpha_)
