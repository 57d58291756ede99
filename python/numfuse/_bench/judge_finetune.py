"""The truth of fine-tuning's cases, in float64.

Of batches the truth is the weights themselves, by the reference's own steps; an error is the
Frobenius norm of the difference as a share of the weights'. At an optimum the loss counts: an
error is how far above its least value it is, as a share of that, for the worst penalty.
"""

import numpy as np

from numfuse import HeadSweep, LinearHead
from numfuse.reference import finetune as formulas

from .case import Array
from .finetune import Path, Tune

# Of weights after thousands of steps in float32; and of a loss by the loosest stop, 1e-4.
LARGEST_DRIFT, LARGEST_EXCESS = 1e-3, 1e-4


def tolerance(case: Tune | Path) -> float:
    """Return the largest error of an answer that may be timed."""
    return LARGEST_DRIFT if isinstance(case, Tune) else LARGEST_EXCESS


def tuned(case: Tune, inputs: dict[str, Array]) -> tuple[Array, Array]:
    """Return the weights (heads, outputs, width) after the epochs, and their norm."""
    head = LinearHead(
        solver=case.optimizer, l2=0.0, batch_size=case.batch, epochs=case.epochs,
        learning_rate=case.learning_rate, shuffle=False,
    )  # fmt: skip
    head.fit(inputs["features"], inputs["labels"], classes=np.arange(case.outputs))
    weights: Array = np.broadcast_to(head.weight_, (case.heads, *head.weight_.shape))
    return weights, np.array(np.linalg.norm(weights))


def least(case: Path, inputs: dict[str, Array]) -> tuple[Array, Array]:
    """Return the shape of an answer as zeros, and the least loss for each penalty."""
    sweep = HeadSweep({"l2": case.penalties.tolist()}, solver="lbfgs", tolerance=1e-6)
    sweep.fit(inputs["features"], inputs["labels"])
    answer = np.array(
        [np.concatenate([head.weight_, head.bias_[:, None]], axis=1) for head in sweep.heads_]
    )
    return answer, losses(case, answer, inputs)


def losses(case: Path, answer: Array, inputs: dict[str, Array]) -> Array:
    """Return the objective for each penalty at the weights and biases of an answer."""
    return np.array(
        [
            formulas.objective(
                "softmax", parameters, inputs["features"], inputs["labels"], l2=float(l2)
            )[0]
            for l2, parameters in zip(case.penalties, answer, strict=True)
        ]
    )


def drift(answer: Array, truth: Array, size: Array) -> float:
    """Return the error of weights."""
    return float(np.linalg.norm(answer - truth) / size)


def excess(case: Path, answer: Array, size: Array) -> float:
    """Return the error of losses; one below the truth, by the truth's own tolerance, is none."""
    inputs = {name: array.astype(np.float64) for name, array in case.inputs().items()}
    inputs["labels"] = inputs["labels"].astype(np.int64)
    return float(max(0.0, (losses(case, answer, inputs) / size - 1).max()))
