"""HeadClassifier and HeadRegressor beside the LinearHead that they hold, and beside scikit-learn's own."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import numfuse
from numfuse.sklearn import HeadClassifier, HeadRegressor


def scaled(load):
    X, y = load(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def test_two_labels_have_one_logit_and_logistic_regressions_optimum():
    X, y = scaled(load_breast_cancer)
    ours = HeadClassifier(l2=1 / (0.5 * len(X)), tolerance=1e-9).fit(X, y)
    theirs = LogisticRegression(C=0.5, tol=1e-10, max_iter=10_000).fit(X, y)
    assert ours.coef_.shape == (1, 30)
    # Both stop at gradients of 1e-9; the curvature l2 = 0.0035 bounds the distance of the optima.
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-5)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-5)
    assert ours.decision_function(X).shape == (len(X),)


def test_three_labels_have_logistic_regressions_optimum():
    X, y = scaled(load_iris)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    ours = HeadClassifier(l2=1 / (2.0 * len(X)), tolerance=1e-9).fit(X, names)
    theirs = LogisticRegression(C=2.0, tol=1e-10, max_iter=10_000).fit(X, names)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-5)
    assert (ours.predict(X) == theirs.predict(X)).all()
    assert ours.classes_.tolist() == theirs.classes_.tolist()


def test_softmax_of_two_labels_counts_by_its_difference():
    X, y = scaled(load_breast_cancer)
    ours = HeadClassifier(loss="softmax").fit(X, y)
    assert ours.head_.weight_.shape == (2, 30)
    assert ours.coef_.shape == (1, 30)
    np.testing.assert_allclose(
        ours.decision_function(X), X @ ours.coef_[0] + ours.intercept_, rtol=1e-9, atol=1e-9
    )
    assert ((ours.decision_function(X) > 0) == ours.predict(X)).all()


def test_indicator_matrix_is_fitted_column_by_column():
    X, y = scaled(load_iris)
    both = np.column_stack([y == 0, y != 1]).astype(int)
    ours = HeadClassifier(tolerance=1e-8).fit(X, both)
    assert ours.predict_proba(X).shape == (150, 2)
    assert ours.decision_function(X).shape == (150, 2)
    for column in range(2):
        alone = HeadClassifier(tolerance=1e-8).fit(X, both[:, column])
        np.testing.assert_allclose(alone.coef_[0], ours.coef_[column], atol=1e-3)
    assert ours.score(X, both) == (ours.predict(X) == both).all(axis=1).mean()


def test_ridge_is_scikit_learns():
    X, y = scaled(load_diabetes)
    ours = HeadRegressor(l2=3.0 / len(X)).fit(X, y)
    theirs = Ridge(alpha=3.0).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-9)
    assert ours.intercept_ == pytest.approx(theirs.intercept_, rel=1e-12)
    two = HeadRegressor(l2=3.0 / len(X)).fit(X, np.column_stack([y, -y]))
    np.testing.assert_allclose(two.coef_, [theirs.coef_, -theirs.coef_], rtol=1e-9)
    assert two.predict(X).shape == (len(X), 2)


def test_a_path_of_l2_keeps_the_least_leave_one_out_error():
    X, y = scaled(load_diabetes)
    path = [1e-4, 1e-2, 1.0]
    ours = HeadRegressor(l2=path).fit(X, y)
    assert ours.head_.l2_ == path[ours.head_.loo_error_.argmin()]


def test_huber_takes_lbfgs_in_ridges_place():
    X, y = scaled(load_diabetes)
    y = y.copy()
    y[::40] += 1e4
    ours = HeadRegressor(loss="huber", huber_delta=20.0, max_iter=5000).fit(X, y)
    assert ours.head_.solver == "lbfgs"
    assert ours.solver == "ridge"
    kept = np.arange(len(y)) % 40 != 0
    assert ours.score(X[kept], y[kept]) > HeadRegressor().fit(X, y).score(X[kept], y[kept])


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_dtype_is_kept(dtype):
    X, y = scaled(load_iris)
    head = HeadClassifier(solver="sgd").fit(X.astype(dtype), y).head_
    assert head.weight_.dtype == (np.float64 if dtype == np.float64 else np.float32)
    same = numfuse.LinearHead(solver="sgd").fit(X.astype(dtype), y)
    assert np.array_equal(head.weight_, same.weight_)


def test_partial_fit_is_that_of_the_head():
    X, y = scaled(load_iris)
    ours = HeadClassifier(solver="sgd", loss="softmax", batch_size=20)
    head = numfuse.LinearHead(solver="sgd", batch_size=20)
    for first in range(0, 150, 50):
        rows = slice(first, first + 50)
        ours.partial_fit(X[rows], y[rows], classes=[0, 1, 2] if not first else None)
        head.partial_fit(X[rows], y[rows], classes=[0, 1, 2] if not first else None)
    assert np.array_equal(ours.head_.weight_, head.weight_)
    with pytest.raises(ValueError, match=r"classes is \[0, 1\], but was \[0, 1, 2\]"):
        ours.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match="classes is None at the first call"):
        HeadClassifier(solver="sgd").partial_fit(X, y)
    assert not hasattr(HeadClassifier(), "partial_fit")
    assert not hasattr(HeadRegressor(), "partial_fit")
    assert HeadRegressor(solver="adamw").partial_fit(X, y).partial_fit(X, y).n_iter_ == 2


def test_indicator_matrix_needs_no_classes_for_partial_fit():
    X, y = scaled(load_iris)
    both = np.column_stack([y == 0, y != 1]).astype(int)
    ours = HeadClassifier(solver="adamw").partial_fit(X, both).partial_fit(X, both)
    assert ours.classes_.tolist() == [0, 1]
    assert ours.coef_.shape == (2, 4)


def test_warm_start_goes_on_from_the_weights():
    X, y = scaled(load_iris)
    settings = {"solver": "sgd", "momentum": 0.0, "shuffle": False, "warm_start": True}
    ours = HeadClassifier(**settings, epochs=3).fit(X, y).fit(X, y)
    once = HeadClassifier(**settings, epochs=6).fit(X, y)
    assert np.array_equal(ours.coef_, once.coef_)


def test_random_state_is_the_seed_and_none_is_0():
    X, y = scaled(load_iris)

    def fitted(state):
        return HeadClassifier(solver="sgd", batch_size=16, random_state=state).fit(X, y).coef_

    assert np.array_equal(fitted(None), fitted(0))
    assert not np.array_equal(fitted(1), fitted(0))
    assert np.array_equal(fitted(np.random.RandomState(3)), fitted(np.random.RandomState(3)))


def test_weights_of_rows_and_classes_reach_the_head():
    X, y = scaled(load_breast_cancer)
    w = np.where(y == 1, 3.0, 1.0)
    weighed = HeadClassifier(tolerance=1e-9).fit(X, y, sample_weight=w)
    by_class = HeadClassifier(class_weight={1: 3.0}, tolerance=1e-9).fit(X, y)
    np.testing.assert_allclose(weighed.coef_, by_class.coef_, rtol=1e-6, atol=1e-8)


def test_clone_and_pipeline_keep_keywords():
    X, y = load_iris(return_X_y=True)
    estimator = HeadClassifier(anchor=np.ones((3, 4)), l2=0.5)
    copy = clone(estimator)
    assert copy.l2 == 0.5
    assert np.array_equal(copy.anchor, estimator.anchor)
    pipeline = make_pipeline(StandardScaler(), copy).fit(X, y)
    assert pipeline.score(X, y) > 0.5
    assert pipeline.set_params(headclassifier__l2=1e-3).fit(X, y)[-1].head_.l2 == 1e-3


def test_setting_that_is_not_allowed_is_named():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="l2 is -1, but has to be"):
        HeadClassifier(l2=-1).fit(X, y)
    with pytest.raises(
        ValueError,
        match='loss is \'squared\', but HeadClassifier takes "auto", "softmax" or "sigmoid"',
    ):
        HeadClassifier(loss="squared").fit(X, y)
    with pytest.raises(
        ValueError, match='loss is \'softmax\', but HeadRegressor takes "squared" or "huber"'
    ):
        HeadRegressor(loss="softmax").fit(X, y)
    for state in (-1, 2**64):
        with pytest.raises(
            ValueError, match=rf"random_state is {state}, but has to be .* to 2\*\*64"
        ):
            HeadClassifier(random_state=state).fit(X, y)
    with pytest.raises(TypeError, match="random_state is 'a', but has to be"):
        HeadClassifier(random_state="a").fit(X, y)
    with pytest.raises(ValueError, match="y has shape"):
        HeadClassifier().fit(X, np.column_stack([y, y]))


def test_without_scikit_learn_one_line_says_so(monkeypatch):
    import importlib
    import sys

    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    monkeypatch.delitem(sys.modules, "numfuse.sklearn", raising=False)
    with pytest.raises(
        ImportError, match=r"needs scikit-learn, not installed; pip install scikit-learn\."
    ):
        importlib.import_module("numfuse.sklearn")
