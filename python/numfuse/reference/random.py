"""Random numbers by counting: Philox4x32-10, keyed by a seed, counted by (stream, item).

A number depends on its place alone, so any part of a stream can be made anywhere, by any number
of threads. ``rust/kernels/src/random.rs`` follows this definition to the bit::

    block(item)    = philox4x32(key = seed, counter = (item, stream)), low words first
    uniform f32 i  = (word i mod 4 of block(i div 4) >> 8) · 2⁻²⁴                in [0, 1)
    uniform f64 i  = (words 2(i mod 2), 2(i mod 2)+1 of block(i div 2) >> 11) · 2⁻⁵³
    exponential i  = 0 − ln(1 − uniform i): 1 − u is exact and above 0
    below(item, n) = ⌊r · n / 2⁶⁴⌋ for the first r of block(item), block(item + 2⁴⁸), … (two
                     64-bit words each) with r · n mod 2⁶⁴ ≥ 2⁶⁴ mod n: each value equally likely
    permutation    : for i = count − 1, …, 1: swap element i with element below(i, i + 1)

Each kind of number reads the same blocks: use another stream for another purpose.

References
----------
.. [1] J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as 1, 2, 3",
       SC 2011 (Philox).
.. [2] D. Lemire, "Fast random integer generation in an interval", ACM TOMACS 29 (2019).
"""

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = ["below", "block", "exponential", "permutation", "philox4x32", "uniform"]

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_WORD = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_RETRY = np.uint64(1 << 48)


def philox4x32(key: tuple[int, int], counter: ArrayLike) -> NDArray[np.uint32]:
    """Four random words for each counter: ten rounds of Philox4x32.

    Parameters
    ----------
    key : tuple of two int
        Words below 2³².
    counter : array_like, shape (..., 4), integers below 2³²
        The counters' words.

    Returns
    -------
    ndarray, shape of `counter`, uint32

    Examples
    --------
    >>> [hex(word) for word in philox4x32((0, 0), [0, 0, 0, 0])]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    a, b, c, d = np.moveaxis(np.asarray(counter, dtype=np.uint64), -1, 0)
    key0, key1 = key
    for _ in range(_ROUNDS):
        left = _MULTIPLIERS[0] * a
        right = _MULTIPLIERS[1] * c
        a = (right >> _HALF) ^ b ^ np.uint64(key0)
        c = (left >> _HALF) ^ d ^ np.uint64(key1)
        b = right & _WORD
        d = left & _WORD
        key0 = (key0 + _KEY_STEPS[0]) % (1 << 32)
        key1 = (key1 + _KEY_STEPS[1]) % (1 << 32)
    return np.stack([a, b, c, d], axis=-1).astype(np.uint32)


def block(seed: int, stream: int, items: ArrayLike) -> NDArray[np.uint32]:
    """Give each item its 128 random bits.

    Parameters
    ----------
    seed, stream : int
        In [0, 2⁶⁴).
    items : array_like of int, any shape
        In [0, 2⁶⁴).

    Returns
    -------
    ndarray, shape of `items` + (4,), uint32

    Examples
    --------
    >>> block(seed=1, stream=2, items=[0, 1]).shape
    (2, 4)
    """
    item = np.asarray(items, dtype=np.uint64)
    counter = np.empty((*item.shape, 4), dtype=np.uint64)
    counter[..., 0] = item & _WORD
    counter[..., 1] = item >> _HALF
    counter[..., 2:] = _words(stream)
    return philox4x32(_words(seed), counter)


def uniform(
    seed: int, stream: int, count: int, *, first: int = 0, dtype: DTypeLike = np.float64
) -> NDArray[np.floating]:
    """Uniform numbers in [0, 1), multiples of 2⁻²⁴ (float32) or 2⁻⁵³ (float64).

    Parameters
    ----------
    seed, stream : int
        In [0, 2⁶⁴).
    count : int
        How many.
    first : int
        Index of the first one in the stream.
    dtype : {float32, float64}

    Returns
    -------
    ndarray, shape (count,), `dtype`

    Raises
    ------
    TypeError
        If `dtype` is another one.

    Examples
    --------
    >>> bool((uniform(7, 0, 9, first=1) == uniform(7, 0, 10)[1:]).all())
    True
    """
    kind = np.dtype(dtype)
    if kind == np.float32:
        words = _span(seed, stream, first, count, in_block=4)
        return (words >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
    if kind == np.float64:
        pairs = _join(_span(seed, stream, first, count, in_block=2))
        return (pairs >> np.uint64(11)).astype(np.float64) * 2.0**-53
    raise TypeError(f"dtype is {kind}, but must be float32 or float64; cast what you get")


def exponential(
    seed: int, stream: int, count: int, *, first: int = 0, dtype: DTypeLike = np.float64
) -> NDArray[np.floating]:
    """Exponential numbers of mean 1, the same bits on every machine.

    Parameters
    ----------
    seed, stream, count, first, dtype
        As for `uniform`, from which number each is made.

    Returns
    -------
    ndarray, shape (count,), `dtype`
        At most 16.7 (float32) or 36.8 (float64); relative error at most 3 units in the last place.

    Raises
    ------
    TypeError
        If `dtype` is neither float32 nor float64.

    Notes
    -----
    The logarithm consists of multiplications, additions and one division, each rounded by
    IEEE 754: x = 2ᵉm with √½ ≤ m < √2; s = (m − 1)/(m + 1);
    ln x = e·ln 2 + 2s(1 + s²/3 + s⁴/5 + …).

    Examples
    --------
    >>> bool(exponential(7, 0, 1000).min() >= 0)
    True
    """
    numbers = uniform(seed, stream, count, first=first, dtype=dtype)
    one = numbers.dtype.type(1)
    # A difference and no negation, so that 0 gives +0.
    return numbers.dtype.type(0) - _ln(one - numbers)


def below(seed: int, stream: int, items: ArrayLike, bounds: ArrayLike) -> NDArray[np.uint64]:
    """One integer in [0, bound) for each item, each value equally likely.

    Parameters
    ----------
    seed, stream : int
        In [0, 2⁶⁴).
    items : array_like of int
        Those below 2⁴⁸ share no bits.
    bounds : array_like of int, broadcast with `items`
        In [1, 2⁶⁴).

    Returns
    -------
    ndarray, the broadcast shape, uint64

    Raises
    ------
    ValueError
        If a bound is 0.

    Examples
    --------
    >>> bool((below(7, 0, range(100), 6) < 6).all())
    True
    """
    item, bound = np.broadcast_arrays(
        np.asarray(items, dtype=np.uint64), np.asarray(bounds, dtype=np.uint64)
    )
    if (bound == 0).any():
        raise ValueError("bounds holds a 0, but must be at least 1: no integer is below 0")
    shape, item, bound = item.shape, item.ravel(), bound.ravel()
    unfair = (~bound + np.uint64(1)) % bound  # 2⁶⁴ mod bound
    chosen = np.zeros_like(item)
    waiting = np.ones(item.shape, dtype=bool)
    while waiting.any():
        words = _join(block(seed, stream, item).reshape(-1, 2, 2))
        for word in words.T:
            high, low = _multiply(word, bound)
            fair = waiting & (low >= unfair)
            chosen[fair] = high[fair]
            waiting &= ~fair
        item = item + _RETRY
    return chosen.reshape(shape)


def permutation(seed: int, stream: int, count: int) -> NDArray[np.int64]:
    """Put the numbers 0 to count − 1 into random order, each order equally likely.

    Parameters
    ----------
    seed, stream : int
        In [0, 2⁶⁴).
    count : int

    Returns
    -------
    ndarray, shape (count,), int64

    Examples
    --------
    >>> sorted(permutation(7, 0, 5).tolist())
    [0, 1, 2, 3, 4]
    """
    steps = np.arange(1, count, dtype=np.uint64)
    partners = below(seed, stream, steps, steps + np.uint64(1)).tolist()
    order = list(range(count))
    for i in range(count - 1, 0, -1):
        j = partners[i - 1]
        order[i], order[j] = order[j], order[i]
    return np.array(order, dtype=np.int64)


def _words(value: int) -> tuple[int, int]:
    """Split into the low and the high word."""
    return value % (1 << 32), value >> 32


def _join(words: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """Join (..., 2) words, the low one first, to 64-bit words."""
    wide = words.astype(np.uint64)
    joined: NDArray[np.uint64] = wide[..., 1] << _HALF | wide[..., 0]
    return joined


def _span(seed: int, stream: int, first: int, count: int, *, in_block: int) -> NDArray[np.uint32]:
    """Make the words of numbers `first`, `first` + 1, …, `in_block` of which share a block."""
    start = first // in_block
    blocks = -(-(first + count) // in_block) - start
    items = np.uint64(start) + np.arange(blocks, dtype=np.uint64)
    words = block(seed, stream, items).reshape(blocks * in_block, 4 // in_block)
    span = words[first - start * in_block :][:count]
    return span[:, 0] if in_block == 4 else span


def _multiply(
    a: NDArray[np.uint64], b: NDArray[np.uint64]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Multiply to the high and the low 64 bits."""
    a0, a1, b0, b1 = a & _WORD, a >> _HALF, b & _WORD, b >> _HALF
    middle = a1 * b0 + (a0 * b0 >> _HALF)
    carry = a0 * b1 + (middle & _WORD)
    return a1 * b1 + (middle >> _HALF) + (carry >> _HALF), a * b


# ln 2 rounded to so few bits that its product with an exponent is exact, and the rest.
_LN_2 = {
    np.dtype(np.float32): (0.69314575, 1.4286068e-6),
    np.dtype(np.float64): (0.6931471805598903, 5.497923018708371e-14),
}
# How many terms of the series the mantissa needs: 1/3 to 1/9, 1/3 to 1/19.
_TERMS = {np.dtype(np.float32): 4, np.dtype(np.float64): 9}


def _ln(x: NDArray[np.floating]) -> NDArray[np.floating]:
    """Logarithm ln x for normal x > 0, in the dtype of x, step by step as written."""
    real = x.dtype.type
    mantissa, exponent = np.frexp(x)  # mantissa in [½, 1)
    small = mantissa < real(np.sqrt(0.5))
    mantissa = np.where(small, mantissa + mantissa, mantissa)
    power = (exponent - small).astype(x.dtype)
    s = (mantissa - real(1)) / (mantissa + real(1))
    square = s * s
    series = np.zeros_like(x)
    for term in range(_TERMS[x.dtype], 0, -1):
        series = series * square + real(1) / real(2 * term + 1)
    twice = s + s
    ln_mantissa = twice + twice * (square * series)
    high, low = (real(part) for part in _LN_2[x.dtype])
    ln: NDArray[np.floating] = (ln_mantissa + power * low) + power * high
    return ln
