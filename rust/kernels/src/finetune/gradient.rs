//! The gradient of one group of columns: `g[k][d] = Σ_row e[k][row]·x[row][d]`, columns in the
//! lanes, so that it comes out as parameters lie.
//!
//! Two slabs of rows, counted from the batch's first, are one chain from 0 (one slab where nothing
//! is fused); chains are added in order. So a bit depends on the rows and their order alone.

use std::ops::Range;

use fearless_simd::prelude::*;
use fearless_simd_macros::simd;

use super::block::Visits;
use super::pack::{GROUP, SLAB, Source, width};
use crate::for_tiles;
use crate::gemm::tile;
use crate::simd::{Lanes, Real};
use crate::view::{Plane, View};

/// What the rows of a block have left behind: errors and strips, slab by slab.
#[derive(Clone, Copy)]
pub(super) struct Block<'a, T> {
    /// ∂loss/∂z times the rows' weights, (slabs, outputs, SLAB).
    pub(super) errors: View<'a, T>,
    /// (slabs, strips, SLAB, W), side by side.
    pub(super) strips: &'a [T],
    /// Strips of a slab.
    pub(super) count: usize,
    /// Rows of the block.
    pub(super) rows: usize,
}

impl<'a, T: Real> Block<'a, T> {
    /// Rows of `slab`.
    fn rows_of(&self, slab: usize) -> usize {
        SLAB.min(self.rows - slab * SLAB)
    }

    /// Strip `strip` of `slab`: a panel of its rows.
    fn strip<S: Simd>(&self, _: S, slab: usize, strip: usize) -> &'a [T] {
        let wide = width::<S, T>();
        let start = (slab * self.count + strip) * SLAB * wide;
        &self.strips[start..start + self.rows_of(slab) * wide]
    }
}

/// Rows that come after the block's, and the group's columns: asked for while the gradient is
/// multiplied, which waits for memory less than any other phase.
#[derive(Clone)]
pub(super) struct Ahead<'p, 'a, T> {
    pub(super) source: &'p Source<'a, T>,
    pub(super) visits: Visits<'p>,
    pub(super) columns: Range<usize>,
}

impl<T: Real> Ahead<'_, '_, T> {
    /// Asks for those of `rows` that there are.
    #[inline(always)]
    fn fetch(&self, rows: Range<usize>) {
        for i in rows.start..rows.end.min(self.visits.len()) {
            self.source.fetch(self.visits.row(i), &self.columns);
        }
    }
}

/// Adds the block's gradient of `strips` of one group and of `outputs` to `g`, [output][GROUP];
/// where `fresh`, the first chain is stored.
#[simd]
#[inline(never)]
pub(super) fn group<S: Simd, T: Real>(
    simd: S,
    block: Block<'_, T>,
    strips: Range<usize>,
    outputs: Range<usize>,
    ahead: Option<Ahead<'_, '_, T>>,
    fresh: bool,
    g: &mut [T],
) {
    const N: usize = 2;
    let (lanes, wide) = (Lanes::<S, T>::LEN, width::<S, T>());
    let slabs = block.rows.div_ceil(SLAB);
    let per_chain = if tile::chain::<S>() > SLAB { 2 } else { 1 };
    for slab in (0..slabs).step_by(per_chain) {
        let first: Plane<'_, T> = block.errors.plane(slab);
        let both = per_chain == 2 && slab + 1 < slabs;
        let second = if both {
            block.errors.plane(slab + 1)
        } else {
            first
        };
        let store = fresh && slab == 0;
        for strip in strips.clone() {
            let panel = block.strip(simd, slab, strip);
            let later = if both {
                block.strip(simd, slab + 1, strip)
            } else {
                &[]
            };
            let column = (strip - strips.start) * wide;
            if let Some(ahead) = &ahead {
                let rows = (per_chain * SLAB).min(block.rows).div_ceil(strips.len());
                let start = slab * SLAB + (strip - strips.start) * rows;
                ahead.fetch(start..start + rows);
            }
            for_tiles!(N, outputs.len(), |t, M| {
                let k = outputs.start + t;
                let acc = tile::rows::<S, Lanes<S, T>, M, N>(simd, first, k, 0, panel);
                let acc = tile::rows_onto(simd, acc, second, k, 0, later);
                for i in 0..M {
                    for j in 0..N {
                        let cell = &mut g[(t + i) * GROUP + column + j * lanes..][..lanes];
                        let mut sum = acc[i][j];
                        if !store {
                            sum = Lanes::<S, T>::from_slice(simd, cell) + sum;
                        }
                        sum.store_slice(cell);
                    }
                }
            });
        }
    }
}
