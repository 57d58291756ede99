//! How fast the fastest part of a field decays: what limits an explicit step.

use super::boundary::Exchange;
use super::problem::{Problem, Term};
use crate::Error;
use crate::simd::Real;

/// A bound on the largest eigenvalue of −L, where ∂u/∂t = L·u + what does not depend on u: over
/// rows of L, the largest sum of magnitudes (Gershgorin). For order 2 without velocity.
///
/// # Errors
/// As [`Problem::check`]; [`Error::OutOfMemory`].
pub fn largest_rate<T: Real>(problem: &Problem<T>) -> Result<f64, Error> {
    let cells = problem.cells()?;
    problem.check(cells, cells, 1)?;
    let mut exchange = [[None, None], [None, None], [None, None]];
    for (axis, sides) in exchange.iter_mut().enumerate() {
        for (side, exchange) in sides.iter_mut().enumerate() {
            *exchange = Exchange::new(problem, axis, side, 1.0)?;
        }
    }
    let mut largest: f64 = 0.0;
    let [_, n1, n2] = problem.shape;
    let strides = [n1 * n2, n2, 1];
    for cell in 0..cells {
        if problem.is_wall(cell) || problem.held.is_some_and(|held| held[cell] != 0) {
            continue;
        }
        let at = [cell / (n1 * n2), cell / n2 % n1, cell % n2];
        let mut rate = match problem.decay {
            None => 0.0,
            Some(Term::Number(number)) => number,
            Some(Term::PerPoint(values)) => values[cell].to_f64(),
        };
        for axis in 0..3 {
            let length = problem.shape[axis];
            let inverse = 1.0 / (problem.spacing[axis] * problem.spacing[axis]);
            let own = problem.diffusivity_at(axis, cell);
            for side in 0..2 {
                let end = if side == 0 { 0 } else { length - 1 };
                if at[axis] == end && !problem.periodic(axis) {
                    if let Some(exchange) = &exchange[axis][side] {
                        let number = match axis {
                            0 => cell % (n1 * n2),
                            1 => at[0] * n2 + at[2],
                            _ => at[0] * n1 + at[1],
                        };
                        rate -= exchange.own[number].to_f64();
                    }
                    continue;
                }
                let start = cell - at[axis] * strides[axis];
                let place = if side == 0 {
                    (at[axis] + length - 1) % length
                } else {
                    (at[axis] + 1) % length
                };
                let other = start + place * strides[axis];
                if !problem.is_wall(other) && other != cell {
                    let face = problem.face_mean(own, problem.diffusivity_at(axis, other));
                    rate += 2.0 * face.to_f64() * inverse;
                }
            }
        }
        largest = largest.max(rate);
    }
    Ok(largest)
}
