//! Who sees whom, as lanes need it.
//!
//! Causality, window and length leave each query one span of keys. Where a panel's spans agree,
//! nothing is compared; elsewhere a lane's limits are. Mask and bias come as an *addend* tile
//! `[key][lane]`, transposed from where they lie, −∞ where a key is hidden.

use fearless_simd::prelude::*;
use fearless_simd_macros::simd;

use super::problem::Problem;
use super::queries::Row;
use super::softmax::load;
use crate::gemm::panel;
use crate::simd::math::tanh;
use crate::simd::{Float, Lanes, Real};
use std::ops::Range;

/// Fills the addend tile for keys `first..end`; false if it hides all of them from all rows.
/// `strip` takes one block of rows on their way into the lanes.
#[simd]
#[inline(never)]
pub(super) fn addend<S: Simd, T: Real>(
    simd: S,
    problem: &Problem<'_, T>,
    rows: impl Iterator<Item = (usize, Row)> + Clone,
    keys: Range<usize>,
    width: usize,
    tile: &mut [T],
    strip: &mut [T],
) -> bool {
    let block = panel::block::<S, T>();
    // A mask of keys alone stands once for all queries of a head.
    let mut ahead = rows.clone();
    let once = ahead.next().is_some_and(|(_, row)| {
        is_repeated(problem, row.head) && ahead.all(|(_, other)| other.head == row.head)
    });
    let mut rows = rows;
    let mut visible = false;
    for first in (0..width).step_by(block) {
        let mut lines: [&[T]; panel::MOST] = [&[]; panel::MOST];
        let mut filled = 0;
        while filled < block {
            let Some((lane, row)) = rows.next() else {
                break;
            };
            if lane == 0 || !once {
                let line = &mut strip[filled * keys.len()..(filled + 1) * keys.len()];
                visible |= addend_row(simd, problem, row, keys.clone(), line);
            }
            filled += 1;
        }
        for at in 0..filled {
            let line = if once { 0 } else { at };
            lines[at] = &strip[line * keys.len()..(line + 1) * keys.len()];
        }
        panel::pack_block(simd, lines, first, width, T::ONE, tile);
    }
    visible
}

/// Whether all queries of a head have the same mask and bias.
fn is_repeated<T: Real>(problem: &Problem<'_, T>, head: usize) -> bool {
    problem
        .mask
        .is_none_or(|mask| mask.plane(head).row_stride() == 0)
        && problem
            .bias
            .is_none_or(|bias| bias.plane(head).row_stride() == 0)
}

/// One row's mask and bias over `keys`; false if all are hidden.
#[inline(always)]
fn addend_row<S: Simd, T: Real>(
    simd: S,
    problem: &Problem<'_, T>,
    row: Row,
    keys: Range<usize>,
    line: &mut [T],
) -> bool {
    let choose = |shown: u8| if shown == 0 { T::NEG_INFINITY } else { T::ZERO };
    match problem.mask.map(|mask| mask.plane(row.head)) {
        Some(mask) if mask.row_is_unit() => {
            for (x, shown) in line.iter_mut().zip(&mask.row(row.query)[keys.clone()]) {
                *x = choose(*shown);
            }
        }
        Some(mask) => {
            for (x, key) in line.iter_mut().zip(keys.clone()) {
                *x = choose(mask.get(row.query, key));
            }
        }
        None => line.fill(T::ZERO),
    }
    let lanes = Lanes::<S, T>::LEN;
    let hidden = Lanes::<S, T>::splat(simd, T::NEG_INFINITY);
    if let Some(bias) = problem.bias.map(|bias| bias.plane(row.head)) {
        let given = bias
            .row_is_unit()
            .then(|| &bias.row(row.query)[keys.clone()]);
        let mut start = 0;
        // Selected with lanes: the masked store that a compiler may choose is slow on some CPUs.
        for cell in line.chunks_exact_mut(lanes) {
            let add = match given {
                Some(given) => Lanes::<S, T>::from_slice(simd, &given[start..start + lanes]),
                None => {
                    let mut gathered = [T::ZERO; MOST_LANES];
                    for i in 0..lanes {
                        gathered[i] = bias.get(row.query, keys.start + start + i);
                    }
                    Lanes::<S, T>::from_slice(simd, &gathered[..lanes])
                }
            };
            let shown = Lanes::<S, T>::from_slice(simd, cell);
            let add = in_base_two(simd, add);
            shown.simd_eq(hidden).select(hidden, add).store_slice(cell);
            start += lanes;
        }
        for (x, key) in line[start..].iter_mut().zip(keys.start + start..) {
            if *x == T::ZERO {
                *x = in_base_two(simd, Lanes::<S, T>::splat(simd, bias.get(row.query, key)))[0];
            }
        }
    }
    let mut seen = hidden.simd_ne(hidden);
    let chunks = line.chunks_exact(lanes);
    let mut visible = chunks.remainder().iter().any(|x| *x != T::NEG_INFINITY);
    for cell in chunks {
        seen |= Lanes::<S, T>::from_slice(simd, cell).simd_ne(hidden);
    }
    visible |= seen.any_true();
    visible
}

/// Most lanes of one vector.
const MOST_LANES: usize = 16;

/// A bias times log₂ e. One that is finite stays so: the most negative number there is hides a key
/// behind others, but of a row that holds nothing else it gives the mean.
#[inline(always)]
fn in_base_two<S: Simd, V: Float<S>>(simd: S, bias: V) -> V {
    let most = V::splat(simd, V::Element::MAX);
    let least = V::splat(simd, -V::Element::MAX);
    let scaled = bias * V::Element::LOG2_E;
    let under = scaled.simd_lt(least) & bias.simd_ge(least);
    let over = most.simd_lt(scaled) & bias.simd_le(most);
    under.select(least, over.select(most, scaled))
}

/// Each lane's first key and end, less `origin` and cut to `keys`, so that small integers are
/// compared, which every float type holds exactly.
pub(super) fn limits<T: Real>(
    rows: impl Iterator<Item = (usize, Row)>,
    keys: &Range<usize>,
    origin: usize,
    low: &mut [T],
    high: &mut [T],
) {
    let within = |key: usize| T::from_f64((key.clamp(keys.start, keys.end) - origin) as f64);
    low.fill(within(keys.start));
    high.fill(within(keys.end));
    for (lane, row) in rows {
        (low[lane], high[lane]) = (within(row.span.first), within(row.span.end));
    }
}

/// What happens to scores between the product and the exponential; `None` costs nothing.
pub(super) struct Adjust<'a, T> {
    /// c · log₂ e of c·tanh(…).
    pub(super) softcap: Option<T>,
    /// Addend tile, cut to the same keys as the scores.
    pub(super) addend: Option<&'a [T]>,
    /// A lane's slope, and its position less the block's.
    pub(super) alibi: Option<(&'a [T], &'a [T])>,
    /// A lane's first key and its end, less the block's position.
    pub(super) limits: Option<(&'a [T], &'a [T])>,
    /// The first key of these scores, less the block's position.
    pub(super) first: usize,
}

impl<T> Adjust<'_, T> {
    pub(super) fn is_nothing(&self) -> bool {
        self.softcap.is_none()
            && self.addend.is_none()
            && self.alibi.is_none()
            && self.limits.is_none()
    }
}

/// Applies the options to scores of consecutive keys and takes their maximum into `maximum`.
#[simd]
#[inline(never)]
pub(super) fn adjust<S: Simd, V: Float<S>, const NR: usize>(
    simd: S,
    options: &Adjust<'_, V::Element>,
    s: &mut [V::Element],
    maximum: &mut [V::Element],
) {
    let lanes = V::LEN;
    let width = NR * lanes;
    let hidden = V::splat(simd, V::Element::NEG_INFINITY);
    let zero = [V::splat(simd, V::Element::ZERO); NR];
    let (mut slope, mut base, mut low, mut high) = (zero, zero, zero, zero);
    if let Some((a, b)) = options.alibi {
        (slope, base) = (load::<S, V, NR>(simd, a), load::<S, V, NR>(simd, b));
    }
    if let Some((a, b)) = options.limits {
        (low, high) = (load::<S, V, NR>(simd, a), load::<S, V, NR>(simd, b));
    }
    let mut m = load::<S, V, NR>(simd, maximum);
    let mut index = V::Element::from_f64(options.first as f64);
    for (key, row) in s.chunks_exact_mut(width).enumerate() {
        let at = V::splat(simd, index);
        index += V::Element::ONE;
        for j in 0..NR {
            let cell = &mut row[j * lanes..(j + 1) * lanes];
            let mut x = V::from_slice(simd, cell);
            if let Some(softcap) = options.softcap {
                x = tanh(simd, x) * softcap;
            }
            if options.alibi.is_some() {
                x -= slope[j] * (base[j] - at).abs();
            }
            if let Some(addend) = options.addend {
                let add = V::from_slice(simd, &addend[key * width + j * lanes..][..lanes]);
                x = add.simd_eq(hidden).select(hidden, x + add);
            }
            if options.limits.is_some() {
                x = (at.simd_ge(low[j]) & at.simd_lt(high[j])).select(x, hidden);
            }
            m[j] = m[j].max(x);
            x.store_slice(cell);
        }
    }
    super::softmax::store::<S, V, NR>(m, maximum);
}
