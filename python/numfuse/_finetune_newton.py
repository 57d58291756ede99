"""Newton's method, for few outputs and features.

On x extended by 1, with ℓ's second derivatives by row (p the probabilities):

    softmax   w·(diag p − p pᵀ)      one matrix of all outputs
    sigmoid   w·p(1 − p)             one for each output
    squared   w                      one for all

Cholesky's decomposition tells whether the matrix is positive definite, a growing diagonal makes
it so. A step is halved until the objective falls enough (Armijo). Softmax does not feel a number
added to all outputs: that direction gets a curvature of its own, and the biases a sum of 0 at the
end. All is computed in float64; the products are BLAS's.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ._errors import ConvergenceWarning
from ._finetune_fit import Fitted
from ._finetune_whole import DOUBLE, best_of, folded, parts, validated
from ._finetune_work import Scaling, factors, from_training, scaling, to_training
from ._progress import progress_bar
from .reference.finetune import loss_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._finetune_fit import Plan, Task

LARGEST = 8192
HALVINGS = 40
ARMIJO = 1e-4
EPSILON = float(np.finfo(np.float64).eps)


def fit(plan: Plan, progress: bool) -> list[Fitted]:
    """Fit each task."""
    for task in plan.tasks:
        size = task.kind.outputs * (task.width + 1)
        if size > LARGEST:
            raise ValueError(
                f'solver "newton" needs out·(in + 1) <= {LARGEST}, but {task.kind.outputs}·'
                f'({task.width} + 1) is {size}; use solver="lbfgs".'
            )
    fitted = []
    for task in plan.tasks:
        fitted.append(_Newton(plan, task).fitted(progress))
    return fitted


class _Newton:
    """The objective of a task, and the way to its minimum."""

    def __init__(self, plan: Plan, task: Task) -> None:
        self.plan, self.task, self.settings = plan, task, task.settings
        self.scaled: Scaling | None = scaling(plan.data, task, None)
        self.factors = factors(plan, task, None)
        weight, bias = to_training(task.weight, task.bias, self.scaled)
        self.start = np.column_stack([weight, bias])
        self.anchor = np.zeros_like(self.start)
        if task.anchor is not None:
            scale = 1.0 if self.scaled is None else self.scaled.deviation
            self.anchor[:, :-1] = task.anchor * scale
        l2 = self.settings.l2
        self.l2 = l2 if isinstance(l2, float) else 0.0
        self.outputs, self.columns = self.start.shape
        if not self.settings.bias:
            self.columns -= 1

    def objective(self, theta: NDArray[np.float64]) -> float:
        """Return the objective alone."""
        settings, total, cost = self.settings, 0.0, 0.0
        for x, targets, w in parts(self.plan, self.task, self.scaled, self.factors):
            aims = targets.labels if targets.labels is not None else targets.values
            ell, _ = loss_rows(
                settings.loss, x @ theta[:, :-1].T + theta[:, -1], aims,
                smoothing=settings.label_smoothing, delta=settings.huber_delta,
            )  # fmt: skip
            total += len(x) if w is None else w.sum()
            cost += ell.sum() if w is None else w @ ell
        away = theta[:, :-1] - self.anchor[:, :-1]
        return float(cost / total + self.l2 / 2 * (away**2).sum())

    def derivatives(
        self, theta: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """Return objective, gradient (outputs, columns), and the Hessian's blocks."""
        settings, total, cost = self.settings, 0.0, 0.0
        outputs, columns = self.outputs, self.columns
        gradient = np.zeros((outputs, columns))
        blocks = {"softmax": (outputs, outputs), "sigmoid": (outputs, 1), "squared": (1, 1)}
        hessian = np.zeros((*blocks[settings.loss], columns, columns))
        for x, targets, w in parts(self.plan, self.task, self.scaled, self.factors):
            z = x @ theta[:, :-1].T + theta[:, -1]
            aims = targets.labels if targets.labels is not None else targets.values
            ell, e = loss_rows(
                settings.loss, z, aims, smoothing=settings.label_smoothing,
                delta=settings.huber_delta,
            )  # fmt: skip
            weight = np.ones(len(x)) if w is None else w
            total += weight.sum()
            cost += weight @ ell
            if settings.bias:
                x = np.column_stack([x, np.ones(len(x))])
            gradient += (e * weight[:, None]).T @ x
            self._add_curvature(hessian, z, x, weight)
        away = theta[:, :-1] - self.anchor[:, :-1]
        gradient /= total
        hessian /= total
        gradient[:, : away.shape[1]] += self.l2 * away
        return float(cost / total + self.l2 / 2 * (away**2).sum()), gradient, hessian

    def _add_curvature(
        self,
        hessian: NDArray[np.float64],
        z: NDArray[np.float64],
        x: NDArray[np.float64],
        weight: NDArray[np.float64],
    ) -> None:
        """Add the second derivatives of some rows; of softmax the upper blocks."""
        if self.settings.loss == "squared":
            hessian[0, 0] += (x * weight[:, None]).T @ x
            return
        # Without targets e is p.
        p = loss_rows(self.settings.loss, z, np.zeros_like(z))[1]
        if self.settings.loss == "sigmoid":
            for k in range(self.outputs):
                hessian[k, 0] += (x * (weight * p[:, k] * (1 - p[:, k]))[:, None]).T @ x
            return
        for k in range(self.outputs):
            for m in range(k, self.outputs):
                share = weight * p[:, k] * ((k == m) - p[:, m])
                hessian[k, m] += (x * share[:, None]).T @ x

    def direction(
        self, gradient: NDArray[np.float64], hessian: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return −H⁻¹g."""
        outputs, columns = gradient.shape
        penalty = np.full(columns, self.l2)
        if self.settings.bias:
            penalty[-1] = 0
        if self.settings.loss != "softmax":
            rows = range(outputs) if len(hessian) == outputs else [0] * outputs
            return np.stack(
                [
                    -_solved(hessian[row, 0] + np.diag(penalty), gradient[k])
                    for k, row in enumerate(rows)
                ]
            )
        for k in range(outputs):
            for m in range(k):
                hessian[k, m] = hessian[m, k].T
        whole = hessian.transpose(0, 2, 1, 3).reshape(outputs * columns, -1)
        whole = whole + np.diag(np.tile(penalty, outputs))
        free = np.full(columns, float(self.l2 == 0))
        if self.settings.bias:
            free[-1] = 1
        size = float(np.mean(np.diag(whole))) or 1.0
        whole += np.kron(np.full((outputs, outputs), size / outputs), np.diag(free))
        return -_solved(whole, gradient.ravel()).reshape(gradient.shape)

    def fitted(self, progress: bool) -> Fitted:
        """Iterate to the minimum."""
        settings, theta = self.settings, self.start.copy()
        history: dict[str, list[float]] = {"loss": [], "learning_rate": []}
        loss, gradient, hessian = self.derivatives(theta)
        size = float(np.abs(gradient).max())
        with progress_bar("fitting", settings.max_iter, shown=progress) as advance:
            while size > settings.tolerance and len(history["loss"]) < settings.max_iter:
                step = np.zeros_like(theta)
                step[:, : self.columns] = self.direction(gradient, hessian)
                slope = float((step[:, : self.columns] * gradient).sum())
                length = self._length(theta, step, loss, slope)
                if length == 0:
                    break
                theta += length * step
                loss, gradient, hessian = self.derivatives(theta)
                size = float(np.abs(gradient).max())
                history["loss"].append(loss)
                history["learning_rate"].append(length)
                if self.plan.validation is not None:
                    final = folded(self.plan, theta[:, :-1], theta[:, -1], self.scaled)
                    validated(self.plan, self.task, *final, history)
                advance(1)
        converged = size <= settings.tolerance
        if not converged:
            warnings.warn(
                f"newton stopped after {len(history['loss'])} iterations with a gradient of "
                f"{size:.1g} (tolerance {settings.tolerance:.3g}); raise max_iter, or l2, or "
                "standardize=True.",
                ConvergenceWarning,
                stacklevel=6,
            )
        weight, bias = from_training(theta[:, :-1], theta[:, -1], self.scaled, DOUBLE)
        if settings.loss == "softmax" and settings.bias:
            bias -= float(bias.mean())
        return Fitted(
            *folded(self.plan, weight, bias, None),
            {name: np.array(values) for name, values in history.items()},
            len(history["loss"]), best_of(self.task, history), bool(converged),
        )  # fmt: skip

    def _length(
        self, theta: NDArray[np.float64], step: NDArray[np.float64], loss: float, slope: float
    ) -> float:
        """Return the first of 1, ½, ¼, … after which the objective has fallen enough, or 0."""
        length = 1.0
        for _ in range(HALVINGS):
            there = self.objective(theta + length * step)
            if there <= loss + ARMIJO * length * slope + 4 * EPSILON * abs(loss):
                return length
            length /= 2
        return 0.0


def _solved(matrix: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve a system whose matrix is made positive definite, if it is not, by a small diagonal."""
    size = float(np.mean(np.diag(matrix))) or 1.0
    for shift in (0.0, *(1e-10 * 10.0**j for j in range(13))):
        shifted = matrix + shift * size * np.eye(len(matrix))
        try:
            np.linalg.cholesky(shifted)
            solved: NDArray[Any] = np.linalg.solve(shifted, right)
            return solved
        except np.linalg.LinAlgError:
            continue
    return right / size
