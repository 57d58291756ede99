"""What the contracts mean for the estimators of `numfuse.sklearn`.

scikit-learn's own checks, in `tests/scikit`, are most of their contract.
"""

import doctest
import importlib.util
import inspect

import numpy as np
import pytest

import numfuse
from numfuse import _options

from ..names import resolve

CHECKS = "scikit-learn's own checks, in `tests/scikit/test_checks.py`, "
RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((40, 6)), np.arange(40) % 3


def fitted(name, **settings):
    return resolve(name)(**settings).fit(X, Y)


def both_backends_agree(name, example):
    """Optima of a strongly convex objective; sweeps: a few steps. Labels of equal logits are rare."""
    settings = (
        {"l2": 0.1} if name != "numfuse.sklearn.HeadSweepCV" else {"l2": 0.1, "solver": "lbfgs"}
    )
    usual = fitted(name, **settings).predict(X)
    with numfuse.config_context(backend="numpy"):
        np.testing.assert_allclose(fitted(name, **settings).predict(X), usual, rtol=1e-9, atol=1e-9)


def it_does_not_depend_on_numfuses_threads(name, example):
    settings = {"solver": "sgd"}
    with numfuse.config_context(threads=1):
        alone = fitted(name, **settings).predict(X)
    with numfuse.config_context(threads=7):
        np.testing.assert_array_equal(fitted(name, **settings).predict(X), alone)


def the_seed_alone_decides(name, example):
    settings = {"solver": "sgd", "batch_size": 8}
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    np.testing.assert_array_equal(
        fitted(name, **settings).predict(X), fitted(name, **settings).predict(X)
    )
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def every_bad_option_of_a_head_is_refused_by_name(name, example):
    for argument, constraint in _options.CONSTRAINTS["LinearHead"].items():
        if argument in ("loss", "seed", "solver") or (argument == "l2" and "Regressor" in name):
            continue
        for bad in constraint.bad:
            settings = {"solver": "sgd", argument: bad}
            if name == "numfuse.sklearn.HeadSweepCV":
                settings["grid"] = [{}]
            with pytest.raises((TypeError, ValueError)) as error:
                fitted(name, **settings)
            assert str(error.value).startswith(argument), f"{argument}={bad!r}: {error.value}"


def methods_are_described_and_their_examples_run(name, example):
    estimator = resolve(name)
    own = [
        each
        for each in vars(estimator)
        if not each.startswith(("_", "set_")) and not each.endswith("_")
    ]
    assert {"fit", "predict"} <= set(own)
    for method in ["", *own]:
        thing = getattr(estimator, method) if method else estimator
        assert f"Examples\n{'-' * 8}" in inspect.getdoc(thing), method
        for test in doctest.DocTestFinder(recurse=False).find(thing, f"{name}.{method}", globs={}):
            assert (
                doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test).failed
                == 0
            )


ROW = {
    "dtypes": CHECKS + "pass float32, float64, integers and objects.",
    "layout": CHECKS + "pass arrays in Fortran's order, lists and memory maps.",
    "out": "There is no out=: the result is a new array.",
    "errors": [every_bad_option_of_a_head_is_refused_by_name],
    "interrupts": "As LinearHead and HeadSweep, whose fit is all that they call.",
    "settings": [it_does_not_depend_on_numfuses_threads],
    "backend": [both_backends_agree],
    "same bits": "As LinearHead and HeadSweep, but for the steps of Newton's method that follow "
    "lbfgs, whose products are BLAS's.",
    "random": [the_seed_alone_decides],
    "objects": [methods_are_described_and_their_examples_run],
    "files": "No file is read or written.",
}
# Where scikit-learn is absent there are none.
THERE = importlib.util.find_spec("sklearn")
NAMES = ("HeadClassifier", "HeadRegressor", "HeadSweepCV") if THERE else ()
ROWS = dict.fromkeys((f"numfuse.sklearn.{name}" for name in NAMES), ROW)
