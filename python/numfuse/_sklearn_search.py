"""Cross-validation in which each fold is one sweep: all settings share its pass over the features.

GridSearchCV fits settings one by one; here a fold's heads are one wide product. A head's scores
are those of a `HeadClassifier` or `HeadRegressor` around it, so that any scorer can judge it.
"""

from time import perf_counter
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import ClassifierTags, RegressorTags, _safe_indexing, column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from ._finetune import LinearHead
from ._finetune_grid import grid_of
from ._finetune_sweep import HeadSweep
from ._sklearn_head import (
    FLOATS,
    PUBLIC,
    REGRESSION,
    HeadClassifier,
    HeadEstimator,
    HeadRegressor,
    check_loss,
    classes_of,
    classification_loss,
    few_steps,
    labels,
    seed,
    takes_several,
    weights,
)

USUAL = {"l2": [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0]}


def candidates(grid: Any) -> list[dict[str, Any]]:
    """Return one dict of settings for each head: all combinations, the last keyword fastest."""
    if grid is None:
        grid = USUAL
    known: Any = grid
    if isinstance(grid, dict):
        known = _renamed(grid, "random_state", "seed")
    elif isinstance(grid, list | tuple):
        known = [_renamed(each, "random_state", "seed") for each in grid]
    return [_renamed(each, "seed", "random_state") for each in grid_of(known, {})]


def _renamed(settings: Any, name: str, other: str) -> Any:
    if not isinstance(settings, dict):
        return settings
    return {other if key == name else key: value for key, value in settings.items()}


def columns_of(X: Any, columns: slice) -> Any:
    """Return the columns that a head sees."""
    return _safe_indexing(X, columns, axis=1)


def _classifies(estimator: Any) -> bool:
    if estimator.loss not in REGRESSION:
        return True
    raise AttributeError(f"HeadSweepCV with loss {estimator.loss!r} predicts numbers only.")


class HeadSweepCV(HeadEstimator):
    """Choose a head's settings by cross-validation, each fold one `HeadSweep`.

    Parameters
    ----------
    grid : dict or list of dict, optional
        {keyword: values}, all combinations, or one dict of settings for each head; besides
        `LinearHead`'s keywords `columns`, which a head then sees alone. By default `l2` of seven
        values from 1e-6 to 1.
    cv : int, splitter or iterable, default 5
        Folds, as in GridSearchCV: stratified for labels, neither is shuffled.
    scoring : str or callable, optional
        How a head is judged on the fold that it has not seen; accuracy or R² by default, weighted
        by `sample_weight`.
    refit : bool, default True
        Whether the best settings are fitted to all rows at the end; else there is no `predict`.
    loss : {"auto", "softmax", "sigmoid", "squared", "huber"}, default "auto"
        As in `HeadClassifier`; "squared" or "huber" makes this a regressor.
    solver : {"adamw", "sgd", "lbfgs"}, default "adamw"
        The one of all heads.
    l2, anchor, initial, bias, standardize, class_weight, label_smoothing, huber_delta, \
learning_rate, momentum, nesterov, weight_decay, betas, epsilon, batch_size, epochs, shuffle, \
schedule, warmup, clip_norm, max_iter, tolerance, early_stopping, validation_fraction, metric, \
warm_start
        As in `LinearHead`, where `grid` does not say. With `early_stopping`, the fold that is held
        out decides when to stop; the final fit holds out rows of its own.
    random_state : int, RandomState or None, default None
        `LinearHead`'s seed; None is 0, so that fits repeat.

    Attributes
    ----------
    cv_results_ : dict of ndarray
        GridSearchCV's keys. A fold's time is shared equally by its heads.
    best_params_, best_score_, best_index_
        Settings of the best mean score, the first of equals.
    best_estimator_ : HeadClassifier or HeadRegressor
        Fitted to all rows; where the settings name columns, a pipeline that cuts them out first.
    classes_, n_features_in_, feature_names_in_, n_iter_, n_splits_, refit_time_

    See Also
    --------
    numfuse.HeadSweep : One split into rows for training and for validation.

    Examples
    --------
    >>> import numpy as np
    >>> from numfuse.sklearn import HeadSweepCV
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> search = HeadSweepCV({"l2": [0.001, 10.0]}, solver="lbfgs").fit(X, X[:, 1] > 0)
    >>> search.best_params_
    {'l2': 0.001}
    """

    __module__ = PUBLIC

    def __init__(
        self,
        grid: Any = None,
        *,
        cv: Any = 5,
        scoring: Any = None,
        refit: bool = True,
        loss: str = "auto",
        solver: str = "adamw",
        l2: Any = 1e-4,
        anchor: Any = None,
        initial: Any = None,
        bias: bool = True,
        standardize: bool = False,
        class_weight: Any = None,
        label_smoothing: float = 0.0,
        huber_delta: float = 1.0,
        learning_rate: float | None = None,
        momentum: float = 0.9,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        batch_size: int = 256,
        epochs: int = 10,
        shuffle: bool = True,
        schedule: str = "constant",
        warmup: float = 0,
        clip_norm: float | None = None,
        max_iter: int = 1000,
        tolerance: float = 1e-6,
        early_stopping: int | bool | None = None,
        validation_fraction: float = 0.1,
        metric: Any = "auto",
        warm_start: bool = False,
        random_state: Any = None,
    ) -> None:
        self._keep(dict(locals()))

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Sweep over each fold, and fit the best settings to all rows.

        Parameters
        ----------
        X : array_like, shape (n, in)
            float64, float32 and float16 stay what they are.
        y : array_like, shape (n,) or (n, out)
            Labels, an indicator matrix, or numbers.
        sample_weight : array_like, shape (n,), optional
            Weights ≥ 0 of the rows.

        Returns
        -------
        HeadSweepCV
            Itself.

        Raises
        ------
        ValueError
            If there is only one class, a fold has no rows, or a setting is not allowed.

        Examples
        --------
        >>> from numfuse.sklearn import HeadSweepCV
        >>> X, y = [[-2.0], [-1.0], [1.0], [2.0]], ["no", "no", "yes", "yes"]
        >>> search = HeadSweepCV({"l2": [0.1, 1.0]}, cv=2, solver="lbfgs").fit(X, y)
        >>> search.cv_results_["mean_test_score"].tolist()
        [1.0, 1.0]
        """
        check_loss(self, ("auto", "softmax", "sigmoid", *REGRESSION))
        X, targets, classes, several = self._checked(X, y)
        weight = weights(X, sample_weight)
        params = candidates(self.grid)
        shared, heads = self._heads(params, classes, several)
        splits = self._splits(X, targets)
        self._scorer = None if self.scoring is None else check_scoring(scoring=self.scoring)
        scores = np.empty((len(heads), len(splits)))
        times = np.empty((2, len(heads), len(splits)))
        known = None if several else classes
        for split, (train, test) in enumerate(splits):
            start = perf_counter()
            held = [X[test], targets[test]] + ([] if weight is None else [weight[test]])
            sweep = HeadSweep(heads, **shared).fit(
                X[train],
                targets[train],
                sample_weight=None if weight is None else weight[train],
                validation=tuple(held),
                classes=known,
            )
            times[0, :, split] = (perf_counter() - start) / len(heads)
            for place, head in enumerate(sweep.heads_):
                start = perf_counter()
                judged = self._around(head, params[place], classes)
                scores[place, split] = self._score(judged, *held)
                times[1, place, split] = perf_counter() - start
        self._conclude(params, scores, times)
        if self.refit:
            start = perf_counter()
            self.best_estimator_ = self._refitted(X, targets, weight)
            self.refit_time_ = perf_counter() - start
        return self

    def _splits(self, X: NDArray[Any], y: NDArray[Any]) -> list[tuple[Any, Any]]:
        """Return the folds' rows to train on and to judge by, neither of them empty."""
        splits = list(check_cv(self.cv, y, classifier=is_classifier(self)).split(X, y))
        if not splits:
            raise ValueError("cv has no folds; give at least one, or their number, such as 5.")
        for fold, (train, test) in enumerate(splits):
            for name, rows in (("train on", train), ("judge by", test)):
                given = np.asarray(rows)
                if not (given.any() if given.dtype == bool else given.size):
                    raise ValueError(
                        f"cv has no rows to {name} in fold {fold}; give each fold some of both, or "
                        "the number of folds, such as 5."
                    )
        return splits

    def _checked(
        self, X: Any, y: Any
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None, bool]:
        """Return features, targets, classes, and whether a row has several labels."""
        numbers = self.loss in REGRESSION
        X, y = validate_data(
            self, X, y, accept_sparse=False, dtype=FLOATS, multi_output=True, y_numeric=numbers
        )
        if numbers:
            return X, column_or_1d(y, warn=True) if y.shape[1:] == (1,) else y, None, False
        targets, several = labels(y)
        return X, targets, np.arange(y.shape[1]) if several else classes_of(targets), several

    def _heads(
        self, params: list[dict[str, Any]], classes: Any, several: bool
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return HeadSweep's shared settings, and each head's own, whole where they are swept."""

        def own(each: dict[str, Any]) -> dict[str, Any]:
            settled = dict(each)
            if "random_state" in settled:
                settled["seed"] = seed(settled.pop("random_state"))
            if "loss" in settled and self.loss not in REGRESSION:
                settled["loss"] = classification_loss(settled["loss"], several, classes)
            return settled

        shared = self._settings()
        if self.loss not in REGRESSION:
            shared["loss"] = classification_loss(self.loss, several, classes)
        heads = [own(each) for each in params]
        swept = {name for head in heads for name in head}
        usual = {name: shared.pop(name) for name in sorted(swept & set(shared))}
        return shared, [usual | head for head in heads]

    def _other(self) -> tuple[str, ...]:
        return ("grid", "cv", "scoring", "refit")

    def _estimator(self, params: dict[str, Any]) -> Any:
        """Return an unfitted estimator of these settings, without their columns."""
        kind = HeadRegressor if self.loss in REGRESSION else HeadClassifier
        settings = self.get_params(deep=False) | params
        named = set(kind._get_param_names())
        return kind(**{name: value for name, value in settings.items() if name in named})

    def _around(self, head: LinearHead, params: dict[str, Any], classes: Any) -> Any:
        """Return a fitted estimator with this head."""
        estimator = self._estimator(params)
        estimator.head_ = head
        estimator.n_features_in_ = head.n_features_in_
        if classes is not None:
            estimator.classes_ = classes
        return self._behind_columns(estimator, params)

    def _behind_columns(self, estimator: Any, params: dict[str, Any]) -> Any:
        columns = params.get("columns")
        if columns is None:
            return estimator
        cut = columns if isinstance(columns, slice) else slice(*columns)
        return make_pipeline(FunctionTransformer(columns_of, kw_args={"columns": cut}), estimator)

    def _refitted(self, X: NDArray[Any], y: NDArray[Any], weight: Any) -> Any:
        estimator = self._estimator(self.best_params_)
        whole = self._behind_columns(estimator, self.best_params_)
        if whole is estimator:
            return whole.fit(X, y, sample_weight=weight)
        return whole.fit(X, y, **{f"{whole.steps[-1][0]}__sample_weight": weight})

    def _score(self, estimator: Any, X: Any, y: Any, weight: Any = None) -> float:
        if self._scorer is None:
            return float(estimator.score(X, y, sample_weight=weight))
        return float(self._scorer(estimator, X, y))

    def _conclude(
        self, params: list[dict[str, Any]], scores: NDArray[Any], times: NDArray[Any]
    ) -> None:
        """Set the table of results, and who is best; a mean that is NaN is last."""
        results: dict[str, Any] = {}
        for name, time in zip(("fit_time", "score_time"), times, strict=True):
            results[f"mean_{name}"], results[f"std_{name}"] = time.mean(axis=1), time.std(axis=1)
        for name in dict.fromkeys(name for each in params for name in each):
            column = np.empty(len(params), object)
            for place, each in enumerate(params):
                column[place] = each.get(name)
            absent = [name not in each for each in params]
            results[f"param_{name}"] = np.ma.MaskedArray(column, mask=absent)
        results["params"] = params
        for split in range(scores.shape[1]):
            results[f"split{split}_test_score"] = scores[:, split]
        mean = scores.mean(axis=1)
        results["mean_test_score"], results["std_test_score"] = mean, scores.std(axis=1)
        ranked = np.where(np.isnan(mean), -np.inf, mean)
        results["rank_test_score"] = np.array(
            [1 + np.count_nonzero(ranked > each) for each in ranked], np.int32
        )
        self.cv_results_ = results
        self.n_splits_ = scores.shape[1]
        self.best_index_ = int(results["rank_test_score"].argmin())
        self.best_params_ = params[self.best_index_]
        self.best_score_ = float(mean[self.best_index_])

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict as `best_estimator_` does.

        Parameters
        ----------
        X : array_like, shape (n, in)
            Columns as in `fit`.

        Returns
        -------
        ndarray, shape (n,) or (n, out)

        Raises
        ------
        AttributeError, NotFittedError, ValueError
            If there is no such estimator, or `X` has other columns or values that are not finite.

        Examples
        --------
        >>> from numfuse.sklearn import HeadSweepCV
        >>> X, y = [[-2.0], [-1.0], [1.0], [2.0]], ["no", "no", "yes", "yes"]
        >>> search = HeadSweepCV({"l2": [0.1, 1.0]}, cv=2, solver="lbfgs").fit(X, y)
        >>> search.predict([[3.0]]).tolist()
        ['yes']
        """
        X = self._features(X)
        return np.asarray(self._best().predict(X))

    @available_if(_classifies)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Return probabilities as `best_estimator_` does; a classifier's alone.

        Parameters
        ----------
        X : array_like, shape (n, in)
            Columns as in `fit`.

        Returns
        -------
        ndarray, shape (n, classes)

        Raises
        ------
        AttributeError, NotFittedError, ValueError
            If there is no such estimator, or `X` has other columns or values that are not finite.

        Examples
        --------
        >>> from numfuse.sklearn import HeadSweepCV
        >>> X, y = [[-2.0], [-1.0], [1.0], [2.0]], ["no", "no", "yes", "yes"]
        >>> search = HeadSweepCV({"l2": [0.1, 1.0]}, cv=2, solver="lbfgs").fit(X, y)
        >>> search.predict_proba([[0.0]]).round(6).tolist()
        [[0.5, 0.5]]
        """
        X = self._features(X)
        return np.asarray(self._best().predict_proba(X))

    @available_if(_classifies)  # type: ignore[untyped-decorator]
    def decision_function(self, X: ArrayLike) -> NDArray[Any]:
        """Return logits as `best_estimator_` does; a classifier's alone.

        Parameters
        ----------
        X : array_like, shape (n, in)
            Columns as in `fit`.

        Returns
        -------
        ndarray, shape (n,) or (n, classes)

        Raises
        ------
        AttributeError, NotFittedError, ValueError
            If there is no such estimator, or `X` has other columns or values that are not finite.

        Examples
        --------
        >>> from numfuse.sklearn import HeadSweepCV
        >>> X, y = [[-2.0], [-1.0], [1.0], [2.0]], ["no", "no", "yes", "yes"]
        >>> search = HeadSweepCV({"l2": [0.1, 1.0]}, cv=2, solver="lbfgs").fit(X, y)
        >>> (search.decision_function([[-0.5], [0.5]]) > 0).tolist()
        [False, True]
        """
        X = self._features(X)
        return np.asarray(self._best().decision_function(X))

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Judge `best_estimator_` by `scoring`.

        Parameters
        ----------
        X : array_like, shape (n, in)
            Columns as in `fit`.
        y : array_like, shape (n,) or (n, out)
            As in `fit`.
        sample_weight : array_like, shape (n,), optional
            Weights ≥ 0 of the rows; they count where `scoring` is None.

        Returns
        -------
        float

        Raises
        ------
        AttributeError, NotFittedError, ValueError
            If there is no such estimator, or `X` has other columns or values that are not finite.

        Examples
        --------
        >>> from numfuse.sklearn import HeadSweepCV
        >>> X, y = [[-2.0], [-1.0], [1.0], [2.0]], ["no", "no", "yes", "yes"]
        >>> search = HeadSweepCV({"l2": [0.1, 1.0]}, cv=2, solver="lbfgs").fit(X, y)
        >>> search.score([[3.0], [-3.0]], ["yes", "yes"])
        0.5
        """
        X = self._features(X)
        return self._score(self._best(), X, y, sample_weight)

    def _best(self) -> Any:
        check_is_fitted(self)
        if "best_estimator_" not in self.__dict__:
            raise AttributeError(
                "HeadSweepCV with refit=False has no best_estimator_ to ask; fit with refit=True."
            )
        return self.best_estimator_

    @property
    def classes_(self) -> NDArray[Any]:
        """Labels, sorted."""
        _classifies(self)
        return np.asarray(self._attribute("classes_"))

    @property
    def n_iter_(self) -> int:
        """Epochs or iterations of the final fit."""
        return int(self._attribute("n_iter_"))

    def _attribute(self, name: str) -> Any:
        """Return an attribute of the final estimator; before fit an AttributeError."""
        best = self.__dict__.get("best_estimator_")
        if best is None:
            raise AttributeError(f"This HeadSweepCV has no best_estimator_, and so no {name}.")
        return getattr(best[-1] if hasattr(best, "steps") else best, name)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        if self.loss in REGRESSION:
            tags.estimator_type = "regressor"
            tags.regressor_tags = RegressorTags(poor_score=few_steps(self))
            tags.target_tags.multi_output = True
        else:
            tags.estimator_type = "classifier"
            tags.classifier_tags = ClassifierTags(
                multi_label=takes_several(self), poor_score=few_steps(self)
            )
        return tags
