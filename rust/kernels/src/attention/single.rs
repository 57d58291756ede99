//! One query a key head, as every step of decoding has it: keys in the lanes from their scores to
//! the denominator, value columns in the lanes afterwards.
//!
//! A panel of one query would leave all lanes but one empty. Each score is the same chain of
//! multiply-adds here, and each denominator has the same chains of additions: the same bits.

use std::ops::Range;

use fearless_simd::prelude::*;
use fearless_simd_macros::simd;

use super::decode::{Sums, values};
use super::forward::{KEYS, Lane, Tile};
use super::softmax::{RUN, State, origin};
use super::work::Work;
use crate::gemm::panel::{Block, MOST, Pair, transpose_blocks};
use crate::gemm::tile::chain;
use crate::simd::math::exp2;
use crate::simd::{Lanes, Real, prefetch};
use crate::view::Plane;

/// One block of keys for one query without options: scores stand side by side, so that keys are in the lanes
/// from the scores to the denominator.
pub(super) fn take<S: Simd, T: Real>(
    simd: S,
    tile: &Tile<'_, '_, T>,
    lane: &Lane,
    work: &mut Work<'_, T>,
    keys: Range<usize>,
    next: Range<usize>,
) {
    let Some((any, _)) = tile.queries.spans(lane.rows.clone()) else {
        return;
    };
    let keys = keys.start.max(any.first)..keys.end;
    let (mut panel, shared) = work.panel(0, lane.width);
    let s = &mut shared.s[..keys.len()];
    scores_of_one(simd, tile.key, keys.start, panel.query, s, Some(tile.value));
    let State { m, l, acc } = panel.chunk();
    let alpha = exponentials_of_one(simd, keys.start, s, &mut m[0], &mut l[0]);
    let sums = Sums {
        values: tile.value,
        seen: keys,
        keys: tile.key,
        next,
        p: s,
        width: 1,
        row: 0,
        alpha: &[alpha],
    };
    values::<S, T, 1>(simd, &sums, acc, false);
}

/// [`super::phases::scores`] for one query into lane 0 of a panel of one block.
pub(super) fn scores<S: Simd, T: Real>(
    simd: S,
    keys: Plane<'_, T>,
    first: usize,
    query: &[T],
    s: &mut [T],
    maximum: Option<&mut [T]>,
    fetch: Option<Plane<'_, T>>,
) {
    let block = Block::<S, T>::LEN;
    let mut row = [T::ZERO; KEYS];
    let row = &mut row[..s.len() / block];
    scores_of_one(simd, keys, first, query, row, fetch);
    for (cells, score) in s.chunks_exact_mut(block).zip(&*row) {
        cells.fill(*score);
    }
    if let Some(maximum) = maximum {
        let m = largest(simd, row);
        for maximum in maximum {
            *maximum = if m > *maximum { m } else { *maximum };
        }
    }
}

/// Scores `s[key]` of consecutive keys for one query, whose elements stand a block apart.
///
/// Keys stand in the lanes, two blocks of them, transposed in registers, G pairs at once: one
/// broadcast a key element would cost more loads than there are multiply-adds.
#[simd]
#[inline(never)]
fn scores_of_one<S: Simd, T: Real>(
    simd: S,
    keys: Plane<'_, T>,
    first: usize,
    query: &[T],
    s: &mut [T],
    fetch: Option<Plane<'_, T>>,
) {
    const G: usize = 4;
    let (block, pair) = (Block::<S, T>::LEN, Pair::<S, T>::LEN);
    let depth = keys.columns();
    let full = depth - depth % block;
    let zero = Pair::<S, T>::splat(simd, T::ZERO);
    let last = first + s.len().max(1) - 1;
    let mut start = first;
    for s in s.chunks_mut(G * pair) {
        let mut rows = [[&query[..0]; 2 * MOST]; G];
        for g in 0..G {
            for i in 0..pair {
                // Beyond the last key stands the last key again: its score is not kept.
                rows[g][i] = &keys.row((start + g * pair + i).min(last))[..depth];
            }
        }
        if let Some(values) = fetch {
            for key in start..start + s.len() {
                prefetch(values.row(key));
            }
        }
        start += G * pair;
        let mut acc = [zero; G];
        let mut total = [zero; G];
        for d in (0..full).step_by(block) {
            if d % chain::<S>() == 0 && d > 0 {
                for g in 0..G {
                    total[g] += acc[g];
                    acc[g] = zero;
                }
            }
            let q = &query[d * block..(d + block) * block];
            for g in 0..G {
                let mut k = [zero; MOST];
                for i in 0..block {
                    let low = Block::<S, T>::from_slice(simd, &rows[g][i][d..d + block]);
                    let high = Block::<S, T>::from_slice(simd, &rows[g][i + block][d..d + block]);
                    k[i] = low.combine(high);
                }
                transpose_blocks(simd, &mut k);
                for i in 0..block {
                    acc[g] = k[i].mul_add(Pair::<S, T>::splat(simd, q[i * block]), acc[g]);
                }
            }
        }
        for d in full..depth {
            if d % chain::<S>() == 0 && d > 0 {
                for g in 0..G {
                    total[g] += acc[g];
                    acc[g] = zero;
                }
            }
            for g in 0..G {
                let mut k = [T::ZERO; 2 * MOST];
                for i in 0..pair {
                    k[i] = rows[g][i][d];
                }
                let k = Pair::<S, T>::from_slice(simd, &k[..pair]);
                acc[g] = k.mul_add(Pair::<S, T>::splat(simd, query[d * block]), acc[g]);
            }
        }
        for g in 0..G {
            acc[g] += total[g];
            if s.len() >= (g + 1) * pair {
                acc[g].store_slice(&mut s[g * pair..(g + 1) * pair]);
            } else if s.len() > g * pair {
                let mut cells = [T::ZERO; 2 * MOST];
                acc[g].store_slice(&mut cells[..pair]);
                let left = s.len() - g * pair;
                s[g * pair..].copy_from_slice(&cells[..left]);
            }
        }
    }
}

/// The largest of some scores, −∞ where there are none.
#[simd]
#[inline(never)]
fn largest<S: Simd, T: Real>(simd: S, s: &[T]) -> T {
    let lanes = Lanes::<S, T>::LEN;
    let mut m = Lanes::<S, T>::splat(simd, T::NEG_INFINITY);
    let mut chunks = s.chunks_exact(lanes);
    for chunk in &mut chunks {
        m = m.max(Lanes::<S, T>::from_slice(simd, chunk));
    }
    let mut largest = T::NEG_INFINITY;
    for x in m.as_slice().iter().chain(chunks.remainder()) {
        largest = if *x > largest { *x } else { largest };
    }
    largest
}

/// [`super::softmax::exponentials`] of one row `s[key]`: returns α.
#[simd]
#[inline(never)]
fn exponentials_of_one<S: Simd, T: Real>(
    simd: S,
    first: usize,
    s: &mut [T],
    m: &mut T,
    l: &mut T,
) -> T {
    let lanes = Lanes::<S, T>::LEN;
    let splat = |x| Lanes::<S, T>::splat(simd, x);
    let before = splat(*m);
    let after = before.max(splat(largest(simd, s)));
    let from = origin(simd, after);
    let factor = exp2(simd, before - from);
    let mut chunks = s.chunks_exact_mut(lanes);
    for chunk in &mut chunks {
        let x = Lanes::<S, T>::from_slice(simd, chunk);
        exp2(simd, x - from).store_slice(chunk);
    }
    for x in chunks.into_remainder() {
        *x = exp2(simd, splat(*x) - from)[0];
    }
    let mut sum = T::ZERO;
    let mut rest = &*s;
    let mut left = RUN - first % RUN;
    while !rest.is_empty() {
        let (run, after) = rest.split_at(left.min(rest.len()));
        let mut chain = T::ZERO;
        for p in run {
            chain += *p;
        }
        sum += chain;
        (rest, left) = (after, RUN);
    }
    *m = after[0];
    *l = splat(*l).mul_add(factor, splat(sum))[0];
    factor[0]
}
