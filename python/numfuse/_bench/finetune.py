"""Cases of fine-tuning: epochs of batches on random features, and a path of penalties to optimum.

What is equal for all: weights start at 0, the penalty and the weight decay of `Tune` are 0, labels
are int64 already, batches are of one length. A library's tensors are made before the clock
runs; numfuse's call is the whole `fit`, from NumPy arrays. The first call, which is judged, takes
the rows as they lie, so that answers can be compared; the calls that are timed draw a new order for
each epoch, everybody by its own generator.

Of a `Path` scikit-learn starts each penalty at the optimum of the stronger one before, numfuse all
at 0 together. Each stops by its own test of the gradient's largest entry: scikit-learn at its
default 1e-4, numfuse at the smaller `TOLERANCE`, so that its loss is not the larger one. The error
is by how much of the optimum the worst loss exceeds it.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from .case import Array, Case, Yardstick

ROWS = 16384
EPOCHS = 4
TOLERANCE = 5e-5


@dataclass(frozen=True, kw_only=True)
class Tune(Case):
    """`heads` linear layers of `outputs` classes, softmax, `epochs` passes over the rows."""

    width: int
    outputs: int
    batch: int
    optimizer: Literal["sgd", "adamw"]
    heads: int = 1
    samples: int = ROWS
    epochs: int = EPOCHS

    @property
    def family(self) -> str:
        return "tune"

    @property
    def kind(self) -> str:
        return "one head" if self.heads == 1 else "many heads"

    @property
    def work(self) -> tuple[float, str] | None:
        """Logits and gradient: two products of rows, width and outputs."""
        products = 4.0 * self.samples * self.width * self.outputs
        return products * self.heads * self.epochs, "FLOP"

    @property
    def yardstick(self) -> Yardstick | None:
        return "sgemm"

    @property
    def learning_rate(self) -> float:
        """Small enough that rounding is not blown up: SGD at 0.1 is chaotic on such features."""
        return 1e-3

    def inputs(self) -> dict[str, Array]:
        generator = self.generator()
        features = generator.standard_normal((self.samples, self.width), np.dtype(self.dtype))
        return {
            "features": features,
            "labels": generator.integers(0, self.outputs, self.samples),
        }


@dataclass(frozen=True, kw_only=True)
class Path(Case):
    """Heads at the optimum for `values` penalties, from 1e-6 to 1."""

    values: int
    samples: int = 20_000
    width: int = 384
    outputs: int = 10
    informative: int = 60

    @property
    def family(self) -> str:
        return "tune"

    @property
    def kind(self) -> str:
        return "heads at the optimum"

    @property
    def penalties(self) -> Array:
        """Each l2; a single one is scikit-learn's C = 1."""
        if self.values == 1:
            return np.array([1.0 / self.samples])
        return np.logspace(-6, 0, self.values)

    def inputs(self) -> dict[str, Array]:
        """Make what scikit-learn's make_classification does: two Gaussian clusters a class.

        Their centres are corners of a cube in `informative` columns; the other columns are noise,
        and one label in a hundred is drawn anew.
        """
        generator = self.generator()
        clusters = 2 * self.outputs
        corners = generator.choice([-1.0, 1.0], (clusters, self.informative))
        which = generator.integers(0, clusters, self.samples)
        features = generator.standard_normal((self.samples, self.width))
        inside = features[:, : self.informative]
        for cluster in range(clusters):
            mixing = generator.uniform(-1, 1, (self.informative, self.informative))
            rows = which == cluster
            inside[rows] = inside[rows] @ mixing + corners[cluster]
        labels = which % self.outputs
        redrawn = generator.random(self.samples) < 0.01
        labels[redrawn] = generator.integers(0, self.outputs, redrawn.sum())
        return {"features": features.astype(self.dtype), "labels": labels}


def _tune(
    width: int,
    outputs: int,
    batch: int,
    optimizer: Literal["sgd", "adamw"],
    *,
    heads: int = 1,
    quick: bool = False,
) -> Tune:
    size = f"{width}x{outputs}" + (f"x{heads}" if heads > 1 else "")
    many = f"{heads} heads of " if heads > 1 else ""
    method = {"sgd": "SGD", "adamw": "AdamW"}[optimizer]
    return Tune(
        name=f"tune-{size}-b{batch}-{optimizer}",
        title=f"{many}{width} × {outputs}, batch {batch}, {method}",
        quick=quick,
        width=width,
        outputs=outputs,
        batch=batch,
        optimizer=optimizer,
        heads=heads,
    )


CASES: tuple[Tune | Path, ...] = (
    _tune(384, 10, 32, "sgd", quick=True),
    _tune(768, 10, 256, "adamw"),
    _tune(1024, 2, 256, "adamw"),
    _tune(768, 1000, 256, "adamw"),
    _tune(768, 10, 256, "adamw", heads=32),
    _tune(768, 10, 256, "adamw", heads=64),
    Path(name="lbfgs-20000x384x10", title="384 × 10 to the optimum", values=1),
    Path(name="path-20000x384x10-45", title="384 × 10 to the optimum, 45 penalties", values=45),
)
