//! Register tiles.
//!
//! [`rows`]: `acc[i][j] = Σ_k a_i[k] · panel[k][j]` for MR rows a_i (the scores: a_i is a key).
//! [`columns`]: `acc[i][j] = Σ_k b_k[i] · panel[k][j]` for MR columns of b (b_k is a value row).
//!
//! MR = 6, NR = 2: twelve accumulators, two panel vectors and one broadcast fill fifteen of the
//! sixteen registers that AVX2 and SSE have, and twelve chains hide the latency of two multiply-add
//! pipes. AVX-512 and NEON need no more chains than that. MR = 5 makes every count from 20 on come
//! out even.

use fearless_simd::prelude::*;

use crate::simd::{Lanes, Real};
use crate::view::Plane;

/// Calls `$body` over `0..$count` with tiles of 6 and 5 rows, which add up to any count from 20 on,
/// or of 4, 2 and 1 where it is less: chains of fewer accumulators wait for each other.
#[macro_export]
macro_rules! for_tiles {
    ($count:expr, |$first:ident, $rows:ident| $body:expr) => {{
        let count: usize = $count;
        let fives = if count < 20 { 0 } else { (6 - count % 6) % 6 };
        let sixes = (count - 5 * fives) / 6;
        let mut $first = 0;
        for _ in 0..sixes {
            const $rows: usize = 6;
            $body;
            $first += 6;
        }
        for _ in 0..fives {
            const $rows: usize = 5;
            $body;
            $first += 5;
        }
        if $first + 4 <= count {
            const $rows: usize = 4;
            $body;
            $first += 4;
        }
        if $first + 2 <= count {
            const $rows: usize = 2;
            $body;
            $first += 2;
        }
        if $first < count {
            const $rows: usize = 1;
            $body;
        }
    }};
}

/// `acc[i][j] = Σ_k a[first + i][k] · panel[k][j]`, k along the rows of `a`.
#[inline(always)]
pub fn rows<S: Simd, T: Real, const M: usize, const NR: usize>(
    simd: S,
    a: Plane<'_, T>,
    first: usize,
    panel: &[T],
) -> [[Lanes<S, T>; NR]; M] {
    let lanes = Lanes::<S, T>::LEN;
    let depth = panel.len() / (NR * lanes);
    let mut acc = [[Lanes::<S, T>::splat(simd, T::ZERO); NR]; M];
    let mut row = [&panel[..0]; M];
    for i in 0..M {
        row[i] = &a.row(first + i)[..depth];
    }
    for (k, chunk) in panel.chunks_exact(NR * lanes).enumerate() {
        let mut b = [Lanes::<S, T>::splat(simd, T::ZERO); NR];
        for j in 0..NR {
            b[j] = Lanes::<S, T>::from_slice(simd, &chunk[j * lanes..(j + 1) * lanes]);
        }
        for i in 0..M {
            let a = Lanes::<S, T>::splat(simd, row[i][k]);
            for j in 0..NR {
                acc[i][j] = a.mul_add(b[j], acc[i][j]);
            }
        }
    }
    acc
}

/// `acc[i][j] = Σ_k b[first_row + k][first + i] · panel[k][j]`, k along the rows of `b`.
#[inline(always)]
pub fn columns<S: Simd, T: Real, const M: usize, const NR: usize>(
    simd: S,
    b: Plane<'_, T>,
    first_row: usize,
    first: usize,
    panel: &[T],
) -> [[Lanes<S, T>; NR]; M] {
    let lanes = Lanes::<S, T>::LEN;
    let mut acc = [[Lanes::<S, T>::splat(simd, T::ZERO); NR]; M];
    for (k, chunk) in panel.chunks_exact(NR * lanes).enumerate() {
        let row: &[T; M] = match b.row(first_row + k)[first..].first_chunk() {
            Some(row) => row,
            None => unreachable!("a tile ends within its columns"),
        };
        let mut p = [Lanes::<S, T>::splat(simd, T::ZERO); NR];
        for j in 0..NR {
            p[j] = Lanes::<S, T>::from_slice(simd, &chunk[j * lanes..(j + 1) * lanes]);
        }
        for i in 0..M {
            let value = Lanes::<S, T>::splat(simd, row[i]);
            for j in 0..NR {
                acc[i][j] = value.mul_add(p[j], acc[i][j]);
            }
        }
    }
    acc
}

/// [`columns`], but where the panel holds −0 nothing is added, even if b is infinite or NaN.
#[inline(always)]
pub fn marked_columns<S: Simd, T: Real, const M: usize, const NR: usize>(
    simd: S,
    b: Plane<'_, T>,
    first_row: usize,
    first: usize,
    panel: &[T],
) -> [[Lanes<S, T>; NR]; M] {
    let lanes = Lanes::<S, T>::LEN;
    let zero = Lanes::<S, T>::splat(simd, T::ZERO);
    let mut acc = [[zero; NR]; M];
    for (k, chunk) in panel.chunks_exact(NR * lanes).enumerate() {
        for j in 0..NR {
            let p = Lanes::<S, T>::from_slice(simd, &chunk[j * lanes..(j + 1) * lanes]);
            let marked = (Lanes::<S, T>::splat(simd, T::ONE) / p).simd_eq(T::NEG_INFINITY);
            for i in 0..M {
                let value = Lanes::<S, T>::splat(simd, b.row(first_row + k)[first + i]);
                acc[i][j] = marked.select(zero, value).mul_add(p, acc[i][j]);
            }
        }
    }
    acc
}
