"""Solvers that look at all rows at once: what they share.

`parts` reads the training rows by pieces in float64, for the solvers that are NumPy's products;
"lbfgs" reads them through the engine.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._finetune_data import CAST_ROWS, check_finite, logits
from ._finetune_targets import Encoded
from ._finetune_train import measured
from ._finetune_work import Scaling, from_training

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ._finetune_files import Checkpoint
    from ._finetune_fit import Fitted, Plan, Task

DOUBLE = np.dtype(np.float64)


def fit(
    plan: Plan, *, checkpoint: Checkpoint | None = None, progress: bool = False, **_: Any
) -> list[Fitted]:
    """Fit all tasks; a checkpoint holds the end alone."""
    if checkpoint is not None and (found := checkpoint.finished()) is not None:
        return found
    solver = plan.tasks[0].settings.solver
    module = importlib.import_module(f"{__package__}._finetune_{solver}")
    fitted: list[Fitted] = module.fit(plan, progress)
    if checkpoint is not None:
        checkpoint.write_finished(fitted)
    return fitted


class Part(NamedTuple):
    """Some training rows in float64, standardised."""

    features: NDArray[np.float64]
    targets: Encoded
    weights: NDArray[np.float64] | None


def parts(
    plan: Plan, task: Task, scaled: Scaling | None, factors: NDArray[np.float64] | None
) -> Iterator[Part]:
    """Read the rows of a task by pieces.

    Raises
    ------
    ValueError
        If a feature is not finite, or no row counts.
    """
    first = 0 if task.columns is None else task.columns.start
    counts = False
    for block in plan.data.blocks():
        rows = block.rows._replace(array=block.rows.columns(task.columns))
        labels, values = block.targets[task.aim]
        for start in range(0, block.length, CAST_ROWS):
            stop = min(start + CAST_ROWS, block.length)
            x = rows.wide(start, stop, DOUBLE)
            check_finite(x, plan.data.name_of(block), start=start, first=first)
            if scaled is not None:
                x = (x - scaled.mean) / scaled.deviation
            weights = None if block.weights is None else block.weights[start:stop]
            if factors is not None:
                assert labels is not None
                by_class = factors[labels[start:stop]]
                weights = by_class if weights is None else by_class * weights
            counts = counts or weights is None or bool(weights.any())
            yield Part(
                x,
                Encoded(
                    None if labels is None else labels[start:stop],
                    None if values is None else values[start:stop].astype(np.float64),
                ),
                weights,
            )
    if not counts:
        raise ValueError("sample_weight is 0 in all rows, so that none counts; give some more.")


def folded(
    plan: Plan, weight: NDArray[Any], bias: NDArray[Any], scaled: Scaling | None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return weight and bias for the features themselves, in the dtype that is computed in."""
    return from_training(weight, bias, scaled, plan.data.dtype)


def validated(
    plan: Plan,
    task: Task,
    weight: NDArray[Any],
    bias: NDArray[Any],
    history: dict[str, list[float]],
) -> None:
    """Append the validation's loss and metric of a head to its history, if there is validation."""
    validation = plan.validation
    if validation is None:
        return
    parameters = np.ascontiguousarray(np.column_stack([weight, bias]))
    out = logits(validation.rows, parameters, name="validation's features", columns=task.columns)
    loss, value = measured(
        task, out, validation.raw, validation.targets[task.aim], validation.weights
    )
    history.setdefault("validation_loss", []).append(loss)
    history.setdefault("validation_metric", []).append(value)


def best_of(task: Task, history: dict[str, list[float]]) -> int:
    """Return the iteration of the best validation metric, else the last."""
    from ._finetune_metrics import better

    best, at = float("nan"), -1
    for i, value in enumerate(history.get("validation_metric", [])):
        if better(task.metric, value, best):
            best, at = value, i
    return at if at >= 0 else max(len(history["loss"]) - 1, 0)
