"""Contract "backend": the NumPy reference does the same for every function."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import numfuse

UNIT = {np.dtype("f4"): 2.0**-24, np.dtype("f8"): 2.0**-53}


def both_backends_agree(name, example):
    """Within (8 + 4·10)·u·5 of each other: in these examples scores, logits and values are below 10.

    The bound of `attention/bounds.py` with S ≤ 10 for either side, rounded up; the layers' own
    bounds (`tests/layers`) are smaller.
    """
    for dtype in (np.float32, np.float64):
        arrays = {argument: a.astype(dtype) for argument, a in example.values.items()}
        with numfuse.config_context(backend="rust"):
            kernels = example.result(**arrays)
        with numfuse.config_context(backend="numpy"):
            reference = example.result(**arrays)
        for a, b in zip(kernels, reference, strict=True):
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            np.testing.assert_allclose(a, b, rtol=0, atol=1000 * UNIT[a.dtype])


ALONE = """
import sys
sys.path.insert(0, {tests!r})

class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name == "numfuse._numfuse":
            raise AssertionError("the extension was asked for")

sys.meta_path.insert(0, Forbid())
from contract.examples import example
for a in example({name!r}).result():
    print(a.dtype, a.shape)
assert "numfuse._numfuse" not in sys.modules
"""


def it_works_where_the_extension_cannot_be_loaded(name, example):
    script = ALONE.format(tests=str(Path(__file__).parents[2]), name=name)
    environment = {**os.environ, "NUMFUSE_BACKEND": "numpy"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "float32" in done.stdout


ALL = [both_backends_agree, it_works_where_the_extension_cannot_be_loaded]
