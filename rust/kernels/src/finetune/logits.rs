//! Logits of one slab: `z[k][row] = Σ_d θ[k][d]·x[row][d]`, rows in the lanes.
//!
//! Each chunk of 128 columns is one chain from 0 (two of 64 where nothing is fused); chunks are
//! added in order. So a logit's bits depend on its row and its weights, not on what is beside them.
//!
//! 120 outputs at a time: their part of θ (120 × 128 × 4 B) stays in L2 while the slab's panels,
//! 8 KB each, pass through L1.

use std::ops::Range;

use fearless_simd::prelude::*;
use fearless_simd_macros::simd;

use super::pack::{GROUP, SLAB, width};
use crate::for_tiles;
use crate::gemm::tile;
use crate::simd::{Lanes, Real};
use crate::view::Plane;

/// Outputs whose parameters stay in L2: a multiple of every tile's rows.
pub(super) const OUTPUTS: usize = 120;

/// The panels of one chunk, each `depth` columns long.
#[derive(Clone, Copy)]
pub(super) struct Panels<'a, T> {
    pub(super) packed: &'a [T],
    pub(super) depth: usize,
}

/// Adds one chunk to `z`, [output][SLAB rows]; the first chunk is stored. `groups` are the chunk's
/// parameters, [output][GROUP columns].
pub(super) fn chunk<S: Simd, T: Real>(
    simd: S,
    [first, second]: [Option<Plane<'_, T>>; 2],
    panels: Panels<'_, T>,
    fresh: bool,
    z: &mut [T],
) {
    let Some(first) = first else {
        return;
    };
    let cut = panels.depth.min(GROUP);
    match second {
        Some(second) if tile::chain::<S>() > GROUP => {
            let parts = [0..cut, cut..panels.depth];
            product(simd, [first, second], panels, parts, fresh, z);
        }
        Some(second) => {
            product(simd, [first; 2], panels, [0..cut, cut..cut], fresh, z);
            let parts = [cut..panels.depth, cut..cut];
            product(simd, [second; 2], panels, parts, false, z);
        }
        None => product(simd, [first; 2], panels, [0..cut, cut..cut], fresh, z),
    }
}

/// One chain over two parts of the panels' columns, each with its group of parameters.
#[simd]
#[inline(never)]
fn product<S: Simd, T: Real>(
    simd: S,
    groups: [Plane<'_, T>; 2],
    panels: Panels<'_, T>,
    parts: [Range<usize>; 2],
    fresh: bool,
    z: &mut [T],
) {
    const N: usize = 2;
    let (lanes, wide) = (Lanes::<S, T>::LEN, width::<S, T>());
    let outputs = z.len() / SLAB;
    for start in (0..outputs).step_by(OUTPUTS) {
        let count = OUTPUTS.min(outputs - start);
        for (index, panel) in panels.packed.chunks_exact(panels.depth * wide).enumerate() {
            let first = &panel[parts[0].start * wide..parts[0].end * wide];
            let second = &panel[parts[1].start * wide..parts[1].end * wide];
            for_tiles!(N, count, |t, M| {
                let acc = tile::rows::<S, Lanes<S, T>, M, N>(simd, groups[0], start + t, 0, first);
                let acc = tile::rows_onto(simd, acc, groups[1], start + t, 0, second);
                for i in 0..M {
                    for j in 0..N {
                        let at = (start + t + i) * SLAB + index * wide + j * lanes;
                        let cell = &mut z[at..at + lanes];
                        let mut sum = acc[i][j];
                        if !fresh {
                            sum = Lanes::<S, T>::from_slice(simd, cell) + sum;
                        }
                        sum.store_slice(cell);
                    }
                }
            });
        }
    }
}
