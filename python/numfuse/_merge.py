"""Joining attention over parts of the keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays, _config, _native
from ._attention import AttentionResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray


def merge_attention(outs: Sequence[ArrayLike], lses: Sequence[ArrayLike]) -> AttentionResult:
    """Join attention over disjoint parts of the keys into attention over all of them.

    The result is exact, up to rounding, for any options that decide about each key alone: compute
    each part with ``return_lse=True``, positions kept by `query_offset`. Only one of the parts may
    have had the sinks, since each counts what it has.

    Parameters
    ----------
    outs : sequence of array_like, shape (..., heads, queries, value_dim), float32 or float64
        The parts' outputs, of one shape; at least one.
    lses : sequence of array_like, shape (..., heads, queries), float32 or float64
        Their denominators' logarithms; -inf for a query that may see nothing of that part. All
        arrays promote to one dtype.

    Returns
    -------
    AttentionResult
        ``(out, lse)`` of the whole.

    Raises
    ------
    TypeError
        If an array has an unsupported dtype.
    ValueError
        If there are no parts, not as many `outs` as `lses`, or shapes do not go together.

    See Also
    --------
    attention : With `return_lse`, makes the parts.

    Notes
    -----
    lse = ln Σ exp(lse_part) and out = Σ exp(lse_part − lse)·out_part [1]_. A query that may see
    nothing in any part has zeros and -inf.

    References
    ----------
    .. [1] M. Milakov, N. Gimelshein, "Online normalizer calculation for softmax" (2018),
       arXiv:1805.02867.

    Examples
    --------
    >>> import numpy as np
    >>> import numfuse
    >>> query, key, value = np.random.default_rng(0).standard_normal((3, 2, 6, 4))
    >>> parts = [
    ...     numfuse.attention(query, key[:, part], value[:, part], return_lse=True)
    ...     for part in (slice(0, 4), slice(4, 6))
    ... ]
    >>> out, lse = numfuse.merge_attention(*zip(*parts))
    >>> np.allclose(out, numfuse.attention(query, key, value))
    True
    """
    names = _named("outs", outs)
    parts = len(names)
    names |= _named("lses", lses)
    if not parts or len(names) != 2 * parts:
        raise ValueError(
            f"outs has {parts} parts and lses has {len(names) - parts}, but each part has one of "
            "both and there has to be at least one; pass two sequences of equal length."
        )
    arrays, dtype = _arrays.floats(**names)
    shape = arrays[0].shape
    for index, (name, array) in enumerate(zip(names, arrays, strict=True)):
        wanted = shape if index < parts else shape[:-1]
        if array.shape != wanted or len(shape) < 2:
            raise ValueError(
                f"{name} has shape {array.shape}, but with outs[0] of {shape} it has to have "
                f"{wanted}; outs are (..., heads, queries, value_dim) and lses the same without "
                "the last axis."
            )
    if _config.backend() == "numpy":
        from . import reference

        cast = [array.astype(dtype, copy=False) for array in arrays]
        return AttentionResult(*reference.merge_attention(cast[:parts], cast[parts:]))
    out, lse = np.empty(shape, dtype), np.empty(shape[:-1], dtype)
    columns: list[NDArray[Any]] = [
        _arrays.strided(array, dtype)[..., None] for array in arrays[parts:]
    ]
    _native.kernels.merge_attention(
        [_arrays.rows(array, dtype) for array in arrays[:parts]],
        columns,
        out,
        lse[..., None],
        _config.threads(),
    )
    return AttentionResult(out, lse)


def _named(name: str, parts: Sequence[ArrayLike]) -> dict[str, ArrayLike]:
    try:
        return {f"{name}[{index}]": part for index, part in enumerate(parts)}
    except TypeError:
        raise TypeError(
            f"{name} is a {type(parts).__name__}, but has to be a sequence of arrays, one for each "
            f"part; for a single one pass [{name}]."
        ) from None
