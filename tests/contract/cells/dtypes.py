"""Contract "dtypes": values promote together and set the output's; anything else is refused by name."""

import numpy as np
import pytest


def message_name(name):
    """How an error calls an argument: the parts of `merge_attention` by their place in the list."""
    part, _, index = name.partition("_")
    return f"{part}s[{index}]" if index.isdigit() else name


def cast(example, dtype):
    return {name: a.astype(dtype) for name, a in example.values.items()}


def float32_stays_float32(name, example):
    assert all(a.dtype == np.float32 for a in example.result())


def float64_stays_float64(name, example):
    assert all(a.dtype == np.float64 for a in example.result(**cast(example, np.float64)))


def one_float64_among_float32_makes_float64(name, example):
    wide = cast(example, np.float64)
    for argument in example.values:
        assert all(a.dtype == np.float64 for a in example.result(**{argument: wide[argument]}))


def options_are_cast_to_the_dtype_of_the_values(name, example):
    usual = example.result()
    for argument, a in example.options.items():
        if a.dtype.kind == "f":
            for x, y in zip(usual, example.result(**{argument: a.astype(np.float64)}), strict=True):
                np.testing.assert_array_equal(x, y, strict=True)


def other_dtypes_are_refused_with_the_cast(name, example):
    for argument, a in example.values.items():
        for dtype in (np.int32, np.int8, np.uint64, np.bool_, np.complex64, np.longdouble, object):
            if np.dtype(dtype) == np.float64:  # longdouble on some machines
                continue
            with pytest.raises(TypeError) as error:
                example.call(**{argument: a.astype(dtype)})
            text = str(error.value)
            assert message_name(argument) in text
            assert np.dtype(dtype).name in text
            assert "float32 or float64" in text
            assert ".astype(" in text or ".real" in text


def half_precision_is_refused_with_the_cast(name, example):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    for argument, a in example.values.items():
        for dtype in (np.float16, ml_dtypes.bfloat16):
            with pytest.raises(TypeError) as error:
                example.call(**{argument: a.astype(dtype)})
            text = str(error.value)
            assert message_name(argument) in text
            assert np.dtype(dtype).name in text
            assert "half precision" in text
            assert ".astype(" in text


def float16_is_refused_with_the_cast(name, example):
    for argument, a in example.values.items():
        with pytest.raises(TypeError, match=r"float16.*half precision.*\.astype\("):
            example.call(**{argument: a.astype(np.float16)})


def text_is_refused(name, example):
    for argument in example.values:
        with pytest.raises(TypeError):
            example.call(**{argument: "abc"})


def lists_are_what_asarray_makes_of_them(name, example):
    lists = {argument: a.tolist() for argument, a in example.values.items()}
    for x, y in zip(
        example.result(**lists), example.result(**cast(example, np.float64)), strict=True
    ):
        np.testing.assert_array_equal(x, y, strict=True)


def ragged_lists_are_refused_by_name(name, example):
    for argument in example.values:
        with pytest.raises(ValueError, match=r"nested lists of equal lengths") as error:
            example.call(**{argument: [[1.0, 2.0], [3.0]]})
        assert message_name(argument) in str(error.value)


def masked_arrays_are_refused_by_name(name, example):
    for argument, a in {**example.values, **example.options}.items():
        with pytest.raises(TypeError, match="MaskedArray") as error:
            example.call(**{argument: np.ma.masked_array(a)})
        assert message_name(argument) in str(error.value)


def the_other_byte_order_is_not_misread(name, example):
    usual = example.result()
    for argument, a in {**example.values, **example.options}.items():
        swapped = a.astype(a.dtype.newbyteorder("S"))
        for x, y in zip(usual, example.result(**{argument: swapped}), strict=True):
            np.testing.assert_array_equal(x, y, strict=True)


ALL = [
    float32_stays_float32, float64_stays_float64, one_float64_among_float32_makes_float64,
    options_are_cast_to_the_dtype_of_the_values, other_dtypes_are_refused_with_the_cast,
    float16_is_refused_with_the_cast, half_precision_is_refused_with_the_cast, text_is_refused,
    lists_are_what_asarray_makes_of_them, ragged_lists_are_refused_by_name,
    masked_arrays_are_refused_by_name, the_other_byte_order_is_not_misread,
]  # fmt: skip
