//! Exact in time: each eigenvector of the stencil by itself.
//!
//! û ← e^(−λt)·û + (1 − e^(−λt))/λ·b̂, b what u has no part in; λ = decay + Σ over axes of
//! D/h²·Σ_k w_k·4 sin²(kθ/2), the eigenvalue of the same second differences. A line of n cells
//! between two mirrors has the eigenvectors cos or sin of θ·(i + ½), a ring those of θ·i:
//! periodic θ = 2πj/n; insulated πj/n; value π(j + 1)/n; one of each π(j + ½)/n.
//!
//! for each axis, lines on any thread, two at once: [`transform`]; for each row: the factors, which
//! are a product over the axes; for each axis: back. All of it happens in `out`; a source or a
//! value other than 0 takes one more field.

use std::f64::consts::PI;

use rustfft::FftNum;

use super::adi::given;
use super::problem::{Diffusivity, Problem, Side, Term};
use super::stencil;
use crate::scratch::Scratch;
use crate::simd::Real;
use crate::threads::{self, Turn};
use crate::view::{Rows, ViewMut};
use crate::{Context, Error};
use transform::{Kind, Transform};

#[cfg(test)]
mod tests;
mod transform;

/// Lines across the rows that are taken together: a cache line of float32.
const WIDE: usize = 16;
/// Elements of a tile of rows.
const TILE: usize = 1 << 14;

/// A float type that can be transformed.
pub trait Transformable: Real + FftNum {}

impl<T: Real + FftNum> Transformable for T {}

/// `field`, a whole number of grids, after `time` into `out`.
///
/// # Errors
/// What [`Problem::check`] says; [`Error::Value`] where the problem has other eigenvectors: D or
/// decay that differ from cell to cell, walls, held cells, velocity, flux or robin sides;
/// [`Error::OutOfMemory`], [`Error::Interrupted`].
pub fn spectral<T: Transformable>(
    problem: &Problem<T>,
    field: &[T],
    out: &mut [T],
    time: f64,
    context: &Context,
) -> Result<(), Error> {
    problem.check(field.len(), out.len(), 1)?;
    let spectrum = Spectrum::new(problem, time)?;
    let mut given = given(problem)?;
    out.copy_from_slice(field);
    if field.is_empty() {
        return Ok(());
    }
    if let Some(given) = &mut given {
        spectrum.transform(given, false, context)?;
    }
    spectrum.transform(out, false, context)?;
    spectrum.advance(out, given.as_deref(), context)?;
    spectrum.transform(out, true, context)
}

/// The eigenvectors and eigenvalues of a problem.
struct Spectrum<T> {
    shape: [usize; 3],
    /// `None` where an axis has one cell, which is its own eigenvector.
    transforms: [Option<Transform<T>>; 3],
    /// Eigenvalues of each axis, the decay among those of the last.
    rates: [Vec<f64>; 3],
    time: f64,
}

fn refused<T>(argument: &'static str, given: &str, allowed: &'static str) -> Result<T, Error> {
    Err(Error::Value {
        argument,
        given: given.to_owned(),
        allowed,
    })
}

impl<T: Transformable> Spectrum<T> {
    fn new(problem: &Problem<T>, time: f64) -> Result<Self, Error> {
        stencil::check(problem)?;
        let Diffusivity::Constant(diffusivity) = problem.diffusivity else {
            return refused(
                "diffusivity",
                "an array",
                "one number for each axis for spectral; use explicit, rkl2 or adi",
            );
        };
        if problem.walls.is_some() || problem.held.is_some() {
            return refused(
                "walls or held",
                "given",
                "None for spectral; use explicit, rkl2 or adi",
            );
        }
        if problem.velocity.is_some() {
            return refused("velocity", "given", "None for spectral; use explicit");
        }
        let decay = match problem.decay {
            None => 0.0,
            Some(Term::Number(decay)) => decay,
            Some(Term::PerPoint(_)) => {
                return refused(
                    "decay",
                    "an array",
                    "a number for spectral; use explicit, rkl2 or adi",
                );
            }
        };
        let mut spectrum = Self {
            shape: problem.shape,
            transforms: [None, None, None],
            rates: [Vec::new(), Vec::new(), Vec::new()],
            time,
        };
        let weights = stencil::weights(problem.order);
        for axis in 0..3 {
            let [low, high] = [0, 1].map(|side| match problem.sides[axis][side] {
                Side::Periodic => Some(Kind::Ring),
                Side::Insulated => Some(Kind::Cosine),
                Side::Value(_) => Some(Kind::Sine),
                Side::Flux(_) | Side::Robin { .. } => None,
            });
            let (Some(low), Some(high)) = (low, high) else {
                return refused(
                    "boundary",
                    "flux or robin",
                    "periodic, insulated or value for spectral; use explicit, rkl2 or adi",
                );
            };
            let kind = match (low, high) {
                (Kind::Cosine, Kind::Sine) => Kind::CosineToSine,
                (Kind::Sine, Kind::Cosine) => Kind::SineToCosine,
                (kind, _) => kind,
            };
            let (n, h) = (problem.shape[axis], problem.spacing[axis]);
            let rate = |mode: usize| {
                let theta = kind.angle(mode, n) * (PI / (2 * n) as f64);
                let sum: f64 = (1_u8..)
                    .zip(weights)
                    .map(|(k, weight)| 4.0 * weight * (f64::from(k) * theta / 2.0).sin().powi(2))
                    .sum();
                diffusivity[axis] * sum / (h * h) + if axis == 2 { decay } else { 0.0 }
            };
            spectrum.rates[axis] = (0..n).map(rate).collect();
            if n > 1 {
                spectrum.transforms[axis] = Some(Transform::new(kind, n));
            }
        }
        Ok(spectrum)
    }

    /// All grids of `data` into the basis of eigenvectors, or back but for the scale.
    fn transform(&self, data: &mut [T], back: bool, context: &Context) -> Result<(), Error> {
        let [planes, rows, columns] = self.shape;
        for axis in [2, 1, 0] {
            let Some(transform) = &self.transforms[axis] else {
                continue;
            };
            if axis == 2 {
                along(transform, data, (planes * rows, columns), back, context)?;
            } else {
                let inner = if axis == 1 { columns } else { rows * columns };
                let whole = inner - inner % WIDE;
                across(transform, data, (inner, 0, whole), WIDE, back, context)?;
                across(
                    transform,
                    data,
                    (inner, whole, inner),
                    inner % WIDE,
                    back,
                    context,
                )?;
            }
        }
        Ok(())
    }

    /// û ← e^(−λt)·û + (1 − e^(−λt))/λ·b̂, scaled for the way back.
    fn advance(&self, data: &mut [T], given: Option<&[T]>, context: &Context) -> Result<(), Error> {
        let [planes, lines, columns] = self.shape;
        let rows = planes * lines;
        let count = data.len() / columns;
        let scale: f64 = self
            .transforms
            .iter()
            .flatten()
            .map(Transform::scale)
            .product();
        let factors = self.rates.each_ref().map(|rates| -> Vec<f64> {
            rates.iter().map(|rate| (-rate * self.time).exp()).collect()
        });
        let tile = (TILE / columns).max(1);
        let tiles = ViewMut::contiguous(data, &[count, columns])?.split_rows(count, tile)?;
        threads::run(context, tiles.tiles(), &|turn: Turn| {
            let mut out = tiles.take(turn.tile);
            for r in 0..out.len() {
                let row = (out.first() + r) % rows;
                let (z, y) = (row / lines, row % lines);
                let factor = factors[0][z] * factors[1][y] * scale;
                for (u, last) in out.row(r).iter_mut().zip(&factors[2]) {
                    *u *= <T as Real>::from_f64(factor * last);
                }
                if let Some(given) = given {
                    let rate = self.rates[0][z] + self.rates[1][y];
                    let given = &given[row * columns..][..columns];
                    for ((u, &given), last) in out.row(r).iter_mut().zip(given).zip(&self.rates[2])
                    {
                        let rate = rate + last;
                        let fed = if rate > 0.0 {
                            -(-rate * self.time).exp_m1() / rate
                        } else {
                            self.time
                        };
                        *u += given * <T as Real>::from_f64(fed * scale);
                    }
                }
            }
        })
    }
}

/// Transforms the rows of `columns`, `rows` of them a grid.
fn along<T: Transformable>(
    transform: &Transform<T>,
    data: &mut [T],
    (rows, columns): (usize, usize),
    back: bool,
    context: &Context,
) -> Result<(), Error> {
    let count = data.len() / columns;
    // Whole pairs, which never reach from one grid into another.
    let tile = 2 * (TILE / columns / 2).max(1);
    let tiles = ViewMut::contiguous(data, &[count, columns])?.split_rows(rows, tile)?;
    let memory = Memory::new(transform, 2, context, tiles.tiles())?;
    threads::run(context, tiles.tiles(), &|turn: Turn| {
        let mut lines = memory.lines.lock(turn.worker);
        let mut work = memory.work.lock(turn.worker);
        let mut out = tiles.take(turn.tile);
        for r in (0..out.len()).step_by(2) {
            if turn.cancelled() {
                return;
            }
            let (first, second) = lines.split_at_mut(columns);
            first.copy_from_slice(out.row(r));
            let pair = r + 1 < out.len();
            if pair {
                second.copy_from_slice(out.row(r + 1));
            } else {
                second.fill(T::ZERO);
            }
            transform.pair(first, second, back, &mut work);
            out.row(r).copy_from_slice(first);
            if pair {
                out.row(r + 1).copy_from_slice(second);
            }
        }
    })
}

/// Transforms the lines that lead across rows of `inner`, those from column `start` to `end`, in
/// groups of `wide`.
fn across<T: Transformable>(
    transform: &Transform<T>,
    data: &mut [T],
    (inner, start, end): (usize, usize, usize),
    wide: usize,
    back: bool,
    context: &Context,
) -> Result<(), Error> {
    if start == end {
        return Ok(());
    }
    let n = transform.length();
    let outer = data.len() / (n * inner);
    let shape = [outer, (end - start) / wide, n, wide];
    let strides = [(n * inner) as isize, wide as isize, inner as isize, 1];
    let tiles = ViewMut::new(data, start, &shape, &strides)?.split_rows(n, n)?;
    let even = wide.next_multiple_of(2);
    let memory = Memory::new(transform, even, context, tiles.tiles())?;
    threads::run(context, tiles.tiles(), &|turn: Turn| {
        let mut lines = memory.lines.lock(turn.worker);
        let mut work = memory.work.lock(turn.worker);
        let mut rows: Rows<T> = tiles.take(turn.tile);
        lines[wide * n..].fill(T::ZERO);
        for i in 0..n {
            for (line, &u) in rows.row(i).iter().enumerate() {
                lines[line * n + i] = u;
            }
        }
        for pair in lines.chunks_exact_mut(2 * n) {
            if turn.cancelled() {
                return;
            }
            let (first, second) = pair.split_at_mut(n);
            transform.pair(first, second, back, &mut work);
        }
        for i in 0..n {
            for (line, u) in rows.row(i).iter_mut().enumerate() {
                *u = lines[line * n + i];
            }
        }
    })
}

/// What a thread needs beside the data.
struct Memory<T> {
    lines: Scratch<T>,
    work: Scratch<rustfft::num_complex::Complex<T>>,
}

impl<T: Transformable> Memory<T> {
    fn new(
        transform: &Transform<T>,
        lines: usize,
        context: &Context,
        tiles: usize,
    ) -> Result<Self, Error> {
        let workers = threads::workers(context, tiles);
        Ok(Self {
            lines: Scratch::new(workers, transform.length().saturating_mul(lines))?,
            work: Scratch::new(workers, transform.work())?,
        })
    }
}
