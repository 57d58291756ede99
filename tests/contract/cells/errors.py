"""Contract "errors": which argument, what was given, what is allowed, the way out."""

import numpy as np
import pytest

import numfuse
from numfuse import _native, _options

from .dtypes import message_name


def constraints_of(name):
    return _options.CONSTRAINTS.get(name.removeprefix("numfuse."), {})


def every_bad_option_is_refused_by_name_with_what_is_allowed(name, example):
    constraints = constraints_of(name)
    for argument, constraint in constraints.items():
        assert constraint.bad, f"{argument} has no bad value to test with"
        for bad in constraint.bad:
            with pytest.raises((TypeError, ValueError)) as error:
                example.call(**{argument: bad})
            text = str(error.value)
            assert text.startswith(argument), f"{argument}={bad!r}: {text}"
            rules = (constraint, *getattr(constraint, "parts", ()))
            said = any(rule.way_out in text or rule.allowed in text for rule in rules)
            assert said or "shape" in text, text


def every_option_has_a_constraint(name, example):
    """So that none escapes the check above."""
    free = {"query", "key", "value", "x", "field", "image", "outs", "lses", "out", "self"}
    code = example.function if name != "numfuse.merge_attention" else None
    if code is None:
        return
    arguments = code.__code__.co_varnames[
        : code.__code__.co_argcount + code.__code__.co_kwonlyargcount
    ]
    assert set(arguments) - free == set(constraints_of(name))


def a_missing_argument_is_a_type_error_that_names_it(name, example):
    for argument in example.values:
        given = {k: v for k, v in example.values.items() if k != argument}
        with pytest.raises(TypeError, match=argument):
            example.function(**given)


def an_unknown_argument_is_a_type_error_that_names_it(name, example):
    with pytest.raises(TypeError, match="dropot"):
        example.call(dropot=0.0)


def an_array_without_axes_is_refused(name, example):
    if name == "numfuse.layers.gelu":  # elementwise: a number is fine
        assert example.call(x=np.float64(0.0)) == 0.0
        return
    for argument in example.values:
        with pytest.raises(ValueError, match=r"ax[ie]s|shape") as error:
            example.call(**{argument: np.float32(1.0)})
        text = str(error.value)
        assert message_name(argument) in text or "outs[0]" in text


def the_arguments_are_left_alone_by_a_refused_call(name, example):
    arrays = {**example.values, **example.options}
    before = {argument: a.copy() for argument, a in arrays.items()}
    for argument in example.values:
        with pytest.raises(TypeError):
            example.call(**{argument: example.values[argument].astype(int)})
    for argument, a in arrays.items():
        np.testing.assert_array_equal(a, before[argument], strict=True)


def a_panic_in_a_kernel_is_an_internal_error_and_the_next_call_is_right(name, example):
    if numfuse.get_config()["backend"] == "numpy":
        pytest.skip("there is no kernel in the NumPy backend")
    usual = example.result()
    for threads in (1, 2):
        for tile in (0, 5):
            with pytest.raises(numfuse.InternalError, match="report"):
                _native.kernels.panic_in_tile(tile, 8, threads)
            for x, y in zip(usual, example.result(), strict=True):
                np.testing.assert_array_equal(x, y, strict=True)


ALL = [
    every_bad_option_is_refused_by_name_with_what_is_allowed, every_option_has_a_constraint,
    a_missing_argument_is_a_type_error_that_names_it, an_unknown_argument_is_a_type_error_that_names_it,
    an_array_without_axes_is_refused, the_arguments_are_left_alone_by_a_refused_call,
    a_panic_in_a_kernel_is_an_internal_error_and_the_next_call_is_right,
]  # fmt: skip
