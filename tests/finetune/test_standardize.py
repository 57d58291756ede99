"""Standardised training is training on standardised features, folded into the weights."""

import numpy as np
import pytest

from numfuse import HeadSweep, LinearHead

from .problems import labelled, numbered

X, Y = labelled()
FAR = X * [1, 10, 100, 0.01, 1, 1] + [0, 5, 1000, -3, 0, 1]
SCALED = (FAR - FAR.mean(axis=0)) / FAR.std(axis=0)
WEIGHTS = np.random.default_rng(0).uniform(0, 2, len(X))


def folded(head, mean, deviation):
    """Weights on scaled features, for the features themselves."""
    weight = head.weight_ / deviation
    return weight, head.bias_ - weight @ mean


@pytest.mark.parametrize("settings", [
    {"solver": "sgd"}, {"solver": "adamw", "weight_decay": 0.1, "clip_norm": 0.5}, {"solver": "lbfgs", "tolerance": 1e-11, "l2": 0.01},
    {"solver": "newton", "l2": 0.1}, {"solver": "adamw", "l2": 1.0},
])  # fmt: skip
def test_it_is_the_head_of_scaled_features(settings):
    head = LinearHead(**settings, standardize=True).fit(FAR, Y)
    weight, bias = folded(LinearHead(**settings).fit(SCALED, Y), FAR.mean(axis=0), FAR.std(axis=0))
    np.testing.assert_allclose(head.weight_, weight, rtol=1e-8, atol=1e-10 * np.abs(weight).max())
    z = head.decision_function(FAR)
    # The shift that softmax does not feel is not determined where there is a penalty on neither.
    z, wanted = z - z.mean(axis=1, keepdims=True), FAR @ weight.T + bias
    np.testing.assert_allclose(z, wanted - wanted.mean(axis=1, keepdims=True), atol=1e-8)


def test_ridge_too_and_its_errors():
    x, y = numbered()
    x = x * [1, 10, 100, 0.01, 1, 1] + 7
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)
    path = [1e-3, 0.1]
    head = LinearHead(loss="squared", solver="ridge", l2=path, standardize=True).fit(x, y)
    twin = LinearHead(loss="squared", solver="ridge", l2=path).fit(scaled, y)
    np.testing.assert_allclose(head.predict(x), twin.predict(scaled), rtol=1e-10)
    np.testing.assert_allclose(head.loo_error_, twin.loo_error_, rtol=1e-10)


def test_sample_weights_count_and_class_weights_do_not():
    mean = np.average(FAR, axis=0, weights=WEIGHTS)
    deviation = np.sqrt(np.average((FAR - mean) ** 2, axis=0, weights=WEIGHTS))
    for class_weight in (None, {0: 3.0}):
        settings = {"solver": "newton", "l2": 0.1, "class_weight": class_weight}
        head = LinearHead(**settings, standardize=True).fit(FAR, Y, sample_weight=WEIGHTS)
        twin = LinearHead(**settings).fit((FAR - mean) / deviation, Y, sample_weight=WEIGHTS)
        np.testing.assert_allclose(head.weight_, folded(twin, mean, deviation)[0], rtol=1e-8)


@pytest.mark.parametrize("solver", ["sgd", "adamw", "lbfgs", "newton"])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
def test_a_constant_column_is_harmless(solver, value):
    x = X.copy()
    x[:, 2] = value
    head = LinearHead(solver=solver, standardize=True).fit(x, Y)
    assert np.isfinite(head.weight_).all()
    # Its scaled values are within rounding of 0, where no gradient comes from.
    assert np.abs(head.weight_[:, 2]).max() < 1e-6
    assert head.score(x, Y) > 0.5


def test_starts_and_anchors_are_those_of_the_features():
    start = np.random.default_rng(1).standard_normal((3, 6))
    bias = np.arange(3.0)
    settings = {"solver": "sgd", "learning_rate": 1e-12, "epochs": 1, "momentum": 0.0}
    head = LinearHead(**settings, standardize=True, initial=(start, bias)).fit(FAR, Y)
    np.testing.assert_allclose(head.weight_, start, rtol=1e-9)
    # bias = c − W·μ, where W·μ is about a thousand.
    np.testing.assert_allclose(head.bias_, bias, atol=1e-8)
    # V − anchor·σ is at most the data's gradient, below 2, over l2; σ is at least 0.009.
    head = LinearHead(l2=1e5, standardize=True, anchor=start, tolerance=1e-4).fit(FAR, Y)
    np.testing.assert_allclose(head.weight_, start, atol=2e-5 / 0.009)


def test_without_a_bias_features_are_only_divided():
    head = LinearHead(solver="newton", l2=0.1, bias=False, standardize=True).fit(FAR, Y)
    twin = LinearHead(solver="newton", l2=0.1, bias=False).fit(FAR / FAR.std(axis=0), Y)
    np.testing.assert_allclose(head.weight_, twin.weight_ / FAR.std(axis=0), rtol=1e-8)
    assert (head.bias_ == 0).all()


def test_columns_of_a_sweep_have_their_own_scale():
    sweep = HeadSweep({"columns": [(1, 4)]}, solver="lbfgs", standardize=True, l2=0.1).fit(FAR, Y)
    head = LinearHead(standardize=True, l2=0.1).fit(np.ascontiguousarray(FAR[:, 1:4]), Y)
    np.testing.assert_allclose(sweep.heads_[0].weight_, head.weight_, atol=1e-5)
