//! What every sweep needs: the problem's numbers times the step, and planes of the grid loaded
//! into buffers with ghost cells.
//!
//! Sweeps go along one axis, `along`: axis 0, or axis 1 where axis 0 has length 1. A plane is all
//! cells at one place there; a window is the part of a plane that a tile works on. Walls hold 0 in
//! the buffers, so that what the caller's array has there reaches nobody.

use fearless_simd::prelude::*;
use fearless_simd_macros::simd;

use super::boundary::Exchange;
use super::plane::{self, Faces, PAD, Planes, Run, Shape, Step};
use super::problem::{Diffusivity, Mean, Problem, Term};
use crate::Error;
use crate::simd::{Lanes, Real};

/// A stretch of an axis; on a ring it may begin before 0 and end behind the axis's end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: isize,
    pub(super) length: usize,
    /// Cells of the axis.
    pub(super) cells: usize,
}

impl Span {
    /// The whole axis.
    pub(super) fn whole(cells: usize) -> Self {
        Self {
            start: 0,
            length: cells,
            cells,
        }
    }

    /// Cells `first..end` with `halo` more on either side, as far as the axis has them.
    pub(super) fn around(first: usize, end: usize, halo: usize, cells: usize, ring: bool) -> Self {
        let (first, end, halo) = (first as isize, end as isize, halo as isize);
        let (start, stop) = if ring {
            (first - halo, end + halo)
        } else {
            ((first - halo).max(0), (end + halo).min(cells as isize))
        };
        Self {
            start,
            length: (stop - start) as usize,
            cells,
        }
    }

    /// The cell of the axis that place `i` of the span is.
    #[inline(always)]
    pub(super) fn cell(&self, i: usize) -> usize {
        (self.start + i as isize).rem_euclid(self.cells as isize) as usize
    }

    /// Where in the span cell `cell`, which it holds, stands.
    pub(super) fn place(&self, cell: usize) -> usize {
        (cell as isize - self.start) as usize
    }

    /// Copies the span of `axis` to `to`.
    #[inline(always)]
    fn read<T: Copy>(&self, axis: &[T], to: &mut [T]) {
        let mut from = self.cell(0);
        let mut done = 0;
        while done < self.length {
            let run = (self.cells - from).min(self.length - done);
            to[done..done + run].copy_from_slice(&axis[from..from + run]);
            done += run;
            from = 0;
        }
    }
}

/// The part of a plane that a tile works on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// Along axis 1; one row where sweeps go along axis 1.
    pub(super) rows: Span,
    /// Along axis 2.
    pub(super) columns: Span,
    pub(super) shape: Shape,
}

/// A problem and a step, with all that does not change from cell to cell worked out.
pub(super) struct Sweep<'p, 'a, T> {
    pub(super) problem: &'p Problem<'a, T>,
    /// The axis that sweeps go along: 0 or 1.
    pub(super) along: usize,
    /// Whether each face has a coefficient of its own.
    pub(super) varied: bool,
    /// dt·D/h², or dt/h² where D is an array.
    scale: [T; 3],
    exchange: [[Option<Exchange<T>>; 2]; 3],
    decay: Option<Scaled<'a, T>>,
    source: Option<Scaled<'a, T>>,
}

/// A [`Term`] times the step.
#[derive(Clone, Copy)]
enum Scaled<'a, T> {
    Number(T),
    PerPoint(&'a [T], T),
}

impl<'p, 'a, T: Real> Sweep<'p, 'a, T> {
    pub(super) fn new(problem: &'p Problem<'a, T>, dt: f64) -> Result<Self, Error> {
        let mut scale = [T::ZERO; 3];
        for axis in 0..3 {
            let inverse = dt / (problem.spacing[axis] * problem.spacing[axis]);
            scale[axis] = T::from_f64(match problem.diffusivity {
                Diffusivity::Constant(all) => all[axis] * inverse,
                Diffusivity::PerPoint(_) => inverse,
            });
        }
        let mut exchange = [[None, None], [None, None], [None, None]];
        for (axis, sides) in exchange.iter_mut().enumerate() {
            for (side, exchange) in sides.iter_mut().enumerate() {
                *exchange = Exchange::new(problem, axis, side, dt)?;
            }
        }
        let scaled = |term: Option<Term<'a, T>>| {
            term.map(|term| match term {
                Term::Number(number) => Scaled::Number(T::from_f64(number * dt)),
                Term::PerPoint(values) => Scaled::PerPoint(values, T::from_f64(dt)),
            })
        };
        Ok(Self {
            problem,
            along: usize::from(problem.shape[0] == 1),
            varied: matches!(problem.diffusivity, Diffusivity::PerPoint(_))
                || problem.walls.is_some(),
            scale,
            exchange,
            decay: scaled(problem.decay),
            source: scaled(problem.source),
        })
    }

    /// Planes along the axis that sweeps go along.
    pub(super) fn planes(&self) -> usize {
        self.problem.shape[self.along]
    }

    /// Rows of a plane.
    pub(super) fn plane_rows(&self) -> usize {
        if self.along == 0 {
            self.problem.shape[1]
        } else {
            1
        }
    }

    /// The window over `rows` and `columns`, with ghost cells from the other end where it holds a
    /// whole ring.
    pub(super) fn window(&self, rows: Span, columns: Span) -> Window {
        let whole = |span: &Span| span.start == 0 && span.length == span.cells;
        let mut shape = Shape::new(rows.length, columns.length);
        shape.ring_of_rows = self.along == 0 && self.problem.periodic(1) && whole(&rows);
        shape.ring_of_cells = self.problem.periodic(2) && whole(&columns);
        Window {
            rows,
            columns,
            shape,
        }
    }

    /// Index of the first cell of row `y` of the plane at `z`, in a grid.
    #[inline(always)]
    pub(super) fn row_start(&self, z: usize, row: usize) -> usize {
        let [_, n1, n2] = self.problem.shape;
        if self.along == 0 {
            (z * n1 + row) * n2
        } else {
            z * n2
        }
    }

    /// Copies the window of plane `z` of `grid` to `plane`.
    pub(super) fn load(&self, grid: &[T], z: usize, window: &Window, plane: &mut [T]) {
        let columns = self.problem.shape[2];
        for y in 0..window.shape.rows {
            let start = self.row_start(z, window.rows.cell(y));
            self.load_row(&grid[start..][..columns], z, y, window, plane);
        }
        window.shape.close(plane);
    }

    /// Copies the window's columns of `source`, row `y` of the window of plane `z`, to `plane`,
    /// whose ghost cells stay as they are.
    pub(super) fn load_row(
        &self,
        source: &[T],
        z: usize,
        y: usize,
        window: &Window,
        plane: &mut [T],
    ) {
        let shape = &window.shape;
        let row = shape.row_mut(plane, y);
        let cells = &mut row[PAD..][..shape.width];
        window.columns.read(source, cells);
        if let Some(walls) = self.problem.walls {
            let walls = &walls[self.row_start(z, window.rows.cell(y))..][..source.len()];
            for (x, cell) in cells.iter_mut().enumerate() {
                if walls[window.columns.cell(x)] != 0 {
                    *cell = T::ZERO;
                }
            }
        }
    }

    /// Copies `columns` of row `y` of `plane` to `out`, the same row of the grid, or goes the part
    /// `blend` of the way there from `grid`; walls keep what they have in `grid`.
    #[expect(clippy::too_many_arguments, reason = "one row's whole world")]
    pub(super) fn store<S: Simd>(
        &self,
        simd: S,
        blend: Option<T>,
        plane: &[T],
        y: usize,
        window: &Window,
        columns: std::ops::Range<usize>,
        grid: &[T],
        start: usize,
        out: &mut [T],
    ) {
        let first = PAD + window.columns.place(columns.start);
        let row = &window.shape.row(plane, y)[first..][..columns.len()];
        let grid_row = &grid[start..][..out.len()];
        out[columns.clone()].copy_from_slice(row);
        if let Some(part) = blend {
            let out = &mut out[columns.clone()];
            blend_rows(simd, part, &grid_row[columns.clone()], out);
        }
        if let Some(walls) = self.problem.walls {
            for column in columns {
                if walls[start + column] != 0 {
                    out[column] = grid_row[column];
                }
            }
        }
    }
}

/// The coefficients of one plane's cells and faces, in the order of a ring's slot.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// Elements of a plane.
    size: usize,
    east: Option<usize>,
    down: Option<usize>,
    south: Option<usize>,
    diffusivity: Option<usize>,
    open: Option<usize>,
    decay: Option<usize>,
    source: Option<usize>,
    held: Option<usize>,
    /// Planes that a slot has.
    pub(super) planes: usize,
}

impl Layout {
    pub(super) fn new<T: Real>(sweep: &Sweep<T>, shape: &Shape) -> Self {
        let mut planes = 0;
        let mut next = |wanted: bool| {
            wanted.then(|| {
                planes += 1;
                planes - 1
            })
        };
        let problem = sweep.problem;
        let per_point = matches!(problem.diffusivity, Diffusivity::PerPoint(_));
        Self {
            size: shape.size(),
            east: next(sweep.varied),
            down: next(sweep.varied),
            south: next(sweep.varied && shape.rows > 1),
            diffusivity: next(per_point),
            open: next(problem.walls.is_some()),
            decay: next(matches!(sweep.decay, Some(Scaled::PerPoint(..)))),
            source: next(matches!(sweep.source, Some(Scaled::PerPoint(..)))),
            held: next(problem.held.is_some()),
            planes,
        }
    }

    /// Elements of a slot.
    pub(super) fn slot(&self) -> usize {
        self.planes * self.size
    }

    #[inline(always)]
    fn part<'a, T>(&self, slot: &'a [T], part: Option<usize>) -> &'a [T] {
        part.map_or(&[], |part| &slot[part * self.size..][..self.size])
    }

    #[inline(always)]
    fn part_mut<'a, T>(&self, slot: &'a mut [T], part: Option<usize>) -> &'a mut [T] {
        part.map_or(&mut [], |part| &mut slot[part * self.size..][..self.size])
    }
}

impl<T: Real> Sweep<'_, '_, T> {
    /// Fills `slot` with the coefficients of plane `z`, and the faces between it and the plane
    /// before, whose slot is `before`, in that slot.
    pub(super) fn fill<S: Simd>(
        &self,
        simd: S,
        layout: &Layout,
        z: usize,
        window: &Window,
        before: Option<&mut [T]>,
        slot: &mut [T],
    ) {
        let problem = self.problem;
        let shape = &window.shape;
        let columns = problem.shape[2];
        for y in 0..shape.rows {
            let start = self.row_start(z, window.rows.cell(y));
            let read = |values: &[T], slot: &mut [T], part| {
                let row = shape.row_mut(layout.part_mut(slot, part), y);
                window
                    .columns
                    .read(&values[start..][..columns], &mut row[PAD..][..shape.width]);
            };
            if let Diffusivity::PerPoint(values) = problem.diffusivity {
                read(values, slot, layout.diffusivity);
            }
            for (term, part) in [(self.decay, layout.decay), (self.source, layout.source)] {
                if let Some(Scaled::PerPoint(values, _)) = term {
                    read(values, slot, part);
                }
            }
            for (bytes, part, set) in [
                (problem.walls, layout.open, [T::ONE, T::ZERO]),
                (problem.held, layout.held, [T::ZERO, T::ONE]),
            ] {
                if let Some(bytes) = bytes {
                    let row = shape.row_mut(layout.part_mut(slot, part), y);
                    for x in 0..shape.width {
                        let byte = bytes[start + window.columns.cell(x)];
                        row[PAD + x] = set[usize::from(byte != 0)];
                    }
                }
            }
        }
        for part in [layout.diffusivity, layout.open] {
            if part.is_some() {
                shape.close(layout.part_mut(slot, part));
            }
        }
        if self.varied {
            self.fill_faces(simd, layout, shape, before, slot);
        }
    }

    fn fill_faces<S: Simd>(
        &self,
        simd: S,
        layout: &Layout,
        shape: &Shape,
        before: Option<&mut [T]>,
        slot: &mut [T],
    ) {
        let [along, north_south, east_west] = self.turned_scale();
        let face = |scale: T| Face {
            scale,
            mean: match self.problem.diffusivity {
                Diffusivity::Constant(_) => None,
                Diffusivity::PerPoint(_) => Some(self.problem.mean),
            },
        };
        // The faces come first in a slot, then what they are made of.
        let made_of = layout.diffusivity.or(layout.open).unwrap_or(layout.planes);
        let (made, rest) = slot.split_at_mut(made_of * layout.size);
        let moved = |part: Option<usize>| part.map(|part| part - made_of);
        let diffusivity = layout.part(rest, moved(layout.diffusivity));
        let open = layout.part(rest, moved(layout.open));
        let cells = |plane| Cells::<T>::of(plane, open);
        let cells = cells(diffusivity);
        let last = shape.rows - 1;
        for y in 0..shape.rows {
            let east = shape.row_mut(layout.part_mut(made, layout.east), y);
            let from = shape.cells(y).start;
            let (a, b) = (cells.from(from), cells.from(from + 1));
            faces(simd, face(east_west), a, b, &mut east[PAD..][..shape.width]);
            if !shape.ring_of_cells {
                east[PAD + shape.width - 1] = T::ZERO;
            }
            east[PAD - 1] = east[PAD + shape.width - 1];
        }
        if layout.south.is_some() {
            let south = layout.part_mut(made, layout.south);
            for y in 0..shape.rows {
                let row = &mut shape.row_mut(south, y)[PAD..][..shape.width];
                if y == last && !shape.ring_of_rows {
                    row.fill(T::ZERO);
                    continue;
                }
                let next = if y == last { 0 } else { y + 1 };
                let (a, b) = (
                    cells.from(shape.cells(y).start),
                    cells.from(shape.cells(next).start),
                );
                faces(simd, face(north_south), a, b, row);
            }
        }
        layout.part_mut(made, layout.down).fill(T::ZERO);
        if let Some(before) = before {
            let (made, rest) = before.split_at_mut(made_of * layout.size);
            let other = Cells::of(
                layout.part(rest, moved(layout.diffusivity)),
                layout.part(rest, moved(layout.open)),
            );
            let down = layout.part_mut(made, layout.down);
            for y in 0..shape.rows {
                let from = shape.cells(y).start;
                let row = &mut shape.row_mut(down, y)[PAD..][..shape.width];
                faces(simd, face(along), other.from(from), cells.from(from), row);
            }
        }
    }

    /// One step of the window of plane `z`, whose coefficients are in `slot` and those of the plane
    /// before in `before`; `level` is the step's number within the call.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "one plane's whole world")]
    pub(super) fn step<S: Simd>(
        &self,
        simd: S,
        layout: &Layout,
        z: usize,
        window: &Window,
        coefficients: Slots<T>,
        planes: Planes<T>,
        (step, older, level): (Step<T>, &[T], usize),
        out: &mut [T],
    ) {
        let shape = &window.shape;
        let stepped = (step, older);
        if self.varied {
            let faces = Faces {
                east: layout.part(coefficients.here, layout.east),
                up: if coefficients.before.is_empty() {
                    coefficients.closed
                } else {
                    layout.part(coefficients.before, layout.down)
                },
                down: layout.part(coefficients.here, layout.down),
                south: layout.part(coefficients.here, layout.south),
                closed: coefficients.closed,
            };
            plane::varied(simd, shape, faces, planes, stepped, out);
        } else {
            plane::constant(simd, shape, self.turned_scale(), planes, stepped, out);
        }
        let slot = coefficients.here;
        self.finish(
            simd,
            layout,
            z,
            window,
            slot,
            planes.here,
            (step, level),
            out,
        );
    }

    /// A step of planes `z`, the middle two of `planes`, where D is constant.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "two planes' whole world")]
    pub(super) fn step_pair<S: Simd>(
        &self,
        simd: S,
        layout: &Layout,
        z: [usize; 2],
        window: &Window,
        coefficients: [Slots<T>; 2],
        planes: [&[T]; 4],
        (step, older, level): (Step<T>, [&[T]; 2], usize),
        out: [&mut [T]; 2],
    ) {
        let [first, second] = out;
        let scale = self.turned_scale();
        let stepped = (step, older);
        plane::pair(
            simd,
            &window.shape,
            scale,
            planes,
            stepped,
            [&mut *first, &mut *second],
        );
        for (i, out) in [first, second].into_iter().enumerate() {
            let slot = coefficients[i].here;
            self.finish(
                simd,
                layout,
                z[i],
                window,
                slot,
                planes[i + 1],
                (step, level),
                out,
            );
        }
    }

    /// A step of a whole block, as [`plane::block`], where D is constant and nothing but the faces
    /// between cells counts.
    #[inline(always)]
    pub(super) fn step_block<S: Simd>(
        &self,
        simd: S,
        window: &Window,
        carried: (&mut [T], Option<&mut [T]>),
        block: &[T],
        step: (Step<T>, Run<T>),
        out: &mut [T],
    ) {
        let scale = self.turned_scale();
        plane::block(simd, &window.shape, scale, carried, block, step, out);
    }

    /// Whether a step is more than the faces between cells.
    #[inline(always)]
    pub(super) fn has_more(&self) -> bool {
        self.has_sides() || self.has_terms()
    }

    fn has_sides(&self) -> bool {
        self.exchange.iter().flatten().any(Option::is_some)
    }

    fn has_terms(&self) -> bool {
        self.decay.is_some() || self.source.is_some() || self.problem.held.is_some()
    }

    /// The constant coefficients along the sweep's axis, north and south, east and west.
    #[inline(always)]
    pub(super) fn turned_scale(&self) -> [T; 3] {
        if self.along == 0 {
            self.scale
        } else {
            [self.scale[1], T::ZERO, self.scale[2]]
        }
    }

    /// What comes after the faces between cells: the grid's sides, terms, ghost cells.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "one plane's whole world")]
    fn finish<S: Simd>(
        &self,
        simd: S,
        layout: &Layout,
        z: usize,
        window: &Window,
        slot: &[T],
        plane: &[T],
        (step, level): (Step<T>, usize),
        out: &mut [T],
    ) {
        let shape = &window.shape;
        let (sides, terms) = (self.has_sides(), self.has_terms());
        for y in 0..shape.rows {
            if !(sides || terms) {
                break;
            }
            let here = shape.row(plane, y);
            if sides {
                let out = shape.row_mut(out, y);
                self.exchange_row(z, y, window, (step, level), here, out);
            }
            if terms {
                let row = shape.cells(y);
                let terms = Terms {
                    decay: self.decay.map(|decay| {
                        scaled_row(decay, layout.part(slot, layout.decay), row.clone())
                    }),
                    source: self.source.map(|source| {
                        scaled_row(source, layout.part(slot, layout.source), row.clone())
                    }),
                    held: layout
                        .held
                        .map(|_| &layout.part(slot, layout.held)[row.clone()]),
                };
                let out = &mut shape.row_mut(out, y)[PAD..][..shape.width];
                add_terms(simd, terms, step, &here[PAD..][..shape.width], out);
            }
        }
        shape.close(out);
    }

    /// Adds what the cells of row `y` of the window gain through the grid's sides.
    fn exchange_row(
        &self,
        z: usize,
        y: usize,
        window: &Window,
        (step, level): (Step<T>, usize),
        here: &[T],
        out: &mut [T],
    ) {
        let [n0, n1, n2] = self.problem.shape;
        let (z, row) = if self.along == 0 {
            (z, window.rows.cell(y))
        } else {
            (0, z)
        };
        let factor = match step {
            Step::Euler => T::ONE,
            Step::Stage(c) => c,
        };
        let mut gain = |place: usize, own: T, given: T| {
            let gained = given + own * here[PAD + place];
            out[PAD + place] += factor * gained;
        };
        // Where the row lies on a side of axis 0 or 1, and the side's first cell of it.
        let rows = [
            (0, z == 0, z + 1 == n0, row * n2),
            (1, row == 0, row + 1 == n1, z * n2),
        ];
        for (axis, low, high, first) in rows {
            for (side, touches) in [low, high].into_iter().enumerate() {
                let Some(exchange) = &self.exchange[axis][side] else {
                    continue;
                };
                if touches {
                    let given = exchange.given_at(level);
                    for place in 0..window.columns.length {
                        let cell = first + window.columns.cell(place);
                        gain(place, exchange.own[cell], given[cell]);
                    }
                }
            }
        }
        for (side, column) in [0, n2 - 1].into_iter().enumerate() {
            let Some(exchange) = &self.exchange[2][side] else {
                continue;
            };
            let place = column as isize - window.columns.start;
            if (0..window.columns.length as isize).contains(&place) {
                let cell = z * n1 + row;
                gain(
                    place as usize,
                    exchange.own[cell],
                    exchange.given_at(level)[cell],
                );
            }
        }
    }
}

/// row = from + blend·(row − from).
#[simd]
#[inline(never)]
pub(super) fn blend_rows<S: Simd, T: Real>(simd: S, blend: T, from: &[T], row: &mut [T]) {
    let blend = Lanes::<S, T>::splat(simd, blend);
    let mut at = 0;
    while at < row.len() {
        let end = row.len().min(at + Lanes::<S, T>::LEN);
        let from = part(simd, &from[at..end]);
        let value = (part(simd, &row[at..end]) - from).mul_add(blend, from);
        crate::layers::rows::store(value, &mut row[at..end]);
        at = end;
    }
}

/// Coefficients of a plane and of the one before; `closed` is a plane of zeros.
#[derive(Clone, Copy)]
pub(super) struct Slots<'a, T> {
    pub(super) here: &'a [T],
    pub(super) before: &'a [T],
    pub(super) closed: &'a [T],
}

/// How a face's coefficient is made of the two cells'.
#[derive(Clone, Copy)]
struct Face<T> {
    scale: T,
    /// `None` where D is in the scale.
    mean: Option<Mean>,
}

/// What faces are made of, from some cell on.
#[derive(Clone, Copy)]
struct Cells<'a, T> {
    diffusivity: Option<&'a [T]>,
    open: Option<&'a [T]>,
}

impl<'a, T> Cells<'a, T> {
    fn of(diffusivity: &'a [T], open: &'a [T]) -> Self {
        Self {
            diffusivity: (!diffusivity.is_empty()).then_some(diffusivity),
            open: (!open.is_empty()).then_some(open),
        }
    }

    fn from(self, cell: usize) -> Self {
        Self {
            diffusivity: self.diffusivity.map(|plane| &plane[cell..]),
            open: self.open.map(|plane| &plane[cell..]),
        }
    }
}

/// Coefficients of the faces between the cells of `a` and those of `b`.
#[simd]
#[inline(never)]
fn faces<S: Simd, T: Real>(simd: S, face: Face<T>, a: Cells<T>, b: Cells<T>, out: &mut [T]) {
    let count = out.len();
    let scale = face.scale;
    match (face.mean, a.diffusivity, b.diffusivity) {
        (Some(mean), Some(a), Some(b)) => {
            let (a, b) = (&a[..count], &b[..count]);
            let half = T::from_f64(0.5);
            for i in 0..count {
                let sum = a[i] + b[i];
                // The smaller one is taken out, so that the product can neither overflow nor vanish.
                let (low, high) = if a[i] < b[i] {
                    (a[i], b[i])
                } else {
                    (b[i], a[i])
                };
                let mean = match mean {
                    Mean::Harmonic => {
                        let share = high / if sum > T::ZERO { sum } else { T::ONE };
                        low * (share + share)
                    }
                    Mean::Arithmetic => sum * half,
                };
                out[i] = mean * scale;
            }
        }
        _ => out.fill(scale),
    }
    if let (Some(a), Some(b)) = (a.open, b.open) {
        let (a, b) = (&a[..count], &b[..count]);
        for i in 0..count {
            out[i] *= a[i] * b[i];
        }
    }
}

/// Rows of what is added cell by cell.
struct Terms<'a, T> {
    decay: Option<ScaledRow<'a, T>>,
    source: Option<ScaledRow<'a, T>>,
    held: Option<&'a [T]>,
}

#[derive(Clone, Copy)]
enum ScaledRow<'a, T> {
    Number(T),
    PerPoint(&'a [T], T),
}

fn scaled_row<'a, T: Real>(
    term: Scaled<'_, T>,
    plane: &'a [T],
    row: std::ops::Range<usize>,
) -> ScaledRow<'a, T> {
    match term {
        Scaled::Number(number) => ScaledRow::Number(number),
        Scaled::PerPoint(_, dt) => ScaledRow::PerPoint(&plane[row], dt),
    }
}

impl<T: Real> ScaledRow<'_, T> {
    #[inline(always)]
    fn load<S: Simd>(self, simd: S, at: usize, end: usize) -> Lanes<S, T> {
        match self {
            Self::Number(number) => Lanes::<S, T>::splat(simd, number),
            Self::PerPoint(row, dt) => part(simd, &row[at..end]) * Lanes::<S, T>::splat(simd, dt),
        }
    }
}

#[inline(always)]
fn part<S: Simd, T: Real>(simd: S, row: &[T]) -> Lanes<S, T> {
    crate::layers::rows::load(simd, row, T::ZERO)
}

/// Adds dt·source − dt·decay·u, and puts held cells back.
#[simd]
#[inline(never)]
fn add_terms<S: Simd, T: Real>(simd: S, terms: Terms<T>, step: Step<T>, here: &[T], out: &mut [T]) {
    use crate::layers::rows::store;
    let zero = Lanes::<S, T>::splat(simd, T::ZERO);
    let factor = match step {
        Step::Euler => T::ONE,
        Step::Stage(c) => c,
    };
    let factor = Lanes::<S, T>::splat(simd, factor);
    let count = here.len();
    let mut at = 0;
    while at < count {
        let end = count.min(at + Lanes::<S, T>::LEN);
        let u = part(simd, &here[at..end]);
        let mut gained = zero;
        if let Some(source) = terms.source {
            gained = source.load(simd, at, end);
        }
        if let Some(decay) = terms.decay {
            gained -= decay.load(simd, at, end) * u;
        }
        let mut value = gained * factor + part(simd, &out[at..end]);
        if let Some(held) = terms.held {
            let held = zero.simd_lt(part(simd, &held[at..end]));
            value = held.select(u, value);
        }
        store(value, &mut out[at..end]);
        at = end;
    }
}
