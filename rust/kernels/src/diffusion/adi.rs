//! Implicit steps, one axis at a time: no limit on the step, a few passes over the field for each.
//!
//! A_k is the operator along axis k with its sides, an equal part of the decay, and nothing in held
//! cells; b what is gained besides; H_k = τ/2 A_k.
//! 1-D, Crank–Nicolson:        (I − H) δ = H u + τ/2 b;  u ← u + 2δ.
//! 2-D, Peaceman–Rachford:     r = u + H₂ u + τ/2 b, then for each step
//!                             (I − H₁) δ = H₁ r;  r ← r + 2δ + τ/2 b;
//!                             (I − H₂) δ = H₂ r;  r ← r + 2δ + τ/2 b, the last time u = r + δ:
//!     with u* = r + δ, the next right-hand side (I + H) u* is 2u* − r = r + 2δ. So one field is
//!     kept, and no explicit half step is ever computed but the first.
//! 3-D, Douglas–Gunn:          g = 2(H₁ + H₂ + H₃) u + τ b;  (I − H₁)(I − H₂)(I − H₃) δ = g;
//!                             u ← u + δ. The pass along the last axis, which finishes u, begins
//!     the next g; the pass along the first completes it.
//!
//! Any step is stable in one and two axes and, where D is constant and nothing is a wall or held, in
//! three. Else three axes do not commute, and steps of many hundred over the operator's largest
//! rate may grow.
//!
//! Lines are solved a row of lanes at once, [`layout`] says how they lie, [`lines`] how they are
//! solved, [`factors`] what is computed once for each length of step: two numbers a cell and axis,
//! unless all lines are alike. Beside the factors a 2-D grid needs one field, a 3-D one two, each
//! for as many grids of a batch as [`TOGETHER`] says; D, held cells and decay are kept as well
//! where they differ from cell to cell.
//! Sources: Peaceman and Rachford 1955; Douglas and Gunn 1964.

use super::problem::Problem;
use crate::simd::Real;
use crate::{Context, Error};
use ground::Ground;
pub(super) use ground::given;
use layout::Layout;
use sweeps::Sweeps;

mod factors;
mod ground;
mod layout;
mod lines;
mod single;
mod sweeps;
#[cfg(test)]
mod tests;

/// Grids of a batch are solved together up to so many cells: enough to share among threads.
const TOGETHER: usize = 1 << 20;

/// The steps that follow each other with one length: how many, and the length.
fn runs(steps: &[f64]) -> impl Iterator<Item = (usize, f64)> + '_ {
    steps.chunk_by(|a, b| a == b).map(|run| (run.len(), run[0]))
}

/// `field` after `steps.len()` steps, step i of length `steps[i]`, into `out`. Both hold a whole
/// number of grids of `axes` axes, each solved by itself.
///
/// # Errors
/// What [`Problem::check`] says, [`Error::Value`] where the problem has velocity, another order than
/// 2 or sides that change with time, [`Error::OutOfMemory`], [`Error::Interrupted`].
pub fn adi<T: Real>(
    problem: &Problem<T>,
    axes: usize,
    field: &[T],
    out: &mut [T],
    steps: &[f64],
    context: &Context,
) -> Result<(), Error> {
    problem.check(field.len(), out.len(), 1)?;
    check(problem, axes)?;
    if steps.is_empty() || field.is_empty() {
        out.copy_from_slice(field);
        return Ok(());
    }
    fearless_simd::dispatch!(context.level, simd => {
        let layout = Layout::new::<T>(problem.shape)?;
        let ground = Ground::new(problem, axes, layout, context)?;
        match axes {
            1 => single::run(simd, problem, &ground, field, out, steps, context),
            _ => Sweeps::new(problem, &ground, layout, axes, field.len(), context)?
                .run(simd, field, out, steps, context),
        }
    })
}

/// Checks what [`Problem::check`] does not know to be asked for here.
fn check<T>(problem: &Problem<T>, axes: usize) -> Result<(), Error> {
    let value = |argument, given: String, allowed| {
        Err(Error::Value {
            argument,
            given,
            allowed,
        })
    };
    let absent = 3_usize.saturating_sub(axes);
    if !(1..=3).contains(&axes) || problem.shape[..absent].iter().any(|&cells| cells != 1) {
        return value(
            "axes",
            axes.to_string(),
            "1, 2 or 3, and no fewer than the grid has",
        );
    }
    if problem.order != 2 {
        return value(
            "order",
            problem.order.to_string(),
            "2 for adi; use explicit or rkl2 for higher orders",
        );
    }
    if problem.velocity.is_some() {
        return value("velocity", "given".to_owned(), "None for adi; use explicit");
    }
    Ok(())
}
