"""What a query may not see cannot reach its output, NaN and infinity included; what it sees shows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import numfuse

from .bounds import assert_right, truth_of
from .cases import Case, cases
from .test_right import plain_case

POISONS = [np.nan, np.inf, -np.inf]


def seen_by(visible, j):
    """Which (…, head, query) see key j."""
    return visible[..., j]


def poisoned(array, index, poison):
    copy = np.array(array, dtype=array.dtype.newbyteorder("="))
    copy[index] = poison
    return copy


@settings(max_examples=80)
@given(case=cases(dtypes=["f4", "f8"]), data=st.data())
def test_rows_that_do_not_see_a_poisoned_key_are_right_and_those_that_do_show_it(
    engine, case, data
):
    keys = case.key.shape[-2]
    if keys == 0:
        return
    _, exact = truth_of(case)
    planted = data.draw(st.lists(st.integers(0, keys - 1), min_size=1, max_size=3), label="planted")
    where = data.draw(st.sampled_from(["key", "value"]), label="where")
    poison = data.draw(st.sampled_from(POISONS), label="poison")
    sees = exact.visible[..., planted].any(axis=-1)
    clean_out, clean_lse = case.run(return_lse=True)

    bad = Case(case.query, case.key, case.value, case.options)
    setattr(bad, where, poisoned(getattr(case, where), (..., planted, slice(None)), poison))
    out, lse = bad.run(return_lse=True)
    # rows that do not see it: still within the bound of the clean answer
    assert_right(case, np.where(sees[..., None], clean_out, out), np.where(sees, clean_lse, lse))
    if where == "value":
        assert not np.isfinite(out[sees]).any()
        np.testing.assert_array_equal(lse, clean_lse)
    elif np.isnan(poison):
        assert np.isnan(out[sees]).all()
        assert np.isnan(lse[sees]).all()


HIDING = {
    "key_lengths": {"key_lengths": 60},
    "causal": {"causal": True, "query_offset": 59 - 129},
    "window to the left": {"window": (5, None), "query_offset": 200},
    "window to the right": {"window": (None, 3), "query_offset": -80},
    "mask": {"mask": np.arange(257) < 60},
    "bias": {"bias": np.where(np.arange(257) < 60, 0.5, -np.inf).astype(np.float32)},
}


@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("name", HIDING)
def test_poison_behind_each_rule_stays_there(engine, name, poison):
    case = plain_case((2, 2, 130, 257, 64), **HIDING[name])
    exact = truth_of(case)[1]
    hidden = ~exact.visible.any(axis=(0, 1, 2))  # keys that no query sees
    assert hidden.any()
    clean = case.run(return_lse=True)
    bad = Case(
        case.query,
        poisoned(case.key, (..., hidden, slice(None)), poison),
        poisoned(case.value, (..., hidden, slice(None)), poison),
        case.options,
    )
    out, lse = bad.run(return_lse=True)
    np.testing.assert_array_equal(out, clean.out)
    np.testing.assert_array_equal(lse, clean.lse)


@pytest.mark.parametrize("poison", [np.nan, np.inf])
@pytest.mark.parametrize("name", [name for name in HIDING if name != "bias"])
def test_poisoned_bias_behind_each_rule_stays_there(engine, name, poison):
    case = plain_case((2, 2, 130, 257, 64), **HIDING[name], bias=np.zeros((130, 257), np.float32))
    exact = truth_of(case)[1]
    clean = case.run(return_lse=True)
    hidden = ~exact.visible.any(axis=(0, 1))
    bad = Case(
        case.query,
        case.key,
        case.value,
        {**case.options, "bias": poisoned(case.options["bias"], hidden, poison)},
    )
    out, lse = bad.run(return_lse=True)
    np.testing.assert_array_equal(out, clean.out)
    np.testing.assert_array_equal(lse, clean.lse)


def test_poisoned_query_spoils_its_own_row_only(engine):
    case = plain_case((1, 2, 70, 65, 16), causal=True)
    clean = case.run()
    bad = Case(poisoned(case.query, (0, 1, 33), np.nan), case.key, case.value, case.options)
    out = bad.run()
    assert np.isnan(out[0, 1, 33]).all()
    others = np.ones(out.shape[:3], bool)
    others[0, 1, 33] = False
    np.testing.assert_array_equal(out[others], clean[others])


def test_poisoned_query_that_sees_nothing_gives_zeros(engine):
    case = plain_case((1, 1, 9, 9, 16), key_lengths=0)
    out, lse = Case(np.full_like(case.query, np.nan), case.key, case.value, case.options).run(
        return_lse=True
    )
    assert (out == 0).all()
    assert (lse == -np.inf).all()


def test_nan_in_a_visible_bias_shows(engine):
    bias = np.zeros((20, 30), np.float32)
    bias[1, 29] = np.nan
    out, lse = plain_case((1, 2, 20, 30, 16), bias=bias).run(return_lse=True)
    assert np.isnan(out[:, :, 1]).all()
    assert np.isnan(lse[:, :, 1]).all()
    assert np.isnan(out).sum() == out[:, :, 1].size


def test_nan_in_one_column_of_value_spoils_that_column_only(engine):
    case = plain_case((1, 1, 40, 70, 24))
    clean = case.run()
    out = Case(case.query, case.key, poisoned(case.value, (0, 0, 50, 7), np.nan), {}).run()
    assert np.isnan(out[..., 7]).all()
    others = np.arange(24) != 7
    np.testing.assert_allclose(out[..., others], clean[..., others], rtol=0, atol=1e-5)


def test_infinite_value_with_a_positive_weight_is_an_infinite_output(engine):
    case = plain_case((1, 1, 40, 70, 24), size=1.0)
    out = Case(case.query, case.key, poisoned(case.value, (0, 0, 50, 7), np.inf), {}).run()
    assert (out[..., 7] == np.inf).all()


@pytest.mark.parametrize(
    "scores",
    [
        [-np.inf, -np.inf],
        [-np.inf, 0.0],
        [np.inf, 0.0],
        [np.inf, -np.inf],
        [np.nan, 0.0],
        [0.0, 1.0],
    ],
    ids=str,
)
def test_infinite_scores_behave_as_in_the_formula(engine, scores):
    """Empty by the rules only, never by its scores: a row of visible −inf scores is NaN, not zero."""
    query = np.ones((1, 1, 1, 1), np.float32)
    key = np.array(scores, np.float32).reshape(1, 1, 2, 1)
    value = np.array([1.0, 2.0], np.float32).reshape(1, 1, 2, 1)
    with np.errstate(invalid="ignore"):
        weights = np.exp(np.array(scores) - np.max(scores))
        expected = (weights * [1.0, 2.0]).sum() / weights.sum()
    out = numfuse.attention(query, key, value, scale=1.0)
    np.testing.assert_allclose(out.item(), expected, rtol=1e-6)


@pytest.mark.parametrize("queries", [1, 7, 64, 130])
def test_garbage_behind_the_key_lengths_is_not_read(level, queries):
    case = plain_case((3, 4, queries, 300, 40), causal=True)
    lengths = np.array([0, 129, 300])
    key, value = case.key.copy(), case.value.copy()
    for b, length in enumerate(lengths):
        key[b, :, length:], value[b, :, length:] = np.nan, np.inf
    clean = Case(case.query, case.key, case.value, {"key_lengths": lengths, "causal": True}).run(
        return_lse=True
    )
    dirty = Case(case.query, key, value, {"key_lengths": lengths, "causal": True}).run(
        return_lse=True
    )
    np.testing.assert_array_equal(dirty.out, clean.out)
    np.testing.assert_array_equal(dirty.lse, clean.lse)
