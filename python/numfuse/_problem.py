"""What attention is asked for, once it has been checked: the same for both backends."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _arrays, _options

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Window = int | tuple[int | None, int | None] | None
    _Optional = NDArray[Any] | None
    _KernelOptions = tuple[
        bool, int | None, int | None, _Optional, _Optional, _Optional, _Optional,
        float, float | None, _Optional, _Optional,
    ]  # fmt: skip

_BOOL = np.dtype(np.bool_)
_INT64 = np.dtype(np.int64)


class Problem(NamedTuple):
    """Arrays of one dtype with equal leading axes, an axis of heads and unit last stride.

    `mask` and `bias` have the shape of the scores, `alibi_slopes` and `sinks` (..., heads),
    `key_lengths` and `query_offset` that of the leading axes; all of them by strides alone.
    """

    query: NDArray[Any]
    key: NDArray[Any]
    value: NDArray[Any] | None
    causal: bool
    window_left: int | None
    window_right: int | None
    mask: NDArray[Any] | None
    bias: NDArray[Any] | None
    alibi_slopes: NDArray[Any] | None
    sinks: NDArray[Any] | None
    scale: float
    softcap: float | None
    key_lengths: NDArray[Any] | None
    query_offset: NDArray[Any] | None
    one_head: bool
    """Whether the caller's arrays are 2-D, without the axis of heads that they have here."""

    def values(self) -> NDArray[Any]:
        """Return `value` of a problem that has it, any but that of `attention_weights`."""
        assert self.value is not None
        return self.value

    def options(self) -> _KernelOptions:
        """All but query, key and value, in the order in which the extension takes them."""
        return self[3:-1]

    def reference_options(self) -> dict[str, Any]:
        """All but query, key and value, as keywords of the reference."""
        names = ("causal", "mask", "bias", "alibi_slopes", "sinks", "scale", "softcap")
        options = {name: getattr(self, name) for name in (*names, "key_lengths", "query_offset")}
        return options | {"window": (self.window_left, self.window_right)}

    def arrays(self) -> list[NDArray[Any]]:
        """All arrays that are read."""
        return [field for field in self if isinstance(field, np.ndarray)]

    def scores_shape(self) -> tuple[int, ...]:
        """(..., heads, queries, keys)."""
        return (*self.query.shape[:-1], self.key.shape[-2])

    def callers_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return a shape with an axis of heads as the caller sees it."""
        return shape[1:] if self.one_head else shape

    def with_heads(self, array: NDArray[Any]) -> NDArray[Any]:
        """Give the caller's array an axis of heads."""
        return array[None] if self.one_head else array


def checked(
    given: dict[str, ArrayLike],
    causal: bool,
    window: Window,
    mask: ArrayLike | None,
    bias: ArrayLike | None,
    alibi_slopes: ArrayLike | None,
    sinks: ArrayLike | None,
    scale: float | None,
    softcap: float | None,
    key_lengths: ArrayLike | None,
    query_offset: ArrayLike | None,
) -> Problem:
    """Check all arguments; `given` has query, key and, except for the weights alone, value."""
    arrays, dtype = _arrays.floats(**given)
    one_head = arrays[0].ndim == 2
    lead = _leading_axes(dict(zip(given, arrays, strict=True)))
    heads, (queries, head_dim), keys = 1, arrays[0].shape[-2:], arrays[1].shape[-2]
    if not one_head:
        heads = arrays[0].shape[-3]
    arrays = [_arrays.rows(array, dtype) for array in arrays]
    arrays = [
        array[None] if one_head else _arrays.broadcast(name, array, (*lead, *array.shape[-3:]))
        for name, array in zip(given, arrays, strict=True)
    ]
    scores, rows = (*lead, heads, queries, keys), (*lead, heads)

    def optional(
        constraint: _options.Array, name: str, value: object, shape: tuple[int, ...], to: Any
    ) -> NDArray[Any] | None:
        return None if value is None else constraint.checked(name, value, shape, to, keys)

    left, right = (None, None) if window is None else _options.WINDOW.checked("window", window)
    default_scale = 1 / math.sqrt(max(head_dim, 1))
    return Problem(
        query=arrays[0],
        key=arrays[1],
        value=arrays[2] if "value" in given else None,
        causal=_options.FLAG.checked("causal", causal),
        window_left=left,
        window_right=right,
        mask=optional(_options.MASK, "mask", mask, scores, _BOOL),
        bias=optional(_options.BIAS, "bias", bias, scores, dtype),
        alibi_slopes=optional(_options.ALIBI_SLOPES, "alibi_slopes", alibi_slopes, rows, dtype),
        sinks=optional(_options.SINKS, "sinks", sinks, rows, dtype),
        scale=default_scale if scale is None else _options.SCALE.checked("scale", scale, dtype),
        softcap=None if softcap is None else _options.SOFTCAP.checked("softcap", softcap, dtype),
        key_lengths=optional(_options.KEY_LENGTHS, "key_lengths", key_lengths, lead, _INT64),
        query_offset=optional(_options.QUERY_OFFSET, "query_offset", query_offset, lead, _INT64),
        one_head=one_head,
    )


def _leading_axes(arrays: dict[str, NDArray[Any]]) -> tuple[int, ...]:
    """Check that ranks, heads, lengths and head sizes go together; return the leading axes."""
    query, key = arrays["query"], arrays["key"]
    value = arrays.get("value", key)
    ranks = {name: array.ndim for name, array in arrays.items()}
    lowest, highest = min(ranks, key=ranks.__getitem__), max(ranks, key=ranks.__getitem__)
    if ranks[lowest] < 2:
        raise _misfit(
            f"{lowest} is {ranks[lowest]}-D, but has to be at least 2-D",
            "reshape it to (..., heads, length, head_dim), or to (length, head_dim) for one head",
            arrays,
        )
    if ranks[lowest] == 2 < ranks[highest]:
        raise _misfit(
            f"{lowest} is 2-D, but {highest} is {ranks[highest]}-D",
            "give each the axes (..., heads, length, head_dim), or make all 2-D for one head",
            arrays,
        )
    if query.shape[-1] != key.shape[-1]:
        raise _misfit(
            f"query has head size {query.shape[-1]}, but key has {key.shape[-1]}",
            "make their last axes equal",
            arrays,
        )
    if value.shape[-2] != key.shape[-2]:
        raise _misfit(
            f"key has length {key.shape[-2]}, but value has {value.shape[-2]}",
            "give one value for each key",
            arrays,
        )
    if value.shape[-3:-2] != key.shape[-3:-2]:
        raise _misfit(
            f"key has {key.shape[-3]} heads, but value has {value.shape[-3]}",
            "repeat or drop heads of one of them",
            arrays,
        )
    heads, key_heads = (1, 1) if query.ndim == 2 else (query.shape[-3], key.shape[-3])
    if heads % key_heads if key_heads else heads:
        raise _misfit(
            f"key has {key_heads} heads, which does not divide query's {heads}",
            "repeat or drop heads of key and value",
            arrays,
        )
    lead = _arrays.broadcast_shapes(*(array.shape[:-3] for array in arrays.values()))
    if lead is None:
        raise _misfit(
            f"The axes of {', '.join(arrays)} before (heads, length, head_dim) do not broadcast",
            "each has to be equal in all of them, of length 1, or absent",
            arrays,
        )
    return lead


def _misfit(problem: str, way_out: str, arrays: dict[str, NDArray[Any]]) -> ValueError:
    shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
    return ValueError(f"{problem} ({shapes}); {way_out}.")
