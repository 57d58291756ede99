//! One axis: every line takes all its steps while it is in cache, a row of lanes of lines together.

use fearless_simd::prelude::*;

use super::ground::{Ground, given};
use super::lines::{lanes, step};
use super::runs;
use crate::diffusion::Problem;
use crate::scratch::Scratch;
use crate::simd::Real;
use crate::threads::{self, Turn};
use crate::view::ViewMut;
use crate::{Context, Error};

/// Fewer lines than this are solved one by one: rows of lanes would mostly hold nothing.
const FEW: usize = 3;

/// All lines of `field`.
pub(super) fn run<S: Simd, T: Real>(
    simd: S,
    problem: &Problem<T>,
    ground: &Ground<T>,
    field: &[T],
    out: &mut [T],
    steps: &[f64],
    context: &Context,
) -> Result<(), Error> {
    let cells = problem.shape[2];
    let lines = field.len() / cells;
    let width = if lines < FEW { 1 } else { lanes::<T>() };
    let given = given(problem)?;
    let mut factors = ground.factors(2)?;
    let length = cells.saturating_mul(width);
    let workers = threads::workers(context, lines.div_ceil(width));
    let scratch = Scratch::<T>::new(workers, length.saturating_mul(2))?;
    for (number, (count, dt)) in runs(steps).enumerate() {
        ground.factor(simd, 2, dt, &mut factors, context)?;
        let half = T::from_f64(dt / 2.0);
        let two = T::from_f64(2.0);
        let given = given.as_ref().map(|given| (&given[..], half));
        let tiles = ViewMut::contiguous(out, &[lines, cells])?.split_rows(lines, width)?;
        threads::run(context, tiles.tiles(), &|turn: Turn| {
            let mut scratch = scratch.lock(turn.worker);
            let (u, work) = scratch.split_at_mut(length);
            let mut rows = tiles.take(turn.tile);
            for r in 0..rows.len() {
                let place = (rows.first() + r) * cells;
                let line = if number == 0 {
                    &field[place..][..cells]
                } else {
                    &*rows.row(r)
                };
                for (i, &value) in line.iter().enumerate() {
                    // What a wall holds may be no number at all.
                    u[i * width + r] = if problem.is_wall(i) { T::ZERO } else { value };
                }
            }
            for _ in 0..count {
                if turn.cancelled() {
                    return;
                }
                if width == 1 {
                    step::<S, T, true>(simd, factors.line(0), u, work, given, two);
                } else {
                    step::<S, T, false>(simd, factors.line(0), u, work, given, two);
                }
            }
            for r in 0..rows.len() {
                let line = &field[(rows.first() + r) * cells..][..cells];
                for (i, out) in rows.row(r).iter_mut().enumerate() {
                    let still = problem.is_wall(i) || problem.held.is_some_and(|held| held[i] != 0);
                    *out = if still { line[i] } else { u[i * width + r] };
                }
            }
        })?;
    }
    Ok(())
}
