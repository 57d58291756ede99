"""What each option of fine-tuning may be, written once, as `_options` does for attention.

`checked` makes `Settings` of a constructor's keywords. What depends on the data, shapes and
labels, is looked at when data comes: `_finetune_data`, `_finetune_targets`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._diffusion_options import Rule
from ._finetune_metrics import METRICS
from ._options import CONSTRAINTS, Scalar, flag, integer, number, shown, text

Metric = str | Callable[[Any, NDArray[Any]], float]
BATCHED = ("sgd", "adamw")


class Settings(NamedTuple):
    """The keywords of `LinearHead`, checked."""

    loss: str
    solver: str
    l2: float | NDArray[np.float64]
    anchor: str | NDArray[Any] | None
    initial: Any
    bias: bool
    standardize: bool
    class_weight: str | Mapping[Any, float] | NDArray[Any] | None
    label_smoothing: float
    huber_delta: float
    learning_rate: float
    momentum: float
    nesterov: bool
    weight_decay: float
    betas: tuple[float, float]
    epsilon: float
    batch_size: int
    epochs: int
    shuffle: bool
    schedule: str
    warmup: float
    clip_norm: float | None
    max_iter: int
    tolerance: float
    early_stopping: int | None
    validation_fraction: float
    metric: Metric
    warm_start: bool
    seed: int


DEFAULTS: dict[str, Any] = {
    "loss": "softmax", "solver": "lbfgs", "l2": 1e-4, "anchor": None, "initial": None,
    "bias": True, "standardize": False, "class_weight": None, "label_smoothing": 0.0,
    "huber_delta": 1.0, "learning_rate": None, "momentum": 0.9, "nesterov": False,
    "weight_decay": 0.0, "betas": (0.9, 0.999), "epsilon": 1e-8, "batch_size": 256, "epochs": 10,
    "shuffle": True, "schedule": "constant", "warmup": 0, "clip_norm": None, "max_iter": 1000,
    "tolerance": 1e-6, "early_stopping": None, "validation_fraction": 0.1, "metric": "auto",
    "warm_start": False, "seed": 0,
}  # fmt: skip


def _choice(*allowed: str, way_out: str) -> Scalar:
    words = ", ".join(f'"{word}"' for word in allowed[:-1])
    return Scalar(
        allowed=f'{words} or "{allowed[-1]}"',
        way_out=way_out,
        convert=text,
        fits=lambda value: value in allowed,
        bad=("", "none of them", allowed[0].upper(), None, True, 2),
    )


def _maybe(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else convert(value)


def _patience(value: Any) -> int | None:
    if value is None or value is False:
        return None
    return 5 if value is True else integer(value)


def _pair(value: Any) -> tuple[float, float]:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise TypeError
    return number(value[0]), number(value[1])


def _warmup(value: Any) -> float:
    return integer(value) if isinstance(value, int | np.integer) else number(value)


def _warmup_fits(value: float) -> bool:
    return value >= 0 if isinstance(value, int) else 0 <= value < 1


_NUMBERS = ("1", True, 1j, [1.0], np.ones(1))
LOSS = _choice(
    "softmax", "sigmoid", "squared", "huber",
    way_out='"softmax" is for labels, "squared" for numbers',
)  # fmt: skip
SOLVER = _choice(
    "sgd", "adamw", "lbfgs", "newton", "ridge",
    way_out='"lbfgs" finds the optimum of any loss, "adamw" goes through the data in batches',
)  # fmt: skip
L2 = Scalar(
    allowed="a finite number >= 0",
    way_out="1e-4 is usual",
    convert=number,
    fits=lambda value: 0 <= value < math.inf,
    bad=(-1e-4, math.nan, math.inf, "1", None, True, 1j),
)
LABEL_SMOOTHING = Scalar(
    allowed="a number in [0, 1)",
    way_out="0.1 is usual, 0 leaves the labels as they are",
    convert=number,
    fits=lambda value: 0 <= value < 1,
    bad=(-0.1, 1.0, math.nan, None, *_NUMBERS),
)
HUBER_DELTA = Scalar(
    allowed="a finite number > 0",
    way_out="it is where the loss turns from square to linear, in the targets' unit",
    convert=number,
    fits=lambda value: 0 < value < math.inf,
    bad=(0.0, -1.0, math.nan, math.inf, None, *_NUMBERS),
)
LEARNING_RATE = Scalar(
    allowed="a finite number > 0, or None",
    way_out="None is 0.1 for sgd and 1e-3 for adamw",
    convert=_maybe(number),
    fits=lambda value: value is None or 0 < value < math.inf,
    bad=(0.0, -1.0, math.nan, math.inf, *_NUMBERS),
)
MOMENTUM = Scalar(
    allowed="a number in [0, 1)",
    way_out="0.9 is usual",
    convert=number,
    fits=lambda value: 0 <= value < 1,
    bad=(-0.1, 1.0, math.nan, None, *_NUMBERS),
)
WEIGHT_DECAY = Scalar(
    allowed="a finite number >= 0",
    way_out="0.01 is usual",
    convert=number,
    fits=lambda value: 0 <= value < math.inf,
    bad=(-0.1, math.nan, math.inf, None, *_NUMBERS),
)
BETAS = Scalar(
    allowed="two numbers in [0, 1)",
    way_out="(0.9, 0.999) is usual",
    convert=_pair,
    fits=lambda value: all(0 <= beta < 1 for beta in value),
    bad=((0.9, 1.0), (-0.1, 0.9), (0.9,), (0.9, math.nan), 0.9, "ab", None, (True, 0.9)),
)
EPSILON = Scalar(
    allowed="a finite number > 0",
    way_out="1e-8 is usual",
    convert=number,
    fits=lambda value: 0 < value < math.inf,
    bad=(0.0, -1e-8, math.nan, math.inf, None, *_NUMBERS),
)
BATCH_SIZE = Scalar(
    allowed="an integer >= 1",
    way_out="256 is usual",
    convert=integer,
    fits=lambda value: value >= 1,
    bad=(0, -1, 2.0, None, "8", True, [1]),
)
EPOCHS = Scalar(
    allowed="an integer >= 1",
    way_out="10 is usual",
    convert=integer,
    fits=lambda value: 1 <= value < 2**32,
    bad=(0, -1, 2.0, None, "8", True, 2**32),
)
FLAG = Scalar(
    allowed="True or False",
    way_out="bool(...) makes one of any value",
    convert=flag,
    fits=lambda value: True,
    bad=("yes", 1, 0.0, None, [True]),
)
SCHEDULE = _choice(
    "constant", "cosine", "linear", way_out='"cosine" and "linear" end at a learning rate of 0'
)
WARMUP = Scalar(
    allowed="an integer >= 0 of steps, or a float in [0, 1), a share of all steps",
    way_out="0 begins with the whole learning rate",
    convert=_warmup,
    fits=_warmup_fits,
    bad=(-1, -0.1, 1.0, math.nan, None, *_NUMBERS),
)
CLIP_NORM = Scalar(
    allowed="a finite number > 0, or None",
    way_out="1.0 is usual, None does not clip",
    convert=_maybe(number),
    fits=lambda value: value is None or 0 < value < math.inf,
    bad=(0.0, -1.0, math.nan, math.inf, *_NUMBERS),
)
MAX_ITER = Scalar(
    allowed="an integer >= 1",
    way_out="1000 is usual",
    convert=integer,
    fits=lambda value: value >= 1,
    bad=(0, -1, 2.0, None, "8", True),
)
TOLERANCE = Scalar(
    allowed="a finite number >= 0",
    way_out="1e-6 is usual",
    convert=number,
    fits=lambda value: 0 <= value < math.inf,
    bad=(-1e-6, math.nan, math.inf, None, *_NUMBERS),
)
EARLY_STOPPING = Scalar(
    allowed="an integer >= 1 of epochs, True for 5, or None",
    way_out="None trains for all epochs",
    convert=_patience,
    fits=lambda value: value is None or value >= 1,
    bad=(0, -1, 2.0, "5", [5]),
)
VALIDATION_FRACTION = Scalar(
    allowed="a number in (0, 1)",
    way_out="0.1 is usual; give validation= for rows of your own",
    convert=number,
    fits=lambda value: 0 < value < 1,
    bad=(0.0, 1.0, -0.1, math.nan, None, *_NUMBERS),
)
SEED = Scalar(
    allowed="an integer from 0 to 2**64 - 1",
    way_out="0 is usual",
    convert=integer,
    fits=lambda value: 0 <= value < 2**64,
    bad=(-1, 2**64, 1.0, None, "0", True),
)
ANCHOR = Rule(
    allowed='an array of finite numbers (outputs, features), "initial" or None',
    way_out="None pulls the weights towards 0",
    bad=("zeros", 1.0, True, [[math.nan]], [["a"]], np.ones(7), [[1j]]),
)
INITIAL = Rule(
    allowed="a weight (outputs, features), a pair (weight, bias), a fitted LinearHead, or None",
    way_out="None begins at the anchor",
    bad=("zeros", 1.0, True, [[math.nan]], [["a"]], np.ones(7), (), ([[1.0]], [1.0], [1.0])),
)
CLASS_WEIGHT = Rule(
    allowed='"balanced", a dict {label: weight >= 0}, an array in classes_\' order, or None',
    way_out='"balanced" gives each class the same sum',
    bad=("equal", 1.0, True, [], [-1.0, 1.0], [math.nan, 1.0], [0.0, 0.0], ["a", "b"], [[1.0]]),
)
METRIC = Rule(
    allowed=f'"auto", {", ".join(f"{chr(34)}{name}{chr(34)}" for name in METRICS)}, or a function',
    way_out='"auto" is accuracy for labels and r2 for numbers',
    bad=("f1", "", None, 1.0, True),
)

_HEAD: dict[str, Any] = {
    "loss": LOSS, "solver": SOLVER, "l2": L2, "anchor": ANCHOR, "initial": INITIAL, "bias": FLAG,
    "standardize": FLAG, "class_weight": CLASS_WEIGHT, "label_smoothing": LABEL_SMOOTHING,
    "huber_delta": HUBER_DELTA, "learning_rate": LEARNING_RATE, "momentum": MOMENTUM,
    "nesterov": FLAG, "weight_decay": WEIGHT_DECAY, "betas": BETAS, "epsilon": EPSILON,
    "batch_size": BATCH_SIZE, "epochs": EPOCHS, "shuffle": FLAG, "schedule": SCHEDULE,
    "warmup": WARMUP, "clip_norm": CLIP_NORM, "max_iter": MAX_ITER, "tolerance": TOLERANCE,
    "early_stopping": EARLY_STOPPING, "validation_fraction": VALIDATION_FRACTION,
    "metric": METRIC, "warm_start": FLAG, "seed": SEED,
}  # fmt: skip
HALVING = Scalar(
    allowed="an integer >= 2, or None",
    way_out="2 lets the better half train on, None lets all",
    convert=_maybe(integer),
    fits=lambda value: value is None or value >= 2,
    bad=(1, 0, -2, 2.0, "2", True),
)
HALVING_EPOCHS = Scalar(
    allowed="an integer >= 1",
    way_out="1 halves after each epoch",
    convert=integer,
    fits=lambda value: value >= 1,
    bad=(0, -1, 1.0, None, "1", True),
)
CHECKPOINT_EVERY = Scalar(
    allowed="an integer >= 1",
    way_out="1 writes after each epoch",
    convert=integer,
    fits=lambda value: value >= 1,
    bad=(0, -1, 1.0, None, "1", True),
)
_SWEEP: dict[str, Any] = {
    "halving": HALVING,
    "halving_epochs": HALVING_EPOCHS,
    "metric": METRIC,
}
CONSTRAINTS |= {
    "LinearHead": _HEAD,
    "HeadSweep": _SWEEP,
}
# Keywords that the closed and the second-order solvers have no use for, and refuse.
_OF_BATCHES = ("early_stopping", "clip_norm", "schedule", "warmup")


def checked(given: Mapping[str, Any]) -> Settings:
    """Check the keywords of a head, one by one and against each other."""
    values: dict[str, Any] = {}
    for name, constraint in _HEAD.items():
        value = given[name]
        if isinstance(constraint, Scalar) and not (name == "l2" and not _is_scalar(value)):
            values[name] = constraint.checked(name, value)
    loss, solver = values["loss"], values["solver"]
    values["l2"] = values["l2"] if "l2" in values else _path(given["l2"], solver)
    values["anchor"] = _anchor(given["anchor"])
    values["initial"] = _initial(given["initial"])
    values["class_weight"] = _class_weight(given["class_weight"])
    values["metric"] = _metric(given["metric"])
    if isinstance(values["anchor"], str) and values["initial"] is None:
        raise ValueError(
            'anchor is "initial", but initial is not given; give initial=, or leave anchor out.'
        )
    _check_together(values, loss, solver)
    if values["learning_rate"] is None:
        values["learning_rate"] = 0.1 if solver == "sgd" else 1e-3
    return Settings(**values)


def _check_together(values: dict[str, Any], loss: str, solver: str) -> None:
    if solver == "ridge" and loss != "squared":
        raise ValueError(
            f'solver "ridge" needs loss "squared", but loss is "{loss}"; use solver="lbfgs".'
        )
    if solver == "newton" and loss == "huber":
        raise ValueError(
            'solver "newton" takes every loss but "huber", which has no second derivative; use '
            'solver="lbfgs".'
        )
    if values["weight_decay"] and solver != "adamw":
        raise ValueError(
            f'weight_decay is {values["weight_decay"]}, but solver "{solver}" has none; use l2=, '
            'or solver="adamw".'
        )
    if solver in BATCHED:
        return
    for name in _OF_BATCHES:
        if values[name] not in (DEFAULTS[name], 0):
            raise ValueError(
                f'{name} is {values[name]!r}, but solver "{solver}" does not go through the data '
                "in batches; leave it out, or use sgd or adamw."
            )


def _is_scalar(value: object) -> bool:
    return not isinstance(value, list | tuple) and not (
        isinstance(value, np.ndarray) and value.ndim
    )


def _path(value: Any, solver: str) -> NDArray[np.float64]:
    """Check a path of l2 for ridge."""
    if solver != "ridge":
        raise ValueError(
            f'l2 is {shown(value)}, but only solver "ridge" takes a path; use HeadSweep.'
        )
    array = _numbers("l2", value, L2.allowed + " or a list of them")
    if array.ndim != 1 or not len(array):
        raise ValueError(f"l2 has shape {array.shape}, but a path has one axis and one value.")
    for each in array:
        L2.checked("l2", float(each))
    return array


def _numbers(name: str, value: Any, allowed: str) -> NDArray[np.float64]:
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(f"{name} is {shown(value)}, but has to be {allowed}.") from None
    if array.dtype.kind not in "iuf" and array.dtype.name not in ("float16", "bfloat16"):
        raise TypeError(f"{name} is {shown(value)}, but has to be {allowed}.")
    return array.astype(np.float64)


def _matrix(name: str, value: Any, rule: Rule, axes: int = 2) -> NDArray[np.float64]:
    if isinstance(value, str | bool | int | float | complex):
        raise rule.refused(name, f"is {shown(value)}", TypeError)
    array = _numbers(name, value, f"{rule.allowed}; {rule.way_out}")
    if array.ndim != axes:
        raise rule.refused(name, f"has an array of shape {array.shape}")
    if not np.isfinite(array).all():
        raise rule.refused(name, f"has {array[~np.isfinite(array)][0]}")
    return array


def _anchor(value: Any) -> str | NDArray[np.float64] | None:
    if value is None or (isinstance(value, str) and value == "initial"):
        return value
    if isinstance(value, str):
        raise ANCHOR.refused("anchor", f"is {shown(value)}")
    return _matrix("anchor", value, ANCHOR)


def _initial(value: Any) -> Any:
    """Return a (weight, bias or None, classes or None), or None."""
    if value is None:
        return None
    if hasattr(value, "decision_function") and hasattr(value, "save"):
        if not hasattr(value, "weight_"):
            raise ValueError("initial is a head that is not fitted; call its fit first.")
        weight, bias = np.asarray(value.weight_, np.float64), np.asarray(value.bias_, np.float64)
        return weight, bias, getattr(value, "classes_", None)
    if isinstance(value, tuple):
        if len(value) != 2:
            raise INITIAL.refused("initial", f"is a tuple of {len(value)}")
        weight = _matrix("initial", value[0], INITIAL)
        return weight, _matrix("initial", value[1], INITIAL, axes=1), None
    return _matrix("initial", value, INITIAL), None, None


def _class_weight(value: Any) -> str | Mapping[Any, float] | NDArray[np.float64] | None:
    if value is None:
        return None
    if isinstance(value, str):
        if value != "balanced":
            raise CLASS_WEIGHT.refused("class_weight", f"is {shown(value)}")
        return value
    if isinstance(value, Mapping):
        for label, weight in value.items():
            L2.checked(f"class_weight[{label!r}]", weight)
        return dict(value)
    array = _matrix("class_weight", value, CLASS_WEIGHT, axes=1)
    if not array.size or (array < 0).any() or not array.any():
        raise CLASS_WEIGHT.refused("class_weight", f"is {shown(array.tolist())}")
    return array


def _metric(value: Any) -> Metric:
    if isinstance(value, str):
        if value == "auto" or value in METRICS:
            return value
        raise METRIC.refused("metric", f"is {shown(value)}")
    if callable(value):
        metric: Metric = value
        return metric
    raise METRIC.refused("metric", f"is {shown(value)}", TypeError)
