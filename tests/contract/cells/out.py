"""Contract "out=": checked, filled with the same bits, and free to share memory with an input."""

import tempfile

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

from attention.layouts import (
    every_second_column,
    every_second_row,
    fortran,
    misaligned,
    rows_backwards,
)


def expected(example):
    result = example.call()
    assert type(result) is np.ndarray
    return result


def the_array_given_is_returned_with_the_same_bits(name, example):
    usual = expected(example)
    for layout in (
        np.copy,
        fortran,
        every_second_column,
        every_second_row,
        rows_backwards,
        misaligned,
    ):
        out = layout(np.full_like(usual, np.nan))
        assert example.call(out=out) is out
        np.testing.assert_array_equal(out, usual)


def a_memory_map_is_filled(name, example):
    usual = expected(example)
    with tempfile.NamedTemporaryFile() as file:
        out = np.memmap(file.name, dtype=usual.dtype, mode="w+", shape=usual.shape)
        assert example.call(out=out) is out
        np.testing.assert_array_equal(out, usual)
        del out


def another_shape_is_refused(name, example):
    usual = expected(example)
    for shape in [
        (*usual.shape, 1),
        usual.shape[1:],
        (*usual.shape[:-1], usual.shape[-1] + 1),
        usual.shape[::-1],
    ]:
        with pytest.raises(ValueError, match="out has shape") as error:
            example.call(out=np.zeros(shape, usual.dtype))
        assert str(shape) in str(error.value)
        assert str(usual.shape) in str(error.value)


def another_dtype_is_refused(name, example):
    usual = expected(example)
    for dtype in ("f8", "f2", "i4", usual.dtype.newbyteorder("S"), object):
        with pytest.raises(TypeError, match="out is") as error:
            example.call(out=np.zeros(usual.shape, dtype))
        assert "float32" in str(error.value)


def a_read_only_array_is_refused(name, example):
    out = np.zeros_like(expected(example))
    out.flags.writeable = False
    with pytest.raises(ValueError, match="out is read-only"):
        example.call(out=out)
    assert (out == 0).all()


def an_array_that_overlaps_itself_is_refused(name, example):
    usual = expected(example)
    steps = np.array(usual.strides) // usual.itemsize
    room = np.zeros(usual.size, usual.dtype)
    for strides in (0 * steps, np.minimum(steps, 1), np.maximum(steps - 1, 1)):
        out = as_strided(room, usual.shape, tuple(strides * usual.itemsize))
        with pytest.raises(ValueError, match="out has elements that share memory"):
            example.call(out=out)
        assert (room == 0).all()


def what_is_no_array_is_refused(name, example):
    usual = expected(example)
    for out in (usual.tolist(), 1.0, "out", (usual,), np.ma.masked_array(usual)):
        with pytest.raises(TypeError, match="out is a"):
            example.call(out=out)


def a_refused_call_leaves_out_alone(name, example):
    out = np.full_like(expected(example), 7)
    first = next(iter(example.values))
    with pytest.raises(TypeError):
        example.call(**{first: example.values[first].astype(int)}, out=out)
    assert (out == 7).all()


def an_out_that_overlaps_an_input_gets_the_same_bits(name, example):
    usual = expected(example)
    for argument, a in {**example.values, **example.options}.items():
        if a.dtype != usual.dtype:
            continue
        for shift in (0, 1, 5):
            room = np.zeros(max(a.size, usual.size) + shift, usual.dtype)
            overlapped = room[: a.size].reshape(a.shape)
            overlapped[...] = a
            out = room[shift : shift + usual.size].reshape(usual.shape)
            example.call(**{argument: overlapped}, out=out)
            np.testing.assert_array_equal(out, usual, err_msg=f"{argument}, shifted by {shift}")


ALL = [
    the_array_given_is_returned_with_the_same_bits, a_memory_map_is_filled, another_shape_is_refused,
    another_dtype_is_refused, a_read_only_array_is_refused, what_is_no_array_is_refused,
    an_array_that_overlaps_itself_is_refused, a_refused_call_leaves_out_alone,
    an_out_that_overlaps_an_input_gets_the_same_bits,
]  # fmt: skip
