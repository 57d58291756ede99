//! Where D is one number for each axis and nothing stands in the way: central second differences of
//! order 2, 4, 6 or 8, `h² u″ ≈ Σ_k w_k·(u_{+k} − 2u + u_{−k})`, mirrored at the sides.
//!
//! for each slab of planes, on any thread; for each window of a plane; for each plane: load it, with
//! what its mirrors show, into a ring of 2·reach + 1 planes; then for each row of the middle one:
//!   out = its differences along x, then += those along y and z, at last += keep·u.
//! The ring, [`RING`] bytes, stays in L2; read where they lie, the planes of a grid whose sizes are
//! powers of two would all want the same few sets of it. A slab is thick enough that the planes
//! beside it, read twice, are little. Each of the three passes over a row has no more than nine rows
//! in hand, for which there are registers; between them the row is in L1.
//!
//! A field that is the same everywhere stays so bit for bit: differences are summed, never weights,
//! and their sum is added to u once.
//! Source: Fornberg 1988.

use std::array::from_fn;
use std::ops::Range;

use fearless_simd::prelude::*;
use fearless_simd_macros::simd;

use super::boundary::{Exchange, between};
use super::problem::{Diffusivity, Problem, Side, Term};
use crate::scratch::Scratch;
use crate::simd::{Lanes, Real, prefetch};
use crate::threads::{self, Turn};
use crate::view::ViewMut;
use crate::{Context, Error};

#[cfg(test)]
mod tests;

/// Most cells that a difference reaches to either side.
const MOST: usize = 4;
/// Bytes of a ring of planes: it shares an L2 of half a megabyte with what is read and written.
const RING: usize = 320 << 10;
/// Bytes of a row of a window. Whole rows are read and written sooner than parts of them, though
/// they leave fewer rows to a ring, and each window loads some rows beside its own.
const ROW: usize = 4 << 10;
/// Rows of windows are whole cache lines.
const LINE: usize = 64;
/// Planes of a slab.
const SLAB: [usize; 2] = [16, 64];
/// Cells of a slab of a single plane.
const PIECE: usize = 1 << 15;

/// w_k, k = 1, 2, …, of second differences of `order`.
pub(super) fn weights(order: usize) -> [f64; MOST] {
    match order {
        2 => [1.0, 0.0, 0.0, 0.0],
        4 => [4.0 / 3.0, -1.0 / 12.0, 0.0, 0.0],
        6 => [1.5, -0.15, 1.0 / 90.0, 0.0],
        _ => [1.6, -0.2, 8.0 / 315.0, -1.0 / 560.0],
    }
}

/// Whether this module serves `problem`.
pub(super) fn serves<T>(problem: &Problem<T>) -> bool {
    matches!(problem.diffusivity, Diffusivity::Constant(_))
        && problem.walls.is_none()
        && problem.held.is_none()
        && problem.velocity.is_none()
}

/// Checks that a problem of order 4 or more is one that such orders are defined for.
pub(super) fn check<T: Real>(problem: &Problem<T>) -> Result<(), Error> {
    let plain = |side: &Side<T>| match side {
        Side::Periodic | Side::Insulated => true,
        Side::Value(face) => face.values.iter().all(|&value| value == T::ZERO),
        Side::Flux(_) | Side::Robin { .. } => false,
    };
    if problem.order == 2 || (serves(problem) && problem.sides.iter().flatten().all(plain)) {
        return Ok(());
    }
    Err(Error::Value {
        argument: "order",
        given: problem.order.to_string(),
        allowed: "2 where D differs from cell to cell, where there are walls, held cells or \
                  velocity, and where a side is not periodic, insulated or of value 0",
    })
}

/// A part of every plane of a slab.
struct Window {
    rows: Range<usize>,
    columns: Range<usize>,
}

/// The planes around the one that is worked on: windows of them with the cells around.
struct Ring {
    /// How far differences reach along each axis; 0 where they are all 0.
    reach: [usize; 3],
    /// Rows of a plane.
    rows: usize,
    stride: usize,
}

impl Ring {
    fn slots(&self) -> usize {
        2 * self.reach[0] + 1
    }

    fn plane(&self) -> usize {
        self.rows * self.stride
    }

    /// Where plane number `plane` goes.
    fn slot<'r, T>(&self, planes: &'r mut [T], plane: usize) -> &'r mut [T] {
        &mut planes[plane % self.slots() * self.plane()..][..self.plane()]
    }

    /// `length` cells of a row of a plane, from `start` on.
    #[inline(always)]
    fn row<'r, T>(
        &self,
        planes: &'r [T],
        (plane, row): (usize, usize),
        start: usize,
        length: usize,
    ) -> &'r [T] {
        let slot = plane % self.slots() * self.plane();
        &planes[slot + row * self.stride + start..][..length]
    }
}

/// What a sweep does to every row: `out = keep·u + scale·(differences − decay·u + source)`.
struct Star<'p, 'a, T> {
    problem: &'p Problem<'a, T>,
    reach: usize,
    keep: T,
    scale: T,
    /// `scale·D·w/h²` for each axis.
    weights: [[T; MOST]; 3],
    /// Of order 2 only: higher ones mirror oddly where the value is 0.
    ends: [[Option<Exchange<T>>; 2]; 3],
}

impl<'p, 'a, T: Real> Star<'p, 'a, T> {
    fn new(problem: &'p Problem<'a, T>, keep: f64, scale: f64) -> Result<Self, Error> {
        check(problem)?;
        let Diffusivity::Constant(diffusivity) = problem.diffusivity else {
            return Err(Error::Value {
                argument: "diffusivity",
                given: "an array".to_owned(),
                allowed: "one number for each axis here",
            });
        };
        let mut ends: [[Option<Exchange<T>>; 2]; 3] = Default::default();
        if problem.order == 2 {
            for (axis, ends) in ends.iter_mut().enumerate() {
                for (side, end) in ends.iter_mut().enumerate() {
                    *end = Exchange::new(problem, axis, side, scale)?;
                }
            }
        }
        let weights = weights(problem.order);
        Ok(Self {
            problem,
            reach: problem.order / 2,
            keep: T::from_f64(keep),
            scale: T::from_f64(scale),
            weights: from_fn(|axis| {
                let h = problem.spacing[axis];
                weights.map(|w| T::from_f64(scale * diffusivity[axis] * w / (h * h)))
            }),
            ends,
        })
    }

    /// Which cell stands at `place` of a line along `axis`, and whether with its sign turned.
    fn fold(&self, axis: usize, place: isize) -> (usize, bool) {
        let n = self.problem.shape[axis] as isize;
        // Most places are inside: neither of the ways below is for every row.
        if (0..n).contains(&place) {
            return (place as usize, false);
        }
        if self.problem.periodic(axis) {
            return (place.rem_euclid(n) as usize, false);
        }
        let odd = |side: usize| {
            self.problem.order > 2 && matches!(self.problem.sides[axis][side], Side::Value(_))
        };
        let (mut place, mut turned) = (place, false);
        while !(0..n).contains(&place) {
            let low = place < 0;
            turned ^= odd(usize::from(!low));
            place = if low { -1 - place } else { 2 * n - 1 - place };
        }
        (place as usize, turned)
    }

    /// Whether differences along `axis` can be anything but 0.
    fn differs(&self, axis: usize) -> bool {
        let odd = |side: &Side<T>| self.problem.order > 2 && matches!(side, Side::Value(_));
        self.problem.shape[axis] > 1 || self.problem.sides[axis].iter().any(odd)
    }

    /// One sweep over all grids of `before`.
    fn sweep<S: Simd>(
        &self,
        simd: S,
        before: &[T],
        out: &mut [T],
        context: &Context,
    ) -> Result<(), Error> {
        let [planes, rows, columns] = self.problem.shape;
        let count = out.len() / columns;
        let thick = planes > 1;
        let (group, tile) = if thick {
            let slab = (planes / 16).clamp(SLAB[0], SLAB[1]).min(planes);
            (planes * rows, slab * rows)
        } else {
            (rows, (PIECE / columns).clamp(1, rows))
        };
        let per_group = group.div_ceil(tile);
        let tiles = ViewMut::contiguous(out, &[count, columns])?.split_rows(group, tile)?;
        // As many windows as it takes, of one width.
        let windows = (columns * size_of::<T>()).div_ceil(ROW);
        let width = columns
            .div_ceil(windows)
            .next_multiple_of(LINE / size_of::<T>());
        let mut ring = Ring {
            reach: [0, 1, 2].map(|axis| if self.differs(axis) { self.reach } else { 0 }),
            rows: 0,
            stride: width + 2 * self.reach,
        };
        let most = RING / (ring.slots() * ring.stride * size_of::<T>());
        let most = most
            .saturating_sub(2 * ring.reach[1])
            .max(2 * self.reach)
            .min(rows);
        ring.rows = most + 2 * ring.reach[1];
        let workers = threads::workers(context, tiles.tiles());
        let scratch = Scratch::<T>::new(workers, ring.slots() * ring.plane())?;
        let cells = planes * rows * columns;
        threads::run(context, tiles.tiles(), &|turn: Turn| {
            let mut scratch = scratch.lock(turn.worker);
            let mut out = tiles.take(turn.tile);
            let first = turn.tile % per_group * tile;
            let item = out.first() / (planes * rows);
            let before = &before[item * cells..][..cells];
            // A slab of whole planes, or some rows of the only one.
            let (slab, start, end) = if thick {
                (first / rows..(first + out.len()) / rows, 0, rows)
            } else {
                (0..1, first, first + out.len())
            };
            for low in (start..end).step_by(most) {
                for left in (0..columns).step_by(width) {
                    let window = Window {
                        rows: low..end.min(low + most),
                        columns: left..columns.min(left + width),
                    };
                    let deep = ring.reach[0];
                    for loaded in 0..slab.len() + 2 * deep {
                        if turn.cancelled() {
                            return;
                        }
                        let z = (slab.start + loaded) as isize - deep as isize;
                        self.load(before, z, &window, &ring, ring.slot(&mut scratch, loaded));
                        let Some(z) = loaded.checked_sub(2 * deep) else {
                            continue;
                        };
                        for y in window.rows.clone() {
                            let r = if thick { z * rows + y } else { y - start };
                            // Of the plane that is loaded next: copying waits for memory else.
                            let (ahead, _) = self.fold(0, (slab.start + z + deep + 1) as isize);
                            let ahead = (ahead * rows + y) * columns;
                            prefetch(&before[ahead..][window.columns.clone()]);
                            let out = &mut out.row(r)[window.columns.clone()];
                            let place = (loaded - deep, y - low + ring.reach[1]);
                            match self.reach {
                                1 => self.row::<S, 1>(simd, &scratch, &ring, place, out),
                                2 => self.row::<S, 2>(simd, &scratch, &ring, place, out),
                                3 => self.row::<S, 3>(simd, &scratch, &ring, place, out),
                                _ => self.row::<S, 4>(simd, &scratch, &ring, place, out),
                            }
                            let u = ring.row(&scratch, place, self.reach, out.len());
                            self.rest((slab.start + z, y), left, u, out);
                        }
                    }
                }
            }
        })
    }

    /// The window of plane `z`, which may lie beyond the grid, with the cells around it.
    fn load(&self, before: &[T], z: isize, window: &Window, ring: &Ring, plane: &mut [T]) {
        let [_, rows, columns] = self.problem.shape;
        let (z, turned) = self.fold(0, z);
        let reach = self.reach;
        let (left, width) = (window.columns.start, window.columns.len());
        let count = window.rows.len() + 2 * ring.reach[1];
        for (i, line) in plane.chunks_exact_mut(ring.stride).take(count).enumerate() {
            let y = (window.rows.start + i) as isize - ring.reach[1] as isize;
            let (y, turned_again) = self.fold(1, y);
            let row = &before[(z * rows + y) * columns..][..columns];
            line[reach..reach + width].copy_from_slice(&row[window.columns.clone()]);
            for k in 0..reach {
                for (to, x) in [
                    (reach - 1 - k, left as isize - 1 - k as isize),
                    (reach + width + k, (left + width + k) as isize),
                ] {
                    let (x, negative) = self.fold(2, x);
                    line[to] = if negative { -row[x] } else { row[x] };
                }
            }
            if turned != turned_again {
                for u in &mut line[..width + 2 * reach] {
                    *u = -*u;
                }
            }
        }
    }

    /// The differences of one row of the plane that was loaded as number `place.0`, whose row
    /// `place.1` of the ring it is.
    fn row<S: Simd, const R: usize>(
        &self,
        simd: S,
        planes: &[T],
        ring: &Ring,
        place: (usize, usize),
        out: &mut [T],
    ) {
        let width = out.len();
        let pick = |axis: usize| from_fn::<T, R, _>(|k| self.weights[axis][k]);
        // The last pass keeps u.
        let keep = |last: bool| if last { self.keep } else { T::ZERO };
        let (along_y, along_z) = (ring.reach[1] > 0, ring.reach[0] > 0);
        let line = ring.row(planes, place, 0, width + 2 * R);
        let alone = keep(!along_y && !along_z);
        along::<S, T, R>(simd, line, alone, pick(2), out);
        let u = &line[R..R + width];
        let (plane, row) = place;
        let at = |plane: usize, row: usize| ring.row(planes, (plane, row), R, width);
        if along_y {
            let below = from_fn::<_, R, _>(|k| at(plane, row - 1 - k));
            let above = from_fn::<_, R, _>(|k| at(plane, row + 1 + k));
            across::<S, T, R>(simd, u, (below, above), keep(!along_z), pick(1), out);
        }
        if along_z {
            let below = from_fn::<_, R, _>(|k| at(plane - 1 - k, row));
            let above = from_fn::<_, R, _>(|k| at(plane + 1 + k, row));
            across::<S, T, R>(simd, u, (below, above), self.keep, pick(0), out);
        }
    }

    /// Decay, source, and what passes the sides.
    fn rest(&self, (z, y): (usize, usize), left: usize, u: &[T], out: &mut [T]) {
        let problem = self.problem;
        let [planes, rows, columns] = problem.shape;
        let first = (z * rows + y) * columns + left;
        let number = |term: Term<T>, x: usize| match term {
            Term::Number(number) => T::from_f64(number),
            Term::PerPoint(values) => values[first + x],
        };
        if let Some(decay) = problem.decay {
            for (x, (out, &u)) in out.iter_mut().zip(u).enumerate() {
                *out -= self.scale * number(decay, x) * u;
            }
        }
        if let Some(source) = problem.source {
            for (x, out) in out.iter_mut().enumerate() {
                *out += self.scale * number(source, x);
            }
        }
        for (axis, ends) in self.ends.iter().enumerate() {
            for (side, end) in ends.iter().enumerate() {
                let Some(end) = end else { continue };
                let given = end.given_at(0);
                let gain = |out: &mut T, u: T, cell: usize| {
                    *out += end.own[cell] * u + given[cell];
                };
                let last = |n: usize| if side == 0 { 0 } else { n - 1 };
                if axis == 2 {
                    let x = last(columns).wrapping_sub(left);
                    if let Some(out) = out.get_mut(x) {
                        gain(out, u[x], z * rows + y);
                    }
                    continue;
                }
                let (here, n, other) = if axis == 1 {
                    (y, rows, z)
                } else {
                    (z, planes, y)
                };
                if here == last(n) {
                    for (x, (out, &u)) in out.iter_mut().zip(u).enumerate() {
                        gain(out, u, other * columns + left + x);
                    }
                }
            }
        }
    }
}

/// du/dt of every cell of `field`.
///
/// # Errors
/// As [`explicit`].
pub(super) fn operator<T: Real>(
    problem: &Problem<T>,
    field: &[T],
    out: &mut [T],
    context: &Context,
) -> Result<(), Error> {
    let star = Star::new(problem, 0.0, 1.0)?;
    fearless_simd::dispatch!(context.level, simd => star.sweep(simd, field, out, context))
}

/// `field` after `steps` steps of Euler's method of length `dt`, one a sweep, into `out`. `aside` is as
/// [`super::explicit()`] has it.
///
/// # Errors
/// [`Error::Value`] where an order above 2 is not defined for the problem, [`Error::OutOfMemory`],
/// [`Error::Interrupted`].
pub(super) fn explicit<T: Real>(
    problem: &Problem<T>,
    field: &[T],
    out: &mut [T],
    aside: Option<&mut [T]>,
    dt: f64,
    steps: usize,
    context: &Context,
) -> Result<(), Error> {
    let star = Star::new(problem, 1.0, dt)?;
    if steps == 0 {
        out.copy_from_slice(field);
        return Ok(());
    }
    let mut own = Vec::new();
    let other = between(steps > 1, aside, &mut own, field.len())?;
    fearless_simd::dispatch!(context.level, simd => {
        // The last step writes to out, each one to the array that the one before did not.
        for step in 0..steps {
            let into_out = (steps - step) % 2 == 1;
            let (from, to): (&[T], &mut [T]) = match (step, into_out) {
                (0, true) => (field, &mut *out),
                (0, false) => (field, &mut *other),
                (_, true) => (other, &mut *out),
                (_, false) => (&*out, &mut *other),
            };
            star.sweep(simd, from, to, context)?;
        }
        Ok(())
    })
}

/// `out = keep·u + Σ_k w_k·(u_{+k} − 2u + u_{−k})` along a row that goes on by R at both ends.
#[simd]
fn along<S: Simd, T: Real, const R: usize>(
    simd: S,
    line: &[T],
    keep: T,
    weights: [T; R],
    out: &mut [T],
) {
    let n = out.len();
    let lanes = Lanes::<S, T>::LEN;
    let line = &line[..n + 2 * R];
    let splat = |value| Lanes::<S, T>::splat(simd, value);
    let load = |at: usize| Lanes::<S, T>::from_slice(simd, &line[at..][..lanes]);
    let (keeping, zero) = (splat(keep), splat(T::ZERO));
    let mut at = 0;
    while at + lanes <= n {
        let u = load(at + R);
        let mut sum = zero;
        for k in 0..R {
            let (low, high) = (load(at + R - 1 - k), load(at + R + 1 + k));
            let difference = (high - u) - (u - low);
            sum = splat(weights[k]).mul_add(difference, sum);
        }
        keeping.mul_add(u, sum).store_slice(&mut out[at..][..lanes]);
        at += lanes;
    }
    for at in at..n {
        let u = line[at + R];
        out[at] = T::ZERO;
        for k in 0..R {
            let (low, high) = (line[at + R - 1 - k], line[at + R + 1 + k]);
            out[at] += weights[k] * ((high - u) - (u - low));
        }
        out[at] += keep * u;
    }
}

/// `out += Σ_k w_k·(above_k − 2u + below_k) + keep·u`.
#[simd]
fn across<S: Simd, T: Real, const R: usize>(
    simd: S,
    u: &[T],
    (below, above): ([&[T]; R], [&[T]; R]),
    keep: T,
    weights: [T; R],
    out: &mut [T],
) {
    let n = out.len();
    let lanes = Lanes::<S, T>::LEN;
    let u = &u[..n];
    let (mut low_rows, mut high_rows) = (below, above);
    for k in 0..R {
        low_rows[k] = &below[k][..n];
        high_rows[k] = &above[k][..n];
    }
    let keeping = Lanes::<S, T>::splat(simd, keep);
    let mut at = 0;
    while at + lanes <= n {
        let here = Lanes::<S, T>::from_slice(simd, &u[at..at + lanes]);
        let mut sum = Lanes::<S, T>::from_slice(simd, &out[at..at + lanes]);
        for k in 0..R {
            let low = Lanes::<S, T>::from_slice(simd, &low_rows[k][at..at + lanes]);
            let high = Lanes::<S, T>::from_slice(simd, &high_rows[k][at..at + lanes]);
            let difference = (high - here) - (here - low);
            sum = Lanes::<S, T>::splat(simd, weights[k]).mul_add(difference, sum);
        }
        keeping
            .mul_add(here, sum)
            .store_slice(&mut out[at..at + lanes]);
        at += lanes;
    }
    for at in at..n {
        for k in 0..R {
            let (low, high) = (low_rows[k][at], high_rows[k][at]);
            out[at] += weights[k] * ((high - u[at]) - (u[at] - low));
        }
        out[at] += keep * u[at];
    }
}
