"""`LowRankAdapter`: a frozen linear layer, an update of low rank to it, and a head behind both."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from . import _finetune_data, _finetune_options, _lowrank_files, _lowrank_train
from ._errors import NotFittedError
from ._finetune import LinearHead, described
from ._finetune_fit import Ask, Fitted, prepare
from ._lowrank_checkpoint import Keeper
from ._lowrank_files import ADAPTER, HEAD
from ._lowrank_layer import Layer, Parameters
from ._lowrank_options import BIAS, DEFAULTS, OWN, SHARED, WEIGHT, cast, numbers
from ._options import shown
from ._progress import progress_bar
from .reference.finetune import stream

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import ArrayLike, NDArray

    Path_ = str | os.PathLike[str]


class LowRankAdapter:
    """Update of low rank to a frozen linear layer, trained with a head behind it (LoRA [1]_).

    The logits of features x are those of a head on f(x W₀ᵀ + b₀ + s·dropout(x) Aᵀ Bᵀ): W₀ and b₀
    stay, A (rank, in), B (out, rank) and the head are trained together. A is drawn uniformly
    within ±1/√in from `seed`, B is 0, so that training starts from the layer as it is.

    Parameters
    ----------
    weight : array_like, shape (out, in)
        W₀, as `torch.nn.Linear` has it.
    bias : array_like, shape (out,), optional
        b₀; 0 by default. (The head always has a bias of its own.)
    rank : int, default 8
        Rows of A. It may exceed the layer's sizes; then every change of W₀ can be learned.
    alpha : float, default 8.0
        With `rank` the scaling s of the update: alpha/rank.
    rslora : bool, default False
        Take s = alpha/√rank instead [2]_, under which large ranks learn as fast as small ones.
    dropout : float, default 0.0
        Share of the features that each step of training hides from A; the others are scaled up.
    activation : {"relu", "gelu", "tanh"}, optional
        f between layer and head; none by default.
    loss, l2, anchor, initial, class_weight, label_smoothing, huber_delta
        The head's objective, as in `LinearHead`; `l2` and `anchor` act on the head's weight alone.
    solver : {"adamw", "sgd"}, default "adamw"
        `weight_decay` acts on A, B and the head's weight, `clip_norm` on the gradient of all that
        is trained.
    learning_rate, momentum, nesterov, weight_decay, betas, epsilon, batch_size, epochs, shuffle, \
schedule, warmup, clip_norm, early_stopping, validation_fraction, metric, warm_start, seed
        As in `LinearHead`.

    Attributes
    ----------
    lora_A_ : ndarray, shape (rank, in)
    lora_B_ : ndarray, shape (out, rank)
    scaling_ : float
        s.
    head_ : LinearHead
        Takes what `transform` returns.
    classes_, history_, n_features_in_, n_iter_, best_epoch_
        As in `LinearHead`.

    Notes
    -----
    float64 and integer features are computed with in float64, all others in float32. The products
    are NumPy's: a fit repeats to the bit with the same BLAS and as many threads of it, but, unlike
    that of `LinearHead`, not with another number of them.

    References
    ----------
    .. [1] E. Hu et al., "LoRA: low-rank adaptation of large language models", ICLR 2022.
    .. [2] D. Kalajdzievski, "A rank stabilization scaling factor for fine-tuning with LoRA" (2023).

    Examples
    --------
    >>> import numpy as np
    >>> from numfuse import LowRankAdapter
    >>> rng = np.random.default_rng(0)
    >>> features = rng.normal(size=(400, 6))
    >>> inside = np.linalg.norm(features, axis=1) < 2.2
    >>> layer = rng.normal(size=(16, 6))
    >>> settings = {"activation": "relu", "learning_rate": 0.02, "epochs": 60, "batch_size": 32}
    >>> adapter = LowRankAdapter(layer, np.zeros(16), rank=4, **settings).fit(features, inside)
    >>> bool(adapter.score(features, inside) > 0.85)
    True
    >>> weight, bias = adapter.merge()
    >>> weight.shape, int(np.linalg.matrix_rank(weight - layer))
    ((16, 6), 4)
    """

    weight: Any
    bias: Any
    rslora: bool
    dropout: float
    activation: str | None
    warm_start: bool
    lora_A_: NDArray[Any]  # noqa: N815
    lora_B_: NDArray[Any]  # noqa: N815
    scaling_: float
    head_: LinearHead
    classes_: NDArray[Any]
    history_: dict[str, NDArray[np.float64]]
    n_features_in_: int
    n_iter_: int
    best_epoch_: int

    def __init__(
        self,
        weight: ArrayLike,
        bias: ArrayLike | None = None,
        *,
        rank: int = 8,
        alpha: float = 8.0,
        rslora: bool = False,
        dropout: float = 0.0,
        activation: Literal["relu", "gelu", "tanh"] | None = None,
        loss: Literal["softmax", "sigmoid", "squared", "huber"] = "softmax",
        solver: Literal["sgd", "adamw"] = "adamw",
        l2: float = 1e-4,
        anchor: ArrayLike | Literal["initial"] | None = None,
        initial: ArrayLike | tuple[ArrayLike, ArrayLike] | LinearHead | None = None,
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
        early_stopping: int | bool | None = None,
        validation_fraction: float = 0.1,
        metric: str | Callable[[Any, NDArray[Any]], float] = "auto",
        warm_start: bool = False,
        seed: int = 0,
    ) -> None:
        given = dict(locals())
        vars(self).update({name: value for name, value in given.items() if name != "self"})

    def fit(
        self,
        features: ArrayLike | Iterable[Any],
        targets: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        validation: tuple[Any, ...] | None = None,
        classes: ArrayLike | None = None,
        checkpoint: Path_ | None = None,
        checkpoint_every: int = 1,
        progress: bool = False,
    ) -> Self:
        """Train A, B and the head.

        Parameters
        ----------
        features : array_like, shape (n, in), or iterable of blocks
            What the frozen layer takes, as for `LinearHead.fit`.
        targets, sample_weight, validation, classes, checkpoint, checkpoint_every, progress
            As for `LinearHead.fit`.

        Returns
        -------
        LowRankAdapter
            Itself.

        Raises
        ------
        TypeError, ValueError
            If a setting is not allowed, or features, targets and the layer do not fit together;
            what was fitted before stays.

        Warns
        -----
        ConvergenceWarning
            If the loss is not finite.

        Examples
        --------
        >>> from numfuse import LowRankAdapter
        >>> adapter = LowRankAdapter([[1.0, 0.0], [0.0, 1.0]], rank=1, activation="tanh")
        >>> adapter = adapter.fit([[0.0, 1.0], [3.0, 1.0]], ["few", "many"])
        >>> adapter.lora_B_.shape
        (2, 1)
        """
        own, settings = self._checked()
        every = _finetune_options.CHECKPOINT_EVERY.checked("checkpoint_every", checkpoint_every)
        shown_ = _finetune_options.FLAG.checked("progress", progress)
        weight, bias = self._frozen()
        outputs, width = weight.shape
        # The head sees the layer's outputs: as wide as so many columns.
        ask = Ask(settings, columns=slice(0, outputs), warm=self._warm(outputs))
        plan = prepare(
            [ask], features, targets, sample_weight, validation, classes, "LowRankAdapter"
        )
        if plan.data.width != width:
            raise ValueError(
                f"features has {plan.data.width} columns, but weight has {width}; pass what the "
                "frozen layer takes."
            )
        layer = _layer(own, weight, bias, plan.data.dtype)
        task = _lowrank_train.task_of(layer, own["dropout"], plan)
        state = _lowrank_train.State(task, self._start(own, task, width))
        keeper = None
        if checkpoint is not None:
            keeper = Keeper(checkpoint, every, plan, **own, weight=weight, bias=bias)
            keeper.restore(state)
        with progress_bar("fitting", settings.epochs, shown=shown_) as advance:
            _lowrank_train.train(
                task, state, finished=keeper.due if keeper else _nothing, advance=advance
            )
        self._conclude(layer, task, state)
        return self

    def _checked(self) -> tuple[dict[str, Any], _finetune_options.Settings]:
        """Check all keywords."""
        own = {name: rule.checked(name, getattr(self, name)) for name, rule in OWN.items()}
        given = _finetune_options.DEFAULTS | {name: getattr(self, name) for name in SHARED}
        settings = _finetune_options.checked(given)
        if settings.solver not in _finetune_options.BATCHED:
            raise ValueError(
                f'solver is "{settings.solver}", but an adapter has to be trained in batches; use '
                '"adamw" or "sgd".'
            )
        return own, settings

    def _frozen(self) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Return W₀ and b₀, checked."""
        weight = numbers("weight", self.weight, WEIGHT)
        if weight.ndim != 2 or not weight.size:
            raise WEIGHT.refused("weight", f"has shape {weight.shape}")
        if self.bias is None:
            return weight, None
        bias = numbers("bias", self.bias, BIAS)
        if bias.shape != weight.shape[:1]:
            raise BIAS.refused(
                "bias", f"has shape {bias.shape}, beside a weight of shape {weight.shape}"
            )
        return weight, bias

    def _warm(self, outputs: int) -> tuple[Any, Any, Any] | None:
        """Return the head to go on from, if any."""
        if not self.warm_start or "head_" not in vars(self):
            return None
        head = self.head_
        if head.weight_.shape[1] != outputs:
            raise ValueError(
                f"warm_start goes on from a head of {head.weight_.shape[1]} columns, but weight "
                f"has {outputs} rows; make a new adapter."
            )
        return head.weight_, head.bias_, getattr(head, "classes_", None)

    def _start(self, own: dict[str, Any], task: _lowrank_train.Task, width: int) -> Parameters:
        """Return the parameters that training starts from."""
        head, rank, outputs = task.head, own["rank"], len(task.layer.weight)
        dtype = task.data.dtype
        A, B = np.zeros((rank, width + 1), dtype), np.zeros((outputs, rank + 1), dtype)
        V = np.column_stack([head.weight, head.bias]).astype(dtype)
        if self.warm_start and "lora_A_" in vars(self):
            if self.lora_A_.shape != (rank, width):
                raise ValueError(
                    f"warm_start goes on from lora_A_ of shape {self.lora_A_.shape}, but rank and "
                    f"features ask for {(rank, width)}; make a new adapter."
                )
            A[:, :-1], B[:, :-1] = self.lora_A_, self.lora_B_
            return Parameters(A, B, V)
        place = stream(_lowrank_train.ADAPTER)
        drawn = _lowrank_train.uniform(task.settings.seed, place, rank * width, dtype)
        A[:, :-1] = (2 * drawn - 1).reshape(rank, width) * dtype.type(1 / math.sqrt(width))
        return Parameters(A, B, V)

    def _conclude(
        self, layer: Layer, task: _lowrank_train.Task, state: _lowrank_train.State
    ) -> None:
        """Keep what was found, all at once."""
        stopped = task.settings.early_stopping is not None and state.best_epoch >= 0
        found = state.best if stopped else state.parameters
        history = {name: np.array(values) for name, values in state.history.items()}
        best = state.best_epoch if state.best_epoch >= 0 else state.epoch - 1
        converged = bool(np.isfinite(history["loss"]).all() and np.isfinite(found.head).all())
        fitted = Fitted(
            found.head[:, :-1].copy(), found.head[:, -1].copy(), history, state.epoch, best,
            converged,
        )  # fmt: skip
        head = LinearHead(**{name: getattr(self, name) for name in SHARED})
        head._become(task.head, fitted)
        attributes: dict[str, Any] = {
            "lora_A_": found.A[:, :-1].copy(),
            "lora_B_": found.B[:, :-1].copy(),
            "scaling_": layer.scaling,
            "head_": head,
            "history_": history,
            "n_features_in_": layer.weight.shape[1],
            "n_iter_": state.epoch,
            "best_epoch_": best,
        }
        if hasattr(head, "classes_"):
            attributes["classes_"] = head.classes_
        vars(self).pop("classes_", None)
        vars(self).update(attributes)

    def transform(self, features: ArrayLike) -> NDArray[Any]:
        """Return the adapted layer's output f(x (W₀ + s·B A)ᵀ + b₀), which the head takes.

        Parameters
        ----------
        features : array_like, shape (n, in)
            What the frozen layer takes.

        Returns
        -------
        ndarray, shape (n, out)
            In the dtype that was trained in.

        Raises
        ------
        TypeError, ValueError
            If `features` is no array of finite numbers of that width.
        NotFittedError
            If `fit` was not called.

        Examples
        --------
        >>> from numfuse import LowRankAdapter
        >>> adapter = LowRankAdapter([[1.0, 0.0]], [1.0], rank=1, activation="relu", epochs=1)
        >>> adapter = adapter.fit([[0.0, 1.0], [-3.0, 1.0]], ["a", "b"])
        >>> adapter.transform([[2.0, 0.0], [-9.0, 0.0], [0.0, 0.0]]).shape
        (3, 1)
        """
        self._check_fitted()
        weight, bias = self._frozen()
        dtype = self.lora_A_.dtype
        rows = _finetune_data.rows_of(features, owner="LowRankAdapter")
        _finetune_data.check_width(rows, weight.shape[1], "this adapter was fitted")
        layer = _layer({"activation": self.activation}, weight, bias, dtype, scaling=self.scaling_)
        parameters = Parameters(
            _with_column(self.lora_A_), _with_column(self.lora_B_), np.empty((0, 0), dtype)
        )
        out = np.empty((len(rows.array), len(weight)), dtype)
        for start, y in _lowrank_train.layer_outputs(layer, parameters, rows, dtype):
            out[start : start + len(y)] = y
        return out

    def decision_function(self, features: ArrayLike) -> NDArray[Any]:
        """Return the logits of the head behind the adapted layer.

        Parameters
        ----------
        features : array_like, shape (n, in)
            As in `transform`.

        Returns
        -------
        ndarray, shape (n, classes)

        Raises
        ------
        TypeError, ValueError, NotFittedError
            As `transform`.

        Examples
        --------
        >>> from numfuse import LowRankAdapter
        >>> settings = {"rank": 1, "learning_rate": 0.1, "epochs": 50}
        >>> adapter = LowRankAdapter([[1.0, 0.0], [0.0, 1.0]], **settings)
        >>> adapter = adapter.fit([[0.0, 1.0], [3.0, 1.0]], ["few", "many"])
        >>> adapter.decision_function([[0.0, 1.0], [3.0, 1.0]]).shape
        (2, 2)
        """
        return self._head().decision_function(self.transform(features))

    def predict_proba(self, features: ArrayLike) -> NDArray[Any]:
        """Return probabilities, as `LinearHead.predict_proba`.

        Parameters
        ----------
        features : array_like, shape (n, in)
            As in `transform`.

        Returns
        -------
        ndarray, shape (n, classes)

        Raises
        ------
        AttributeError, TypeError, ValueError, NotFittedError
            As `transform`, or if the loss is one of numbers.

        Examples
        --------
        >>> from numfuse import LowRankAdapter
        >>> settings = {"rank": 1, "learning_rate": 0.1, "epochs": 50}
        >>> adapter = LowRankAdapter([[1.0, 0.0], [0.0, 1.0]], **settings)
        >>> adapter = adapter.fit([[0.0, 1.0], [3.0, 1.0]], ["few", "many"])
        >>> adapter.predict_proba([[0.0, 1.0], [3.0, 1.0]]).sum(axis=1).round(6).tolist()
        [1.0, 1.0]
        """
        return self._head().predict_proba(self.transform(features))

    def predict(self, features: ArrayLike) -> NDArray[Any]:
        """Return labels, rows of 0 and 1, or numbers, as the targets were.

        Parameters
        ----------
        features : array_like, shape (n, in)
            As in `transform`.

        Returns
        -------
        ndarray, shape (n,) or (n, outputs)

        Raises
        ------
        TypeError, ValueError, NotFittedError
            As `transform`.

        Examples
        --------
        >>> from numfuse import LowRankAdapter
        >>> settings = {"rank": 1, "learning_rate": 0.1, "epochs": 50}
        >>> adapter = LowRankAdapter([[1.0, 0.0], [0.0, 1.0]], **settings)
        >>> adapter = adapter.fit([[0.0, 1.0], [3.0, 1.0]], ["few", "many"])
        >>> adapter.predict([[0.5, 1.0], [2.5, 1.0]]).tolist()
        ['few', 'many']
        """
        return self._head().predict(self.transform(features))

    def score(
        self, features: ArrayLike, targets: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> float:
        """Return accuracy, of several labels a row that of whole rows, or R² of numbers.

        Parameters
        ----------
        features : array_like, shape (n, in)
            As in `transform`.
        targets : array_like, shape (n,) or (n, outputs)
            As in `fit`.
        sample_weight : array_like, shape (n,), optional
            Weights ≥ 0 of the rows.

        Returns
        -------
        float

        Raises
        ------
        TypeError, ValueError, NotFittedError
            As `transform`, or if targets are not what the head aims at.

        Examples
        --------
        >>> from numfuse import LowRankAdapter
        >>> settings = {"rank": 1, "learning_rate": 0.1, "epochs": 50}
        >>> adapter = LowRankAdapter([[1.0, 0.0], [0.0, 1.0]], **settings)
        >>> adapter = adapter.fit([[0.0, 1.0], [3.0, 1.0]], ["few", "many"])
        >>> adapter.score([[0.5, 1.0], [2.5, 1.0]], ["few", "few"])
        0.5
        """
        head = self._head()
        return head.score(self.transform(features), targets, sample_weight=sample_weight)

    def merge(self) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Return weight W₀ + s·B A and bias of a plain layer that does what the adapted one does.

        Returns
        -------
        weight : ndarray, shape (out, in)
            In the dtype that was trained in.
        bias : ndarray, shape (out,), or None

        Raises
        ------
        NotFittedError
            If `fit` was not called.

        Examples
        --------
        >>> from numfuse import LowRankAdapter
        >>> adapter = LowRankAdapter([[1.0, 0.0]], rank=1, epochs=1)
        >>> adapter = adapter.fit([[0.0, 1.0], [3.0, 1.0]], ["a", "b"])
        >>> weight, bias = adapter.merge()
        >>> weight.shape, bias is None
        ((1, 2), True)
        """
        self._check_fitted()
        weight, bias = self._frozen()
        update = self.lora_B_.astype(np.float64) @ self.lora_A_.astype(np.float64)
        dtype = self.lora_A_.dtype
        merged = (weight + self.scaling_ * update).astype(dtype)
        return merged, None if bias is None else bias.astype(dtype)

    def save(self, folder: Path_, *, module: str = "linear") -> None:
        """Write the adapter under PEFT's names of files and tensors, and the head beside it.

        Parameters
        ----------
        folder : path
            Made if it is absent. `adapter_config.json` and `adapter_model.safetensors` are what
            PEFT loads; `head.safetensors` is `LinearHead.save`'s.
        module : str, default "linear"
            Name of the frozen layer in its model, such as "encoder.layer.0.output.dense": tensors
            are called `base_model.model.<module>.lora_A.weight` and `….lora_B.weight`.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        OSError
            If a file cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> from numfuse import LowRankAdapter
        >>> weight = [[1.0, 0.0], [0.0, 1.0]]
        >>> adapter = LowRankAdapter(weight, rank=1).fit([[0.0, 1.0], [3.0, 1.0]], ["few", "many"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     adapter.save(folder, module="encoder.dense")
        ...     LowRankAdapter.load(folder, weight).lora_A_.shape
        (1, 2)
        """
        self._check_fitted()
        if not isinstance(module, str) or not module:
            raise TypeError(
                f"module is {shown(module)}, but has to be the layer's name in its model; "
                '"linear" is usual.'
            )
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        _lowrank_files.write(
            folder,
            module,
            {"A": self.lora_A_, "B": self.lora_B_},
            scaling=self.scaling_,
            rslora=self.rslora,
            dropout=self.dropout,
        )
        self._head().save(folder / HEAD)
        _lowrank_files.add_activation(folder / HEAD, self.activation)

    @classmethod
    def load(cls, folder: Path_, weight: ArrayLike, bias: ArrayLike | None = None) -> Self:
        """Read what `save` or PEFT wrote for one layer.

        Parameters
        ----------
        folder : path
            With `adapter_config.json` and `adapter_model.safetensors`. Without `head.safetensors`
            there is no head, and so `transform` and `merge` alone.
        weight : array_like, shape (out, in)
            W₀ of the frozen layer, which is in none of the files.
        bias : array_like, shape (out,), optional
            b₀.

        Returns
        -------
        LowRankAdapter

        Raises
        ------
        OSError
            If a file cannot be read.
        ValueError
            If a file is damaged, is of another kind of adapter or of several layers, or does not
            fit `weight`.

        Examples
        --------
        >>> import tempfile
        >>> from numfuse import LowRankAdapter
        >>> weight = [[1.0, 0.0], [0.0, 1.0]]
        >>> adapter = LowRankAdapter(weight, rank=1).fit([[0.0, 1.0], [3.0, 1.0]], ["few", "many"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     adapter.save(folder, module="dense")
        ...     LowRankAdapter.load(folder, weight).lora_A_.shape
        (1, 2)
        """
        folder = Path(folder)
        config, A, B = _lowrank_files.read(folder)
        settings: dict[str, Any] = {}
        head = None
        if (folder / HEAD).exists():
            head = LinearHead.load(folder / HEAD)
            settings = {name: getattr(head, name) for name in SHARED}
            settings["activation"] = _lowrank_files.activation(folder / HEAD)
        adapter = cls(
            weight, bias, rank=len(A), alpha=config["lora_alpha"], rslora=config["use_rslora"],
            dropout=config["lora_dropout"], **settings,
        )  # fmt: skip
        checked, _ = adapter._frozen()
        own = {name: rule.checked(name, getattr(adapter, name)) for name, rule in OWN.items()}
        if (len(B), A.shape[1]) != checked.shape or B.shape[1] != len(A):
            raise ValueError(
                f"{folder / ADAPTER} has lora_A {A.shape} and lora_B {B.shape}, but weight has "
                f"shape {checked.shape}; give the weight of the layer that was adapted."
            )
        if head is not None and head.weight_.shape[1] != len(B):
            raise ValueError(
                f"{folder / HEAD} has a head of {head.weight_.shape[1]} columns, but weight has "
                f"{len(B)} rows; take all files from one folder."
            )
        vars(adapter).update(
            lora_A_=A, lora_B_=B, scaling_=_scaling(own), n_features_in_=A.shape[1]
        )
        if head is not None:
            adapter.head_ = head
            if hasattr(head, "classes_"):
                adapter.classes_ = head.classes_
        return adapter

    def _head(self) -> LinearHead:
        self._check_fitted()
        if "head_" not in vars(self):
            raise NotFittedError(
                "This LowRankAdapter was loaded without a head; call fit first, or use transform."
            )
        return self.head_

    def _check_fitted(self) -> None:
        if "lora_A_" not in vars(self):
            raise NotFittedError("This LowRankAdapter is not fitted; call fit first.")

    def __repr__(self) -> str:
        given = [f"<weight {np.shape(self.weight)}>"]
        if self.bias is not None:
            given.append(f"<bias {np.shape(self.bias)}>")
        own = described({name: getattr(self, name) for name in DEFAULTS}, DEFAULTS)
        return f"LowRankAdapter({', '.join([*given, own] if own else given)})"


def _nothing(state: _lowrank_train.State) -> None:
    """Keep no checkpoint."""


def _scaling(own: Mapping[str, Any]) -> float:
    rank = own["rank"]
    return float(own["alpha"] / (math.sqrt(rank) if own["rslora"] else rank))


def _layer(
    own: Mapping[str, Any],
    weight: NDArray[np.float64],
    bias: NDArray[np.float64] | None,
    dtype: np.dtype[Any],
    scaling: float | None = None,
) -> Layer:
    """Return the frozen layer in the dtype that is computed in."""
    return Layer(
        cast("weight", weight, WEIGHT, dtype),
        None if bias is None else cast("bias", bias, BIAS, dtype),
        _scaling(own) if scaling is None else scaling,
        own["activation"],
    )


def _with_column(array: NDArray[Any]) -> NDArray[Any]:
    return np.column_stack([array, np.zeros(len(array), array.dtype)])
