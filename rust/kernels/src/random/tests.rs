//! Published vectors, the logarithm's error, and parts of streams; the NumPy reference's bits are
//! compared in tests/random.rs.

use super::*;

#[test]
fn philox_gives_the_published_words() {
    // Random123's kat_vectors, philox4x32 with 10 rounds.
    let ones = u32::MAX;
    for (counter, key, words) in [
        (
            [0; 4],
            [0; 2],
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8],
        ),
        (
            [ones; 4],
            [ones; 2],
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd],
        ),
        (
            [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
            [0xa409_3822, 0x299f_31d0],
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
        ),
    ] {
        assert_eq!(philox4x32(key, counter), words);
    }
}

fn parts_match<T: Variate + PartialEq + std::fmt::Debug + Default>() {
    let stream = Stream::new(5, 6);
    for first in 0..9 {
        for count in 0..9 {
            let mut part = vec![T::default(); count];
            stream.fill_uniform(first, &mut part);
            let alone: Vec<T> = (first..)
                .take(count)
                .map(|index| stream.uniform(index))
                .collect();
            assert_eq!(part, alone);
            stream.fill_exponential(first, &mut part);
            let alone: Vec<T> = (first..)
                .take(count)
                .map(|index| stream.exponential(index))
                .collect();
            assert_eq!(part, alone);
        }
    }
}

#[test]
fn any_part_of_a_stream_can_be_made_alone() {
    parts_match::<f32>();
    parts_match::<f64>();
}

#[test]
#[cfg_attr(miri, ignore = "Miri makes the library's logarithm inexact on purpose")]
fn exponentials_are_the_logarithm_to_four_units_in_the_last_place() {
    // Three against the true logarithm, as the Python tests measure with decimals; the library's
    // own may be one off.
    let stream = Stream::new(1, 0);
    for index in 0..200_000 {
        let u: f64 = stream.uniform(index);
        let truth = -(-u).ln_1p();
        assert!(
            (exponential(u) - truth).abs() <= 4.0 * f64::EPSILON * truth,
            "{u}"
        );
        let u: f32 = stream.uniform(index);
        let truth = -(-f64::from(u)).ln_1p();
        let error = (f64::from(exponential(u)) - truth).abs();
        assert!(error <= 3.0 * f64::from(f32::EPSILON) * truth, "{u}");
    }
    assert_eq!(exponential(0.0_f32).to_bits(), 0);
    assert_eq!(exponential(0.0_f64).to_bits(), 0);
    assert!(exponential(1.0 - f32::EPSILON / 2.0) < 16.7);
    assert!(exponential(1.0 - f64::EPSILON / 2.0) < 36.8);
}

#[test]
fn bounded_integers_reach_all_their_values_and_no_more() {
    let stream = Stream::new(2, 0);
    let mut seen = [0_usize; 6];
    for item in 0..600 {
        seen[stream.below(item, 6) as usize] += 1;
    }
    assert!(seen.iter().all(|&count| count > 50), "{seen:?}");
    assert_eq!(stream.below(9, 1), 0);
    // Half of all words are refused for this bound.
    let bound = (1 << 63) + 1;
    assert!((0..100).all(|item| stream.below(item, bound) < bound));
}

#[test]
fn a_shuffle_keeps_every_item() {
    let mut items: Vec<u32> = (0..500).collect();
    Stream::new(3, 4).shuffle(&mut items);
    assert!(items.windows(2).any(|pair| pair[0] > pair[1]));
    items.sort_unstable();
    assert!(items.into_iter().eq(0..500));
}
