//! The factors of `I − H` along lines (see [`super::lines`]), without a subtraction.
//!
//! A row of I − H is its excess e over what it passes to others, and those couplings. Eliminating a
//! cell passes its excess on: e = 1 + a + c·(e₋·m₋), pivot d = e + c₊ + f, m = 1/d. All terms are
//! positive, so the factors are right to a few units in the last place however stiff H is.
//! Source: Grassmann, Taksar, Heyman 1985.

use fearless_simd::prelude::*;
use fearless_simd_macros::simd;

use super::lines::{FACE, INVERSE, LOSS, Line, lanes, load, store};
use crate::Error;
use crate::diffusion::Mean;
use crate::diffusion::boundary::zeros;
use crate::simd::Real;

/// Below it, a coupling counts as none: products of it would be subnormal.
const TINY: f64 = 1e-30;

/// What the factors of one axis have in common.
#[derive(Clone, Copy)]
pub(super) struct Axis<T> {
    pub(super) cells: usize,
    pub(super) shared: bool,
    pub(super) loss: bool,
    pub(super) ring: bool,
    pub(super) mean: Mean,
    /// Half a step, by itself and over h² (times D where that is one number).
    pub(super) half: T,
    pub(super) scale: T,
    /// The part of the decay that this axis takes.
    pub(super) share: T,
}

impl<T> Axis<T> {
    /// Numbers of a record.
    fn size(&self) -> usize {
        2 + usize::from(self.loss) + usize::from(self.ring)
    }

    /// Numbers of a block of lines.
    pub(super) fn block(&self) -> usize {
        let width = if self.shared { 1 } else { lanes::<T>() };
        self.cells * self.size() * width
    }
}

/// The factors of all lines along one axis.
pub(super) struct Factors<T> {
    pub(super) axis: Axis<T>,
    pub(super) records: Vec<T>,
}

impl<T: Real> Factors<T> {
    /// Room for `blocks` blocks of lines.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(super) fn new(axis: Axis<T>, blocks: usize) -> Result<Self, Error> {
        let blocks = if axis.shared { 1 } else { blocks };
        let length = axis.block().saturating_mul(blocks);
        let records = zeros(length)?;
        Ok(Self { axis, records })
    }

    /// The factors of block `block`.
    #[inline(always)]
    pub(super) fn line(&self, block: usize) -> Line<'_, T> {
        let length = self.axis.block();
        let start = if self.axis.shared { 0 } else { block * length };
        Line {
            records: &self.records[start..][..length],
            shared: self.axis.shared,
            size: self.axis.size(),
            loss: self.axis.loss,
            ring: self.axis.ring,
            cells: self.axis.cells,
        }
    }
}

/// What a block of lines consists of: rows of lanes, or numbers where the factors are shared.
pub(super) struct Matter<'a, T> {
    /// D, or 1 where that is in the scale; negative in a wall.
    pub(super) diffusivity: &'a [T],
    /// Not 0 where a cell is held.
    pub(super) held: Option<&'a [T]>,
    pub(super) decay: Option<&'a [T]>,
    /// The outward rate at the two ends, a row each.
    pub(super) ends: [&'a [T]; 2],
}

/// Writes the records of one block.
#[simd]
pub(super) fn eliminate<S: Simd, T: Real>(
    simd: S,
    axis: &Axis<T>,
    matter: &Matter<T>,
    records: &mut [T],
) {
    if axis.shared {
        elimination::<S, T, true>(simd, axis, matter, records);
    } else {
        elimination::<S, T, false>(simd, axis, matter, records);
    }
}

#[inline(always)]
fn elimination<S: Simd, T: Real, const SHARED: bool>(
    simd: S,
    axis: &Axis<T>,
    matter: &Matter<T>,
    records: &mut [T],
) {
    let splat = |value| T::Wide::<S>::splat(simd, value);
    let (zero, one) = (splat(T::ZERO), splat(T::ONE));
    let tiny = splat(T::from_f64(TINY));
    let (n, size) = (axis.cells, axis.size());
    let inner = n - usize::from(axis.ring);
    let scale = splat(axis.scale);
    let cell = |i| load::<S, T, SHARED>(simd, matter.diffusivity, i);

    let mut here = cell(0);
    let mut face = zero;
    if axis.ring {
        face = face_mean(simd, axis.mean, cell(n - 1), here) * scale;
    }
    let mut link = face;
    let mut gain = zero;
    let mut last = zero;
    for i in 0..n {
        let mut next = here;
        let mut high = zero;
        if i + 1 < n {
            next = cell(i + 1);
            high = face_mean(simd, axis.mean, here, next) * scale;
        }
        let loss = loss::<S, T, SHARED>(simd, axis, matter, i, here);
        let mut pass = high;
        if axis.ring && i + 1 == inner {
            link += high;
            pass = zero;
        }
        let excess = one + loss + gain;
        let (pivot, ring) = if i < inner {
            (excess + pass + link, link)
        } else {
            (one + loss + last, zero)
        };
        let mut inverse = one / pivot;
        let mut kept = excess * inverse;
        if let Some(held) = matter.held {
            let held = load::<S, T, SHARED>(simd, held, i).simd_eq(zero);
            inverse = held.select(inverse, zero);
            kept = held.select(kept, one);
        }
        last = link.mul_add(kept, last);
        gain = pass * kept;
        let fill = link * high * inverse;
        link = tiny.simd_lt(fill).select(fill, zero);

        let record = i * size;
        store::<S, T, SHARED>(face, records, record + FACE);
        store::<S, T, SHARED>(inverse, records, record + INVERSE);
        if axis.loss {
            store::<S, T, SHARED>(loss, records, record + LOSS);
        }
        if axis.ring {
            store::<S, T, SHARED>(ring, records, record + size - 1);
        }
        face = high;
        here = next;
    }
}

/// a of cell `i`.
#[inline(always)]
fn loss<S: Simd, T: Real, const SHARED: bool>(
    simd: S,
    axis: &Axis<T>,
    matter: &Matter<T>,
    i: usize,
    diffusivity: T::Wide<S>,
) -> T::Wide<S> {
    let splat = |value| T::Wide::<S>::splat(simd, value);
    let zero = splat(T::ZERO);
    let mut loss = zero;
    if !axis.loss {
        return loss;
    }
    let half = splat(axis.half);
    if let Some(decay) = matter.decay {
        loss = load::<S, T, SHARED>(simd, decay, i) * splat(axis.share) * half;
    }
    for (end, rates) in [0, axis.cells - 1].into_iter().zip(matter.ends) {
        if i == end && !rates.is_empty() {
            loss = load::<S, T, SHARED>(simd, rates, 0).mul_add(half, loss);
        }
    }
    diffusivity.simd_lt(zero).select(zero, loss)
}

/// As [`crate::diffusion::Problem::face_mean`]; 0 beside a wall.
#[inline(always)]
fn face_mean<S: Simd, V: SimdFloat<S, Element: Real>>(simd: S, mean: Mean, a: V, b: V) -> V {
    let zero = V::splat(simd, V::Element::ZERO);
    let sum = a + b;
    let value = match mean {
        Mean::Harmonic => {
            let share = a.max(b) / sum;
            let value = a.min(b) * (share + share);
            zero.simd_lt(sum).select(value, zero)
        }
        Mean::Arithmetic => sum * V::splat(simd, V::Element::from_f64(0.5)),
    };
    (a.simd_lt(zero) | b.simd_lt(zero)).select(zero, value)
}
