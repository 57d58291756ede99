"""`rotary` turns pairs of columns as complex numbers; scores then depend on distances alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import numfuse

from .bounds import UNIT
from .layouts import LAYOUTS, contiguous


def turned(x, positions, base, interleaved, rotary_dim):
    """Truth: (one + i·two)·exp(i·position·base^(−2c/rotary_dim)), and a bound of its error in units u.

    Cosine and sine are rounded once, each product and the sum once: 4u of |one| + |two|. The angle
    itself is computed in float64: its exponent is rounded by u, which changes the power by
    u·|ln base|; the power, the quotient and the product with the position round by at most 4u.
    """
    wide = np.longdouble
    rotary_dim = x.shape[-1] if rotary_dim is None else rotary_dim
    half = rotary_dim // 2
    split = (
        (slice(0, rotary_dim, 2), slice(1, rotary_dim, 2))
        if interleaved
        else (slice(half), slice(half, rotary_dim))
    )
    one, two = x[..., split[0]].astype(wide), x[..., split[1]].astype(wide)
    frequency = wide(base) ** (-np.arange(0, rotary_dim, 2).astype(wide) / max(rotary_dim, 1))
    angle = np.asarray(positions).astype(wide)[..., None] * frequency
    number = (one + 1j * two) * np.exp(1j * angle)
    truth, bound = x.astype(wide), np.zeros(x.shape)
    truth[..., split[0]], truth[..., split[1]] = number.real, number.imag
    u = UNIT[x.dtype.newbyteorder("=")]
    each = (np.abs(one) + np.abs(two)) * (
        4 * u + np.abs(angle) * (4 + abs(np.log(base))) * 2.0**-53
    )
    bound[..., split[0]], bound[..., split[1]] = each, each
    return truth, bound


@st.composite
def turns(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    lead = draw(st.sampled_from([(), (2,), (2, 3)]))
    length, head_dim = (
        draw(st.sampled_from([0, 1, 2, 7, 33, 130])),
        draw(st.sampled_from([1, 2, 6, 16, 34, 64, 128])),
    )
    dtype, layout = (
        draw(st.sampled_from(["f4", "f8"])),
        draw(st.sampled_from([contiguous, *LAYOUTS])),
    )
    x = layout(rng.standard_normal((*lead, length, head_dim)).astype(dtype))
    positions = rng.integers(-5, draw(st.sampled_from([10, 4096, 10**6])), length)
    if draw(st.booleans()):
        positions = positions + rng.random(length)
    most = head_dim // 2
    rotary_dim = draw(
        st.one_of(
            st.none() if head_dim % 2 == 0 else st.just(0),
            st.integers(0, most).map(lambda n: 2 * n),
        )
    )
    return (
        x,
        positions,
        draw(st.sampled_from([10000.0, 500000.0, 2.5])),
        draw(st.booleans()),
        rotary_dim,
    )


@settings(max_examples=150)
@given(turn=turns())
def test_rotary_turns_pairs_as_complex_numbers(engine, turn):
    x, positions, base, interleaved, rotary_dim = turn
    out = numfuse.rotary(x, positions, base=base, interleaved=interleaved, rotary_dim=rotary_dim)
    assert out.dtype == x.dtype.newbyteorder("=")
    truth, bound = turned(x, positions, base, interleaved, rotary_dim)
    assert (np.abs(out - truth) <= bound).all()


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("rotary_dim", [None, 8])
def test_scores_depend_on_the_distance_of_positions_alone(engine, interleaved, rotary_dim):
    rng = np.random.default_rng(0)
    query, key = rng.standard_normal((2, 3, 20, 24))
    options = {"interleaved": interleaved, "rotary_dim": rotary_dim}

    def scores(shift):
        positions = np.arange(20) + shift
        return (
            numfuse.rotary(query, positions, **options)
            @ numfuse.rotary(key, positions, **options).mT
        )

    # 24 products of numbers below 5, each turned within 4u + 4·angle·u of the truth, angle ≤ 1019
    bound = 24 * 25 * 4 * (4 + 4 * 1019) * 2.0**-53
    for shift in (1, 7, 1000, -300):
        np.testing.assert_allclose(scores(shift), scores(0), rtol=0, atol=bound)


def test_position_zero_changes_nothing(engine):
    x = np.random.default_rng(1).standard_normal((2, 5, 8)).astype(np.float32)
    np.testing.assert_array_equal(numfuse.rotary(x, np.zeros(5, int)), x, strict=True)


def test_turning_back_is_the_identity(engine):
    x = np.random.default_rng(2).standard_normal((2, 50, 8))
    positions = np.arange(50)
    back = numfuse.rotary(numfuse.rotary(x, positions), -positions)
    np.testing.assert_allclose(back, x, rtol=0, atol=2 * 10 * (4 + 4 * 50) * 2.0**-53)


def test_columns_behind_rotary_dim_are_kept(engine):
    x = np.random.default_rng(3).standard_normal((2, 5, 10)).astype(np.float32)
    out = numfuse.rotary(x, np.arange(5), rotary_dim=4)
    np.testing.assert_array_equal(out[..., 4:], x[..., 4:])
    assert (out[:, 1:, :4] != x[:, 1:, :4]).any()


def test_each_item_of_a_batch_has_its_own_positions(engine):
    """Positions (batch, length) count for all heads of (batch, heads, length, head_dim)."""
    x = np.random.default_rng(4).standard_normal((3, 2, 5, 8)).astype(np.float32)
    positions = np.array([[0, 1, 2, 3, 4], [7, 8, 9, 10, 11], [5, 4, 3, 2, 1]])
    out = numfuse.rotary(x, positions)
    for b in range(3):
        np.testing.assert_array_equal(out[b], numfuse.rotary(x[b], positions[b]))


def test_rotary_has_the_same_bits_at_any_thread_count(level):
    x = np.random.default_rng(5).standard_normal((4, 8, 300, 64)).astype(np.float32)
    with numfuse.config_context(threads=1):
        alone = numfuse.rotary(x, np.arange(300))
    for threads in (2, 3, 7):
        with numfuse.config_context(threads=threads):
            assert numfuse.rotary(x, np.arange(300)).tobytes() == alone.tobytes()
    assert numfuse.rotary(x[2:3], np.arange(300)).tobytes() == alone[2:3].tobytes()


def test_input_is_not_turned_in_place(engine):
    x = np.ones((2, 5, 8), np.float32)
    numfuse.rotary(x, np.arange(5))
    assert (x == 1).all()
