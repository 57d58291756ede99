"""Wrong input: each mistake has a message of its own, with argument, what was given and what is allowed."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

import numfuse
from numfuse import _options

from .examples import example


def x(*shape, dtype=np.float32):
    return np.ones(shape, dtype)


QUERY, KEY, VALUE = x(2, 8, 5, 16), x(2, 2, 7, 16), x(2, 2, 7, 3)
HALF = np.ones(KEY.shape, np.float16)


def read_only():
    out = np.empty((2, 8, 5, 3), np.float32)
    out.flags.writeable = False
    return out


# mistake: (replaced arguments, error, what the message must say)
ATTENTION = {
    "query of rank 1": ({"query": x(5)}, ValueError, ["query is 1-D", "at least 2-D", "(5,)"]),
    "query of rank 0": ({"query": x()}, ValueError, ["query is 0-D", "at least 2-D"]),
    "value of rank 1": ({"value": x(7)}, ValueError, ["value is 1-D", "at least 2-D", "(7,)"]),
    "key a matrix beside query of rank 4": (
        {"key": x(7, 16)}, ValueError, ["key is 2-D", "query is 4-D", "(7, 16)"],
    ),
    "heads that do not divide": (
        {"query": x(2, 8, 5, 16), "key": x(2, 6, 7, 16), "value": x(2, 6, 7, 3)},
        ValueError, ["key has 6 heads", "divide", "8", "(2, 6, 7, 16)", "repeat or drop"],
    ),
    "more key heads than query heads": (
        {"key": x(2, 16, 7, 16), "value": x(2, 16, 7, 3)}, ValueError, ["key has 16 heads", "divide", "8"],
    ),
    "no key heads": (
        {"key": x(2, 0, 7, 16), "value": x(2, 0, 7, 3)}, ValueError, ["key has 0 heads", "divide", "8"],
    ),
    "heads of value that are not key's": (
        {"value": x(2, 4, 7, 3)}, ValueError, ["key has 2 heads", "value has 4", "(2, 4, 7, 3)"],
    ),
    "head sizes that differ": (
        {"key": x(2, 2, 7, 15)}, ValueError, ["query has head size 16", "key has 15", "(2, 2, 7, 15)"],
    ),
    "lengths that differ": (
        {"value": x(2, 2, 8, 3)}, ValueError, ["key has length 7", "value has 8", "(2, 2, 8, 3)"],
    ),
    "batches that do not broadcast": (
        {"key": x(3, 2, 7, 16), "value": x(3, 2, 7, 3)}, ValueError, ["do not broadcast", "(3, 2, 7, 16)"],
    ),
    "query of half precision": (
        {"query": QUERY.astype(np.float16)}, TypeError,
        ["query is float16", "float32", "float64", "query.astype(np.float32)"],
    ),
    "key of integers": (
        {"key": KEY.astype(int)}, TypeError, ["key is int64", "float32 or float64", "key.astype(np.float64)"],
    ),
    "value of complex numbers": (
        {"value": VALUE.astype(complex)}, TypeError, ["value is complex128", "float32 or float64", "value.real"],
    ),
    "value of bools": ({"value": VALUE.astype(bool)}, TypeError, ["value is bool", "float32 or float64"]),
    "value of objects": ({"value": VALUE.astype(object)}, TypeError, ["value is object", "float32 or float64"]),
    "key masked": ({"key": np.ma.masked_array(KEY)}, TypeError, ["key is a MaskedArray", "key.filled"]),
    "mask that does not broadcast": (
        {"mask": x(5, 6, dtype=bool)}, ValueError, ["mask has shape (5, 6)", "(2, 8, 5, 7)"],
    ),
    "mask with the length of the valid keys": (
        {"mask": x(5, 4, dtype=bool), "key_lengths": 4}, ValueError, ["mask has shape (5, 4)", "(2, 8, 5, 7)"],
    ),
    "mask of one axis more": (
        {"mask": x(1, 2, 8, 5, 7, dtype=bool)}, ValueError, ["mask has shape (1, 2, 8, 5, 7)"],
    ),
    "mask that would enlarge the batch": (
        {"query": QUERY[:1], "key": KEY[:1], "value": VALUE[:1], "mask": x(2, 8, 5, 7, dtype=bool)},
        ValueError, ["mask has shape (2, 8, 5, 7)", "(1, 8, 5, 7)"],
    ),
    "mask of floats": ({"mask": x(5, 7)}, TypeError, ["mask is float32", "bool", "bias"]),
    "mask of bytes": ({"mask": x(5, 7, dtype=np.uint8)}, TypeError, ["mask is uint8", "bool"]),
    "bias that does not broadcast": ({"bias": x(3, 5, 7)}, ValueError, ["bias has shape (3, 5, 7)", "(2, 8, 5, 7)"]),
    "bias of bools": ({"bias": x(5, 7, dtype=bool)}, TypeError, ["bias is bool", "floating point", "mask"]),
    "bias of integers": ({"bias": x(5, 7, dtype=int)}, TypeError, ["bias is int64", "floating point"]),
    "slopes for key's heads": ({"alibi_slopes": x(2)}, ValueError, ["alibi_slopes has shape (2,)", "(2, 8)"]),
    "slopes that are NaN": ({"alibi_slopes": np.full(8, np.nan)}, ValueError, ["alibi_slopes is nan at [0]", "finite"]),
    "sinks for key's heads": ({"sinks": x(2)}, ValueError, ["sinks has shape (2,)", "(2, 8)"]),
    "sinks that are infinite": ({"sinks": np.full(8, np.inf)}, ValueError, ["sinks is inf", "below infinity"]),
    "negative key length": (
        {"key_lengths": [3, -1]}, ValueError, ["key_lengths is -1 at [1]", "integers from 0 to 7"],
    ),
    "too long key length": ({"key_lengths": 8}, ValueError, ["key_lengths is 8", "integers from 0 to 7"]),
    "key length that is no integer": ({"key_lengths": 3.0}, TypeError, ["key_lengths is float64", "integers"]),
    "key lengths for another batch": ({"key_lengths": [1, 2, 3]}, ValueError, ["key_lengths has shape (3,)", "(2,)"]),
    "query offset that is no integer": ({"query_offset": 0.5}, TypeError, ["query_offset is float64", "integers"]),
    "query offset beyond all positions": ({"query_offset": 2**62}, ValueError, ["query_offset is 4611686018427387904"]),
    "query offsets for another batch": ({"query_offset": [1, 2, 3]}, ValueError, ["query_offset has shape (3,)"]),
    "scale that is NaN": ({"scale": np.nan}, ValueError, ["scale is nan", "finite number"]),
    "scale that is infinite": ({"scale": -np.inf}, ValueError, ["scale is -inf", "finite number"]),
    "scale too large for float32": ({"scale": 1e39}, ValueError, ["scale is 1e+39", "finite number", "float32"]),
    "scale that is an array": ({"scale": np.ones(3)}, TypeError, ["scale is an array of shape (3,)"]),
    "scale that is text": ({"scale": "1"}, TypeError, ["scale is '1'", "finite number"]),
    "softcap of zero": ({"softcap": 0.0}, ValueError, ["softcap is 0.0", "> 0"]),
    "softcap below zero": ({"softcap": -5}, ValueError, ["softcap is -5", "> 0"]),
    "softcap that is NaN": ({"softcap": np.nan}, ValueError, ["softcap is nan", "> 0"]),
    "window end that is negative": ({"window": (3, -1)}, ValueError, ["window is (3, -1)", ">= 0"]),
    "window that is negative": ({"window": -2}, ValueError, ["window is -2", ">= 0"]),
    "window of three ends": ({"window": (1, 2, 3)}, ValueError, ["window is (1, 2, 3)", "pair (left, right)"]),
    "window of fractions": ({"window": 1.5}, TypeError, ["window is 1.5", "integer >= 0"]),
    "window that is True": ({"window": True}, TypeError, ["window is True", "integer >= 0"]),
    "causal that is an integer": ({"causal": 1}, TypeError, ["causal is 1", "True or False"]),
    "return_lse that is text": ({"return_lse": "yes"}, TypeError, ["return_lse is 'yes'", "True or False"]),
    "out of another shape": (
        {"out": x(2, 8, 5, 16)}, ValueError, ["out has shape (2, 8, 5, 16)", "(2, 8, 5, 3)", "np.empty"],
    ),
    "out of another dtype": (
        {"out": x(2, 8, 5, 3, dtype=np.float64)}, TypeError, ["out is float64", "the result is float32"],
    ),
    "out that is read-only": ({"out": read_only()}, ValueError, ["out is read-only"]),
    "out that is a list": ({"out": [0.0]}, TypeError, ["out is a list", "NumPy array"]),
}  # fmt: skip


@pytest.mark.parametrize("mistake", ATTENTION)
def test_attention_explains(engine, mistake):
    arguments, kind, words = ATTENTION[mistake]
    with pytest.raises(kind) as error:
        numfuse.attention(**{"query": QUERY, "key": KEY, "value": VALUE, **arguments})
    assert type(error.value) is kind
    for word in words:
        assert word in str(error.value)


ONLY_VALUE = {"value", "out", "return_lse"}


@pytest.mark.parametrize(
    "mistake", [m for m, (a, _, _) in ATTENTION.items() if not ONLY_VALUE & set(a)]
)
def test_attention_weights_explains(engine, mistake):
    arguments, kind, words = ATTENTION[mistake]
    with pytest.raises(kind) as error:
        numfuse.attention_weights(**{"query": QUERY, "key": KEY, **arguments})
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    "mistake", [m for m, (a, _, _) in ATTENTION.items() if set(a) <= {"query", "key", "value"}]
)
def test_a_mistake_in_the_arrays_has_the_same_message_with_and_without_options(engine, mistake):
    """A call without options may take a shorter way; its errors may not differ."""
    arguments, kind, _ = ATTENTION[mistake]
    texts = []
    for more in ({}, {"softcap": 3.0}, {"causal": True, "scale": 1.0}):
        with pytest.raises(kind) as error:
            numfuse.attention(**{"query": QUERY, "key": KEY, "value": VALUE, **arguments, **more})
        texts.append(str(error.value))
    assert len(set(texts)) == 1


def one_element(*shape):
    """An array of that shape in four bytes."""
    return as_strided(np.ones(1, np.float32), shape, (0,) * len(shape))


@pytest.mark.parametrize("shapes", [
    ((2**40, 1, 1, 1, 1), (1, 2**40, 1, 1, 1)),  # elements: 2⁸⁰
    ((2**31, 1, 1, 1, 1), (1, 2**31, 1, 1, 1)),  # bytes: 2⁶⁴
    ((2**31, 1, 1, 1, 1), (1, 2**30, 1, 1, 1)),  # bytes: 2⁶³, one more than an array may have
], ids=str)  # fmt: skip
@pytest.mark.parametrize("function", ["attention", "attention_weights"])
def test_sizes_whose_product_overflows_are_refused(engine, function, shapes):
    """Multiplied with wrap-around they would be few, and memory would be written out of bounds."""
    query, key = (one_element(*shape) for shape in shapes)
    arrays = [query, key] if function == "attention_weights" else [query, key, key]
    with pytest.raises(ValueError, match="query") as error:
        getattr(numfuse, function)(*arrays)
    assert "bytes" in str(error.value)


def test_a_result_that_fits_an_address_but_no_memory_is_a_memory_error(engine):
    query, key = one_element(2**28, 1, 1, 1, 1), one_element(1, 2**28, 1, 1, 1)
    with pytest.raises(MemoryError):
        numfuse.attention(query, key, key)


def test_a_matrix_of_weights_that_no_address_space_holds_is_refused(engine):
    with pytest.raises(ValueError, match=r"matrix of weights.*bytes"):
        numfuse.attention_weights(one_element(1, 2**31, 4), one_element(1, 2**31, 4))


@pytest.mark.parametrize("option", ["mask", "bias"])
def test_an_option_seen_by_stride_zero_needs_no_memory(engine, option):
    """Options are read by their strides, never expanded: 2³¹ repeated rows stay one."""
    narrow = one_element(1, 1, 1, 4).astype(bool if option == "mask" else np.float32)
    out = numfuse.attention(x(1, 3, 8), x(1, 4, 8), x(1, 4, 8), **{option: narrow[0]})
    np.testing.assert_array_equal(out, np.ones((1, 3, 8), np.float32))


MERGE = {
    "no parts": (([], []), ["outs has 0 parts", "at least one"]),
    "an lse missing": (([x(2, 5, 3)] * 2, [x(2, 5)]), ["outs has 2 parts and lses has 1"]),
    "outs of two shapes": (
        ([x(2, 5, 3), x(2, 6, 3)], [x(2, 5)] * 2),
        ["outs[1] has shape (2, 6, 3)", "(2, 5, 3)"],
    ),
    "lses of outs' shape": (
        ([x(2, 5, 3)], [x(2, 5, 3)]),
        ["lses[0] has shape (2, 5, 3)", "(2, 5)"],
    ),
    "lses with an axis for columns": (
        ([x(2, 5, 3)], [x(2, 5, 1)]),
        ["lses[0] has shape (2, 5, 1)", "(2, 5)"],
    ),
    "outs that are vectors": (
        ([x(5)], [x()]),
        ["outs[0] has shape (5,)", "(..., heads, queries, value_dim)"],
    ),
}


@pytest.mark.parametrize("mistake", MERGE)
def test_merge_attention_explains(engine, mistake):
    arguments, words = MERGE[mistake]
    with pytest.raises(ValueError, match=r"\w") as error:
        numfuse.merge_attention(*arguments)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(("arguments", "words"), [
    ({"x": x(8)}, ["x has shape (8,)", "at least 2 axes"]),
    ({"positions": np.arange(4)}, ["positions has shape (4,)", "(2, 3, 5)"]),
    ({"positions": np.zeros((3, 5))}, ["positions has shape (3, 5)", "(2, 5)"]),
    ({"positions": [0, 1, 2, 3, np.nan]}, ["positions is nan at [4]", "finite"]),
    ({"rotary_dim": 10}, ["rotary_dim is 10", "8 features"]),
    ({"rotary_dim": 3}, ["rotary_dim is 3", "even"]),
    ({"base": 0.0}, ["base is 0.0", "> 0"]),
], ids=str)  # fmt: skip
def test_rotary_explains(engine, arguments, words):
    with pytest.raises(ValueError, match=r"\w") as error:
        numfuse.rotary(**{"x": x(2, 3, 5, 8), "positions": np.arange(5), **arguments})
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(("arguments", "words"), [
    ({"x": x()}, ["x has no axis"]),
    ({"weight": x(4)}, ["weight has shape (4,)", "(5,)"]),
    ({"weight": x(1)}, ["weight has shape (1,)", "(5,)"]),
    ({"bias": x(3, 5)}, ["bias has shape (3, 5)", "(5,)"]),
    ({"epsilon": -1.0}, ["epsilon is -1.0", ">= 0"]),
    ({"epsilon": np.nan}, ["epsilon is nan", ">= 0"]),
], ids=str)  # fmt: skip
def test_layer_norm_explains(engine, arguments, words):
    with pytest.raises(ValueError, match=r"\w") as error:
        numfuse.layers.layer_norm(**{"x": x(3, 5), **arguments})
    for word in words:
        assert word in str(error.value)


def test_gelu_explains(engine):
    with pytest.raises(ValueError, match='approximate is \'erf\'.*"none" or "tanh"'):
        numfuse.layers.gelu(x(3), approximate="erf")


@pytest.mark.parametrize(("arguments", "words"), [
    ({"dropout_p": 0.1}, ["dropout_p is 0.1"]),
    ({"is_causal": True, "attn_mask": x(5, 7, dtype=bool)}, ["attn_mask", "is_causal"]),
    ({"attn_mask": x(5, 6, dtype=bool)}, ["attn_mask has shape (5, 6)", "(2, 4, 5, 7)"]),
    ({"key": x(2, 2, 7, 16), "value": x(2, 2, 7, 3)}, ["do not broadcast", "enable_gqa=True"]),
    ({"scale": np.nan}, ["scale is nan"]),
], ids=str)  # fmt: skip
def test_scaled_dot_product_attention_explains(engine, arguments, words):
    usual = {"query": x(2, 4, 5, 16), "key": x(2, 4, 7, 16), "value": x(2, 4, 7, 3)}
    with pytest.raises(ValueError, match=r"\w") as error:
        numfuse.compat.scaled_dot_product_attention(**{**usual, **arguments})
    for word in words:
        assert word in str(error.value)


def bad_values():
    for function, constraints in _options.CONSTRAINTS.items():
        # What classes refuse is a cell of the table's.
        if example(f"numfuse.{function}") is None:
            continue
        for argument, constraint in constraints.items():
            for number, bad in enumerate(constraint.bad):
                yield pytest.param(function, argument, bad, id=f"{function}-{argument}-{number}")


@pytest.mark.parametrize(("function", "argument", "bad"), list(bad_values()))
def test_every_bad_value_of_every_constraint_is_refused(engine, function, argument, bad):
    with pytest.raises((TypeError, ValueError)) as error:
        example(f"numfuse.{function}").call(**{argument: bad})
    assert str(error.value).startswith(argument)


@pytest.mark.parametrize("function", _options.CONSTRAINTS)
def test_every_constraint_has_bad_values(function):
    for argument, constraint in _options.CONSTRAINTS[function].items():
        assert constraint.bad, argument
