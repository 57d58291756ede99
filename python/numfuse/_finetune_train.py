"""Training in batches: the loop of one head or of hundreds.

::

    for epoch: for block of data: for group of heads: one call of the engine
               for head: metric on validation data; early stopping; halving; checkpoint

Heads that see the same columns of the same rows in the same order make a group and are stacked; a
head that stops is cut out at the end of its epoch. `LinearHead.fit` is this loop with one head, so
that a head of a sweep is the head alone.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _finetune_engine as _engine
from . import _finetune_metrics as _metrics
from ._errors import ConvergenceWarning
from ._finetune_data import logits
from ._finetune_fit import Fitted
from ._finetune_targets import Encoded
from ._finetune_work import factors, from_training, scaling, stacked, to_training
from ._progress import progress_bar
from .reference.finetune import rates as rates_of
from .reference.finetune import schedule, stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ._finetune_data import Block
    from ._finetune_files import Checkpoint
    from ._finetune_fit import Plan, Task
    from ._finetune_work import Scaling, Work

ROWS, HOLD_OUT = 1, 2
# A table of rates for a whole fit may have so many entries; a longer one is made by the block.
TABLE = 1_000_000


class Run:
    """How far one head is."""

    def __init__(self, index: int, task: Task) -> None:
        self.index, self.task = index, task
        self.alive, self.halved = True, False
        self.history: dict[str, list[float]] = {"loss": [], "learning_rate": []}
        self.best, self.best_epoch, self.waited = math.nan, -1, 0
        self.kept: NDArray[Any] | None = None
        """Parameters of the best epoch, with early stopping."""
        self.parameters: NDArray[Any] | None = None
        self.moments: NDArray[Any] | None = None
        """Of a head that was cut out, as they were then."""
        self.steps = 0
        """Steps taken when a checkpoint was written."""

    @property
    def epochs(self) -> int:
        return len(self.history["loss"])

    def look(self, epoch: int, value: float, parameters: NDArray[Any]) -> None:
        """Note a validation metric, and stop if none was better for too long."""
        patience = self.task.settings.early_stopping
        if _metrics.better(self.task.metric, value, self.best):
            self.best, self.best_epoch, self.waited = value, epoch, 0
            if patience is not None:
                self.kept = parameters.copy()
            return
        self.waited += 1
        if patience is not None and self.waited >= patience:
            self.alive = False


class Group:
    """Heads that are trained by one call: stacked parameters, and what they share."""

    def __init__(self, plan: Plan, runs: list[Run]) -> None:
        self.plan, self.runs = plan, runs
        task = runs[0].task
        self.settings, self.columns = task.settings, task.columns
        self.first_column = 0 if task.columns is None else task.columns.start
        self.rows, self.held = self._split(task)
        self.scaled: Scaling | None = scaling(plan.data, task, self.rows)
        self.arrays = None if self.scaled is None else self.scaled.arrays(plan.data.dtype)
        self.factors = [factors(plan, run.task, self.rows) for run in runs]
        self.steps = 0
        """Steps taken."""
        self.all_steps = self._all_steps()
        self.version = 0
        dtype = plan.data.dtype
        starts, anchors = [], []
        for run in runs:
            weight, bias = to_training(run.task.weight, run.task.bias, self.scaled)
            starts.append(np.column_stack([weight, bias]))
            anchor = np.zeros_like(starts[-1])
            if run.task.anchor is not None:
                scale = 1.0 if self.scaled is None else self.scaled.deviation
                anchor[:, :-1] = run.task.anchor * scale
            anchors.append(anchor)
        self.parameters = np.ascontiguousarray(np.concatenate(starts), dtype)
        anchored = any(run.task.anchor is not None for run in runs)
        self.anchor = np.ascontiguousarray(np.concatenate(anchors), dtype) if anchored else None
        self.moments = np.zeros((self._memory(), *self.parameters.shape), dtype)
        self._aims: dict[Any, Encoded] = {}
        self._stack()

    def _memory(self) -> int:
        if self.settings.solver == "adamw":
            return 2
        return int(any(run.task.settings.momentum for run in self.runs))

    def _split(self, task: Task) -> tuple[NDArray[np.int64] | None, NDArray[np.int64] | None]:
        """Return training and held-out rows; None where all rows train."""
        settings, data = task.settings, self.plan.data
        if settings.early_stopping is None or self.plan.validation is not None:
            return None, None
        if data.single is None:
            raise ValueError(
                f"early_stopping is {settings.early_stopping}, but of blocks no rows can be held "
                "out; give validation=."
            )
        count = len(data.single.array)
        if count < 2:
            raise ValueError(
                f"early_stopping is {settings.early_stopping}, but features has one row, of which "
                "none can be held out; give validation=."
            )
        held = max(1, min(count - 1, math.floor(settings.validation_fraction * count)))
        order = _engine.permutation(settings.seed, stream(HOLD_OUT), count)
        return np.sort(order[held:]), np.sort(order[:held])

    def _all_steps(self) -> int | None:
        """Return the number of steps of the whole fit, counting a data set's blocks if need be."""
        data = self.plan.data
        if data.lengths is None:
            needed = any(
                run.task.settings.schedule != "constant"
                or not isinstance(run.task.settings.warmup, int)
                for run in self.runs
            )
            if not needed or data.once:
                return None
            for _ in data.scan():
                pass
        assert data.lengths is not None
        lengths = data.lengths if self.rows is None else [len(self.rows)]
        batch, epochs = self.settings.batch_size, self.settings.epochs
        return epochs * sum(-(-length // batch) for length in lengths)

    def _stack(self) -> None:
        """Make what depends on which heads are alive."""
        self.version += 1
        self.places, start = [], 0
        for run in self.runs:
            self.places.append(slice(start, start + run.task.kind.outputs))
            start += run.task.kind.outputs
        self.table: NDArray[np.float64] | None = None
        if self.all_steps is not None and len(self.runs) * self.all_steps <= TABLE:
            self.table = self._rates(0, self.all_steps)

    def _rates(self, first: int, count: int) -> NDArray[np.float64]:
        return np.stack([_rates(run.task, self.all_steps, first, count) for run in self.runs])

    def train(self, epoch: int, block: Block) -> tuple[NDArray[np.float64], ...]:
        """Go through a block once; return losses, weights of batches (heads, steps), last rate."""
        settings = self.settings
        count = block.length if self.rows is None else len(self.rows)
        batch = min(settings.batch_size, count)
        steps = -(-count // batch)
        if self.all_steps is not None and self.steps + steps > self.all_steps:
            raise ValueError(
                f"features has more rows in epoch {epoch + 1} than when its blocks were counted; "
                "give an iterable that gives the same blocks each time."
            )
        work = self._work(block)
        order = self.rows
        if settings.shuffle:
            order = _engine.permutation(settings.seed, stream(ROWS, epoch, block.number), count)
            if self.rows is not None:
                order = self.rows[order]
        if self.table is not None:
            rates = np.ascontiguousarray(self.table[:, self.steps : self.steps + steps])
        else:
            rates = self._rates(self.steps, steps)
        losses = np.empty((len(self.runs), steps))
        sums = np.empty_like(losses)
        with _engine.naming(self.plan.data.name_of(block), work.features, self.first_column):
            _engine.epoch(
                work._replace(order=order), batch, self.parameters, self.moments, self.anchor,
                rates, losses, sums,
            )  # fmt: skip
        self.steps += steps
        return losses, sums, rates[:, -1, 0]

    def _work(self, block: Block) -> Work:
        key = id(self)
        made = block.cache.get(key)
        if made is None or made[0] != self.version:
            tasks = [run.task for run in self.runs]
            work = stacked(block, tasks, self.factors, self.arrays, self.settings.solver)
            made = block.cache[key] = self.version, work
        result: Work = made[1]
        return result

    def look(self, epoch: int) -> None:
        """Measure each head on the validation data, where there are any."""
        validation, data = self.plan.validation, self.plan.data
        if validation is not None:
            rows, raw, index, weights = validation.rows, validation.raw, None, validation.weights
            name = "validation's features"
        elif self.held is not None:
            assert data.single is not None
            rows, raw, index, name = data.single, data.raw_targets, self.held, "features"
            block = next(data.blocks())
            weights = None if block.weights is None else block.weights[index]
        else:
            return
        shift, scale = self.arrays if self.arrays is not None else (None, None)
        out = logits(
            rows, self.parameters, name=name, columns=self.columns, shift=shift, scale=scale,
            index=index,
        )  # fmt: skip
        for run, place in zip(self.runs, self.places, strict=True):
            aims = self._aimed(run.task)
            loss, value = measured(run.task, out[:, place], raw, aims, weights, index)
            run.history.setdefault("validation_loss", []).append(loss)
            run.history.setdefault("validation_metric", []).append(value)
            run.look(epoch, value, self.parameters[place])

    def _aimed(self, task: Task) -> Encoded:
        """Return the validation rows' targets."""
        if self.plan.validation is not None:
            return self.plan.validation.targets[task.aim]
        if task.aim not in self._aims:
            labels, values = next(self.plan.data.blocks()).targets[task.aim]
            self._aims[task.aim] = Encoded(
                None if labels is None else labels[self.held],
                None if values is None else values[self.held],
            )
        return self._aims[task.aim]

    def cut(self) -> None:
        """Cut heads that have stopped out of the stacked arrays."""
        if all(run.alive for run in self.runs):
            return
        keep = np.zeros(len(self.parameters), bool)
        for run, place in zip(self.runs, self.places, strict=True):
            if run.alive:
                keep[place] = True
            else:
                self.store(run, place)
        self.factors = [
            factor for factor, run in zip(self.factors, self.runs, strict=True) if run.alive
        ]
        self.runs = [run for run in self.runs if run.alive]
        self.parameters = np.ascontiguousarray(self.parameters[keep])
        self.moments = np.ascontiguousarray(self.moments[:, keep])
        if self.anchor is not None:
            self.anchor = np.ascontiguousarray(self.anchor[keep])
        if self.runs:
            self._stack()

    def store(self, run: Run, place: slice) -> None:
        """Give a head its own rows of the stacked arrays."""
        run.parameters = self.parameters[place].copy()
        run.moments = self.moments[:, place].copy()


def measured(
    task: Task,
    out: NDArray[Any],
    raw: Any,
    aims: Encoded,
    weights: NDArray[np.float64] | None,
    index: NDArray[np.int64] | None = None,
) -> tuple[float, float]:
    """Return loss and metric of logits on validation data."""
    settings = task.settings
    loss = _metrics.data_loss(settings.loss, settings.huber_delta, out, aims, weights)
    if task.metric == "loss":
        return loss, loss
    if not isinstance(task.metric, str):
        raw = np.asarray(raw if task.aim[0] is None else raw[task.aim[0]])
        raw = raw if index is None else raw[index]
    return loss, _metrics.score(
        task.metric, settings.loss, settings.huber_delta, raw, aims, out, weights
    )


def train(
    plan: Plan,
    *,
    checkpoint: Checkpoint | None = None,
    halving: int | None = None,
    halving_epochs: int = 1,
    progress: bool = False,
) -> list[Fitted]:
    """Train all tasks of a plan for their epochs, or until they stop."""
    runs = [Run(index, task) for index, task in enumerate(plan.tasks)]
    epochs = plan.tasks[0].settings.epochs
    groups = _groups(plan, runs)
    scaled = {id(run): group.scaled for group in groups for run in group.runs}
    done = 0
    if checkpoint is not None:
        done = checkpoint.restore(runs, groups)
        groups = [group for group in groups if group.runs]
    with progress_bar("fitting", epochs, shown=progress) as advance:
        advance(done)
        for epoch in range(done, epochs):
            if not any(run.alive for run in runs):
                break
            _one_epoch(plan, groups, epoch)
            if halving is not None and (epoch + 1) % halving_epochs == 0:
                _halve(runs, halving)
            for group in groups:
                group.cut()
            groups = [group for group in groups if group.runs]
            done = epoch + 1
            if checkpoint is not None and done < epochs and any(run.alive for run in runs):
                checkpoint.due(done, runs, groups)
            advance(1)
    for group in groups:
        for run, place in zip(group.runs, group.places, strict=True):
            group.store(run, place)
    if checkpoint is not None:
        checkpoint.finish(done, runs)
    fitted = [_fitted(run, scaled[id(run)], plan.data.dtype) for run in runs]
    warn_of_divergence(fitted)
    return fitted


def _groups(plan: Plan, runs: Sequence[Run]) -> list[Group]:
    together: dict[Any, list[Run]] = {}
    for run in runs:
        settings, columns = run.task.settings, run.task.columns
        holds_out = settings.early_stopping is not None and plan.validation is None
        key = (
            None if columns is None else (columns.start, columns.stop),
            (settings.standardize, settings.bias) if settings.standardize else None,
            settings.seed if settings.shuffle or holds_out else None,
            settings.validation_fraction if holds_out else None,
        )
        together.setdefault(key, []).append(run)
    return [Group(plan, members) for members in together.values()]


def _one_epoch(plan: Plan, groups: Sequence[Group], epoch: int) -> None:
    parts: list[list[tuple[NDArray[np.float64], ...]]] = [[] for _ in groups]
    lengths = []
    for block in plan.data.blocks():
        lengths.append(block.length)
        for group, part in zip(groups, parts, strict=True):
            part.append(group.train(epoch, block))
    plan.data.lengths = lengths
    for group, part in zip(groups, parts, strict=True):
        losses = np.concatenate([losses for losses, _, _ in part], axis=1)
        sums = np.concatenate([sums for _, sums, _ in part], axis=1)
        totals = sums.sum(axis=1)
        if epoch == 0 and not totals.any():
            raise ValueError(
                "sample_weight is 0 in all rows to train on, so that none counts; give some more."
            )
        with np.errstate(all="ignore"):
            means = np.where(totals > 0, (losses * sums).sum(axis=1) / totals, 0.0)
        for run, mean, rate in zip(group.runs, means, part[-1][2], strict=True):
            run.history["loss"].append(float(mean))
            run.history["learning_rate"].append(float(rate))
        group.look(epoch)


def _halve(runs: Sequence[Run], halving: int) -> None:
    """Let only the best share of those that still train go on."""
    alive = [run for run in runs if run.alive]
    keep = -(-len(alive) // halving)

    def key(run: Run) -> tuple[float, int]:
        value = run.history["validation_metric"][-1]
        return _metrics.rank_key(run.task.metric, value), run.index

    for run in sorted(alive, key=key)[keep:]:
        run.alive, run.halved = False, True


def _fitted(run: Run, scaled: Scaling | None, dtype: np.dtype[Any]) -> Fitted:
    parameters = run.kept if run.kept is not None else run.parameters
    assert parameters is not None
    weight, bias = from_training(parameters[:, :-1], parameters[:, -1], scaled, dtype)
    history = {name: np.array(values) for name, values in run.history.items()}
    best = run.best_epoch if run.best_epoch >= 0 else run.epochs - 1
    converged = bool(np.isfinite(history["loss"]).all() and np.isfinite(weight).all())
    return Fitted(weight, bias, history, run.epochs, best, converged, halved=run.halved)


def warn_of_divergence(fitted: Sequence[Fitted]) -> None:
    """Warn of heads whose loss stopped being finite."""
    bad = [(i, each) for i, each in enumerate(fitted) if not each.converged]
    if not bad:
        return
    losses = bad[0][1].history["loss"]
    finite = np.isfinite(losses)
    first = len(losses) - 1 if finite.all() else int(np.argmin(finite))
    where = ""
    if len(fitted) > 1:
        names = ", ".join(str(i) for i, _ in bad[:10]) + (", …" if len(bad) > 10 else "")
        where = f"head{'s' if len(bad) > 1 else ''} {names}: "
    warnings.warn(
        f"{where}the loss is not finite from epoch {first} on; lower learning_rate= "
        f"({bad[0][1].history['learning_rate'][first]:.3g} there), or standardize=True.",
        ConvergenceWarning,
        stacklevel=5,
    )


class _Optimizer:
    """What a table of rates asks of a head."""

    def __init__(self, optimizer: str, betas: tuple[float, float]) -> None:
        self.optimizer, (self.beta1, self.beta2) = optimizer, betas


def _rates(task: Task, all_steps: int | None, first: int, count: int) -> NDArray[np.float64]:
    settings = task.settings
    lengths = schedule(
        settings.schedule, settings.learning_rate, all_steps or 0, settings.warmup, first=first,
        count=count,
    )  # fmt: skip
    return rates_of(_Optimizer(settings.solver, settings.betas), lengths, first)


def partial(
    plan: Plan, moments: NDArray[Any] | None, steps: int, calls: int
) -> tuple[Fitted, NDArray[Any], int]:
    """Go once through one block, with an optimiser that has taken `steps` steps before.

    Returns what became of the head, what the optimiser remembers, and how many steps it has taken.
    """
    run = Run(0, plan.tasks[0])
    group = Group(plan, [run])
    if moments is not None and moments.shape == group.moments.shape:
        group.moments[...] = moments
        group.steps = steps
    block = next(plan.data.blocks())
    group.table, group.all_steps = None, None
    losses, sums, rate = group.train(calls, block)
    total = sums.sum()
    mean = float((losses * sums).sum() / total) if total > 0 else 0.0
    run.history["loss"].append(mean)
    run.history["learning_rate"].append(float(rate[0]))
    group.store(run, group.places[0])
    return _fitted(run, None, plan.data.dtype), group.moments, group.steps
