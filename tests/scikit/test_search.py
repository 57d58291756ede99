"""HeadSweepCV: each fold's heads are those of a sweep, and the best of them is fitted to all rows."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.metrics import make_scorer, mean_absolute_error
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, StratifiedKFold
from sklearn.preprocessing import StandardScaler

import numfuse
from numfuse.sklearn import HeadClassifier, HeadRegressor, HeadSweepCV

GRID = {"l2": [1e-4, 1e-1, 10.0], "class_weight": [None, "balanced"]}


def scaled(load):
    X, y = load(return_X_y=True)
    return StandardScaler().fit_transform(X), y


@pytest.mark.parametrize("load", [load_iris, load_breast_cancer])
def test_results_are_grid_searchs(load):
    X, y = scaled(load)
    ours = HeadSweepCV(GRID, solver="lbfgs", tolerance=1e-8).fit(X, y)
    theirs = GridSearchCV(HeadClassifier(solver="lbfgs", tolerance=1e-8), GRID).fit(X, y)
    assert set(ours.cv_results_) == set(theirs.cv_results_)

    def order(results):
        return [(each["l2"], each["class_weight"]) for each in results["params"]]

    places = [order(theirs.cv_results_).index(each) for each in order(ours.cv_results_)]
    for split in range(5):
        key = f"split{split}_test_score"
        assert np.array_equal(ours.cv_results_[key], theirs.cv_results_[key][places])
    np.testing.assert_allclose(
        ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"][places]
    )
    np.testing.assert_allclose(
        ours.cv_results_["std_test_score"], theirs.cv_results_["std_test_score"][places]
    )
    assert np.array_equal(
        ours.cv_results_["rank_test_score"], theirs.cv_results_["rank_test_score"][places]
    )
    assert ours.best_score_ == pytest.approx(theirs.best_score_)
    assert ours.cv_results_["param_l2"].tolist() == [
        each["l2"] for each in ours.cv_results_["params"]
    ]
    assert ours.score(X, y) == pytest.approx(ours.best_estimator_.score(X, y))


def test_heads_of_a_fold_are_the_heads_alone():
    X, y = scaled(load_iris)
    grid = {"learning_rate": [1e-2, 1e-1], "random_state": [0, 3]}
    search = HeadSweepCV(grid, epochs=5, batch_size=16, cv=3).fit(X, y)
    for split, (train, test) in enumerate(StratifiedKFold(3).split(X, y)):
        for place, params in enumerate(search.cv_results_["params"]):
            seed = params["random_state"]
            alone = numfuse.LinearHead(
                solver="adamw",
                learning_rate=params["learning_rate"],
                seed=seed,
                epochs=5,
                batch_size=16,
            ).fit(X[train], y[train])
            assert search.cv_results_[f"split{split}_test_score"][place] == alone.score(
                X[test], y[test]
            )


def test_best_is_fitted_to_all_rows():
    X, y = scaled(load_breast_cancer)
    search = HeadSweepCV({"l2": [1e-3, 1.0]}, solver="lbfgs").fit(X, y)
    alone = HeadClassifier(solver="lbfgs", **search.best_params_).fit(X, y)
    assert np.array_equal(search.best_estimator_.coef_, alone.coef_)
    assert np.array_equal(search.predict(X), alone.predict(X))
    assert np.array_equal(search.decision_function(X), alone.decision_function(X))
    assert search.classes_.tolist() == [0, 1]


def test_usual_grid_is_seven_values_of_l2():
    X, y = scaled(load_iris)
    search = HeadSweepCV(solver="lbfgs", cv=3).fit(X, y)
    np.testing.assert_allclose(
        search.cv_results_["param_l2"].astype(float), 10.0 ** np.arange(-6, 1)
    )


def test_list_of_settings_is_one_head_each():
    X, y = scaled(load_iris)
    search = HeadSweepCV(
        [{"l2": 0.1}, {"standardize": True}, {}], solver="lbfgs", l2=0.5, cv=3
    ).fit(X, y)
    assert search.cv_results_["params"] == [{"l2": 0.1}, {"standardize": True}, {}]
    assert search.cv_results_["param_l2"].mask.tolist() == [False, True, True]
    train, test = next(StratifiedKFold(3).split(X, y))
    alone = HeadClassifier(solver="lbfgs", l2=0.5).fit(X[train], y[train])
    assert search.cv_results_["split0_test_score"][2] == alone.score(X[test], y[test])


def test_columns_are_cut_out_by_a_pipeline():
    X, y = scaled(load_iris)
    search = HeadSweepCV({"columns": [slice(0, 2), (2, 4)]}, solver="lbfgs", cv=3).fit(X, y)
    assert search.best_params_ == {"columns": (2, 4)}
    alone = HeadClassifier().fit(X[:, 2:], y)
    assert np.array_equal(search.best_estimator_[-1].coef_, alone.coef_)
    assert np.array_equal(search.predict_proba(X), alone.predict_proba(X[:, 2:]))
    assert search.n_features_in_ == 4
    assert search.n_iter_ == alone.n_iter_


@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_numbers_are_regressed(loss):
    X, y = scaled(load_diabetes)
    search = HeadSweepCV(
        {"l2": [1e-3, 1e-1, 1e3]}, loss=loss, huber_delta=50.0, solver="lbfgs", max_iter=5000
    ).fit(X, y)
    assert search.best_params_["l2"] < 1e3
    for split, (train, test) in enumerate(KFold(5).split(X)):
        alone = HeadRegressor(
            loss=loss, huber_delta=50.0, solver="lbfgs", l2=1e-1, max_iter=5000
        ).fit(X[train], y[train])
        assert search.cv_results_[f"split{split}_test_score"][1] == pytest.approx(
            alone.score(X[test], y[test]), abs=1e-6
        )
    assert not hasattr(search, "predict_proba")
    assert search.predict(X).shape == y.shape


@pytest.mark.parametrize(
    "scoring",
    [
        "neg_log_loss",
        "roc_auc",
        make_scorer(mean_absolute_error, greater_is_better=False),
        lambda e, X, y: -e.predict(X).mean(),
    ],
)
def test_scorer_judges_each_head(scoring):
    X, y = scaled(load_breast_cancer)
    search = HeadSweepCV({"l2": [1e-3, 1.0]}, scoring=scoring, solver="lbfgs", cv=3).fit(X, y)
    theirs = GridSearchCV(
        HeadClassifier(solver="lbfgs"), {"l2": [1e-3, 1.0]}, scoring=scoring, cv=3
    ).fit(X, y)
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"], rtol=1e-4
    )
    assert search.score(X, y) == pytest.approx(theirs.score(X, y), rel=1e-4)


def test_folds_are_those_of_cv():
    X, y = scaled(load_iris)
    groups = np.arange(150) % 10
    folds = list(GroupKFold(5).split(X, y, groups))
    search = HeadSweepCV({"l2": [1e-3]}, cv=folds, solver="lbfgs").fit(X, y)
    assert search.n_splits_ == 5
    train, test = folds[2]
    alone = HeadClassifier(l2=1e-3).fit(X[train], y[train])
    assert search.cv_results_["split2_test_score"][0] == alone.score(X[test], y[test])


def test_weights_count_in_fits_and_scores():
    X, y = scaled(load_breast_cancer)
    w = np.where(np.arange(len(y)) % 3 == 0, 0.0, 2.0)
    folds = [(np.arange(400), np.arange(400, len(y)))]
    search = HeadSweepCV({"l2": [1e-2]}, cv=folds, solver="lbfgs").fit(X, y, sample_weight=w)
    alone = HeadClassifier(l2=1e-2).fit(X[:400], y[:400], sample_weight=w[:400])
    assert search.best_score_ == alone.score(X[400:], y[400:], sample_weight=w[400:])


def test_without_refit_there_is_nobody_to_predict():
    X, y = scaled(load_iris)
    search = HeadSweepCV({"l2": [1e-3]}, refit=False, solver="lbfgs").fit(X, y)
    assert search.best_index_ == 0
    with pytest.raises(AttributeError, match="refit=False has no best_estimator_"):
        search.predict(X)
    assert not hasattr(search, "n_iter_")


def test_indicator_matrix_is_searched():
    X, y = scaled(load_iris)
    both = np.column_stack([y == 0, y != 1]).astype(int)
    search = HeadSweepCV(
        {"l2": [1e-3, 10.0]}, solver="lbfgs", cv=KFold(3, shuffle=True, random_state=0)
    ).fit(X, both)
    assert search.best_params_ == {"l2": 1e-3}
    assert search.predict(X).shape == both.shape


def test_grid_that_is_not_allowed_is_named():
    X, y = scaled(load_iris)
    with pytest.raises(ValueError, match="solver"):
        HeadSweepCV({"solver": ["sgd", "lbfgs"]}).fit(X, y)
    with pytest.raises(TypeError, match="l3"):
        HeadSweepCV({"l3": [1.0]}).fit(X, y)
    with pytest.raises(TypeError, match="'l2'"):
        HeadSweepCV({"l2": 1.0}).fit(X, y)
    with pytest.raises(ValueError, match="grid is empty"):
        HeadSweepCV({}).fit(X, y)
    with pytest.raises(TypeError, match="grid has 3 at 0"):
        HeadSweepCV([3]).fit(X, y)
    with pytest.raises(ValueError, match="loss is 'hinge', but HeadSweepCV takes"):
        HeadSweepCV(loss="hinge").fit(X, y)


ROWS = np.arange(60)
EMPTY = [
    ([(ROWS, ROWS), (ROWS, [])], "cv has no rows to judge by in fold 1; give each fold some"),
    ([([], ROWS)], "cv has no rows to train on in fold 0; give each fold some of both"),
    ([(ROWS >= 0, ROWS < 0)], "cv has no rows to judge by in fold 0"),
    ([], "cv has no folds; give at least one"),
]


@pytest.mark.parametrize(("cv", "message"), EMPTY, ids=range(len(EMPTY)))
def test_fold_without_rows_is_named(cv, message):
    X, y = scaled(load_iris)
    with pytest.raises(ValueError, match=message):
        HeadSweepCV({"l2": [0.1, 1.0]}, cv=cv, solver="lbfgs").fit(X[::2][:60], y[::2][:60])


@pytest.mark.parametrize(("grid", "state"), [(None, -1), ({"random_state": [0, -1]}, 0)])
def test_random_state_that_is_no_seed_is_called_random_state(grid, state):
    X, y = scaled(load_iris)
    with pytest.raises(ValueError, match="random_state is -1, but has to be an integer from 0"):
        HeadSweepCV(grid, cv=3, random_state=state, epochs=1).fit(X, y)
