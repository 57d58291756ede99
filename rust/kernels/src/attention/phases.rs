//! The phases of one panel over one block of keys: each a loop of its own, so that the compiler
//! keeps its accumulators and constants in registers.
//!
//! 1. [`pack`]: queries into the lanes.
//! 2. [`scores`]: keys · queries. (Options: [`super::mask`]; exponentials: [`super::softmax`].)
//! 3. [`values`]: probabilities · values, added to the sums so far.
//! 4. [`write`]: sums over denominators, as rows.

use fearless_simd::prelude::*;
use fearless_simd_macros::simd;

use super::forward::{Lane, Tile};
use super::queries::Row;
use super::softmax::{State, load, store};
use crate::for_tiles;
use crate::gemm::{panel, tile};
use crate::simd::{Float, Lanes, Real, prefetch};
use crate::view::{Plane, Rows};

/// Queries of one panel into its lanes.
#[simd]
#[inline(never)]
pub(super) fn pack<S: Simd, T: Real>(
    simd: S,
    tile: &Tile<'_, '_, T>,
    lane: Lane,
    scale: T,
    packed: &mut [T],
) {
    let query = &tile.problem.query;
    let Row { mut head, .. } = tile.queries.row(lane.rows.start);
    let mut plane = query.plane(head);
    let row = |at: usize| {
        let row = tile.queries.row(lane.rows.start + at);
        if row.head != head {
            (head, plane) = (row.head, query.plane(row.head));
        }
        plane.row(row.query)
    };
    panel::pack(simd, row, lane.rows.len(), lane.width, scale, packed);
}

/// Scores `s[key][lane]` of consecutive keys, and their maximum into `maximum`; the keys' rows of
/// `fetch`, and the keys two tiles on, are asked for meanwhile.
#[simd]
#[inline(never)]
pub(super) fn scores<S: Simd, V: Float<S>, const N: usize>(
    simd: S,
    keys: Plane<'_, V::Element>,
    first: usize,
    query: &[V::Element],
    s: &mut [V::Element],
    maximum: Option<&mut [V::Element]>,
    fetch: Option<Plane<'_, V::Element>>,
) {
    let lanes = V::LEN;
    let width = N * lanes;
    let mut m = [V::splat(simd, V::Element::NEG_INFINITY); N];
    let chain = tile::chain::<S>() * width;
    let mut start = 0;
    for part in query.chunks(chain) {
        let last = start + part.len() == query.len();
        for_tiles!(N, s.len() / width, |t, M| {
            if let (Some(values), 0) = (fetch, start) {
                let last = keys.rows() - 1;
                for i in 0..M {
                    prefetch(values.row(first + t + i));
                    // Panels come back to their keys; few queries see each but once.
                    if N == 1 {
                        prefetch(keys.row((first + t + 2 * M + i).min(last)));
                    }
                }
            }
            let mut acc = tile::rows::<S, V, M, N>(simd, keys, first + t, start / width, part);
            let out = &mut s[t * width..(t + M) * width];
            for i in 0..M {
                for j in 0..N {
                    let cell = &mut out[i * width + j * lanes..][..lanes];
                    if start > 0 {
                        acc[i][j] += V::from_slice(simd, cell);
                    }
                    acc[i][j].store_slice(cell);
                    if last {
                        m[j] = m[j].max(acc[i][j]);
                    }
                }
            }
        });
        start += part.len();
    }
    if query.is_empty() {
        s.fill(V::Element::ZERO);
        m = [V::splat(simd, V::Element::ZERO); N];
    }
    if let Some(maximum) = maximum {
        let before = load::<S, V, N>(simd, maximum);
        for j in 0..N {
            m[j] = m[j].max(before[j]);
        }
        store::<S, V, N>(m, maximum);
    }
}

/// `acc = acc·α + pᵀ V` over consecutive keys, each sum fresh, so that its error does not grow with
/// what came before; without α it is the first. `CAREFUL`: a probability of −0 adds nothing, whatever its value holds.
#[simd]
#[inline(never)]
pub(super) fn values<S: Simd, T: Real, const N: usize, const CAREFUL: bool>(
    simd: S,
    values: Plane<'_, T>,
    first: usize,
    p: &[T],
    alpha: Option<&[T]>,
    acc: &mut [T],
) {
    let lanes = Lanes::<S, T>::LEN;
    let width = N * lanes;
    let fresh = alpha.is_none();
    let alpha = match alpha {
        Some(alpha) => load::<S, Lanes<S, T>, N>(simd, alpha),
        None => [Lanes::<S, T>::splat(simd, T::ZERO); N],
    };
    for_tiles!(N, acc.len() / width, |c, M| {
        let sum = if CAREFUL {
            tile::marked_columns::<S, Lanes<S, T>, M, N>(simd, values, first, c, p)
        } else {
            tile::columns::<S, Lanes<S, T>, M, N>(simd, values, first, c, p)
        };
        let out = &mut acc[c * width..(c + M) * width];
        for i in 0..M {
            for j in 0..N {
                let cell = &mut out[i * width + j * lanes..][..lanes];
                if fresh {
                    sum[i][j].store_slice(cell);
                } else {
                    let old = Lanes::<S, T>::from_slice(simd, cell);
                    old.mul_add(alpha[j], sum[i][j]).store_slice(cell);
                }
            }
        }
    });
}

/// Output rows of a panel, a block of them at a time by way of `strip`.
#[simd]
#[inline(never)]
pub(super) fn write<S: Simd, T: Real>(
    simd: S,
    state: &State<'_, T>,
    factor: &[T],
    rows: usize,
    strip: &mut [T],
    out: &mut Rows<'_, T>,
    first: usize,
) {
    let width = factor.len();
    let columns = state.acc.len() / width;
    let block = panel::block::<S, T>();
    let mut lane = 0;
    while lane < rows {
        panel::unpack(simd, state.acc, width, lane, columns, strip);
        for i in 0..block.min(rows - lane) {
            let factor = factor[lane + i];
            let strip = &strip[i * columns..(i + 1) * columns];
            for (out, x) in out.row(first + lane + i).iter_mut().zip(strip) {
                // + 0 makes −0 the zero that a row gives that summed nothing.
                *out = *x * factor + T::ZERO;
            }
        }
        lane += block;
    }
}
