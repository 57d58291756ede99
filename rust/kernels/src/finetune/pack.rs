//! Rows of features on their way into the products: converted, standardised, checked, and laid out
//! both ways that the two products want.
//!
//! For one slab of rows and one chunk of columns:
//! - `panel` for the logits: [panel of W rows][column][lane], rows in the lanes.
//! - `strips` for the gradient: [strip of W columns][row][lane], columns in the lanes. (Read from
//!   where rows lie instead, the gradient made a step a tenth slower, even with two outputs.)
//!
//! The bias is the weight of a column of ones behind the last feature. A row that lies in memory
//! as it is computed with is read from where it lies; any other is staged, eight rows at a time,
//! in a few KB that stay in L1. x·0 summed over a row is NaN where a value is not finite: one
//! operation a vector, beside the copy.

use std::ops::Range;

use fearless_simd::prelude::*;
use fearless_simd_macros::simd;

use super::problem::Features;
use crate::gemm::panel::{self, Block, MOST, Pair};
use crate::layers::rows::{load, store};
use crate::simd::{Half, Lanes, Real, prefetch};
use crate::view::Plane;

/// Rows of a slab: the unit of forward work.
pub(super) const SLAB: usize = 64;
/// Columns of a group: the unit in which parameters are kept and updated.
pub(super) const GROUP: usize = 64;
/// Columns of a chunk: two groups, one chain of the logits.
pub(super) const CHUNK: usize = 2 * GROUP;

/// Lanes of a panel and of a strip: two vectors.
#[inline(always)]
pub(super) fn width<S: Simd, T: Real>() -> usize {
    2 * Lanes::<S, T>::LEN
}

/// Where rows come from.
#[derive(Clone, Copy)]
pub(super) struct Source<'a, T> {
    rows: Rows<'a, T>,
    shift: Option<&'a [T]>,
    scale: Option<&'a [T]>,
    columns: usize,
}

#[derive(Clone, Copy)]
enum Rows<'a, T> {
    Same(Plane<'a, T>),
    Half(Plane<'a, u16>, Half),
}

impl<'a, T: Real> Source<'a, T> {
    /// Of features that were checked, `columns` of them.
    pub(super) fn new(
        features: &Features<'a, T>,
        shift: Option<&'a [T]>,
        scale: Option<&'a [T]>,
        columns: usize,
    ) -> Self {
        let rows = match features {
            Features::Same(view) => Rows::Same(view.plane(0)),
            Features::Half { bits, kind } => Rows::Half(bits.plane(0), *kind),
        };
        Self {
            rows,
            shift,
            scale,
            columns,
        }
    }

    /// The first value of `row` that is not finite.
    pub(super) fn first_not_finite(&self, row: usize) -> Option<usize> {
        let bad = |x: T| x - x != T::ZERO;
        match self.rows {
            Rows::Same(plane) => plane.row(row).iter().position(|&x| bad(x)),
            Rows::Half(plane, half) => plane.row(row).iter().position(|&bits| {
                let mut one = [T::ZERO];
                T::widen(half, &[bits], &mut one);
                bad(one[0])
            }),
        }
    }

    /// Columns `range` of `row` as they lie, where that is how they are computed with and they
    /// fill whole strips.
    #[inline(always)]
    fn direct<S: Simd>(&self, _: S, row: usize, range: &Range<usize>) -> Option<&'a [T]> {
        match self.rows {
            Rows::Same(plane)
                if self.shift.is_none()
                    && self.scale.is_none()
                    && range.end <= self.columns
                    && range.len().is_multiple_of(width::<S, T>()) =>
            {
                Some(&plane.row(row)[range.clone()])
            }
            _ => None,
        }
    }

    /// Asks for the features in `range` of `row`.
    #[inline(always)]
    pub(super) fn fetch(&self, row: usize, range: &Range<usize>) {
        let features = range.start.min(self.columns)..range.end.min(self.columns);
        match self.rows {
            Rows::Same(plane) => prefetch(&plane.row(row)[features]),
            Rows::Half(plane, _) => prefetch(&plane.row(row)[features]),
        }
    }

    /// The features in `range` of `row`, before they are standardised, into the front of `out`.
    #[inline(always)]
    pub(super) fn raw(&self, row: usize, range: Range<usize>, out: &mut [T]) {
        let out = &mut out[..range.len()];
        match self.rows {
            Rows::Same(plane) => out.copy_from_slice(&plane.row(row)[range]),
            Rows::Half(plane, half) => T::widen(half, &plane.row(row)[range], out),
        }
    }

    /// Columns `range` of `row`, ones and zeros after the features, into `out`, which is whole
    /// strips long; adds to `flag` what is NaN where a feature is not finite.
    #[inline(always)]
    fn stage<S: Simd>(
        &self,
        simd: S,
        row: usize,
        range: &Range<usize>,
        out: &mut [T],
        flag: &mut Lanes<S, T>,
    ) {
        let features = range.start..range.end.min(self.columns).max(range.start);
        let (front, rest) = out.split_at_mut(features.len());
        self.raw(row, features.clone(), front);
        rest.fill(T::ZERO);
        if range.end > self.columns {
            rest[0] = T::ONE;
        }
        if self.shift.is_none() && self.scale.is_none() {
            return;
        }
        let lanes = Lanes::<S, T>::LEN;
        for start in (0..front.len()).step_by(lanes) {
            let end = front.len().min(start + lanes);
            let columns = features.start + start..features.start + end;
            let mut x: Lanes<S, T> = load(simd, &front[start..end], T::ZERO);
            *flag = x.mul_add(T::ZERO, *flag);
            if let Some(shift) = self.shift {
                x -= load::<S, Lanes<S, T>>(simd, &shift[columns.clone()], T::ZERO);
            }
            if let Some(scale) = self.scale {
                x *= load::<S, Lanes<S, T>>(simd, &scale[columns], T::ZERO);
            }
            store(x, &mut front[start..end]);
        }
    }
}

/// Elements that [`pack`] needs to stage rows.
pub(super) const fn staged() -> usize {
    // Two vectors of sixteen lanes at most are added to fill the last strip.
    2 * MOST * (CHUNK + 32)
}

/// How many rows before it is read a row is asked for: their lines, eight each, are as many as a
/// core can wait for at once, and their work takes as long as memory.
const AHEAD: usize = 8;

/// One chunk of one slab: columns `range` of `rows` into `panel`, whose depth is the range's
/// length, and, where given, into the `strips` of these columns. Lanes of the last panel without a
/// row hold 0. The chunk after it, columns `next`, is asked for in time. False if a feature is not
/// finite.
#[simd]
#[inline(never)]
pub(super) fn pack<S: Simd, T: Real>(
    simd: S,
    source: &Source<'_, T>,
    rows: &[usize],
    [range, next]: [Range<usize>; 2],
    stage: &mut [T],
    panel: &mut [T],
    mut strips: Option<&mut [T]>,
) -> bool {
    let (lanes, block, wide) = (Lanes::<S, T>::LEN, panel::block::<S, T>(), width::<S, T>());
    let depth = range.len();
    if range.start == source.columns {
        ones(simd, panel, strips);
        return true;
    }
    let padded = depth.next_multiple_of(wide);
    let zero = Lanes::<S, T>::splat(simd, T::ZERO);
    // Two sums, since one would be waited for.
    let mut flags = [zero; 2];
    let zeros = [T::ZERO; CHUNK + 32];
    for first in (0..rows.len().next_multiple_of(wide)).step_by(2 * block) {
        let mut row = [&zeros[..padded]; 2 * MOST];
        let mut rest = &mut *stage;
        for i in 0..(2 * block).min(rows.len().saturating_sub(first)) {
            let ahead = first + i + AHEAD;
            match rows.get(ahead) {
                Some(&row) => source.fetch(row, &range),
                None => source.fetch(rows[(ahead - rows.len()) % rows.len()], &next),
            }
            let (own, after) = rest.split_at_mut(padded);
            rest = after;
            row[i] = match source.direct(simd, rows[first + i], &range) {
                Some(direct) => direct,
                None => {
                    source.stage(simd, rows[first + i], &range, own, &mut flags[0]);
                    own
                }
            };
            for at in (0..padded).step_by(wide) {
                let x = [
                    Lanes::<S, T>::from_slice(simd, &row[i][at..at + lanes]),
                    Lanes::<S, T>::from_slice(simd, &row[i][at + lanes..at + wide]),
                ];
                flags = [x[0].mul_add(zero, flags[0]), x[1].mul_add(zero, flags[1])];
                if let Some(strips) = &mut strips {
                    let to = &mut strips[at * SLAB + (first + i) * wide..][..wide];
                    x[0].store_slice(&mut to[..lanes]);
                    x[1].store_slice(&mut to[lanes..]);
                }
            }
        }
        let panel = &mut panel[first / wide * wide * depth..][..wide * depth];
        transpose(simd, row, first % wide, panel);
    }
    (flags[0] + flags[1]).reduce_sum() == T::ZERO
}

/// `panel[k][first + lane] = rows[lane][k]` for two blocks of lanes; rows are at least as long as
/// the panel.
///
/// A pair of blocks holds four columns (float64: two) of one row and of the row a block further,
/// and is transposed in either half by itself: eight stores of four lanes become four of eight.
#[inline(always)]
fn transpose<S: Simd, T: Real>(simd: S, rows: [&[T]; 2 * MOST], first: usize, panel: &mut [T]) {
    let (block, wide) = (panel::block::<S, T>(), width::<S, T>());
    let depth = panel.len() / wide;
    let full = depth - depth % block;
    for k in (0..full).step_by(block) {
        let mut x = [Pair::<S, T>::splat(simd, T::ZERO); MOST];
        for i in 0..block {
            let half = |row: &[T]| Block::<S, T>::from_slice(simd, &row[k..k + block]);
            x[i] = half(rows[i]).combine(half(rows[block + i]));
        }
        panel::transpose_blocks(simd, &mut x);
        for i in 0..block {
            x[i].store_slice(&mut panel[(k + i) * wide + first..][..2 * block]);
        }
    }
    for k in full..depth {
        for i in 0..2 * block {
            panel[k * wide + first + i] = rows[i][k];
        }
    }
}

/// [`pack`] where there is but the column of ones, for as many rows as there is room.
#[inline(always)]
fn ones<S: Simd, T: Real>(_: S, panel: &mut [T], strips: Option<&mut [T]>) {
    panel.fill(T::ONE);
    if let Some(strips) = strips {
        let strip = &mut strips[..SLAB * width::<S, T>()];
        for row in strip.chunks_exact_mut(width::<S, T>()) {
            row.fill(T::ZERO);
            row[0] = T::ONE;
        }
    }
}
