"""Keywords: each bad value is refused by name, at fit, and leaves the head as it was."""

import inspect

import numpy as np
import pytest

from numfuse import LinearHead, _options
from numfuse._finetune_options import DEFAULTS, Settings

from .problems import labelled, numbered

X, Y = labelled(n=20, width=3, seed=3)


def test_each_keyword_has_a_constraint_and_stands_in_the_pages_order():
    keywords = [
        "loss", "solver", "l2", "anchor", "initial", "bias", "standardize", "class_weight", "label_smoothing",
        "huber_delta", "learning_rate", "momentum", "nesterov", "weight_decay", "betas", "epsilon", "batch_size",
        "epochs", "shuffle", "schedule", "warmup", "clip_norm", "max_iter", "tolerance", "early_stopping",
        "validation_fraction", "metric", "warm_start", "seed",
    ]  # fmt: skip
    parameters = inspect.signature(LinearHead).parameters
    assert list(parameters) == list(DEFAULTS) == list(Settings._fields) == keywords
    assert set(_options.CONSTRAINTS["LinearHead"]) == set(keywords)
    for name, parameter in parameters.items():
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
        assert parameter.default == DEFAULTS[name]


def every_bad_value():
    for name, constraint in _options.CONSTRAINTS["LinearHead"].items():
        for bad in constraint.bad:
            yield pytest.param(name, bad, id=f"{name}-{bad!r}"[:60])


@pytest.mark.parametrize(("name", "bad"), list(every_bad_value()))
def test_every_bad_value_is_refused_by_name(name, bad):
    head = LinearHead(**{"solver": "adamw", name: bad})
    before = dict(head.__dict__)
    with pytest.raises((TypeError, ValueError), match=f"^{name}"):
        head.fit(X, Y)
    assert head.__dict__ == before


TOGETHER = {
    "ridge of labels": ({"solver": "ridge"}, 'solver "ridge" needs loss "squared"'),
    "newton of huber": ({"solver": "newton", "loss": "huber"}, 'solver "newton".*"huber"'),
    "decay without adamw": ({"solver": "sgd", "weight_decay": 0.01}, 'weight_decay is 0.01, but solver "sgd" has none; use l2='),
    "early stopping of lbfgs": ({"early_stopping": 5}, 'early_stopping is 5, but solver "lbfgs"'),
    "clipping of newton": ({"solver": "newton", "clip_norm": 1.0}, 'clip_norm is 1.0, but solver "newton"'),
    "schedule of lbfgs": ({"schedule": "cosine"}, "schedule is 'cosine', but solver \"lbfgs\""),
    "warm-up of lbfgs": ({"warmup": 10}, 'warmup is 10, but solver "lbfgs"'),
    "a path for lbfgs": ({"l2": [0.1, 1.0]}, 'only solver "ridge" takes a path'),
    "an anchor at nothing": ({"anchor": "initial"}, "anchor is \"initial\", but initial is not given"),
    "an anchor of another shape": ({"anchor": np.zeros((2, 3))}, r"anchor has shape \(2, 3\).*\(3, 3\)"),
    "a start of another shape": ({"initial": np.zeros((3, 4))}, r"initial has shape \(3, 4\).*\(3, 3\)"),
    "a start with a short bias": ({"initial": (np.zeros((3, 3)), np.zeros(2))}, r"bias of shape \(2,\)"),
    "a head that is not fitted": ({"initial": LinearHead()}, "initial.*not fitted"),
    "a metric of numbers": ({"metric": "r2"}, 'metric "r2" is one of numbers'),
    "a misspelt metric": ({"metric": "accurate"}, "metric is 'accurate'"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", TOGETHER)
def test_keywords_that_do_not_go_together_are_explained(mistake):
    keywords, words = TOGETHER[mistake]
    with pytest.raises(ValueError, match=words):
        LinearHead(**keywords).fit(X, Y)


def test_newton_says_how_large_is_too_large():
    with pytest.raises(
        ValueError, match=r'out·\(in \+ 1\) <= 8192.*3·\(2731 \+ 1\) is 8196.*"lbfgs"'
    ):
        LinearHead(solver="newton").fit(np.zeros((3, 2731)), [0, 1, 2])


def test_a_metric_of_labels_is_not_one_of_numbers():
    x, y = numbered(n=20)
    with pytest.raises(ValueError, match='metric "accuracy" is one of labels'):
        LinearHead(loss="squared", metric="accuracy").fit(x, y)


def test_what_is_left_at_its_default_is_not_shown():
    assert repr(LinearHead()) == "LinearHead()"
    text = "LinearHead(loss='squared', l2=[0.1, 1.0], betas=(0.5, 0.9), seed=3)"
    assert repr(eval(text)) == text
    head = LinearHead(
        anchor=np.zeros((2, 3)), initial=LinearHead(), metric=max, early_stopping=True
    )
    assert repr(head) == (
        "LinearHead(anchor=<float64 array (2, 3)>, initial=<LinearHead>, early_stopping=True, metric=<function max>)"
    )


def test_none_is_the_learning_rate_of_its_solver():
    for solver, rate in (("sgd", 0.1), ("adamw", 1e-3)):
        usual = LinearHead(solver=solver).fit(X, Y)
        np.testing.assert_array_equal(
            usual.weight_, LinearHead(solver=solver, learning_rate=rate).fit(X, Y).weight_
        )
        assert usual.history_["learning_rate"][0] == rate


def test_a_batch_larger_than_the_data_is_the_data():
    assert len(np.unique(Y)) == 3
    for size in (20, 21, 10**12):
        head = LinearHead(solver="sgd", batch_size=size, epochs=2).fit(X, Y)
        np.testing.assert_array_equal(
            head.weight_, LinearHead(solver="sgd", batch_size=20, epochs=2).fit(X, Y).weight_
        )
