"""lbfgs and newton at scikit-learn's optimum, on its bundled data sets; and at each other's."""

import warnings

import numpy as np
import pytest

from numfuse import LinearHead
from numfuse.reference import finetune as reference

from .problems import labelled, numbered


def objective(head, x, y, weights=None):
    """The head's objective in float64, by the reference."""
    theta = np.column_stack([head.weight_, head.bias_]).astype(np.float64)
    if head.loss in ("softmax", "sigmoid") and np.ndim(y) == 1:
        y = np.searchsorted(head.classes_, y)
    return reference.objective(
        head.loss,
        theta,
        x,
        np.asarray(y),
        weights,
        l2=head.l2,
        smoothing=head.label_smoothing,
        delta=head.huber_delta,
    )[0]


def bundled(name):
    datasets = pytest.importorskip("sklearn.datasets")
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    x = (x - x.mean(axis=0)) / np.where(x.std(axis=0) > 0, x.std(axis=0), 1)
    return x, y


@pytest.mark.parametrize("solver", ["lbfgs", "newton"])
@pytest.mark.parametrize("name", ["iris", "wine", "digits", "breast_cancer"])
@pytest.mark.parametrize("C", [0.01, 1.0, 100.0])
def test_classifiers_are_at_scikit_learns_optimum(solver, name, C):
    linear = pytest.importorskip("sklearn.linear_model")
    x, y = bundled(name)
    weights = np.random.default_rng(0).uniform(0.5, 2, len(x))
    two = len(np.unique(y)) == 2
    for w in (None, weights):
        total = len(x) if w is None else w.sum()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            peer = linear.LogisticRegression(C=C, tol=1e-8, max_iter=10000).fit(
                x, y, sample_weight=w
            )
        # One row of scikit-learn's for two labels: sigmoid, or half of it as each row of softmax.
        for loss in ("softmax", "sigmoid") if two else ("softmax",):
            l2 = (2 if two and loss == "softmax" else 1) / (C * total)
            head = LinearHead(loss=loss, solver=solver, l2=l2, tolerance=1e-8, max_iter=9999).fit(
                x, y, sample_weight=w
            )
            coefficient, bias = peer.coef_, peer.intercept_
            if two and loss == "softmax":
                coefficient, bias = (
                    np.vstack([-coefficient, coefficient]) / 2,
                    np.concatenate([-bias, bias]) / 2,
                )
            twin = LinearHead(loss=loss, l2=l2)
            twin.weight_, twin.bias_, twin.classes_ = coefficient, bias, head.classes_
            assert objective(head, x, y, w) <= objective(twin, x, y, w) * (1 + 1e-6)


@pytest.mark.parametrize("settings", [
    {"loss": "softmax"}, {"loss": "softmax", "label_smoothing": 0.2}, {"loss": "sigmoid", "label_smoothing": 0.1}, {"loss": "squared"},
    {"loss": "softmax", "bias": False}, {"loss": "softmax", "class_weight": "balanced"}, {"loss": "softmax", "standardize": True},
])  # fmt: skip
def test_both_solvers_are_at_one_optimum(settings):
    if settings["loss"] == "softmax":
        x, y = labelled()
    else:
        x, y = numbered()
        y = y > 1 if settings["loss"] == "sigmoid" else y
    for l2 in (1e-3, 1.0):
        a, b = (
            LinearHead(solver=s, l2=l2, tolerance=1e-9, **settings).fit(x, y)
            for s in ("lbfgs", "newton")
        )
        # tolerance over the least curvature, l2.
        np.testing.assert_allclose(a.weight_, b.weight_, atol=1e-9 / l2)
        assert a.converged_
        assert b.converged_


def test_huber_is_at_a_point_without_gradient():
    x, y = numbered()
    y[::7] += 100
    for delta in (0.1, 1.0, 1e3):
        head = LinearHead(loss="huber", huber_delta=delta, l2=0.01, tolerance=1e-8).fit(x, y)
        theta = np.column_stack([head.weight_, head.bias_])
        _, gradient = reference.objective("huber", theta, x, y, l2=0.01, delta=delta)
        assert np.abs(gradient).max() <= 1e-7


def test_a_wide_delta_is_the_squared_loss():
    x, y = numbered()
    huber = LinearHead(loss="huber", huber_delta=1e6, tolerance=1e-9).fit(x, y)
    squared = LinearHead(loss="squared", solver="ridge").fit(x, y)
    np.testing.assert_allclose(huber.weight_, squared.weight_, atol=1e-7)


def test_newtons_biases_sum_to_zero():
    x, y = labelled()
    for standardize in (False, True):
        head = LinearHead(solver="newton", standardize=standardize).fit(x + 5, y)
        assert abs(head.bias_.sum()) < 1e-10


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_badly_scaled_features_are_no_trouble_in_round_coordinates(dtype):
    x, y = labelled(n=500, width=30, classes=5)
    x = (x * np.logspace(-3, 3, 30)).astype(dtype)
    head = LinearHead(l2=1e-3, tolerance=1e-4).fit(x, y)
    assert head.n_iter_ < 100
    best = LinearHead(solver="newton", l2=1e-3).fit(x.astype(float), y)
    assert objective(head, x.astype(float), y) <= objective(best, x.astype(float), y) * (1 + 1e-4)


def test_wide_features_go_without_round_coordinates():
    x, y = labelled(n=100, width=300)
    head = LinearHead(l2=0.01, tolerance=1e-8).fit(x, y)
    best = LinearHead(solver="newton", l2=0.01, tolerance=1e-10).fit(x, y)
    np.testing.assert_allclose(head.weight_, best.weight_, atol=1e-5)


def test_a_head_that_is_at_its_optimum_takes_no_step():
    x, y = labelled()
    for solver in ("lbfgs", "newton"):
        head = LinearHead(solver=solver, warm_start=True, l2=0.1).fit(x, y)
        head.tolerance = 1e-5
        weight = head.weight_.copy()
        head.fit(x, y)
        assert head.n_iter_ == 0
        assert head.converged_
        np.testing.assert_allclose(head.weight_, weight, rtol=1e-12)


def test_the_objective_falls_from_iteration_to_iteration():
    x, y = labelled()
    for solver in ("lbfgs", "newton"):
        head = LinearHead(solver=solver).fit(x, y)
        assert (np.diff(head.history_["loss"]) <= 1e-15).all()
        assert head.history_["loss"][-1] == pytest.approx(objective(head, x, y), rel=1e-10)
