"""What all tests share: the instruction-set levels of this machine, the NumPy backend, hypothesis profiles.

`level` runs a test once on each level that the machine has; `engine` adds the NumPy backend.
With CI set, hypothesis draws the same examples on every run; else each run draws new ones and
prints the blob that brings a failure back (`@reproduce_failure`). HYPOTHESIS_PROFILE overrides.
"""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(
    0, str(Path(__file__).parent)
)  # so that one folder's tests can use another's helpers

import numfuse

SLOW_DRAWS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
settings.register_profile(
    "ci",
    deadline=None,
    max_examples=60,
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=SLOW_DRAWS,
)
settings.register_profile(
    "local", deadline=None, max_examples=60, print_blob=True, suppress_health_check=SLOW_DRAWS
)
settings.register_profile("long", parent=settings.get_profile("local"), max_examples=2000)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "local")
)

if os.environ.get("NUMFUSE_BACKEND") == "numpy":
    LEVELS = []
else:
    from numfuse import _numfuse

    LEVELS = _numfuse.isas()


def run_on(name):
    """Generator: everything between its two halves runs on the level or backend of that name."""
    if name == "numpy":
        with numfuse.config_context(backend="numpy"):
            yield name
        return
    before = _numfuse.isa()
    _numfuse.set_isa(name)
    with numfuse.config_context(backend="rust"):
        yield name
    _numfuse.set_isa(before)


@pytest.fixture(scope="module", params=LEVELS)
def level(request):
    """Each instruction-set level of this machine in turn."""
    yield from run_on(request.param)


@pytest.fixture(scope="module", params=[*LEVELS, "numpy"])
def engine(request):
    """Each instruction-set level of this machine, then the NumPy backend."""
    yield from run_on(request.param)
