//! Where D is one number for each axis and nothing stands in the way: central second differences of
//! order 2, 4, 6 or 8, `h² u″ ≈ Σ_k w_k·(u_{+k} − 2u + u_{−k})`, mirrored at the sides.
//!
//! for each slab of planes, on any thread; for each band of rows; for each plane; for each row:
//!   out = its differences along x, then += those along y and z, at last += keep·u.
//! The rows that a row's differences need, 2·reach + 1 planes of a band, stay in L2 ([`BAND`]); a
//! slab is thick enough that the planes beside it, read twice, are little. Each of the three passes
//! over a row has no more than nine rows in hand, for which there are registers; between them the
//! row is in L1.
//!
//! A field that is the same everywhere stays so bit for bit: differences are summed, never weights,
//! and their sum is added to u once.
//! Source: Fornberg 1988.

use std::array::from_fn;

use fearless_simd::prelude::*;
use fearless_simd_macros::simd;

use super::boundary::{Exchange, reserved};
use super::problem::{Diffusivity, Problem, Side, Term};
use crate::scratch::Scratch;
use crate::simd::{Lanes, Real};
use crate::threads::{self, Turn};
use crate::view::ViewMut;
use crate::{Context, Error};

#[cfg(test)]
mod tests;

/// Most cells that a difference reaches to either side.
const MOST: usize = 4;
/// Bytes of the planes of a band: half of L2.
const BAND: usize = 1 << 18;
/// Planes of a slab, at least.
const SLAB: usize = 32;
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
            let slab = SLAB.min(planes.div_ceil(2));
            (planes * rows, slab * rows)
        } else {
            (rows, (PIECE / columns).clamp(1, rows))
        };
        let per_group = group.div_ceil(tile);
        let tiles = ViewMut::contiguous(out, &[count, columns])?.split_rows(group, tile)?;
        let padded = columns.saturating_add(2 * MOST);
        let memory = columns.saturating_mul(2 * MOST).saturating_add(padded);
        let scratch = Scratch::<T>::new(threads::workers(context, tiles.tiles()), memory)?;
        let cells = planes * rows * columns;
        threads::run(context, tiles.tiles(), &|turn: Turn| {
            let mut scratch = scratch.lock(turn.worker);
            let (line, turned) = scratch.split_at_mut(padded);
            let mut out = tiles.take(turn.tile);
            let first = turn.tile % per_group * tile;
            let item = out.first() / (planes * rows);
            let before = &before[item * cells..][..cells];
            // A slab of whole planes, or some rows of the only one.
            let (start, end) = if thick {
                (0, rows)
            } else {
                (first, first + out.len())
            };
            let deep = if thick { out.len() / rows } else { 1 };
            let first_plane = if thick { first / rows } else { 0 };
            let band = BAND / ((2 * self.reach + 1) * columns * size_of::<T>());
            let band = band.saturating_sub(2 * self.reach).max(4 * self.reach);
            for low in (start..end).step_by(band) {
                for z in 0..deep {
                    if turn.cancelled() {
                        return;
                    }
                    for y in low..end.min(low + band) {
                        let r = if thick { z * rows + y } else { y - start };
                        let place = (first_plane + z, y);
                        match self.reach {
                            1 => self.row::<S, 1>(simd, before, place, line, turned, out.row(r)),
                            2 => self.row::<S, 2>(simd, before, place, line, turned, out.row(r)),
                            3 => self.row::<S, 3>(simd, before, place, line, turned, out.row(r)),
                            _ => self.row::<S, 4>(simd, before, place, line, turned, out.row(r)),
                        }
                    }
                }
            }
        })
    }

    /// Row `y` of plane `z`.
    fn row<S: Simd, const R: usize>(
        &self,
        simd: S,
        before: &[T],
        (z, y): (usize, usize),
        line: &mut [T],
        turned: &mut [T],
        out: &mut [T],
    ) {
        let [_, rows, columns] = self.problem.shape;
        let at = |z: usize, y: usize| &before[(z * rows + y) * columns..][..columns];
        let u = at(z, y);
        line[R..R + columns].copy_from_slice(u);
        for k in 0..R {
            for (place, index) in [
                (R - 1 - k, -1 - k as isize),
                (R + columns + k, (columns + k) as isize),
            ] {
                let (cell, negative) = self.fold(2, index);
                line[place] = if negative { -u[cell] } else { u[cell] };
            }
        }
        let pick = |axis: usize| from_fn::<T, R, _>(|k| self.weights[axis][k]);
        // The last pass keeps u.
        let keep = |last: bool| if last { self.keep } else { T::ZERO };
        let others = [self.differs(1), self.differs(0)];
        let alone = keep(others == [false; 2]);
        along::<S, T, R>(simd, &line[..columns + 2 * R], alone, pick(2), out);
        for (i, (axis, here)) in [(1, y), (0, z)].into_iter().enumerate() {
            if !others[i] {
                continue;
            }
            let keep = keep(axis == 0 || !others[1]);
            let place = |k: usize| {
                let step = (k / 2 + 1) as isize;
                self.fold(
                    axis,
                    here as isize + if k.is_multiple_of(2) { -step } else { step },
                )
            };
            let other = |cell: usize| if axis == 1 { at(z, cell) } else { at(cell, y) };
            for (k, row) in turned.chunks_exact_mut(columns).take(2 * R).enumerate() {
                if let (cell, true) = place(k) {
                    for (row, &u) in row.iter_mut().zip(other(cell)) {
                        *row = -u;
                    }
                }
            }
            let pair = |k: usize| match place(k) {
                (_, true) => &turned[k * columns..][..columns],
                (cell, false) => other(cell),
            };
            let below = from_fn::<_, R, _>(|k| pair(2 * k));
            let above = from_fn::<_, R, _>(|k| pair(2 * k + 1));
            across::<S, T, R>(simd, u, (below, above), keep, pick(axis), out);
        }
        self.rest((z, y), u, out);
    }

    /// Decay, source, and what passes the sides.
    fn rest(&self, (z, y): (usize, usize), u: &[T], out: &mut [T]) {
        let problem = self.problem;
        let [planes, rows, columns] = problem.shape;
        let first = (z * rows + y) * columns;
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
                    let x = last(columns);
                    gain(&mut out[x], u[x], z * rows + y);
                    continue;
                }
                let (here, n, other) = if axis == 1 {
                    (y, rows, z)
                } else {
                    (z, planes, y)
                };
                if here == last(n) {
                    for (x, (out, &u)) in out.iter_mut().zip(u).enumerate() {
                        gain(out, u, other * columns + x);
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

/// `field` after `steps` steps of Euler's method of length `dt`, one a sweep, into `out`.
///
/// # Errors
/// [`Error::Value`] where an order above 2 is not defined for the problem, [`Error::OutOfMemory`],
/// [`Error::Interrupted`].
pub(super) fn explicit<T: Real>(
    problem: &Problem<T>,
    field: &[T],
    out: &mut [T],
    dt: f64,
    steps: usize,
    context: &Context,
) -> Result<(), Error> {
    let star = Star::new(problem, 1.0, dt)?;
    if steps == 0 {
        out.copy_from_slice(field);
        return Ok(());
    }
    let mut other = reserved(if steps > 1 { field.len() } else { 0 })?;
    if steps > 1 {
        other.resize(field.len(), T::ZERO);
    }
    fearless_simd::dispatch!(context.level, simd => {
        // The last step writes to out, each one to the array that the one before did not.
        for step in 0..steps {
            let into_out = (steps - step) % 2 == 1;
            let (from, to): (&[T], &mut [T]) = match (step, into_out) {
                (0, true) => (field, &mut *out),
                (0, false) => (field, &mut other),
                (_, true) => (&other, &mut *out),
                (_, false) => (&*out, &mut other),
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
