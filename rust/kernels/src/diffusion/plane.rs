//! One step of one plane: the inner loops that every sweep shares.
//!
//! rate = Σ over axes of c·(E + W − 2u), or of c_E·(E − u) + c_W·(W − u) with a coefficient for
//! each face;  then a [`Step`]: Euler's, or a stage of Legendre's recursion.
//!
//! A plane is rows of cells, each behind PAD elements whose last is the ghost cell; another ghost
//! cell stands behind the last cell. Up and down are the planes before and behind it along the
//! axis that sweeps go along, north and south the rows before and behind within the plane, east
//! and west the cells beside: a grid of two axes has planes of one row, without north and south.
//!
//! Lanes hold neighbouring cells; east and west are loaded again one element aside, since on most
//! levels two loads a cycle cost less than two permutations. Products of both neighbours are added
//! before they meet a third term, so that a flipped grid gives flipped bits.

use std::ops::Range;

use fearless_simd::prelude::*;
use fearless_simd_macros::simd;

use crate::simd::{Lanes, Real};

/// Elements before a plane's first row and behind its last: a cache line of `f32`, and no less than
/// any level's lanes.
pub(super) const PAD: usize = 16;

/// How a plane lies in memory and how it ends: rows of `stride` elements, of which cells and two
/// ghost cells are used, between two rows of ghost cells where there is more than one row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) rows: usize,
    pub(super) width: usize,
    stride: usize,
    /// Whether the first row lies south of the last.
    pub(super) ring_of_rows: bool,
    /// Whether the first cell lies east of the last.
    pub(super) ring_of_cells: bool,
}

impl Shape {
    pub(super) fn new(rows: usize, width: usize) -> Self {
        Self {
            rows,
            width,
            stride: (width + 2).next_multiple_of(PAD),
            ring_of_rows: false,
            ring_of_cells: false,
        }
    }

    /// Elements of a plane.
    pub(super) fn size(&self) -> usize {
        let rows = self.rows + if self.rows > 1 { 2 } else { 0 };
        PAD + rows * self.stride + PAD
    }

    /// Where row `y` begins: its west ghost cell is number PAD − 1 from there, its first cell PAD.
    #[inline(always)]
    fn start(&self, y: usize) -> usize {
        (y + usize::from(self.rows > 1)) * self.stride
    }

    /// The cells of row `y`, as a range of a plane.
    #[inline(always)]
    pub(super) fn cells(&self, y: usize) -> Range<usize> {
        let first = self.start(y) + PAD;
        first..first + self.width
    }

    /// Row `y` of `plane`, from PAD elements before its cells to PAD behind its stride.
    #[inline(always)]
    pub(super) fn row<'a, T>(&self, plane: &'a [T], y: usize) -> &'a [T] {
        &plane[self.start(y)..][..PAD + self.stride + PAD]
    }

    /// Row `y` of `plane`, to be written.
    #[inline(always)]
    pub(super) fn row_mut<'a, T>(&self, plane: &'a mut [T], y: usize) -> &'a mut [T] {
        &mut plane[self.start(y)..][..PAD + self.stride + PAD]
    }

    /// Writes all ghost cells of a plane: a copy of the cell beside, or of the one at the other end
    /// of a ring.
    #[inline(always)]
    pub(super) fn close<T: Copy>(&self, plane: &mut [T]) {
        for y in 0..self.rows {
            let row = self.row_mut(plane, y);
            let (first, last) = (row[PAD], row[PAD + self.width - 1]);
            let (west, east) = if self.ring_of_cells {
                (last, first)
            } else {
                (first, last)
            };
            row[PAD - 1] = west;
            row[PAD + self.width] = east;
        }
        if self.rows > 1 {
            let (north, south) = self.beside_ends();
            let (first, last) = (self.cells(0).start, self.cells(self.rows - 1).start);
            plane.copy_within(self.cells(north), first - self.stride);
            plane.copy_within(self.cells(south), last + self.stride);
        }
    }

    /// The rows of which those of ghost cells, north of the first and south of the last, are copies.
    #[inline(always)]
    fn beside_ends(&self) -> (usize, usize) {
        let last = self.rows - 1;
        if self.ring_of_rows {
            (last, 0)
        } else {
            (0, last)
        }
    }
}

/// A plane and those before and behind it.
#[derive(Clone, Copy)]
pub(super) struct Planes<'a, T> {
    pub(super) up: &'a [T],
    pub(super) here: &'a [T],
    pub(super) down: &'a [T],
}

/// What a face lets through in a step, times 1/h²: one plane for each kind of face.
#[derive(Clone, Copy)]
pub(super) struct Faces<'a, T> {
    /// Between a cell and its east neighbour; in the first ghost cell, the first cell's west face.
    pub(super) east: &'a [T],
    /// Between a cell and the one in the plane before.
    pub(super) up: &'a [T],
    /// Between a cell and the one in the plane behind.
    pub(super) down: &'a [T],
    /// Between a cell and the one in the row behind; empty in planes of one row.
    pub(super) south: &'a [T],
    /// A row of zeros: the faces at the edge of a plane that is no ring.
    pub(super) closed: &'a [T],
}

/// What a step does with the rate.
#[derive(Clone, Copy)]
pub(super) enum Step<T> {
    /// out = u + rate.
    Euler,
    /// out = w + c·(u + rate − w), with w the field before u: Legendre's recursion.
    Stage(T),
}

const EULER: u8 = 0;
const STAGE: u8 = 1;

/// One plane with the same coefficient on all faces of an axis: `scale` holds those along the
/// sweep's axis, north and south, east and west.
#[inline(always)]
pub(super) fn constant<S: Simd, T: Real>(
    simd: S,
    shape: &Shape,
    scale: [T; 3],
    planes: Planes<T>,
    (step, older): (Step<T>, &[T]),
    out: &mut [T],
) {
    match (shape.rows > 1, isotropic(shape, scale)) {
        (false, false) => {
            constant_star::<S, T, false, false>(simd, shape, scale, planes, (step, older), out);
        }
        (false, true) => {
            constant_star::<S, T, false, true>(simd, shape, scale, planes, (step, older), out);
        }
        (true, false) => {
            constant_star::<S, T, true, false>(simd, shape, scale, planes, (step, older), out);
        }
        (true, true) => {
            constant_star::<S, T, true, true>(simd, shape, scale, planes, (step, older), out);
        }
    }
}

/// Whether one coefficient serves all axes of the plane's grid.
fn isotropic<T: Real>(shape: &Shape, scale: [T; 3]) -> bool {
    scale[0] == scale[2] && (shape.rows == 1 || scale[1] == scale[2])
}

#[inline(always)]
fn constant_star<S: Simd, T: Real, const THICK: bool, const SAME: bool>(
    simd: S,
    shape: &Shape,
    scale: [T; 3],
    planes: Planes<T>,
    (step, older): (Step<T>, &[T]),
    out: &mut [T],
) {
    match step {
        Step::Euler => {
            constant_as::<S, T, EULER, THICK, SAME>(simd, shape, scale, planes, (step, older), out)
        }
        Step::Stage(_) => {
            constant_as::<S, T, STAGE, THICK, SAME>(simd, shape, scale, planes, (step, older), out)
        }
    }
}

#[simd]
#[inline(never)]
fn constant_as<S: Simd, T: Real, const STEP: u8, const THICK: bool, const SAME: bool>(
    simd: S,
    shape: &Shape,
    scale: [T; 3],
    planes: Planes<T>,
    (step, older): (Step<T>, &[T]),
    out: &mut [T],
) {
    let lanes = Lanes::<S, T>::LEN;
    let star = Star::<S, T, THICK, SAME>::new(simd, scale);
    let finish = Finish::<S, T>::new(simd, step);
    let count = shape.width.next_multiple_of(lanes);
    for y in 0..shape.rows {
        let rows = Rows::new(shape, planes.here, y, count);
        let up = &shape.row(planes.up, y)[PAD..][..count];
        let down = &shape.row(planes.down, y)[PAD..][..count];
        let older = older_row::<T, STEP>(shape, older, y, count);
        let out = &mut shape.row_mut(out, y)[PAD..][..count];
        let mut at = 0;
        while at + lanes <= count {
            let u = load::<S, T>(simd, rows.centre, at);
            let (above, below) = (load::<S, T>(simd, up, at), load::<S, T>(simd, down, at));
            let rate = star.rate(simd, &rows, at, u, above, below);
            finish.write::<STEP>(simd, u, rate, older, at, out);
            at += lanes;
        }
    }
}

/// A step of two planes, one behind the other: what [`constant`] does of each, with every cell that
/// both read loaded once.
#[inline(always)]
pub(super) fn pair<S: Simd, T: Real>(
    simd: S,
    shape: &Shape,
    scale: [T; 3],
    planes: [&[T]; 4],
    (step, older): (Step<T>, [&[T]; 2]),
    out: [&mut [T]; 2],
) {
    match (step, shape.rows > 1, isotropic(shape, scale)) {
        (Step::Euler, false, false) => step_pair::<S, T, EULER, false, false>(
            simd,
            shape,
            scale,
            planes,
            (step, older),
            out,
            &mut [],
        ),
        (Step::Euler, false, true) => step_pair::<S, T, EULER, false, true>(
            simd,
            shape,
            scale,
            planes,
            (step, older),
            out,
            &mut [],
        ),
        (Step::Euler, true, false) => step_pair::<S, T, EULER, true, false>(
            simd,
            shape,
            scale,
            planes,
            (step, older),
            out,
            &mut [],
        ),
        (Step::Euler, true, true) => step_pair::<S, T, EULER, true, true>(
            simd,
            shape,
            scale,
            planes,
            (step, older),
            out,
            &mut [],
        ),
        (Step::Stage(_), false, false) => step_pair::<S, T, STAGE, false, false>(
            simd,
            shape,
            scale,
            planes,
            (step, older),
            out,
            &mut [],
        ),
        (Step::Stage(_), false, true) => step_pair::<S, T, STAGE, false, true>(
            simd,
            shape,
            scale,
            planes,
            (step, older),
            out,
            &mut [],
        ),
        (Step::Stage(_), true, false) => step_pair::<S, T, STAGE, true, false>(
            simd,
            shape,
            scale,
            planes,
            (step, older),
            out,
            &mut [],
        ),
        (Step::Stage(_), true, true) => step_pair::<S, T, STAGE, true, true>(
            simd,
            shape,
            scale,
            planes,
            (step, older),
            out,
            &mut [],
        ),
    }
}

/// A block of planes of one level, with the two before it.
#[derive(Clone, Copy)]
pub(super) struct Run<'a, T> {
    pub(super) carried: &'a [T],
    pub(super) block: &'a [T],
}

impl<'a, T> Run<'a, T> {
    /// Plane `i`: the two carried ones, then the block.
    #[inline(always)]
    fn plane(&self, i: usize, size: usize) -> &'a [T] {
        let (planes, i) = if i < 2 {
            (self.carried, i)
        } else {
            (self.block, i - 2)
        };
        &planes[i * size..][..size]
    }
}

/// A step of a whole block of planes, an even number and at least 4: what [`constant`] does of
/// each. Plane i of `out` is made of the planes i, i + 1 and i + 2 of `carried` and `block`, one
/// after the other, two at a time, so that a cell that both read is loaded once. The last two
/// planes of the block become the carried ones of `kept`; `None`: of `carried` itself.
#[inline(always)]
pub(super) fn block<S: Simd, T: Real>(
    simd: S,
    shape: &Shape,
    scale: [T; 3],
    (carried, kept): (&mut [T], Option<&mut [T]>),
    block: &[T],
    (step, older): (Step<T>, Run<T>),
    out: &mut [T],
) {
    let step = (step, older);
    match (step.0, shape.rows > 1, isotropic(shape, scale)) {
        (Step::Euler, false, false) => block_as::<S, T, EULER, false, false>(
            simd,
            shape,
            scale,
            (carried, kept),
            block,
            step,
            out,
        ),
        (Step::Euler, false, true) => block_as::<S, T, EULER, false, true>(
            simd,
            shape,
            scale,
            (carried, kept),
            block,
            step,
            out,
        ),
        (Step::Euler, true, false) => block_as::<S, T, EULER, true, false>(
            simd,
            shape,
            scale,
            (carried, kept),
            block,
            step,
            out,
        ),
        (Step::Euler, true, true) => block_as::<S, T, EULER, true, true>(
            simd,
            shape,
            scale,
            (carried, kept),
            block,
            step,
            out,
        ),
        (Step::Stage(_), false, false) => block_as::<S, T, STAGE, false, false>(
            simd,
            shape,
            scale,
            (carried, kept),
            block,
            step,
            out,
        ),
        (Step::Stage(_), false, true) => block_as::<S, T, STAGE, false, true>(
            simd,
            shape,
            scale,
            (carried, kept),
            block,
            step,
            out,
        ),
        (Step::Stage(_), true, false) => block_as::<S, T, STAGE, true, false>(
            simd,
            shape,
            scale,
            (carried, kept),
            block,
            step,
            out,
        ),
        (Step::Stage(_), true, true) => block_as::<S, T, STAGE, true, true>(
            simd,
            shape,
            scale,
            (carried, kept),
            block,
            step,
            out,
        ),
    }
}

#[inline(always)]
fn block_as<S: Simd, T: Real, const STEP: u8, const THICK: bool, const SAME: bool>(
    simd: S,
    shape: &Shape,
    scale: [T; 3],
    (carried, kept): (&mut [T], Option<&mut [T]>),
    block: &[T],
    (step, older): (Step<T>, Run<T>),
    out: &mut [T],
) {
    let size = shape.size();
    let planes = block.len() / size;
    let plane = |i: usize| &block[i * size..][..size];
    let older = |i: usize| {
        let plane = |i: usize| {
            if STEP == STAGE {
                older.plane(i, size)
            } else {
                block
            }
        };
        (step, [plane(i), plane(i + 1)])
    };
    let (first, second) = out[..2 * size].split_at_mut(size);
    let (up, here) = carried.split_at(size);
    let around = [up, here, plane(0), plane(1)];
    let to = [first, second];
    step_pair::<S, T, STEP, THICK, SAME>(simd, shape, scale, around, older(0), to, &mut []);
    let kept = kept.unwrap_or(carried);
    let mut i = 2;
    while i < planes {
        let (first, second) = out[i * size..][..2 * size].split_at_mut(size);
        let around = [plane(i - 2), plane(i - 1), plane(i), plane(i + 1)];
        let kept = if i + 2 < planes { &mut [] } else { &mut *kept };
        let to = [first, second];
        step_pair::<S, T, STEP, THICK, SAME>(simd, shape, scale, around, older(i), to, kept);
        i += 2;
    }
}

/// A row and its neighbours within its plane.
struct Rows<'a, T> {
    west: &'a [T],
    centre: &'a [T],
    east: &'a [T],
    north: &'a [T],
    south: &'a [T],
}

impl<'a, T: Real> Rows<'a, T> {
    /// `count` cells from the first of row `y` on.
    #[inline(always)]
    fn new(shape: &Shape, plane: &'a [T], y: usize, count: usize) -> Self {
        let first = shape.start(y) + PAD;
        let aside = if shape.rows > 1 { shape.stride } else { 0 };
        Self {
            west: &plane[first - 1..][..count],
            centre: &plane[first..][..count],
            east: &plane[first + 1..][..count],
            north: &plane[first - aside..][..count],
            south: &plane[first + aside..][..count],
        }
    }
}

/// The coefficients of a cell's neighbours in lanes; SAME: one for all axes.
struct Star<S: Simd, T: Real, const THICK: bool, const SAME: bool> {
    /// Minus the number of neighbours of which a sum is taken.
    minus: Lanes<S, T>,
    along: Lanes<S, T>,
    north_south: Lanes<S, T>,
    east_west: Lanes<S, T>,
}

impl<S: Simd, T: Real, const THICK: bool, const SAME: bool> Star<S, T, THICK, SAME> {
    #[inline(always)]
    fn new(simd: S, scale: [T; 3]) -> Self {
        let neighbours = match (SAME, THICK) {
            (false, _) => 2.0,
            (true, false) => 4.0,
            (true, true) => 6.0,
        };
        Self {
            minus: Lanes::<S, T>::splat(simd, T::from_f64(-neighbours)),
            along: Lanes::<S, T>::splat(simd, scale[0]),
            north_south: Lanes::<S, T>::splat(simd, scale[1]),
            east_west: Lanes::<S, T>::splat(simd, scale[2]),
        }
    }

    /// Σ over axes of c·(E + W − 2u).
    #[inline(always)]
    fn rate(
        &self,
        simd: S,
        rows: &Rows<T>,
        at: usize,
        u: Lanes<S, T>,
        above: Lanes<S, T>,
        below: Lanes<S, T>,
    ) -> Lanes<S, T> {
        let x = load::<S, T>(simd, rows.east, at) + load::<S, T>(simd, rows.west, at);
        let z = above + below;
        if SAME {
            let mut sum = x + z;
            if THICK {
                sum += load::<S, T>(simd, rows.north, at) + load::<S, T>(simd, rows.south, at);
            }
            return u.mul_add(self.minus, sum) * self.east_west;
        }
        let mut rate = u.mul_add(self.minus, x) * self.east_west;
        if THICK {
            let y = load::<S, T>(simd, rows.north, at) + load::<S, T>(simd, rows.south, at);
            rate = u.mul_add(self.minus, y).mul_add(self.north_south, rate);
        }
        u.mul_add(self.minus, z).mul_add(self.along, rate)
    }
}

/// Steps the middle two planes. `kept`, where it is not empty, gets a copy of the last two.
#[inline(always)]
fn step_pair<S: Simd, T: Real, const STEP: u8, const THICK: bool, const SAME: bool>(
    simd: S,
    shape: &Shape,
    scale: [T; 3],
    planes: [&[T]; 4],
    (step, older): (Step<T>, [&[T]; 2]),
    [to_first, to_second]: [&mut [T]; 2],
    kept: &mut [T],
) {
    // All rows in one loop: the ghost cells between them are written too, and put right after.
    let first = shape.cells(0).start;
    let count = shape.cells(shape.rows - 1).end - first;
    let count = count.next_multiple_of(Lanes::<S, T>::LEN);
    let aside = if THICK { shape.stride } else { 0 };
    let cut = |plane| Cut {
        plane,
        first,
        count,
        aside,
    };
    let planes = planes.map(cut);
    let older = older.map(cut);
    let out = [
        &mut to_first[first..][..count],
        &mut to_second[first..][..count],
    ];
    if kept.is_empty() {
        pair_loop::<S, T, STEP, THICK, SAME, false>(
            simd,
            scale,
            planes,
            (step, older),
            out,
            [&mut [], &mut []],
        );
    } else {
        let (second, down) = kept.split_at_mut(shape.size());
        let keep = [&mut second[first..][..count], &mut down[first..][..count]];
        pair_loop::<S, T, STEP, THICK, SAME, true>(simd, scale, planes, (step, older), out, keep);
        shape.close(second);
        shape.close(down);
    }
    shape.close(to_first);
    shape.close(to_second);
}

/// A step of two planes as [`pair`], of rows that stand anywhere in them: `count` cells of each of
/// `planes` and `older`, as they are cut, to the first `count` of each of `out`. The last two planes
/// are copied to `kept`.
#[inline(always)]
pub(super) fn pair_of<S: Simd, T: Real>(
    simd: S,
    scale: [T; 3],
    planes: [Cut<T>; 4],
    step: (Step<T>, [Cut<T>; 2]),
    [to_first, to_second]: [&mut [T]; 2],
    kept: Option<[&mut [T]; 2]>,
) {
    let planes = planes.map(|cut| cut.in_lanes(Lanes::<S, T>::LEN));
    let step = (step.0, step.1.map(|cut| cut.in_lanes(Lanes::<S, T>::LEN)));
    let count = planes[0].count;
    let to = [&mut to_first[..count], &mut to_second[..count]];
    let same = scale[0] == scale[1] && scale[1] == scale[2];
    let stage = matches!(step.0, Step::Stage(_));
    let none: [&mut [T]; 2] = [&mut [], &mut []];
    match (stage, same, kept) {
        (false, false, None) => {
            pair_loop::<S, T, EULER, true, false, false>(simd, scale, planes, step, to, none);
        }
        (false, true, None) => {
            pair_loop::<S, T, EULER, true, true, false>(simd, scale, planes, step, to, none);
        }
        (true, false, None) => {
            pair_loop::<S, T, STAGE, true, false, false>(simd, scale, planes, step, to, none);
        }
        (true, true, None) => {
            pair_loop::<S, T, STAGE, true, true, false>(simd, scale, planes, step, to, none);
        }
        (false, false, Some(kept)) => {
            pair_loop::<S, T, EULER, true, false, true>(simd, scale, planes, step, to, kept);
        }
        (false, true, Some(kept)) => {
            pair_loop::<S, T, EULER, true, true, true>(simd, scale, planes, step, to, kept);
        }
        (true, false, Some(kept)) => {
            pair_loop::<S, T, STAGE, true, false, true>(simd, scale, planes, step, to, kept);
        }
        (true, true, Some(kept)) => {
            pair_loop::<S, T, STAGE, true, true, true>(simd, scale, planes, step, to, kept);
        }
    }
}

/// A step of one plane, as [`pair_of`].
#[inline(always)]
pub(super) fn single_of<S: Simd, T: Real>(
    simd: S,
    scale: [T; 3],
    planes: [Cut<T>; 3],
    (step, older): (Step<T>, Cut<T>),
    out: &mut [T],
) {
    let planes = planes.map(|cut| cut.in_lanes(Lanes::<S, T>::LEN));
    let older = older.in_lanes(Lanes::<S, T>::LEN);
    let out = &mut out[..older.count];
    let same = scale[0] == scale[1] && scale[1] == scale[2];
    match (matches!(step, Step::Stage(_)), same) {
        (false, false) => {
            single_loop::<S, T, EULER, false>(simd, scale, planes, (step, older), out)
        }
        (false, true) => single_loop::<S, T, EULER, true>(simd, scale, planes, (step, older), out),
        (true, false) => single_loop::<S, T, STAGE, false>(simd, scale, planes, (step, older), out),
        (true, true) => single_loop::<S, T, STAGE, true>(simd, scale, planes, (step, older), out),
    }
}

#[simd]
#[inline(never)]
fn single_loop<S: Simd, T: Real, const STEP: u8, const SAME: bool>(
    simd: S,
    scale: [T; 3],
    [up, here, down]: [Cut<T>; 3],
    (step, older): (Step<T>, Cut<T>),
    out: &mut [T],
) {
    let star = Star::<S, T, true, SAME>::new(simd, scale);
    let finish = Finish::<S, T>::new(simd, step);
    let lanes = Lanes::<S, T>::LEN;
    let count = here.count;
    let (up, rows, down) = (up.centre(count), here.rows(count), down.centre(count));
    let older = if STEP == EULER {
        &[]
    } else {
        older.centre(count)
    };
    let out = &mut out[..count];
    let mut at = 0;
    while at + lanes <= count {
        let u = load::<S, T>(simd, rows.centre, at);
        let (above, below) = (load::<S, T>(simd, up, at), load::<S, T>(simd, down, at));
        let rate = star.rate(simd, &rows, at, u, above, below);
        finish.write::<STEP>(simd, u, rate, older, at, out);
        at += lanes;
    }
}

/// `count` cells of a plane from number `first` on, and how far north and south of them lie.
#[derive(Clone, Copy)]
pub(super) struct Cut<'a, T> {
    plane: &'a [T],
    first: usize,
    count: usize,
    aside: usize,
}

impl<'a, T: Real> Cut<'a, T> {
    /// Of a plane that [`Self::with`] adds.
    pub(super) fn of(first: usize, count: usize, aside: usize) -> Self {
        Self {
            plane: &[],
            first,
            count,
            aside,
        }
    }

    /// The same cut of `plane`.
    pub(super) fn with(self, plane: &'a [T]) -> Self {
        Self { plane, ..self }
    }

    /// As many cells as whole vectors hold.
    fn in_lanes(self, lanes: usize) -> Self {
        let count = self.count.next_multiple_of(lanes);
        Self { count, ..self }
    }

    #[inline(always)]
    fn rows(&self, count: usize) -> Rows<'a, T> {
        let Self {
            plane,
            first,
            aside,
            ..
        } = *self;
        // One slice, of which all others are parts: the compiler then keeps one pointer.
        let around = &plane[first - aside - 1..][..count + 2 * aside + 2];
        Rows {
            west: &around[aside..][..count],
            centre: &around[aside + 1..][..count],
            east: &around[aside + 2..][..count],
            north: &around[1..][..count],
            south: &around[2 * aside + 1..][..count],
        }
    }

    #[inline(always)]
    fn centre(&self, count: usize) -> &'a [T] {
        &self.plane[self.first..][..count]
    }
}

/// The loop of [`step_pair`], a function of its own so that it has all registers.
#[simd]
#[inline(never)]
fn pair_loop<
    S: Simd,
    T: Real,
    const STEP: u8,
    const THICK: bool,
    const SAME: bool,
    const KEEP: bool,
>(
    simd: S,
    scale: [T; 3],
    planes: [Cut<T>; 4],
    (step, older): (Step<T>, [Cut<T>; 2]),
    [to_first, to_second]: [&mut [T]; 2],
    [keep_second, keep_down]: [&mut [T]; 2],
) {
    let star = Star::<S, T, THICK, SAME>::new(simd, scale);
    let finish = Finish::<S, T>::new(simd, step);
    let lanes = Lanes::<S, T>::LEN;
    let count = planes[0].count;
    let (up, down) = (planes[0].centre(count), planes[3].centre(count));
    let (first, second) = (planes[1].rows(count), planes[2].rows(count));
    let (older_first, older_second): (&[T], &[T]) = if STEP == EULER {
        (&[], &[])
    } else {
        (older[0].centre(count), older[1].centre(count))
    };
    let (to_first, to_second) = (&mut to_first[..count], &mut to_second[..count]);
    let kept = if KEEP { count } else { 0 };
    let (keep_second, keep_down) = (&mut keep_second[..kept], &mut keep_down[..kept]);
    let mut at = 0;
    while at + lanes <= count {
        let u = load::<S, T>(simd, first.centre, at);
        let v = load::<S, T>(simd, second.centre, at);
        let above = load::<S, T>(simd, up, at);
        let rate = star.rate(simd, &first, at, u, above, v);
        finish.write::<STEP>(simd, u, rate, older_first, at, to_first);
        let below = load::<S, T>(simd, down, at);
        let rate = star.rate(simd, &second, at, v, u, below);
        finish.write::<STEP>(simd, v, rate, older_second, at, to_second);
        if KEEP {
            v.store_slice(&mut keep_second[at..at + lanes]);
            below.store_slice(&mut keep_down[at..at + lanes]);
        }
        at += lanes;
    }
}

/// One plane with a coefficient for each face.
#[inline(always)]
pub(super) fn varied<S: Simd, T: Real>(
    simd: S,
    shape: &Shape,
    faces: Faces<T>,
    planes: Planes<T>,
    (step, older): (Step<T>, &[T]),
    out: &mut [T],
) {
    let thick = shape.rows > 1;
    match (step, thick) {
        (Step::Euler, false) => {
            varied_as::<S, T, EULER, false>(simd, shape, faces, planes, (step, older), out);
        }
        (Step::Euler, true) => {
            varied_as::<S, T, EULER, true>(simd, shape, faces, planes, (step, older), out);
        }
        (Step::Stage(_), false) => {
            varied_as::<S, T, STAGE, false>(simd, shape, faces, planes, (step, older), out);
        }
        (Step::Stage(_), true) => {
            varied_as::<S, T, STAGE, true>(simd, shape, faces, planes, (step, older), out);
        }
    }
}

#[simd]
#[inline(never)]
fn varied_as<S: Simd, T: Real, const STEP: u8, const THICK: bool>(
    simd: S,
    shape: &Shape,
    faces: Faces<T>,
    planes: Planes<T>,
    (step, older): (Step<T>, &[T]),
    out: &mut [T],
) {
    let lanes = Lanes::<S, T>::LEN;
    let finish = Finish::<S, T>::new(simd, step);
    let count = shape.width.next_multiple_of(lanes);
    for y in 0..shape.rows {
        let here = shape.row(planes.here, y);
        let (west, east) = (&here[PAD - 1..][..count], &here[PAD + 1..][..count]);
        let centre = &here[PAD..][..count];
        let up = &shape.row(planes.up, y)[PAD..][..count];
        let down = &shape.row(planes.down, y)[PAD..][..count];
        let east_face = shape.row(faces.east, y);
        let (west_face, east_face) = (&east_face[PAD - 1..][..count], &east_face[PAD..][..count]);
        let up_face = &shape.row(faces.up, y)[PAD..][..count];
        let down_face = &shape.row(faces.down, y)[PAD..][..count];
        let (north, south, north_face, south_face) = if THICK {
            let rows = Rows::new(shape, planes.here, y, count);
            let north_face = if y > 0 {
                &shape.row(faces.south, y - 1)[PAD..][..count]
            } else if shape.ring_of_rows {
                &shape.row(faces.south, shape.rows - 1)[PAD..][..count]
            } else {
                &faces.closed[..count]
            };
            let south_face = &shape.row(faces.south, y)[PAD..][..count];
            (rows.north, rows.south, north_face, south_face)
        } else {
            (centre, centre, centre, centre)
        };
        let older = older_row::<T, STEP>(shape, older, y, count);
        let out = &mut shape.row_mut(out, y)[PAD..][..count];
        let mut at = 0;
        while at + lanes <= count {
            let u = load::<S, T>(simd, centre, at);
            let from_east = (load::<S, T>(simd, east, at) - u) * load::<S, T>(simd, east_face, at);
            let from_west = (load::<S, T>(simd, west, at) - u) * load::<S, T>(simd, west_face, at);
            let mut rate = from_east + from_west;
            if THICK {
                let from_south =
                    (load::<S, T>(simd, south, at) - u) * load::<S, T>(simd, south_face, at);
                let from_north =
                    (load::<S, T>(simd, north, at) - u) * load::<S, T>(simd, north_face, at);
                rate += from_south + from_north;
            }
            let from_down = (load::<S, T>(simd, down, at) - u) * load::<S, T>(simd, down_face, at);
            let from_up = (load::<S, T>(simd, up, at) - u) * load::<S, T>(simd, up_face, at);
            rate += from_down + from_up;
            finish.write::<STEP>(simd, u, rate, older, at, out);
            at += lanes;
        }
    }
}

#[inline(always)]
fn load<S: Simd, T: Real>(simd: S, row: &[T], at: usize) -> Lanes<S, T> {
    Lanes::<S, T>::from_slice(simd, &row[at..at + Lanes::<S, T>::LEN])
}

/// Row `y` of the plane before the one that is stepped; none for Euler.
#[inline(always)]
fn older_row<'a, T, const STEP: u8>(
    shape: &Shape,
    older: &'a [T],
    y: usize,
    count: usize,
) -> &'a [T] {
    match STEP {
        EULER => &[],
        _ => &shape.row(older, y)[PAD..][..count],
    }
}

/// A [`Step`] in lanes.
struct Finish<S: Simd, T: Real> {
    c: Lanes<S, T>,
}

impl<S: Simd, T: Real> Finish<S, T> {
    #[inline(always)]
    fn new(simd: S, step: Step<T>) -> Self {
        let c = match step {
            Step::Euler => T::ONE,
            Step::Stage(c) => c,
        };
        Self {
            c: Lanes::<S, T>::splat(simd, c),
        }
    }

    #[inline(always)]
    fn write<const STEP: u8>(
        &self,
        simd: S,
        u: Lanes<S, T>,
        rate: Lanes<S, T>,
        older: &[T],
        at: usize,
        out: &mut [T],
    ) {
        let mut value = u + rate;
        if STEP == STAGE {
            // From differences: where nothing changes, nothing does to the bit.
            let older = load::<S, T>(simd, older, at);
            value = (value - older).mul_add(self.c, older);
        }
        value.store_slice(&mut out[at..at + Lanes::<S, T>::LEN]);
    }
}
