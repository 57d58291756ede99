"""Attention is right within the bound of `bounds.py`: any shape, dtype, layout and mix of options."""

import numpy as np
import pytest
from hypothesis import given, settings

import numfuse

from .bounds import assert_right
from .cases import HEAD_DIMS, LENGTHS, SCORE_SCALES, Case, cases


def plain_case(shape=(2, 2, 130, 257, 64), dtype=np.float32, size=3.0, seed=0, **options):
    """Query, key and value of a usual kind: batch, heads, queries, keys, head size."""
    rng = np.random.default_rng(seed)
    batch, heads, queries, keys, head_dim = shape
    query = (size * rng.standard_normal((batch, heads, queries, head_dim))).astype(dtype)
    key, value = rng.standard_normal((2, batch, heads, keys, head_dim)).astype(dtype)
    return Case(query, key, value, options)


@settings(max_examples=150)
@given(case=cases())
def test_any_mix_of_options_is_right(engine, case):
    with np.errstate(all="raise", under="ignore"):  # nothing finite may warn
        out, lse = case.run(return_lse=True)
    assert_right(case, out, lse)


@settings(max_examples=80)
@given(case=cases())
def test_asking_for_lse_does_not_change_the_output(level, case):
    np.testing.assert_array_equal(case.run(), case.run(return_lse=True).out, strict=True)


def per_key(shape, seed=1):
    return np.random.default_rng(seed).standard_normal(shape)


OPTIONS = {
    "none": {},
    "causal": {"causal": True},
    "window on both sides": {"window": 20},
    "window to the left": {"window": (100, 0)},
    "window to the right": {"window": (None, 30)},
    "window and causal": {"window": (64, None), "causal": True},
    "mask": {"mask": per_key((2, 1, 130, 257)) > 0},
    "mask of keys": {"mask": per_key((2, 1, 1, 257)) > 0},
    "bias": {"bias": per_key((2, 2, 130, 257)).astype(np.float32)},
    "bias of heads": {"bias": per_key((2, 130, 257)).astype(np.float32)},
    "bias with holes": {"bias": np.where(per_key((130, 257)) > 0, 1.0, -np.inf)},
    "alibi": {"alibi_slopes": np.array([0.5, 0.0625], np.float32)},
    "alibi of items": {"alibi_slopes": np.array([[0.5, 0.25], [0.125, -0.01]])},
    "sinks": {"sinks": np.array([2.0, -3.0])},
    "large sink": {"sinks": np.array([60.0, 500.0])},
    "scale of zero": {"scale": 0.0},
    "negative scale": {"scale": -0.3},
    "softcap": {"softcap": 4.0},
    "key lengths": {"key_lengths": np.array([0, 200])},
    "one key length": {"key_lengths": 129},
    "query offset": {"query_offset": np.array([-40, 300]), "causal": True},
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", OPTIONS)
def test_each_option_alone_is_right(engine, name, dtype):
    case = plain_case(dtype=dtype, **OPTIONS[name])
    assert_right(case, *case.run(return_lse=True))


@pytest.mark.parametrize("size", SCORE_SCALES)
@pytest.mark.parametrize("causal", [False, True])
def test_large_scores_are_right(engine, size, causal):
    case = plain_case((1, 3, 300, 513, 80), size=size, causal=causal)
    assert_right(case, *case.run(return_lse=True))


@pytest.mark.parametrize("head_dim", HEAD_DIMS)
def test_every_head_size_is_right(engine, head_dim):
    case = plain_case((1, 2, 67, 130, head_dim), causal=True)
    assert_right(case, *case.run(return_lse=True))


@pytest.mark.parametrize("length", LENGTHS)
def test_every_length_is_right(engine, length):
    for shape in [(1, 2, length, 65, 16), (1, 2, 33, length, 16), (1, 1, length, length, 64)]:
        case = plain_case(shape)
        assert_right(case, *case.run(return_lse=True))


@pytest.mark.parametrize("queries", [1, 2, 3])
@pytest.mark.parametrize("group", [1, 2, 4, 8, 12])
def test_few_queries_over_many_keys_are_right(engine, group, queries):
    """Decoding: keys may be cut into parts that are merged."""
    rng = np.random.default_rng(group)
    query = rng.standard_normal((2 * group, queries, 128)).astype(np.float32)
    key, value = rng.standard_normal((2, 2, 2050, 128)).astype(np.float32)
    for options in ({"causal": True}, {"key_lengths": 2041, "sinks": np.ones(2 * group)}):
        case = Case(query, key, value, options)
        assert_right(case, *case.run(return_lse=True))


def equal_values(keys, dtype):
    """Every key has the same values, and the same weight."""
    value = np.random.default_rng(keys).standard_normal((1, 512)).astype(dtype)
    query, key = np.zeros((1, 16, 3), dtype), np.zeros((1, keys, 3), dtype)
    return Case(query, key, np.broadcast_to(value, (1, keys, 512)), {})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("keys", [1, 8, 16, 32])
def test_few_equal_values_are_right(engine, keys, dtype):
    case = equal_values(keys, dtype)
    assert_right(case, *case.run(return_lse=True))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("keys", [64, 256, 300, 2048, 5000])
def test_many_equal_values_are_off_by_no_more_than_a_chain_of_256(engine, keys, dtype):
    """Equal numbers added one after the other all round the same way: n/4 units for a chain of n.

    A block of keys is a chain of 256, blocks and chunks of blocks add a few. Sums of different
    numbers keep the bound of `bounds.py`, for the errors cancel; these exceed it from 64 keys on.
    """
    case = equal_values(keys, dtype)
    value = case.value[:, :1].astype(np.longdouble)
    error = np.abs(case.run() - value) / np.abs(value)
    assert error.max() <= (256 / 4 + 8) * np.finfo(dtype).eps / 2


def test_scores_far_from_zero_do_not_overflow(engine):
    """exp(1000) is infinite in every dtype; the largest score must be subtracted first."""
    query = np.full((1, 1, 5, 4), 1000, np.float32)
    key = np.linspace(0.9, 1, 9, dtype=np.float32)[None, None, :, None] * np.ones(4, np.float32)
    value = np.arange(9, dtype=np.float32)[None, None, :, None]
    for sign in (1, -1):
        case = Case(query, sign * key, value, {})
        assert_right(case, *case.run(return_lse=True))


def test_rows_that_see_nothing_are_zero(engine):
    case = plain_case((2, 2, 40, 17, 8), causal=True, query_offset=-20)
    out, lse = case.run(return_lse=True)
    assert (out[..., :20, :] == 0).all()
    assert (lse[..., :20] == -np.inf).all()
    assert np.isfinite(lse[..., 20:]).all()
    assert_right(case, out, lse)


def test_rows_that_see_nothing_have_the_sink_as_lse(engine):
    sinks = np.array([1.5, -2.25], np.float32)
    case = plain_case((2, 2, 9, 17, 8), key_lengths=np.array([0, 17]), sinks=sinks)
    out, lse = case.run(return_lse=True)
    assert (out[0] == 0).all()
    # a kernel may go to base 2 and back, which rounds twice
    np.testing.assert_allclose(lse[0], np.broadcast_to(sinks[:, None], (2, 9)), rtol=2 * 2.0**-23)
    assert_right(case, out, lse)


def test_sink_of_minus_infinity_is_no_sink(engine):
    case = plain_case((1, 2, 9, 17, 8), key_lengths=12)
    without = case.run(return_lse=True)
    case.options["sinks"] = np.full(2, -np.inf)
    out, lse = case.run(return_lse=True)
    np.testing.assert_array_equal(out, without.out)
    np.testing.assert_array_equal(lse, without.lse)


def test_no_keys_at_all_give_zeros(engine):
    case = plain_case((2, 2, 5, 0, 8))
    out, lse = case.run(return_lse=True)
    assert out.shape == (2, 2, 5, 8)
    assert (out == 0).all()
    assert (lse == -np.inf).all()


@pytest.mark.parametrize("axis", range(4))
def test_axes_of_length_zero_give_an_empty_result(engine, axis):
    shape = [2, 2, 5, 8]
    shape[axis] = 0
    query = np.zeros(shape, np.float32)
    out = numfuse.attention(query, query, query)
    assert out.shape == tuple(shape)


def test_head_size_zero_averages_the_values(engine):
    """Without features every score is 0: all keys weigh the same."""
    value = np.arange(6, dtype=np.float32).reshape(1, 1, 6, 1)
    empty = np.zeros((1, 1, 6, 0), np.float32)
    np.testing.assert_array_equal(
        numfuse.attention(empty, empty, value), np.full((1, 1, 6, 1), 2.5, np.float32)
    )


def test_leading_axes_broadcast_as_in_numpy(engine):
    rng = np.random.default_rng(3)
    query = rng.standard_normal((4, 1, 2, 9, 8)).astype(np.float32)
    key = rng.standard_normal((3, 2, 11, 8)).astype(np.float32)
    value = rng.standard_normal((2, 11, 5)).astype(np.float32)
    case = Case(query, key, value, {"causal": True})
    out, lse = case.run(return_lse=True)
    assert out.shape == (4, 3, 2, 9, 5)
    assert_right(case, out, lse)


def test_matrices_are_one_head(engine):
    case = plain_case((1, 1, 30, 41, 16), causal=True)
    flat = Case(case.query[0, 0], case.key[0, 0], case.value[0, 0], case.options)
    out, lse = flat.run(return_lse=True)
    whole = case.run(return_lse=True)
    np.testing.assert_array_equal(out, whole.out[0, 0], strict=True)
    np.testing.assert_array_equal(lse, whole.lse[0, 0], strict=True)


def test_grouped_heads_read_the_key_head_of_their_group(engine):
    rng = np.random.default_rng(4)
    query = rng.standard_normal((1, 6, 20, 16)).astype(np.float32)
    key, value = rng.standard_normal((2, 1, 2, 30, 16)).astype(np.float32)
    grouped = Case(query, key, value, {})
    assert_right(grouped, *grouped.run(return_lse=True))
    repeated = Case(query, np.repeat(key, 3, axis=1), np.repeat(value, 3, axis=1), {})
    assert_right(repeated, grouped.run())


def test_value_may_be_wider_or_narrower_than_key(engine):
    rng = np.random.default_rng(5)
    query, key = rng.standard_normal((2, 2, 2, 33, 16)).astype(np.float32)
    for width in (1, 7, 16, 65):
        case = Case(query, key, rng.standard_normal((2, 2, 33, width)).astype(np.float32), {})
        assert_right(case, *case.run(return_lse=True))


def test_float64_next_to_float32_computes_in_float64(engine):
    case = plain_case((1, 2, 20, 30, 16))
    for name in ("query", "key", "value"):
        mixed = Case(case.query, case.key, case.value, {})
        setattr(mixed, name, getattr(case, name).astype(np.float64))
        out, lse = mixed.run(return_lse=True)
        assert out.dtype == lse.dtype == np.float64
        assert_right(mixed, out, lse)
