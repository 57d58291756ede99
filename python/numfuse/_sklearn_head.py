"""`LinearHead` as a classifier and a regressor of scikit-learn.

An estimator keeps its keywords as they were given, as `clone` wants, and builds its `LinearHead`
in `fit`: `loss="auto"` is settled by the targets then, `random_state` becomes `seed`. Arrays are
checked by scikit-learn first, so that its messages and `feature_names_in_` are what its users know.
"""

import warnings
from typing import Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from . import _finetune_options
from ._errors import ConvergenceWarning
from ._finetune import LinearHead
from ._finetune_options import SEED
from ._options import integer, shown

PUBLIC = "numfuse.sklearn"
# What stays as it is; other dtypes become the first.
DTYPES = (np.float64, np.float32, np.float16)
FLOATS = [*DTYPES]
PARTIAL = ("sgd", "adamw")
CLASSIFICATION = ("auto", "softmax", "sigmoid")
REGRESSION = ("squared", "huber")
# Most rows times parameters squared for which Newton's method follows: milliseconds.
POLISHED = 3e7
EPSILON = float(np.finfo(np.float64).eps)


class HeadEstimator(BaseEstimator):  # type: ignore[misc]
    """What the estimators share: keywords in, `LinearHead`'s settings out; features checked."""

    loss: str
    solver: str
    random_state: Any

    def _keep(self, given: dict[str, Any]) -> None:
        """Store `__init__`'s arguments, its `locals()`."""
        self.__dict__.update({name: value for name, value in given.items() if name != "self"})

    def _settings(self, **own: Any) -> dict[str, Any]:
        """Return LinearHead's keywords; `own` replaces some, and None there leaves one out."""
        settings = self.get_params(deep=False) | own
        settings["seed"] = seed(settings.pop("random_state"))
        return {name: value for name, value in settings.items() if name not in self._other()}

    def _other(self) -> tuple[str, ...]:
        """Return the keywords that are not LinearHead's."""
        return ()

    def _features(self, X: ArrayLike) -> NDArray[Any]:
        check_is_fitted(self)
        return np.asarray(validate_data(self, X, reset=False, accept_sparse=False, dtype=FLOATS))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        return tags


class Fitted:
    """What fitted estimators of one head have: the head, and its coefficients."""

    head_: LinearHead

    @property
    def n_iter_(self) -> int:
        """Epochs or iterations of the last fit."""
        return self._fitted().n_iter_

    def _fitted(self) -> LinearHead:
        """Return the head; before fit an AttributeError, so that hasattr says no."""
        head = self.__dict__.get("head_")
        if head is None:
            raise AttributeError(f"This {type(self).__name__} is not fitted; call fit first.")
        assert isinstance(head, LinearHead)
        return head

    def _start(self, settings: dict[str, Any]) -> LinearHead:
        """Return a head with these settings: the fitted one where it goes on."""
        head: LinearHead | None = self.__dict__.get("head_")
        if head is None:
            return LinearHead(**settings)
        for name, value in settings.items():
            setattr(head, name, value)
        return head


def check_loss(estimator: Any, allowed: tuple[str, ...]) -> None:
    """Refuse a loss that other estimators have."""
    if not isinstance(estimator.loss, str) or estimator.loss not in allowed:
        words = ", ".join(f'"{loss}"' for loss in allowed[:-1])
        raise ValueError(
            f"loss is {shown(estimator.loss)}, but {type(estimator).__name__} takes {words} or "
            f'"{allowed[-1]}".'
        )


def seed(random_state: Any) -> int:
    """LinearHead's `seed`: None is 0, so that fits repeat."""
    if random_state is None:
        return 0
    if isinstance(random_state, np.random.RandomState) or random_state is np.random:
        return int(check_random_state(random_state).randint(2**31))
    wrong = (
        f"random_state is {shown(random_state)}, but has to be {SEED.allowed}, a RandomState or "
        "None; None is 0."
    )
    try:
        number = integer(random_state)
    except TypeError:
        raise TypeError(wrong) from None
    if not SEED.fits(number):
        raise ValueError(wrong)
    return number


def weights(X: NDArray[Any], sample_weight: ArrayLike | None) -> Any:
    """Return checked weights of the rows, or None."""
    if sample_weight is None:
        return None
    return _check_sample_weight(sample_weight, X, dtype=np.float64)


def labels(y: NDArray[Any]) -> tuple[NDArray[Any], bool]:
    """Return labels (n,), or an indicator matrix and True."""
    kind = type_of_target(y, input_name="y", raise_unknown=True)
    if kind == "multilabel-indicator":
        return np.asarray(y.toarray() if hasattr(y, "toarray") else y), True
    if y.ndim == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    check_classification_targets(y)
    if y.ndim == 2:
        raise ValueError(
            f"y has shape {y.shape}, but a row has one label, or 0 and 1 for each of several; fit "
            "one classifier for each column (sklearn.multioutput.MultiOutputClassifier)."
        )
    return y, False


def classes_of(y: NDArray[Any]) -> NDArray[Any]:
    """Return the labels of `y`, of which there are several."""
    classes = np.unique(y)
    if len(classes) < 2:
        raise ValueError(
            f"y has one class only, {classes[0]!r}; a classifier needs rows of two or more."
        )
    return classes


def classification_loss(loss: str, several: bool, classes: NDArray[Any] | None) -> str:
    """Settle "auto": one logit for two labels, one for each column of an indicator matrix."""
    if loss != "auto":
        return loss
    return "sigmoid" if several or (classes is not None and len(classes) == 2) else "softmax"


def regression_solver(loss: str, solver: str) -> str:
    """Return the solver: "ridge" is squared only, "huber" takes lbfgs in its place."""
    return "lbfgs" if loss == "huber" and solver == "ridge" else solver


def polish(head: LinearHead, X: NDArray[Any], targets: Any, weight: Any, classes: Any) -> None:
    """Go on from L-BFGS's optimum by Newton's method where that costs next to nothing.

    A weak penalty leaves the optimum flat, and L-BFGS stops as far away as `tolerance` allows.
    scikit-learn wants a row of weight 2 to count as two rows to seven digits; Newton's method
    arrives there within a few steps. Weights and bias alone change.
    """
    size = head.weight_.size + len(head.bias_)
    flat = head.solver == "lbfgs" and head.converged_ and float(cast(float, head.l2)) > 0
    flat &= head.loss != "huber"
    if not flat or isinstance(head.anchor, str) or len(X) * size**2 > POLISHED:
        return
    settings = {name: getattr(head, name) for name in _finetune_options.DEFAULTS}
    settings |= {"solver": "newton", "initial": head, "max_iter": 20}
    # Where rounding moves the gradient as much.
    settings["tolerance"] = 4 * EPSILON * max(1.0, float(np.abs(X).max()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is as near as it comes
        near = LinearHead(**settings).fit(X, targets, sample_weight=weight, classes=classes)
    head.weight_, head.bias_ = near.weight_, near.bias_


def takes_several(estimator: Any) -> bool:
    """Whether a row may have several labels."""
    return estimator.loss in ("auto", "sigmoid") and estimator.class_weight is None


def few_steps(estimator: Any) -> bool:
    """Whether scikit-learn's checks may see low scores.

    They fit a hundred unscaled rows: one batch, and so one step, for each of ten epochs.
    """
    return estimator.solver in PARTIAL


def _draws_batches(estimator: Any) -> bool:
    if estimator.solver in PARTIAL:
        return True
    raise AttributeError(
        f"solver {estimator.solver!r} has no partial_fit; take solver='sgd' or solver='adamw'."
    )


class HeadClassifier(ClassifierMixin, Fitted, HeadEstimator):  # type: ignore[misc]
    """A linear classifier on features: `LinearHead` with scikit-learn's interface.

    Parameters
    ----------
    loss : {"auto", "softmax", "sigmoid"}, default "auto"
        "auto" is "sigmoid" for two labels and for an indicator matrix, else "softmax": for each,
        LogisticRegression's C is 1/(n·l2).
    solver : {"lbfgs", "newton", "sgd", "adamw"}, default "lbfgs"
        How the optimum is found; "sgd" and "adamw" have `partial_fit`. For few rows and features
        some steps of "newton" follow "lbfgs", until weights count as repeated rows do.
    l2, anchor, initial, bias, standardize, class_weight, label_smoothing, huber_delta
        The objective, as in `LinearHead`.
    learning_rate, momentum, nesterov, weight_decay, betas, epsilon, batch_size, epochs, shuffle, \
schedule, warmup, clip_norm, max_iter, tolerance, early_stopping, validation_fraction, metric
        How it is optimised, as in `LinearHead`.
    warm_start : bool, default False
        Whether `fit` starts from the weights of the last one.
    random_state : int, RandomState or None, default None
        `LinearHead`'s seed: the order of rows. None is 0, so that fits repeat.

    Attributes
    ----------
    head_ : LinearHead
        What was fitted, with `history_` and all else.
    classes_ : ndarray, shape (classes,)
        Labels, sorted; columns 0, 1, … of an indicator matrix.
    coef_ : ndarray, shape (1, in) for two labels, else (classes, in)
    intercept_ : ndarray, shape (1,) or (classes,)
    n_features_in_, feature_names_in_, n_iter_

    See Also
    --------
    numfuse.LinearHead : Features of half precision, blocks, checkpoints, files.
    HeadSweepCV : Chooses among settings by cross-validation.

    Examples
    --------
    >>> from numfuse.sklearn import HeadClassifier
    >>> X = [[0.0, 1.0], [1.0, 0.0], [0.2, 0.9], [0.9, 0.1]]
    >>> classifier = HeadClassifier().fit(X, ["left", "right", "left", "right"])
    >>> classifier.predict([[0.1, 1.0]]).tolist()
    ['left']
    """

    __module__ = PUBLIC

    def __init__(
        self,
        *,
        loss: str = "auto",
        solver: str = "lbfgs",
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
        """Fit to rows `X` (n, in) with labels `y` (n,), or 0 and 1 for several (n, classes).

        Parameters
        ----------
        X : array_like, shape (n, in)
            float64, float32 and float16 stay what they are.
        y : array_like, shape (n,) or (n, classes)
            Labels of any kind that sorts, or an indicator matrix.
        sample_weight : array_like, shape (n,), optional
            Weights ≥ 0 of the rows.

        Returns
        -------
        HeadClassifier
            Itself.

        Raises
        ------
        ValueError
            If there is only one class, or a setting is not allowed.

        Examples
        --------
        >>> from numfuse.sklearn import HeadClassifier
        >>> HeadClassifier(l2=1.0).fit([[-1.0], [1.0]], ["no", "yes"]).classes_.tolist()
        ['no', 'yes']
        """
        X, targets, several = self._checked(X, y, reset=True)
        classes = None if several else classes_of(targets)
        settings = self._settings(loss=classification_loss(self.loss, several, classes))
        head = self._start(settings) if self.warm_start else LinearHead(**settings)
        weight = weights(X, sample_weight)
        head.fit(X, targets, sample_weight=weight, classes=classes)
        polish(head, X, targets, weight, classes)
        self.head_ = head
        self.classes_ = np.arange(targets.shape[1]) if classes is None else classes
        return self

    @available_if(_draws_batches)  # type: ignore[untyped-decorator]
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Go through these rows once more, in batches; only with solver "sgd" or "adamw".

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        classes : array_like, shape (classes,)
            All labels; needed at the first call unless `y` is an indicator matrix.

        Returns
        -------
        HeadClassifier
            Itself.

        Raises
        ------
        ValueError
            If `classes` is absent at the first call, or another later.

        Examples
        --------
        >>> from numfuse.sklearn import HeadClassifier
        >>> classifier = HeadClassifier(solver="sgd")
        >>> classifier = classifier.partial_fit([[-1.0]], ["no"], classes=["no", "yes"])
        >>> classifier.partial_fit([[1.0]], ["yes"]).predict([[2.0]]).tolist()
        ['yes']
        """
        first = self.__dict__.get("head_") is None
        X, targets, several = self._checked(X, y, reset=first)
        if classes is not None:
            known = classes_of(np.asarray(classes))
            if not first and not np.array_equal(known, self.classes_):
                raise ValueError(
                    f"classes is {known.tolist()}, but was {self.classes_.tolist()} at the first "
                    "call; leave it out, or fit anew."
                )
        elif not first:
            known = self.classes_
        elif several:
            known = np.arange(targets.shape[1])
        else:
            raise ValueError(
                "classes is None at the first call of partial_fit; give all labels, also those "
                "that come later."
            )
        loss = classification_loss(self.loss, several, known)
        self.head_ = self._start(self._settings(loss=loss)).partial_fit(
            X,
            targets,
            sample_weight=weights(X, sample_weight),
            classes=known if first and not several else None,
        )
        self.classes_ = known
        return self

    def _checked(self, X: Any, y: Any, *, reset: bool) -> tuple[NDArray[Any], NDArray[Any], bool]:
        """Return features and targets, and whether these are an indicator matrix."""
        check_loss(self, CLASSIFICATION)
        X, y = validate_data(
            self, X, y, reset=reset, accept_sparse=False, dtype=FLOATS, multi_output=True
        )
        return X, *labels(y)

    def decision_function(self, X: ArrayLike) -> NDArray[Any]:
        """Return logits: how much speaks for each label.

        Parameters
        ----------
        X : array_like, shape (n, in)
            Columns as in `fit`.

        Returns
        -------
        ndarray, shape (n,) or (n, classes)
            For two labels that of ``classes_[1]``.

        Raises
        ------
        NotFittedError, ValueError
            If `fit` was not called, or `X` has other columns or values that are not finite.

        Examples
        --------
        >>> from numfuse.sklearn import HeadClassifier
        >>> classifier = HeadClassifier().fit([[-1.0], [1.0]], ["no", "yes"])
        >>> (classifier.decision_function([[-0.5], [0.5]]) > 0).tolist()
        [False, True]
        """
        X = self._features(X)
        return self._two_as_one(self.head_.decision_function(X))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return a label for each row, or 0 and 1 for each class of an indicator matrix.

        Parameters
        ----------
        X : array_like, shape (n, in)
            Columns as in `fit`.

        Returns
        -------
        ndarray, shape (n,) or (n, classes)

        Raises
        ------
        NotFittedError, ValueError
            If `fit` was not called, or `X` has other columns or values that are not finite.

        Examples
        --------
        >>> from numfuse.sklearn import HeadClassifier
        >>> classifier = HeadClassifier().fit([[-1.0], [1.0]], ["no", "yes"])
        >>> classifier.predict([[0.5]]).tolist()
        ['yes']
        """
        X = self._features(X)
        return self.head_.predict(X)

    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Return probabilities of the classes.

        Parameters
        ----------
        X : array_like, shape (n, in)
            Columns as in `fit`.

        Returns
        -------
        ndarray, shape (n, classes)
            Columns in `classes_`' order.

        Raises
        ------
        NotFittedError, ValueError
            If `fit` was not called, or `X` has other columns or values that are not finite.

        Examples
        --------
        >>> from numfuse.sklearn import HeadClassifier
        >>> classifier = HeadClassifier().fit([[-1.0], [1.0]], ["no", "yes"])
        >>> classifier.predict_proba([[0.0]]).round(6).tolist()
        [[0.5, 0.5]]
        """
        X = self._features(X)
        return self.head_.predict_proba(X)

    @property
    def coef_(self) -> NDArray[Any]:
        """Weights, (1, in) for two labels, else (classes, in)."""
        head = self._fitted()
        return head.weight_[1:] - head.weight_[:1] if self._two_rows(head) else head.weight_

    @property
    def intercept_(self) -> NDArray[Any]:
        """Biases, (1,) for two labels, else (classes,)."""
        head = self._fitted()
        return head.bias_[1:] - head.bias_[:1] if self._two_rows(head) else head.bias_

    def _two_rows(self, head: LinearHead) -> bool:
        """Whether two labels have a row each, which count by their difference."""
        return head.loss == "softmax" and len(self.classes_) == 2

    def _two_as_one(self, logits: NDArray[Any]) -> NDArray[Any]:
        if self._two_rows(self.head_):
            return np.asarray(logits[:, 1] - logits[:, 0])
        return np.asarray(logits[:, 0]) if logits.shape[1] == 1 else logits

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = takes_several(self)
        tags.classifier_tags.poor_score = few_steps(self)
        return tags


class HeadRegressor(RegressorMixin, Fitted, HeadEstimator):  # type: ignore[misc]
    """A linear regression on features: `LinearHead` with scikit-learn's interface.

    Parameters
    ----------
    loss : {"squared", "huber"}, default "squared"
        Ridge's alpha is l2·Σw, Σw the number of rows if they have no weights.
    solver : {"ridge", "lbfgs", "newton", "sgd", "adamw"}, default "ridge"
        "ridge" is the closed form, and takes an array of values of `l2`, of which it keeps that
        with the least leave-one-out error. With loss "huber" it stands for "lbfgs".
    l2, anchor, initial, bias, standardize, class_weight, label_smoothing, huber_delta
        The objective, as in `LinearHead`.
    learning_rate, momentum, nesterov, weight_decay, betas, epsilon, batch_size, epochs, shuffle, \
schedule, warmup, clip_norm, max_iter, tolerance, early_stopping, validation_fraction, metric
        How it is optimised, as in `LinearHead`.
    warm_start : bool, default False
        Whether `fit` starts from the weights of the last one.
    random_state : int, RandomState or None, default None
        `LinearHead`'s seed: the order of rows. None is 0, so that fits repeat.

    Attributes
    ----------
    head_ : LinearHead
        What was fitted, with `history_`, `l2_`, `loo_error_` and all else.
    coef_ : ndarray, shape (in,) where y is (n,), else (out, in)
    intercept_ : float, or ndarray of shape (out,)
    n_features_in_, feature_names_in_, n_iter_

    See Also
    --------
    numfuse.LinearHead : Features of half precision, blocks, checkpoints, files.

    Examples
    --------
    >>> from numfuse.sklearn import HeadRegressor
    >>> regressor = HeadRegressor(l2=0.0).fit([[0.0], [1.0], [3.0]], [1.0, 3.0, 7.0])
    >>> regressor.coef_.round(6).tolist(), round(regressor.intercept_, 6)
    ([2.0], 1.0)
    """

    __module__ = PUBLIC

    def __init__(
        self,
        *,
        loss: str = "squared",
        solver: str = "ridge",
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
        """Fit to rows `X` (n, in) with numbers `y` (n,) or (n, out).

        Parameters
        ----------
        X : array_like, shape (n, in)
            float64, float32 and float16 stay what they are.
        y : array_like, shape (n,) or (n, out)
            Numbers.
        sample_weight : array_like, shape (n,), optional
            Weights ≥ 0 of the rows.

        Returns
        -------
        HeadRegressor
            Itself.

        Raises
        ------
        ValueError
            If a setting is not allowed.

        Examples
        --------
        >>> from numfuse.sklearn import HeadRegressor
        >>> regressor = HeadRegressor(l2=[1e-6, 1.0]).fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
        >>> regressor.head_.l2_
        1e-06
        """
        return self._fit(X, y, sample_weight, partial=False)

    @available_if(_draws_batches)  # type: ignore[untyped-decorator]
    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Go through these rows once more, in batches; only with solver "sgd" or "adamw".

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.

        Returns
        -------
        HeadRegressor
            Itself.

        Raises
        ------
        ValueError
            If a setting is not allowed, or `X` has other columns than before.

        Examples
        --------
        >>> from numfuse.sklearn import HeadRegressor
        >>> regressor = HeadRegressor(solver="sgd")
        >>> regressor.partial_fit([[1.0]], [3.0]).partial_fit([[2.0]], [5.0]).n_iter_
        2
        """
        return self._fit(X, y, sample_weight, partial=True)

    def _fit(self, X: Any, y: Any, sample_weight: Any, *, partial: bool) -> Self:
        check_loss(self, REGRESSION)
        on = partial and self.__dict__.get("head_") is not None
        X, y = validate_data(
            self, X, y, reset=not on, accept_sparse=False, dtype=FLOATS, multi_output=True,
            y_numeric=True,
        )  # fmt: skip
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        settings = self._settings(solver=regression_solver(self.loss, self.solver))
        head = self._start(settings) if on or self.warm_start else LinearHead(**settings)
        weight = weights(X, sample_weight)
        if partial:
            self.head_ = head.partial_fit(X, y, sample_weight=weight)
        else:
            self.head_ = head.fit(X, y, sample_weight=weight)
            polish(self.head_, X, y, weight, None)
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the numbers that the features speak for.

        Parameters
        ----------
        X : array_like, shape (n, in)
            Columns as in `fit`.

        Returns
        -------
        ndarray, shape (n,) or (n, out)
            As `y` of `fit`.

        Raises
        ------
        NotFittedError, ValueError
            If `fit` was not called, or `X` has other columns or values that are not finite.

        Examples
        --------
        >>> from numfuse.sklearn import HeadRegressor
        >>> regressor = HeadRegressor(l2=0.0).fit([[0.0], [1.0]], [1.0, 3.0])
        >>> regressor.predict([[2.0]]).round(6).tolist()
        [5.0]
        """
        X = self._features(X)
        return self.head_.predict(X)

    @property
    def coef_(self) -> NDArray[Any]:
        """Weights, (in,) where `y` is (n,), else (out, in)."""
        weight = self._fitted().weight_
        return np.asarray(weight[0]) if len(weight) == 1 else weight

    @property
    def intercept_(self) -> Any:
        """Bias, a number where `y` is (n,), else (out,)."""
        bias = self._fitted().bias_
        return float(bias[0]) if len(bias) == 1 else bias

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.regressor_tags.poor_score = few_steps(self)
        return tags
