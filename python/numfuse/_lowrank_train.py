"""How an adapter of low rank is trained: epochs of batches, as `LinearHead` with sgd and adamw.

    for each epoch, each block of data, each batch of its rows in the epoch's order:
      z, and what is needed of the way there (`_lowrank_layer`)
      e = ∂loss/∂z · w/Σw      (`reference.finetune.loss_rows`)
      ∂A, ∂B, ∂V, ∂c;  + l2·(V − anchor);  all four clipped together
      one step of sgd or adamw (`reference.finetune.optimizer_step`)

All that is random is a function of seed, epoch and batch, so a fit that goes on from a checkpoint
ends with the bits of one that never stopped.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _config, _finetune_engine, _finetune_fit, _native
from . import _finetune_metrics as _metrics
from ._errors import ConvergenceWarning
from ._finetune_data import CAST_ROWS, Block, Data, Rows, check_finite
from ._finetune_options import Settings
from ._finetune_targets import Encoded, row_weights
from ._finetune_train import HOLD_OUT, ROWS, measured
from ._finetune_work import Head
from ._finetune_work import factors as class_factors
from ._lowrank_layer import Layer, Parameters, activate, adapted, gradients, logits
from .reference import random
from .reference.finetune import clip, loss_rows, optimizer_step, rates, schedule, stream

Array = NDArray[Any]
# Purposes of random streams beside `_finetune_train`'s.
ADAPTER, DROPOUT = 3, 4
HISTORY = ("loss", "learning_rate", "validation_loss", "validation_metric")


class Task(NamedTuple):
    """What does not change during a fit."""

    layer: Layer
    dropout: float
    head: _finetune_fit.Task
    data: Data
    train: NDArray[np.int64] | None
    """Rows of the only block that are trained on; None: all."""
    steps: int | None
    """Of the whole fit, where the schedule asks."""
    factors: NDArray[np.float64] | None
    """Weight of each class."""
    validation: Validation | None

    @property
    def settings(self) -> Settings:
        return self.head.settings


class Validation(NamedTuple):
    """Rows that are judged after each epoch."""

    rows: Rows
    chosen: NDArray[np.int64] | None
    """Which of the rows; None: all."""
    raw: Any
    """Their targets as they were given, for a metric that is a function."""
    targets: Encoded
    weights: NDArray[np.float64] | None


def task_of(layer: Layer, dropout: float, plan: _finetune_fit.Plan) -> Task:
    """Draw the rows that are held out, count the steps and weigh the classes."""
    (head,), data, settings = plan.tasks, plan.data, plan.tasks[0].settings
    chosen, validation = None, None
    if plan.validation is not None:
        rows, raw, targets, weights = plan.validation
        validation = Validation(rows, None, raw, targets[head.aim], weights)
    elif settings.early_stopping is not None:
        if data.single is None:
            raise ValueError(
                f"early_stopping is {settings.early_stopping}, but of blocks no rows can be held "
                "out; give validation=."
            )
        (block,) = data.blocks()
        chosen, validation = _held_out(settings, block, data, head)
    factors = class_factors(plan, head, chosen)
    steps = _counted(plan, chosen)
    return Task(layer, dropout, head, data, chosen, steps, factors, validation)


def _held_out(
    settings: Settings, block: Block, data: Data, head: _finetune_fit.Task
) -> tuple[NDArray[np.int64], Validation]:
    count = block.length
    if count < 2:
        raise ValueError(
            f"early_stopping is {settings.early_stopping}, but features has one row, of which none "
            "can be held out; give validation=."
        )
    order = _finetune_engine.permutation(settings.seed, stream(HOLD_OUT), count)
    held = min(max(math.floor(settings.validation_fraction * count), 1), count - 1)
    index, chosen = np.sort(order[:held]), np.sort(order[held:])
    aims = block.targets[head.aim]
    targets = Encoded(*(None if part is None else part[index] for part in aims))
    weights = None if block.weights is None else block.weights[index]
    return chosen, Validation(block.rows, index, data.raw_targets, targets, weights)


def _counted(plan: _finetune_fit.Plan, chosen: NDArray[np.int64] | None) -> int | None:
    """Return all steps of the fit, if the schedule asks; blocks are gone through once for that."""
    settings, data = plan.tasks[0].settings, plan.data
    if settings.schedule == "constant" and isinstance(settings.warmup, int):
        return None
    if data.lengths is None:
        for _ in data.scan():
            pass
    assert data.lengths is not None
    lengths = data.lengths if chosen is None else [len(chosen)]
    return settings.epochs * sum(-(-length // settings.batch_size) for length in lengths)


class State:
    """What changes: parameters, the optimiser's memory, what was best, and the history."""

    def __init__(self, task: Task, start: Parameters) -> None:
        self.parameters = start.copy()
        kinds = _moments(task.settings)
        self.moments = Parameters(
            *(np.zeros((kinds, *part.shape), part.dtype) for part in self.parameters)
        )
        self.best = self.parameters.copy()
        self.best_value, self.best_epoch = math.nan, -1
        self.epoch, self.step, self.finished = 0, 0, False
        self.history: dict[str, list[float]] = {
            name: [] for name in HISTORY if task.validation or not name.startswith("validation")
        }


def _moments(settings: Settings) -> int:
    """Return how many arrays the optimiser remembers for each parameter."""
    return 2 if settings.solver == "adamw" else int(settings.momentum != 0)


def optimizer(settings: Settings) -> Head:
    """Return what a step is told of the optimiser."""
    return Head(
        outputs=1, bias=True, loss=settings.loss, labels=None, values=None, weights=None,
        smoothing=settings.label_smoothing, delta=settings.huber_delta, l2=float(settings.l2),
        optimizer=settings.solver, momentum=settings.momentum, nesterov=settings.nesterov,
        beta1=settings.betas[0], beta2=settings.betas[1], epsilon=settings.epsilon,
        weight_decay=settings.weight_decay, clip_norm=settings.clip_norm, anchored=False,
    )  # fmt: skip


def train(
    task: Task,
    state: State,
    *,
    finished: Callable[[State], None],
    advance: Callable[[int], None],
) -> None:
    """Train on until the epochs are over or no better one is in sight; `finished` sees each."""
    settings, metric = task.settings, task.head.metric
    advance(state.epoch)
    while state.epoch < settings.epochs and not state.finished:
        loss = _epoch(task, state)
        state.history["loss"].append(loss)
        if task.validation is not None:
            data_loss, value = judge(task, task.validation, state.parameters)
            state.history["validation_loss"].append(data_loss)
            state.history["validation_metric"].append(value)
            if _metrics.better(metric, value, state.best_value):
                state.best_value, state.best_epoch = value, state.epoch
                state.best = state.parameters.copy()
            patience = settings.early_stopping
            waited = state.epoch - state.best_epoch
            state.finished = patience is not None and waited >= patience
        state.epoch += 1
        state.finished |= state.epoch == settings.epochs
        finished(state)
        advance(1)
    losses = state.history["loss"]
    if not np.isfinite(losses).all():
        first = int(np.argmin(np.isfinite(losses)))
        warnings.warn(
            f"the loss is not finite from epoch {first} on; lower "
            f"learning_rate={settings.learning_rate:g}, or scale the features.",
            ConvergenceWarning,
            stacklevel=4,
        )


def _epoch(task: Task, state: State) -> float:
    """Go through all rows once; return the mean of the batches' losses, by their weights."""
    settings, head = task.settings, optimizer(task.settings)
    weighted, weight, number = 0.0, 0.0, 0
    for block in task.data.blocks():
        order = _order(task, block, state.epoch)
        starts = range(0, len(order), settings.batch_size)
        learning_rates = schedule(
            settings.schedule,
            settings.learning_rate,
            task.steps or state.step + len(starts),
            settings.warmup,
            first=state.step,
            count=len(starts),
        )
        table = rates(head, learning_rates, state.step)
        weights = _weights(task, block)
        for start, rate in zip(starts, table, strict=True):
            index = order[start : start + settings.batch_size]
            loss, total = _step(task, state, block, index, weights, head, rate, number)
            weighted += loss * total
            weight += total
            number += 1
        state.step += len(starts)
    # The learning rate of the epoch's last step.
    state.history["learning_rate"].append(float(table[-1, 0]))
    return weighted / weight if weight else 0.0


def _order(task: Task, block: Block, epoch: int) -> NDArray[np.int64]:
    count = block.length if task.train is None else len(task.train)
    order = np.arange(count)
    if task.settings.shuffle:
        place = stream(ROWS, epoch, block.number)
        order = _finetune_engine.permutation(task.settings.seed, place, count)
    return order if task.train is None else task.train[order]


def _weights(task: Task, block: Block) -> Array | None:
    labels = block.targets[task.head.aim].labels
    return row_weights(block.weights, task.factors, labels, block.rows.dtype)


def _step(
    task: Task,
    state: State,
    block: Block,
    index: NDArray[np.int64],
    weights: Array | None,
    head: Head,
    rate: Array,
    number: int,
) -> tuple[float, float]:
    """Take one step; return the batch's objective before it, and its sum of weights."""
    layer, parameters = task.layer, state.parameters
    chosen = Rows(block.rows.array[index], block.rows.half, block.rows.dtype)
    x = chosen.wide(0, len(index), chosen.dtype)
    check_finite(x, task.data.name_of(block), rows=index)
    u = _dropped(task, x, state.epoch, number)
    w = np.ones(len(x), x.dtype) if weights is None else weights[index]
    total = float(w.sum(dtype=np.float64))
    with np.errstate(all="ignore"):  # a fit that diverges goes on, and says so at the end
        a = adapted(layer, parameters, x, u)
        y = activate(layer, a)
        rows, e = loss_rows(
            task.settings.loss,
            logits(parameters, y),
            _aims(block.targets[task.head.aim], index),
            smoothing=head.smoothing,
            delta=head.delta,
        )
        loss = float(rows.astype(np.float64) @ w.astype(np.float64)) / total if total else 0.0
        e *= (w * w.dtype.type(1 / total if total else 0))[:, None]
        gradient = gradients(layer, parameters, x, u, a, y, e)
        if head.l2:
            away = parameters.head[:, :-1]
            if task.head.anchor is not None:
                away = away - task.head.anchor.astype(away.dtype)
            gradient.head[:, :-1] += away.dtype.type(head.l2) * away
            loss += head.l2 / 2 * float(np.sum(np.square(away, dtype=np.float64)))
        if head.clip_norm is not None:
            factor = clip(list(gradient), head.clip_norm)
            for part in gradient:
                part *= part.dtype.type(factor)
        for part, slope, moments in zip(parameters, gradient, state.moments, strict=True):
            optimizer_step(head, part, slope, moments, rate)
    return loss, total


def _dropped(task: Task, x: Array, epoch: int, number: int) -> Array:
    """Return u: a share `dropout` of the features at 0, the others larger for it."""
    p = task.dropout
    if not p:
        return x
    seed, place = task.settings.seed, stream(DROPOUT, epoch, number)
    kept = uniform(seed, place, x.size, x.dtype).reshape(x.shape) >= p
    u: Array = x * (kept * x.dtype.type(1 / (1 - p)))
    return u


def _aims(targets: Encoded, index: NDArray[np.int64]) -> Array:
    aims = targets.labels if targets.labels is not None else targets.values
    assert aims is not None
    return aims[index]


def uniform(seed: int, place: int, count: int, dtype: np.dtype[Any]) -> Array:
    """Return numbers in [0, 1), the same on both backends."""
    if _config.backend() == "numpy":
        return random.uniform(seed, place, count, dtype=dtype)
    name: Any = dtype.name
    return _native.kernels.random_uniform(seed, place, count, name)


def layer_outputs(
    layer: Layer,
    parameters: Parameters,
    rows: Rows,
    dtype: np.dtype[Any],
    index: NDArray[np.int64] | None = None,
    name: str = "features",
) -> Iterator[tuple[int, Array]]:
    """Give y = f(a) block by block, each with the place of its first row."""
    count = len(rows.array) if index is None else len(index)
    for start in range(0, count, CAST_ROWS):
        stop = min(start + CAST_ROWS, count)
        if index is None:
            x = rows.wide(start, stop, dtype)
        else:
            part = Rows(rows.array[index[start:stop]], rows.half, rows.dtype)
            x = part.wide(0, stop - start, dtype)
        places = None if index is None else index[start:stop]
        check_finite(x, name, rows=places, start=start, cast=dtype)
        with np.errstate(all="ignore"):
            yield start, activate(layer, adapted(layer, parameters, x))


def judge(task: Task, validation: Validation, parameters: Parameters) -> tuple[float, float]:
    """Return loss and metric of the rows that are judged."""
    rows, index, raw, targets, weights = validation
    count = len(rows.array) if index is None else len(index)
    z = np.empty((count, task.head.kind.outputs), parameters.head.dtype)
    name = "validation's features" if index is None else "features"
    for start, y in layer_outputs(task.layer, parameters, rows, z.dtype, index, name):
        with np.errstate(all="ignore"):
            z[start : start + len(y)] = logits(parameters, y)
    return measured(task.head, z, raw, targets, weights, index)
