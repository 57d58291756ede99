"""What the contracts mean for `LowRankAdapter`; what it learns is tested in `tests/finetune/test_lowrank.py`."""

import copy
import inspect
import pickle
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import numfuse
from numfuse import LowRankAdapter, _options

from . import objects

RNG = np.random.default_rng(0)
WEIGHT, BIAS = RNG.standard_normal((8, 6)), RNG.standard_normal(8)
FEATURES, LABELS = RNG.standard_normal((40, 6)), np.arange(40) % 3
METHODS = {
    "fit", "transform", "decision_function", "predict_proba", "predict", "score", "merge", "save", "load",
}  # fmt: skip


def adapter(**settings):
    return LowRankAdapter(WEIGHT, BIAS, **{"rank": 2, "epochs": 2, "batch_size": 16} | settings)


@cache
def fitted():
    return adapter(activation="relu").fit(FEATURES, LABELS)


def computed_in_double_for_doubles_and_integers_else_in_single(name, example):
    whole = np.rint(9 * FEATURES)
    for dtype, computed in (
        ("f8", "f8"), ("i4", "f8"), ("f4", "f4"), ("f2", "f4"), (">f8", "f8"), (">f4", "f4"),
    ):  # fmt: skip
        made = adapter().fit(whole.astype(dtype), LABELS)
        for array in (
            made.lora_A_,
            made.lora_B_,
            made.head_.weight_,
            *made.merge(),
            made.transform(whole),
        ):
            assert array.dtype == computed, dtype


def any_layout_is_read(name, example):
    usual = fitted().transform(FEATURES)
    weight = np.asfortranarray(WEIGHT)
    for features in (
        np.asfortranarray(FEATURES),
        np.repeat(FEATURES, 2, axis=0)[::2],
        np.flip(FEATURES)[::-1, ::-1],
        FEATURES.tolist(),
    ):
        np.testing.assert_array_equal(fitted().transform(features), usual)
        made = LowRankAdapter(
            weight, BIAS.tolist(), rank=2, epochs=2, batch_size=16, activation="relu"
        )
        np.testing.assert_array_equal(made.fit(features, LABELS).lora_A_, fitted().lora_A_)


def every_bad_option_is_refused_by_name_with_what_is_allowed(name, example):
    constraints = _options.CONSTRAINTS["LowRankAdapter"]
    parameters = inspect.signature(LowRankAdapter).parameters
    assert set(constraints) == set(parameters)
    for argument, constraint in constraints.items():
        assert constraint.bad, f"{argument} has no bad value to test with"
        for bad in constraint.bad:
            made = LowRankAdapter(**{"weight": WEIGHT, "bias": BIAS, argument: bad})
            with pytest.raises((TypeError, ValueError)) as error:
                made.fit(FEATURES, LABELS)
            text = str(error.value)
            assert text.startswith(argument), f"{argument}={bad!r}: {text}"
            assert not hasattr(made, "lora_A_")


def a_fit_that_is_interrupted_changes_nothing(name, example):
    made = adapter().fit(FEATURES, LABELS)
    before = dict(vars(made))
    calls = []

    def metric(targets, logits):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return 0.0

    made.metric = metric
    with pytest.raises(KeyboardInterrupt):
        made.fit(FEATURES, LABELS, validation=(FEATURES, LABELS))
    after = dict(vars(made))
    del before["metric"], after["metric"]
    assert all(after[key] is before[key] for key in before)
    assert after.keys() == before.keys()


def both_backends_agree(name, example):
    """24 steps of numbers near 1: differences of a few roundings each, of gelu's slope mostly."""
    settings = {"activation": "gelu", "dropout": 0.2, "epochs": 8}
    usual = adapter(**settings).fit(FEATURES, LABELS)
    with numfuse.config_context(backend="numpy"):
        reference = adapter(**settings).fit(FEATURES, LABELS)
    for one, other in (
        (usual.lora_A_, reference.lora_A_),
        (usual.lora_B_, reference.lora_B_),
        (usual.decision_function(FEATURES), reference.decision_function(FEATURES)),
    ):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-9)


def it_does_not_depend_on_numfuses_threads(name, example):
    with numfuse.config_context(threads=1):
        alone = adapter(activation="gelu", dropout=0.2).fit(FEATURES, LABELS)
    with numfuse.config_context(threads=7):
        other = adapter(activation="gelu", dropout=0.2).fit(FEATURES, LABELS)
        np.testing.assert_array_equal(other.transform(FEATURES), alone.transform(FEATURES))


def the_seed_alone_decides(name, example):
    def made(seed):
        return adapter(dropout=0.3, seed=seed).fit(FEATURES, LABELS).lora_A_

    state = np.random.get_state()[1].copy()  # noqa: NPY002
    np.testing.assert_array_equal(made(4), made(4))
    assert not np.array_equal(made(4), made(5))
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def it_pickles_copies_and_shows_itself(name, example):
    usual = fitted().predict_proba(FEATURES)
    for twin in (
        pickle.loads(pickle.dumps(fitted())),
        copy.copy(fitted()),
        copy.deepcopy(fitted()),
    ):
        np.testing.assert_array_equal(twin.predict_proba(FEATURES), usual)
        assert repr(twin) == repr(fitted())
    shown = "rank=2, activation='relu', batch_size=16, epochs=2"
    assert repr(fitted()) == f"LowRankAdapter(<weight (8, 6)>, <bias (8,)>, {shown})"


def options_are_keyword_only(name, example):
    with pytest.raises(TypeError, match="positional"):
        LowRankAdapter(WEIGHT, BIAS, 8)
    with pytest.raises(TypeError, match="positional"):
        adapter().fit(FEATURES, LABELS, None)


def methods_are_described_and_their_examples_run(name, example):
    methods = {each for each in vars(LowRankAdapter) if not each.startswith("_")}
    methods = {each for each in methods if callable(getattr(LowRankAdapter, each))}
    assert methods == METHODS
    for each in ["", *(f".{method}" for method in sorted(methods))]:
        if each != ".merge":  # takes nothing that could be described
            objects.the_docstring_says_it_all(name + each, example)
        objects.the_examples_of_the_docstring_run(name + each, example)


def what_is_saved_is_whole_or_not_there(name, example):
    with tempfile.TemporaryDirectory() as folder:
        fitted().save(folder)
        files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
        assert sorted(files) == [
            "adapter_config.json",
            "adapter_model.safetensors",
            "head.safetensors",
        ]
        again = LowRankAdapter.load(folder, WEIGHT, BIAS)
        np.testing.assert_array_equal(again.predict(FEATURES), fitted().predict(FEATURES))
        for path in Path(folder).iterdir():
            path.write_bytes(files[path.name][:-3])
            with pytest.raises(ValueError, match=path.name):
                LowRankAdapter.load(folder, WEIGHT, BIAS)
            path.write_bytes(files[path.name])


ROW = {
    "dtypes": [computed_in_double_for_doubles_and_integers_else_in_single],
    "layout": [any_layout_is_read],
    "out": "There is no out=: the result is a new array.",
    "errors": [every_bad_option_is_refused_by_name_with_what_is_allowed],
    "interrupts": [a_fit_that_is_interrupted_changes_nothing],
    "settings": [it_does_not_depend_on_numfuses_threads],
    "backend": [both_backends_agree],
    "same bits": "Exempt, as documented: its matrix products are BLAS's, which sums in another "
    "order with another number of threads.",
    "random": [the_seed_alone_decides],
    "objects": [
        it_pickles_copies_and_shows_itself, options_are_keyword_only,
        methods_are_described_and_their_examples_run,
    ],
    "files": [what_is_saved_is_whole_or_not_there],
}  # fmt: skip
