//! Smoothing that keeps edges: `u ← u + dt·Σ over faces of g(|d|)·d`, d the difference across a
//! face and |d| its 2-norm over the channels; nothing passes the image's outer faces.
//!
//! for each slab of rows, on any thread; for each row: what passes along x; what passes its high
//! face along y, the low one's being the row before's; what passes both faces along z; the sum.
//!
//! exponential: g = exp(−(|d|/edge)²); reciprocal: g = 1/(1 + (|d|/edge)²).
//! Source: Perona and Malik 1990.

use fearless_simd::prelude::*;
use fearless_simd_macros::simd;

use super::boundary::{reserved, zeros};
use crate::layers::rows::{load, store};
use crate::scratch::Scratch;
use crate::simd::Real;
use crate::simd::math::exp2;
use crate::threads::{self, Turn};
use crate::view::ViewMut;
use crate::{Context, Error};

#[cfg(test)]
mod tests;

/// Pixels of a slab, about: the row before its first is then computed twice at little cost.
const SLAB: usize = 1 << 14;

/// How much passes a face, by the difference across it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conductance {
    /// exp(−(d/edge)²).
    Exponential,
    /// 1/(1 + (d/edge)²).
    Reciprocal,
}

/// What is the same for all rows.
struct Smoothing<T> {
    /// Planes, rows and columns.
    shape: [usize; 3],
    channels: usize,
    conductance: Conductance,
    /// Factor of |d|².
    square: T,
    dt: T,
}

/// `image`, channel after channel of `shape`, after `steps` steps of `dt` into `out`. An absent axis
/// has length 1.
///
/// # Errors
/// [`Error::Shape`] if the sizes differ, [`Error::TooLarge`], [`Error::OutOfMemory`],
/// [`Error::Interrupted`].
#[expect(clippy::too_many_arguments, reason = "a family's entry")]
pub fn image<T: Real>(
    image: &[T],
    shape: [usize; 3],
    channels: usize,
    out: &mut [T],
    steps: usize,
    edge: f64,
    conductance: Conductance,
    dt: f64,
    context: &Context,
) -> Result<(), Error> {
    let pixels = shape
        .iter()
        .try_fold(1_usize, |pixels, &n| pixels.checked_mul(n))
        .and_then(|pixels| pixels.checked_mul(channels))
        .ok_or(Error::TooLarge { what: "image" })?;
    for (argument, length) in [("image", image.len()), ("out", out.len())] {
        if length != pixels {
            return Err(Error::Shape {
                argument,
                given: vec![length],
                allowed: format!("{pixels} elements, {channels} channels of {shape:?}"),
            });
        }
    }
    if steps == 0 || pixels == 0 {
        out.copy_from_slice(image);
        return Ok(());
    }
    let square = 1.0 / (edge * edge);
    let smoothing = Smoothing {
        shape,
        channels,
        conductance,
        square: T::from_f64(match conductance {
            Conductance::Exponential => -std::f64::consts::LOG2_E * square,
            Conductance::Reciprocal => square,
        }),
        dt: T::from_f64(dt),
    };
    let mut other = zeros(if steps > 1 { pixels } else { 0 })?;
    fearless_simd::dispatch!(context.level, simd => {
        // The last step writes to out, each one to the array that the one before did not.
        for step in 0..steps {
            let into_out = (steps - step) % 2 == 1;
            let (from, to): (&[T], &mut [T]) = match (step, into_out) {
                (0, true) => (image, &mut *out),
                (0, false) => (image, &mut other),
                (_, true) => (&other, &mut *out),
                (_, false) => (&*out, &mut other),
            };
            smoothing.step(simd, from, to, context)?;
        }
        Ok(())
    })
}

impl<T: Real> Smoothing<T> {
    fn step<S: Simd>(
        &self,
        simd: S,
        from: &[T],
        to: &mut [T],
        context: &Context,
    ) -> Result<(), Error> {
        let [planes, lines, columns] = self.shape;
        let (rows, channels) = (planes * lines, self.channels);
        let slab = (SLAB / columns / channels).clamp(1, rows);
        // A slab is the same rows of every channel.
        let mut slabs = reserved(channels)?;
        for channel in to.chunks_exact_mut(rows * columns) {
            slabs.push(ViewMut::contiguous(channel, &[rows, columns])?.split_rows(rows, slab)?);
        }
        let tiles = rows.div_ceil(slab);
        // A row of each channel, with a face more than cells, along x; low and high along y, z.
        let size = channels * (columns + 1);
        let scratch = Scratch::<T>::new(threads::workers(context, tiles), 5 * size)?;
        threads::run(context, tiles, &|turn: Turn| {
            let mut scratch = scratch.lock(turn.worker);
            let mut passing: Vec<&mut [T]> = scratch.chunks_exact_mut(size).collect();
            let [along, low, high, back, front] = &mut passing[..] else {
                return;
            };
            let first = turn.tile * slab;
            let mut out: Vec<_> = slabs.iter().map(|slab| slab.take(turn.tile)).collect();
            for row in first..rows.min(first + slab) {
                if turn.cancelled() {
                    return;
                }
                let (plane, line) = (row / lines, row % lines);
                self.faces(
                    simd,
                    from,
                    (row * columns, row * columns + 1),
                    columns - 1,
                    1,
                    along,
                );
                if row == first || line == 0 {
                    self.pass(simd, from, (line > 0).then(|| (row - 1, row)), low);
                } else {
                    std::mem::swap(low, high);
                }
                self.pass(simd, from, (line + 1 < lines).then(|| (row, row + 1)), high);
                self.pass(simd, from, (plane > 0).then(|| (row - lines, row)), back);
                let next = (plane + 1 < planes).then(|| (row, row + lines));
                self.pass(simd, from, next, front);
                for (channel, out) in out.iter_mut().enumerate() {
                    let u = &from[(channel * rows + row) * columns..][..columns];
                    let part = channel * (columns + 1)..(channel + 1) * (columns + 1);
                    let passing = [
                        &along[part.clone()],
                        &low[part.clone()],
                        &high[part.clone()],
                    ];
                    let deep = (planes > 1).then(|| [&back[part.clone()], &front[part]]);
                    sum(simd, u, passing, deep, self.dt, out.row(row - first));
                }
            }
        })
    }

    /// What passes between two rows; nothing if there is but one.
    fn pass<S: Simd>(&self, simd: S, from: &[T], rows: Option<(usize, usize)>, passing: &mut [T]) {
        let columns = self.shape[2];
        match rows {
            Some((a, b)) => {
                self.faces(simd, from, (a * columns, b * columns), columns, 0, passing);
            }
            None => passing.fill(T::ZERO),
        }
    }

    /// What passes the faces between `count` pixels from `a` on and those from `b` on, in every
    /// channel, from place `start` of its row on.
    fn faces<S: Simd>(
        &self,
        simd: S,
        from: &[T],
        (a, b): (usize, usize),
        count: usize,
        start: usize,
        passing: &mut [T],
    ) {
        let [planes, lines, columns] = self.shape;
        let stride = planes * lines * columns;
        let spec = (self.conductance, self.square);
        if self.channels == 1 {
            let (a, b) = (&from[a..][..count], &from[b..][..count]);
            single(simd, a, b, spec, &mut passing[start..][..count]);
        } else {
            let sizes = (self.channels, stride, columns + 1);
            several(
                simd,
                &from[a..],
                &from[b..],
                spec,
                count,
                sizes,
                &mut passing[start..],
            );
        }
        if start == 1 {
            // Nothing passes the outer faces.
            for row in passing.chunks_exact_mut(columns + 1) {
                row[0] = T::ZERO;
                row[columns] = T::ZERO;
            }
        }
    }
}

/// g of the square of a difference.
#[inline(always)]
fn conduct<S: Simd, V: SimdFloat<S, Element: Real>>(
    simd: S,
    (conductance, factor): (Conductance, V::Element),
    square: V,
) -> V {
    let scaled = square * V::splat(simd, factor);
    match conductance {
        Conductance::Exponential => exp2(simd, scaled),
        Conductance::Reciprocal => {
            let one = V::splat(simd, V::Element::ONE);
            one / (one + scaled)
        }
    }
}

/// g(|b − a|)·(b − a) of one channel.
#[simd]
fn single<S: Simd, T: Real>(simd: S, a: &[T], b: &[T], spec: (Conductance, T), passing: &mut [T]) {
    let lanes = T::Wide::<S>::LEN;
    let count = passing.len();
    let (a, b) = (&a[..count], &b[..count]);
    let mut at = 0;
    while at < count {
        let end = count.min(at + lanes);
        let load = |row: &[T]| load::<S, T::Wide<S>>(simd, &row[at..end], T::ZERO);
        let d = load(b) - load(a);
        let flow = conduct(simd, spec, d * d) * d;
        store::<S, T::Wide<S>>(flow, &mut passing[at..end]);
        at += lanes;
    }
}

/// [`single`] for several channels: `a` and `b` begin at the first channel's pixels.
#[simd]
fn several<S: Simd, T: Real>(
    simd: S,
    a: &[T],
    b: &[T],
    spec: (Conductance, T),
    count: usize,
    (channels, stride, row): (usize, usize, usize),
    passing: &mut [T],
) {
    let lanes = T::Wide::<S>::LEN;
    let mut at = 0;
    while at < count {
        let end = count.min(at + lanes);
        let mut square = T::Wide::<S>::splat(simd, T::ZERO);
        for channel in 0..channels {
            let from = channel * stride;
            let d = load::<S, T::Wide<S>>(simd, &b[from + at..from + end], T::ZERO)
                - load::<S, T::Wide<S>>(simd, &a[from + at..from + end], T::ZERO);
            square = d.mul_add(d, square);
            store::<S, T::Wide<S>>(d, &mut passing[channel * row + at..channel * row + end]);
        }
        let g = conduct(simd, spec, square);
        for channel in 0..channels {
            let place = &mut passing[channel * row + at..channel * row + end];
            let d = load::<S, T::Wide<S>>(simd, place, T::ZERO);
            store::<S, T::Wide<S>>(g * d, place);
        }
        at += lanes;
    }
}

/// `out = u + dt·(what comes in)`: along x a row has a face more than pixels.
#[simd]
fn sum<S: Simd, T: Real>(
    simd: S,
    u: &[T],
    [along, low, high]: [&[T]; 3],
    deep: Option<[&[T]; 2]>,
    dt: T,
    out: &mut [T],
) {
    let lanes = T::Wide::<S>::LEN;
    let count = out.len();
    let dt = T::Wide::<S>::splat(simd, dt);
    let mut at = 0;
    while at < count {
        let end = count.min(at + lanes);
        let load = |row: &[T]| load::<S, T::Wide<S>>(simd, &row[at..end], T::ZERO);
        let mut gain = load(&along[1..]) - load(along);
        gain += load(high) - load(low);
        if let Some([back, front]) = deep {
            gain += load(front) - load(back);
        }
        let value = gain.mul_add(dt, load(u));
        store::<S, T::Wide<S>>(value, &mut out[at..end]);
        at += lanes;
    }
}
