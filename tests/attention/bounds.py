"""How far from the truth an answer may be, and why.

With S = Σⱼ pⱼ|vⱼ| over the visible keys, u half a unit in the last place of 1 and s the scores:

    |out − truth| ≤ S·(2·e + (8 + 4·max|s|)·u) + t·keys·max|v|

e is the largest error / S of the call that plain NumPy makes in the same dtype, max|s| the largest
score that is visible in it (a sink is a score that has no value), t the dtype's smallest normal number
(products under it may be flushed to zero).

Both e and max|s| stand for the sizes of the sums that the scores came from. A call with few scores may
hide them, for all can be small by cancellation, and a softcap does. There the walk itself is added: a sum of d
products, one after the other, is a random walk of d roundings. Its error has a standard deviation of at
most 0.41·u·‖q‖·‖k‖, so that five of them are r = 2·scale·‖q‖·‖k‖ units.

lse = m + log Σ eˢ⁻ᵐ: an error in each score moves it by at most the largest of them, be there many or
few. The sum's relative error is at most 8u as above; base 2 and back rounds each score; writing the
result rounds it: u·|lse|.

    |lse − truth| ≤ 2·e + (8 + 4·max|s| + r + |lse|)·u
"""

import numpy as np

import numfuse

from .formula import answer

# Fewer scores than this may all be small by chance.
FEW = 1000
UNIT = {np.dtype("f4"): 2.0**-24, np.dtype("f8"): 2.0**-53}


def finite(a):
    """For planted NaN: what a row cannot see must not matter to the bound either."""
    return np.where(np.isfinite(a), a, 0)


def truth_of(case):
    """The exact answer for the inputs as rounded to the compute dtype, in a wider precision."""
    wide = np.float64 if case.dtype == np.float32 else np.longdouble
    rounded = case.rounded(wide)
    with np.errstate(all="ignore"):
        exact = answer(rounded.query, rounded.key, rounded.value, **rounded.options, precision=wide)
    return rounded, exact


def assert_reference_agrees(case, exact):
    """`numfuse.reference` in float64 gives the formula's answer: 1e-12 is 2¹³ times its rounding."""
    double = case.rounded(np.float64)
    out, lse = double.run(numfuse.reference.attention, return_lse=True)
    size = 1 + np.abs(np.where(exact.visible, exact.scores, 0)).max(initial=0)
    np.testing.assert_allclose(
        out,
        exact.out.astype(float),
        rtol=0,
        atol=1e-12 * size * (1 + np.abs(double.value).max(initial=0)),
    )
    np.testing.assert_allclose(lse, exact.lse.astype(float), rtol=0, atol=1e-12 * size)


def reach(case):
    """r of the text above, for each row: 2·scale·‖q‖·‖k‖, with the longest of the keys."""
    group = case.query.shape[-3] // case.key.shape[-3] if case.query.ndim > 2 else 1
    scale = case.options.get("scale")
    scale = case.query.shape[-1] ** -0.5 if scale is None else abs(scale)
    longest = np.sqrt((finite(case.key) ** 2).sum(-1)).max(-1, initial=0)
    longest = np.repeat(longest, group, axis=-1) if case.query.ndim > 2 else longest
    return 2 * scale * (np.sqrt((case.query**2).sum(-1)) * longest[..., None]).astype(float)


def assert_right(case, out, lse=None):
    """Out (and lse) lie within the bound above."""
    rounded, exact = truth_of(case)
    u = UNIT[case.dtype]
    assert out.dtype == case.dtype
    assert out.shape == exact.out.shape
    if case.dtype == np.float32:
        assert_reference_agrees(case, exact)

    group = case.query.shape[-3] // case.key.shape[-3] if case.query.ndim > 2 else 1
    sizes = np.abs(finite(rounded.value))
    largest = float(sizes.max(initial=0))
    sizes = np.repeat(sizes, group, axis=-3) if case.query.ndim > 2 else sizes
    total = (exact.weights @ sizes).astype(float)  # S
    flushed = float(np.finfo(case.dtype).smallest_normal) * case.key.shape[-2] * largest
    score = float(np.abs(np.where(exact.visible, exact.scores, 0)).max(initial=0))
    if case.options.get("sinks") is not None:
        score = max(score, float(np.abs(finite(rounded.options["sinks"])).max(initial=0)))
    walk = reach(rounded)

    plain_case = case.rounded(case.dtype)
    with np.errstate(all="ignore"):
        plain, plain_lse = plain_case.run(numfuse.reference.attention, return_lse=True)

    def relative(error):
        # a row with S = 0 has no relative error: its weights or values are all 0, `flushed` bounds it
        return np.divide(error, total, out=np.zeros_like(total), where=total > flushed)

    plain_error = relative(np.abs(plain.astype(exact.out.dtype) - exact.out).astype(float)).max(
        initial=0
    )
    error = np.abs(out.astype(exact.out.dtype) - exact.out).astype(float)
    hidden = exact.visible.sum() < FEW or case.options.get("softcap") is not None
    units = 8 + 4 * score + (walk[..., None] if hidden else 0)
    allowed = total * (2 * plain_error + units * u) + flushed
    assert not (excess := ~(error <= allowed)).any(), (
        f"{excess.sum()} of {excess.size} elements out of bound, first at {np.argwhere(excess)[0]}; "
        f"largest error/S {relative(error).max() / u:.1f} u, plain NumPy's {plain_error / u:.1f} u, "
        f"largest |score| {score:.1f}"
    )

    if lse is None:
        return
    assert lse.dtype == case.dtype
    assert lse.shape == exact.lse.shape
    empty = np.isneginf(exact.lse)
    np.testing.assert_array_equal(np.isneginf(lse), empty)
    true_lse = np.where(empty, 0, exact.lse)

    def lse_error(given):
        return np.abs(np.where(empty, 0, given).astype(true_lse.dtype) - true_lse).astype(float)

    allowed = (
        2 * lse_error(plain_lse).max(initial=0)
        + (8 + 4 * score + walk + np.abs(true_lse).astype(float)) * u
    )
    assert not (excess := ~(lse_error(lse) <= allowed)).any(), (
        f"lse out of bound first at {np.argwhere(excess)[0]}: {lse[excess][0]!r} for "
        f"{exact.lse[excess][0]!r}, allowed {allowed[excess][0] / u:.1f} u"
    )
