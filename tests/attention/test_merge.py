"""`merge_attention`: attention over parts of the keys, put together, is attention over all of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import numfuse

from .bounds import UNIT, truth_of
from .cases import Case, cases
from .layouts import LAYOUTS
from .test_right import plain_case


def cut(case, start, stop):
    """The same call on keys start..stop alone: positions stay those of the whole."""
    lead, keys, queries = case.lead, case.key.shape[-2], case.query.shape[-2]
    options = dict(case.options)
    lengths = options.pop("key_lengths", None)
    lengths = np.broadcast_to(keys if lengths is None else lengths, lead).astype(np.int64)
    offset = options.get("query_offset")
    offset = lengths - queries if offset is None else np.broadcast_to(offset, lead).astype(np.int64)
    options["key_lengths"] = np.clip(lengths - start, 0, stop - start)
    options["query_offset"] = offset - start
    for name in ("mask", "bias"):
        a = options.get(name)
        if a is not None and a.ndim and a.shape[-1] != 1:
            options[name] = a[..., start:stop]
    if start:
        options.pop("sinks", None)  # one part only may have it
    return Case(case.query, case.key[..., start:stop, :], case.value[..., start:stop, :], options)


@settings(max_examples=80)
@given(case=cases(dtypes=["f4", "f8"]), data=st.data())
def test_parts_of_the_keys_merge_into_the_whole(engine, case, data):
    keys = case.key.shape[-2]
    inner = sorted(
        data.draw(st.lists(st.integers(1, max(keys - 1, 1)), max_size=3, unique=True), label="cuts")
    )
    edges = [0, *[c for c in inner if c < keys], keys]
    parts = [cut(case, a, b).run(return_lse=True) for a, b in zip(edges, edges[1:], strict=False)]
    merged = numfuse.merge_attention([p.out for p in parts], [p.lse for p in parts])

    rounded, exact = truth_of(case)
    u = UNIT[case.dtype]
    group = case.query.shape[-3] // case.key.shape[-3] if case.query.ndim > 2 else 1
    sizes = np.abs(rounded.value)
    sizes = np.repeat(sizes, group, axis=-3) if case.query.ndim > 2 else sizes
    total = (exact.weights @ sizes).astype(float)
    # A part's out is within B = 2·e + (8 + 4·|score|)·u of its own S, its lse within B too; merging
    # multiplies each part by exp(lse − whole), so that a part's error is at most 2·B and what merging
    # itself rounds is (8 + 4·|lse|)·u. e, plain NumPy's error, is bounded here by that of a score:
    # √head_dim·u·Σ|q||k|·scale, a random walk's size, four times over.
    score = float(np.abs(np.where(exact.visible, exact.scores, 0)).max(initial=0)) + 12
    scale = abs(case.options.get("scale") or case.query.shape[-1] ** -0.5)
    products = np.abs(case.query.astype(float)).max(initial=0) * np.abs(case.key.astype(float)).max(
        initial=0
    )
    score_error = 4 * scale * products * case.query.shape[-1] ** 0.5
    bound = 2 * (2 * score_error + 8 + 4 * score) + (8 + 4 * score)
    tiny = (
        float(np.finfo(case.dtype).smallest_normal)
        * max(keys, 1)
        * (1 + float(sizes.max(initial=0)))
    )
    assert merged.out.dtype == merged.lse.dtype == case.dtype
    assert (np.abs(merged.out - exact.out).astype(float) <= total * bound * u + tiny).all()
    empty = np.isneginf(exact.lse)
    np.testing.assert_array_equal(np.isneginf(merged.lse), empty)
    difference = np.where(empty, 0, merged.lse) - np.where(empty, 0, exact.lse)
    assert (np.abs(difference).astype(float) <= bound * u).all()


@st.composite
def parts(draw):
    """Outs and lses as many calls might give them, in any layout."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from(["f4", "f8"]))
    count = draw(st.integers(1, 5))
    shape = (
        *draw(st.sampled_from([(), (2,), (2, 3)])),
        draw(st.sampled_from([0, 1, 7, 64])),
        draw(st.sampled_from([0, 1, 3, 16, 65])),
    )
    size = draw(st.sampled_from([0.1, 10.0, 80.0]))
    layout = draw(st.sampled_from(LAYOUTS))
    outs = [layout(rng.standard_normal(shape).astype(dtype)) for _ in range(count)]
    lses = [(size * rng.standard_normal(shape[:-1])).astype(dtype) for _ in range(count)]
    if draw(st.booleans()):
        for lse in lses:
            lse[rng.random(lse.shape) < 0.4] = -np.inf
    return outs, [layout(lse) for lse in lses]


@settings(max_examples=100)
@given(given_parts=parts())
def test_merging_is_a_softmax_over_the_parts(engine, given_parts):
    outs, lses = given_parts
    dtype = outs[0].dtype.newbyteorder("=")
    u, wide = UNIT[dtype], np.longdouble
    o, x = np.stack(outs).astype(wide), np.stack(lses).astype(wide)[..., None]
    top = np.where(np.isneginf(x.max(0)), 0, x.max(0))
    weights = np.exp(x - top)
    total = weights.sum(0)
    safe = np.where(total == 0, 1, total)
    merged = numfuse.merge_attention(outs, lses)
    assert merged.out.dtype == merged.lse.dtype == dtype
    # attention with the outs as values and the lses as scores: the bound of `bounds.py` without e,
    # since the scores are given and not summed
    score = np.abs(np.where(np.isneginf(x), 0, x)).max(0)
    allowed = (weights * np.abs(o)).sum(0) / safe * (8 + 4 * score) * u + np.finfo(
        dtype
    ).smallest_normal * 4
    assert (np.abs(merged.out - (weights * o).sum(0) / safe) <= allowed).all()
    with np.errstate(divide="ignore"):
        lse = (np.log(total) + top)[..., 0]
    empty = np.isneginf(lse)
    np.testing.assert_array_equal(np.isneginf(merged.lse), empty)
    assert (
        np.abs(np.where(empty, 0, merged.lse) - np.where(empty, 0, lse))
        <= (8 + 5 * score[..., 0]) * u
    ).all()
    assert (merged.out[empty] == 0).all()


def test_one_part_is_returned_as_it_is(engine):
    case = plain_case((1, 2, 9, 12, 8))
    out, lse = case.run(return_lse=True)
    merged = numfuse.merge_attention([out], [lse])
    np.testing.assert_allclose(merged.out, out, rtol=2 * 2.0**-23)
    np.testing.assert_allclose(merged.lse, lse, rtol=2 * 2.0**-23)
    assert not np.shares_memory(merged.out, out)


def test_part_that_saw_nothing_does_not_count_even_if_its_out_is_nan(engine):
    case = plain_case((1, 2, 9, 12, 8))
    out, lse = case.run(return_lse=True)
    merged = numfuse.merge_attention(
        [np.full_like(out, np.nan), out], [np.full_like(lse, -np.inf), lse]
    )
    np.testing.assert_allclose(merged.out, out, rtol=2 * 2.0**-23)


def test_merging_does_not_depend_on_where_the_other_rows_are(level):
    """The same bits for one item alone."""
    rng = np.random.default_rng(0)
    outs = rng.standard_normal((3, 8, 4, 33, 40)).astype(np.float32)
    lses = rng.standard_normal((3, 8, 4, 33)).astype(np.float32)
    whole = numfuse.merge_attention(list(outs), list(lses))
    for threads in (1, 2, 3, 7):
        with numfuse.config_context(threads=threads):
            alone = numfuse.merge_attention(list(outs[:, 5:6]), list(lses[:, 5:6]))
        assert alone.out.tobytes() == whole.out[5:6].tobytes()
        assert alone.lse.tobytes() == whole.lse[5:6].tobytes()


@pytest.mark.parametrize("pieces", [2, 7])
def test_merging_merged_parts_is_merging_all(engine, pieces):
    case = plain_case((1, 2, 9, 70, 8), key_lengths=70)
    edges = np.linspace(0, 70, pieces + 1).astype(int)
    parts = [cut(case, a, b).run(return_lse=True) for a, b in zip(edges, edges[1:], strict=False)]
    whole = case.run(return_lse=True)
    step = parts[0]
    for part in parts[1:]:
        step = numfuse.merge_attention([step.out, part.out], [step.lse, part.lse])
    # each of at most 6 merges adds (8 + 4·|lse|)·u, |lse| < 20, |out| < 4
    np.testing.assert_allclose(step.out, whole.out, rtol=0, atol=6 * 88 * 2.0**-24 * 4)
    np.testing.assert_allclose(step.lse, whole.lse, rtol=0, atol=6 * 88 * 2.0**-24)
