"""The kernels' random numbers are the reference's, bit for bit, on every level."""

import numpy as np
import pytest

from numfuse import _native
from numfuse.reference import random

SEEDS = [(0, 0), (1, 2), (2**64 - 1, 2**64 - 1), (0x0123456789ABCDEF, 2**32)]


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        (
            (0xFFFFFFFF,) * 4,
            (0xFFFFFFFF, 0xFFFFFFFF),
            (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
        ),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_kernels_give_the_published_words_of_philox(level, counter, key, words):
    """Random123's kat_vectors, philox4x32 with 10 rounds."""
    assert _native.kernels.philox4x32(key, counter) == words


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("seed", "stream"), SEEDS)
def test_kernels_uniforms_and_exponentials_have_the_references_bits(level, seed, stream, dtype):
    for count in (0, 1, 2, 3, 4, 5, 7, 8, 1001):
        for ours, theirs in [
            (_native.kernels.random_uniform, random.uniform),
            (_native.kernels.random_exponential, random.exponential),
        ]:
            expected = theirs(seed, stream, count, dtype=np.dtype(dtype).type)
            given = ours(seed, stream, count, dtype)
            assert given.dtype == expected.dtype == dtype
            assert given.tobytes() == expected.tobytes()


@pytest.mark.parametrize(("seed", "stream"), SEEDS)
def test_kernels_permutations_are_the_references(level, seed, stream):
    for count in (0, 1, 2, 3, 10, 1000):
        expected = random.permutation(seed, stream, count)
        np.testing.assert_array_equal(
            _native.kernels.random_permutation(seed, stream, count), expected, strict=True
        )
