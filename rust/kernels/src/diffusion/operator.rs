//! du/dt of every cell, for every order: [`super::stencil`] where D is one number for each axis and
//! nothing stands in the way; else, here, cell by cell through its faces, rows on any thread.

use super::advection;
use super::boundary::Exchange;
use super::problem::{Problem, Term};
use super::stencil;
use crate::simd::Real;
use crate::threads::{self, Turn};
use crate::view::ViewMut;
use crate::{Context, Error};

#[cfg(test)]
mod tests;

/// Cells of a tile.
const TILE: usize = 1 << 13;

/// What each cell of `field` gains per unit time, into `out`: 0 in walls and held cells. The sides
/// are as at the first step.
///
/// # Errors
/// As [`Problem::check`]; [`Error::Value`] where an order above 2 is not defined for the problem,
/// [`Error::OutOfMemory`], [`Error::Interrupted`].
pub fn operator<T: Real>(
    problem: &Problem<T>,
    field: &[T],
    out: &mut [T],
    context: &Context,
) -> Result<(), Error> {
    problem.check(field.len(), out.len(), 1)?;
    if field.is_empty() {
        return Ok(());
    }
    if stencil::serves(problem) {
        return stencil::operator(problem, field, out, context);
    }
    stencil::check(problem)?;
    let cells = Cells::new(problem)?;
    let [planes, lines, columns] = problem.shape;
    let rows = planes * lines;
    let count = out.len() / columns;
    let tile = (TILE / columns).clamp(1, rows);
    let tiles = ViewMut::contiguous(out, &[count, columns])?.split_rows(rows, tile)?;
    threads::run(context, tiles.tiles(), &|turn: Turn| {
        let mut out = tiles.take(turn.tile);
        let (item, first) = (out.first() / rows, out.first() % rows);
        let before = &field[item * rows * columns..][..rows * columns];
        for r in 0..out.len() {
            let row = first + r;
            cells.row(before, row, out.row(r));
            advection::add(problem, before, out.row(r), row..row + 1, 0, 1.0);
        }
    })
}

/// The operator without velocity.
struct Cells<'p, 'a, T> {
    problem: &'p Problem<'a, T>,
    strides: [usize; 3],
    ends: [[Option<Exchange<T>>; 2]; 3],
}

impl<'p, 'a, T: Real> Cells<'p, 'a, T> {
    fn new(problem: &'p Problem<'a, T>) -> Result<Self, Error> {
        let mut ends: [[Option<Exchange<T>>; 2]; 3] = Default::default();
        for (axis, ends) in ends.iter_mut().enumerate() {
            for (side, end) in ends.iter_mut().enumerate() {
                *end = Exchange::new(problem, axis, side, 1.0)?;
            }
        }
        let [_, rows, columns] = problem.shape;
        Ok(Self {
            problem,
            strides: [rows * columns, columns, 1],
            ends,
        })
    }

    /// Row `row` of the grid `before`.
    fn row(&self, before: &[T], row: usize, out: &mut [T]) {
        let problem = self.problem;
        let [_, rows, columns] = problem.shape;
        for (x, out) in out.iter_mut().enumerate() {
            let cell = row * columns + x;
            *out = T::ZERO;
            if problem.is_wall(cell) || problem.held.is_some_and(|held| held[cell] != 0) {
                continue;
            }
            let u = before[cell];
            let mut gain = T::ZERO;
            for (axis, at) in [row / rows, row % rows, x].into_iter().enumerate() {
                gain += self.along(before, cell, axis, at);
            }
            let number = |term: Term<T>| match term {
                Term::Number(number) => T::from_f64(number),
                Term::PerPoint(values) => values[cell],
            };
            if let Some(decay) = problem.decay {
                gain -= number(decay) * u;
            }
            if let Some(source) = problem.source {
                gain += number(source);
            }
            *out = gain;
        }
    }

    /// What `cell`, the `at`-th of its line along `axis`, gains through the two faces there.
    #[inline(always)]
    fn along(&self, before: &[T], cell: usize, axis: usize, at: usize) -> T {
        let problem = self.problem;
        let (n, stride) = (problem.shape[axis], self.strides[axis]);
        let (u, here) = (before[cell], problem.diffusivity_at(axis, cell));
        let h = problem.spacing[axis];
        let scale = T::from_f64(1.0 / (h * h));
        let mut gain = T::ZERO;
        for side in 0..2 {
            let end = at == if side == 0 { 0 } else { n - 1 };
            if let (true, Some(exchange)) = (end, &self.ends[axis][side]) {
                let number = cell / (stride * n) * stride + cell % stride;
                gain += exchange.own[number] * u + exchange.given_at(0)[number];
            }
            if end && (n == 1 || !problem.periodic(axis)) {
                continue;
            }
            let other = match (side, end) {
                (0, false) => cell - stride,
                (_, false) => cell + stride,
                (0, true) => cell + (n - 1) * stride,
                (_, true) => cell - (n - 1) * stride,
            };
            if !problem.is_wall(other) {
                let there = problem.diffusivity_at(axis, other);
                gain += problem.face_mean(here, there) * scale * (before[other] - u);
            }
        }
        gain
    }
}
