"""`HeadSweep`: many heads in one pass over the features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from . import _finetune_data as _data
from . import _finetune_files as _files
from . import _finetune_options as _options
from ._errors import NotFittedError
from ._finetune import LinearHead, described
from ._finetune_fit import Ask, Fitted, fit, prepare
from ._finetune_grid import (
    OWN,
    columns_of,
    grid_of,
    history_of,
    key_of,
    names_of,
    results_of,
    slice_facts,
    swept,
    width_of,
)
from ._finetune_targets import as_array

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from ._finetune_fit import Plan

SOLVERS = ("adamw", "sgd", "lbfgs")
FITTED = (
    "heads_", "results_", "history_", "n_features_in_", "n_iter_", "_best", "_validated",
)  # fmt: skip


class HeadSweep:
    """Many `LinearHead`s that differ in their settings, trained in one pass over the features.

    Heads that see the same columns of the same rows are one wide product; each has the bits of the
    same head alone. Settings, columns of the features, and targets can differ by head.

    Parameters
    ----------
    grid : dict of str to list, or list of dict
        Values of `LinearHead`'s keywords, of which all combinations are trained, the last keyword
        fastest; or each head's own keywords. What the heads share cannot be in it: "solver",
        "metric", "warm_start", "batch_size", "epochs", "shuffle". Two more keywords are a head's
        own: "columns", a slice or (start, stop) of the features, and "targets", a key of the
        targets that `fit` gets as a dict.
    metric : str or function, default "auto"
        What ranks the heads, as `LinearHead`'s.
    halving : int, optional
        Let after every `halving_epochs` only the best 1/halving of the heads train on. Needs
        validation data, and "sgd" or "adamw".
    halving_epochs : int, default 1
        Epochs between two halvings.
    **settings
        `LinearHead`'s keywords, for all heads. `solver` is "adamw" by default, and may be "sgd" or
        "lbfgs".

    Attributes
    ----------
    heads_ : list of LinearHead
        In the grid's order, as far as each was trained.
    results_ : dict of ndarray
        One entry a head: every keyword of the grid, "head", "epochs", "loss", "validation_loss",
        "validation_metric", and "rank", 1 for the best. A DataFrame takes it.
    best_, best_index_, best_settings_
        The head of rank 1, its place, and its own keywords; where there are validation data. Of
        heads with different targets too it is the one of the best metric.
    history_ : dict of ndarray
        As a head's, (heads, epochs), NaN where a head had stopped.
    n_features_in_, n_iter_ : int
        Width of the features; most epochs or iterations of a head.

    See Also
    --------
    LinearHead : One head.

    Examples
    --------
    >>> import numpy as np
    >>> from numfuse import HeadSweep
    >>> rng = np.random.default_rng(0)
    >>> features = rng.standard_normal((300, 4))
    >>> labels = features[:, 0] + 0.1 * rng.standard_normal(300) > 0
    >>> sweep = HeadSweep({"l2": [10.0, 1e-3], "columns": [(0, 2), (2, 4)]}, solver="lbfgs")
    >>> sweep = sweep.fit(features[:200], labels[:200], validation=(features[200:], labels[200:]))
    >>> sweep.best_settings_
    {'l2': 0.001, 'columns': (0, 2)}
    >>> sweep.results_["rank"][:3:2].tolist()
    [2, 1]
    """

    heads_: list[LinearHead]
    results_: dict[str, NDArray[Any]]
    history_: dict[str, NDArray[np.float64]]
    n_features_in_: int
    n_iter_: int

    def __init__(
        self,
        grid: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]],
        *,
        metric: str | Callable[[Any, NDArray[Any]], float] = "auto",
        halving: int | None = None,
        halving_epochs: int = 1,
        **settings: Any,
    ) -> None:
        self.grid, self.metric = grid, metric
        self.halving, self.halving_epochs = halving, halving_epochs
        self.settings = settings

    def fit(
        self,
        features: ArrayLike | Iterable[Any],
        targets: ArrayLike | Mapping[Any, ArrayLike] | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        validation: tuple[Any, ...] | None = None,
        classes: ArrayLike | Mapping[Any, ArrayLike] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 1,
        progress: bool = False,
    ) -> Self:
        """Fit all heads.

        Parameters
        ----------
        features : array_like (n, features), or iterable of blocks
            As in `LinearHead.fit`.
        targets : array_like, or dict of them
            As in `LinearHead.fit`; of a dict each head takes the one that its "targets" names.
        sample_weight : array_like (n,), optional
            Weights ≥ 0 of the rows.
        validation : tuple, optional
            (features, targets) or (features, targets, sample_weight), targets as above.
        classes : array_like, or dict of them by the targets' names, optional
            All labels, where they do not all occur in `targets`.
        checkpoint : path, optional
            As in `LinearHead.fit`.
        checkpoint_every : int, default 1
            Epochs between two writings.
        progress : bool, default False
            Show a bar.

        Returns
        -------
        HeadSweep
            Itself.

        Raises
        ------
        TypeError, ValueError
            If grid, keywords or data cannot be used; the sweep is then what it was before.

        Warns
        -----
        ConvergenceWarning
            If heads stopped early, or their losses are not finite.

        Examples
        --------
        >>> import numpy as np
        >>> from numfuse import HeadSweep
        >>> x = np.linspace(-1, 1, 200)[:, None]
        >>> targets = {"sign": x[:, 0] > 0, "size": abs(x[:, 0]) > 0.5}
        >>> sweep = HeadSweep({"targets": ["sign", "size"]}, solver="lbfgs").fit(x, targets)
        >>> [round(head.score(x, targets[name]), 1) for name, head in zip(targets, sweep.heads_)]
        [1.0, 0.5]
        """
        grid = grid_of(self.grid, self.settings)
        every = _options.CHECKPOINT_EVERY.checked("checkpoint_every", checkpoint_every)
        showing = _options.FLAG.checked("progress", progress)
        halving = _options.HALVING.checked("halving", self.halving)
        halving_epochs = _options.HALVING_EPOCHS.checked("halving_epochs", self.halving_epochs)
        heads = self._heads(grid)
        asks = self._asks(heads, grid, features, targets)
        solver = asks[0].settings.solver
        if halving is not None and solver == "lbfgs":
            raise ValueError(
                f'halving is {halving}, but solver "lbfgs" has no epochs; leave it out, or use sgd '
                "or adamw."
            )
        if halving is not None and validation is None:
            raise ValueError(
                f"halving is {halving}, but without validation data nothing says which heads are "
                "better; give validation=."
            )
        plan = prepare(
            asks, features, targets, sample_weight, validation, classes, type(self).__name__
        )
        options = {"halving": halving, "halving_epochs": halving_epochs}
        file = None
        if checkpoint is not None:
            file = _files.Checkpoint(checkpoint, every, plan, **options)
        fitted = fit(plan, checkpoint=file, progress=showing, **options)
        for head, task, found in zip(heads, plan.tasks, fitted, strict=True):
            head._become(task, found)
        self._become(heads, grid, plan, fitted)
        return self

    def _heads(self, grid: list[dict[str, Any]]) -> list[LinearHead]:
        shared = {"solver": "adamw", **self.settings, "metric": self.metric}
        return [
            LinearHead(**shared, **{name: value for name, value in own.items() if name not in OWN})
            for own in grid
        ]

    def _asks(
        self, heads: list[LinearHead], grid: list[dict[str, Any]], features: Any, targets: Any
    ) -> list[Ask]:
        """Check each head's settings, columns and choice of targets."""
        names = names_of(features, targets)
        width = None
        asks = []
        for index, (head, own) in enumerate(zip(heads, grid, strict=True)):
            settings = _options.checked(head._keywords())
            if settings.solver not in SOLVERS:
                raise ValueError(
                    f'solver is "{settings.solver}", but a sweep takes "adamw", "sgd" or "lbfgs"; '
                    "fit LinearHead for each setting."
                )
            columns = own.get("columns")
            if columns is not None:
                if width is None:
                    width = width_of(features)
                columns = columns_of(columns, width)
            warm = None
            if settings.warm_start and hasattr(self, "heads_") and len(self.heads_) == len(grid):
                warm = self.heads_[index]._warm()
            asks.append(Ask(settings, columns, key_of(own, names), warm))
        return asks

    def _become(
        self,
        heads: list[LinearHead],
        grid: list[dict[str, Any]],
        plan: Plan,
        fitted: Sequence[Fitted],
    ) -> None:
        """Take over what a fit found, all at once."""
        results, order = results_of(grid, plan, fitted)
        validated = any("validation_metric" in each.history for each in fitted)
        self.__dict__.update(
            heads_=heads, results_=results, history_=history_of(fitted),
            n_features_in_=plan.data.width, n_iter_=max(each.n_iter for each in fitted),
            _best=(int(order[0]), grid[int(order[0])]), _validated=validated,
        )  # fmt: skip

    @property
    def best_index_(self) -> int:
        """Place of the best head."""
        self._check_fitted()
        if not self.__dict__["_validated"]:
            raise AttributeError(
                "This HeadSweep was fitted without validation data, which would say which head is "
                "best; give validation=, or look at heads_."
            )
        index: int = self.__dict__["_best"][0]
        return index

    @property
    def best_(self) -> LinearHead:
        """The best head."""
        index = self.best_index_
        return self.heads_[index]

    @property
    def best_settings_(self) -> dict[str, Any]:
        """Keywords of the grid that the best head has."""
        self.best_index_  # noqa: B018 (refuses where there is none)
        own: dict[str, Any] = self.__dict__["_best"][1]
        return dict(own)

    def _check_fitted(self) -> None:
        if "heads_" not in self.__dict__:
            raise NotFittedError(f"This {type(self).__name__} is not fitted; call fit first.")

    def _cut(self, features: ArrayLike) -> Any:
        """Return the columns of features that the best head sees."""
        columns = self.best_settings_.get("columns")
        if columns is None:
            return features
        rows = _data.rows_of(features, owner=type(self).__name__)
        _data.check_width(rows, self.n_features_in_, "this sweep was fitted")
        array = as_array("features", features)
        return array[:, columns_of(columns, self.n_features_in_)]

    def decision_function(self, features: ArrayLike) -> NDArray[Any]:
        """Return the best head's logits.

        Parameters
        ----------
        features : array_like (n, features)
            With all columns; the head takes its own.

        Returns
        -------
        ndarray, shape (n, outputs)

        Raises
        ------
        AttributeError
            If there were no validation data.
        ValueError
            As `LinearHead.decision_function`.

        Examples
        --------
        >>> from numfuse import HeadSweep
        >>> x, y = [[-1.0], [1.0]], [0, 1]
        >>> sweep = HeadSweep({"l2": [0.1, 1.0]}, solver="lbfgs").fit(x, y, validation=(x, y))
        >>> sweep.decision_function(x).shape
        (2, 2)
        """
        return self.best_.decision_function(self._cut(features))

    def predict_proba(self, features: ArrayLike) -> NDArray[Any]:
        """Return the best head's probabilities.

        Parameters
        ----------
        features : array_like (n, features)
            With all columns; the head takes its own.

        Returns
        -------
        ndarray, shape (n, classes)

        Raises
        ------
        AttributeError
            If there were no validation data, or the head aims at numbers.
        ValueError
            As `LinearHead.predict_proba`.

        Examples
        --------
        >>> from numfuse import HeadSweep
        >>> x, y = [[-1.0], [1.0]], [0, 1]
        >>> sweep = HeadSweep({"l2": [0.1, 1.0]}, solver="lbfgs").fit(x, y, validation=(x, y))
        >>> sweep.predict_proba([[0.0]]).round(3)
        array([[0.5, 0.5]])
        """
        return self.best_.predict_proba(self._cut(features))

    def predict(self, features: ArrayLike) -> NDArray[Any]:
        """Return what the best head predicts.

        Parameters
        ----------
        features : array_like (n, features)
            With all columns; the head takes its own.

        Returns
        -------
        ndarray, shape (n,) or (n, outputs)

        Raises
        ------
        AttributeError
            If there were no validation data.
        ValueError
            As `LinearHead.predict`.

        Examples
        --------
        >>> from numfuse import HeadSweep
        >>> x, y = [[-1.0], [1.0]], ["no", "yes"]
        >>> sweep = HeadSweep({"l2": [0.1, 1.0]}, solver="lbfgs").fit(x, y, validation=(x, y))
        >>> sweep.predict([[2.0]]).tolist()
        ['yes']
        """
        return self.best_.predict(self._cut(features))

    def score(
        self, features: ArrayLike, targets: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> float:
        """Return the best head's score.

        Parameters
        ----------
        features : array_like (n, features)
            With all columns; the head takes its own.
        targets : array_like
            What that head aims at.
        sample_weight : array_like (n,), optional
            Weights ≥ 0 of the rows.

        Returns
        -------
        float

        Raises
        ------
        AttributeError
            If there were no validation data.
        TypeError, ValueError
            As `LinearHead.score`.

        Examples
        --------
        >>> from numfuse import HeadSweep
        >>> x, y = [[-1.0], [1.0]], ["no", "yes"]
        >>> sweep = HeadSweep({"l2": [0.1, 1.0]}, solver="lbfgs").fit(x, y, validation=(x, y))
        >>> sweep.score(x, y)
        1.0
        """
        return self.best_.score(self._cut(features), targets, sample_weight=sample_weight)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all heads as one safetensors file.

        Parameters
        ----------
        path : path
            Tensors are "heads.<i>.weight" and "heads.<i>.bias"; what is there is replaced once the
            new file is whole.

        Raises
        ------
        TypeError
            If a label, or a value of the grid that is no array, is neither text nor number.
        ValueError
            If the sweep is not fitted (`NotFittedError`).
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from numfuse import HeadSweep
        >>> x, y = [[-1.0], [1.0]], ["no", "yes"]
        >>> sweep = HeadSweep({"l2": [0.1, 1.0]}, solver="lbfgs").fit(x, y, validation=(x, y))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     sweep.save(Path(folder) / "heads.safetensors")
        ...     HeadSweep.load(Path(folder) / "heads.safetensors").best_settings_
        {'l2': 0.1}
        """
        self._check_fitted()
        tensors, heads = {}, []
        for index, head in enumerate(self.heads_):
            tensors[f"heads.{index}.weight"] = head.weight_
            if head.bias:
                tensors[f"heads.{index}.bias"] = head.bias_
            heads.append(head._facts())
        own = grid_of(self.grid, self.settings)
        settings = [
            {
                name: _files.plain_or_none(slice_facts(value) if name == "columns" else value)
                for name, value in each.items()
            }
            for each in own
        ]
        for name in ("epochs", "loss", "validation_loss", "validation_metric", "rank"):
            tensors[f"results.{name}"] = self.results_[name]
        for name, values in self.history_.items():
            tensors[f"history.{name}"] = values
        _files.write(
            path,
            tensors,
            {
                "kind": "HeadSweep", "version": _files.VERSION, "heads": heads, "own": settings,
                "settings": _files.settings_facts(self.settings),
                "metric": self.metric if isinstance(self.metric, str) else "auto",
                "halving": self.halving, "halving_epochs": self.halving_epochs,
                "best_index": self.__dict__["_best"][0],
                "validated": self.__dict__["_validated"], "width": self.n_features_in_,
                "n_iter": self.n_iter_,
            },
        )  # fmt: skip

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> HeadSweep:
        """Read a sweep that `save` wrote.

        Parameters
        ----------
        path : path
            A safetensors file.

        Returns
        -------
        HeadSweep
            Its grid is the list of the heads' own keywords, arrays left out.

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
        >>> from numfuse import HeadSweep
        >>> sweep = HeadSweep({"l2": [0.1, 1.0]}, solver="lbfgs").fit([[-1.0], [1.0]], [0, 1])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     sweep.save(Path(folder) / "heads.safetensors")
        ...     twin = HeadSweep.load(Path(folder) / "heads.safetensors")
        >>> bool((twin.heads_[1].weight_ == sweep.heads_[1].weight_).all())
        True
        """
        tensors, facts = _files.read(path, "HeadSweep")
        if facts is None:
            raise ValueError(
                f"{path} is a safetensors file that numfuse did not write; LinearHead.load reads a "
                "bare layer's."
            )
        try:
            grid = [
                {
                    name: tuple(value) if name in ("columns", "betas") and value else value
                    for name, value in own.items()
                }
                for own in facts["own"]
            ]
            sweep = cls(
                grid, metric=facts["metric"], halving=facts["halving"],
                halving_epochs=facts["halving_epochs"], **_files.settings_from(facts["settings"]),
            )  # fmt: skip
            heads = [
                LinearHead._loaded(
                    path, tensors.get(f"heads.{index}.weight"),
                    tensors.get(f"heads.{index}.bias"), head,
                )
                for index, head in enumerate(facts["heads"])
            ]  # fmt: skip
            results = swept(grid)
            results["head"] = np.arange(len(heads))
            history = {}
            for name, tensor in tensors.items():
                group, _, rest = name.partition(".")
                if group == "results":
                    results[rest] = tensor
                elif group == "history":
                    history[rest] = tensor
            best = int(facts["best_index"])
            if len(heads) != len(grid) or not 0 <= best < len(heads):
                raise ValueError(f"{len(heads)} heads of {len(grid)}, the best is {best}")
            sweep.__dict__.update(
                heads_=heads, results_=results, history_=history,
                n_features_in_=int(facts["width"]), n_iter_=int(facts["n_iter"]),
                _best=(best, grid[best]), _validated=bool(facts["validated"]),
            )  # fmt: skip
        except _files.DAMAGE as error:
            if str(path) in str(error):
                raise
            raise ValueError(f"{path} has damaged metadata ({error!r}); save it again.") from None
        return sweep

    def __repr__(self) -> str:
        keywords = {"metric": self.metric, "halving": self.halving}
        keywords |= {"halving_epochs": self.halving_epochs, **self.settings}
        defaults = {"metric": "auto", "halving": None, "halving_epochs": 1}
        rest = described(keywords, defaults)
        grid = described({"grid": self.grid}, {}).removeprefix("grid=")
        return f"{type(self).__name__}({grid}{', ' if rest else ''}{rest})"
