//! What the factors are made of, in the layout of the sweeps: D, what is held, decay, the sides,
//! and what every cell gains per unit time.

use fearless_simd::prelude::*;

use super::factors::{Axis, Factors, Matter, eliminate};
use super::layout::{Layout, turn_square};
use crate::diffusion::boundary::{Exchange, reserved, zeros};
use crate::diffusion::{Diffusivity, Problem, Term};
use crate::scratch::Scratch;
use crate::simd::Real;
use crate::threads::{self, Turn};
use crate::view::ViewMut;
use crate::{Context, Error};

/// See the module's first lines.
pub(super) struct Ground<'p, 'a, T> {
    problem: &'p Problem<'a, T>,
    layout: Layout,
    /// How many axes share the decay.
    axes: usize,
    /// Whether all lines of an axis have the same factors.
    shared: bool,
    /// D or, where it is one number, 1; −1 in walls. Empty where that is 1 everywhere.
    diffusivity: Vec<T>,
    held: Vec<T>,
    decay: Vec<T>,
    ends: [[Option<Exchange<T>>; 2]; 3],
}

impl<'p, 'a, T: Real> Ground<'p, 'a, T> {
    pub(super) fn new(
        problem: &'p Problem<'a, T>,
        axes: usize,
        layout: Layout,
        context: &Context,
    ) -> Result<Self, Error> {
        let end = |axis, side| Exchange::new(problem, axis, side, 1.0);
        let mut ground = Self {
            problem,
            layout,
            axes,
            shared: false,
            diffusivity: Vec::new(),
            held: Vec::new(),
            decay: Vec::new(),
            ends: [
                [end(0, 0)?, end(0, 1)?],
                [end(1, 0)?, end(1, 1)?],
                [end(2, 0)?, end(2, 1)?],
            ],
        };
        let per_point = matches!(problem.diffusivity, Diffusivity::PerPoint(_))
            || matches!(problem.decay, Some(Term::PerPoint(_)))
            || problem.walls.is_some()
            || problem.held.is_some();
        ground.shared = axes == 1 || !per_point;
        if per_point {
            ground.lay(context)?;
        }
        Ok(ground)
    }

    /// Lays out what differs from cell to cell: in strips or, where there is one line, in order.
    fn lay(&mut self, context: &Context) -> Result<(), Error> {
        let problem = self.problem;
        let (layout, alone) = (self.layout, self.axes == 1);
        let lay = |beyond: Option<T>, fill: &(dyn Fn(usize, &mut [T]) + Sync)| {
            if alone {
                let mut data = zeros(layout.shape[2])?;
                fill(0, &mut data);
                return Ok(data);
            }
            let mut data = layout.zeros(1)?;
            if let Some(beyond) = beyond {
                data.fill(beyond);
            }
            layout.fill(&mut data, context, fill)?;
            Ok(data)
        };
        // What lies beyond the grid is as good as a wall.
        let padded = layout.volume > problem.cells()?;
        self.diffusivity = lay(padded.then_some(-T::ONE), &|cell, out| {
            density(problem, cell, out);
        })?;
        if let Some(held) = problem.held {
            self.held = lay(None, &|cell, out| {
                for (out, &held) in out.iter_mut().zip(&held[cell..]) {
                    *out = if held != 0 { T::ONE } else { T::ZERO };
                }
            })?;
        }
        if let Some(decay) = problem.decay {
            self.decay = lay(None, &|cell, out| match decay {
                Term::Number(number) => out.fill(T::from_f64(number)),
                Term::PerPoint(values) => out.copy_from_slice(&values[cell..][..out.len()]),
            })?;
        }
        Ok(())
    }

    fn axis(&self, axis: usize, dt: f64) -> Axis<T> {
        let (half, h) = (dt / 2.0, self.problem.spacing[axis]);
        let diffusivity = match self.problem.diffusivity {
            Diffusivity::Constant(all) => all[axis],
            Diffusivity::PerPoint(_) => 1.0,
        };
        let cells = self.problem.shape[axis];
        Axis {
            cells,
            shared: self.shared,
            loss: self.problem.decay.is_some() || self.ends[axis].iter().any(Option::is_some),
            ring: self.problem.periodic(axis) && cells > 1,
            mean: self.problem.mean,
            half: T::from_f64(half),
            scale: T::from_f64(half * diffusivity / (h * h)),
            share: T::from_f64(1.0 / self.axes as f64),
        }
    }

    /// Room for the factors of `axis`.
    pub(super) fn factors(&self, axis: usize) -> Result<Factors<T>, Error> {
        let layout = &self.layout;
        let blocks = match axis {
            0 => layout.shape[1] * layout.strips,
            1 => layout.shape[0] * layout.strips,
            _ => layout.shape[0] * layout.groups,
        };
        Factors::new(self.axis(axis, 0.0), blocks)
    }

    /// Computes the factors of `axis` for steps of `dt`.
    pub(super) fn factor<S: Simd>(
        &self,
        simd: S,
        axis: usize,
        dt: f64,
        factors: &mut Factors<T>,
        context: &Context,
    ) -> Result<(), Error> {
        factors.axis = self.axis(axis, dt);
        let spec = factors.axis;
        if self.shared {
            return self.factor_once(simd, axis, factors);
        }
        let block = spec.block();
        let blocks = factors.records.len() / block;
        let tiles =
            ViewMut::contiguous(&mut factors.records, &[blocks, block])?.split_rows(blocks, 1)?;
        let width = self.layout.lanes;
        let padded = self.layout.strips * width * width;
        let length = (spec.cells * width).max(padded);
        let scratch = Scratch::<T>::new(threads::workers(context, blocks), 3 * length + 2 * width)?;
        threads::run(context, blocks, &|turn: Turn| {
            let mut scratch = scratch.lock(turn.worker);
            let (cells, ends) = scratch.split_at_mut(3 * length);
            let mut parts = cells.chunks_exact_mut(length);
            let mut part = |data: &[T]| {
                let part = parts.next().expect("three parts");
                self.lines(simd, axis, turn.tile, data, part);
                &*part
            };
            let diffusivity = part(&self.diffusivity);
            let held = any(&self.held).map(&mut part);
            let decay = any(&self.decay).map(&mut part);
            let (low, high) = ends.split_at_mut(width);
            let low = self.end(axis, 0, turn.tile, low);
            let high = self.end(axis, 1, turn.tile, high);
            let matter = Matter {
                diffusivity,
                held,
                decay,
                ends: [low, high],
            };
            eliminate(simd, &spec, &matter, tiles.take(turn.tile).row(0));
        })
    }

    /// The factors that all lines of `axis` share.
    fn factor_once<S: Simd>(
        &self,
        simd: S,
        axis: usize,
        factors: &mut Factors<T>,
    ) -> Result<(), Error> {
        let cells = factors.axis.cells;
        let mut ones = Vec::new();
        if self.diffusivity.is_empty() {
            ones = reserved(cells)?;
            ones.resize(cells, T::ONE);
        }
        let mut decay = Vec::new();
        if let (Some(Term::Number(rate)), true) = (self.problem.decay, self.decay.is_empty()) {
            decay = reserved(cells)?;
            decay.resize(cells, T::from_f64(rate));
        }
        let rate = |side: usize| self.ends[axis][side].as_ref().map(|end| [-end.own[0]]);
        let rates = [rate(0), rate(1)];
        let matter = Matter {
            diffusivity: any(&self.diffusivity).unwrap_or(&ones),
            held: any(&self.held),
            decay: any(&self.decay).or(any(&decay)),
            ends: [
                rates[0].as_ref().map_or(&[], |rate| &rate[..]),
                rates[1].as_ref().map_or(&[], |rate| &rate[..]),
            ],
        };
        eliminate(simd, &factors.axis, &matter, &mut factors.records);
        Ok(())
    }

    /// The lines of block `block` of `axis`, a row of lanes a cell.
    fn lines<S: Simd>(&self, simd: S, axis: usize, block: usize, data: &[T], out: &mut [T]) {
        let layout = &self.layout;
        let width = layout.lanes;
        match axis {
            0 => {
                let (strip, y) = (block / layout.shape[1], block % layout.shape[1]);
                let start = (strip * layout.rows + y) * width;
                for z in 0..layout.shape[0] {
                    out[z * width..][..width]
                        .copy_from_slice(&data[z * layout.plane + start..][..width]);
                }
            }
            1 => {
                let length = layout.shape[1] * width;
                let start = block * layout.rows * width;
                out[..length].copy_from_slice(&data[start..][..length]);
            }
            _ => {
                let square = width * width;
                for (strip, out) in out.chunks_exact_mut(square).take(layout.strips).enumerate() {
                    let data = &data[layout.square(block, strip)..][..square];
                    turn_square(simd, data, out);
                }
            }
        }
    }

    /// The outward rates on one side for the lines of a block; empty where nothing passes.
    fn end<'o>(&self, axis: usize, side: usize, block: usize, out: &'o mut [T]) -> &'o [T] {
        let Some(end) = &self.ends[axis][side] else {
            return &[];
        };
        let layout = &self.layout;
        let [_, rows, columns] = layout.shape;
        // The first of the side's cells, and how many of the lanes are cells of the grid.
        let (first, length) = match axis {
            0 => {
                let column = block / rows * layout.lanes;
                (block % rows * columns + column, columns - column)
            }
            1 => {
                let column = block % layout.strips * layout.lanes;
                (block / layout.strips * columns + column, columns - column)
            }
            _ => {
                let row = block % layout.groups * layout.lanes;
                (block / layout.groups * rows + row, rows - row)
            }
        };
        let length = length.min(layout.lanes);
        out.fill(T::ZERO);
        for (out, own) in out.iter_mut().zip(&end.own[first..][..length]) {
            *out = -*own;
        }
        out
    }
}

/// What each cell gains per unit time whatever it holds, in C order of the grid; `None` if nothing.
pub(in crate::diffusion) fn given<T: Real>(problem: &Problem<T>) -> Result<Option<Vec<T>>, Error> {
    let mut ends = Vec::new();
    for axis in 0..3 {
        for side in 0..2 {
            if let Some(end) = Exchange::new(problem, axis, side, 1.0)? {
                ends.push((axis, side, end));
            }
        }
    }
    let gains = |end: &Exchange<T>| end.given.iter().any(|&given| given != T::ZERO);
    if problem.source.is_none() && !ends.iter().any(|(_, _, end)| gains(end)) {
        return Ok(None);
    }
    let cells = problem.cells()?;
    let mut given = reserved(cells)?;
    match problem.source {
        None => given.resize(cells, T::ZERO),
        Some(source) => given.extend((0..cells).map(|cell| number(source, cell))),
    }
    for (axis, side, end) in &ends {
        for (cell, &gain) in end.given_at(0).iter().enumerate() {
            given[problem.side_cell(*axis, *side, cell)] += gain;
        }
    }
    for cells in [problem.walls, problem.held].into_iter().flatten() {
        for (given, &still) in given.iter_mut().zip(cells) {
            if still != 0 {
                *given = T::ZERO;
            }
        }
    }
    Ok(Some(given))
}

/// D of the cells from `cell` on or, where that is one number for each axis, 1; −1 in walls.
fn density<T: Real>(problem: &Problem<T>, cell: usize, out: &mut [T]) {
    match problem.diffusivity {
        Diffusivity::Constant(_) => out.fill(T::ONE),
        Diffusivity::PerPoint(values) => out.copy_from_slice(&values[cell..][..out.len()]),
    }
    if let Some(walls) = problem.walls {
        for (out, &wall) in out.iter_mut().zip(&walls[cell..]) {
            if wall != 0 {
                *out = -T::ONE;
            }
        }
    }
}

/// A term's number at a cell.
fn number<T: Real>(term: Term<T>, cell: usize) -> T {
    match term {
        Term::Number(number) => T::from_f64(number),
        Term::PerPoint(values) => values[cell],
    }
}

/// `data` unless it is empty.
fn any<T>(data: &[T]) -> Option<&[T]> {
    (!data.is_empty()).then_some(data)
}
