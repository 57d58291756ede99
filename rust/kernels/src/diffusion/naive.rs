//! ∂u/∂t by its formula, cell by cell, in float64: what the sweeps are tested against.

use super::problem::{Problem, Side, Term};

/// ∂u/∂t of `u`, one grid, at step `level`; order 2, without velocity.
pub(super) fn rate(problem: &Problem<f64>, u: &[f64], level: usize) -> Vec<f64> {
    let shape = problem.shape;
    let term = |term: Option<Term<f64>>, cell: usize| match term {
        None => 0.0,
        Some(Term::Number(number)) => number,
        Some(Term::PerPoint(values)) => values[cell],
    };
    let mut rates = vec![0.0; u.len()];
    for (cell, rate) in rates.iter_mut().enumerate() {
        let held = problem.held.is_some_and(|held| held[cell] != 0);
        if held || problem.is_wall(cell) {
            continue;
        }
        let strides = [shape[1] * shape[2], shape[2], 1];
        for axis in 0..3 {
            let h = problem.spacing[axis];
            let place = cell / strides[axis] % shape[axis];
            for side in 0..2 {
                let end = if side == 0 { 0 } else { shape[axis] - 1 };
                let d = problem.diffusivity_at(axis, cell);
                if place != end || problem.periodic(axis) {
                    let other = if place != end {
                        if side == 0 {
                            cell - strides[axis]
                        } else {
                            cell + strides[axis]
                        }
                    } else if side == 0 {
                        cell + (shape[axis] - 1) * strides[axis]
                    } else {
                        cell - (shape[axis] - 1) * strides[axis]
                    };
                    if !problem.is_wall(other) {
                        let face = problem.face_mean(d, problem.diffusivity_at(axis, other));
                        *rate += face * (u[other] - u[cell]) / (h * h);
                    }
                    continue;
                }
                let on_side = (0..problem.face_cells(axis))
                    .find(|&number| problem.side_cell(axis, side, number) == cell)
                    .expect("a cell of the side");
                *rate += match problem.sides[axis][side] {
                    Side::Periodic | Side::Insulated => 0.0,
                    Side::Value(face) => 2.0 * d * (face.get(level, on_side) - u[cell]) / (h * h),
                    Side::Flux(face) => face.get(level, on_side) / h,
                    Side::Robin { a, b, c } => {
                        let ghost = (c.get(level, on_side) - u[cell] * (a / 2.0 - b / h))
                            / (a / 2.0 + b / h);
                        d * (ghost - u[cell]) / (h * h)
                    }
                };
            }
        }
        *rate += term(problem.source, cell) - term(problem.decay, cell) * u[cell];
    }
    rates
}
