"""What each option of an adapter of low rank may be, as `_finetune_options` does for a head."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays, _finetune_options
from ._diffusion_options import Rule
from ._options import CONSTRAINTS, Scalar, integer, number, shown, text

if TYPE_CHECKING:
    from numpy.typing import NDArray

RANK = Scalar(
    allowed="an integer >= 1",
    way_out="8 is usual",
    convert=integer,
    fits=lambda value: 1 <= value < 2**31,
    bad=(0, -1, 2.0, "8", None, True, 2**40),
)
ALPHA = Scalar(
    allowed="a finite number > 0",
    way_out="as large as rank is usual, for a scaling of 1",
    convert=number,
    fits=lambda value: 0 < value < math.inf,
    bad=(0.0, -1.0, math.nan, math.inf, "8", None, True, 1j, np.ones(1)),
)
SHARE = Scalar(
    allowed="a number in [0, 1)",
    way_out="0.1 is usual, 0 drops nothing",
    convert=number,
    fits=lambda value: 0 <= value < 1,
    bad=(-0.1, 1.0, math.nan, "0", None, True, 1j, np.ones(1)),
)
ACTIVATION = Scalar(
    allowed='"relu", "gelu", "tanh" or None',
    way_out="None hands the layer's output to the head as it is",
    convert=lambda value: None if value is None else text(value),
    fits=lambda value: value in (None, "relu", "gelu", "tanh"),
    bad=("sigmoid", "", "ReLU", True, 1, np.tanh),
)
WEIGHT = Rule(
    allowed="an array of finite numbers (outputs, features)",
    way_out="it is the frozen layer's, as torch.nn.Linear has it",
    bad=(None, 1.0, "weight", [1.0], [[math.nan]], [["a"]], np.ones((1, 0)), [[1j]]),
)  # fmt: skip
BIAS = Rule(
    allowed="an array of finite numbers (outputs,) or None",
    way_out="None is a layer without bias",
    bad=(1.0, "bias", np.ones((1, 7)), np.ones(7), [math.nan], ["a"]),
)
OWN: dict[str, Any] = {
    "rank": RANK,
    "alpha": ALPHA,
    "rslora": _finetune_options.FLAG,
    "dropout": SHARE,
    "activation": ACTIVATION,
}
# Keywords of LinearHead that an adapter has too: those of sgd and adamw.
SHARED = (
    "loss", "solver", "l2", "anchor", "initial", "class_weight", "label_smoothing", "huber_delta",
    "learning_rate", "momentum", "nesterov", "weight_decay", "betas", "epsilon", "batch_size",
    "epochs", "shuffle", "schedule", "warmup", "clip_norm", "early_stopping",
    "validation_fraction", "metric", "warm_start", "seed",
)  # fmt: skip
CONSTRAINTS["LowRankAdapter"] = (
    {"weight": WEIGHT, "bias": BIAS}
    | OWN
    | {name: CONSTRAINTS["LinearHead"][name] for name in SHARED}
)
DEFAULTS: dict[str, Any] = {
    "rank": 8, "alpha": 8.0, "rslora": False, "dropout": 0.0, "activation": None,
} | {name: _finetune_options.DEFAULTS[name] for name in SHARED} | {"solver": "adamw"}  # fmt: skip


def numbers(name: str, value: object, rule: Rule) -> NDArray[np.float64]:
    """Return an array of finite numbers as float64, which float32 and halves fit into."""
    if value is None or isinstance(value, str | bool | int | float | complex):
        raise rule.refused(name, f"is {shown(value)}", TypeError)
    array = _arrays.as_array(name, value)
    if array.dtype.kind not in "iuf" and array.dtype.name != "bfloat16":
        raise rule.refused(name, f"is an array of {array.dtype.name}", TypeError)
    wide = array.astype(np.float64)
    if not (finite := np.isfinite(wide)).all():
        index = np.argwhere(~finite)[0].tolist()
        raise rule.refused(name, f"has {wide[tuple(index)]} at {index}")
    return wide


def cast(name: str, value: NDArray[np.float64], rule: Rule, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Round `numbers` to the dtype that is computed in."""
    with np.errstate(over="ignore"):
        rounded = value.astype(dtype)
    if not np.isfinite(rounded).all():
        raise rule.refused(name, f"has values that are infinite in {dtype}")
    return rounded
