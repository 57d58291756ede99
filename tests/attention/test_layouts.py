"""The layout of an array in memory never changes a bit of the result, nor does the call change an input."""

import numpy as np
import pytest
from hypothesis import given, settings

import numfuse

from .cases import Case, cases
from .layouts import LAYOUTS, contiguous

RNG = np.random.default_rng(0)
SHAPES = {
    "query": (2, 4, 33, 24),
    "key": (2, 2, 41, 24),
    "value": (2, 2, 41, 10),
    "mask": (2, 4, 33, 41),
    "bias": (2, 4, 33, 41),
    "alibi_slopes": (2, 4),
    "sinks": (2, 4),
    "key_lengths": (2,),
    "query_offset": (2,),
}
ARRAYS = {name: RNG.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}
ARRAYS["mask"] = ARRAYS["mask"] > -1
ARRAYS["key_lengths"] = np.array([41, 30])
ARRAYS["query_offset"] = np.array([8, 3])


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_does_not_change_a_bit(engine, name, layout):
    usual = numfuse.attention(**ARRAYS, causal=True, return_lse=True)
    other = numfuse.attention(
        **{**ARRAYS, name: layout(ARRAYS[name])}, causal=True, return_lse=True
    )
    if (
        str(numfuse.get_config()["backend"]) == "numpy"
    ):  # BLAS may sum in another order for another layout
        np.testing.assert_allclose(usual.out, other.out, rtol=0, atol=1e-5)
        return
    np.testing.assert_array_equal(usual.out, other.out, strict=True)
    np.testing.assert_array_equal(usual.lse, other.lse, strict=True)


@pytest.mark.parametrize("name", SHAPES)
def test_repeated_by_a_stride_of_zero_is_the_same_as_repeated_in_memory(level, name):
    once = ARRAYS[name][:1]
    repeated = numfuse.attention(
        **{**ARRAYS, name: np.broadcast_to(once, SHAPES[name])}, return_lse=True
    )
    stored = numfuse.attention(**{**ARRAYS, name: np.repeat(once, 2, axis=0)}, return_lse=True)
    np.testing.assert_array_equal(repeated.out, stored.out, strict=True)
    np.testing.assert_array_equal(repeated.lse, stored.lse, strict=True)


@settings(max_examples=60)
@given(case=cases())
def test_any_mix_of_layouts_has_the_bits_of_contiguous_arrays(level, case):
    def plain(a):
        return (
            contiguous(a.astype(a.dtype.newbyteorder("=")))
            if isinstance(a, np.ndarray) and a.ndim
            else a
        )

    other = Case(
        plain(case.query),
        plain(case.key),
        plain(case.value),
        {n: plain(a) for n, a in case.options.items()},
    )
    ours, usual = case.run(return_lse=True), other.run(return_lse=True)
    np.testing.assert_array_equal(ours.out, usual.out, strict=True)
    np.testing.assert_array_equal(ours.lse, usual.lse, strict=True)


def test_inputs_are_never_written(engine):
    before = {name: a.copy() for name, a in ARRAYS.items()}
    numfuse.attention(**ARRAYS, causal=True, window=7, softcap=3.0, return_lse=True)
    numfuse.attention_weights(**{n: a for n, a in ARRAYS.items() if n != "value"})
    for name, a in ARRAYS.items():
        np.testing.assert_array_equal(a, before[name], strict=True)


def test_result_is_a_plain_contiguous_array_of_its_own(engine):
    x = ARRAYS["query"]
    out, lse = numfuse.attention(x, x, x, return_lse=True)
    for a in (out, lse):
        assert type(a) is np.ndarray
        assert a.flags.c_contiguous
        assert a.flags.writeable
        assert not np.shares_memory(a, x)


class Wrapped:
    """An array of another library, as far as NumPy knows."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.array, dtype)


def test_objects_with_an_array_inside_are_taken(engine):
    x = ARRAYS["query"]
    np.testing.assert_array_equal(
        numfuse.attention(Wrapped(x), Wrapped(x), Wrapped(x)), numfuse.attention(x, x, x)
    )


def test_lists_are_float64(engine):
    x = ARRAYS["query"][0, :, :5, :3]
    out = numfuse.attention(x.tolist(), x.tolist(), x.tolist())
    assert out.dtype == np.float64
    np.testing.assert_array_equal(out, numfuse.attention(*[x.astype(float)] * 3))
