"""The reference, which all else is measured by, is the formula: checked one number at a time."""

import numpy as np
from hypothesis import given

import numfuse

from .bounds import UNIT, assert_reference_agrees, truth_of
from .cases import Case, cases
from .formula import answer, by_hand


def in_rank_four(case):
    """The same call with the leading axes flattened and broadcast, as `by_hand` wants it."""
    lead = case.lead
    batch = int(np.prod(lead, dtype=int))

    def flat(a):
        a = a[None] if a.ndim == 2 else a
        return np.broadcast_to(a, (*lead, *a.shape[-3:])).reshape(batch, *a.shape[-3:])

    options = dict(case.options)
    heads = 1 if case.query.ndim == 2 else case.query.shape[-3]
    full = (*lead, heads, case.query.shape[-2], case.key.shape[-2])
    for name in ("mask", "bias"):
        if name in options:
            options[name] = np.broadcast_to(options[name], full).reshape(batch, *full[-3:])
    for name in ("alibi_slopes", "sinks"):
        if name in options:
            options[name] = np.broadcast_to(options[name], (*lead, heads)).reshape(batch, heads)
    for name in ("key_lengths", "query_offset"):
        if options.get(name) is not None:
            options[name] = np.broadcast_to(options[name], lead).reshape(batch)
    return Case(flat(case.query), flat(case.key), flat(case.value), options)


@given(cases(dtypes=["f8"], lengths=[0, 1, 2, 3, 5, 8], head_dims=[1, 2, 5]))
def test_reference_is_the_formula_one_number_at_a_time(case):
    # float64 with sums of at most eight terms: 64 roundings of numbers that are at most `size`
    case = case.rounded(np.float64)
    flat = in_rank_four(case)
    out, lse = by_hand(flat.query, flat.key, flat.value, **flat.options)
    reference, reference_lse = case.run(numfuse.reference.attention, return_lse=True)
    exact = truth_of(case)[1]
    size = 1 + float(np.abs(np.where(exact.visible, exact.scores, 0)).max(initial=0))
    bound = 64 * UNIT[np.dtype("f8")] * size * (1 + float(np.abs(case.value).max(initial=0)))
    np.testing.assert_allclose(reference.reshape(out.shape), out, rtol=0, atol=bound)
    np.testing.assert_allclose(reference_lse.reshape(lse.shape), lse, rtol=0, atol=bound)


@given(cases(dtypes=["f4", "f8"], most_products=500_000))
def test_reference_is_the_formula_in_matrices(case):
    assert_reference_agrees(case, truth_of(case)[1])


@given(cases(dtypes=["f8"], most_products=500_000))
def test_reference_weights_are_the_formula(case):
    double = case.rounded(np.float64)
    weights = numfuse.reference.attention_weights(double.query, double.key, **double.options)
    exact = answer(double.query, double.key, double.value, **double.options)
    size = 1 + np.abs(np.where(exact.visible, exact.scores, 0)).max(initial=0)
    # value's leading axes may be larger than those that the weights have
    np.testing.assert_allclose(
        np.broadcast_to(weights, exact.weights.shape), exact.weights, rtol=0, atol=1e-12 * size
    )


def test_reference_computes_in_the_dtype_of_its_inputs():
    x = np.ones((3, 2), np.float32)
    assert numfuse.reference.attention(x, x, x).dtype == np.float32
    assert numfuse.reference.attention(x, x.astype(float), x).dtype == np.float64
