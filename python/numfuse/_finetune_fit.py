"""From keywords and data to tasks: what each head learns, from where it starts, what pulls it.

`prepare` checks all that can be wrong before anything is computed. Who then trains the tasks is
`fit`'s choice by the solver: batches in `_finetune_train`, L-BFGS in `_finetune_lbfgs`, Newton in
`_finetune_newton`, the closed form in `_finetune_ridge`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _finetune_metrics as _metrics
from ._finetune_data import Data, encoded_targets, rows_of, target_array
from ._finetune_options import BATCHED
from ._finetune_targets import (
    CLASSIFIERS,
    Encoded,
    Kind,
    checked_classes,
    describe,
    labels_in,
    named_factors,
    of_labels,
    sample_weights,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ._finetune_data import Aim, Rows
    from ._finetune_options import Settings


class Ask(NamedTuple):
    """One head that is asked for."""

    settings: Settings
    columns: slice | None = None
    """Start and stop of the features that it sees; None: all."""
    key: Any = None
    """Which of several targets; None where there is one."""
    warm: tuple[Any, Any, Any] | None = None
    """Weight, bias and classes to go on from."""


class Task(NamedTuple):
    """What one head learns."""

    settings: Settings
    columns: slice | None
    width: int
    aim: Aim
    kind: Kind
    weight: NDArray[np.float64]
    """(outputs, width): where it starts."""
    bias: NDArray[np.float64]
    anchor: NDArray[np.float64] | None
    factors: NDArray[np.float64] | None
    """Weights of classes that do not depend on the rows."""
    balanced: bool
    metric: str | Callable[..., float]


class Validation(NamedTuple):
    """Data to look at a head with."""

    rows: Rows
    raw: Any
    """Targets as given."""
    targets: dict[Aim, Encoded]
    weights: NDArray[np.float64] | None


class Plan(NamedTuple):
    """All that a fit needs."""

    tasks: list[Task]
    data: Data
    validation: Validation | None


class Fitted(NamedTuple):
    """What became of a task."""

    weight: NDArray[Any]
    bias: NDArray[Any]
    history: dict[str, NDArray[np.float64]]
    n_iter: int
    best_epoch: int
    converged: bool
    extras: dict[str, Any] = {}  # noqa: RUF012 (never written to)
    halved: bool = False
    """Whether halving ended it."""


def prepare(
    asks: Sequence[Ask],
    features: object,
    targets: object,
    sample_weight: object,
    validation: object,
    classes: object,
    owner: str,
) -> Plan:
    """Check data and keywords against each other, and make the tasks.

    Raises
    ------
    TypeError, ValueError
        With the argument named, before anything is computed.
    """
    data = Data(features, targets, sample_weight, owner)
    solver = asks[0].settings.solver
    if data.once and (solver not in BATCHED or asks[0].settings.epochs != 1):
        raise ValueError(
            "features is a generator, which serves for epochs=1 with sgd or adamw only; give a "
            "list or an iterable that starts anew."
        )
    known = [_known_classes(ask, classes) for ask in asks]
    aims = [_aim(ask, given) for ask, given in zip(asks, known, strict=True)]
    kinds = _kinds(data, dict(zip(aims, known, strict=True)))
    data.kinds = kinds
    data.forget_first()
    tasks = []
    for ask, aim in zip(asks, aims, strict=True):
        _check_data(ask.settings, data)
        tasks.append(_task(ask, aim, kinds[aim], data.width))
    checked = None if validation is None else _validation(validation, data, kinds)
    return Plan(tasks, data, checked)


def fit(plan: Plan, **options: Any) -> list[Fitted]:
    """Train the tasks of a plan with their solver; `options` as `_finetune_train.train`'s."""
    solver = plan.tasks[0].settings.solver
    if solver in BATCHED:
        from ._finetune_train import train as trained
    else:
        from ._finetune_whole import fit as trained
    fitted: list[Fitted] = trained(plan, **options)
    return fitted


def _known_classes(ask: Ask, classes: object) -> NDArray[Any] | None:
    """Return the classes that are known before the targets are looked at."""
    settings = ask.settings
    if settings.loss not in CLASSIFIERS:
        if classes is not None and not isinstance(classes, dict):
            raise ValueError(
                f'classes is given, but loss "{settings.loss}" aims at numbers; leave it out, or '
                'use loss="softmax".'
            )
        return None
    if isinstance(classes, dict):
        classes = classes.get(ask.key)
    given = None if classes is None else checked_classes(classes)
    source = ask.warm or settings.initial
    if source is None:
        return given
    weight, _, own = source
    if own is not None:
        if given is not None and given.tolist() != own.tolist():
            raise ValueError(
                f"classes is {given.tolist()}, but initial has the classes_ {own.tolist()}; leave "
                "classes out, or give initial's weight alone."
            )
        return np.asarray(own)
    if given is not None:
        return given
    outputs = len(weight)
    return np.arange(2 if settings.loss == "sigmoid" and outputs == 1 else outputs)


def _aim(ask: Ask, classes: NDArray[Any] | None) -> Aim:
    return ask.key, ask.settings.loss, "" if classes is None else repr(classes.tolist())


def _kinds(data: Data, known: dict[Aim, NDArray[Any] | None]) -> dict[Aim, Kind]:
    """Find out what each aim's targets are; over blocks, by a pass if labels are to be found."""
    kinds, open_ = {}, []
    for aim, classes in known.items():
        array, name = target_array(data.first_targets(), aim[0], "targets")
        if data.in_blocks and classes is None and aim[1] in CLASSIFIERS and array.ndim == 1:
            open_.append(aim)
        else:
            kinds[aim] = describe(aim[1], array, classes, name)
    if not open_:
        return kinds
    if data.once:
        raise ValueError(
            "classes is not given, but features is a generator, which can be gone through once; "
            "give all labels as classes=."
        )
    found: dict[Aim, list[NDArray[Any]]] = {aim: [] for aim in open_}
    for _, targets, _ in data.scan():
        for aim in open_:
            array, name = target_array(targets, aim[0], "targets")
            found[aim].append(labels_in(array, name))
    for aim, parts in found.items():
        kinds[aim] = of_labels(aim[1], labels_in(np.concatenate(parts)))
    return kinds


def _check_data(settings: Settings, data: Data) -> None:
    if data.once and settings.standardize:
        raise ValueError(
            "standardize goes through the data once before training, but features is a generator; "
            "give an iterable that starts anew, or leave standardize out."
        )
    share = bool(settings.warmup) and not isinstance(settings.warmup, int)
    if data.once and (settings.schedule != "constant" or share):
        what = "schedule" if settings.schedule != "constant" else "warmup"
        raise ValueError(
            f"{what} is {getattr(settings, what)!r}, which needs the number of all steps, but "
            'features is a generator; use "constant" and an integer, or a list of blocks.'
        )
    if data.once and settings.class_weight == "balanced":
        raise ValueError(
            'class_weight is "balanced", which counts the labels first, but features is a '
            "generator; give the weights, or a list of blocks."
        )


def _task(ask: Ask, aim: Aim, kind: Kind, width: int) -> Task:
    settings = ask.settings
    if ask.columns is not None:
        width = ask.columns.stop - ask.columns.start
    shape = (kind.outputs, width)
    anchor = settings.anchor
    if isinstance(anchor, str):
        anchor = settings.initial[0]
    if anchor is not None and anchor.shape != shape:
        raise ValueError(
            f"anchor has shape {anchor.shape}, but the head's weight has {shape}; give one row for "
            "each output and one column for each feature."
        )
    source = ask.warm or settings.initial
    weight = np.zeros(shape) if anchor is None else anchor.copy()
    bias = np.zeros(kind.outputs)
    if source is not None:
        name = "initial" if ask.warm is None else "warm_start's weight"
        weight = np.array(source[0], np.float64)
        if weight.shape != shape:
            raise ValueError(
                f"{name} has shape {weight.shape}, but the head's weight has {shape}; give one row "
                "for each output and one column for each feature."
            )
        if source[1] is not None:
            bias = np.array(source[1], np.float64)
            if bias.shape != (kind.outputs,):
                raise ValueError(
                    f"{name} has a bias of shape {bias.shape}, but the head has {kind.outputs} "
                    "outputs; give one number for each."
                )
    if not settings.bias:
        bias = np.zeros(kind.outputs)
    return Task(
        settings, ask.columns, width, aim, kind, weight, bias, anchor,
        named_factors(settings.class_weight, kind), isinstance(settings.class_weight, str),
        _metrics.resolved(settings.metric, kind),
    )  # fmt: skip


def _validation(given: object, data: Data, kinds: dict[Aim, Kind]) -> Validation:
    if not isinstance(given, tuple | list) or len(given) not in (2, 3):
        raise ValueError(
            f"validation is a {type(given).__name__}, but has to be (features, targets) or "
            "(features, targets, sample_weight)."
        )
    name = "validation's features"
    rows = rows_of(given[0], name, data.owner)
    if rows.array.shape[1] != data.width:
        raise ValueError(
            f"{name} has {rows.array.shape[1]} columns, but features has {data.width}; pass the "
            "same columns in the same order."
        )
    count = len(rows.array)
    if not count:
        raise ValueError(f"{name} has no row; give some, or leave validation out.")
    weights = sample_weights(given[2] if len(given) == 3 else None, count, "validation's weights")
    if weights is not None and not weights.any():
        raise ValueError("validation's weights are 0 in all rows; give some more.")
    encoded = encoded_targets(kinds, given[1], count, data.dtype, "validation's targets")
    return Validation(rows, given[1], encoded, weights)
