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
use crate::simd::{Float, Real};
use std::ops::Range;

/// Fills the addend tile for keys `first..end`; false if it hides all of them from all rows.
/// `strip` takes one block of rows on their way into the lanes.
#[simd]
#[inline(never)]
pub(super) fn addend<S: Simd, T: Real>(
    simd: S,
    problem: &Problem<'_, T>,
    rows: impl Iterator<Item = (usize, Row)>,
    keys: Range<usize>,
    width: usize,
    tile: &mut [T],
    strip: &mut [T],
) -> bool {
    let block = panel::block::<S, T>();
    let mut rows = rows;
    let mut visible = false;
    for first in (0..width).step_by(block) {
        let mut filled = 0;
        for line in strip.chunks_exact_mut(keys.len()).take(block) {
            let Some((_, row)) = rows.next() else { break };
            visible |= addend_row(problem, row, keys.clone(), line);
            filled += 1;
        }
        let mut lines: [&[T]; panel::MOST] = [&[]; panel::MOST];
        for (line, strip) in lines
            .iter_mut()
            .zip(strip.chunks_exact(keys.len()))
            .take(filled)
        {
            *line = strip;
        }
        panel::pack_block(simd, lines, first, width, T::ONE, tile);
    }
    visible
}

/// One row's mask and bias over `keys`; false if all are hidden.
#[inline(always)]
pub(super) fn addend_row<T: Real>(
    problem: &Problem<'_, T>,
    row: Row,
    keys: Range<usize>,
    line: &mut [T],
) -> bool {
    match problem.bias.map(|bias| bias.plane(row.head)) {
        Some(bias) if bias.row_is_unit() => {
            let given = &bias.row(row.query)[keys.clone()];
            line.iter_mut()
                .zip(given)
                .for_each(|(x, bias)| *x = in_base_two(*bias));
        }
        Some(bias) => {
            let at = |key| in_base_two(bias.get(row.query, key));
            line.iter_mut()
                .zip(keys.clone())
                .for_each(|(x, key)| *x = at(key));
        }
        None => line.fill(T::ZERO),
    }
    let hide = |(x, shown): (&mut T, u8)| {
        *x = if shown == 0 { T::NEG_INFINITY } else { *x };
    };
    match problem.mask.map(|mask| mask.plane(row.head)) {
        Some(mask) if mask.row_is_unit() => {
            let given = &mask.row(row.query)[keys];
            line.iter_mut().zip(given.iter().copied()).for_each(hide);
        }
        Some(mask) => {
            let given = keys.map(|key| mask.get(row.query, key));
            line.iter_mut().zip(given).for_each(hide);
        }
        None => {}
    }
    line.iter()
        .fold(false, |any, x| any | (*x != T::NEG_INFINITY))
}

/// A bias times log₂ e. One that is finite stays so: the most negative number there is hides a key
/// behind others, but of a row that holds nothing else it gives the mean.
#[inline(always)]
fn in_base_two<T: Real>(bias: T) -> T {
    let scaled = bias * T::LOG2_E;
    if scaled < -T::MAX && bias >= -T::MAX {
        -T::MAX
    } else if scaled > T::MAX && bias <= T::MAX {
        T::MAX
    } else {
        scaled
    }
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
