"""`LinearHead` and `HeadSweep` with scikit-learn's interface, for its pipelines and searches.

Keywords are `LinearHead`'s, with `random_state` in place of `seed`. scikit-learn is needed here,
and nowhere else in numfuse: ``pip install scikit-learn``.

>>> from sklearn.pipeline import make_pipeline
>>> from sklearn.preprocessing import StandardScaler
>>> from numfuse.sklearn import HeadClassifier
>>> pipeline = make_pipeline(StandardScaler(), HeadClassifier())
>>> pipeline.fit([[1.0], [2.0], [8.0], [9.0]], [0, 0, 1, 1]).predict([[7.0]]).tolist()
[1]
"""

try:
    import sklearn.base as _base
except ImportError as error:
    raise ImportError(
        "numfuse.sklearn needs scikit-learn, not installed; pip install scikit-learn."
    ) from error
else:
    del _base

from ._sklearn_head import HeadClassifier, HeadRegressor
from ._sklearn_search import HeadSweepCV

__all__ = ["HeadClassifier", "HeadRegressor", "HeadSweepCV"]
