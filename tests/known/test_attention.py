"""Attention where the answer is known in closed form."""

import math

import numpy as np
import pytest

import numfuse

U = {np.float32: 2.0**-24, np.float64: 2.0**-53}


def seen(queries, keys, **options):
    """Who sees whom, as a matrix of 0 and 1: equal scores, so that a positive weight is visibility."""
    query, key = np.zeros((queries, 1), np.float32), np.zeros((keys, 1), np.float32)
    weights = numfuse.attention_weights(query, key, **options)
    counted = (weights > 0).astype(int)
    # attention itself agrees: with the unit matrix as value its output is the weights
    np.testing.assert_array_equal(
        numfuse.attention(query, key, np.eye(keys, dtype=np.float32), **options) > 0, counted
    )
    return counted.tolist()


def test_causal_2_by_5_as_the_docstring_draws_it(engine):
    assert seen(2, 5, causal=True) == [[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]


def test_causal_5_by_2_as_the_docstring_draws_it(engine):
    assert seen(5, 2, causal=True) == [[0, 0], [0, 0], [0, 0], [1, 0], [1, 1]]


def test_causal_at_the_top_left_as_the_docstring_draws_it(engine):
    assert seen(2, 5, causal=True, query_offset=0) == [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0]]
    assert seen(5, 2, causal=True, query_offset=0) == [[1, 0], [1, 1], [1, 1], [1, 1], [1, 1]]


def test_torch_stands_at_the_top_left(engine):
    query, key = np.zeros((2, 1)), np.zeros((5, 1))
    out = numfuse.compat.scaled_dot_product_attention(query, key, np.eye(5), is_causal=True)
    assert (out > 0).astype(int).tolist() == [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0]]


def test_causal_follows_the_last_valid_key(engine):
    assert seen(2, 5, causal=True, key_lengths=3) == [[1, 1, 0, 0, 0], [1, 1, 1, 0, 0]]


@pytest.mark.parametrize(("window", "pattern"), [
    (0, [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
    (1, [[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 1], [0, 0, 1, 1]]),
    ((1, 0), [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]),
    ((0, 2), [[1, 1, 1, 0], [0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1]]),
    ((None, 1), [[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 1]]),
    ((2, None), [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1], [0, 1, 1, 1]]),
    ((None, None), [[1, 1, 1, 1]] * 4),
    (10, [[1, 1, 1, 1]] * 4),
], ids=str)  # fmt: skip
def test_windows(engine, window, pattern):
    assert seen(4, 4, window=window) == pattern


def test_window_moves_with_the_query_offset(engine):
    assert seen(2, 5, window=(1, 0), query_offset=1) == [[1, 1, 0, 0, 0], [0, 1, 1, 0, 0]]
    assert seen(2, 3, window=1, query_offset=-1) == [[1, 0, 0], [1, 1, 0]]
    assert seen(2, 3, window=1, query_offset=7) == [[0, 0, 0], [0, 0, 0]]


def test_window_and_causal_hold_both(engine):
    assert seen(3, 3, window=1, causal=True) == [[1, 0, 0], [1, 1, 0], [0, 1, 1]]


def test_mask_and_minus_infinite_bias_hide_the_same(engine):
    mask = np.array([[True, False, True], [False, False, False]])
    assert seen(2, 3, mask=mask) == mask.astype(int).tolist()
    assert seen(2, 3, bias=np.where(mask, 1.5, -np.inf)) == mask.astype(int).tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("keys", [1, 2, 3, 8, 17, 256, 300])
def test_equal_scores_give_the_mean_of_the_values(engine, keys, dtype):
    value = np.random.default_rng(keys).standard_normal((keys, 5)).astype(dtype)
    query, key = np.zeros((4, 3), dtype), np.ones((keys, 3), dtype)
    out, lse = numfuse.attention(query, key, value, return_lse=True)
    # a sum of `keys` numbers in any order: keys·u of the sum of their sizes, and a division
    bound = (keys + 2) * U[dtype] * np.abs(value.astype(float)).mean(axis=0)
    mean = np.broadcast_to(value.astype(float).mean(axis=0), out.shape)
    assert (np.abs(out - mean) <= bound).all()
    np.testing.assert_allclose(lse, math.log(keys), rtol=0, atol=4 * U[dtype] * math.log(keys))


def test_causal_on_equal_scores_gives_running_means(engine):
    out = numfuse.attention(
        np.zeros((5, 1)), np.zeros((5, 1)), np.arange(5.0)[:, None], causal=True
    )
    np.testing.assert_allclose(out.ravel(), [0, 0.5, 1, 1.5, 2], rtol=8 * U[np.float64])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_score_far_above_the_others_picks_its_value(engine, dtype):
    """exp(−200) is below the smallest step of either dtype: the others vanish exactly."""
    key = np.eye(40, dtype=dtype)
    chosen = np.random.default_rng(0).permutation(40)
    value = np.random.default_rng(1).standard_normal((40, 7)).astype(dtype)
    out, lse = numfuse.attention(200 * key[chosen], key, value, scale=1.0, return_lse=True)
    np.testing.assert_array_equal(out, value[chosen])
    np.testing.assert_allclose(lse, np.full(40, 200, dtype), rtol=2 * U[dtype])


def test_two_scores_give_the_logistic_function(engine):
    difference = np.linspace(-30, 30, 121)
    query, key = difference[:, None], np.array([[1.0], [0.0]])
    out, lse = numfuse.attention(query, key, np.array([[1.0], [0.0]]), scale=1.0, return_lse=True)
    np.testing.assert_allclose(
        out.ravel(), 1 / (1 + np.exp(-difference)), rtol=(8 + 4 * 30) * U[np.float64]
    )
    np.testing.assert_allclose(
        lse, np.logaddexp(difference, 0), rtol=0, atol=(8 + 5 * 30) * U[np.float64]
    )


@pytest.mark.parametrize("slope", [0.5, 1.0, 0.0])
def test_alibi_on_equal_scores_is_a_two_sided_geometric_series(engine, slope):
    weights = numfuse.attention_weights(np.zeros((4, 1)), np.zeros((4, 1)), alibi_slopes=[slope])
    distance = np.abs(np.arange(4) - np.arange(4)[:, None])
    expected = np.exp(-slope * distance)
    np.testing.assert_allclose(
        weights, expected / expected.sum(1, keepdims=True), rtol=(8 + 12) * U[np.float64]
    )


def test_alibi_counts_from_the_position_and_not_from_the_index(engine):
    weights = numfuse.attention_weights(
        np.zeros((1, 1)), np.zeros((3, 1)), alibi_slopes=[math.log(2)], query_offset=5
    )
    np.testing.assert_allclose(weights, [[1 / 7, 2 / 7, 4 / 7]], rtol=(8 + 16) * U[np.float64])


def test_sink_takes_its_share_and_has_no_value(engine):
    out, lse = numfuse.attention(
        np.zeros((1, 1)), np.zeros((3, 1)), np.ones((3, 1)), sinks=[math.log(5)], return_lse=True
    )
    np.testing.assert_allclose(out, [[3 / 8]], rtol=16 * U[np.float64])
    np.testing.assert_allclose(lse, [math.log(8)], rtol=16 * U[np.float64])


def test_softcap_bends_scores_by_tanh(engine):
    query, key = np.array([[3.0]]), np.array([[2.0], [0.0]])
    lse = numfuse.attention(query, key, key, scale=1.0, softcap=4.0, return_lse=True).lse
    expected = math.log(math.exp(4 * math.tanh(6 / 4)) + 1)
    np.testing.assert_allclose(lse, [expected], rtol=(8 + 20) * U[np.float64])


def test_bias_joins_after_the_softcap(engine):
    query, key = np.array([[3.0]]), np.array([[2.0]])
    lse = numfuse.attention(
        query, key, key, scale=1.0, softcap=4.0, bias=np.array([[10.0]]), return_lse=True
    ).lse
    np.testing.assert_allclose(lse, [4 * math.tanh(6 / 4) + 10], rtol=(8 + 60) * U[np.float64])


def test_scale_is_one_over_the_root_of_the_head_size(engine):
    query = np.ones((1, 16))
    assert numfuse.attention(query, query, query, return_lse=True).lse.item() == 4.0


def test_grouped_heads_read_their_group(engine):
    """Query head h reads key head h // 2: each head's single value tells which it was."""
    query = np.zeros((1, 6, 1, 2))
    key = np.zeros((1, 3, 1, 2))
    value = np.array([10.0, 20.0, 30.0]).reshape(1, 3, 1, 1)
    assert numfuse.attention(query, key, value).ravel().tolist() == [10, 10, 20, 20, 30, 30]


def test_merging_two_halves_of_equal_scores_is_their_mean(engine):
    out = [np.array([[1.0]]), np.array([[4.0]])]
    merged = numfuse.merge_attention(out, [np.log([2.0]), np.log([1.0])])
    np.testing.assert_allclose(merged.out, [[2.0]], rtol=8 * U[np.float64])
    np.testing.assert_allclose(merged.lse, [math.log(3)], rtol=8 * U[np.float64])


def test_rotary_by_quarter_turns(engine):
    x = np.array([[1.0, 2.0]] * 5)
    out = numfuse.rotary(x, np.arange(5) * math.pi / 2)
    np.testing.assert_allclose(
        out, [[1, 2], [-2, 1], [-1, -2], [2, -1], [1, 2]], rtol=0, atol=3 * 8 * 4 * U[np.float64]
    )


def test_rotary_pairs_and_frequencies(engine):
    """Four features, base 100: the second pair turns ten times slower."""
    x = np.array([[1.0, 1.0, 0.0, 0.0]])
    cosines, sines = np.cos([1, 0.1]), np.sin([1, 0.1])
    out = numfuse.rotary(x, [1], base=100.0)
    np.testing.assert_allclose(out, [[*cosines, *sines]], rtol=8 * U[np.float64])
    x = np.array([[1.0, 0.0, 1.0, 0.0]])
    out = numfuse.rotary(x, [1], base=100.0, interleaved=True)
    np.testing.assert_allclose(
        out, [[cosines[0], sines[0], cosines[1], sines[1]]], rtol=8 * U[np.float64]
    )
