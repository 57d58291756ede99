"""No kernel reads or writes one element beyond an array, before or behind it, at any odd length."""

import sys

import numpy as np
import pytest

from conftest import LEVELS

from .script import run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="maps memory as Linux does")


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("place", ["end", "start"])
@pytest.mark.parametrize("level", LEVELS)
def test_every_function_stays_within_its_arrays(level, place, seed):
    done = run(
        "from faults.guarded import main; main(sys.argv[1], sys.argv[2], int(sys.argv[3]), 600)",
        level, place, seed, seconds=240,
    )  # fmt: skip
    assert done.stdout.rstrip().endswith("every call was right")


def test_the_guards_do_catch_a_read_beyond_the_end():
    """A test of the test: one element too far ends the process."""
    code = """
    import ctypes
    from faults.guarded import Guards
    a = Guards("end").copy(np.ones(7, np.float32))
    print(a.sum(), flush=True)
    ctypes.c_float.from_address(a.ctypes.data + a.nbytes).value
    """
    done = run(code, check=False)
    assert done.stdout.strip() == "7.0"
    assert done.returncode < 0


def test_the_guards_do_catch_a_write_to_an_input():
    code = """
    import ctypes
    from faults.guarded import Guards
    a = Guards("start").copy(np.ones(7, np.float32))
    ctypes.c_float.from_address(a.ctypes.data).value = 2.0
    """
    assert run(code, check=False).returncode < 0


def test_rows_apart_have_the_values_they_were_given():
    from .guarded import Guards

    guards = Guards("end")
    a = np.arange(24.0).reshape(2, 3, 4)
    b = guards.copy(a, gap=5)
    np.testing.assert_array_equal(a, b)
    assert b.strides[-2] == 9 * 8
    del b
    guards.release()
