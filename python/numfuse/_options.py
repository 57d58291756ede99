"""What each option may be, written once: its check, its message, and values that tests see refused.

A message says which argument, what was given, what is allowed, and the way out. A wrong type is a
`TypeError`, a wrong value or shape a `ValueError`. `CONSTRAINTS` maps each public function to its
keywords; every value in a constraint's `bad` is refused by any call whose arrays have fewer than
seven axes and none of length 7.
"""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _arrays

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

# A key is never as far away as this, and positions stay within 64 bits when it is added to them.
FARTHEST = 2**62
# Largest distance of the first query from key 0.
FARTHEST_OFFSET = 2**61


class Scalar(NamedTuple):
    """A constraint on one plain value."""

    allowed: str
    """Completes "it has to be …"."""
    way_out: str
    convert: Callable[[Any], Any]
    """Makes the kernels' type of it; raises TypeError where the type is wrong."""
    fits: Callable[[Any], bool]
    """Whether a converted value is allowed."""
    bad: tuple[Any, ...]

    def checked(self, name: str, value: object, dtype: np.dtype[Any] | None = None) -> Any:
        """`value` as the kernels take it, rounded to `dtype` where one is given."""
        try:
            converted = self.convert(value)
        except TypeError:
            raise TypeError(self._message(name, value, dtype)) from None
        except (OverflowError, ValueError):
            raise ValueError(self._message(name, value, dtype)) from None
        if dtype is not None:
            with np.errstate(all="ignore"):
                converted = float(dtype.type(converted))
        if not self.fits(converted):
            raise ValueError(self._message(name, value, dtype))
        return converted

    def _message(self, name: str, value: object, dtype: np.dtype[Any] | None) -> str:
        where = "" if dtype is None else f" in {dtype}"
        return f"{name} is {shown(value)}, but has to be {self.allowed}{where}; {self.way_out}."


class Array(NamedTuple):
    """A constraint on an array that broadcasts to axes known at the call."""

    axes: str
    """The axes in words."""
    kinds: str
    """NumPy's letters for the kinds of dtype that are allowed."""
    allowed: str
    """Dtype and values in words; `keys` in braces is the number of keys."""
    way_out: str
    """How to get such a dtype or value."""
    fits: Callable[[NDArray[Any], int], NDArray[np.bool_]] | None
    """Which elements are allowed, given the number of keys; None where each is."""
    whole: bool
    """Whether the last axis has to be there in full length."""
    bad: tuple[Any, ...]

    def checked(
        self, name: str, value: object, shape: tuple[int, ...], dtype: np.dtype[Any], keys: int = 0
    ) -> NDArray[Any]:
        """`value` in `dtype`, seen with `shape` and not expanded."""
        array = _arrays.as_array(name, value)
        allowed = f"has to be {self.allowed.format(keys=keys)}"
        half = "f" in self.kinds and array.dtype.name in _arrays.HALF_DTYPES
        if array.dtype.kind not in self.kinds and not half:
            raise TypeError(f"{name} is {array.dtype.name}, but {allowed}; {self.way_out}.")
        if dtype.kind == "f":  # integers are looked at first, for the conversion could wrap them
            array = _arrays.strided(array, dtype)
        if self.fits is not None and not (fits := self.fits(array, keys)).all():
            index = np.unravel_index(int(np.argmin(fits)), array.shape)
            at = f" at {[int(i) for i in index]}" if index else ""
            raise ValueError(f"{name} is {array[index]}{at}, but {allowed}; {self.way_out}.")
        if not _broadcasts(array.shape, shape, self.whole):
            last = "the last axis has to be that long, any other one" if self.whole else "each axis"
            raise ValueError(
                f"{name} has shape {array.shape}, which does not broadcast to {shape}, "
                f"{self.axes}; {last} has to be that long, of length 1, or absent."
            )
        return _arrays.broadcast(name, _arrays.strided(array, dtype), shape)


def _broadcasts(given: tuple[int, ...], shape: tuple[int, ...], whole: bool) -> bool:
    """Whether `given` broadcasts to `shape`, without making it larger."""
    if len(given) > len(shape) or (whole and given[-1:] != shape[-1:]):
        return False
    axes = zip(reversed(given), reversed(shape), strict=False)
    return all(length in (1, wanted) for length, wanted in axes)


def shown(value: object) -> str:
    if isinstance(value, np.ndarray) and value.ndim:
        return f"an array of shape {value.shape}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def flag(value: object) -> bool:
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise TypeError


def integer(value: Any) -> int:
    if isinstance(value, bool | np.bool_):
        raise TypeError
    return operator.index(value)


def number(value: Any) -> float:
    array = isinstance(value, np.ndarray)
    if isinstance(value, str | bytes | bool | np.bool_ | complex | np.complexfloating) or (
        array and (value.ndim or value.dtype.kind not in "iuf")
    ):
        raise TypeError
    return float(value)


def text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise TypeError


def _window(value: Any) -> tuple[int | None, int | None]:
    left, right = value if isinstance(value, tuple | list) else (value, value)
    return _end(left), _end(right)


def _end(value: Any) -> int | None:
    return None if value is None else min(integer(value), FARTHEST)


FLAG = Scalar(
    allowed="True or False",
    way_out="bool(...) makes one of any value",
    convert=flag,
    fits=lambda value: True,
    bad=("yes", 1, 0.0, None, [True], np.ones(2, bool)),
)
WINDOW = Scalar(
    allowed="an integer >= 0, or a pair (left, right) of such integers or None",
    way_out="None is no limit on its side",
    convert=_window,
    fits=lambda window: all(end is None or end >= 0 for end in window),
    bad=(-1, (-1, 0), (0, -1), 1.5, (1.0, 2), True, "12", (1,), (1, 2, 3), np.arange(2)),
)
SCALE = Scalar(
    allowed="a finite number",
    way_out="leave it out for 1/√head_dim",
    convert=number,
    fits=math.isfinite,
    bad=(math.nan, math.inf, -math.inf, 10**400, "1", True, 1j, [1.0], np.ones(1)),
)
SOFTCAP = Scalar(
    allowed="a finite number > 0",
    way_out="leave it out for scores without a cap",
    convert=number,
    fits=lambda value: 0 < value < math.inf,
    bad=(0, -1.0, 1e-400, math.nan, math.inf, "1", True, 1j, np.ones(1)),
)
EPSILON = Scalar(
    allowed="a finite number >= 0",
    way_out="1e-5 is usual",
    convert=number,
    fits=lambda value: 0 <= value < math.inf,
    bad=(-1e-5, math.nan, math.inf, "1", None, True, 1j),
)
BASE = Scalar(
    allowed="a finite number > 0",
    way_out="10000.0 is usual",
    convert=number,
    fits=lambda value: 0 < value < math.inf,
    bad=(0, -1.0, math.nan, math.inf, "1", None, True, 1j),
)
ROTARY_DIM = Scalar(
    allowed="an even integer from 0 to x's last axis",
    way_out="leave it out to turn the whole axis",
    convert=integer,
    fits=lambda value: value >= 0 and value % 2 == 0,
    bad=(-2, 3, 2**40, 4.0, "4", True),
)
DROPOUT_P = Scalar(
    allowed="0 (dropout is not supported yet)",
    way_out="leave it out",
    convert=number,
    fits=lambda value: value == 0,
    bad=(0.1, 1.0, -0.1, math.nan, "0", None, True),
)
APPROXIMATE = Scalar(
    allowed='"none" or "tanh"',
    way_out='"none" is exact',
    convert=text,
    fits=lambda value: value in ("none", "tanh"),
    bad=("erf", "", None, True),
)
MASK = Array(
    axes="(..., heads, queries, keys)",
    kinds="b",
    allowed="bool, True where a key may be seen",
    way_out="mask != 0 makes one; what is added to the scores is bias",
    fits=None,
    whole=False,
    bad=(np.ones(1, np.uint8), np.zeros((1, 1)), [0, 1], "yes", np.ones(7, bool), [[True], []]),
)
BIAS = Array(
    axes="(..., heads, queries, keys)",
    kinds="f",
    allowed="floating point, added to the scores",
    way_out="bias.astype(np.float32) makes one; who may see whom is mask",
    fits=None,
    whole=False,
    bad=(np.ones((1, 1), bool), [[0]], 1, 1j, np.ones(7), np.ones((1,) * 9)),
)
ATTN_MASK = Array(
    axes="(..., heads, queries, keys)",
    kinds="bf",
    allowed="bool, True where a key may be seen, or floating point, added to the scores",
    way_out="attn_mask.astype(bool) makes one",
    fits=None,
    whole=False,
    bad=(np.ones(1, np.uint8), [[0]], 1j, np.ones(7), np.ones(7, bool), np.ones((1,) * 9)),
)
ALIBI_SLOPES = Array(
    axes="(..., heads)",
    kinds="iuf",
    allowed="finite numbers, one for each query head",
    way_out="give an array of shape (heads,) or (batch, heads)",
    fits=lambda array, keys: np.isfinite(array),
    whole=True,
    bad=(np.ones(7), 1.0, [math.nan], [math.inf], [True], [1j]),
)
SINKS = Array(
    axes="(..., heads)",
    kinds="iuf",
    allowed="numbers below infinity, one for each query head; -inf is no sink",
    way_out="give an array of shape (heads,) or (batch, heads)",
    fits=lambda array, keys: array < np.inf,
    whole=True,
    bad=(np.ones(7), 1.0, [math.nan], [math.inf], [True], [1j]),
)
KEY_LENGTHS = Array(
    axes="the leading axes without heads",
    kinds="iu",
    allowed="integers from 0 to {keys}, the number of keys",
    way_out="give one integer, or one for each item of the batch",
    fits=lambda array, keys: (array >= 0) & (array <= keys),
    whole=False,
    bad=(-1, 2**40, 2**64 - 1, 2**70, [1] * 7, 1.0, True, "1", math.nan),
)
QUERY_OFFSET = Array(
    axes="the leading axes without heads",
    kinds="iu",
    allowed="integers from -2**61 to 2**61",
    way_out="give one integer, or one for each item of the batch",
    fits=lambda array, keys: (array >= -FARTHEST_OFFSET) & (array <= FARTHEST_OFFSET),
    whole=False,
    bad=(2**62, -(2**62), 2**64 - 1, 2**70, [1] * 7, 1.0, True, "1", math.nan),
)
POSITIONS = Array(
    axes="x's axes without the last",
    kinds="iuf",
    allowed="finite numbers, one for each row of x",
    way_out="give an array of shape (length,) or (..., length)",
    fits=lambda array, keys: np.isfinite(array),
    whole=False,
    bad=(np.ones(7), [math.nan], [True], [1j], "1"),
)
FEATURES = Array(
    axes="(features,), the last axis of x",
    kinds="f",
    allowed="floating point, one for each feature",
    way_out="leave it out for none",
    fits=None,
    whole=True,
    bad=(np.ones(7), 1.0, [True], [1], [1j]),
)

_ATTENTION: dict[str, Scalar | Array] = {
    "causal": FLAG,
    "window": WINDOW,
    "mask": MASK,
    "bias": BIAS,
    "alibi_slopes": ALIBI_SLOPES,
    "sinks": SINKS,
    "scale": SCALE,
    "softcap": SOFTCAP,
    "key_lengths": KEY_LENGTHS,
    "query_offset": QUERY_OFFSET,
}
CONSTRAINTS: dict[str, dict[str, Scalar | Array]] = {
    "attention": _ATTENTION | {"return_lse": FLAG},
    "attention_weights": _ATTENTION,
    "rotary": {
        "positions": POSITIONS,
        "base": BASE,
        "interleaved": FLAG,
        "rotary_dim": ROTARY_DIM,
    },
    "compat.scaled_dot_product_attention": {
        "attn_mask": ATTN_MASK,
        "dropout_p": DROPOUT_P,
        "is_causal": FLAG,
        "scale": SCALE,
        "enable_gqa": FLAG,
    },
    "layers.gelu": {"approximate": APPROXIMATE},
    "layers.layer_norm": {"weight": FEATURES, "bias": FEATURES, "epsilon": EPSILON},
}
