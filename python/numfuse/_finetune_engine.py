"""The four functions that train and predict, and the order of rows: compiled, or the reference.

All that differs between the backends "rust" and "numpy" in fine-tuning is chosen here.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _config, _native
from .reference import finetune as _reference
from .reference import random as _random

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ._finetune_work import Work

_NOT_FINITE = re.compile(r"features has a value that is not finite in row (\d+), column (\d+)")


def epoch(
    work: Work,
    batch: int,
    parameters: NDArray[Any],
    moments: NDArray[Any],
    anchor: NDArray[Any] | None,
    rates: NDArray[np.float64],
    losses: NDArray[np.float64],
    weight_sums: NDArray[np.float64],
) -> None:
    """Train all heads on the rows in order, as `reference.finetune.epoch`."""
    if _config.backend() == "numpy":
        _reference.epoch(work, batch, parameters, moments, anchor, rates, losses, weight_sums)
        return
    _native.kernels.finetune_epoch(
        work, batch, parameters, moments, anchor, rates, losses, weight_sums, _config.threads()
    )


def evaluate(
    work: Work,
    parameters: NDArray[Any],
    losses: NDArray[np.float64],
    weight_sums: NDArray[np.float64],
    gradient: NDArray[np.float64],
) -> None:
    """Sum losses, weights and gradients over all rows, as `reference.finetune.evaluate`."""
    if _config.backend() == "numpy":
        _reference.evaluate(work, parameters, losses, weight_sums, gradient)
        return
    _native.kernels.finetune_evaluate(
        work, parameters, losses, weight_sums, gradient, _config.threads()
    )


def logits(
    features: NDArray[Any],
    half: str | None,
    shift: NDArray[Any] | None,
    scale: NDArray[Any] | None,
    rows: NDArray[np.int64] | None,
    parameters: NDArray[Any],
    out: NDArray[Any],
) -> None:
    """Write the logits of rows, as `reference.finetune.logits`."""
    if _config.backend() == "numpy":
        _reference.logits(features, half, shift, scale, rows, parameters, out)
        return
    _native.kernels.finetune_logits(
        features, half, shift, scale, rows, parameters, out, _config.threads()
    )


def moments(
    features: NDArray[Any],
    half: str | None,
    rows: NDArray[np.int64] | None,
    weights: NDArray[np.float64] | None,
    mean: NDArray[np.float64],
    deviation: NDArray[np.float64],
) -> None:
    """Find each feature's mean and deviation, as `reference.finetune.moments`."""
    if _config.backend() == "numpy":
        _reference.moments(features, half, rows, weights, mean, deviation)
        return
    _native.kernels.finetune_moments(
        features, half, rows, weights, mean, deviation, _config.threads()
    )


def permutation(seed: int, stream: int, count: int) -> NDArray[np.int64]:
    """Put 0 to count − 1 into random order: the same in both backends."""
    if _config.backend() == "numpy":
        return _random.permutation(seed, stream, count)
    return _native.kernels.random_permutation(seed, stream, count)


@contextmanager
def naming(name: str, features: NDArray[Any], first_column: int = 0) -> Iterator[None]:
    """Say in the caller's terms where a feature is not finite."""
    try:
        yield
    except ValueError as error:
        found = _NOT_FINITE.match(str(error))
        if found is None:
            raise
        row, column = map(int, found.groups())
        what = "a value that is not finite"
        if features.dtype.kind == "f":
            what = str(features[row, column])
        raise ValueError(
            f"{name} has {what} in row {row}, column {column + first_column}; drop or fill it."
        ) from None
