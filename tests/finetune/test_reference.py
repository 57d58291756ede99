"""The engine's four functions are right, whatever heads share a call: each level, and plain NumPy.

Bounds are those of `bounds.py`, made from the dtype and from what each step sums.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numfuse import _finetune_engine as functions
from numfuse._finetune_work import Work
from numfuse.reference import finetune as reference

from . import bounds
from .cases import Case, bfloat16, cases, head


def within(got, truth, bound, name):
    """`got` is the truth up to the bound."""
    error = np.abs(np.asarray(got, truth.dtype) - truth)
    worst = np.max(error - bound, initial=-np.inf)
    assert worst <= 0 or not got.size, f"{name} is off by {error.max():.3g}, {worst:.3g} too far"
    assert np.isfinite(got).all(), name


@given(case=cases())
def test_an_epoch_of_any_heads_is_right(engine, case):
    with np.errstate(all="raise", under="ignore"):
        got = case.trained()
    truth, bound = bounds.of_epoch(case)
    assert got.parameters.dtype == case.dtype
    for name, each, true, allowed in zip(got._fields, got, truth, bound, strict=True):
        within(each, true, allowed, name)
    # What the bound lets pass is small beside the steps, which measure some 2⁻⁴.
    assert bound.parameters.max() <= 2.0**-12 * (1 + np.abs(case.parameters).max())
    for each, outputs in case.heads():
        if not each.bias:
            assert not got.parameters[outputs, -1].any()


LARGE = [  # outputs of each head, features, rows, batch: beyond every block and tile of the kernels
    ((1000,), 300, 150, 100),
    ((121, 119, 1), 200, 140, 140),
    ((10,) * 16, 130, 260, 256),
    ((10,), 1100, 300, 256),
    ((2,), 768, 2100, 1050),
]


def large(outputs, width, n, batch, optimizer):
    rng = np.random.default_rng(width)
    x = (rng.standard_normal((n, width)) / np.sqrt(width)).astype("f4")
    theta = rng.standard_normal((sum(outputs), width + 1)).astype("f4")
    heads = tuple(
        head(
            outputs=each,
            loss="sigmoid" if each == 1 else "softmax",
            labels=i,
            l2=1e-3,
            optimizer=optimizer,
            momentum=0.9,
            clip_norm=1.0,
        )
        for i, each in enumerate(outputs)
    )
    labels = tuple(rng.integers(0, max(each, 2), n) for each in outputs)
    rows = rng.permutation(n)
    moments = np.full((2 if optimizer == "adamw" else 1, *theta.shape), 0.1, "f4")
    steps = -(-n // batch)
    rates = np.stack([reference.rates(one, np.full(steps, 0.05), 3) for one in heads])
    work = Work(x, None, None, None, rows, heads, labels, (), ())
    return Case(work, batch, theta, moments, None, rates)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("sizes", LARGE, ids=str)
def test_many_outputs_features_and_rows_are_right(engine, sizes, optimizer):
    case = large(*sizes, optimizer)
    truth, bound = bounds.of_epoch(case)
    got = case.trained()
    for name, each, true, allowed in zip(got._fields, got, truth, bound, strict=True):
        within(each, true, allowed, name)
    (losses, sums, gradient), loss_bound, gradient_bound = bounds.of_evaluate(case)
    got_losses, got_sums, got_gradient = case.evaluated()
    within(got_losses, losses, loss_bound, "losses")
    within(got_gradient, gradient, gradient_bound, "gradient")
    np.testing.assert_array_equal(got_sums, sums)
    within(case.predicted(), *bounds.of_logits(case), "logits")


@given(case=cases(optimizers=["none"]))
def test_sums_over_all_rows_are_right(engine, case):
    losses, sums, gradient = case.evaluated()
    (true_losses, true_sums, true_gradient), loss_bound, gradient_bound = bounds.of_evaluate(case)
    within(losses, true_losses, loss_bound, "losses")
    within(gradient, true_gradient, gradient_bound, "gradient")
    np.testing.assert_allclose(sums, true_sums, rtol=len(case.rows) * 2.0**-53 * 4)


@given(case=cases())
def test_logits_of_any_rows_are_right(engine, case):
    truth, bound = bounds.of_logits(case)
    got = case.predicted()
    assert got.dtype == case.dtype
    within(got, truth, bound, "logits")


@st.composite
def columns(draw):
    """Features, the rows that count and their weights: any dtype, some columns constant."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, width = (
        draw(st.sampled_from([1, 2, 100, 1024, 1025, 2500])),
        draw(st.sampled_from([1, 17, 65])),
    )
    scale, middle = draw(st.sampled_from([(1.0, 0.0), (1e-3, 50.0), (100.0, -3.0)]))
    x = rng.standard_normal((n, width)) * scale + middle
    x[:, 0] = draw(st.sampled_from([0.0, 0.1, -1e4]))
    kind = draw(st.sampled_from(["f4", "f8", "float16", "bfloat16"]))
    if kind == "bfloat16":
        features = bfloat16(x)
        wide = (features.astype(np.uint32) << 16).view(np.float32)
    elif kind == "float16":
        wide = x.astype(np.float16)
        features = wide.view(np.uint16)
    else:
        wide = features = x.astype(kind)
    half = kind if features.dtype == np.uint16 else None
    rows = rng.permutation(n)[: max(1, n // 2)].astype(np.int64) if draw(st.booleans()) else None
    weights = None
    if draw(st.booleans()):
        weights = rng.random(n)
        weights[rng.random(n) < 0.3] = 0
        weights[rows[0] if rows is not None else 0] = 1.0
    return features, half, rows, weights, wide.astype(np.longdouble)


@given(drawn=columns())
def test_mean_and_deviation_of_features_are_right(engine, drawn):
    """Sums of n terms, of which each is off by the mean's own error: (n + 16)·u of the numbers' size."""
    features, half, rows, weights, wide = drawn
    mean, deviation = np.full((2, features.shape[1]), np.nan)
    functions.moments(features, half, rows, weights, mean, deviation)
    x = wide if rows is None else wide[rows]
    w = np.ones(len(wide)) if weights is None else weights
    w = (w if rows is None else w[rows]).astype(np.longdouble)
    true_mean = w @ x / w.sum()
    variance = w @ (x - true_mean) ** 2 / w.sum()
    bound = (len(x) + 16) * 2.0**-53 * np.abs(x).max(axis=0)
    within(mean, true_mean, bound, "mean")
    if len(x) == 1:
        assert (deviation == 1).all()
        return
    assert deviation[0] == 1, "a constant column is left as it is"
    constant = np.ptp(x[w > 0], axis=0) == 0
    true = np.where(constant, 1, np.sqrt(variance))
    within(deviation, true, bound + (len(x) + 16) * 2.0**-53 * true, "deviation")


ROW, COLUMN = 17, 3
NAMED = f"features has a value that is not finite in row {ROW}, column {COLUMN}; drop or fill it"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["f4", "f8", "float16", "bfloat16"])
def test_value_that_is_not_finite_is_named_by_row_and_column(engine, bad, dtype):
    x, half = np.ones((40, 5), "f8" if dtype == "f8" else "f4"), None
    x[ROW, COLUMN] = bad
    if dtype in ("float16", "bfloat16"):
        half = dtype
        x = x.astype(np.float16).view(np.uint16) if dtype == "float16" else bfloat16(x)
    T = np.float64 if dtype == "f8" else np.float32
    theta, rows = np.zeros((1, 6), T), np.arange(39, -1, -1)
    one = head(values=0)
    work = Work(x, half, None, None, rows, (one,), (), (np.zeros((40, 1), T),), ())
    rates = np.full((1, 5, 3), 0.1)
    with pytest.raises(ValueError, match=NAMED):
        functions.epoch(
            work, 8, theta.copy(), np.zeros((0, 1, 6), T), None, rates, *np.zeros((2, 1, 5))
        )  # fmt: skip
    with pytest.raises(ValueError, match=NAMED):
        functions.evaluate(work, theta, np.zeros(1), np.zeros(1), np.zeros((1, 6)))
    with pytest.raises(ValueError, match=NAMED):
        functions.logits(x, half, None, None, None, theta, np.zeros((40, 1), T))
    with pytest.raises(ValueError, match=NAMED):
        functions.moments(x, half, None, None, np.zeros(5), np.zeros(5))


def test_row_that_is_not_asked_for_may_hold_anything(engine):
    x = np.ones((40, 5))
    x[ROW] = np.nan
    rows = np.array([3, 30, 16, 18])
    out = np.zeros((4, 1))
    functions.logits(x, None, None, None, rows, np.ones((1, 6)), out)
    np.testing.assert_array_equal(out, 6.0)
    mean, deviation = np.zeros((2, 5))
    functions.moments(x, None, rows, None, mean, deviation)
    np.testing.assert_array_equal(mean, 1.0)
    np.testing.assert_array_equal(deviation, 1.0)
