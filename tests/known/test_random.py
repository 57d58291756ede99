"""The reference's random numbers: published vectors, the bits that Rust gives, and their spread."""

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest

from known.random_cases import PATH, cases, line
from numfuse.reference import random

# Random123's kat_vectors, philox4x32 with 10 rounds: counter, key, result.
PUBLISHED = [
    ([0] * 4, (0, 0), [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    (
        [0xFFFFFFFF] * 4,
        (0xFFFFFFFF, 0xFFFFFFFF),
        [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD],
    ),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        (0xA4093822, 0x299F31D0),
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), PUBLISHED)
def test_philox_gives_the_published_words(counter, key, words):
    assert random.philox4x32(key, counter).tolist() == words
    assert random.philox4x32(key, [counter, [1, 2, 3, 4]])[0].tolist() == words


def test_a_seed_gives_the_numbers_that_it_gave_before_and_in_rust():
    known = PATH.read_text().splitlines()
    assert [line(*case) for case in cases()] == known


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_part_of_a_stream_can_be_made_alone(dtype):
    whole = random.uniform(5, 6, 40, dtype=dtype)
    for first in range(10):
        for count in range(10):
            part = random.uniform(5, 6, count, first=first, dtype=dtype)
            assert part.dtype == dtype
            np.testing.assert_array_equal(part, whole[first : first + count])


@pytest.mark.parametrize(("dtype", "digits"), [(np.float32, 24), (np.float64, 53)])
def test_exponentials_are_the_logarithm_to_three_units_in_the_last_place(dtype, digits):
    step = 2.0**-digits
    edges = [0, step, 2 * step, 0.25, 0.2928, 0.29290, 0.5, 0.75, 1 - 2 * step, 1 - step]
    uniforms = np.concatenate([random.uniform(1, 0, 2_000, dtype=dtype), np.array(edges, dtype)])
    got = dtype(0) - random._ln(dtype(1) - uniforms)
    with localcontext(prec=40):
        for u, exponential in zip(uniforms.tolist(), got.tolist(), strict=True):
            truth = -(1 - Decimal(u)).ln()
            unit = Decimal(float(np.spacing(dtype(truth))))
            assert abs(Decimal(exponential) - truth) <= 3 * unit, u
    assert not np.signbit(got).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moments_are_those_of_the_distributions(dtype):
    count = 200_000
    uniform = random.uniform(11, 0, count, dtype=dtype).astype(np.float64)
    exponential = random.exponential(11, 1, count, dtype=dtype).astype(np.float64)
    # Five standard errors each.
    assert abs(uniform.mean() - 0.5) < 5 * math.sqrt(1 / 12 / count)
    assert abs((uniform**2).mean() - 1 / 3) < 5 * math.sqrt(4 / 45 / count)
    assert abs(exponential.mean() - 1) < 5 * math.sqrt(1 / count)
    assert abs((exponential**2).mean() - 2) < 5 * math.sqrt(20 / count)
    assert 0 <= uniform.min() and uniform.max() < 1


def test_every_bounded_integer_is_equally_likely():
    drawn = random.below(2, 0, np.arange(60_000), 6)
    counts = np.bincount(drawn.astype(np.int64), minlength=6)
    assert counts.sum() == 60_000 and len(counts) == 6
    # χ² with 5 degrees of freedom exceeds 25.7 once in ten thousand.
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 25.7
    # Half of all words are refused for this bound; those kept must reach all of it.
    wide = random.below(2, 1, np.arange(2_000), (1 << 63) + 1)
    assert wide.max() > 0.99 * 2.0**63 and wide.max() <= 1 << 63


def test_every_order_is_equally_likely():
    orders = {}
    for stream in range(2_400):
        order = tuple(random.permutation(4, stream, 4).tolist())
        orders[order] = orders.get(order, 0) + 1
    assert len(orders) == 24
    # χ² with 23 degrees of freedom exceeds 56.6 once in ten thousand.
    assert sum((count - 100) ** 2 / 100 for count in orders.values()) < 56.6


def test_scalars_and_broadcast_bounds_are_taken():
    assert random.below(1, 2, 7, 5).shape == ()
    table = random.below(1, 2, [[0], [1]], [3, 1 << 63, (1 << 64) - 1])
    assert table.shape == (2, 3)
    assert table[1, 0] == random.below(1, 2, 1, 3)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="bounds holds a 0"):
        random.below(0, 0, [1, 2], [3, 0])
    with pytest.raises(TypeError, match="float16, but must be float32 or float64"):
        random.uniform(0, 0, 3, dtype=np.float16)
