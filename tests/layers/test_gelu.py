"""GELU, both ways, against the error function of the C library in float64."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import numfuse
from attention.layouts import LAYOUTS, contiguous, every_second_column

UNIT = {np.dtype("f4"): 2.0**-24, np.dtype("f8"): 2.0**-53}
_erfc = np.frompyfunc(math.erfc, 1, 1)


def truth(x, approximate):
    """x·Φ(x) without cancellation: erfc keeps the digits of a small Φ. In the widest type there is."""
    wide = x.astype(np.longdouble)
    if approximate == "tanh":
        inner = np.sqrt(2 / np.longdouble(np.pi)) * (wide + np.longdouble(0.044715) * wide**3)
        with np.errstate(over="ignore"):  # far to the left the answer is x / ∞
            return wide / (1 + np.exp(-2 * inner))
    x = x.astype(float)
    return 0.5 * x * np.asarray(_erfc(-x / math.sqrt(2)), float)


def bound(x, exact):
    """Allowed error.

    The argument of erf (or tanh) is off by at most 2u (4u, it has three terms), which moves the
    result by at most 0.5 (1.8)·u; erf and tanh are within 2u; adding 1 rounds by at most 2u of a
    number below 2; the last two products round by u each: 0.5·|x|·(1.8 + 2 + 2)·u + 2u·|gelu| < 5u·|x|.
    In float64 the truth itself (erfc of the C library) is off by a unit: one more.
    """
    u = UNIT[x.dtype]
    return 6 * u * np.abs(x) + np.finfo(x.dtype).smallest_normal


@st.composite
def arrays(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    lead = draw(st.sampled_from([(), (1,), (3,), (2, 5)]))
    length = draw(st.sampled_from([0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 255, 384, 1000]))
    size, dtype = (
        draw(st.sampled_from([1e-3, 1.0, 4.0, 100.0])),
        draw(st.sampled_from(["f4", "f8"])),
    )
    x = (size * rng.standard_normal((*lead, length))).astype(dtype)
    return draw(st.sampled_from([contiguous, *LAYOUTS]))(x)


@settings(max_examples=100)
@given(x=arrays(), approximate=st.sampled_from(["none", "tanh"]))
def test_gelu_is_right(engine, x, approximate):
    out = numfuse.layers.gelu(x, approximate=approximate)
    native = x.astype(x.dtype.newbyteorder("="))
    assert out.dtype == native.dtype
    assert out.shape == x.shape
    exact = truth(native, approximate)
    assert (np.abs(out - exact) <= bound(native, exact)).all()


@pytest.mark.parametrize("approximate", ["none", "tanh"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gelu_is_right_on_a_fine_grid(engine, dtype, approximate):
    x = np.concatenate(
        [np.linspace(-15, 15, 60_001), np.geomspace(1e-30, 1, 2000), -np.geomspace(1e-30, 1, 2000)]
    )
    x = x.astype(dtype)
    exact = truth(x, approximate)
    assert (
        np.abs(numfuse.layers.gelu(x, approximate=approximate) - exact) <= bound(x, exact)
    ).all()


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_at_the_ends_and_at_nan(engine, approximate):
    x = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 1e30, -1e30, 3e38, -3e38], np.float32)
    with np.errstate(all="ignore"):
        out = numfuse.layers.gelu(x, approximate=approximate)
    assert out[0] == np.inf
    assert out[1] == 0 or np.isnan(out[1])  # the formula itself gives −∞·0
    assert np.isnan(out[2])
    np.testing.assert_array_equal(out[3:5], [0, 0])
    np.testing.assert_array_equal(out[5:], np.array([1e30, 0, 3e38, 0], np.float32))


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_has_the_same_bits_for_any_thread_count_and_layout(level, approximate):
    x = np.random.default_rng(0).standard_normal((37, 1001)).astype(np.float32)
    with numfuse.config_context(threads=1):
        alone = numfuse.layers.gelu(x, approximate=approximate)
    for threads in (2, 3, 7):
        with numfuse.config_context(threads=threads):
            assert numfuse.layers.gelu(x, approximate=approximate).tobytes() == alone.tobytes()
    for layout in LAYOUTS:
        np.testing.assert_array_equal(
            numfuse.layers.gelu(layout(x), approximate=approximate), alone
        )
    for rows in (slice(3, 4), slice(20, 37)):
        np.testing.assert_array_equal(
            numfuse.layers.gelu(x[rows], approximate=approximate), alone[rows]
        )
    assert (
        numfuse.layers.gelu(every_second_column(x)[0], approximate=approximate).tobytes()
        == alone[0].tobytes()
    )


def test_an_elements_bits_do_not_depend_on_its_place(level):
    """A tail that is computed in another way than whole vectors would show here."""
    x = np.random.default_rng(1).standard_normal(67).astype(np.float32)
    whole = numfuse.layers.gelu(x)
    for start in range(67):
        np.testing.assert_array_equal(numfuse.layers.gelu(x[start:]), whole[start:])
