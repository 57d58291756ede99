//! Two and three axes: one pass over the grid for each axis and step.

use fearless_simd::prelude::*;
use fearless_simd_macros::simd;

use super::factors::Factors;
use super::ground::{self, Ground};
use super::layout::{Layout, WIDE, add, gather, scatter};
use super::lines::{FACE, Fluxes, LOSS, Line, apply, load, solve, step, store};
use super::{TOGETHER, runs};
use crate::diffusion::Problem;
use crate::scratch::Scratch;
use crate::simd::Real;
use crate::threads::{self, Turn};
use crate::view::ViewMut;
use crate::{Context, Error};

/// A solver for as many grids at once as fit [`TOGETHER`].
pub(super) struct Sweeps<'s, 'p, 'a, T> {
    problem: &'p Problem<'a, T>,
    ground: &'s Ground<'p, 'a, T>,
    layout: Layout,
    three: bool,
    /// Of the axes in use, the first of three being empty for two.
    factors: [Option<Factors<T>>; 3],
    given: Option<Vec<T>>,
    /// u or, in 2-D, r.
    field: Vec<T>,
    /// g and δ; 3-D only.
    change: Vec<T>,
    scratch: Scratch<T>,
    length: usize,
}

impl<'s, 'p, 'a, T: Real> Sweeps<'s, 'p, 'a, T> {
    /// Reserves what the grids of `elements` elements need.
    pub(super) fn new(
        problem: &'p Problem<'a, T>,
        ground: &'s Ground<'p, 'a, T>,
        layout: Layout,
        axes: usize,
        elements: usize,
        context: &Context,
    ) -> Result<Self, Error> {
        let cells = problem.cells()?;
        let items = (elements / cells).min((TOGETHER / cells).max(1));
        let three = axes == 3;
        let first = if three {
            Some(ground.factors(0)?)
        } else {
            None
        };
        let mut given = None;
        if let Some(rates) = ground::given(problem)? {
            let mut laid = layout.zeros(1)?;
            layout.fill(&mut laid, context, &|cell, out| {
                out.copy_from_slice(&rates[cell..][..out.len()]);
            })?;
            given = Some(laid);
        }
        let [n0, n1, _] = layout.shape;
        let length = n0.max(n1).max(layout.strips * layout.lanes) * layout.lanes;
        let workers = threads::workers(context, usize::MAX);
        Ok(Self {
            problem,
            ground,
            layout,
            three,
            factors: [first, Some(ground.factors(1)?), Some(ground.factors(2)?)],
            given,
            field: layout.zeros(items)?,
            change: if three {
                layout.zeros(items)?
            } else {
                Vec::new()
            },
            scratch: Scratch::new(workers, length.saturating_mul(2))?,
            length,
        })
    }

    /// All steps of all grids.
    pub(super) fn run<S: Simd>(
        mut self,
        simd: S,
        field: &[T],
        out: &mut [T],
        steps: &[f64],
        context: &Context,
    ) -> Result<(), Error> {
        let cells = self.problem.cells()?;
        let together = self.field.len() / self.layout.volume * cells;
        let mut known = None;
        for (field, out) in field.chunks(together).zip(out.chunks_mut(together)) {
            let items = field.len() / cells;
            self.field.truncate(items * self.layout.volume);
            self.change.truncate(items * self.layout.volume);
            self.lay(field, context)?;
            for (count, dt) in runs(steps) {
                if known != Some(dt) {
                    for (axis, factors) in self.factors.iter_mut().enumerate() {
                        if let Some(factors) = factors {
                            self.ground.factor(simd, axis, dt, factors, context)?;
                        }
                    }
                    known = Some(dt);
                }
                self.begin(simd, dt, context)?;
                for i in 0..count {
                    self.step(simd, dt, i + 1 == count, context)?;
                }
            }
            self.give(field, out, context)?;
        }
        Ok(())
    }

    /// u in strips, 0 in walls.
    fn lay(&mut self, field: &[T], context: &Context) -> Result<(), Error> {
        let (problem, cells) = (self.problem, self.problem.cells()?);
        self.layout.fill(&mut self.field, context, &|cell, out| {
            out.copy_from_slice(&field[cell..][..out.len()]);
            if let Some(walls) = problem.walls {
                for (out, &wall) in out.iter_mut().zip(&walls[cell % cells..]) {
                    if wall != 0 {
                        *out = T::ZERO;
                    }
                }
            }
        })
    }

    /// The field in C order; walls and held cells as they were.
    fn give(&mut self, field: &[T], out: &mut [T], context: &Context) -> Result<(), Error> {
        let (layout, problem, cells) = (self.layout, self.problem, self.problem.cells()?);
        let [_, rows, columns] = layout.shape;
        let source = &self.field;
        let count = out.len() / columns;
        let tiles = ViewMut::contiguous(out, &[count, columns])?.split_rows(rows, layout.lanes)?;
        threads::run(context, tiles.tiles(), &|turn: Turn| {
            let mut out = tiles.take(turn.tile);
            layout.each_run(turn.tile, |strip, lane, cell, length| {
                let from = layout.square(turn.tile, strip) + lane * layout.lanes;
                let out = &mut out.row(lane)[strip * layout.lanes..][..length];
                out.copy_from_slice(&source[from..][..length]);
                for still in [problem.walls, problem.held].into_iter().flatten() {
                    for (i, &still) in still[cell % cells..][..length].iter().enumerate() {
                        if still != 0 {
                            out[i] = field[cell + i];
                        }
                    }
                }
            });
        })
    }

    /// 2-D: r = u + H₂ u + τ/2 b.  3-D: g = 2 H₃ u + τ b.
    fn begin<S: Simd>(&mut self, simd: S, dt: f64, context: &Context) -> Result<(), Error> {
        let factors = axis(&self.factors, 2);
        let layout = self.layout;
        let (one, two) = (T::ONE, T::from_f64(2.0));
        let (given, three) = (self.given.as_deref(), self.three);
        let (scratch, length) = (&self.scratch, self.length);
        let blocks = layout.shape[0] * layout.groups;
        let fields = layout.squares(&mut self.field)?;
        let changes = layout.squares(&mut self.change)?;
        threads::run(context, fields.tiles(), &|turn: Turn| {
            let tile = turn.tile % blocks;
            let line = factors.line(tile);
            let mut scratch = scratch.lock(turn.worker);
            let (u, work) = scratch.split_at_mut(length);
            let u = &mut u[..layout.strips * layout.lanes * layout.lanes];
            let mut field = fields.take(turn.tile);
            gather(simd, &mut field, u);
            if three {
                let given = given.map(|given| (given, T::from_f64(dt)));
                let work = &mut work[..u.len()];
                apply(simd, line, u, Some(work), T::ZERO, two);
                let mut change = changes.take(turn.tile);
                scatter(simd, work, given, &layout, tile, &mut change);
            } else {
                let given = given.map(|given| (given, T::from_f64(dt / 2.0)));
                apply(simd, line, u, None, one, one);
                scatter(simd, u, given, &layout, tile, &mut field);
            }
        })
    }

    /// One step; `last` of those of one length.
    fn step<S: Simd>(
        &mut self,
        simd: S,
        dt: f64,
        last: bool,
        context: &Context,
    ) -> Result<(), Error> {
        if self.three {
            self.first_axis(simd, context)?;
            self.second_axis(simd, context)?;
            self.last_axis(simd, dt, context)
        } else {
            self.second_axis_of_two(simd, dt, context)?;
            self.last_axis_of_two(simd, dt, last, context)
        }
    }

    /// r ← r + 2δ + τ/2 b, (I − H₁) δ = H₁ r.
    fn second_axis_of_two<S: Simd>(
        &mut self,
        simd: S,
        dt: f64,
        context: &Context,
    ) -> Result<(), Error> {
        let factors = axis(&self.factors, 1);
        let layout = self.layout;
        let given = self.given.as_deref();
        let half = T::from_f64(dt / 2.0);
        let (scratch, blocks) = (&self.scratch, layout.strips);
        let tiles = layout.columns(&mut self.field)?;
        threads::run(context, tiles.tiles(), &|turn: Turn| {
            let mut scratch = scratch.lock(turn.worker);
            let mut rows = tiles.take(turn.tile);
            let u = rows.row(0);
            let line = factors.line(turn.tile % blocks);
            step::<S, T, false>(simd, line, u, &mut scratch, None, T::from_f64(2.0));
            if let Some(given) = given {
                let length = u.len();
                add(
                    simd,
                    &given[turn.tile % blocks * length..][..length],
                    half,
                    u,
                );
            }
        })
    }

    /// r ← r + 2δ + τ/2 b or, at last, u = r + δ, (I − H₂) δ = H₂ r.
    fn last_axis_of_two<S: Simd>(
        &mut self,
        simd: S,
        dt: f64,
        last: bool,
        context: &Context,
    ) -> Result<(), Error> {
        let factors = axis(&self.factors, 2);
        let layout = self.layout;
        let (weight, given) = if last {
            (T::ONE, None)
        } else {
            let given = self.given.as_deref();
            (
                T::from_f64(2.0),
                given.map(|given| (given, T::from_f64(dt / 2.0))),
            )
        };
        let (scratch, length, blocks) = (&self.scratch, self.length, layout.groups);
        let tiles = layout.squares(&mut self.field)?;
        threads::run(context, tiles.tiles(), &|turn: Turn| {
            let tile = turn.tile % blocks;
            let mut scratch = scratch.lock(turn.worker);
            let (u, work) = scratch.split_at_mut(length);
            let u = &mut u[..layout.strips * layout.lanes * layout.lanes];
            let mut squares = tiles.take(turn.tile);
            gather(simd, &mut squares, u);
            step::<S, T, false>(simd, factors.line(tile), u, work, None, weight);
            scatter(simd, u, given, &layout, tile, &mut squares);
        })
    }

    /// δ ← (I − H₁)⁻¹ (g + 2(H₁ + H₂) u).
    fn first_axis<S: Simd>(&mut self, simd: S, context: &Context) -> Result<(), Error> {
        let (first, second) = (axis(&self.factors, 0), axis(&self.factors, 1));
        let layout = self.layout;
        let (field, scratch, length) = (&self.field, &self.scratch, self.length);
        let per_item = layout.plane / (WIDE * layout.lanes);
        let per_strip = layout.rows / WIDE;
        let tiles = layout.pillars(&mut self.change)?;
        threads::run(context, tiles.tiles(), &|turn: Turn| {
            let mut scratch = scratch.lock(turn.worker);
            let (u, t) = scratch.split_at_mut(length);
            let cells = layout.shape[0] * layout.lanes;
            let (u, t) = (&mut u[..cells], &mut t[..cells]);
            let mut rows = tiles.take(turn.tile);
            let (item, pillar) = (turn.tile / per_item, turn.tile % per_item);
            let (strip, start) = (pillar / per_strip, pillar % per_strip * WIDE);
            let field = &field[item * layout.volume..][..layout.volume];
            for row in start..layout.shape[1].min(start + WIDE) {
                let wide = (row - start) * layout.lanes;
                for (z, t) in t.chunks_exact_mut(layout.lanes).enumerate() {
                    t.copy_from_slice(&rows.row(z)[wide..][..layout.lanes]);
                }
                let line = first.line(strip * layout.shape[1] + row);
                complete(simd, line, second, &layout, field, (strip, row), u, t);
                solve(simd, line, t);
                for (z, t) in t.chunks_exact(layout.lanes).enumerate() {
                    rows.row(z)[wide..][..layout.lanes].copy_from_slice(t);
                }
            }
        })
    }

    /// δ ← (I − H₂)⁻¹ δ.
    fn second_axis<S: Simd>(&mut self, simd: S, context: &Context) -> Result<(), Error> {
        let factors = axis(&self.factors, 1);
        let layout = self.layout;
        let blocks = layout.shape[0] * layout.strips;
        let tiles = layout.columns(&mut self.change)?;
        threads::run(context, tiles.tiles(), &|turn: Turn| {
            let line = factors.line(turn.tile % blocks);
            solve(simd, line, tiles.take(turn.tile).row(0));
        })
    }

    /// u ← u + δ, δ ← (I − H₃)⁻¹ δ; then g = 2 H₃ u + τ b.
    fn last_axis<S: Simd>(&mut self, simd: S, dt: f64, context: &Context) -> Result<(), Error> {
        let factors = axis(&self.factors, 2);
        let layout = self.layout;
        let given = self.given.as_deref().map(|given| (given, T::from_f64(dt)));
        let (scratch, length) = (&self.scratch, self.length);
        let blocks = layout.shape[0] * layout.groups;
        let fields = layout.squares(&mut self.field)?;
        let changes = layout.squares(&mut self.change)?;
        threads::run(context, fields.tiles(), &|turn: Turn| {
            let tile = turn.tile % blocks;
            let line = factors.line(tile);
            let mut scratch = scratch.lock(turn.worker);
            let (u, change) = scratch.split_at_mut(length);
            let padded = layout.strips * layout.lanes * layout.lanes;
            let (u, change) = (&mut u[..padded], &mut change[..padded]);
            let (mut field_squares, mut squares) =
                (fields.take(turn.tile), changes.take(turn.tile));
            gather(simd, &mut squares, change);
            solve(simd, line, change);
            gather(simd, &mut field_squares, u);
            add(simd, change, T::ONE, u);
            scatter(simd, u, None, &layout, tile, &mut field_squares);
            apply(simd, line, u, Some(change), T::ZERO, T::from_f64(2.0));
            scatter(simd, change, given, &layout, tile, &mut squares);
        })
    }
}

fn axis<T>(factors: &[Option<Factors<T>>; 3], axis: usize) -> &Factors<T> {
    factors[axis].as_ref().expect("an axis in use")
}

/// `t += 2(H₁ + H₂) u` along one line of the first axis; `u` becomes that line of `field`.
#[expect(
    clippy::too_many_arguments,
    reason = "a line among the lines of another axis"
)]
#[simd]
fn complete<S: Simd, T: Real>(
    simd: S,
    first: Line<T>,
    second: &Factors<T>,
    layout: &Layout,
    field: &[T],
    (strip, row): (usize, usize),
    u: &mut [T],
    t: &mut [T],
) {
    let at = |row: usize| (strip * layout.rows + row) * layout.lanes;
    let (rows, place) = (layout.shape[1], at(row));
    let planes = field.chunks_exact(layout.plane);
    for (u, plane) in u.chunks_exact_mut(layout.lanes).zip(planes) {
        u.copy_from_slice(&plane[place..][..layout.lanes]);
    }
    let two = T::Wide::<S>::splat(simd, T::from_f64(2.0));
    let mut fluxes = Fluxes::new::<S, T, false>(simd, &first, u);
    for (z, plane) in field.chunks_exact(layout.plane).enumerate() {
        let (mut change, here) = fluxes.next::<S, T, false>(simd, &first, u, z);
        let line = second.line(z * layout.strips + strip);
        let below = if row > 0 { row - 1 } else { rows - 1 };
        let above = if row + 1 < rows { row + 1 } else { 0 };
        if row > 0 || line.ring {
            let low = load::<S, T, false>(simd, &plane[at(below)..], 0);
            change = line.get(simd, row, FACE).mul_add(low - here, change);
        }
        if above > 0 || line.ring {
            let high = load::<S, T, false>(simd, &plane[at(above)..], 0);
            change = line.get(simd, above, FACE).mul_add(high - here, change);
        }
        if line.loss {
            change -= line.get(simd, row, LOSS) * here;
        }
        let sum = change.mul_add(two, load::<S, T, false>(simd, t, z));
        store::<S, T, false>(sum, t, z);
    }
}
