"""Attention over whole arrays.

`attention` first offers a plain call to the extension as it stands (`attention_quick`), which takes
well-formed arrays and declines anything else. Only then are arguments converted, broadcast and, if
need be, complained about (`_problem`), and given to the backend in force.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np

from . import _arrays, _config, _native, _options, _problem

if TYPE_CHECKING:
    from typing import Literal, TypedDict, Unpack

    from numpy.typing import ArrayLike, NDArray

    from ._problem import Window

    class _Options(TypedDict, total=False):
        causal: bool
        window: Window
        mask: ArrayLike | None
        bias: ArrayLike | None
        alibi_slopes: ArrayLike | None
        sinks: ArrayLike | None
        scale: float | None
        softcap: float | None
        key_lengths: ArrayLike | None
        query_offset: ArrayLike | None
        out: NDArray[Any] | None


class AttentionResult(NamedTuple):
    """Output of attention, and the logarithm of its denominators.

    Parameters
    ----------
    out : ndarray, shape (..., heads, queries, value_dim)
        The weighted means of the values.
    lse : ndarray, shape (..., heads, queries)
        Natural logarithm of the softmax's denominator, sink included; -inf for a query that may
        see nothing and has no sink.
    """

    out: NDArray[Any]
    lse: NDArray[Any]


@overload
def attention(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    *,
    return_lse: Literal[False] = False,
    **options: Unpack[_Options],
) -> NDArray[Any]: ...
@overload
def attention(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    *,
    return_lse: Literal[True],
    **options: Unpack[_Options],
) -> AttentionResult: ...
@overload
def attention(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    *,
    return_lse: bool,
    **options: Unpack[_Options],
) -> NDArray[Any] | AttentionResult: ...
def attention(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    *,
    causal: bool = False,
    window: Window = None,
    mask: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    alibi_slopes: ArrayLike | None = None,
    sinks: ArrayLike | None = None,
    scale: float | None = None,
    softcap: float | None = None,
    key_lengths: ArrayLike | None = None,
    query_offset: ArrayLike | None = None,
    out: NDArray[Any] | None = None,
    return_lse: bool = False,
) -> NDArray[Any] | AttentionResult:
    """Softmax attention, without ever storing the matrix of scores.

    For query i, over the keys j that it may see::

        out_i = Σⱼ exp(score_ij) value_j / (Σⱼ exp(score_ij) + exp(sink))
        score_ij = softcap·tanh(scale·query_i·key_j / softcap) + bias_ij − slope·|p_i − j|

    in which everything but scale·query_i·key_j is left away unless asked for. Any mix of options is
    computed in one pass over keys and values [1]_ [2]_.

    Parameters
    ----------
    query : array_like, shape (..., heads, queries, head_dim), float32 or float64
        Or (queries, head_dim), with `key` and `value` 2-D too: one head.
    key : array_like, shape (..., key_heads, keys, head_dim), float32 or float64
        `key_heads` divides `heads`: query head h reads key head h // (heads / key_heads), as in
        grouped-query attention [3]_. The leading axes of `query`, `key` and `value` broadcast.
    value : array_like, shape (..., key_heads, keys, value_dim), float32 or float64
        The three arrays promote to one dtype, which is the output's.
    causal : bool, default False
        Query i sees no key after its own position; see Notes.
    window : int or (int or None, int or None), optional
        (left, right): how many keys before and after its own position a query sees. None is no
        limit on that side, one int stands for both.
    mask : array_like of bool, shape broadcasting to (..., heads, queries, keys), optional
        True where a key may be seen. Read by its strides, never expanded.
    bias : array_like of float, shape broadcasting to (..., heads, queries, keys), optional
        Added to the scores, in the dtype of the computation. A key is not seen where it is -inf.
    alibi_slopes : array_like, shape (heads,) or (batch, heads), optional
        Each score is lowered by slope times the distance of query and key (ALiBi [4]_). Finite.
    sinks : array_like, shape (heads,) or (batch, heads), optional
        For each head a further logit that joins the denominator only: what attention may pay to
        nothing at all [5]_. -inf is none; NaN and inf are refused.
    scale : float, optional
        Factor of query·key, 1/√head_dim unless given; 0 and negative ones are allowed.
    softcap : float, optional
        Bound, > 0, that tanh keeps the scores within before bias and slopes join [6]_.
    key_lengths : int or array_like of int, shape broadcasting to the leading axes, optional
        How many of the keys are there, for each item of the batch (leading axes without heads), 0
        to `keys`; those beyond are padding. All of them unless given.
    query_offset : int or array_like of int, shape broadcasting to the leading axes, optional
        Position of query 0 on the axis of keys, may be negative or beyond it. Unless given,
        key_lengths − queries: the last query stands on the last key that is there.
    out : ndarray, shape (..., heads, queries, value_dim), optional
        Where to write the output: of its dtype and writeable. It may share memory with an input,
        for which the output is computed aside and copied.
    return_lse : bool, default False
        Return the denominators' logarithms as well.

    Returns
    -------
    ndarray, shape (..., heads, queries, value_dim)
        `out` if it was given. Zeros for a query that may see nothing.
    AttentionResult
        With `return_lse`: ``(out, lse)``, lse of shape (..., heads, queries): the natural logarithm
        of the denominator. For a query that may see nothing it is -inf, or the sink.

    Raises
    ------
    TypeError
        If an array has an unsupported dtype (half precision is among them as yet) or is a masked
        array, `mask` is not bool, lengths or offsets are no integers, or an option has a wrong
        type.
    ValueError
        If shapes do not go together, `key_lengths` are negative or more than there are keys, an
        option is outside of its range, `out` has a wrong shape or is read-only, or a size does not
        fit the address space.
    MemoryError
        If there is no memory for the result; `out` is untouched then.

    See Also
    --------
    attention_weights : The weights themselves, to look at.
    merge_attention : Join attention over parts of the keys.
    numfuse.compat.scaled_dot_product_attention : PyTorch's signature and conventions.

    Notes
    -----
    Query i stands at position p = i + query_offset. It sees key j where all of these hold:
    j < key_lengths; with `causal`, j ≤ p; with `window`, p − left ≤ j ≤ p + right; `mask` is True;
    `bias` is not -inf. Nothing of what it does not see can reach its output, NaN and inf included;
    a NaN that it sees shows. A query is empty by these rules only, never by its scores.

    Causal attention is aligned at the bottom right: the last query sees all keys, as in decoding
    with a cache. PyTorch and ONNX align at the top left, which is ``query_offset=0``. Who sees
    whom, queries downwards, keys to the right::

        2 queries, 5 keys   1 1 1 1 0        query_offset=0   1 0 0 0 0
                            1 1 1 1 1                         1 1 0 0 0

        5 queries, 2 keys   0 0              query_offset=0   1 0
                            0 0                               1 1
                            0 0                               1 1
                            1 0                               1 1
                            1 1                               1 1

    On one machine the result has the same bits for any number of threads, and for an item of a
    batch whatever the other items are; not so with the backend "numpy".

    References
    ----------
    .. [1] M. Milakov, N. Gimelshein, "Online normalizer calculation for softmax" (2018),
       arXiv:1805.02867.
    .. [2] T. Dao, "FlashAttention-2: Faster attention with better parallelism and work
       partitioning" (2023), arXiv:2307.08691.
    .. [3] J. Ainslie et al., "GQA: Training generalized multi-query transformer models from
       multi-head checkpoints" (2023), arXiv:2305.13245.
    .. [4] O. Press, N. A. Smith, M. Lewis, "Train short, test long: attention with linear biases
       enables input length extrapolation" (2021), arXiv:2108.12409.
    .. [5] G. Xiao et al., "Efficient streaming language models with attention sinks" (2023),
       arXiv:2309.17453.
    .. [6] Gemma Team, "Gemma 2: Improving open language models at a practical size" (2024),
       arXiv:2408.00118.

    Examples
    --------
    Two heads, three queries, five keys:

    >>> import numpy as np
    >>> import numfuse
    >>> rng = np.random.default_rng(0)
    >>> query = rng.standard_normal((2, 3, 8), dtype=np.float32)
    >>> key, value = rng.standard_normal((2, 2, 5, 8), dtype=np.float32)
    >>> numfuse.attention(query, key, value, causal=True).shape
    (2, 3, 8)

    Each query sees its own key and the one before; of equal scores the output is the mean:

    >>> zeros, steps = np.zeros((4, 1)), np.arange(4.0)[:, None]
    >>> numfuse.attention(zeros, zeros, steps, causal=True, window=(1, None)).ravel()
    array([0. , 0.5, 1.5, 2.5])

    A batch of two sentences of which the second has two tokens, padded to five:

    >>> batch = rng.standard_normal((2, 1, 5, 8))
    >>> out, lse = numfuse.attention(batch, batch, batch, key_lengths=[5, 2], return_lse=True)
    >>> lse.shape
    (2, 1, 5)
    """
    if (
        window is None
        and mask is None
        and bias is None
        and alibi_slopes is None
        and sinks is None
        and softcap is None
        and key_lengths is None
        and query_offset is None
        and out is None
        and return_lse is False
        and _config.backend() == "rust"
    ):
        quick = _native.kernels.attention_quick(query, key, value, causal, scale, _config.threads())
        if quick is not None:
            return quick
    problem = _problem.checked(
        {"query": query, "key": key, "value": value}, causal, window, mask, bias, alibi_slopes,
        sinks, scale, softcap, key_lengths, query_offset,
    )  # fmt: skip
    return_lse = _options.FLAG.checked("return_lse", return_lse)
    result, lse = _forward(problem, out, return_lse)
    return AttentionResult(result, lse) if lse is not None else result


def _forward(
    problem: _problem.Problem, out: NDArray[Any] | None, return_lse: bool
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    query, key, value = problem.query, problem.key, problem.values()
    dtype, shape = query.dtype, problem.callers_shape((*query.shape[:-1], value.shape[-1]))
    if out is not None:
        _arrays.check_out(out, shape, dtype)
    _arrays.check_size("The output", shape, dtype)
    if _config.backend() == "numpy":
        from . import reference

        whole, denominators = reference.attention(
            query, key, value, return_lse=True, **problem.reference_options()
        )
        result = _arrays.deliver(whole.reshape(shape), out)
        return result, denominators.reshape(shape[:-1]) if return_lse else None
    result = _arrays.result(out, shape, dtype, problem.arrays())
    lse = np.empty(shape[:-1], dtype) if return_lse else None
    _native.kernels.attention_forward(
        query,
        key,
        value,
        problem.with_heads(result),
        None if lse is None else problem.with_heads(lse[..., None]),
        *problem.options(),
        _config.threads(),
    )
    return _arrays.deliver(result, out), lse


def attention_weights(
    query: ArrayLike,
    key: ArrayLike,
    *,
    causal: bool = False,
    window: Window = None,
    mask: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    alibi_slopes: ArrayLike | None = None,
    sinks: ArrayLike | None = None,
    scale: float | None = None,
    softcap: float | None = None,
    key_lengths: ArrayLike | None = None,
    query_offset: ArrayLike | None = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Weights by which `attention` would take the mean of the values, to look at.

    This stores the matrix of all queries and keys, which `attention` never does: keep it for
    pictures and debugging.

    Parameters
    ----------
    query : array_like, shape (..., heads, queries, head_dim), float32 or float64
        Or (queries, head_dim), with `key` 2-D too: one head.
    key : array_like, shape (..., key_heads, keys, head_dim), float32 or float64
        As in `attention`.
    causal, window, mask, bias, alibi_slopes, sinks, scale, softcap, key_lengths, query_offset
        As in `attention`.
    out : ndarray, shape (..., heads, queries, keys), optional
        Where to write the weights, as in `attention`.

    Returns
    -------
    ndarray, shape (..., heads, queries, keys)
        `out` if it was given. Rows sum to 1, or to less by what a sink takes; 0 for what is not
        seen, so that a query that may see nothing has a row of zeros.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `attention` does.

    See Also
    --------
    attention : The weighted means themselves, in less memory and time.

    Examples
    --------
    >>> import numpy as np
    >>> import numfuse
    >>> numfuse.attention_weights(np.zeros((3, 4)), np.zeros((3, 4)), causal=True).round(2)
    array([[1.  , 0.  , 0.  ],
           [0.5 , 0.5 , 0.  ],
           [0.33, 0.33, 0.33]])
    """
    problem = _problem.checked(
        {"query": query, "key": key}, causal, window, mask, bias, alibi_slopes, sinks, scale,
        softcap, key_lengths, query_offset,
    )  # fmt: skip
    dtype, shape = problem.query.dtype, problem.callers_shape(problem.scores_shape())
    if out is not None:
        _arrays.check_out(out, shape, dtype)
    _arrays.check_size("The matrix of weights", shape, dtype)
    if _config.backend() == "numpy":
        from . import reference

        result = reference.attention_weights(
            problem.query, problem.key, **problem.reference_options()
        )
        return _arrays.deliver(result.reshape(shape), out)
    result = _arrays.result(out, shape, dtype, problem.arrays())
    _native.kernels.attention_weights(
        problem.query,
        problem.key,
        problem.with_heads(result),
        *problem.options(),
        _config.threads(),
    )
    return _arrays.deliver(result, out)
