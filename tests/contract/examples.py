"""One usual call of each public function, in pieces that a test can replace one by one.

`values` settle the dtype together and are batched along their first axis; `options` are arrays that
are cast to that dtype (or bool, or integers). Each call is `call(**values, **options)`. `large` makes
the same call long enough to be interrupted.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .names import resolve

RNG = np.random.default_rng(0)
BATCH = 4


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


@dataclass(frozen=True)
class Example:
    """A call; `large` gives the values of a long one, as a function that makes them when needed."""

    function: Callable[..., Any]
    values: dict[str, np.ndarray]
    options: dict[str, np.ndarray] = field(default_factory=dict)
    keywords: dict[str, Any] = field(default_factory=dict)
    has_out: bool = False
    large: Callable[[], dict[str, np.ndarray]] | None = None
    per_item: tuple[str, ...] = ()  # options whose first axis is the batch

    def call(self, **replaced):
        return self.function(**{**self.values, **self.options, **self.keywords, **replaced})

    def result(self, **replaced):
        """All arrays that the call gives, as a tuple."""
        given = self.call(**replaced)
        return given if isinstance(given, tuple) else (given,)

    def item(self, index):
        """The arguments of one item of the batch alone."""
        arrays = {**self.values, **{name: self.options[name] for name in self.per_item}}
        return {name: a[index : index + 1] for name, a in arrays.items()}


def merging(function):
    """`merge_attention` with each part as an argument of its own."""

    def merge(out_0, out_1, lse_0, lse_1):
        return function([out_0, out_1], [lse_0, lse_1])

    return merge


ATTENTION = {
    "values": {
        "query": normal(BATCH, 4, 9, 8),
        "key": normal(BATCH, 2, 11, 8),
        "value": normal(BATCH, 2, 11, 5),
    },
    "options": {
        "mask": RNG.random((BATCH, 1, 9, 11)) < 0.8,
        "bias": normal(BATCH, 4, 1, 11),
        "alibi_slopes": np.abs(normal(BATCH, 4)),
        "sinks": normal(BATCH, 4),
        "key_lengths": np.array([11, 0, 7, 10]),
        "query_offset": np.array([2, 0, -3, 5]),
    },
    "keywords": {"causal": True, "window": (7, None), "softcap": 5.0},
    "per_item": ("mask", "bias", "alibi_slopes", "sinks", "key_lengths", "query_offset"),
}
WEIGHTS = {**ATTENTION, "values": {name: ATTENTION["values"][name] for name in ("query", "key")}}
TORCH = {
    "values": ATTENTION["values"],
    "options": {"attn_mask": ATTENTION["options"]["bias"]},
    "keywords": {"enable_gqa": True},
    "per_item": ("attn_mask",),
}
MERGE = {
    "values": {
        "out_0": normal(BATCH, 2, 9, 5),
        "out_1": normal(BATCH, 2, 9, 5),
        "lse_0": normal(BATCH, 2, 9),
        "lse_1": normal(BATCH, 2, 9),
    }
}
ROTARY = {"values": {"x": normal(BATCH, 2, 9, 8)}, "options": {"positions": np.arange(9)}}
GELU = {"values": {"x": normal(BATCH, 9, 33)}}
LAYER_NORM = {
    "values": {"x": normal(BATCH, 9, 33)},
    "options": {"weight": normal(33), "bias": normal(33)},
}

GRID = (9, 11)
LAPLACIAN = {"values": {"field": normal(BATCH, *GRID)}, "keywords": {"axes": (1, 2)}}
DIFFUSE = {
    "values": {"field": normal(BATCH, *GRID)},
    "options": {
        "diffusivity": RNG.uniform(0.5, 1.5, GRID).astype(np.float32),
        "velocity": 0.1 * normal(2, *GRID),
        "decay": RNG.uniform(0.0, 0.1, GRID).astype(np.float32),
        "source": normal(*GRID),
        "walls": RNG.random(GRID) < 0.1,
        "held": RNG.random(GRID) < 0.1,
    },
    "keywords": {
        "axes": (1, 2),
        "steps": 20,
        "dt": 0.1,
        "boundary": {0: ("robin", 1.0, 2.0, 0.5), (1, "low"): ("value", 1.0)},
    },
}
DIFFUSE_IMAGE = {
    "values": {"image": normal(BATCH, *GRID)},
    "keywords": {"steps": 5, "edge": 0.5},
}


# Long calls, some by seconds. Where memory is the limit, the inputs repeat one row by a
# stride of zero, so that only the result takes room.


def repeated(*shape):
    """Numbers of that shape, the same along all axes but the last two (the last, for a matrix)."""
    inner = shape[-1:] if len(shape) == 2 else shape[-2:]
    return np.broadcast_to(normal(*inner).astype(np.float64), shape)


def long_attention():
    query, key, value = (normal(1, 8, 8192, 64) for _ in range(3))
    options = dict.fromkeys((*ATTENTION["options"], "window", "softcap"))
    return {"query": query, "key": key, "value": value, **options, "causal": False}


def long_weights():
    options = dict.fromkeys((*WEIGHTS["options"], "window", "softcap"))
    return {
        "query": normal(1, 4, 4096, 64),
        "key": normal(1, 4, 4096, 64),
        **options,
        "causal": False,
    }


def long_torch():
    arrays = {name: a for name, a in long_attention().items() if name in TORCH["values"]}
    return {**arrays, "attn_mask": None, "enable_gqa": False}


def long_merge():
    out, lse = repeated(64, 16, 1024, 64), repeated(64, 16, 1024)
    return {"out_0": out, "out_1": out, "lse_0": lse, "lse_1": lse}


def long_rotary():
    return {"x": repeated(64, 16, 1024, 64), "positions": np.arange(1024)}


def long_gelu():
    return {"x": repeated(64 * 1024, 768)}


def long_norm():
    return {"x": repeated(64 * 1024, 768), "weight": normal(768), "bias": normal(768)}


def long_laplacian():
    return {"field": repeated(64, 1024, 1024), "axes": (1, 2)}


def long_diffuse():
    options = dict.fromkeys(DIFFUSE["options"])
    field = normal(1, 1024, 1024)
    return {"field": field, **options, "diffusivity": 1.0, "steps": 4000, "dt": 0.2}


def long_diffuse_image():
    return {"image": normal(1024, 1024), "steps": 400}


_FUNCTIONS = {
    "attention": {**ATTENTION, "has_out": True, "large": long_attention},
    "attention_weights": {**WEIGHTS, "has_out": True, "large": long_weights},
    "merge_attention": {**MERGE, "large": long_merge},
    "rotary": {**ROTARY, "large": long_rotary},
    "layers.gelu": {**GELU, "has_out": True, "large": long_gelu},
    "layers.layer_norm": {**LAYER_NORM, "has_out": True, "large": long_norm},
    "compat.scaled_dot_product_attention": {**TORCH, "large": long_torch},
    "laplacian": {**LAPLACIAN, "has_out": True, "large": long_laplacian},
    "diffuse": {**DIFFUSE, "has_out": True, "large": long_diffuse},
    "diffuse_image": {**DIFFUSE_IMAGE, "has_out": True, "large": long_diffuse_image},
}


def example(name):
    """The example of a dotted public name, or None."""
    short = name.removeprefix("numfuse.")
    if short not in _FUNCTIONS:
        return None
    function = resolve(name)
    return Example(
        merging(function) if short == "merge_attention" else function, **_FUNCTIONS[short]
    )


FUNCTIONS = [f"numfuse.{short}" for short in _FUNCTIONS]
