"""The same bits for any number of threads, for an item whatever stands beside it, for queries alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import numfuse

from .cases import Case, cases
from .test_right import plain_case

THREADS = [1, 2, 3, 7]


def assert_same_bits(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert a.tobytes() == b.tobytes(), f"{(a != b).sum()} of {a.size} elements differ"


@settings(max_examples=40)
@given(case=cases())
def test_same_bits_at_1_2_3_and_7_threads(level, case):
    with numfuse.config_context(threads=1):
        alone = case.run(return_lse=True)
    for threads in THREADS[1:]:
        with numfuse.config_context(threads=threads):
            assert_same_bits(case.run(return_lse=True), alone)


@pytest.mark.parametrize("options", [{}, {"causal": True}], ids=["full", "causal"])
@pytest.mark.parametrize(
    "shape",
    [(1, 8, 513, 513, 64), (8, 12, 128, 128, 64), (1, 1, 1, 5000, 128), (1, 3, 3, 2049, 80)],
)
def test_same_bits_at_any_thread_count_for_usual_shapes(level, shape, options):
    case = plain_case(shape, **options)
    with numfuse.config_context(threads=1):
        alone = case.run(return_lse=True)
    for threads in THREADS[1:]:
        with numfuse.config_context(threads=threads):
            assert_same_bits(case.run(return_lse=True), alone)


@pytest.mark.parametrize("queries", [1, 5, 64, 129])
@pytest.mark.parametrize("group", [1, 4])
@pytest.mark.parametrize("causal", [False, True])
def test_item_alone_has_the_bits_it_has_among_64(level, queries, group, causal):
    rng = np.random.default_rng(queries)
    query = rng.standard_normal((64, 2 * group, queries, 32)).astype(np.float32)
    key, value = rng.standard_normal((2, 64, 2, 131, 32)).astype(np.float32)
    lengths = rng.integers(0, 132, 64)
    lengths[:3] = 131, 0, 64
    bias = rng.standard_normal((64, 1, queries, 131)).astype(np.float32)
    batch = numfuse.attention(
        query, key, value, causal=causal, bias=bias, key_lengths=lengths, return_lse=True
    )
    for b in [0, 1, 2, 17, 63]:
        one = slice(b, b + 1)
        alone = numfuse.attention(
            query[one],
            key[one],
            value[one],
            causal=causal,
            bias=bias[one],
            key_lengths=lengths[one],
            return_lse=True,
        )
        assert_same_bits(alone, (batch.out[one], batch.lse[one]))


@pytest.mark.parametrize("queries", [1, 5, 64, 129])
@pytest.mark.parametrize("length", [1, 8, 100, 256, 257, 300])
@pytest.mark.parametrize("causal", [False, True])
def test_padded_item_has_the_bits_it_has_unpadded(level, queries, length, causal):
    case = plain_case((1, 4, queries, length, 64), causal=causal)
    rng = np.random.default_rng(7)
    for padding in (1, 64, 213):
        tail = np.where(rng.random((1, 4, padding, 64)) < 0.5, np.nan, 1e30).astype(np.float32)
        padded = Case(
            case.query,
            np.concatenate([case.key, tail], -2),
            np.concatenate([case.value, tail], -2),
            {"causal": causal, "key_lengths": length},
        )
        assert_same_bits(padded.run(return_lse=True), case.run(return_lse=True))


def test_padded_queries_do_not_change_the_others(level):
    case = plain_case((1, 2, 100, 130, 48), causal=True, query_offset=30)
    garbage = np.full((1, 2, 29, 48), np.nan, np.float32)
    longer = Case(np.concatenate([case.query, garbage], -2), case.key, case.value, case.options)
    out, lse = longer.run(return_lse=True)
    assert_same_bits((out[..., :100, :].copy(), lse[..., :100].copy()), case.run(return_lse=True))


@settings(max_examples=60)
@given(case=cases(dtypes=["f4", "f8"]), data=st.data())
def test_one_item_of_any_batch_has_the_bits_it_has_alone(level, case, data):
    lead = case.lead
    if not lead or 0 in lead:
        return
    index = tuple(data.draw(st.integers(0, n - 1), label="item") for n in lead)
    heads, queries, keys = case.query.shape[-3], case.query.shape[-2], case.key.shape[-2]

    def item(a, tail):
        return np.broadcast_to(a, (*lead, *a.shape[a.ndim - tail :]))[index]

    options = dict(case.options)
    for name in ("mask", "bias"):
        if name in options:
            options[name] = np.broadcast_to(options[name], (*lead, heads, queries, keys))[index]
    for name in ("alibi_slopes", "sinks"):
        if name in options:
            options[name] = np.broadcast_to(options[name], (*lead, heads))[index]
    for name in ("key_lengths", "query_offset"):
        if options.get(name) is not None:
            options[name] = int(np.broadcast_to(options[name], lead)[index])
    alone = Case(item(case.query, 3), item(case.key, 3), item(case.value, 3), options)
    out, lse = case.run(return_lse=True)
    assert_same_bits(alone.run(return_lse=True), (out[index], lse[index]))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"causal": True},
        {"window": (40, 3)},
        {"alibi_slopes": np.array([0.25, 0.5])},
        {"softcap": 5.0, "sinks": np.array([1.0, -1.0])},
        {"key_lengths": 200, "causal": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_last_queries_alone_have_the_bits_they_have_among_all(level, options, dtype):
    case = plain_case((1, 2, 130, 257, 64), dtype, **options)
    out, lse = case.run(return_lse=True)
    for count in (1, 2, 7, 8, 9, 31, 64, 65, 129):
        part = Case(case.query[..., -count:, :], case.key, case.value, case.options)
        assert_same_bits(
            part.run(return_lse=True), (out[..., -count:, :].copy(), lse[..., -count:].copy())
        )


@pytest.mark.parametrize("start", [0, 1, 17, 64, 100])
@pytest.mark.parametrize("count", [1, 3, 16, 30])
def test_any_range_of_queries_alone_has_the_bits_it_has_among_all(level, start, count):
    case = plain_case((1, 2, 130, 257, 64), causal=True)
    out, lse = case.run(return_lse=True)
    rows = slice(start, start + count)
    part = Case(
        case.query[..., rows, :],
        case.key,
        case.value,
        {"causal": True, "query_offset": start + 257 - 130},
    )
    assert_same_bits(part.run(return_lse=True), (out[..., rows, :].copy(), lse[..., rows].copy()))


def test_repeated_calls_have_the_same_bits(level):
    case = plain_case((2, 4, 130, 257, 64), causal=True)
    first = case.run(return_lse=True)
    for _ in range(20):
        assert_same_bits(case.run(return_lse=True), first)


def test_weights_have_the_same_bits_at_any_thread_count(level):
    case = plain_case((2, 4, 130, 257, 64), causal=True)
    with numfuse.config_context(threads=1):
        alone = numfuse.attention_weights(case.query, case.key, causal=True)
    for threads in THREADS[1:]:
        with numfuse.config_context(threads=threads):
            assert (
                numfuse.attention_weights(case.query, case.key, causal=True).tobytes()
                == alone.tobytes()
            )
