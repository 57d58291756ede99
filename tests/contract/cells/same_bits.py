"""Contract "same bits": for any thread count, and for one item whatever else is in its batch."""

import numfuse


def assert_same(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert a.tobytes() == b.tobytes()


def same_bits_at_1_2_3_and_7_threads(name, example):
    with numfuse.config_context(threads=1):
        alone = example.result()
    for threads in (2, 3, 7):
        with numfuse.config_context(threads=threads):
            assert_same(example.result(), alone)


def same_bits_for_an_item_alone(name, example):
    whole = example.result()
    for index in range(len(whole[0])):
        alone = example.result(**example.item(index))
        assert_same(alone, [a[index : index + 1] for a in whole])


def same_bits_when_called_again(name, example):
    first = example.result()
    for _ in range(5):
        assert_same(example.result(), first)


ALL = [same_bits_at_1_2_3_and_7_threads, same_bits_for_an_item_alone, same_bits_when_called_again]
