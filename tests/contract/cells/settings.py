"""Contract "settings": set_config, config_context, get_config, show_versions and what they reach."""

import contextlib
import contextvars
import inspect
import io
import threading

import numpy as np
import pytest

import numfuse

BAD_THREADS = [0, -1, 1.5, "2", True, 2**40, [1]]
BAD_BACKENDS = ["torch", "", "Rust", 1, True, b"numpy"]


def results_do_not_depend_on_the_number_of_threads_allowed(name, example):
    usual = example.result()
    for threads in (1, 2, 64, 1024):
        with numfuse.config_context(threads=threads):
            for a, b in zip(example.result(), usual, strict=True):
                np.testing.assert_array_equal(a, b)


def no_function_takes_threads_or_backend_of_its_own(name, example):
    parameters = inspect.signature(example.function).parameters
    assert not {"threads", "n_jobs", "backend"} & set(parameters)


def set_config_lasts(name, example):
    before = numfuse.get_config()
    try:
        numfuse.set_config(threads=3)
        assert numfuse.get_config() == {**before, "threads": 3}
        numfuse.set_config(backend="numpy")
        assert numfuse.get_config() == {"threads": 3, "backend": "numpy"}
        numfuse.set_config()
        assert numfuse.get_config() == {"threads": 3, "backend": "numpy"}
    finally:
        numfuse.set_config(**before)
    assert numfuse.get_config() == before


def set_config_holds_in_other_threads(name, example):
    before, seen = numfuse.get_config(), []
    try:
        numfuse.set_config(threads=5)
        thread = threading.Thread(target=lambda: seen.append(numfuse.get_config()["threads"]))
        thread.start()
        thread.join()
    finally:
        numfuse.set_config(**before)
    assert seen == [5]


def config_context_ends_even_after_an_error(name, example):
    before = numfuse.get_config()
    with pytest.raises(ZeroDivisionError), numfuse.config_context(threads=4, backend="numpy"):
        assert numfuse.get_config() == {"threads": 4, "backend": "numpy"}
        with numfuse.config_context(threads=6):
            assert numfuse.get_config() == {"threads": 6, "backend": "numpy"}
        assert numfuse.get_config()["threads"] == 4
        raise ZeroDivisionError
    assert numfuse.get_config() == before


def config_context_is_unseen_by_other_contexts(name, example):
    before = numfuse.get_config()
    outside = contextvars.copy_context()
    with numfuse.config_context(threads=before["threads"] + 1):
        assert outside.run(numfuse.get_config) == before


def bad_settings_are_refused_and_change_nothing(name, example):
    before = numfuse.get_config()

    def enter(**settings):
        with numfuse.config_context(**settings):
            pytest.fail("entered with a bad setting")

    change = numfuse.set_config if name.endswith("set_config") else enter
    for bad in BAD_THREADS:
        with pytest.raises(
            (TypeError, ValueError), match=r"threads is .*integer from 1 to"
        ) as error:
            change(threads=bad, backend="numpy")
        assert repr(bad) in str(error.value)
        assert numfuse.get_config() == before
    for bad in BAD_BACKENDS:
        with pytest.raises((TypeError, ValueError), match=r"backend is .*'rust', 'numpy'") as error:
            change(backend=bad, threads=9)
        assert repr(bad) in str(error.value)
        assert numfuse.get_config() == before
    with pytest.raises(TypeError, match="thread"):
        change(thread=1)


def get_config_gives_a_copy(name, example):
    before = numfuse.get_config()
    numfuse.get_config()["threads"] = 77
    assert numfuse.get_config() == before
    assert set(before) == {"threads", "backend"}
    assert type(before["threads"]) is int


def show_versions_prints_what_a_bug_report_needs(name, example):
    with contextlib.redirect_stdout(io.StringIO()) as text:
        numfuse.show_versions()
    lines = dict(line.split(maxsplit=1) for line in text.getvalue().splitlines())
    assert lines["numfuse"] == numfuse.__version__
    assert lines["numpy"] == np.__version__
    assert lines["backend"] == numfuse.get_config()["backend"]
    assert lines["threads"].startswith(str(numfuse.get_config()["threads"]))
    assert {"python", "platform", "level"} <= set(lines)


FUNCTION = [
    results_do_not_depend_on_the_number_of_threads_allowed,
    no_function_takes_threads_or_backend_of_its_own,
]
SET = [
    set_config_lasts,
    set_config_holds_in_other_threads,
    bad_settings_are_refused_and_change_nothing,
]
CONTEXT = [
    config_context_ends_even_after_an_error, config_context_is_unseen_by_other_contexts,
    bad_settings_are_refused_and_change_nothing,
]  # fmt: skip
