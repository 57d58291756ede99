"""scikit-learn's LogisticRegression, from the strongest penalty on, each from the one before.

https://scikit-learn.org/stable/modules/generated/sklearn.linear_model.LogisticRegression.html
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression

from numfuse._bench.cases import Array, Case
from numfuse._bench.child import RefusalError
from numfuse._bench.finetune import Path


def versions() -> dict[str, str]:
    """State scikit-learn's release."""
    return {"scikit-learn": str(sklearn.__version__)}


def settle(threads: int) -> None:
    """Do nothing: BLAS and OpenMP have read the environment."""


def prepare(case: Case, inputs: dict[str, Array]) -> Callable[[], Any]:
    """Take its default solver and tolerance; C is 1/(l2·n)."""
    if not isinstance(case, Path):
        raise RefusalError("heads at the optimum only")
    features, labels = inputs["features"], inputs["labels"]
    strengths = 1 / (case.penalties * case.samples)

    def fit() -> dict[int, Array]:
        model, found = LogisticRegression(max_iter=1000, warm_start=True), {}
        for place in np.argsort(strengths).tolist():
            model.set_params(C=float(strengths[place])).fit(features, labels)
            found[place] = np.column_stack([model.coef_, model.intercept_])
        return found

    return fit


def to_numpy(result: dict[int, Array]) -> Array:
    """Put the weights, intercepts beside them, in the penalties' order."""
    return np.array([result[place] for place in sorted(result)])
