"""GELU and layer normalisation at values that are known to many digits."""

import numpy as np
import pytest

import numfuse

# erf: Abramowitz and Stegun, Handbook of Mathematical Functions, table 7.1 (10 digits).
ERF = {
    0.1: 0.1124629160,
    0.5: 0.5204998778,
    1.0: 0.8427007929,
    1.5: 0.9661051465,
    2.0: 0.9953222650,
}

# x·Φ(x) and its tanh form, to 20 digits by mpmath with 40: x, gelu(x), gelu(−x), tanh(x), tanh(−x).
GELU = [
    (0.5, 0.34573123063700655182, -0.15426876936299344818, 0.34571400982514392204, -0.15428599017485607796),
    (1.0, 0.84134474606854294859, -0.15865525393145705141, 0.84119199060827670478, -0.15880800939172329522),
    (1.5, 1.3997891980967129010, -0.10021080190328709901, 1.3995715769802329224, -0.10042842301976707755),
    (2.0, 1.9544997361036415856, -0.045500263896358414401, 1.9545976940877750188, -0.045402305912224981219),
    (3.0, 2.9959503059051097164, -0.00404969409489028358, 2.9963626079182269812, -0.0036373920817730188378),
]  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("row", GELU, ids=lambda row: str(row[0]))
def test_gelu_at_published_digits(engine, row, dtype):
    x, positive, negative, tanh_positive, tanh_negative = row
    both = np.array([x, -x], dtype)
    bound = 6 * np.finfo(dtype).eps / 2 * x  # tests/layers/test_gelu.py derives it
    for approximate, expected in [
        ("none", (positive, negative)),
        ("tanh", (tanh_positive, tanh_negative)),
    ]:
        out = numfuse.layers.gelu(both, approximate=approximate)
        assert (np.abs(out.astype(float) - expected) <= bound).all()


@pytest.mark.parametrize("x", ERF)
def test_erf_inside_gelu_is_that_of_abramowitz_and_stegun(engine, x):
    """gelu(√2·x) = x/√2·(1 + erf(x)), solved for erf; the table has ten digits."""
    argument = np.sqrt(2) * x
    erf = 2 * numfuse.layers.gelu(np.array([argument])).item() / argument - 1
    assert abs(erf - ERF[x]) <= 0.5e-10 + 16 * 2.0**-53


def test_gelu_of_zero_is_zero_and_large_numbers_pass_or_vanish(engine):
    x = np.array([0.0, 40.0, -40.0])
    for approximate in ("none", "tanh"):
        np.testing.assert_array_equal(numfuse.layers.gelu(x, approximate=approximate), [0, 40, 0])


def test_layer_norm_of_two_features_is_plus_and_minus_one(engine):
    """(a, b) has mean (a + b)/2 and deviation |a − b|/2."""
    x = np.array([[1.0, 3.0], [10.0, -10.0], [-5.0, -4.0]])
    out = numfuse.layers.layer_norm(x, epsilon=0.0)
    np.testing.assert_allclose(out, [[-1, 1], [1, -1], [-1, 1]], rtol=0, atol=16 * 10 * 2.0**-53)


def test_layer_norm_of_evenly_spaced_features(engine):
    """0 … n − 1 has mean (n − 1)/2 and variance (n² − 1)/12."""
    for n in (2, 3, 8, 9, 33, 100):
        steps = np.arange(n, dtype=float)
        expected = (steps - (n - 1) / 2) / np.sqrt((n * n - 1) / 12 + 1e-5)
        out = numfuse.layers.layer_norm(steps)
        # sums of n exact integers are exact; squares, root and quotient round: 8u of numbers below 2
        np.testing.assert_allclose(out, expected, rtol=0, atol=(n + 16) * 2.0**-53)


def test_layer_norm_weight_and_bias(engine):
    x = np.array([1.0, 3.0])
    out = numfuse.layers.layer_norm(x, np.array([2.0, -3.0]), np.array([10.0, 20.0]), epsilon=0.0)
    np.testing.assert_allclose(out, [8, 17], rtol=8 * 2.0**-53)


def test_epsilon_counts_beside_the_variance(engine):
    out = numfuse.layers.layer_norm(np.array([-1.0, 1.0]), epsilon=3.0)
    np.testing.assert_allclose(out, [-0.5, 0.5], rtol=8 * 2.0**-53)
