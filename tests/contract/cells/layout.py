"""Contract "layout": no layout of an input changes a bit, and no input is changed."""

import numpy as np

from attention.layouts import LAYOUTS


def every_layout_of_every_array_gives_the_same_bits(name, example):
    usual = example.result()
    for argument, a in {**example.values, **example.options}.items():
        for layout in LAYOUTS:
            for x, y in zip(usual, example.result(**{argument: layout(a)}), strict=True):
                np.testing.assert_array_equal(
                    x, y, err_msg=f"{argument}, {layout.__name__}", strict=True
                )


def an_item_repeated_by_stride_zero_is_like_one_repeated_in_memory(name, example):
    for argument, a in example.values.items():
        repeated = example.result(**{argument: np.broadcast_to(a[:1], a.shape)})
        stored = example.result(**{argument: np.repeat(a[:1], len(a), axis=0)})
        for x, y in zip(repeated, stored, strict=True):
            np.testing.assert_array_equal(x, y, strict=True)


def a_batch_of_none_gives_a_batch_of_none(name, example):
    arrays = {**example.values, **{option: example.options[option] for option in example.per_item}}
    for a in example.result(**{argument: a[:0] for argument, a in arrays.items()}):
        assert len(a) == 0


def inputs_are_left_as_they_were(name, example):
    arrays = {**example.values, **example.options}
    before = {argument: a.copy() for argument, a in arrays.items()}
    example.call()
    for argument, a in arrays.items():
        np.testing.assert_array_equal(a, before[argument], strict=True)


def results_own_their_memory(name, example):
    for result in example.result():
        assert type(result) is np.ndarray
        assert result.flags.writeable
        for a in {**example.values, **example.options}.values():
            assert not np.shares_memory(result, a)


ALL = [
    every_layout_of_every_array_gives_the_same_bits,
    an_item_repeated_by_stride_zero_is_like_one_repeated_in_memory,
    a_batch_of_none_gives_a_batch_of_none,
    inputs_are_left_as_they_were,
    results_own_their_memory,
]
