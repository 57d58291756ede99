"""Hypothesis strategies that draw one call of `attention`: shapes, layouts, dtypes and options, all mixed.

Hypothesis draws the structure and a seed; NumPy fills the arrays, so that big cases are cheap to draw
and a failing one shrinks to the simplest structure that still fails.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

import numfuse

from .layouts import LAYOUTS, contiguous

LENGTHS = [0, 1, 2, 7, 8, 9, 15, 16, 17, 63, 64, 65, 127, 128, 129, 130, 255, 256, 257, 300, 513]
HEAD_DIMS = [1, 2, 3, 8, 15, 16, 17, 40, 64, 80, 96, 128, 160, 256]
SCORE_SCALES = [1.0, 3.0, 10.0, 20.0]


@dataclass(repr=False)
class Case:
    """One call: three arrays and the keywords."""

    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def dtype(self):
        return np.result_type(self.query, self.key, self.value).newbyteorder("=")

    @property
    def lead(self):
        return np.broadcast_shapes(
            self.query.shape[:-3], self.key.shape[:-3], self.value.shape[:-3]
        )

    def run(self, function=None, **more):
        """What `attention` (or another function with its signature) says."""
        return (function or numfuse.attention)(
            self.query, self.key, self.value, **self.options, **more
        )

    def rounded(self, to):
        """The same call with every number rounded to the compute dtype and then held in `to`."""

        def convert(a):
            return np.asarray(a).astype(self.dtype).astype(to)

        options = dict(self.options)
        for name in ("bias", "alibi_slopes", "sinks"):
            if options.get(name) is not None:
                options[name] = convert(options[name])
        for name in ("scale", "softcap"):
            if options.get(name) is not None:
                options[name] = float(self.dtype.type(options[name]))
        return Case(convert(self.query), convert(self.key), convert(self.value), options)

    def _repr_pretty_(self, printer, cycle):  # what hypothesis prints of a failing example
        printer.text(repr(self))

    def __repr__(self):
        def show(x):
            if isinstance(x, np.ndarray) and x.size > 8:
                return f"<{x.dtype.str} {x.shape} strides {x.strides}>"
            return repr(x)

        parts = [f"{name}={show(getattr(self, name))}" for name in ("query", "key", "value")]
        parts += [f"{name}={show(x)}" for name, x in self.options.items()]
        return f"Case({', '.join(parts)})"


def thinned(shape):
    """Shapes that broadcast to `shape`: some axes of length one, leading axes left out."""

    def build(ones, dropped):
        kept = [1 if one else n for one, n in zip(ones, shape, strict=True)]
        return tuple(kept[min(dropped, len(shape)) :])

    ones = st.lists(st.booleans(), min_size=len(shape), max_size=len(shape))
    return st.builds(build, ones, st.integers(0, len(shape)))


def masks(shape, rng):
    """Masks that broadcast to `shape`: random, banded, all or nothing, with rows that see nothing."""

    def build(thin, pattern, layout):
        if pattern == "everything":
            mask = np.ones(thin, bool)
        elif pattern == "nothing":
            mask = np.zeros(thin, bool)
        elif pattern == "blocks":  # whole blocks of keys are ruled out, others are whole
            mask = np.zeros(thin, bool)
            mask[...] = np.arange(thin[-1]) // 70 % 2 == 0 if thin else True
        else:
            mask = rng.random(thin) < (0.1 if pattern == "few" else 0.8)
        if pattern != "everything" and len(thin) >= 2 and thin[-2] > 1:
            mask[..., ::3, :] = False
        return layout(mask) if mask.ndim else mask

    patterns = st.sampled_from(["most", "few", "everything", "nothing", "blocks"])
    return st.builds(build, thinned(shape), patterns, st.sampled_from(LAYOUTS))


def biases(shape, rng):
    """Biases that broadcast to `shape`, in either dtype, some with −inf and whole rows of it."""

    def build(thin, dtype, size, holes, layout):
        bias = np.asarray(size * rng.standard_normal(thin)).astype(dtype)
        if holes:
            bias = np.where(rng.random(thin) < 0.3, -np.inf, bias).astype(dtype)
            if len(thin) >= 2:
                bias[..., 1::4, :] = -np.inf
        return layout(bias) if bias.ndim else bias

    return st.builds(
        build,
        thinned(shape),
        st.sampled_from(["f4", "f8"]),
        st.sampled_from([0.1, 2.0]),
        st.booleans(),
        st.sampled_from(LAYOUTS),
    )


def windows(queries, keys):
    """None, one number for both sides, or a pair in which either may be None."""
    side = st.one_of(
        st.none(), st.sampled_from([0, 1, 5, 64, 100]), st.integers(0, queries + keys + 2)
    )
    return st.one_of(st.none(), st.sampled_from([0, 1, 3, 50]), st.tuples(side, side))


def per_item(lead, low, high, rng):
    """One integer, or integers of some width that broadcast to the leading axes."""

    def array(thin, dtype):
        lowest = max(low, 0) if dtype[0] == "u" else low
        return rng.integers(lowest, max(high, lowest) + 1, thin).astype(dtype)

    return st.one_of(
        st.none(),
        st.integers(low, high),
        st.builds(array, thinned(lead), st.sampled_from(["i8", "i4", "i2", "u2"])),
    )


@st.composite
def cases(
    draw,
    *,
    dtypes=("f4", "f4", "f8", "mixed"),
    most_products=2_000_000,
    lengths=LENGTHS,
    head_dims=HEAD_DIMS,
):
    """One call of `attention`; `most_products` limits heads × queries × keys × head size."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from(dtypes))
    if dtype != "f4":  # the truth of float64 comes from long double, which no BLAS multiplies
        most_products //= 4
    queries, keys = draw(st.sampled_from(lengths)), draw(st.sampled_from(lengths))
    head_dim = draw(st.sampled_from(head_dims))
    value_dim = draw(st.one_of(st.just(head_dim), st.sampled_from(head_dims)))
    matrices = draw(st.integers(0, 9)) == 0
    if matrices:
        lead, key_heads, group = (), 1, 1
    else:
        room = max(1, most_products // max(1, queries * keys * (head_dim + value_dim)))
        lead = draw(
            st.sampled_from([(), (1,), (2,), (3,), (2, 2), (3, 1, 2)]).filter(
                lambda x: np.prod(x) <= room
            )
        )
        room //= int(np.prod(lead))
        group = draw(st.sampled_from([1, 1, 2, 3, 4, 8]).filter(lambda x: x <= max(1, room)))
        key_heads = draw(st.sampled_from([1, 2, 3]).filter(lambda x: x * group <= max(1, room)))
    heads = key_heads * group

    score_scale = draw(st.sampled_from(SCORE_SCALES))

    def array(heads, length, width, size=1.0, thin=False, forms=("rows repeated", "item repeated")):
        shape = (length, width)
        if not matrices:
            shape = (*(draw(thinned(lead)) if thin else lead), heads, length, width)
        own = draw(st.sampled_from(["f4", "f8"])) if dtype == "mixed" else dtype
        made = (size * rng.standard_normal(shape)).astype(own)
        shape = draw(st.sampled_from(["own"] * 8 + list(forms)))
        if shape == "rows repeated" and length:
            return np.broadcast_to(made[..., :1, :], made.shape)
        if shape == "item repeated" and made.ndim > 3 and made.shape[0]:
            return np.broadcast_to(made[:1], made.shape)
        return draw(st.sampled_from([contiguous, *LAYOUTS]))(made)

    thin = draw(st.integers(0, 3)) == 0
    query = array(heads, queries, head_dim, score_scale)
    key = array(key_heads, keys, head_dim, thin=thin)
    # equal values under equal weights: a case of its own in test_right.py
    value = array(key_heads, keys, value_dim, thin=thin, forms=("item repeated",))

    full = (queries, keys) if matrices else (*lead, heads, queries, keys)
    slopes = [(heads,), (*lead, heads)]
    options = {}

    def maybe(name, strategy):
        if draw(st.integers(0, 2)) == 0:
            options[name] = draw(strategy)

    maybe("causal", st.just(True))
    maybe("window", windows(queries, keys))
    maybe("mask", masks(full, rng))
    maybe("bias", biases(full, rng))
    maybe(
        "alibi_slopes",
        st.sampled_from(slopes).map(lambda s: (0.5 ** rng.integers(0, 8, s)).astype(np.float32)),
    )
    maybe(
        "sinks",
        st.sampled_from(slopes).map(lambda s: (3 * rng.standard_normal(s)).astype(np.float32)),
    )
    maybe("scale", st.sampled_from([0.0, 1.0, -1.0, 0.3]).map(lambda x: x / head_dim**0.5))
    maybe("softcap", st.sampled_from([0.5, 5.0, 30.0]))
    maybe("key_lengths", per_item(lead, 0, keys, rng))
    maybe("query_offset", per_item(lead, -queries - 5, keys + 5, rng))
    return Case(query, key, value, options)
