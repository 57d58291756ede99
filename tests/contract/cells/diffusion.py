"""What the contracts mean for `Diffusion` and `Plan`."""

import copy
import os
import pickle
import signal
import threading

import numpy as np
import pytest

import numfuse
from numfuse import Diffusion, _options
from numfuse.reference import diffusion as reference

from . import objects
from .interrupts import Stopped, stop

REFERENCE_NAMES = reference.__all__
RNG = np.random.default_rng(0)
SHAPE = (12, 14)
FIELD = RNG.standard_normal(SHAPE)
ARRAYS = {
    "diffusivity": RNG.uniform(0.5, 1.5, SHAPE),
    "decay": RNG.uniform(0.0, 0.1, SHAPE),
    "source": RNG.standard_normal(SHAPE),
    "walls": RNG.random(SHAPE) < 0.1,
    "held": RNG.random(SHAPE) < 0.1,
}


def rich(**replaced):
    """A problem with something of everything but velocity and functions of time."""
    boundary = {0: ("value", np.ones(SHAPE[1])), (1, "high"): ("robin", 1.0, 2.0, 0.5)}
    return Diffusion(**{**ARRAYS, "boundary": boundary, "tolerance": 1e-4, **replaced})


def stirred(**replaced):
    """A problem with velocity and a side that changes with time."""
    boundary = {(0, "low"): ("value", bell)}
    velocity = 0.2 * RNG.standard_normal((2, *SHAPE))
    return Diffusion(**{"diffusivity": 1.0, "velocity": velocity, "boundary": boundary, **replaced})


def bell(time):
    return np.exp(-(time**2))


def advance_fills_out(name, example):
    usual = rich().advance(FIELD, time=3.0)
    out = np.full_like(FIELD, np.nan)
    assert rich().advance(FIELD, time=3.0, out=out) is out
    np.testing.assert_array_equal(out, usual)
    field = FIELD.copy()
    assert rich().advance(field, time=3.0, out=field) is field
    np.testing.assert_array_equal(field, usual)


def every_bad_option_is_refused_by_name(name, example):
    for argument, constraint in _options.CONSTRAINTS["diffuse"].items():
        if argument in ("time", "steps", "dt", "start_time"):
            continue
        for bad in constraint.bad:
            with pytest.raises((TypeError, ValueError)) as error:
                rich(**{argument: bad}).advance(FIELD, steps=1, dt=1e-3)
            assert str(error.value).startswith(argument), bad


def every_bad_time_is_refused_by_name(name, example):
    for argument in ("time", "steps", "dt", "start_time"):
        for bad in _options.CONSTRAINTS["diffuse"][argument].bad:
            for call in (rich().advance, stirred().advance):
                with pytest.raises((TypeError, ValueError)) as error:
                    call(FIELD, **{"steps": 1, "dt": 1e-3, argument: bad})
                assert str(error.value).startswith(argument), bad
    for bad in _options.CONSTRAINTS["diffuse"]["time"].bad:
        with pytest.raises((TypeError, ValueError), match="^time is"):
            rich().plan(FIELD, time=bad)


def a_refused_call_changes_nothing(name, example):
    problem = rich()
    usual = problem.advance(FIELD, time=3.0)
    for field in (FIELD[:-1], FIELD[0], FIELD.astype(int)):
        with pytest.raises((TypeError, ValueError)):
            problem.advance(field, time=3.0)
        with pytest.raises((TypeError, ValueError)):
            problem.plan(field, time=3.0)
        with pytest.raises((TypeError, ValueError)):
            problem.stable_step(field)
    np.testing.assert_array_equal(problem.advance(FIELD, time=3.0), usual)


def an_error_in_a_function_of_time_is_the_callers_own(name, example):
    def broken(time):
        raise KeyError("mine")

    problem = Diffusion(1.0, source=broken)
    with pytest.raises(KeyError, match="mine"):
        problem.advance(FIELD, time=1.0)


def ctrl_c_leaves_the_object_as_it_was(name, example):
    problem, field = stirred(), np.ones(SHAPE)
    usual, before = problem.advance(FIELD, time=3.0), repr(problem)
    previous = signal.signal(signal.SIGINT, stop)
    try:
        timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(Stopped):
            problem.advance(field, steps=10**9)
    finally:
        signal.signal(signal.SIGINT, previous)
    timer.join()
    assert (field == 1).all()
    assert repr(problem) == before
    np.testing.assert_array_equal(problem.advance(FIELD, time=3.0), usual)


def both_backends_plan_the_same(name, example):
    for method in ("auto", "explicit", "rkl2", "adi"):
        plans = []
        for backend in ("rust", "numpy"):
            with numfuse.config_context(backend=backend):
                plans.append(rich(method=method).plan(FIELD, time=3.0))
        assert plans[0][2:4] == plans[1][2:4]
        np.testing.assert_allclose(plans[0].dt, plans[1].dt, rtol=1e-12)


def it_pickles_and_copies(name, example):
    for problem in (rich(), stirred()):
        usual = problem.advance(FIELD, time=3.0)
        for twin in (
            pickle.loads(pickle.dumps(problem)), copy.copy(problem), copy.deepcopy(problem),
        ):  # fmt: skip
            assert type(twin) is Diffusion
            assert repr(twin) == repr(problem)
            np.testing.assert_array_equal(twin.advance(FIELD, time=3.0), usual, strict=True)


def later_changes_to_its_arrays_do_nothing(name, example):
    arrays = {name: array.copy() for name, array in ARRAYS.items()}
    face = np.ones(SHAPE[1])
    problem = Diffusion(**arrays, boundary={0: ("value", face)})
    usual = problem.advance(FIELD, time=3.0)
    for array in (*arrays.values(), face):
        array[...] = 1
    np.testing.assert_array_equal(problem.advance(FIELD, time=3.0), usual)


def what_it_keeps_changes_no_bit(name, example):
    problem = Diffusion(2.0, tolerance=1e-5)
    fields = [FIELD, FIELD.astype(np.float32), FIELD[:5], FIELD.T, FIELD[0], FIELD]
    for field in fields:
        np.testing.assert_array_equal(
            problem.advance(field, time=3.0),
            Diffusion(2.0, tolerance=1e-5).advance(field, time=3.0),
            strict=True,
        )


def its_repr_is_the_call(name, example):
    for text in (
        "Diffusion(1.0)",
        "Diffusion(0.5, spacing=(1.0, 2.0), axes=(-2, -1), boundary='periodic', order=4)",
        "Diffusion(2.0, boundary={0: 'periodic', (1, 'low'): ('robin', 1.0, 2.0, 3.0)}, decay=0.1)",
        "Diffusion(1.0, boundary=('value', 1.0), mean='arithmetic', method='rkl2', tolerance=0.01)",
    ):
        assert repr(eval(text)) == text
    assert "diffusivity" not in repr(rich())
    assert "<float64 array (12, 14)>" in repr(rich())
    assert "<function bell>" in repr(stirred())


def its_methods_say_it_all(name, example):
    for method in ("advance", "plan", "stable_step"):
        objects.the_docstring_says_it_all(f"numfuse.Diffusion.{method}", None)
        objects.the_examples_of_the_docstring_run(f"numfuse.Diffusion.{method}", None)


def what_stands_after_the_star_is_keyword_only(name, example):
    for call in (
        lambda: Diffusion(1.0, 1.0),
        lambda: rich().advance(FIELD, 3.0),
        lambda: rich().plan(FIELD, 3.0),
    ):
        with pytest.raises(TypeError, match="positional"):
            call()


def a_plan_is_a_named_tuple_to_read(name, example):
    plan = rich().plan(FIELD, time=3.0)
    assert isinstance(plan, tuple)
    assert plan._fields == ("method", "dt", "steps", "stages", "bytes", "bound", "why")
    assert repr(plan).startswith("Plan(method=")
    assert plan.why.endswith(".")
    for twin in (pickle.loads(pickle.dumps(plan)), copy.copy(plan), copy.deepcopy(plan)):
        assert type(twin) is numfuse.Plan
        assert twin == plan


ERRORS = [
    every_bad_option_is_refused_by_name, every_bad_time_is_refused_by_name,
    a_refused_call_changes_nothing, an_error_in_a_function_of_time_is_the_callers_own,
]  # fmt: skip
INTERRUPTS = [ctrl_c_leaves_the_object_as_it_was]
OBJECTS = [
    it_pickles_and_copies, later_changes_to_its_arrays_do_nothing, what_it_keeps_changes_no_bit,
    its_repr_is_the_call, its_methods_say_it_all, what_stands_after_the_star_is_keyword_only,
    objects.the_docstring_says_it_all, objects.the_examples_of_the_docstring_run,
]  # fmt: skip
