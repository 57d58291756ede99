//! Who sees whom, as lanes need it.
//!
//! Causality, window and length leave each query one span of keys. Where a panel's spans agree,
//! nothing is compared; elsewhere a lane's limits are. Mask and bias come as an *addend* tile
//! `[key][lane]`, transposed from where they lie, −∞ where a key is hidden.

use fearless_simd::prelude::*;
use fearless_simd_macros::simd;

use super::problem::{Problem, Span};
use super::softmax::load;
use crate::simd::math::tanh;
use crate::simd::{Lanes, Real};
use crate::view::View;

/// One query of a tile, with its place and what it may see.
#[derive(Clone, Copy)]
pub(super) struct Row {
    /// Head, counted over all items.
    pub(super) head: usize,
    /// Index among the head's queries.
    pub(super) query: usize,
    /// Position among the keys.
    pub(super) position: i64,
    /// The keys that causality, window and length leave.
    pub(super) span: Span,
}

impl Row {
    /// What a lane holds that has no query.
    pub(super) const NONE: Self = Self {
        head: 0,
        query: 0,
        position: 0,
        span: Span { first: 0, end: 0 },
    };

    /// Whether the key is visible.
    pub(super) fn sees<T: Real>(&self, problem: &Problem<'_, T>, key: usize) -> bool {
        let shown = |mask: View<'_, u8>| mask.plane(self.head).get(self.query, key) != 0;
        let finite =
            |bias: View<'_, T>| bias.plane(self.head).get(self.query, key) != T::NEG_INFINITY;
        (self.span.first..self.span.end).contains(&key)
            && problem.mask.is_none_or(shown)
            && problem.bias.is_none_or(finite)
    }

    /// Whether any key is visible.
    pub(super) fn sees_any<T: Real>(&self, problem: &Problem<'_, T>) -> bool {
        (self.span.first..self.span.end).any(|key| self.sees(problem, key))
    }
}

/// Fills the addend tile for the keys from `first` on; false if it hides all of them from all.
pub(super) fn addend<T: Real>(
    problem: &Problem<'_, T>,
    rows: &[Row],
    first: usize,
    width: usize,
    tile: &mut [T],
) -> bool {
    let mut visible = false;
    for (lane, row) in rows.iter().enumerate() {
        match problem.bias.map(|bias| bias.plane(row.head)) {
            Some(bias) => {
                for (key, cells) in tile.chunks_exact_mut(width).enumerate() {
                    cells[lane] = bias.get(row.query, first + key) * T::LOG2_E;
                }
            }
            None => tile
                .chunks_exact_mut(width)
                .for_each(|cells| cells[lane] = T::ZERO),
        }
        if let Some(mask) = problem.mask.map(|mask| mask.plane(row.head)) {
            for (key, cells) in tile.chunks_exact_mut(width).enumerate() {
                if mask.get(row.query, first + key) == 0 {
                    cells[lane] = T::NEG_INFINITY;
                }
            }
        }
        visible |= tile
            .chunks_exact(width)
            .any(|cells| cells[lane] != T::NEG_INFINITY);
    }
    for cells in tile.chunks_exact_mut(width) {
        cells[rows.len()..].fill(T::ZERO);
    }
    visible
}

/// What happens to scores between the product and the exponential; `None` costs nothing.
pub(super) struct Adjust<'a, T> {
    /// c · log₂ e of c·tanh(…).
    pub(super) softcap: Option<T>,
    /// Addend tile, cut to the same keys as the scores.
    pub(super) addend: Option<&'a [T]>,
    /// A lane's slope, and its position less that of the block's first key.
    pub(super) alibi: Option<(&'a [T], &'a [T])>,
    /// A lane's first key and its end, less the block's first key.
    pub(super) limits: Option<(&'a [T], &'a [T])>,
    /// The first key of these scores, less the block's first key.
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
pub(super) fn adjust<S: Simd, T: Real, const NR: usize>(
    simd: S,
    options: &Adjust<'_, T>,
    s: &mut [T],
    maximum: &mut [T],
) {
    let lanes = Lanes::<S, T>::LEN;
    let width = NR * lanes;
    let hidden = Lanes::<S, T>::splat(simd, T::NEG_INFINITY);
    let zero = [Lanes::<S, T>::splat(simd, T::ZERO); NR];
    let pair = |x: Option<(&[T], &[T])>| match x {
        Some((a, b)) => (load::<S, T, NR>(simd, a), load::<S, T, NR>(simd, b)),
        None => (zero, zero),
    };
    let (slope, base) = pair(options.alibi);
    let (low, high) = pair(options.limits);
    let mut m = load::<S, T, NR>(simd, maximum);
    let mut index = T::from_f64(options.first as f64);
    for (key, row) in s.chunks_exact_mut(width).enumerate() {
        let at = Lanes::<S, T>::splat(simd, index);
        index += T::ONE;
        for j in 0..NR {
            let cell = &mut row[j * lanes..(j + 1) * lanes];
            let mut x = Lanes::<S, T>::from_slice(simd, cell);
            if let Some(softcap) = options.softcap {
                x = tanh(simd, x) * softcap;
            }
            if options.alibi.is_some() {
                x -= slope[j] * (base[j] - at).abs();
            }
            if let Some(addend) = options.addend {
                let add =
                    Lanes::<S, T>::from_slice(simd, &addend[key * width + j * lanes..][..lanes]);
                x = add.simd_eq(hidden).select(hidden, x + add);
            }
            if options.limits.is_some() {
                x = (at.simd_ge(low[j]) & at.simd_lt(high[j])).select(x, hidden);
            }
            m[j] = m[j].max(x);
            x.store_slice(cell);
        }
    }
    super::softmax::store::<S, T, NR>(m, maximum);
}
