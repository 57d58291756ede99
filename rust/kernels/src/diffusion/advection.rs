//! −∇·(velocity·u): what flows into a cell through its faces less what flows out.
//!
//! The velocity on a face is the mean of its two cells'; faces of walls and of insulated sides are
//! closed. upwind: a flow carries the value of the cell that it comes from. limited: that value
//! plus van Leer's half difference, a·d/(a + d) where a (behind the cell) and d (ahead of it) have
//! one sign, else 0; 0 as well where what lies behind is a wall or outside the grid.
//! At a value or robin side, with its cell's velocity, an inflow carries the face's value and an
//! outflow the cell's own; at a flux side nothing flows, for the flux given is all.
//! Source: van Leer 1974.

use std::ops::Range;

use super::boundary::reserved;
use super::problem::{Advection, Problem, Side};
use crate::simd::Real;
use crate::threads::{self, Turn};
use crate::view::ViewMut;
use crate::{Context, Error};

#[cfg(test)]
mod tests;

/// Cells of a tile.
const TILE: usize = 1 << 13;

/// Adds `−dt·∇·(velocity·u)` to `out`, u being `before`, both whole grids; see [`add`].
///
/// # Errors
/// [`Error::Interrupted`], [`Error::OutOfMemory`].
pub(super) fn sweep<T: Real>(
    problem: &Problem<T>,
    before: &[T],
    out: &mut [T],
    level: usize,
    dt: f64,
    context: &Context,
) -> Result<(), Error> {
    if problem.velocity.is_none() {
        return Ok(());
    }
    let [planes, lines, columns] = problem.shape;
    let rows = planes * lines;
    let count = out.len() / columns;
    let tile = (TILE / columns).clamp(1, rows);
    let tiles = ViewMut::contiguous(out, &[count, columns])?.split_rows(rows, tile)?;
    threads::run(context, tiles.tiles(), &|turn: Turn| {
        let mut out = tiles.take(turn.tile);
        let (item, first) = (out.first() / rows, out.first() % rows);
        let before = &before[item * rows * columns..][..rows * columns];
        for r in 0..out.len() {
            let row = first + r;
            add(problem, before, out.row(r), row..row + 1, level, dt);
        }
    })
}

/// Adds `−dt·∇·(velocity·u)` to `out`, which is the rows `rows` of one grid, u being `before`, all
/// of that grid; row r of plane z is number `z·shape[1] + r`. The sides are as at step `level`.
/// Nothing is added to walls and held cells, or where the problem has no velocity.
///
/// # Panics
/// If `before` or `out` is too short.
pub(super) fn add<T: Real>(
    problem: &Problem<T>,
    before: &[T],
    out: &mut [T],
    rows: Range<usize>,
    level: usize,
    dt: f64,
) {
    let Some(velocity) = problem.velocity else {
        return;
    };
    let [_, lines, columns] = problem.shape;
    for axis in 0..3 {
        if velocity[axis].is_empty() {
            continue;
        }
        let flow = Flow {
            problem,
            velocity: velocity[axis],
            u: before,
            axis,
            stride: problem.shape[axis + 1..].iter().product(),
            level,
        };
        let scale = T::from_f64(dt / problem.spacing[axis]);
        for (out, row) in out.chunks_exact_mut(columns).zip(rows.clone()) {
            let first = row * columns;
            // What passed the high face of a cell passes the low one of the next along x.
            let mut passed = T::ZERO;
            for (x, out) in out.iter_mut().enumerate() {
                let cell = first + x;
                let at = match axis {
                    0 => row / lines,
                    1 => row % lines,
                    _ => x,
                };
                let low = if axis == 2 && x > 0 {
                    passed
                } else {
                    flow.low(cell, at)
                };
                passed = flow.high(cell, at);
                if !still(problem, cell) {
                    *out += scale * (low - passed);
                }
            }
        }
    }
}

/// The largest step in which no cell's own weight becomes negative: what flows out counts once,
/// twice where advection is limited, whose face value may be twice the cell's.
///
/// # Errors
/// [`Error::OutOfMemory`].
pub fn no_negative_weight<T: Real>(problem: &Problem<T>) -> Result<f64, Error> {
    problem.check(problem.cells()?, problem.cells()?, 1)?;
    let cells = problem.cells()?;
    let mut loss: Vec<f64> = reserved(cells)?;
    loss.extend((0..cells).map(|cell| match problem.decay {
        None => 0.0,
        Some(super::Term::Number(number)) => number,
        Some(super::Term::PerPoint(values)) => values[cell].to_f64(),
    }));
    let times = match problem.advection {
        Advection::Upwind => 1.0,
        Advection::Limited => 2.0,
    };
    for axis in 0..3 {
        let (n, h) = (problem.shape[axis], problem.spacing[axis]);
        let flow = problem.velocity.map(|velocity| Flow {
            problem,
            velocity: velocity[axis],
            u: &[],
            axis,
            stride: problem.shape[axis + 1..].iter().product(),
            level: 0,
        });
        let stride: usize = problem.shape[axis + 1..].iter().product();
        for (cell, loss) in loss.iter_mut().enumerate() {
            let at = cell / stride % n;
            for side in 0..2 {
                let Some(other) = neighbour(problem, axis, stride, cell, at, side) else {
                    continue;
                };
                let of = |cell| problem.diffusivity_at(axis, cell);
                *loss += problem.face_mean(of(cell), of(other)).to_f64() / (h * h);
            }
            let Some(flow) = flow.as_ref().filter(|flow| !flow.velocity.is_empty()) else {
                continue;
            };
            let low = flow.face_velocity(cell, at, 0).to_f64();
            let high = flow.face_velocity(cell, at, 1).to_f64();
            *loss += times * (high.max(0.0) - low.min(0.0)) / h;
        }
        for side in 0..2 {
            let Some((alpha, _)) = ghost(&problem.sides[axis][side], h, 0, 0) else {
                continue;
            };
            for number in 0..problem.face_cells(axis) {
                let cell = problem.side_cell(axis, side, number);
                if problem.is_wall(cell) {
                    continue;
                }
                let diffusivity = problem.diffusivity_at(axis, cell).to_f64();
                loss[cell] += diffusivity * (1.0 - alpha) / (h * h);
                if let (Some(flow), Side::Robin { .. }) = (&flow, problem.sides[axis][side])
                    && !flow.velocity.is_empty()
                {
                    // Its inflow carries (1 + α)/2 of the cell's own value.
                    let inward = if side == 0 { 1.0 } else { -1.0 };
                    let inflow = (inward * flow.velocity[cell].to_f64()).max(0.0);
                    loss[cell] -= inflow / h * (1.0 + alpha) / 2.0;
                }
            }
        }
    }
    let largest = loss
        .iter()
        .enumerate()
        .filter(|(cell, _)| !still(problem, *cell))
        .fold(0.0, |largest: f64, (_, &loss)| largest.max(loss));
    Ok(if largest > 0.0 {
        1.0 / largest
    } else {
        f64::INFINITY
    })
}

/// Whether `cell` is a wall or held.
fn still<T: Real>(problem: &Problem<T>, cell: usize) -> bool {
    problem.is_wall(cell) || problem.held.is_some_and(|held| held[cell] != 0)
}

/// α and β of a value or robin side, beyond which a cell would hold α·u + β; `None` elsewhere.
fn ghost<T: Real>(side: &Side<T>, h: f64, level: usize, number: usize) -> Option<(f64, f64)> {
    match side {
        Side::Value(face) => Some((-1.0, 2.0 * face.get(level, number).to_f64())),
        Side::Robin { a, b, c } => {
            let sum = b / h + a / 2.0;
            let beta = c.get(level, number).to_f64() / sum;
            Some(((b / h - a / 2.0) / sum, beta))
        }
        Side::Periodic | Side::Insulated | Side::Flux(_) => None,
    }
}

/// The cell beyond the face of `cell`, the `at`-th of its line, towards `side`; `None` where the
/// grid ends or a wall stands on either side.
#[inline(always)]
fn neighbour<T: Real>(
    problem: &Problem<T>,
    axis: usize,
    stride: usize,
    cell: usize,
    at: usize,
    side: usize,
) -> Option<usize> {
    let n = problem.shape[axis];
    let other = match (side, at) {
        (0, 0) if problem.periodic(axis) && n > 1 => cell + (n - 1) * stride,
        (0, 0) => return None,
        (0, _) => cell - stride,
        _ if at + 1 < n => cell + stride,
        _ if problem.periodic(axis) && n > 1 => cell - at * stride,
        _ => return None,
    };
    (!problem.is_wall(cell) && !problem.is_wall(other)).then_some(other)
}

/// The flow along one axis.
struct Flow<'f, 'a, T> {
    problem: &'f Problem<'a, T>,
    velocity: &'f [T],
    u: &'f [T],
    axis: usize,
    stride: usize,
    level: usize,
}

impl<T: Real> Flow<'_, '_, T> {
    #[inline(always)]
    fn neighbour(&self, cell: usize, side: usize) -> Option<usize> {
        let at = cell / self.stride % self.problem.shape[self.axis];
        neighbour(self.problem, self.axis, self.stride, cell, at, side)
    }

    /// Velocity on the face of `cell` towards `side`, 0 where it is closed.
    fn face_velocity(&self, cell: usize, at: usize, side: usize) -> T {
        match neighbour(self.problem, self.axis, self.stride, cell, at, side) {
            Some(other) => (self.velocity[cell] + self.velocity[other]) * T::from_f64(0.5),
            None if self.ends(at, side) && !self.problem.is_wall(cell) => {
                match self.problem.sides[self.axis][side] {
                    Side::Value(_) | Side::Robin { .. } => self.velocity[cell],
                    Side::Periodic | Side::Insulated | Side::Flux(_) => T::ZERO,
                }
            }
            None => T::ZERO,
        }
    }

    fn ends(&self, at: usize, side: usize) -> bool {
        at == if side == 0 {
            0
        } else {
            self.problem.shape[self.axis] - 1
        }
    }

    /// What flows up the axis through the low face of `cell`, the `at`-th of its line.
    fn low(&self, cell: usize, at: usize) -> T {
        match neighbour(self.problem, self.axis, self.stride, cell, at, 0) {
            Some(below) => self.between(below, cell),
            None => self.outer(cell, at, 0),
        }
    }

    /// What flows up the axis through the high face of `cell`, the `at`-th of its line.
    fn high(&self, cell: usize, at: usize) -> T {
        match neighbour(self.problem, self.axis, self.stride, cell, at, 1) {
            Some(above) => self.between(cell, above),
            None => self.outer(cell, at, 1),
        }
    }

    /// Through the face between a cell and the one above it.
    fn between(&self, below: usize, above: usize) -> T {
        let velocity = (self.velocity[below] + self.velocity[above]) * T::from_f64(0.5);
        let (source, ahead, behind) = if velocity > T::ZERO {
            (below, above, 0)
        } else {
            (above, below, 1)
        };
        let mut carried = self.u[source];
        if self.problem.advection == Advection::Limited
            && let Some(behind) = self.neighbour(source, behind)
        {
            let (a, d) = (carried - self.u[behind], self.u[ahead] - carried);
            if a * d > T::ZERO {
                carried += a * (d / (a + d));
            }
        }
        velocity * carried
    }

    /// Through the outer face of `cell` on `side`, or through a face that a wall closes.
    fn outer(&self, cell: usize, at: usize, side: usize) -> T {
        let problem = self.problem;
        if !self.ends(at, side) || problem.is_wall(cell) {
            return T::ZERO;
        }
        let n = problem.shape[self.axis];
        let number = cell / (self.stride * n) * self.stride + cell % self.stride;
        let h = problem.spacing[self.axis];
        let Some((alpha, beta)) = ghost(&problem.sides[self.axis][side], h, self.level, number)
        else {
            return T::ZERO;
        };
        let (u, velocity) = (self.u[cell], self.velocity[cell]);
        let inflow = if side == 0 {
            velocity > T::ZERO
        } else {
            velocity < T::ZERO
        };
        let carried = if inflow {
            T::from_f64((1.0 + alpha) / 2.0) * u + T::from_f64(beta / 2.0)
        } else {
            u
        };
        velocity * carried
    }
}
