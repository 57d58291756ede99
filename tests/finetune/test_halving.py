"""Successive halving: who goes on, who stops, and what of those who stopped."""

import numpy as np
import pytest

from numfuse import HeadSweep, LinearHead

from .problems import labelled, same
from .test_sweep import kernels

X, Y = labelled()
VALIDATION = labelled(seed=1)
RATES = [1e-5, 1e-4, 1e-3, 1e-2, 0.1]


def swept(**options):
    return HeadSweep(
        {"learning_rate": RATES},
        metric="loss",
        schedule="cosine",
        epochs=8,
        batch_size=50,
        **options,
    ).fit(X, Y, validation=VALIDATION)


def test_after_each_halving_the_best_share_goes_on():
    sweep = swept(halving=2, halving_epochs=2)
    # 5 heads, after 2 epochs 3, after 4 epochs 2, after 6 epochs 1.
    epochs = sweep.results_["epochs"]
    assert sorted(epochs.tolist()) == [2, 2, 4, 6, 8]
    for e in (2, 4, 6):
        losses = sweep.history_["validation_metric"][:, e - 1]
        stopped, on = losses[epochs == e], losses[epochs > e]
        assert on.max() <= stopped.min()
    assert sweep.best_.n_iter_ == 8
    order = np.argsort(sweep.results_["rank"])
    assert (np.diff(epochs[order]) <= 0).all()


@kernels
def test_a_head_that_halving_ends_keeps_the_schedule_of_the_whole_fit():
    halved, whole = swept(halving=2, halving_epochs=3), swept()
    for short, long in zip(halved.heads_, whole.heads_, strict=True):
        for name, values in short.history_.items():
            np.testing.assert_array_equal(values, long.history_[name][: short.n_iter_])
    same(halved.best_, whole.heads_[halved.best_index_])


def test_of_equal_heads_the_first_go_on():
    sweep = HeadSweep({"l2": [0.1] * 4}, halving=2, epochs=3, metric="loss")
    sweep.fit(X, Y, validation=VALIDATION)
    assert sweep.results_["epochs"].tolist() == [3, 2, 1, 1]
    assert sweep.best_index_ == 0


@kernels
def test_early_stopping_and_halving_go_together():
    sweep = HeadSweep(
        {"learning_rate": [1e-3, 3.0, 0.1, 1e-2]},
        halving=2,
        halving_epochs=5,
        early_stopping=1,
        epochs=10,
    ).fit(X, Y, validation=VALIDATION)
    for rate, head in zip([1e-3, 3.0, 0.1, 1e-2], sweep.heads_, strict=True):
        if head.n_iter_ < 5:
            same(
                head,
                LinearHead(solver="adamw", learning_rate=rate, early_stopping=1).fit(
                    X, Y, validation=VALIDATION
                ),
            )


@pytest.mark.parametrize("option", ["halving", "halving_epochs"])
def test_bad_values_are_refused_by_name(option):
    for bad in (0, -1, 1.5, "2", True):
        with pytest.raises((TypeError, ValueError), match=f"^{option} is"):
            HeadSweep({"l2": [0.1]}, **{option: bad}).fit(X, Y, validation=VALIDATION)
