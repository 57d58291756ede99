"""What the contracts mean for `LinearHead` and `HeadSweep`."""

import copy
import os
import pickle
import signal
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import numfuse
from numfuse import HeadSweep, LinearHead, _options
from numfuse.reference import finetune as reference

from . import objects
from .interrupts import Stopped, other_python_threads_run_during_a_kernel, stop

REFERENCE_NAMES = reference.__all__
RNG = np.random.default_rng(0)
X = RNG.standard_normal((150, 5))
Y = np.array(["a", "b", "c"])[(X @ RNG.standard_normal((5, 3))).argmax(axis=1)]
METHODS = ("fit", "predict", "predict_proba", "decision_function", "score", "save", "load")


def made(name, **keywords):
    """A head, or a sweep of two, that is not fitted."""
    if name.endswith("HeadSweep"):
        return HeadSweep({"l2": [0.0, 0.1]}, **{"epochs": 3, **keywords})
    return LinearHead(**{"solver": "adamw", "epochs": 3, **keywords})


def heads(fitted):
    return getattr(fitted, "heads_", [fitted])


def same(a, b):
    for one, other in zip(heads(a), heads(b), strict=True):
        np.testing.assert_array_equal(one.weight_, other.weight_, strict=True)
        np.testing.assert_array_equal(one.bias_, other.bias_, strict=True)


def weights_have_the_dtype_that_is_computed_in(name, example):
    for dtype, wanted in (
        (np.float16, np.float32), (np.float32, np.float32), (np.float64, np.float64), (">f4", np.float32),
        (np.int32, np.float64), (bool, np.float64), (np.uint16, np.float64),
    ):  # fmt: skip
        for head in heads(made(name).fit((2 * X).astype(dtype), Y)):
            assert head.weight_.dtype == head.bias_.dtype == wanted
            assert head.decision_function(X).dtype == wanted


def dtypes_without_a_meaning_are_refused(name, example):
    for dtype in (complex, np.longdouble, "U4", "M8[s]"):
        with pytest.raises((TypeError, ValueError), match="^features"):
            made(name).fit(np.ones((150, 5)).astype(dtype), Y)


def features_of_any_layout_give_the_same_bits(name, example):
    usual = made(name).fit(X, Y)
    wide = np.zeros((300, 11))
    wide[::2, 2:7] = X
    unaligned = np.frombuffer(b"x" + X.tobytes(), np.float64, X.size, 1).reshape(X.shape)
    for x in (
        np.asfortranarray(X),
        wide[::2, 2:7],
        X[::-1].copy()[::-1],
        X[:, ::-1].copy()[:, ::-1],
        unaligned,
    ):
        same(made(name).fit(x, Y), usual)


def every_bad_keyword_is_refused_by_name(name, example):
    for argument, constraint in _options.CONSTRAINTS["LinearHead"].items():
        if argument == "l2" and name.endswith("HeadSweep"):
            continue  # it is in the grid
        for bad in constraint.bad:
            with pytest.raises((TypeError, ValueError)) as error:
                made(name, **{argument: bad}).fit(X, Y)
            assert str(error.value).startswith(argument), bad
    if name.endswith("HeadSweep"):
        for argument, constraint in _options.CONSTRAINTS["HeadSweep"].items():
            for bad in constraint.bad:
                with pytest.raises((TypeError, ValueError)) as error:
                    made(name, **{argument: bad}).fit(X, Y, validation=(X, Y))
                assert str(error.value).startswith(argument), bad


def an_unknown_keyword_is_a_type_error(name, example):
    with pytest.raises(TypeError, match="learning_rat"):
        made(name, learning_rat=0.1).fit(X, Y)


def a_refused_fit_changes_nothing(name, example):
    fitted = made(name).fit(X, Y)
    before, kept = fitted.__dict__.copy(), pickle.dumps(fitted)
    hole = X.copy()
    hole[3, 2] = np.nan
    for features, targets in ((hole, Y), (X[:9], Y), (X, np.full(150, "a")), (X[0], Y), (X, None)):
        with pytest.raises((TypeError, ValueError)):
            fitted.fit(features, targets)
        assert fitted.__dict__ == before
    assert pickle.dumps(fitted) == kept


def what_is_not_fitted_says_so(name, example):
    for method in ("predict", "predict_proba", "decision_function"):
        with pytest.raises(numfuse.NotFittedError, match=r"is not fitted; call fit first\."):
            getattr(made(name), method)(X)
    with pytest.raises(numfuse.NotFittedError):
        made(name).save("nowhere")


class Epoch:
    """One long epoch, as the examples of functions are."""

    def __init__(self, name):
        self.name = name

    def large(self):
        row = RNG.standard_normal((1, 512)).astype(np.float32)
        features = np.broadcast_to(row, (300_000, 512))
        return {"features": features, "targets": np.arange(len(features)) % 2}

    def call(self, **data):
        return made(self.name, epochs=1, shuffle=False).fit(**data)


def other_python_threads_run_during_an_epoch(name, example):
    other_python_threads_run_during_a_kernel(name, Epoch(name))


def ctrl_c_leaves_the_object_as_it_was(name, example):
    fitted = made(name).fit(X, Y)
    before, text = pickle.dumps(fitted), repr(fitted)
    long = copy.deepcopy(fitted)
    if name.endswith("HeadSweep"):
        long.settings["epochs"] = 10**8
    else:
        long.epochs = 10**8
    state = long.__dict__.copy()
    previous = signal.signal(signal.SIGINT, stop)
    try:
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(Stopped):
            long.fit(X, Y)
    finally:
        signal.signal(signal.SIGINT, previous)
    timer.join()
    assert long.__dict__ == state
    assert (pickle.dumps(fitted), repr(fitted)) == (before, text)
    same(long, fitted)


def ctrl_c_stops_within_a_long_epoch(name, example):
    """One epoch of some seconds, which is one call of the kernels."""
    x = np.broadcast_to(RNG.standard_normal((1, 512)).astype(np.float32), (2_000_000, 512))
    y = np.arange(len(x)) % 2
    previous = signal.signal(signal.SIGINT, stop)
    try:
        timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
        start = time.perf_counter()
        timer.start()
        with pytest.raises(Stopped):
            made(name, epochs=50, shuffle=False).fit(x, y)
        took = time.perf_counter() - start
    finally:
        signal.signal(signal.SIGINT, previous)
    timer.join()
    assert took < 5


def fits_have_the_same_bits_at_any_number_of_threads(name, example):
    usual = made(name).fit(X, Y)
    for threads in (1, 2, 7):
        with numfuse.config_context(threads=threads):
            same(made(name).fit(X, Y), usual)


def both_backends_agree(name, example):
    fits = []
    for backend in ("rust", "numpy"):
        with numfuse.config_context(backend=backend):
            fits.append(made(name).fit(X, Y))
    for one, other in zip(heads(fits[0]), heads(fits[1]), strict=True):
        # Three steps of adamw, each of length 1e-3: rounding in the gradient moves none by more.
        np.testing.assert_allclose(one.weight_, other.weight_, atol=1e-9)


def the_seed_decides_the_order_of_rows(name, example):
    usual = made(name, batch_size=16).fit(X, Y)
    same(made(name, batch_size=16, seed=0).fit(X, Y), usual)
    other = heads(made(name, batch_size=16, seed=1).fit(X, Y))[0]
    assert (other.weight_ != heads(usual)[0].weight_).any()
    same(
        made(name, batch_size=16, seed=1, shuffle=False).fit(X, Y),
        made(name, batch_size=16, shuffle=False).fit(X, Y),
    )


def it_pickles_and_copies(name, example):
    fitted = made(name).fit(X, Y, validation=(X, Y))
    for twin in (pickle.loads(pickle.dumps(fitted)), copy.copy(fitted), copy.deepcopy(fitted)):
        assert type(twin) is type(fitted)
        assert repr(twin) == repr(fitted)
        np.testing.assert_array_equal(twin.predict(X), fitted.predict(X), strict=True)
        same(twin.fit(X, Y), made(name).fit(X, Y))


def its_repr_is_the_call(name, example):
    for text in {
        "numfuse.LinearHead": (
            "LinearHead()", "LinearHead(loss='sigmoid', solver='sgd', l2=0.1, nesterov=True, betas=(0.5, 0.9))",
        ),
        "numfuse.HeadSweep": (
            "HeadSweep({'l2': [0.1, 1.0]})", "HeadSweep([{'l2': 0.1}, {'columns': (0, 3)}], metric='loss', halving=2, epochs=3)",
        ),
    }[name]:  # fmt: skip
        assert repr(eval(text)) == text


def later_changes_to_the_data_do_nothing(name, example):
    x, y = X.copy(), Y.copy()
    fitted = made(name).fit(x, y)
    x[...], y[...] = 0, "a"
    same(fitted, made(name).fit(X, Y))
    assert heads(fitted)[0].classes_.tolist() == ["a", "b", "c"]


def its_methods_say_it_all(name, example):
    methods = METHODS if name.endswith("HeadSweep") else (*METHODS, "partial_fit")
    for method in methods:
        objects.the_docstring_says_it_all(f"{name}.{method}", None)
        objects.the_examples_of_the_docstring_run(f"{name}.{method}", None)


def what_stands_after_the_star_is_keyword_only(name, example):
    for call in (
        lambda: LinearHead("softmax"), lambda: HeadSweep({"l2": [0.1]}, "loss"),
        lambda: made(name).fit(X, Y, np.ones(150)), lambda: made(name).fit(X, Y).score(X, Y, np.ones(150)),
    ):  # fmt: skip
        with pytest.raises(TypeError, match="positional"):
            call()


def a_saved_one_comes_back(name, example):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "heads.safetensors"
        fitted = made(name).fit(X, Y, validation=(X, Y))
        fitted.save(path)
        twin = type(fitted).load(path)
        same(twin, fitted)
        np.testing.assert_array_equal(twin.predict(X), fitted.predict(X), strict=True)
        before = path.read_bytes()
        path.write_bytes(before[:-9])
        with pytest.raises(ValueError, match="cut short"):
            type(fitted).load(path)
        with pytest.raises(FileNotFoundError):
            type(fitted).load(path.with_name("nowhere"))


def a_checkpoint_is_kept_and_one_of_another_fit_refused(name, example):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fit.safetensors"
        fitted = made(name).fit(X, Y, checkpoint=path)
        before = path.read_bytes()
        same(made(name).fit(X, Y, checkpoint=path), fitted)
        with pytest.raises(ValueError, match="checkpoint of another fit"):
            made(name, seed=1).fit(X, Y, checkpoint=path)
        assert path.read_bytes()[:100] == before[:100]
        assert [each.name for each in Path(folder).iterdir()] == ["fit.safetensors"]


def a_warning_is_a_user_warning(name, example):
    assert issubclass(numfuse.ConvergenceWarning, UserWarning)
    assert not issubclass(numfuse.ConvergenceWarning, DeprecationWarning)
    twin = pickle.loads(pickle.dumps(numfuse.ConvergenceWarning("text")))
    assert type(twin) is numfuse.ConvergenceWarning
    assert numfuse.ConvergenceWarning.__module__ == "numfuse"


def an_error_of_what_is_not_fitted_is_both(name, example):
    assert issubclass(numfuse.NotFittedError, ValueError)
    assert issubclass(numfuse.NotFittedError, AttributeError)
    twin = pickle.loads(pickle.dumps(numfuse.NotFittedError("text")))
    assert type(twin) is numfuse.NotFittedError
    assert str(twin) == "text"


DTYPES = [weights_have_the_dtype_that_is_computed_in, dtypes_without_a_meaning_are_refused]
LAYOUT = [features_of_any_layout_give_the_same_bits]
ERRORS = [
    every_bad_keyword_is_refused_by_name, an_unknown_keyword_is_a_type_error,
    a_refused_fit_changes_nothing, what_is_not_fitted_says_so,
]  # fmt: skip
INTERRUPTS = [
    other_python_threads_run_during_an_epoch, ctrl_c_leaves_the_object_as_it_was,
    ctrl_c_stops_within_a_long_epoch,
]  # fmt: skip
SETTINGS = [fits_have_the_same_bits_at_any_number_of_threads]
BACKEND = [both_backends_agree]
RANDOM = [the_seed_decides_the_order_of_rows]
OBJECTS = [
    it_pickles_and_copies, its_repr_is_the_call, later_changes_to_the_data_do_nothing,
    its_methods_say_it_all, what_stands_after_the_star_is_keyword_only,
    objects.the_docstring_says_it_all, objects.the_examples_of_the_docstring_run,
]  # fmt: skip
FILES = [a_saved_one_comes_back, a_checkpoint_is_kept_and_one_of_another_fit_refused]
