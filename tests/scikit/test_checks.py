"""scikit-learn's own checks of estimators, all of them, on each solver and loss.

That a row of weight 2 counts as two rows holds even where rows come in batches and folds: the checks'
data are one batch, and bring their folds with them.
"""

import warnings

import pytest

pytest.importorskip("sklearn")

from sklearn.utils.estimator_checks import parametrize_with_checks

from numfuse import ConvergenceWarning
from numfuse.sklearn import HeadClassifier, HeadRegressor, HeadSweepCV

ESTIMATORS = [
    HeadClassifier(),
    HeadClassifier(loss="softmax"),
    HeadClassifier(solver="newton"),
    HeadClassifier(standardize=True),
    HeadClassifier(solver="sgd"),
    HeadClassifier(solver="adamw", learning_rate=0.1, epochs=30),
    HeadRegressor(),
    HeadRegressor(l2=[1e-4, 1e-2]),
    HeadRegressor(loss="huber"),
    HeadRegressor(solver="newton"),
    HeadRegressor(solver="adamw", learning_rate=0.1, epochs=100),
    HeadSweepCV(),
    HeadSweepCV({"l2": [1e-4, 1e-2], "standardize": [False, True]}, cv=3, solver="lbfgs"),
    HeadSweepCV({"l2": [1e-6, 1e-2]}, cv=3, loss="squared", solver="lbfgs"),
]


@parametrize_with_checks(ESTIMATORS)
def test_estimator_passes_check(estimator, check):
    with warnings.catch_warnings():
        # Drawn data, of few rows and large numbers, on which solvers need not arrive.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "The least populated class in y has only")
        check(estimator)
