from collections.abc import Sequence
from typing import Any, Literal, overload

from numpy.typing import ArrayLike, NDArray

@overload
def attention(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    *,
    causal: bool = False,
    window: int | tuple[int | None, int | None] | None = None,
    mask: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    alibi_slopes: ArrayLike | None = None,
    sinks: ArrayLike | None = None,
    scale: float | None = None,
    softcap: float | None = None,
    key_lengths: ArrayLike | None = None,
    query_offset: ArrayLike | None = None,
    return_lse: Literal[False] = False,
) -> NDArray[Any]: ...
@overload
def attention(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    *,
    causal: bool = False,
    window: int | tuple[int | None, int | None] | None = None,
    mask: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    alibi_slopes: ArrayLike | None = None,
    sinks: ArrayLike | None = None,
    scale: float | None = None,
    softcap: float | None = None,
    key_lengths: ArrayLike | None = None,
    query_offset: ArrayLike | None = None,
    return_lse: Literal[True],
) -> tuple[NDArray[Any], NDArray[Any]]: ...
def attention_weights(
    query: ArrayLike,
    key: ArrayLike,
    *,
    causal: bool = False,
    window: int | tuple[int | None, int | None] | None = None,
    mask: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    alibi_slopes: ArrayLike | None = None,
    sinks: ArrayLike | None = None,
    scale: float | None = None,
    softcap: float | None = None,
    key_lengths: ArrayLike | None = None,
    query_offset: ArrayLike | None = None,
) -> NDArray[Any]: ...
def merge_attention(
    outs: Sequence[ArrayLike], lses: Sequence[ArrayLike]
) -> tuple[NDArray[Any], NDArray[Any]]: ...
def rotary(
    x: ArrayLike,
    positions: ArrayLike,
    *,
    base: float = 10000.0,
    interleaved: bool = False,
    rotary_dim: int | None = None,
) -> NDArray[Any]: ...
