"""The same bits for any number of threads, for a field whatever stands beside it, blocked or not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import numfuse

from .problems import Case, cases, problem

try:
    from numfuse import _numfuse
except ImportError:  # with NUMFUSE_BACKEND=numpy there may be none, nor a level to test
    _numfuse = None

THREADS = [2, 3, 7]


def assert_same_bits(a, b):
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    assert a.tobytes() == b.tobytes(), f"{(a != b).sum()} of {a.size} elements differ"


@settings(max_examples=40)
@given(case=cases(most=6000))
def test_same_bits_at_1_2_3_and_7_threads(level, case):
    with numfuse.config_context(threads=1):
        alone = case.diffused()
    for threads in THREADS:
        with numfuse.config_context(threads=threads):
            assert_same_bits(case.diffused(), alone)


@settings(max_examples=40)
@given(case=cases(), beside=st.integers(1, 6))
def test_field_alone_has_the_bits_it_has_among_others(level, case, beside):
    one = Case(case.field[:1], case.options, case.run)
    others = np.random.default_rng(beside).standard_normal((beside, *case.shape))
    others[::2] *= 1e6
    many = Case(
        np.concatenate([others.astype(case.field.dtype), one.field]), case.options, case.run
    )
    assert_same_bits(many.diffused()[-1:], one.diffused())


@settings(max_examples=40)
@given(case=cases(methods=("explicit",)), steps=st.sampled_from([1, 2, 5, 16, 17, 40]))
def test_two_runs_one_after_the_other_are_one_long_run(engine, case, steps):
    first = case.diffused()
    second = Case(first, case.options, case.run | {"steps": steps}).diffused()
    whole = Case(
        case.field, case.options, case.run | {"steps": case.run["steps"] + steps}
    ).diffused()
    assert_same_bits(second, whole)


GRIDS = [(4099,), (67, 50), (41, 2300), (40, 35, 30), (11, 140, 20), (9, 3, 33), (70, 3)]
SIDES = {
    "insulated": "insulated",
    "periodic": "periodic",
    "all kinds": {
        (0, "low"): ("value", 1.0), (0, "high"): ("robin", 1.0, 0.5, 2.0),
        (1, "low"): ("flux", 0.5), (1, "high"): ("value", -1.0),
        (2, "low"): ("robin", 1.0, 2.0, 0.0), (2, "high"): ("flux", -0.5),
    },
}  # fmt: skip


def sides(name, shape):
    if not isinstance(SIDES[name], dict):
        return SIDES[name]
    return {key: side for key, side in SIDES[name].items() if key[0] < len(shape)}


def explicit(made, field, levels, threads):
    out = np.full_like(field, -7)
    _numfuse.diffusion_explicit(made, field, out, np.empty_like(out), 0.05, 19, levels, threads)
    return out


def rkl2(made, field, levels, threads):
    out = np.full_like(field, -7)
    _numfuse.diffusion_rkl2(made, field, out, np.empty_like(out), 2.0, 1, 12, levels, threads)
    return out


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("inside", ["plain", "varied", "walls and all"])
@pytest.mark.parametrize("name", SIDES)
@pytest.mark.parametrize("shape", GRIDS, ids=str)
def test_blocked_steps_have_the_bits_of_plain_ones(level, shape, name, inside, dtype):
    """Several strips and slabs, blocks of any number of levels, a last block that is shorter."""
    rng = np.random.default_rng(len(shape))
    field = rng.standard_normal((1, *shape)).astype(dtype)
    given = {"boundary": sides(name, shape), "diffusivity": 1.0}
    free = np.ones(shape, bool)
    if inside != "plain":
        given["diffusivity"] = (0.5 + rng.random(shape)).astype(dtype)
    if inside == "walls and all":
        given["walls"], given["held"] = rng.random((2, *shape)) < 0.04
        given["decay"], given["source"] = rng.random((2, *shape)).astype(dtype)
        free = ~given["walls"]
        field[:, ~free] = np.nan
    made = problem(shape, dtype, **given)
    for method in (explicit, rkl2):
        plain = method(made, field, 1, 1)
        assert np.isfinite(plain[:, free]).all()
        for levels, threads in [(0, 2), (2, 1), (5, 3), (8, 7), (32, 2)]:
            assert_same_bits(method(made, field, levels, threads), plain)
