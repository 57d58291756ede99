"""`attention_weights`: the matrix that attention never stores."""

import numpy as np
import pytest
from hypothesis import given, settings

import numfuse

from .bounds import UNIT, reach, truth_of
from .cases import Case, cases
from .formula import answer
from .test_right import plain_case


def weights_of(case, function=None):
    return (function or numfuse.attention_weights)(case.query, case.key, **case.options)


@settings(max_examples=100)
@given(case=cases())
def test_weights_are_right(engine, case):
    """A weight is attention with the unit matrix as value: S = p, so the same bound holds of each weight.

    A row's scores are few and may be small by cancellation: the walk of their sums stands beside them.
    """
    case.value = np.zeros((*case.key.shape[:-1], 1), case.key.dtype)  # value plays no part
    rounded, exact = truth_of(case)
    u, tiny = UNIT[case.dtype], float(np.finfo(case.dtype).smallest_normal)
    weights = weights_of(case)
    assert weights.dtype == case.dtype
    assert weights.shape == exact.weights.shape
    assert (weights[~exact.visible] == 0).all()

    plain = weights_of(case.rounded(case.dtype), numfuse.reference.attention_weights)
    truth = exact.weights.astype(float)
    score = (
        np.abs(np.where(exact.visible, exact.scores, 0))
        .max(axis=-1, initial=0, keepdims=True)
        .astype(float)
    )
    if case.options.get("sinks") is not None:
        sinks = np.abs(rounded.options["sinks"].astype(float))[..., None, None]
        score = np.maximum(score, sinks[0] if case.query.ndim == 2 else sinks)

    def error(given):
        return np.abs(given.astype(exact.weights.dtype) - exact.weights).astype(float)

    plain_error = np.divide(
        error(plain), truth, out=np.zeros_like(truth), where=truth > 1e3 * tiny
    ).max(initial=0)
    units = 8 + 4 * score + reach(rounded)[..., None]
    allowed = truth * (2 * plain_error + units * u) + tiny * case.key.shape[-2]
    assert (error(weights) <= allowed).all()


@settings(max_examples=60)
@given(case=cases(dtypes=["f4", "f8"]))
def test_weights_of_a_row_sum_to_one_less_the_sinks_share(engine, case):
    weights = weights_of(case)
    exact = truth_of(case)[1]
    share = np.where(exact.visible.any(-1), 1.0, 0.0)
    if case.options.get("sinks") is not None:
        sinks = case.options["sinks"].astype(float)[..., None]
        share = share - np.where(
            share > 0,
            np.exp((sinks[0] if case.query.ndim == 2 else sinks) - exact.lse.astype(float)),
            0,
        )
    total = np.broadcast_to(weights.astype(float).sum(-1), share.shape)
    # numerator and denominator share their rounded exponentials: what is left is the division, the
    # sum of `keys` terms, and the error of the sink's exponential: (keys + 8 + 4·|score|)·u
    score = np.abs(np.where(exact.visible, exact.scores, 0)).max(initial=0) + 10
    bound = (case.key.shape[-2] + 8 + 4 * float(score)) * UNIT[case.dtype]
    np.testing.assert_allclose(total, share.astype(float), rtol=0, atol=bound)


@settings(max_examples=60)
@given(case=cases(dtypes=["f4", "f8"]))
def test_weights_times_value_is_attention(engine, case):
    weights = weights_of(case).astype(float)
    group = case.query.shape[-3] // case.key.shape[-3] if case.query.ndim > 2 else 1
    value = case.rounded(np.float64).value
    value = np.repeat(value, group, axis=-3) if case.query.ndim > 2 else value
    out = case.run()
    exact = truth_of(case)[1]
    score = float(np.abs(np.where(exact.visible, exact.scores, 0)).max(initial=0)) + 10
    # each of the two is within (8 + 4·|score|)·u·S of the truth and twice plain NumPy's error, which a
    # score's sum of head_dim products dominates: head_dim·u·Σ|q||k|·scale at worst
    scale = abs(case.options.get("scale") or case.query.shape[-1] ** -0.5)
    sizes = np.abs(case.query.astype(float)).sum(-1).max(initial=0) * np.abs(
        case.key.astype(float)
    ).max(initial=0)
    bound = (
        (16 + 8 * score + 4 * scale * sizes)
        * UNIT[case.dtype]
        * (np.abs(value).max(initial=0) + 1e-30)
    )
    np.testing.assert_allclose(out.astype(float), weights @ value, rtol=0, atol=bound * 2)


def test_weights_of_keys_out_of_sight_are_exactly_zero(engine):
    case = plain_case((1, 2, 5, 9, 8), causal=True)
    weights = weights_of(case)
    hidden = np.arange(9) > np.arange(5)[:, None] + 4
    assert (weights[..., hidden] == 0).all()
    assert (weights[..., ~hidden] > 0).all()


def test_weights_of_rows_that_see_nothing_are_zero(engine):
    case = plain_case((1, 2, 5, 9, 8), key_lengths=0)
    assert (weights_of(case) == 0).all()


def test_weights_of_nan_keys_out_of_sight_are_zero(engine):
    case = plain_case((1, 2, 5, 9, 8), key_lengths=6)
    clean = weights_of(case)
    case.key[..., 6:, :] = np.nan
    np.testing.assert_array_equal(weights_of(case), clean)


def test_nan_query_leaves_weights_of_keys_out_of_sight_zero(engine):
    case = plain_case((1, 2, 5, 9, 8), causal=True)
    case.query[..., 0, 0] = np.nan
    hidden = np.arange(9) > np.arange(5)[:, None] + 4
    for weights in (weights_of(case), weights_of(case, numfuse.reference.attention_weights)):
        assert (weights[..., hidden] == 0).all()
        assert np.isnan(weights[..., 0, ~hidden[0]]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_fill_out(engine, dtype):
    case = plain_case((2, 2, 33, 41, 8), dtype, causal=True)
    exact = answer(case.query, case.key, case.value, causal=True, precision=np.float64)
    weights = weights_of(case)
    # |score| ≤ 40 here, and float64's own bound is far smaller
    np.testing.assert_allclose(
        weights, exact.weights, rtol=0, atol=(8 + 4 * 40) * UNIT[np.dtype(dtype)] * 2
    )


def test_matrices_give_a_matrix_of_weights(engine):
    case = plain_case((1, 1, 7, 9, 8))
    flat = Case(case.query[0, 0], case.key[0, 0], case.value[0, 0], {})
    np.testing.assert_array_equal(weights_of(flat), weights_of(case)[0, 0], strict=True)
