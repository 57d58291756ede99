r"""L-BFGS: the optimum of one head or of a whole path of them, each with a memory of its own.

`_finetune_minimise` is the method for one head, a generator: it yields points and is sent
objective and gradient there. `fit` runs the generators side by side: the points of all heads still
running are one stacked evaluation of the engine, a head that is done drops out. No bit of a head
depends on the heads beside it.

Round coordinates are what makes it soon done. With C = X̃ᵀX̃/Σw = Q Λ Qᵀ (X̃ centred by the mean μ
where there is a bias), and c the loss's largest curvature, the objective's second derivatives are
about c·Λ + l2 in the basis Q. So

    W = U diag(s) Qᵀ,  sⱼ = 1/√max(c·λⱼ + l2, 10⁻⁸(c·λ_max + l2)),  b = b̃/√c − W μ

and in U and b̃ all directions are about equally curved. C is decomposed once for all heads; the
changes of basis are the engine's `logits`, so that they do not depend on what is stacked, and no
BLAS thread runs between evaluations. The objective is evaluated at θ rounded to the dtype that is
computed in; everything else is float64.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _finetune_engine as _engine
from ._errors import ConvergenceWarning
from ._finetune_data import CAST_ROWS, check_finite, check_products
from ._finetune_fit import Fitted
from ._finetune_minimise import Accepted, Evaluation, Outcome, minimise
from ._finetune_whole import best_of, folded, validated
from ._finetune_work import Scaling, Work, factors, scaling, stacked, to_training
from ._progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from ._finetune_data import Block
    from ._finetune_fit import Plan, Task

# Round coordinates cost a Gram matrix and its decomposition: worth it up to such widths.
WIDEST, WIDEST_PER_OUTPUT = 1024, 64
LEAST_CURVATURE = 1e-8
LARGEST_CURVATURE = {"sigmoid": 0.25, "squared": 1.0, "huber": 1.0}


class Basis(NamedTuple):
    """The decomposed second moments of a group's features."""

    mean: NDArray[np.float64]
    vectors: NDArray[np.float64]
    """Q, C order."""
    turned: NDArray[np.float64]
    """Qᵀ, C order."""
    values: NDArray[np.float64]


class _Head:
    """One head on its way: its coordinates, its generator, where that is."""

    def __init__(
        self, task: Task, scaled: Scaling | None, basis: Basis | None, rounding: float
    ) -> None:
        self.task, settings = task, task.settings
        self.l2 = settings.l2 if isinstance(settings.l2, float) else 0.0
        self.outputs, self.width = task.kind.outputs, task.width
        self.bias = settings.bias
        self.basis = basis
        weight, bias = to_training(task.weight, task.bias, scaled)
        self.anchor = np.zeros_like(weight)
        if task.anchor is not None:
            self.anchor = task.anchor * (1.0 if scaled is None else scaled.deviation)
        self.scale, self.root = np.ones(self.width), 1.0
        if basis is not None:
            c = LARGEST_CURVATURE.get(settings.loss, 1 / self.outputs)
            curvature = c * basis.values + self.l2
            self.scale = 1 / np.sqrt(np.maximum(curvature, LEAST_CURVATURE * curvature.max()))
            self.root = math.sqrt(c)
            bias = (bias + (weight * basis.mean).sum(axis=1)) * self.root
            weight = (weight @ basis.vectors) / self.scale
        self.accepted: list[Accepted] = []
        self.seen = 0
        """Iterations that validation has looked at."""
        start = self.joined(weight, bias)
        self.generator = minimise(
            start, settings.max_iter, settings.tolerance, self.accepted, rounding
        )
        self.point = next(self.generator)
        self.outcome: Outcome | None = None

    def joined(self, weight: NDArray[Any], bias: NDArray[Any]) -> NDArray[np.float64]:
        """Return one vector of both."""
        if not self.bias:
            return weight.ravel().copy()
        return np.concatenate([weight.ravel(), bias])

    def parted(self, point: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        size = self.outputs * self.width
        weight = point[:size].reshape(self.outputs, self.width)
        return weight, point[size:] if self.bias else np.zeros(self.outputs)


class _Group:
    """Heads that see the same features, and are evaluated by one call."""

    def __init__(self, plan: Plan, tasks: Sequence[Task]) -> None:
        self.plan, first = plan, tasks[0]
        self.columns = first.columns
        self.first_column = 0 if first.columns is None else first.columns.start
        self.scaled: Scaling | None = scaling(plan.data, first, None)
        self.arrays = None if self.scaled is None else self.scaled.arrays(plan.data.dtype)
        self.noise = 1.0
        round_ = [
            plan.data.single is not None
            and first.width <= WIDEST
            and first.width <= WIDEST_PER_OUTPUT * task.kind.outputs
            for task in tasks
        ]
        self.basis = self._basis(first.settings.bias, first.width) if any(round_) else None
        rounding = float(np.finfo(plan.data.dtype).eps)
        self.heads = [
            _Head(task, self.scaled, self.basis if fits else None, rounding)
            for task, fits in zip(tasks, round_, strict=True)
        ]
        self.factors = {id(head): factors(plan, head.task, None) for head in self.heads}
        self.running = list(self.heads)
        self.version = 0

    def _basis(self, bias: bool, width: int) -> Basis:
        """Go through the features for C = X̃ᵀX̃/Σw, and decompose it."""
        block = next(self.plan.data.blocks())
        features = block.rows.columns(self.columns)
        mean, deviation = np.zeros(width), np.empty(width)
        with _engine.naming("features", features, self.first_column):
            _engine.moments(features, block.rows.half, None, block.weights, mean, deviation)
        if self.scaled is not None:
            mean = (mean - self.scaled.mean) / self.scaled.deviation
        if not bias:
            mean = np.zeros(width)
        rows, dtype = block.rows._replace(array=features), self.plan.data.dtype
        total, gram = 0.0, np.zeros((width, width))
        for start in range(0, block.length, CAST_ROWS):
            stop = min(start + CAST_ROWS, block.length)
            x = rows.wide(start, stop, dtype)
            check_finite(x, "features", start=start, first=self.first_column)
            if self.arrays is not None:
                x = (x - self.arrays[0]) * self.arrays[1]
            x = x - mean.astype(dtype)
            if block.weights is not None:
                weights = block.weights[start:stop]
                x *= np.sqrt(weights).astype(dtype)[:, None]
                total += weights.sum()
            else:
                total += len(x)
            gram += x.T @ x
        check_products(gram, dtype)
        values, vectors = np.linalg.eigh(gram / total)
        self.noise = math.sqrt(max(float(np.diag(gram).max()) / total, 0.0))
        return Basis(
            mean, np.ascontiguousarray(vectors), np.ascontiguousarray(vectors.T),
            np.maximum(values, 0.0),
        )  # fmt: skip

    def parameters(
        self, heads: Sequence[_Head], points: Sequence[NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        """Return θ, stacked (K, in + 1), of heads at points in their own coordinates."""
        parts = [head.parted(point) for head, point in zip(heads, points, strict=True)]
        turned = [
            part[0] * head.scale
            for head, part in zip(heads, parts, strict=True)
            if head.basis is not None
        ]
        weights: Iterator[NDArray[np.float64]] = iter(())
        if turned:
            assert self.basis is not None
            outputs = np.cumsum([len(each) for each in turned])[:-1]
            weights = iter(np.split(_product(self.basis.vectors, np.concatenate(turned)), outputs))
        stacked_ = []
        for head, (weight, bias) in zip(heads, parts, strict=True):
            if head.basis is not None:
                weight = next(weights)
                bias = bias / head.root - (weight * head.basis.mean).sum(axis=1)
                if not head.bias:
                    bias = np.zeros(head.outputs)
            stacked_.append(np.column_stack([weight, bias]))
        return np.concatenate(stacked_)

    def gradients(
        self, heads: Sequence[_Head], gradient: NDArray[np.float64]
    ) -> list[NDArray[np.float64]]:
        """Return each head's gradient in its own coordinates."""
        places = np.cumsum([head.outputs for head in heads])[:-1]
        parts = [(part[:, :-1], part[:, -1]) for part in np.split(gradient, places)]
        centred = [
            part[0] - part[1][:, None] * head.basis.mean
            for head, part in zip(heads, parts, strict=True)
            if head.basis is not None
        ]
        turned: Iterator[NDArray[np.float64]] = iter(())
        if centred:
            assert self.basis is not None
            outputs = np.cumsum([len(each) for each in centred])[:-1]
            turned = iter(np.split(_product(self.basis.turned, np.concatenate(centred)), outputs))
        found = []
        for head, (weight, bias) in zip(heads, parts, strict=True):
            if head.basis is not None:
                weight, bias = next(turned) * head.scale, bias / head.root
            found.append(head.joined(weight, bias))
        return found

    def evaluate(self) -> None:
        """Evaluate all running heads where they are, and move each of them on."""
        heads = self.running
        theta = self.parameters(heads, [head.point for head in heads])
        parameters = np.ascontiguousarray(theta, self.plan.data.dtype)
        losses, sums = np.zeros(len(heads)), np.zeros(len(heads))
        gradient = np.zeros(theta.shape)
        for block in self.plan.data.blocks():
            self._add(block, parameters, losses, sums, gradient)
        if not sums.any():
            raise ValueError("sample_weight is 0 in all rows, so that none counts; give some more.")
        start, values, largest = 0, [], []
        with np.errstate(all="ignore"):
            for i, head in enumerate(heads):
                place = slice(start, start + head.outputs)
                start += head.outputs
                away = theta[place, :-1] - head.anchor
                gradient[place] /= sums[i]
                gradient[place, :-1] += head.l2 * away
                if not head.bias:
                    gradient[place, -1] = 0
                values.append(float(losses[i] / sums[i] + head.l2 / 2 * (away**2).sum()))
                largest.append(float(np.abs(gradient[place]).max()))
        own = self.gradients(heads, gradient) if np.isfinite(gradient).all() else None
        running = []
        for i, head in enumerate(heads):
            if own is not None:
                sent = values[i], own[i], largest[i]
            else:  # a point that is no use: its gradient is not asked for
                sent = self._alone(head, gradient, heads, values[i], largest[i])
            try:
                head.point = head.generator.send(sent)
                running.append(head)
            except StopIteration as end:
                head.outcome = end.value
        if len(running) < len(heads):
            self.version += 1
        self.running = running

    def _alone(
        self,
        head: _Head,
        gradient: NDArray[np.float64],
        heads: Sequence[_Head],
        value: float,
        largest: float,
    ) -> Evaluation:
        """Return one head's evaluation where another's gradient is not finite."""
        start = sum(other.outputs for other in heads[: heads.index(head)])
        part = gradient[start : start + head.outputs]
        if not np.isfinite(part).all():
            return math.nan, np.full_like(head.point, math.nan), math.inf
        return value, self.gradients([head], part)[0], largest

    def _add(
        self,
        block: Block,
        parameters: NDArray[Any],
        losses: NDArray[np.float64],
        sums: NDArray[np.float64],
        gradient: NDArray[np.float64],
    ) -> None:
        """Add a block's losses, weights and gradient."""
        part = np.zeros_like(losses), np.zeros_like(sums), np.zeros_like(gradient)
        work = self._work(block)
        name = f"block {block.number} of features" if self.plan.data.in_blocks else "features"
        with _engine.naming(name, work.features, self.first_column):
            _engine.evaluate(work, parameters, *part)
        losses += part[0]
        sums += part[1]
        gradient += part[2]

    def _work(self, block: Block) -> Work:
        made = block.cache.get(id(self))
        if made is None or made[0] != self.version:
            tasks = [head.task for head in self.running]
            classes = [self.factors[id(head)] for head in self.running]
            made = self.version, stacked(block, tasks, classes, self.arrays, "none")
            block.cache[id(self)] = made
        result: Work = made[1]
        return result

    def weights(self, head: _Head, point: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the weight and bias of a head at a point, for the features themselves."""
        theta = self.parameters([head], [point]).astype(self.plan.data.dtype)
        return folded(self.plan, theta[:, :-1], theta[:, -1], self.scaled)


def _product(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (left · rightᵀ)ᵀ, each element by a chain of its own."""
    parameters = np.column_stack([right, np.zeros(len(right))])
    out = np.empty((len(left), len(right)))
    _engine.logits(left, None, None, None, None, np.ascontiguousarray(parameters), out)
    return np.ascontiguousarray(out.T)


def fit(plan: Plan, progress: bool) -> list[Fitted]:
    """Minimise each task's objective."""
    together: dict[Any, list[Task]] = {}
    for task in plan.tasks:
        key = (
            None if task.columns is None else (task.columns.start, task.columns.stop),
            task.settings.standardize,
            task.settings.bias,
        )
        together.setdefault(key, []).append(task)
    groups = [_Group(plan, tasks) for tasks in together.values()]
    histories: dict[int, dict[str, list[float]]] = {}
    longest = max(task.settings.max_iter for task in plan.tasks)
    done = 0
    with progress_bar("fitting", longest, shown=progress) as advance:
        while any(group.running for group in groups):
            for group in groups:
                if not group.running:
                    continue
                group.evaluate()
                if plan.validation is not None:
                    _look(plan, group, histories)
            count = max(len(head.accepted) for group in groups for head in group.heads)
            advance(count - done)
            done = count
    fitted = {}
    for group in groups:
        for head in group.heads:
            fitted[id(head.task)] = _fitted(plan, group, head, histories.get(id(head), {}))
    _warn(groups, plan.data.dtype)
    return [fitted[id(task)] for task in plan.tasks]


def _look(plan: Plan, group: _Group, histories: dict[int, dict[str, list[float]]]) -> None:
    """Measure heads that have taken a step."""
    for head in group.heads:
        for each in head.accepted[head.seen :]:
            weight, bias = group.weights(head, each.point)
            validated(plan, head.task, weight, bias, histories.setdefault(id(head), {}))
        head.seen = len(head.accepted)


def _fitted(plan: Plan, group: _Group, head: _Head, validation: dict[str, list[float]]) -> Fitted:
    assert head.outcome is not None
    history = {
        "loss": [each.loss for each in head.accepted],
        "learning_rate": [each.length for each in head.accepted],
        **validation,
    }
    return Fitted(
        *group.weights(head, head.outcome.point),
        {name: np.array(values, np.float64) for name, values in history.items()},
        len(head.accepted),
        best_of(head.task, history),
        head.outcome.converged,
    )


def _warn(groups: Sequence[_Group], dtype: np.dtype[Any]) -> None:
    """Warn of heads that stopped short of their tolerance, and not because of rounding."""
    for group in groups:
        for head in group.heads:
            outcome, settings = head.outcome, head.task.settings
            assert outcome is not None
            stopped = len(head.accepted) >= settings.max_iter
            rounding = 64 * float(np.finfo(dtype).eps) / 2 * group.noise
            bound = settings.tolerance if stopped else max(settings.tolerance, rounding)
            if outcome.largest <= bound:
                continue
            warnings.warn(
                f"lbfgs stopped after {len(head.accepted)} iterations with a gradient of "
                f"{outcome.largest:.1g} (tolerance {settings.tolerance:.3g}); raise max_iter, or "
                "standardize=True.",
                ConvergenceWarning,
                stacklevel=6,
            )
            return
