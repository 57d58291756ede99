"""How long each step is, and which row comes when.

Of T steps the first w warm up; t counts from 0, s = (t − w)/(T − w):

    t < w    lr·(t + 1)/w
    then     constant: lr    cosine: lr·½(1 + cos πs)    linear: lr·(1 − s)

Rows are drawn by counting (`numfuse.reference.random`): a stream for each purpose, epoch and
block of rows, so that a fit that goes on from epoch e sees the rows of one that never stopped.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numfuse.reference import random

PURPOSES = {"rows": 1, "hold-out": 2, "adapter": 3, "dropout": 4, "folds": 5}


def schedule(
    kind: str,
    learning_rate: float,
    steps: int,
    warmup: float,
    *,
    first: int = 0,
    count: int | None = None,
) -> NDArray[np.float64]:
    """Learning rate of each of `steps` steps, or of `count` of them from step `first` on.

    Parameters
    ----------
    kind : {"constant", "cosine", "linear"}
    learning_rate : float
    steps : int
        T: all steps of the whole fit.
    warmup : int or float
        Steps, or as a float a share of all steps (rounded down).
    first, count : int
        Which steps. By default all that come from `first` on.

    Returns
    -------
    ndarray, shape (count,), float64

    Examples
    --------
    >>> schedule("linear", 1.0, 6, 2)
    array([0.5 , 1.  , 1.  , 0.75, 0.5 , 0.25])
    """
    t = np.arange(first, steps if count is None else first + count, dtype=np.float64)
    w = math.floor(warmup * steps) if isinstance(warmup, float) else warmup
    s = (t - w) / max(steps - w, 1)
    factor = {
        "constant": np.ones_like(s),
        "cosine": (1 + np.cos(math.pi * s)) / 2,
        "linear": 1 - s,
    }[kind]
    return learning_rate * np.where(t < w, (t + 1) / max(w, 1), factor)


def rates(head: Any, learning_rates: NDArray[np.float64], first: int) -> NDArray[np.float64]:
    """Tabulate what changes from step to step: lr, adamw's lr/(1 − β₁ᵗ) and 1/√(1 − β₂ᵗ).

    Parameters
    ----------
    head : object
        With `optimizer`, "sgd" or "adamw"; adamw also with `beta1` and `beta2`.
    learning_rates : ndarray, shape (steps,)
        From `schedule`.
    first : int
        Steps that the optimiser's memory has seen: the first one here is t = first + 1.

    Returns
    -------
    ndarray, shape (steps, 3), float64
        For sgd lr, lr and 1.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> rates(SimpleNamespace(optimizer="adamw", beta1=0.5, beta2=0.75), np.array([0.1]), 0)
    array([[0.1, 0.2, 2. ]])
    """
    lr = np.asarray(learning_rates, dtype=np.float64)
    if head.optimizer != "adamw":
        return np.stack([lr, lr, np.ones_like(lr)], axis=1)
    t = np.arange(first + 1, first + 1 + len(lr), dtype=np.float64)
    return np.stack([lr, lr / (1 - head.beta1**t), 1 / np.sqrt(1 - head.beta2**t)], axis=1)


def stream(purpose: int, epoch: int = 0, block: int = 0) -> int:
    """Give the number of the stream for a purpose (`PURPOSES`), an epoch and a block of rows.

    Examples
    --------
    >>> hex(stream(1, epoch=3, block=2))
    '0x100000003000002'
    """
    return (purpose << 56) + (epoch << 24) + block


def order(seed: int, epoch: int, block: int, count: int) -> NDArray[np.int64]:
    """Order in which an epoch visits the `count` rows of a block.

    Examples
    --------
    >>> sorted(order(seed=0, epoch=3, block=0, count=4).tolist())
    [0, 1, 2, 3]
    """
    return random.permutation(seed, stream(PURPOSES["rows"], epoch, block), count)
