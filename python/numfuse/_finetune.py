"""`LinearHead`: a linear layer on features, fitted to labels or numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from . import _finetune_data as _data
from . import _finetune_files as _files
from . import _finetune_metrics as _metrics
from . import _finetune_options as _options
from ._errors import NotFittedError
from ._finetune_fit import Ask, Fitted, fit, prepare
from ._finetune_targets import Encoded, Kind, as_array, check_length, encode, sample_weights

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping
    from typing import Literal

    from numpy.typing import ArrayLike, NDArray

    from ._finetune_fit import Task

    Loss = Literal["softmax", "sigmoid", "squared", "huber"]
    Solver = Literal["sgd", "adamw", "lbfgs", "newton", "ridge"]

FITTED = (
    "weight_", "bias_", "classes_", "n_features_in_", "n_iter_", "converged_", "history_",
    "best_epoch_", "l2_", "l2_path_", "loo_error_", "loo_predictions_", "_kind", "_moments",
    "_steps", "_calls",
)  # fmt: skip


class LinearHead:
    r"""A linear layer on a pretrained model's features, fitted to labels or numbers.

    ::

        z = W x + b,   minimise  Σ wᵢ·loss(zᵢ, yᵢ) / Σ wᵢ + (l2/2)·‖W − anchor‖²

    with wᵢ = sample_weightᵢ · class_weight[yᵢ], and losses that are sums over the outputs:

    ============= =================================================================
    ``"softmax"`` −Σ t·ln p of labels, or of rows that sum to 1; k rows for k classes
    ``"sigmoid"`` Σ softplus(z) − t·z of two labels (one row), or of rows of 0 and 1
    ``"squared"`` ½ Σ (z − y)²
    ``"huber"``   Σ r²/2, but δ(|r| − δ/2) where |r| > δ
    ============= =================================================================

    Keywords are stored as they are and checked by `fit`; features of float64 and integers are
    computed in float64, all others in float32. Half precision is widened in the kernel, a memmap
    stays one. The same data and keywords give the same bits at any number of threads; solvers
    "lbfgs", "newton" and "ridge", which take products and decompositions of BLAS and LAPACK, at
    any number of numfuse's threads, but at one number of BLAS's.

    Parameters
    ----------
    loss : {"softmax", "sigmoid", "squared", "huber"}, default "softmax"
        What is minimised, as above.
    solver : {"lbfgs", "sgd", "adamw", "newton", "ridge"}, default "lbfgs"
        "lbfgs" [1]_ finds the optimum of any loss; "newton" that of all but "huber" where
        outputs·(features + 1) ≤ 8192; "ridge" that of "squared" in closed form. "sgd" and "adamw"
        go through the rows in batches, `epochs` times, as torch.optim's do.
    l2 : float or, for "ridge", list of float, default 1e-4
        Strength of the penalty. Of a list the one of least leave-one-out error is kept.
    anchor : array_like (outputs, features) or "initial", optional
        What the penalty pulls the weights towards (L2-SP [2]_): an array, `initial`'s weight, or 0.
    initial : weight, (weight, bias) or fitted LinearHead, optional
        Where training starts: by default at the anchor array, else at zeros.
    bias : bool, default True
        False keeps the bias at zeros.
    standardize : bool, default False
        Train on (x − mean)/deviation and fold both into the weights; penalties are then on the
        weights of the standardised features. Without a bias features are only divided.
    class_weight : "balanced", dict of label to weight, or array_like, optional
        Weights of classes, for label targets.
    label_smoothing : float in [0, 1), default 0.0
        ε: targets become (1 − ε)·t + ε/outputs, for "sigmoid" (1 − ε)·t + ε/2.
    huber_delta : float, default 1.0
        δ of "huber".
    learning_rate : float, optional
        Of "sgd" (default 0.1) and "adamw" (default 1e-3).
    momentum : float in [0, 1), default 0.9
        Of "sgd".
    nesterov : bool, default False
        Of "sgd".
    weight_decay : float, default 0.0
        Of "adamw": weights shrink by learning_rate·weight_decay a step, the bias does not.
    betas : tuple of two float, default (0.9, 0.999)
        Of "adamw".
    epsilon : float, default 1e-8
        Of "adamw".
    batch_size : int, default 256
        Rows a step. The last batch of an epoch may be shorter.
    epochs : int, default 10
        How often "sgd" and "adamw" go through the rows.
    shuffle : bool, default True
        Draw the rows' order anew each epoch; of blocks, within each block.
    schedule : {"constant", "cosine", "linear"}, default "constant"
        How the learning rate falls to the end.
    warmup : int, or float in [0, 1), default 0
        Steps, or share of all steps, over which the learning rate rises.
    clip_norm : float, optional
        Longest gradient of weight and bias together that a step takes.
    max_iter : int, default 1000
        Most iterations of "lbfgs" and "newton".
    tolerance : float, default 1e-6
        "lbfgs" and "newton" are done when no entry of the gradient is larger.
    early_stopping : int or True, optional
        Stop after so many epochs (True: 5) without a better validation metric, and take the best
        epoch's weights. Without validation data `validation_fraction` of the rows is held out.
    validation_fraction : float in (0, 1), default 0.1
        Share of the rows that early stopping holds out, drawn by `seed`.
    metric : str or function, default "auto"
        "accuracy", "balanced_accuracy", "average_precision" of labels, "mse", "r2" of numbers,
        "loss" of all, or f(targets, logits) of which more is better. "auto" is accuracy, r2, or for
        soft labels and several labels a row loss.
    warm_start : bool, default False
        Let `fit` start from the fitted weights.
    seed : int, default 0
        Of the rows' order.

    Attributes
    ----------
    weight_ : ndarray, shape (outputs, features)
    bias_ : ndarray, shape (outputs,)
    classes_ : ndarray
        Labels, sorted; there is none for numbers.
    n_features_in_, n_iter_ : int
        Width of the features; epochs or iterations.
    converged_ : bool
        Whether the gradient came below `tolerance`; for other solvers whether the loss is finite.
    history_ : dict of ndarray
        By epoch or iteration: "loss" (the objective), "learning_rate", and with validation data
        "validation_loss" (without penalty, smoothing and class weights), "validation_metric".
    best_epoch_ : int
        Epoch of the best validation metric, from 0; without validation data the last.
    l2_, l2_path_, loo_error_, loo_predictions_
        Of "ridge": what was kept, all that was tried, the leave-one-out error of each, and the
        predictions at `l2_` of each row by a head that has not seen it.

    See Also
    --------
    HeadSweep : Hundreds of heads in one pass over the features.

    References
    ----------
    .. [1] J. Nocedal, "Updating quasi-Newton matrices with limited storage", Math. Comp. 35 (1980).
    .. [2] X. Li, Y. Grandvalet, F. Davoine, "Explicit inductive bias for transfer learning with
       convolutional networks", ICML 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from numfuse import LinearHead
    >>> features = np.array([[0.0, 1.0], [0.2, 0.9], [1.0, 0.0], [0.9, 0.3]])
    >>> head = LinearHead(l2=0.01).fit(features, ["cat", "cat", "dog", "dog"])
    >>> head.predict([[0.1, 1.1]]).tolist()
    ['cat']
    >>> head
    LinearHead(l2=0.01)
    """

    weight_: NDArray[Any]
    bias_: NDArray[Any]
    classes_: NDArray[Any]
    n_features_in_: int
    n_iter_: int
    converged_: bool
    history_: dict[str, NDArray[np.float64]]
    best_epoch_: int
    l2_: float
    l2_path_: NDArray[np.float64]
    loo_error_: NDArray[np.float64]
    loo_predictions_: NDArray[np.float64]
    _kind: tuple[str, int]

    def __init__(
        self,
        *,
        loss: Loss = "softmax",
        solver: Solver = "lbfgs",
        l2: float | ArrayLike = 1e-4,
        anchor: ArrayLike | Literal["initial"] | None = None,
        initial: ArrayLike | tuple[ArrayLike, ArrayLike] | LinearHead | None = None,
        bias: bool = True,
        standardize: bool = False,
        class_weight: Literal["balanced"] | Mapping[Any, float] | ArrayLike | None = None,
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
        schedule: Literal["constant", "cosine", "linear"] = "constant",
        warmup: float = 0,
        clip_norm: float | None = None,
        max_iter: int = 1000,
        tolerance: float = 1e-6,
        early_stopping: int | bool | None = None,
        validation_fraction: float = 0.1,
        metric: str | Callable[[Any, NDArray[Any]], float] = "auto",
        warm_start: bool = False,
        seed: int = 0,
    ) -> None:
        self.loss, self.solver, self.l2, self.anchor = loss, solver, l2, anchor
        self.initial, self.bias, self.standardize = initial, bias, standardize
        self.class_weight, self.label_smoothing = class_weight, label_smoothing
        self.huber_delta, self.learning_rate = huber_delta, learning_rate
        self.momentum, self.nesterov, self.weight_decay = momentum, nesterov, weight_decay
        self.betas, self.epsilon, self.batch_size, self.epochs = betas, epsilon, batch_size, epochs
        self.shuffle, self.schedule, self.warmup = shuffle, schedule, warmup
        self.clip_norm, self.max_iter, self.tolerance = clip_norm, max_iter, tolerance
        self.early_stopping, self.validation_fraction = early_stopping, validation_fraction
        self.metric, self.warm_start, self.seed = metric, warm_start, seed

    def fit(
        self,
        features: ArrayLike | Iterable[Any],
        targets: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        validation: tuple[Any, ...] | None = None,
        classes: ArrayLike | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 1,
        progress: bool = False,
    ) -> Self:
        """Fit the head.

        Parameters
        ----------
        features : array_like (n, features), or iterable of blocks
            float16, bfloat16, float32, float64 or integers; a memmap is read where it lies. Blocks
            are (features, targets) or (features, targets, sample_weight), and batches do not cross
            them. What can be gone through only once serves for epochs=1 with "sgd" or "adamw".
        targets : array_like (n,) or (n, outputs)
            Labels of any type that can be sorted; rows ≥ 0 that sum to 1 ("softmax"); rows of 0
            and 1 ("sigmoid"); numbers ("squared", "huber"). None for blocks.
        sample_weight : array_like (n,), optional
            Weights ≥ 0 of the rows.
        validation : tuple, optional
            (features, targets) or (features, targets, sample_weight): looked at after each epoch.
        classes : array_like, optional
            All labels, where they do not all occur in `targets`.
        checkpoint : path, optional
            Where to keep the state of training. If the file is there, training goes on from it, to
            the bits of a fit that was never stopped.
        checkpoint_every : int, default 1
            Epochs between two writings.
        progress : bool, default False
            Show a bar.

        Returns
        -------
        LinearHead
            Itself.

        Raises
        ------
        TypeError, ValueError
            If keywords or data cannot be used; the head is then what it was before.

        Warns
        -----
        ConvergenceWarning
            If the solver stopped early, or the loss is not finite.

        Examples
        --------
        >>> import numpy as np
        >>> from numfuse import LinearHead
        >>> x = np.linspace(-1, 1, 50)[:, None]
        >>> head = LinearHead(loss="squared", solver="ridge", l2=[1e-6, 1.0])
        >>> head = head.fit(x, 3 * x[:, 0] + 1)
        >>> head.weight_.round(3), head.bias_.round(3), head.l2_
        (array([[3.]]), array([1.]), 1e-06)
        """
        settings = _options.checked(self._keywords())
        every = _options.CHECKPOINT_EVERY.checked("checkpoint_every", checkpoint_every)
        shown = _options.FLAG.checked("progress", progress)
        warm = self._warm() if settings.warm_start and hasattr(self, "weight_") else None
        ask = Ask(settings, warm=warm)
        plan = prepare(
            [ask], features, targets, sample_weight, validation, classes, type(self).__name__
        )
        file = None if checkpoint is None else _files.Checkpoint(checkpoint, every, plan)
        (fitted,) = fit(plan, checkpoint=file, progress=shown)
        self._become(plan.tasks[0], fitted)
        return self

    def partial_fit(
        self,
        features: ArrayLike,
        targets: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
    ) -> Self:
        """Go once through some rows, with "sgd" or "adamw"; the optimiser's memory goes on.

        Parameters
        ----------
        features : array_like (n, features)
            As in `fit`.
        targets : array_like (n,) or (n, outputs)
            As in `fit`.
        sample_weight : array_like (n,), optional
            Weights ≥ 0 of the rows.
        classes : array_like
            All labels, at the first call, where targets are labels.

        Returns
        -------
        LinearHead
            Itself.

        Raises
        ------
        TypeError, ValueError
            If keywords or data cannot be used; the head is then what it was before.

        Examples
        --------
        >>> import numpy as np
        >>> from numfuse import LinearHead
        >>> head, rng = LinearHead(solver="adamw", learning_rate=0.1), np.random.default_rng(0)
        >>> for _ in range(20):
        ...     x = rng.standard_normal((64, 3))
        ...     head = head.partial_fit(x, x[:, 0] > 0, classes=[False, True])
        >>> head.predict([[2.0, 0.0, 0.0], [-2.0, 0.0, 0.0]]).tolist()
        [True, False]
        """
        from ._finetune_train import partial

        settings = _options.checked(self._keywords())
        if settings.solver not in _options.BATCHED:
            raise ValueError(
                f'solver is "{settings.solver}", which has no partial_fit; use sgd or adamw.'
            )
        if settings.standardize:
            raise ValueError(
                "standardize goes through all data first, which partial_fit does not have; leave "
                "it out, or use fit."
            )
        settings = settings._replace(early_stopping=None, schedule="constant", warmup=0, epochs=1)
        warm = self._warm() if hasattr(self, "weight_") else None
        if warm is not None:
            rows = _data.rows_of(features)
            _data.check_width(rows, self.n_features_in_, "this head was fitted")
        elif classes is None and settings.initial is None and _are_labels(settings.loss, targets):
            raise ValueError(
                "classes is not given, but the first partial_fit has to know all labels; give "
                "classes=."
            )
        plan = prepare(
            [Ask(settings, warm=warm)], features, targets, sample_weight, None, classes,
            type(self).__name__,
        )  # fmt: skip
        own = self.__dict__
        calls = own.get("_calls", 0)
        fitted, moments, steps = partial(plan, own.get("_moments"), own.get("_steps", 0), calls)
        history = _joined(own.get("history_", {}), fitted.history)
        count = own.get("n_iter_", 0) + 1
        self._become(
            plan.tasks[0], fitted._replace(history=history, n_iter=count, best_epoch=count - 1)
        )
        self.__dict__.update(_moments=moments, _steps=steps, _calls=calls + 1)
        return self

    def decision_function(self, features: ArrayLike) -> NDArray[Any]:
        """Return the logits.

        Parameters
        ----------
        features : array_like (n, features)
            Of any dtype that `fit` takes; computed in the head's.

        Returns
        -------
        ndarray, shape (n, outputs), dtype of the weight

        Raises
        ------
        ValueError
            If the head is not fitted (`NotFittedError`), or features have another width or are not
            finite.

        Examples
        --------
        >>> from numfuse import LinearHead
        >>> head = LinearHead(loss="squared", solver="ridge", l2=0.0).fit([[0], [1]], [1, 3])
        >>> head.decision_function([[2.0]]).round(6)
        array([[5.]])
        """
        self._check_fitted()
        rows = _data.rows_of(features)
        _data.check_width(rows, self.n_features_in_, "this head was fitted")
        parameters = np.column_stack([self.weight_, self.bias_])
        return _data.logits(rows, np.ascontiguousarray(parameters))

    def predict_proba(self, features: ArrayLike) -> NDArray[Any]:
        """Return the probability of each class.

        Parameters
        ----------
        features : array_like (n, features)
            As in `decision_function`.

        Returns
        -------
        ndarray, shape (n, classes), dtype of the weight
            Columns in `classes_`' order; of several labels a row, each label's own.

        Raises
        ------
        AttributeError
            For losses of numbers.
        ValueError
            As `decision_function`.

        Examples
        --------
        >>> from numfuse import LinearHead
        >>> head = LinearHead(loss="sigmoid", l2=1.0).fit([[-1.0], [1.0]], ["no", "yes"])
        >>> head.predict_proba([[0.0]]).round(3)
        array([[0.5, 0.5]])
        """
        self._check_fitted()
        if self._kind[0] == "numbers":
            raise AttributeError(
                f'loss "{self.loss}" aims at numbers, which have no probabilities; use predict.'
            )
        z = self.decision_function(features)
        if self.loss == "softmax":
            z -= z.max(axis=1, keepdims=True)
            np.exp(z, out=z)
            z /= z.sum(axis=1, keepdims=True)
            return z
        tail = np.exp(-np.abs(z))
        yes: NDArray[Any] = np.where(z >= 0, 1, tail) / (1 + tail)
        if self._kind[0] == "several":
            return yes
        no = np.where(z >= 0, tail, 1) / (1 + tail)
        return np.concatenate([no, yes], axis=1)

    def predict(self, features: ArrayLike) -> NDArray[Any]:
        """Return labels, rows of 0 and 1, or numbers, as the targets were.

        Parameters
        ----------
        features : array_like (n, features)
            As in `decision_function`.

        Returns
        -------
        ndarray, shape (n,) or (n, outputs)
            Of equal logits the first label's.

        Raises
        ------
        ValueError
            As `decision_function`.

        Examples
        --------
        >>> from numfuse import LinearHead
        >>> LinearHead().fit([[-1.0], [1.0]], ["no", "yes"]).predict([[0.5]]).tolist()
        ['yes']
        """
        z = self.decision_function(features)
        name, rank = self._kind
        if name == "numbers":
            return z[:, 0] if rank == 1 else z
        if name == "several":
            return (z > 0).astype(np.int64)
        chosen: NDArray[Any] = self.classes_[_metrics.chosen(z)]
        return chosen

    def score(
        self, features: ArrayLike, targets: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> float:
        """Return accuracy, of several labels a row that of whole rows, or R² of numbers.

        Parameters
        ----------
        features : array_like (n, features)
            As in `decision_function`.
        targets : array_like (n,) or (n, outputs)
            As in `fit`; for soft labels labels too.
        sample_weight : array_like (n,), optional
            Weights ≥ 0 of the rows.

        Returns
        -------
        float

        Raises
        ------
        TypeError, ValueError
            As `decision_function`, or if targets are not what the head aims at.

        Examples
        --------
        >>> from numfuse import LinearHead
        >>> head = LinearHead().fit([[-1.0], [1.0]], ["no", "yes"])
        >>> head.score([[-2.0], [2.0]], ["no", "no"])
        0.5
        """
        z = self.decision_function(features)
        array = as_array("targets", targets)
        check_length("targets", array, len(z))
        weights = sample_weights(sample_weight, len(z))
        name, rank = self._kind
        if name == "soft" and array.ndim == 1:
            name, rank = "labels", 1
        kind = Kind(name, len(self.weight_), getattr(self, "classes_", None), rank)
        aims = encode(kind, array, z.dtype)
        if name == "numbers":
            return _metrics.score("r2", self.loss, 1.0, array, aims, z, weights)
        if name == "several":
            assert aims.values is not None
            right = ((z > 0) == (aims.values > 0)).all(axis=1).astype(np.float64)
            return float(np.average(right, weights=weights))
        if name == "soft":
            assert aims.values is not None
            aims = Encoded(aims.values.argmax(axis=1), None)
        return _metrics.score("accuracy", self.loss, 1.0, array, aims, z, weights)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the head as a safetensors file, which torch.nn.Linear's loaders read too.

        The tensors are "weight" and, unless bias=False, "bias"; labels and keywords are in the
        metadata, except keywords that are arrays.

        Parameters
        ----------
        path : path
            What is there is replaced once the new file is whole.

        Raises
        ------
        TypeError
            If a label is neither text nor number.
        ValueError
            If the head is not fitted (`NotFittedError`).
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from numfuse import LinearHead
        >>> head = LinearHead().fit([[-1.0], [1.0]], ["no", "yes"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     head.save(Path(folder) / "head.safetensors")
        ...     LinearHead.load(Path(folder) / "head.safetensors").predict([[3.0]]).tolist()
        ['yes']
        """
        self._check_fitted()
        tensors = {"weight": self.weight_}
        if self.bias:
            tensors["bias"] = self.bias_
        _files.write(path, tensors, {"kind": "LinearHead", **self._facts()})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LinearHead:
        """Read a head that `save` wrote, or the file of a torch.nn.Linear.

        Parameters
        ----------
        path : path
            A safetensors file with "weight" and maybe "bias". Of a bare layer the labels are
            0, 1, …; one of one row is a "sigmoid" of 0 and 1. bfloat16 and float16 become float32.

        Returns
        -------
        LinearHead

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is damaged, cut short, or holds something else.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from numfuse import LinearHead
        >>> head = LinearHead(loss="squared", solver="ridge").fit([[0.0], [1.0]], [1.0, 3.0])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     head.save(Path(folder) / "head.safetensors")
        ...     LinearHead.load(Path(folder) / "head.safetensors")
        LinearHead(loss='squared', solver='ridge')
        """
        tensors, facts = _files.read(path, "LinearHead")
        return cls._loaded(path, tensors.get("weight"), tensors.get("bias"), facts)

    @classmethod
    def _loaded(
        cls,
        path: str | os.PathLike[str],
        weight: NDArray[Any] | None,
        bias: NDArray[Any] | None,
        facts: Mapping[str, Any] | None,
    ) -> LinearHead:
        """Make a head of what a file has of it."""
        _files.check_head(path, weight, bias)
        assert weight is not None
        dtype = np.dtype(np.float64 if weight.dtype.itemsize == 8 else np.float32)
        outputs, width = weight.shape
        if facts is None:
            head = cls(loss="sigmoid" if outputs == 1 else "softmax")
            kind, classes = ("labels", 1), np.arange(max(outputs, 2))
            converged, n_iter = True, 0
        else:
            try:
                head = cls(**_files.settings_from(facts["settings"]))
                found = _files.classes_from(facts["classes"])
                kind = str(facts["targets"]), int(facts["rank"])
                converged, n_iter = bool(facts["converged"]), int(facts["n_iter"])
            except _files.DAMAGE as error:
                raise ValueError(f"{path} has damaged metadata ({error}); save it again.") from None
            classes = found if found is not None else np.arange(0)
            rows = 1 if head.loss == "sigmoid" and kind[0] == "labels" else len(classes)
            if kind[0] != "numbers" and rows != outputs:
                raise ValueError(
                    f"{path} has {outputs} rows for {len(classes)} labels; save it again."
                )
        if kind[0] != "numbers":
            head.classes_ = classes
        head.weight_ = np.ascontiguousarray(weight, dtype)
        head.bias_ = np.zeros(outputs, dtype) if bias is None else bias.astype(dtype)
        head.n_features_in_, head.n_iter_, head.converged_ = width, n_iter, converged
        head.history_, head.best_epoch_ = {}, max(n_iter - 1, 0)
        head._kind = kind
        return head

    def _facts(self) -> dict[str, Any]:
        """Return what a file says of the head beside its tensors."""
        return {
            "version": _files.VERSION,
            "classes": _files.classes_facts(getattr(self, "classes_", None)),
            "settings": _files.settings_facts(self._keywords()),
            "targets": self._kind[0],
            "rank": self._kind[1],
            "n_iter": self.n_iter_,
            "converged": bool(self.converged_),
        }

    def _keywords(self) -> dict[str, Any]:
        """Return the keywords as they were given."""
        return {name: getattr(self, name) for name in _options.DEFAULTS}

    def _warm(self) -> tuple[NDArray[Any], NDArray[Any], Any]:
        """Return weight, bias and classes to go on from."""
        return self.weight_, self.bias_, getattr(self, "classes_", None)

    def _check_fitted(self) -> None:
        if not hasattr(self, "weight_"):
            raise NotFittedError(f"This {type(self).__name__} is not fitted; call fit first.")

    def _become(self, task: Task, fitted: Fitted) -> None:
        """Take over what a fit found, all at once."""
        kind = task.kind
        values: dict[str, Any] = {
            "weight_": fitted.weight, "bias_": fitted.bias, "n_features_in_": task.width,
            "n_iter_": fitted.n_iter, "converged_": fitted.converged, "history_": fitted.history,
            "best_epoch_": fitted.best_epoch, "_kind": (kind.name, kind.rank), **fitted.extras,
        }  # fmt: skip
        if kind.classes is not None:
            values["classes_"] = kind.classes
        if "l2_" in values:
            values["l2_"] = float(values["l2_"])
        keep = {name: value for name, value in self.__dict__.items() if name not in FITTED}
        self.__dict__ = keep | values

    def __repr__(self) -> str:
        return f"{type(self).__name__}({described(self._keywords(), _options.DEFAULTS)})"


def described(keywords: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """Return keywords that are not default as they stand in a call."""
    parts = []
    for name, value in keywords.items():
        default = defaults.get(name, described)
        if type(value) is type(default) and not isinstance(value, np.ndarray) and value == default:
            continue
        parts.append(f"{name}={_described(value)}")
    return ", ".join(parts)


def _described(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"<{value.dtype.name} array {value.shape}>"
    if isinstance(value, LinearHead):
        return "<LinearHead>"
    if isinstance(value, tuple | list):
        inner = ", ".join(map(_described, value))
        if isinstance(value, list):
            return f"[{inner}]"
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if callable(value):
        return f"<function {getattr(value, '__name__', type(value).__name__)}>"
    return repr(value)


def _are_labels(loss: str, targets: Any) -> bool:
    return loss in ("softmax", "sigmoid") and as_array("targets", targets).ndim == 1


def _joined(
    before: Mapping[str, NDArray[np.float64]], now: Mapping[str, NDArray[np.float64]]
) -> dict[str, NDArray[np.float64]]:
    """Append one entry to each array of a history; NaN where it has none."""
    names = [*before, *(name for name in now if name not in before)]
    length = max(map(len, before.values()), default=0)
    return {
        name: np.append(before.get(name, np.full(length, np.nan)), now.get(name, [np.nan]))
        for name in names
    }
