//! How fast the fastest part of a field decays: what limits an explicit step.

use super::boundary::{Exchange, zeros};
use super::problem::{Diffusivity, Problem, Term};
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
    let [n0, n1, n2] = problem.shape;
    let mut largest: f64 = 0.0;
    let mut rates = zeros::<f64>(n2)?;
    for row in 0..n0 * n1 {
        let first = row * n2;
        match problem.decay {
            None => rates.fill(0.0),
            Some(Term::Number(number)) => rates.fill(number),
            Some(Term::PerPoint(values)) => {
                for (rate, value) in rates.iter_mut().zip(&values[first..]) {
                    *rate = value.to_f64();
                }
            }
        }
        for (axis, place, stride) in [(0, row / n1, n1 * n2), (1, row % n1, n2)] {
            let length = problem.shape[axis];
            for (side, end) in [0, length - 1].into_iter().enumerate() {
                if place != end || problem.periodic(axis) {
                    let next = if side == 0 {
                        place + length - 1
                    } else {
                        place + 1
                    } % length;
                    let other = first - place * stride + next * stride;
                    if next != place {
                        add_faces(problem, axis, first, other, &mut rates);
                    }
                } else if let Some(exchange) = &exchange[axis][side] {
                    let cells = if axis == 0 { row % n1 } else { row / n1 } * n2;
                    for (rate, own) in rates.iter_mut().zip(&exchange.own[cells..]) {
                        *rate -= own.to_f64();
                    }
                }
            }
        }
        add_faces(problem, 2, first, first + 1, &mut rates[..n2 - 1]);
        add_faces(problem, 2, first + 1, first, &mut rates[1..]);
        if problem.periodic(2) && n2 > 1 {
            add_faces(problem, 2, first, first + n2 - 1, &mut rates[..1]);
            add_faces(problem, 2, first + n2 - 1, first, &mut rates[n2 - 1..]);
        }
        for (end, exchange) in [0, n2 - 1].into_iter().zip(&exchange[2]) {
            if let Some(exchange) = exchange {
                rates[end] -= exchange.own[row].to_f64();
            }
        }
        for (cell, &rate) in (first..).zip(&rates) {
            let still = problem.held.is_some_and(|held| held[cell] != 0) || problem.is_wall(cell);
            if !still && rate > largest {
                largest = rate;
            }
        }
    }
    Ok(largest)
}

/// Adds twice the coefficients of the faces along `axis` between the cells from `cell` on and those
/// from `other` on, one for each of `rates`.
fn add_faces<T: Real>(
    problem: &Problem<T>,
    axis: usize,
    cell: usize,
    other: usize,
    rates: &mut [f64],
) {
    let twice = 2.0 / (problem.spacing[axis] * problem.spacing[axis]);
    let count = rates.len();
    let open = |i: usize| !(problem.is_wall(cell + i) || problem.is_wall(other + i));
    match problem.diffusivity {
        Diffusivity::PerPoint(values) => {
            let (a, b) = (&values[cell..][..count], &values[other..][..count]);
            for i in 0..count {
                let face = problem.face_mean(a[i], b[i]).to_f64();
                rates[i] += if open(i) { face * twice } else { 0.0 };
            }
        }
        Diffusivity::Constant(all) => {
            // As the sweeps round it.
            let face = T::from_f64(all[axis]).to_f64() * twice;
            for (i, rate) in rates.iter_mut().enumerate() {
                *rate += if open(i) { face } else { 0.0 };
            }
        }
    }
}
