"""Layer normalisation against its formula in a wider precision."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import numfuse
from attention.layouts import LAYOUTS, contiguous

UNIT = {np.dtype("f4"): 2.0**-24, np.dtype("f8"): 2.0**-53}


def truth(x, weight, bias, epsilon, wide=np.longdouble):
    epsilon = wide(x.dtype.type(epsilon))
    x = x.astype(wide)
    centred = x - x.mean(-1, keepdims=True)
    out = centred / np.sqrt((centred * centred).mean(-1, keepdims=True) + epsilon)
    out = out if weight is None else out * weight.astype(wide)
    return out if bias is None else out + bias.astype(wide)


def assert_right(x, weight, bias, epsilon, out):
    """Out is within 2·e + 8u·(|w|·(|x| + |mean|) / √(variance + ε) + |out| + |b|).

    e is plain NumPy's largest error in the same dtype, which grows with the row's length. The rest:
    mean and difference round by u·(|x| + |mean|) each; half of the variance's relative error, root
    and quotient round by 4u of the quotient; weight and bias by u of the product and of the sum.
    """
    u, wide = UNIT[x.dtype], np.longdouble
    exact = truth(x, weight, bias, epsilon)
    with np.errstate(all="ignore"):
        plain = numfuse.reference.layer_norm(x, weight, bias, epsilon=epsilon)
    w = np.abs(np.ones(x.shape[-1]) if weight is None else weight).astype(wide)
    b = np.abs(np.zeros(x.shape[-1]) if bias is None else bias).astype(wide)
    deviation = np.sqrt(x.astype(wide).var(-1, keepdims=True) + wide(epsilon)) if x.shape[-1] else 1
    size = (
        w * (np.abs(x) + np.abs(x.astype(wide).mean(-1, keepdims=True))) / deviation
        + np.abs(exact)
        + b
    )
    allowed = 2 * np.abs(plain - exact).max(initial=0) + 8 * u * size
    assert out.dtype == x.dtype
    assert out.shape == x.shape
    assert (np.abs(out - exact) <= allowed).all(), float((np.abs(out - exact) / (u * size)).max())


@st.composite
def calls(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    lead = draw(st.sampled_from([(), (1,), (7,), (2, 5), (0,)]))
    features = draw(
        st.sampled_from([1, 2, 3, 7, 8, 9, 16, 17, 31, 33, 64, 65, 100, 384, 768, 1000])
    )
    dtype = draw(st.sampled_from(["f4", "f8"]))
    shift, size = draw(st.sampled_from([(0, 1), (10, 1), (-3, 0.1), (0, 100)]))
    layouts = st.sampled_from([contiguous, *LAYOUTS])
    x = draw(layouts)((shift + size * rng.standard_normal((*lead, features))).astype(dtype))
    weight = (
        draw(layouts)(rng.standard_normal(features).astype(dtype)) if draw(st.booleans()) else None
    )
    bias = (
        draw(layouts)(rng.standard_normal(features).astype(dtype)) if draw(st.booleans()) else None
    )
    return x, weight, bias, draw(st.sampled_from([1e-5, 1e-12, 1e-3]))


@settings(max_examples=150)
@given(call=calls())
def test_layer_norm_is_right(engine, call):
    x, weight, bias, epsilon = call
    out = numfuse.layers.layer_norm(x, weight, bias, epsilon=epsilon)
    x, weight, bias = (
        None if a is None else a.astype(a.dtype.newbyteorder("=")) for a in (x, weight, bias)
    )
    if x.shape[-1] > 1:  # a single feature is its own mean: tested below
        assert_right(x, weight, bias, epsilon, out)


def test_one_feature_is_the_bias(engine):
    x = np.array([[3.0], [-5.0]], np.float32)
    np.testing.assert_array_equal(
        numfuse.layers.layer_norm(x, np.ones(1, np.float32), np.full(1, 2, np.float32)), [[2], [2]]
    )


def test_no_features_give_no_features(engine):
    assert numfuse.layers.layer_norm(np.zeros((3, 0), np.float32)).shape == (3, 0)


def test_rows_are_normal(engine):
    """Mean 0 and variance 1 but for ε: 384 terms of size below 4, each rounded a few times."""
    x = (5 + 3 * np.random.default_rng(0).standard_normal((20, 384))).astype(np.float64)
    out = numfuse.layers.layer_norm(x, epsilon=0.0)
    np.testing.assert_allclose(out.mean(-1), 0, atol=384 * 8 * 2.0**-53)
    np.testing.assert_allclose(out.var(-1), 1, atol=384 * 16 * 2.0**-53)


def test_large_mean_does_not_swallow_the_variance(engine):
    """E[x²] − E[x]² would leave nothing of a variance of 1 beside a mean of 10⁴ in float32."""
    x = (1e4 + np.random.default_rng(1).standard_normal((4, 512))).astype(np.float32)
    assert_right(x, None, None, 1e-5, numfuse.layers.layer_norm(x))


def test_nan_spoils_its_own_row_only(engine):
    x = np.random.default_rng(2).standard_normal((5, 33)).astype(np.float32)
    clean = numfuse.layers.layer_norm(x)
    x[2, 32] = np.nan
    out = numfuse.layers.layer_norm(x)
    assert np.isnan(out[2]).all()
    np.testing.assert_array_equal(np.delete(out, 2, 0), np.delete(clean, 2, 0))


def test_rows_that_are_constant_are_zero_and_not_nan(engine):
    np.testing.assert_array_equal(
        numfuse.layers.layer_norm(np.full((2, 64), 8.0, np.float32)), np.zeros((2, 64))
    )


@pytest.mark.parametrize("features", [33, 384])
def test_layer_norm_has_the_same_bits_for_any_thread_count_and_for_a_row_alone(level, features):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((300, features)).astype(np.float32)
    weight, bias = rng.standard_normal((2, features)).astype(np.float32)
    with numfuse.config_context(threads=1):
        alone = numfuse.layers.layer_norm(x, weight, bias)
    for threads in (2, 3, 7):
        with numfuse.config_context(threads=threads):
            assert numfuse.layers.layer_norm(x, weight, bias).tobytes() == alone.tobytes()
    for row in (0, 7, 299):
        assert numfuse.layers.layer_norm(x[row], weight, bias).tobytes() == alone[row].tobytes()
    for layout in LAYOUTS:
        np.testing.assert_array_equal(
            numfuse.layers.layer_norm(layout(x), layout(weight), layout(bias)), alone
        )
