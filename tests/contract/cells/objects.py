"""Contract "objects": pickle, copy, a repr to read, keyword-only after *, NamedTuples, examples that run."""

import copy
import doctest
import inspect
import pickle

import numpy as np
import pytest

import numfuse

from ..names import resolve


def functions_pickle_by_name(name, example):
    function = resolve(name)
    assert pickle.loads(pickle.dumps(function)) is function
    assert copy.deepcopy(function) is function


def results_pickle_and_copy(name, example):
    result = example.call()
    for twin in (pickle.loads(pickle.dumps(result)), copy.copy(result), copy.deepcopy(result)):
        assert type(twin) is type(result)
        for a, b in zip(
            example.result(), twin if isinstance(twin, tuple) else (twin,), strict=True
        ):
            np.testing.assert_array_equal(a, b, strict=True)


def multiple_results_have_names(name, example):
    result = example.call()
    if not isinstance(result, np.ndarray):
        assert result._fields
        assert all(field in repr(result) for field in result._fields)


def what_stands_after_the_star_is_keyword_only(name, example):
    """A positional argument too many is refused, never taken for an option."""
    signature = inspect.signature(resolve(name))
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    assert inspect.Parameter.VAR_POSITIONAL not in kinds
    positional = sum(kind is inspect.Parameter.POSITIONAL_OR_KEYWORD for kind in kinds)
    with pytest.raises(TypeError, match="positional"):
        resolve(name)(*[np.zeros((2, 2))] * (positional + 1))


def the_docstring_says_it_all(name, example):
    thing = resolve(name)
    text = inspect.getdoc(thing)
    assert text
    if callable(thing) and not inspect.isclass(thing):
        for parameter in set(inspect.signature(thing).parameters) - {"self"}:
            assert parameter in text, f"{parameter} is not described"
        for title in (
            "Examples",
            *(("Parameters",) if inspect.signature(thing).parameters else ()),
        ):
            assert f"{title}\n{'-' * len(title)}" in text


def the_examples_of_the_docstring_run(name, example):
    thing = resolve(name)
    tests = doctest.DocTestFinder(recurse=False).find(thing, name, globs={})
    for test in tests:
        result = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test)
        assert result.failed == 0


def attention_result_is_a_named_tuple(name, example):
    arrays = np.zeros((2, 3)), np.ones(2)
    result = numfuse.AttentionResult(*arrays)
    assert isinstance(result, tuple)
    assert result._fields == ("out", "lse")
    assert repr(result).startswith("AttentionResult(out=array(")
    for twin in (pickle.loads(pickle.dumps(result)), copy.copy(result), copy.deepcopy(result)):
        assert type(twin) is numfuse.AttentionResult
        for a, b in zip(twin, arrays, strict=True):
            np.testing.assert_array_equal(a, b, strict=True)


def internal_error_is_a_runtime_error_that_pickles(name, example):
    assert issubclass(numfuse.InternalError, RuntimeError)
    twin = pickle.loads(pickle.dumps(numfuse.InternalError("text")))
    assert type(twin) is numfuse.InternalError
    assert str(twin) == "text"


FUNCTION = [
    functions_pickle_by_name, results_pickle_and_copy, multiple_results_have_names,
    what_stands_after_the_star_is_keyword_only, the_docstring_says_it_all,
    the_examples_of_the_docstring_run,
]  # fmt: skip
CALLABLE = [functions_pickle_by_name, the_docstring_says_it_all, the_examples_of_the_docstring_run]
