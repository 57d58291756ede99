r"""Squared loss in closed form, with the exact error of leaving each row out, over a path of l2.

Rows x with weights w; x̃ and ỹ are centred by their weighted means where there is a bias, and
ỹ = y − anchor·x. With A = Σ w x̃ x̃ᵀ = Q Λ Qᵀ, R = Qᵀ Σ w x̃ ỹᵀ, α = l2·Σw:

    W = anchor + (Q (Λ + α)⁻¹ R)ᵀ,  b = mean ỹ − (W − anchor)·mean x
    hᵢ = wᵢ·([bias]/Σw + Σⱼ (x̃ᵢ Q)ⱼ²/(λⱼ + α))         leverage
    ŷ₋ᵢ = yᵢ − (yᵢ − ŷᵢ)/(1 − hᵢ)                         without row i, the penalty as it is

One decomposition serves all l2. Of fewer rows than columns that of the n × n matrix √w x̃ x̃ᵀ √w is
taken, which has the same λ. λ + α too small to be told from 0 counts as infinite, which is the
pseudo-inverse. The products are BLAS's.

Source: G. Golub, M. Heath, G. Wahba, "Generalized cross-validation as a method for choosing a good
ridge parameter", Technometrics 21 (1979).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._errors import ConvergenceWarning
from ._finetune_data import check_products
from ._finetune_fit import Fitted
from ._finetune_whole import folded, parts, validated
from ._finetune_work import Scaling, scaling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ._finetune_fit import Plan, Task

# A row whose leverage is so near to 1 decides its own prediction: leaving it out is undefined.
LEAST_REST = 1e-12


class System(NamedTuple):
    """The decomposed normal equations."""

    rows: int
    total: float
    """Σw."""
    x_mean: NDArray[np.float64]
    y_mean: NDArray[np.float64]
    vectors: NDArray[np.float64]
    """Q: (width, rank)."""
    values: NDArray[np.float64]
    """λ: (rank,)."""
    right: NDArray[np.float64]
    """R: (rank, outputs)."""
    y_squares: float
    """Σ w ỹ²."""


def fit(plan: Plan, progress: bool) -> list[Fitted]:
    """Solve each task."""
    return [_solve(plan, task) for task in plan.tasks]


def _solve(plan: Plan, task: Task) -> Fitted:
    settings = task.settings
    scaled = scaling(plan.data, task, None)
    anchor = np.zeros_like(task.weight) if task.anchor is None else task.anchor
    if scaled is not None:
        anchor = anchor * scaled.deviation
    system = _decomposed(plan, task, scaled, anchor)
    path = np.atleast_1d(np.asarray(settings.l2, np.float64))
    inverse = _inverse(system, path)
    errors = np.zeros(len(path))
    with np.errstate(all="ignore"):
        for _, y, w, predictions in _left_out(plan, task, scaled, anchor, system, inverse):
            squares = ((y[:, None, :] - predictions) ** 2).sum(axis=2)
            squares[w == 0] = 0
            errors += w @ np.where(np.isnan(squares), np.inf, squares)
    errors /= system.total
    # Of equal errors the larger l2.
    order = np.argsort(path, kind="stable")[::-1]
    best = int(order[np.argmin(errors[order])])
    chosen = inverse[:, best : best + 1]
    kept = np.empty((system.rows, task.kind.outputs))
    for start, _, _, predictions in _left_out(plan, task, scaled, anchor, system, chosen):
        kept[start : start + len(predictions)] = predictions[:, 0]
    weight = anchor + (system.vectors @ (chosen * system.right)).T
    bias = system.y_mean - (weight - anchor) @ system.x_mean
    if not settings.bias:
        bias = np.zeros_like(bias)
    final = folded(plan, weight, bias, scaled)
    history: dict[str, list[float]] = {
        "loss": [_objective(system, weight, anchor, float(path[best]))],
        "learning_rate": [1.0],
    }
    validated(plan, task, *final, history)
    extras: dict[str, Any] = {
        "l2_": np.float64(path[best]), "l2_path_": path, "loo_error_": errors,
        "loo_predictions_": kept[:, 0] if task.kind.rank == 1 else kept,
    }  # fmt: skip
    finite = all(np.isfinite(part).all() for part in final)
    if not finite:
        warnings.warn(
            "ridge's weights are not finite; scale features or targets down, or raise l2.",
            ConvergenceWarning,
            stacklevel=6,
        )
    return Fitted(
        *final, {name: np.array(values) for name, values in history.items()}, 1, 0, finite, extras
    )


def _rows(
    plan: Plan, task: Task, scaled: Scaling | None, anchor: NDArray[np.float64]
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]]:
    """Give x, y − anchor·x and w."""
    for x, targets, weights in parts(plan, task, scaled, None):
        assert targets.values is not None
        w = np.ones(len(x)) if weights is None else weights
        yield x, targets.values - x @ anchor.T, w


def _decomposed(
    plan: Plan, task: Task, scaled: Scaling | None, anchor: NDArray[np.float64]
) -> System:
    count, total = 0, 0.0
    x_mean, y_mean = np.zeros(task.width), np.zeros(task.kind.outputs)
    for x, y, w in _rows(plan, task, scaled, anchor):
        count += len(x)
        total += w.sum()
        x_mean += w @ x
        y_mean += w @ y
    x_mean, y_mean = x_mean / total, y_mean / total
    if not task.settings.bias:
        x_mean, y_mean = np.zeros_like(x_mean), np.zeros_like(y_mean)
    few = plan.data.single is not None and count < task.width
    gram = np.zeros((0, 0) if few else (task.width, task.width))
    right = np.zeros((task.width, task.kind.outputs))
    y_squares, kept = 0.0, []
    for x, y, w in _rows(plan, task, scaled, anchor):
        x, y = x - x_mean, y - y_mean
        rooted = x * np.sqrt(w)[:, None]
        right += x.T @ (y * w[:, None])
        y_squares += float(w @ (y**2).sum(axis=1))
        if few:
            kept.append(rooted)
        else:
            gram += rooted.T @ rooted
    if few:
        rows = np.concatenate(kept)
        gram = rows @ rows.T
        check_products(gram, rows.dtype)
        values, vectors = np.linalg.eigh(gram)
        there = values > count * np.finfo(np.float64).eps * values[-1]
        values = values[there]
        vectors = rows.T @ vectors[:, there] / np.sqrt(values)
    else:
        check_products(gram, gram.dtype)
        values, vectors = np.linalg.eigh(gram)
    return System(
        count, total, x_mean, y_mean, vectors, np.maximum(values, 0), vectors.T @ right, y_squares
    )


def _inverse(system: System, path: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1/(λ + l2·Σw), (rank, path)."""
    bound = system.values[:, None] + path * system.total
    largest = system.values.max(initial=0.0)
    size = max(len(system.x_mean), system.rows)
    gone = bound <= size * np.finfo(np.float64).eps * largest
    return np.where(gone, 0.0, 1 / np.where(gone, 1.0, bound))


def _left_out(
    plan: Plan,
    task: Task,
    scaled: Scaling | None,
    anchor: NDArray[np.float64],
    system: System,
    inverse: NDArray[np.float64],
) -> Iterator[tuple[int, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]]:
    """Give first row, y, w and predictions (rows, path, outputs) of rows left out one by one.

    A prediction that is undefined is NaN.
    """
    start, bias = 0, float(task.settings.bias)
    for x, y, w in _rows(plan, task, scaled, anchor):
        z = (x - system.x_mean) @ system.vectors
        rest = 1 - w[:, None] * (bias / system.total + z**2 @ inverse)  # 1 − h: (rows, path)
        fitted = np.stack([z @ (inverse * r[:, None]) for r in system.right.T], axis=2)
        residual = y[:, None, :] - (fitted + system.y_mean)
        defined = rest > LEAST_REST
        away = residual / np.where(defined, rest, 1.0)[:, :, None]
        given = y + x @ anchor.T
        predictions = given[:, None, :] - np.where(defined[:, :, None], away, np.nan)
        yield start, given, w, predictions
        start += len(x)


def _objective(
    system: System, weight: NDArray[np.float64], anchor: NDArray[np.float64], l2: float
) -> float:
    """Return ½ Σ w‖y − Wx − b‖²/Σw + (l2/2)·‖W − anchor‖²."""
    away = weight - anchor
    turned = system.vectors.T @ away.T  # (rank, outputs)
    residual = (
        system.y_squares
        - 2 * float((turned * system.right).sum())
        + float((turned**2 * system.values[:, None]).sum())
    )
    return max(residual, 0.0) / system.total / 2 + l2 / 2 * float((away**2).sum())
