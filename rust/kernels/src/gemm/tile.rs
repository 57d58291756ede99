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

use crate::simd::{Float, Real};
use crate::view::Plane;

/// Terms of one chain of multiply-adds; a longer product is a sum of such chains. The error of one
/// long chain would outgrow that of the blocked product that it is measured against, sooner where a
/// multiply-add is rounded twice.
pub const fn chain<S: Simd>() -> usize {
    let fused = !cfg!(any(target_arch = "x86", target_arch = "x86_64")) || S::f32s::LEN > 4;
    if fused { 128 } else { 64 }
}

/// Calls `$body` over `0..$count` in tiles of `$rows` rows: with two vectors in a panel of 6 and 5,
/// which add up to any count from 20 on; with one of 8; of 4, 2 and 1 where that is more than is
/// left. Fewer accumulators would wait for each other.
#[macro_export]
macro_rules! for_tiles {
    ($vectors:expr, $count:expr, |$first:ident, $rows:ident| $body:expr) => {{
        let count: usize = $count;
        let mut $first = 0;
        if $vectors == 1 {
            while $first + 8 <= count {
                const $rows: usize = 8;
                $body;
                $first += 8;
            }
        } else {
            let fives = if count < 20 { 0 } else { (6 - count % 6) % 6 };
            for _ in 0..(count - 5 * fives) / 6 {
                const $rows: usize = 6;
                $body;
                $first += 6;
            }
            for _ in 0..fives {
                const $rows: usize = 5;
                $body;
                $first += 5;
            }
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

/// `acc[i][j] = Σ_k a[first + i][start + k] · panel[k][j]`, k along the rows of `a`.
#[inline(always)]
pub fn rows<S: Simd, V: Float<S>, const M: usize, const NR: usize>(
    simd: S,
    a: Plane<'_, V::Element>,
    first: usize,
    start: usize,
    panel: &[V::Element],
) -> [[V; NR]; M] {
    let acc = [[V::splat(simd, V::Element::ZERO); NR]; M];
    rows_onto(simd, acc, a, first, start, panel)
}

/// [`rows`], its chains going on from `acc`.
#[inline(always)]
pub fn rows_onto<S: Simd, V: Float<S>, const M: usize, const NR: usize>(
    simd: S,
    mut acc: [[V; NR]; M],
    a: Plane<'_, V::Element>,
    first: usize,
    start: usize,
    panel: &[V::Element],
) -> [[V; NR]; M] {
    let lanes = V::LEN;
    let depth = panel.len() / (NR * lanes);
    let mut row = [&panel[..0]; M];
    for i in 0..M {
        row[i] = &a.row(first + i)[start..start + depth];
    }
    for (k, chunk) in panel.chunks_exact(NR * lanes).enumerate() {
        let mut b = [V::splat(simd, V::Element::ZERO); NR];
        for j in 0..NR {
            b[j] = V::from_slice(simd, &chunk[j * lanes..(j + 1) * lanes]);
        }
        for i in 0..M {
            let a = V::splat(simd, row[i][k]);
            for j in 0..NR {
                acc[i][j] = a.mul_add(b[j], acc[i][j]);
            }
        }
    }
    acc
}

/// `acc[i][j] = Σ_k b[first_row + k][first + i] · panel[k][j]`, k along the rows of `b`.
#[inline(always)]
pub fn columns<S: Simd, V: Float<S>, const M: usize, const NR: usize>(
    simd: S,
    b: Plane<'_, V::Element>,
    first_row: usize,
    first: usize,
    panel: &[V::Element],
) -> [[V; NR]; M] {
    let lanes = V::LEN;
    let mut acc = [[V::splat(simd, V::Element::ZERO); NR]; M];
    for (k, chunk) in panel.chunks_exact(NR * lanes).enumerate() {
        let row: &[V::Element; M] = match b.row(first_row + k)[first..].first_chunk() {
            Some(row) => row,
            None => unreachable!("a tile ends within its columns"),
        };
        let mut p = [V::splat(simd, V::Element::ZERO); NR];
        for j in 0..NR {
            p[j] = V::from_slice(simd, &chunk[j * lanes..(j + 1) * lanes]);
        }
        for i in 0..M {
            let value = V::splat(simd, row[i]);
            for j in 0..NR {
                acc[i][j] = value.mul_add(p[j], acc[i][j]);
            }
        }
    }
    acc
}

/// [`columns`], but where the panel holds −0 nothing is added, even if b is infinite or NaN.
#[inline(always)]
pub fn marked_columns<S: Simd, V: Float<S>, const M: usize, const NR: usize>(
    simd: S,
    b: Plane<'_, V::Element>,
    first_row: usize,
    first: usize,
    panel: &[V::Element],
) -> [[V; NR]; M] {
    let lanes = V::LEN;
    let zero = V::splat(simd, V::Element::ZERO);
    let mut acc = [[zero; NR]; M];
    for (k, chunk) in panel.chunks_exact(NR * lanes).enumerate() {
        for j in 0..NR {
            let p = V::from_slice(simd, &chunk[j * lanes..(j + 1) * lanes]);
            let marked = (V::splat(simd, V::Element::ONE) / p).simd_eq(V::Element::NEG_INFINITY);
            for i in 0..M {
                let value = V::splat(simd, b.row(first_row + k)[first + i]);
                acc[i][j] = marked.select(zero, value).mul_add(p, acc[i][j]);
            }
        }
    }
    acc
}
