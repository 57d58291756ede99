"""`out=` receives the same bits, whatever its layout and whatever else it shares memory with."""

import numpy as np
import pytest

import numfuse

from .bounds import assert_right
from .cases import Case
from .layouts import (
    contiguous,
    every_second_column,
    every_second_row,
    everything_backwards,
    fortran,
    heads_and_length_swapped,
    misaligned,
    part_of_wider_rows,
    rows_backwards,
)
from .test_right import plain_case

WRITABLE = [
    contiguous,
    heads_and_length_swapped,
    fortran,
    every_second_column,
    every_second_row,
    part_of_wider_rows,
    rows_backwards,
    everything_backwards,
    misaligned,
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", WRITABLE)
def test_out_of_any_layout_gets_the_same_bits(engine, layout, dtype):
    case = plain_case((2, 3, 37, 41, 24), dtype, causal=True)
    expected = case.run(return_lse=True)
    out = layout(np.full((2, 3, 37, 24), np.nan, dtype))
    result = case.run(out=out, return_lse=True)
    assert result.out is out
    np.testing.assert_array_equal(out, expected.out)
    np.testing.assert_array_equal(result.lse, expected.lse)
    out[...] = np.nan
    assert case.run(out=out) is out
    np.testing.assert_array_equal(out, expected.out)


@pytest.mark.parametrize("layout", [every_second_column, every_second_row, part_of_wider_rows])
def test_memory_between_the_elements_of_out_is_not_written(engine, layout):
    case = plain_case((2, 3, 37, 41, 24), causal=True)
    out = layout(np.zeros((2, 3, 37, 24), np.float32))
    base = out
    while base.base is not None:
        base = base.base
    inside = np.zeros(base.shape, bool)
    inside[
        {  # the same slice, taken of a map of the whole
            every_second_column: (..., slice(None, None, 2)),
            every_second_row: (..., slice(None, None, 2), slice(None)),
            part_of_wider_rows: (..., slice(2, -3)),
        }[layout]
    ] = True
    case.run(out=out)
    assert np.isnan(base[~inside]).all()
    assert np.isfinite(base[inside]).all()


@pytest.mark.parametrize("name", ["query", "key", "value"])
def test_out_may_be_an_input(engine, name):
    case = plain_case((2, 3, 41, 41, 24), causal=True)
    expected = case.run()
    target = getattr(case, name)
    assert case.run(out=target) is target
    np.testing.assert_array_equal(target, expected)


def test_out_may_be_the_bias(engine):
    case = plain_case((1, 2, 40, 40, 40), bias=np.zeros((1, 2, 40, 40), np.float32))
    expected = case.run()
    np.testing.assert_array_equal(case.run(out=case.options["bias"]), expected)


@pytest.mark.parametrize("shift", [1, 7, 24, 24 * 5 + 3])
@pytest.mark.parametrize("name", ["query", "key", "value"])
def test_out_may_overlap_an_input_in_part(engine, name, shift):
    case = plain_case((2, 3, 41, 41, 24))
    expected = case.run()
    size = case.query.size
    room = np.zeros(size + shift, np.float32)
    overlapped = room[:size].reshape(case.query.shape)
    overlapped[...] = getattr(case, name)
    setattr(case, name, overlapped)
    out = room[shift:].reshape(case.query.shape)
    case.run(out=out)
    np.testing.assert_array_equal(out, expected)


def test_out_interleaved_with_an_input_leaves_the_input_alone(engine):
    """The two share a buffer but no element."""
    case = plain_case((1, 2, 33, 33, 16))
    expected = case.run()
    room = np.zeros((1, 2, 33, 32), np.float32)
    room[..., ::2] = case.query
    case.query = room[..., ::2]
    before = case.query.copy()
    case.run(out=room[..., 1::2])
    np.testing.assert_array_equal(room[..., 1::2], expected)
    np.testing.assert_array_equal(case.query, before)


@pytest.mark.parametrize("shape", [(0, 2, 5, 8), (2, 2, 0, 8), (2, 2, 5, 0)])
def test_out_without_elements_is_returned(engine, shape):
    out = np.empty(shape, np.float32)
    query = np.ones((*shape[:-1], 8), np.float32)
    assert numfuse.attention(query, query, np.ones(shape, np.float32), out=out) is out


def test_out_with_every_option_is_right(engine):
    rng = np.random.default_rng(0)
    case = plain_case(
        (2, 4, 65, 90, 32),
        causal=True,
        window=(70, 5),
        mask=rng.random((65, 90)) < 0.9,
        bias=rng.standard_normal((4, 1, 90)),
        alibi_slopes=np.full(4, 0.1),
        sinks=np.zeros((2, 4)),
        scale=0.2,
        softcap=10.0,
        key_lengths=np.array([90, 55]),
        query_offset=np.array([3, 40]),
    )
    out = np.full((2, 4, 65, 32), np.nan, np.float32)
    result = case.run(out=out, return_lse=True)
    assert result.out is out
    assert_right(case, out, result.lse)


def test_out_of_one_call_does_not_change_with_the_next(engine):
    case = plain_case((1, 2, 33, 33, 16))
    first = case.run()
    copy = first.copy()
    Case(case.key, case.query, case.value, {}).run()
    np.testing.assert_array_equal(first, copy)
