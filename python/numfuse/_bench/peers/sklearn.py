"""scikit-learn's LogisticRegression, one penalty after the other.

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
    strengths = (1 / (case.penalties * case.samples)).tolist()
    return lambda: [
        LogisticRegression(C=strength, max_iter=1000).fit(features, labels)
        for strength in strengths
    ]


def to_numpy(result: list[Any]) -> Array:
    """Put each model's intercepts beside its coefficients."""
    return np.array(
        [np.concatenate([model.coef_, model.intercept_[:, None]], axis=1) for model in result]
    )
