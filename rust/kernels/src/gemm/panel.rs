//! Rows into a panel and back: transposes of `BLOCK × BLOCK` in registers.
//!
//! A 128-bit block is the widest on which interleaving is one instruction on every level. Four
//! rows of float32 (two of float64) cost half a shuffle an element, against one store an element
//! when each goes by itself.

use fearless_simd::prelude::*;

use crate::simd::{Float, Real};

/// 128 bits of lanes.
pub type Block<S, T> = <T as Real>::Block<S>;

/// Two blocks.
pub type Pair<S, T> = <T as Real>::Pair<S>;

/// Most rows that a block has.
pub const MOST: usize = 4;

/// `panel[k][lane] = scale · rows(lane)[k]` for the lanes that have a row, 0 for the others.
/// `panel` holds `width` lanes for each k.
#[inline(always)]
pub fn pack<'a, S: Simd, T: Real>(
    simd: S,
    mut rows: impl FnMut(usize) -> &'a [T],
    count: usize,
    width: usize,
    scale: T,
    panel: &mut [T],
) {
    let block = Block::<S, T>::LEN;
    for first in (0..width).step_by(block) {
        let mut row: [&[T]; MOST] = [&[]; MOST];
        for i in 0..block.min(count.saturating_sub(first)) {
            row[i] = rows(first + i);
        }
        pack_block(simd, row, first, width, scale, panel);
    }
}

/// [`pack`] for the lanes `first..first + BLOCK`: a row shorter than the panel is continued by 0.
#[inline(always)]
pub fn pack_block<S: Simd, T: Real>(
    simd: S,
    rows: [&[T]; MOST],
    first: usize,
    width: usize,
    scale: T,
    panel: &mut [T],
) {
    let block = Block::<S, T>::LEN;
    let depth = panel.len() / width;
    let full = depth - depth % block;
    let factor = Block::<S, T>::splat(simd, scale);
    let zeros = [T::ZERO; MOST];
    for k in (0..full).step_by(block) {
        let mut x = [factor; MOST];
        for i in 0..block {
            let row = rows[i].get(k..k + block).unwrap_or(&zeros[..block]);
            x[i] = Block::<S, T>::from_slice(simd, row) * factor;
        }
        transpose(&mut x);
        for i in 0..block {
            x[i].store_slice(&mut panel[(k + i) * width + first..][..block]);
        }
    }
    for k in full..depth {
        for i in 0..block {
            panel[k * width + first + i] = rows[i].get(k).map_or(T::ZERO, |x| *x * scale);
        }
    }
}

/// `strip[i][c] = panel[c][first + i]` for the BLOCK lanes from `first` on; `strip` holds one row
/// of `columns` after another.
#[inline(always)]
pub fn unpack<S: Simd, T: Real>(
    simd: S,
    panel: &[T],
    width: usize,
    first: usize,
    columns: usize,
    strip: &mut [T],
) {
    let block = Block::<S, T>::LEN;
    let full = columns - columns % block;
    for c in (0..full).step_by(block) {
        let mut x = [Block::<S, T>::splat(simd, T::ZERO); MOST];
        for i in 0..block {
            x[i] = Block::<S, T>::from_slice(simd, &panel[(c + i) * width + first..][..block]);
        }
        transpose(&mut x);
        for i in 0..block {
            x[i].store_slice(&mut strip[i * columns + c..][..block]);
        }
    }
    for c in full..columns {
        for i in 0..block {
            strip[i * columns + c] = panel[c * width + first + i];
        }
    }
}

/// Lanes that [`unpack`] takes at once.
#[inline(always)]
pub const fn block<S: Simd, T: Real>() -> usize {
    Block::<S, T>::LEN
}

/// Transposes the first `V::LEN` vectors: 4 × 4 or 2 × 2.
#[inline(always)]
pub fn transpose<S: Simd, V: SimdBase<S>>(x: &mut [V; MOST]) {
    if V::LEN == 4 {
        let [a, b, c, d] = *x;
        let (ac0, ac1) = (a.zip_low(c), a.zip_high(c));
        let (bd0, bd1) = (b.zip_low(d), b.zip_high(d));
        *x = [
            ac0.zip_low(bd0),
            ac0.zip_high(bd0),
            ac1.zip_low(bd1),
            ac1.zip_high(bd1),
        ];
    } else {
        let [a, b, ..] = *x;
        x[0] = a.zip_low(b);
        x[1] = a.zip_high(b);
    }
}

/// [`transpose`] in each 128-bit block by itself, whatever the number of blocks: by rotations and
/// selections, since no level interleaves blocks of more than one.
#[inline(always)]
pub fn transpose_blocks<S: Simd, V: Float<S>>(simd: S, x: &mut [V; MOST]) {
    let upper = V::Mask::from_bitmask(simd, 0xcccc);
    let odd = V::Mask::from_bitmask(simd, 0xaaaa);
    if V::Block::LEN == 4 {
        for i in 0..2 {
            let (a, c) = (x[i], x[i + 2]);
            let middle = a.slide_within_blocks::<2>(c);
            x[i] = upper.select(middle, a);
            x[i + 2] = upper.select(c, middle);
        }
    }
    for i in (0..V::Block::LEN).step_by(2) {
        let (a, b) = (x[i], x[i + 1]);
        let later = if V::Block::LEN == 4 {
            b.slide_within_blocks::<3>(b)
        } else {
            b.slide_within_blocks::<1>(b)
        };
        x[i] = odd.select(later, a);
        x[i + 1] = odd.select(b, a.slide_within_blocks::<1>(a));
    }
}
