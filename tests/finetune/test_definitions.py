"""Metrics and the low-rank objective: definitions against a hand's numbers, the library against both."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numfuse import _finetune_metrics as library
from numfuse import _lowrank_layer as layers
from numfuse.reference import finetune

from .cases import LOSSES
from .test_losses import draw_targets, slopes

LABELS = np.array([0, 1, 1, 0, 1])
SCORES = np.array([[-1.0], [2.0], [-1.0], [0.5], [0.5]])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # Above 0 are rows 1, 3 and 4: rows 0, 1, 4 are right; of the zeros ½, of the ones ⅔.
        ("accuracy", 3 / 5),
        ("balanced_accuracy", (1 / 2 + 2 / 3) / 2),
        # At 2: 1 of 1 hit, recall ⅓; at ½: 2 of 3, ⅔; at −1: 3 of 5, all.
        ("average_precision", 1 / 3 * 1 + 1 / 3 * 2 / 3 + 1 / 3 * 3 / 5),
    ],
)
def test_metrics_of_five_rows_are_what_a_hand_counts(name, expected):
    assert finetune.metric(name, LABELS, SCORES) == pytest.approx(expected, rel=1e-15)
    two = np.hstack([np.full_like(SCORES, 3.0), SCORES + 3])
    assert finetune.metric(name, LABELS, two) == pytest.approx(expected, rel=1e-15)


def test_metrics_of_numbers_are_what_a_hand_finds():
    y = np.array([[1.0, 4.0], [2.0, 4.0], [6.0, 4.0]])
    z = np.array([[2.0, 4.0], [2.0, 4.0], [4.0, 4.0]])
    assert finetune.metric("mse", y, z) == pytest.approx(5 / 3 / 2)
    assert finetune.metric("r2", y, z) == pytest.approx(((1 - 5 / 14) + 1) / 2)
    z[0, 1] = 5.0  # a constant target that is missed
    assert finetune.metric("r2", y, z) == pytest.approx((1 - 5 / 14) / 2)


@st.composite
def answers(draw):
    """Labels and logits with many ties, row weights, or None."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, outputs = draw(st.sampled_from([1, 2, 9, 60])), draw(st.sampled_from([1, 2, 3, 6]))
    logits = np.round(rng.standard_normal((n, outputs)) * 2)
    labels = rng.integers(0, max(outputs, 2), n)
    weights = None
    if draw(st.booleans()):
        weights = rng.integers(0, 3, n).astype(float)
        weights[0] = 1
    return labels, logits, weights


def same(a, b):
    """Equal up to the rounding of sums over 60 rows of shares; NaN is NaN."""
    assert a == pytest.approx(b, rel=1e-12, nan_ok=True)


@given(answer=answers())
@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "average_precision"])
def test_metrics_of_labels_are_the_definitions(name, answer):
    labels, logits, weights = answer
    same(library._of_labels(name, labels, logits, weights), finetune.metric(name, *answer))


@given(answer=answers(), seed=st.integers(0, 99))
def test_metrics_of_numbers_are_the_definitions(answer, seed):
    _, logits, weights = answer
    y = np.round(np.random.default_rng(seed).standard_normal(logits.shape))
    same(library.mse(y, logits, weights), finetune.metric("mse", y, logits, weights))
    same(library.r2(y, logits, weights), finetune.metric("r2", y, logits, weights))


def draw_lowrank(loss, seed=0, n=12, width=4, out=5, rank=2, outputs=3):
    rng = np.random.default_rng(seed)
    parameters = {
        "A": rng.standard_normal((rank, width)),
        "B": rng.standard_normal((out, rank)),
        "head": rng.standard_normal((outputs, out + 1)),
    }
    frozen = rng.standard_normal((out, width)), rng.standard_normal(out)
    x, y = rng.standard_normal((n, width)), draw_targets(rng, loss, n, outputs)
    mask = (rng.random((n, width)) > 0.25) / 0.75
    return parameters, frozen, x, y, rng.random(n), mask


@pytest.mark.parametrize("activation", [None, "relu", "gelu", "tanh"])
@pytest.mark.parametrize("loss", LOSSES)
def test_lowrank_gradient_is_the_objectives_slope(loss, activation):
    """Differences are off by 1e-7 of the value; Huber's and relu's corners lie between few of them."""
    parameters, (weight, bias), x, y, w, mask = draw_lowrank(loss)
    options = {"scaling": 0.7, "activation": activation, "mask": mask, "l2": 0.1, "delta": 0.5}

    def objective(**changed):
        return finetune.lowrank_objective(
            loss, parameters | changed, weight, bias, x, y, w, **options
        )  # fmt: skip

    value, gradient = objective()
    for name, point in parameters.items():
        found = slopes(lambda at, name=name: objective(**{name: at})[0], point)
        error = np.abs(found - gradient[name].ravel()).max()
        assert error <= 1e-6 * max(1.0, value), name


@pytest.mark.parametrize("activation", [None, "relu", "gelu", "tanh"])
def test_adapter_has_the_gradients_of_the_reference(activation):
    parameters, (weight, bias), x, y, w, mask = draw_lowrank("softmax", seed=3)
    value, expected = finetune.lowrank_objective(
        "softmax", parameters, weight, bias, x, y, w, scaling=0.7, activation=activation, mask=mask
    )  # fmt: skip
    layer = layers.Layer(weight, bias, 0.7, activation)
    padded = layers.Parameters(
        np.pad(parameters["A"], [(0, 0), (0, 1)]),
        np.pad(parameters["B"], [(0, 0), (0, 1)]),
        parameters["head"],
    )
    u = x * mask
    a = layers.adapted(layer, padded, x, u)
    hidden = layers.activate(layer, a)
    ell, e = finetune.loss_rows("softmax", layers.logits(padded, hidden), y)
    assert ell @ w / w.sum() == pytest.approx(value, rel=1e-13)
    e *= (w / w.sum())[:, None]
    found_A, found_B, found_head = layers.gradients(layer, padded, x, u, a, hidden, e)
    # Sums of at most 12 products of numbers below 2⁴, in another order.
    bound = 64 * 2.0**-53 * 2.0**8
    np.testing.assert_allclose(found_A[:, :-1], expected["A"], rtol=0, atol=bound)
    np.testing.assert_allclose(found_B[:, :-1], expected["B"], rtol=0, atol=bound)
    np.testing.assert_allclose(found_head, expected["head"], rtol=0, atol=bound)
