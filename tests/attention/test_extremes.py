"""Numbers at the ends of their range: positions of 2⁶¹, the least float as a mask, tiny and huge scores."""

import numpy as np
import pytest

import numfuse

from .bounds import assert_right
from .cases import Case
from .test_right import plain_case


@pytest.mark.parametrize("offset", [2**61, -(2**61), 2**31, -(2**31) - 1, 2**53 + 1])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"causal": True},
        {"window": 2**62},
        {"window": (2**61, None)},
        {"window": (None, 2**61)},
        {"window": (2**61 + 10, 2**61 - 10), "causal": True},
        {"window": 10**30},
        {"alibi_slopes": np.array([1e-18, 1e-19])},
        {"alibi_slopes": np.array([0.0, -1e-18])},
    ],
    ids=str,
)
def test_positions_far_from_all_keys_do_not_wrap_around(engine, offset, options):
    case = plain_case((1, 2, 20, 70, 8), **options, query_offset=offset)
    if "window" in options and options["window"] == 10**30:  # no 64-bit integer
        unlimited = plain_case((1, 2, 20, 70, 8), query_offset=offset)
        np.testing.assert_array_equal(case.run(), unlimited.run())
        return
    assert_right(case, *case.run(return_lse=True))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_least_number_as_bias_hides_a_key_behind_others(engine, dtype):
    """Many libraries mask additively, by the most negative number there is."""
    least = np.finfo(dtype).min
    bias = np.where(np.arange(70) < 33, 0, least).astype(dtype)
    masked = plain_case((1, 2, 20, 70, 8), dtype, bias=bias).run()
    short = plain_case((1, 2, 20, 70, 8), dtype, key_lengths=33, query_offset=0).run()
    np.testing.assert_array_equal(masked, short)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("share", [1.0, 0.9, 0.5])
def test_row_that_holds_nothing_but_the_least_number_is_the_mean_and_not_nan(engine, share, dtype):
    """It swallows the scores, so that all keys weigh the same, as in the formula."""
    bias = np.full((20, 70), share * np.finfo(dtype).min, dtype)
    bias[::2] = 0
    case = plain_case((1, 2, 20, 70, 8), dtype, bias=bias)
    out, lse = case.run(return_lse=True)
    mean = case.value.astype(float).mean(axis=-2, keepdims=True)
    # 70 numbers below 5 summed in any order, and a division
    bound = 72 * np.finfo(dtype).eps / 2 * 5
    np.testing.assert_allclose(
        out[:, :, 1::2], np.broadcast_to(mean, (1, 2, 10, 8)), rtol=0, atol=bound
    )
    # in base 2 the least number is log₂ e times as far away as can be held: lse stops there
    assert np.isfinite(lse).all()
    assert (lse[:, :, 1::2] < 0.3 * np.finfo(dtype).min).all()


@pytest.mark.parametrize("sign", [1, -1])
def test_largest_number_as_bias_picks_its_key(engine, sign):
    bias = np.zeros((1, 30), np.float32)
    bias[0, 7] = sign * np.finfo(np.float32).max
    case = plain_case((1, 2, 20, 30, 8), bias=bias)
    out = case.run()
    if sign > 0:
        np.testing.assert_array_equal(out, np.broadcast_to(case.value[:, :, 7:8], out.shape))
    else:
        assert np.isfinite(out).all()


@pytest.mark.parametrize("size", [1e-42, 1e-38, 1e-20, 1e15])
def test_values_of_any_size_are_averaged(engine, size):
    """Subnormal ones may be flushed: the bound allows it, by the smallest normal number."""
    case = plain_case((1, 2, 20, 70, 8))
    case.value = (case.value * size).astype(np.float32)
    assert_right(case, *case.run(return_lse=True))


@pytest.mark.parametrize("size", [1e-30, 1e-10])
def test_scores_that_vanish_give_the_mean(engine, size):
    case = plain_case((1, 2, 20, 70, 8), size=size)
    assert_right(case, *case.run(return_lse=True))


@pytest.mark.parametrize("cap", [1e-30, 1e-3, 1e30])
def test_softcaps_of_any_size(engine, cap):
    case = plain_case((1, 2, 20, 70, 8), softcap=cap)
    assert_right(case, *case.run(return_lse=True))


@pytest.mark.parametrize("sink", [-1e38, -1e4, 1e4, 1e38])
def test_sinks_of_any_size(engine, sink):
    """A sink far above the scores takes all; one far below takes nothing."""
    case = plain_case((1, 2, 20, 70, 8), sinks=np.full(2, sink, np.float32))
    out, lse = case.run(return_lse=True)
    if sink > 0:
        assert (out == 0).all()
        np.testing.assert_allclose(lse, np.full(lse.shape, sink, np.float32), rtol=2 * 2.0**-23)
    else:
        without = plain_case((1, 2, 20, 70, 8)).run(return_lse=True)
        np.testing.assert_array_equal(out, without.out)


@pytest.mark.parametrize("slope", [1e4, 1e30, 1e38])
def test_slopes_of_any_size_leave_the_nearest_key(engine, slope):
    case = plain_case((1, 2, 20, 20, 8), alibi_slopes=np.full(2, slope, np.float32))
    np.testing.assert_array_equal(case.run(), case.value)


class OnlyDLPack:
    """An array of a library that speaks DLPack and nothing else."""

    def __init__(self, array):
        self._array = array

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


class Subclass(np.ndarray):
    """An array that behaves like one; what it adds is not kept."""


def test_arrays_by_dlpack_are_read(engine):
    case = plain_case((1, 2, 9, 12, 8))
    lent = Case(OnlyDLPack(case.query), OnlyDLPack(case.key), OnlyDLPack(case.value), {})
    np.testing.assert_array_equal(lent.run(), case.run(), strict=True)


def test_subclasses_of_ndarray_are_read_as_plain_arrays(engine):
    case = plain_case((1, 2, 9, 12, 8))
    usual = case.run()
    viewed = [getattr(case, name).view(Subclass) for name in ("query", "key", "value")]
    out = numfuse.attention(*viewed)
    assert type(out) is np.ndarray
    np.testing.assert_array_equal(out, usual, strict=True)


def test_64_axes_are_as_many_as_numpy_has(engine):
    """The most axes that an array may have."""
    case = plain_case((1, 2, 9, 12, 8))
    deep = [
        getattr(case, name).reshape((1,) * 60 + getattr(case, name).shape)
        for name in ("query", "key", "value")
    ]
    out, lse = numfuse.attention(*deep, return_lse=True)
    assert out.shape == (1,) * 60 + (1, 2, 9, 8)
    usual = case.run(return_lse=True)
    np.testing.assert_array_equal(out.reshape(usual.out.shape), usual.out)
    np.testing.assert_array_equal(lse.reshape(usual.lse.shape), usual.lse)
