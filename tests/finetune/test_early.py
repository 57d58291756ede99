"""Early stopping: when it stops, what it holds out, whose weights stay."""

import numpy as np
import pytest

from numfuse import LinearHead
from numfuse.reference import finetune as reference
from numfuse.reference import random

from .problems import labelled, numbered, same

X, Y = labelled(n=120)
VALIDATION = labelled(n=80, seed=1)
SETTINGS = {"solver": "sgd", "learning_rate": 2.0, "batch_size": 16, "metric": "loss"}


def epochs(count, **settings):
    return LinearHead(**{**SETTINGS, "epochs": count, **settings}).fit(X, Y, validation=VALIDATION)


@pytest.mark.parametrize("patience", [1, 2, 5])
def test_it_stops_after_so_many_epochs_without_a_better_metric(patience):
    whole = epochs(40).history_["validation_metric"]
    head = epochs(40, early_stopping=patience)
    best = np.minimum.accumulate(whole)
    waits = np.arange(40) - np.array([int(np.argmax(whole[: e + 1] == best[e])) for e in range(40)])
    assert head.n_iter_ == int(np.argmax(waits == patience)) + 1 < 40
    assert head.best_epoch_ == head.n_iter_ - 1 - patience
    np.testing.assert_array_equal(head.history_["validation_metric"], whole[: head.n_iter_])


def test_the_best_epochs_weights_are_those_of_a_fit_that_ended_there():
    head = epochs(40, early_stopping=2)
    short = epochs(head.best_epoch_ + 1)
    np.testing.assert_array_equal(head.weight_, short.weight_, strict=True)
    np.testing.assert_array_equal(head.bias_, short.bias_, strict=True)


def test_the_best_weights_come_back_even_if_no_epoch_was_too_many():
    short = epochs(40, early_stopping=2)
    head = epochs(short.n_iter_ - 1, early_stopping=2)
    assert head.n_iter_ == short.n_iter_ - 1
    np.testing.assert_array_equal(head.weight_, short.weight_)


def test_true_is_five_epochs_and_false_is_never():
    same(epochs(40, early_stopping=True), epochs(40, early_stopping=5))
    same(epochs(8, early_stopping=False), epochs(8))


def test_without_early_stopping_the_last_weights_stay_and_the_best_epoch_is_told():
    head = epochs(20)
    assert head.n_iter_ == 20
    assert head.best_epoch_ == int(np.argmin(head.history_["validation_metric"]))


@pytest.mark.parametrize(("fraction", "count"), [(0.1, 12), (0.25, 30), (1e-6, 1), (0.999, 119)])
def test_rows_held_out_are_drawn_by_the_seed(fraction, count):
    settings = {
        "solver": "sgd",
        "early_stopping": 3,
        "validation_fraction": fraction,
        "shuffle": False,
        "seed": 7,
        "epochs": 4,
    }
    head = LinearHead(**settings).fit(X, Y, classes=[0, 1, 2])
    order = random.permutation(7, reference.stream(2), 120)
    held, rest = np.sort(order[:count]), np.sort(order[count:])
    settings.pop("validation_fraction")
    same(
        head,
        LinearHead(**settings).fit(
            X[rest], Y[rest], validation=(X[held], Y[held]), classes=[0, 1, 2]
        ),
    )


def test_shuffling_permutes_the_rows_that_train():
    settings = {"solver": "adamw", "early_stopping": 3, "seed": 3, "epochs": 4, "batch_size": 16}
    head = LinearHead(**settings).fit(X, Y)
    order = random.permutation(3, reference.stream(2), 120)
    held, rest = np.sort(order[:12]), np.sort(order[12:])
    same(head, LinearHead(**settings).fit(X[rest], Y[rest], validation=(X[held], Y[held])))


def test_weights_standardisation_and_balance_are_those_of_the_rows_that_train():
    weights = np.random.default_rng(0).uniform(0, 2, 120)
    settings = {
        "solver": "adamw",
        "early_stopping": 3,
        "standardize": True,
        "class_weight": "balanced",
        "epochs": 4,
    }
    head = LinearHead(**settings).fit(X, Y, sample_weight=weights)
    order = random.permutation(0, reference.stream(2), 120)
    held, rest = np.sort(order[:12]), np.sort(order[12:])
    twin = LinearHead(**settings).fit(
        X[rest], Y[rest], sample_weight=weights[rest], validation=(X[held], Y[held], weights[held])
    )
    # The same but for the order in which moments are summed.
    np.testing.assert_allclose(head.weight_, twin.weight_, rtol=1e-11)


def test_a_function_is_a_metric_and_sees_targets_as_given():
    names = np.array(["a", "b", "c"])
    seen = []

    def worst(targets, logits):
        seen.append((targets, logits))
        return float(-logits.max())

    head = LinearHead(solver="sgd", metric=worst, early_stopping=1, epochs=9).fit(X, names[Y])
    assert head.n_iter_ == 2  # logits grow
    targets, logits = seen[0]
    assert set(targets) <= set(names)
    assert logits.shape == (12, 3)
    head = LinearHead(solver="sgd", metric=worst, epochs=2).fit(
        X, names[Y], validation=(X[:5], names[Y[:5]].tolist())
    )
    assert seen[-1][0].tolist() == names[Y[:5]].tolist()


def test_a_metric_that_is_never_a_number_leaves_the_last_weights():
    def unknown(targets, logits):
        return float("nan")

    head = LinearHead(solver="sgd", metric=unknown, early_stopping=3, epochs=9).fit(
        X, Y, validation=VALIDATION
    )
    assert head.n_iter_ == 3
    assert head.best_epoch_ == 2
    np.testing.assert_array_equal(
        head.weight_, LinearHead(solver="sgd", epochs=3).fit(X, Y).weight_
    )


@pytest.mark.parametrize("solver", ["lbfgs", "newton"])
def test_other_solvers_look_at_validation_data_once_an_iteration(solver):
    head = LinearHead(solver=solver).fit(X, Y, validation=VALIDATION)
    assert {len(values) for values in head.history_.values()} == {head.n_iter_}
    assert head.history_["validation_metric"][-1] == head.score(*VALIDATION)
    plain = LinearHead(solver=solver).fit(X, Y)
    np.testing.assert_array_equal(head.weight_, plain.weight_)
    assert list(plain.history_) == ["loss", "learning_rate"]


def test_ridge_looks_once():
    x, y = numbered()
    head = LinearHead(loss="squared", solver="ridge").fit(
        x[:100], y[:100], validation=(x[100:], y[100:])
    )
    assert head.history_["validation_metric"].tolist() == [
        pytest.approx(head.score(x[100:], y[100:]))
    ]
    assert len(head.history_["loss"]) == 1


def test_validation_loss_knows_no_penalty_smoothing_or_class_weight():
    settings = {
        "solver": "adamw",
        "epochs": 1,
        "l2": 3.0,
        "label_smoothing": 0.3,
        "class_weight": {0: 5.0},
    }
    head = LinearHead(**settings).fit(X, Y, validation=VALIDATION)
    z = head.decision_function(VALIDATION[0])
    ell, _ = reference.loss_rows("softmax", z, VALIDATION[1])
    assert head.history_["validation_loss"][0] == pytest.approx(ell.mean(), rel=1e-12)
