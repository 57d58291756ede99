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

use fearless_simd::prelude::*;
use fearless_simd_macros::simd;

use crate::simd::{Lanes, Real};

/// Elements before a row's first cell: a cache line of `f32`, and no less than any level's lanes.
pub(super) const PAD: usize = 16;

/// How a plane lies in memory and how it ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) rows: usize,
    pub(super) width: usize,
    pub(super) stride: usize,
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
            stride: PAD + width.next_multiple_of(PAD) + PAD,
            ring_of_rows: false,
            ring_of_cells: false,
        }
    }

    /// Elements of a plane.
    pub(super) fn size(&self) -> usize {
        self.rows * self.stride
    }

    /// Row `y` of `plane`, with its ghost cells.
    #[inline(always)]
    pub(super) fn row<'a, T>(&self, plane: &'a [T], y: usize) -> &'a [T] {
        &plane[y * self.stride..][..self.stride]
    }

    /// Row `y` of `plane`, to be written.
    #[inline(always)]
    pub(super) fn row_mut<'a, T>(&self, plane: &'a mut [T], y: usize) -> &'a mut [T] {
        &mut plane[y * self.stride..][..self.stride]
    }

    /// Writes both ghost cells of a row: the cell beside, or the one at the other end of a ring.
    #[inline(always)]
    pub(super) fn close<T: Copy>(&self, row: &mut [T]) {
        let (first, last) = (row[PAD], row[PAD + self.width - 1]);
        let (west, east) = if self.ring_of_cells {
            (last, first)
        } else {
            (first, last)
        };
        row[PAD - 1] = west;
        row[PAD + self.width] = east;
    }

    /// The rows north and south of row `y`: a plane that is no ring has a copy of its edge there.
    #[inline(always)]
    fn beside(&self, y: usize) -> (usize, usize) {
        let last = self.rows - 1;
        let ends = if self.ring_of_rows {
            (last, 0)
        } else {
            (0, last)
        };
        (
            if y == 0 { ends.0 } else { y - 1 },
            if y == last { ends.1 } else { y + 1 },
        )
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
        let (n, s) = shape.beside(y);
        let rows = Rows::new(shape, planes.here, [n, y, s], count);
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
        (Step::Euler, false, false) => {
            pair_as::<S, T, EULER, false, false>(simd, shape, scale, planes, (step, older), out)
        }
        (Step::Euler, false, true) => {
            pair_as::<S, T, EULER, false, true>(simd, shape, scale, planes, (step, older), out)
        }
        (Step::Euler, true, false) => {
            pair_as::<S, T, EULER, true, false>(simd, shape, scale, planes, (step, older), out)
        }
        (Step::Euler, true, true) => {
            pair_as::<S, T, EULER, true, true>(simd, shape, scale, planes, (step, older), out)
        }
        (Step::Stage(_), false, false) => {
            pair_as::<S, T, STAGE, false, false>(simd, shape, scale, planes, (step, older), out)
        }
        (Step::Stage(_), false, true) => {
            pair_as::<S, T, STAGE, false, true>(simd, shape, scale, planes, (step, older), out)
        }
        (Step::Stage(_), true, false) => {
            pair_as::<S, T, STAGE, true, false>(simd, shape, scale, planes, (step, older), out)
        }
        (Step::Stage(_), true, true) => {
            pair_as::<S, T, STAGE, true, true>(simd, shape, scale, planes, (step, older), out)
        }
    }
}

#[simd]
#[inline(never)]
fn pair_as<S: Simd, T: Real, const STEP: u8, const THICK: bool, const SAME: bool>(
    simd: S,
    shape: &Shape,
    scale: [T; 3],
    planes: [&[T]; 4],
    (step, older): (Step<T>, [&[T]; 2]),
    out: [&mut [T]; 2],
) {
    let star = Star::<S, T, THICK, SAME>::new(simd, scale);
    let finish = Finish::<S, T>::new(simd, step);
    star.pair::<STEP, false>(simd, shape, planes, (&finish, older), out, &mut []);
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

#[simd]
#[inline(never)]
fn block_as<S: Simd, T: Real, const STEP: u8, const THICK: bool, const SAME: bool>(
    simd: S,
    shape: &Shape,
    scale: [T; 3],
    (carried, kept): (&mut [T], Option<&mut [T]>),
    block: &[T],
    (step, older): (Step<T>, Run<T>),
    out: &mut [T],
) {
    let star = Star::<S, T, THICK, SAME>::new(simd, scale);
    let finish = Finish::<S, T>::new(simd, step);
    let size = shape.size();
    let planes = block.len() / size;
    let older = |i: usize| {
        let plane = |i: usize| {
            if STEP == STAGE {
                older.plane(i, size)
            } else {
                &[]
            }
        };
        (&finish, [plane(i), plane(i + 1)])
    };
    let plane = |i: usize| &block[i * size..][..size];
    let (first, second) = out[..2 * size].split_at_mut(size);
    let (up, here) = carried.split_at(size);
    let around = [up, here, plane(0), plane(1)];
    star.pair::<STEP, false>(simd, shape, around, older(0), [first, second], &mut []);
    let kept = kept.unwrap_or(carried);
    let mut i = 2;
    while i < planes {
        let (first, second) = out[i * size..][..2 * size].split_at_mut(size);
        let around = [plane(i - 2), plane(i - 1), plane(i), plane(i + 1)];
        if i + 2 < planes {
            star.pair::<STEP, false>(simd, shape, around, older(i), [first, second], &mut []);
        } else {
            star.pair::<STEP, true>(simd, shape, around, older(i), [first, second], kept);
        }
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
    #[inline(always)]
    fn new(shape: &Shape, plane: &'a [T], [n, y, s]: [usize; 3], count: usize) -> Self {
        let row = shape.row(plane, y);
        Self {
            west: &row[PAD - 1..][..count],
            centre: &row[PAD..][..count],
            east: &row[PAD + 1..][..count],
            north: &shape.row(plane, n)[PAD..][..count],
            south: &shape.row(plane, s)[PAD..][..count],
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
                sum =
                    sum + (load::<S, T>(simd, rows.north, at) + load::<S, T>(simd, rows.south, at));
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

    /// Steps the middle two planes. `kept`, where asked for, gets a copy of the last two.
    #[inline(always)]
    fn pair<const STEP: u8, const KEEP: bool>(
        &self,
        simd: S,
        shape: &Shape,
        [up, first, second, down]: [&[T]; 4],
        (finish, [older_first, older_second]): (&Finish<S, T>, [&[T]; 2]),
        [to_first, to_second]: [&mut [T]; 2],
        kept: &mut [T],
    ) {
        let lanes = Lanes::<S, T>::LEN;
        let count = shape.width.next_multiple_of(lanes);
        let (kept_second, kept_down) = kept.split_at_mut(if KEEP { shape.size() } else { 0 });
        for y in 0..shape.rows {
            let (n, s) = shape.beside(y);
            let first = Rows::new(shape, first, [n, y, s], count);
            let second = Rows::new(shape, second, [n, y, s], count);
            let up = &shape.row(up, y)[PAD..][..count];
            let down = &shape.row(down, y)[PAD..][..count];
            let older_first = older_row::<T, STEP>(shape, older_first, y, count);
            let older_second = older_row::<T, STEP>(shape, older_second, y, count);
            let cells = y * shape.stride + PAD..y * shape.stride + PAD + count;
            {
                let to_first = &mut to_first[cells.clone()];
                let to_second = &mut to_second[cells.clone()];
                let (keep_second, keep_down): (&mut [T], &mut [T]) = if KEEP {
                    (&mut kept_second[cells.clone()], &mut kept_down[cells])
                } else {
                    (&mut [], &mut [])
                };
                let mut at = 0;
                while at + lanes <= count {
                    let u = load::<S, T>(simd, first.centre, at);
                    let v = load::<S, T>(simd, second.centre, at);
                    let above = load::<S, T>(simd, up, at);
                    let rate = self.rate(simd, &first, at, u, above, v);
                    finish.write::<STEP>(simd, u, rate, older_first, at, to_first);
                    let below = load::<S, T>(simd, down, at);
                    let rate = self.rate(simd, &second, at, v, u, below);
                    finish.write::<STEP>(simd, v, rate, older_second, at, to_second);
                    if KEEP {
                        v.store_slice(&mut keep_second[at..at + lanes]);
                        below.store_slice(&mut keep_down[at..at + lanes]);
                    }
                    at += lanes;
                }
            }
            shape.close(shape.row_mut(to_first, y));
            shape.close(shape.row_mut(to_second, y));
            if KEEP {
                shape.close(shape.row_mut(kept_second, y));
                shape.close(shape.row_mut(kept_down, y));
            }
        }
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
            let (n, s) = shape.beside(y);
            let north_face = if y > 0 || shape.ring_of_rows {
                shape.row(faces.south, n)
            } else {
                faces.closed
            };
            (
                &shape.row(planes.here, n)[PAD..][..count],
                &shape.row(planes.here, s)[PAD..][..count],
                &north_face[PAD..][..count],
                &shape.row(faces.south, y)[PAD..][..count],
            )
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
                rate = rate + (from_south + from_north);
            }
            let from_down = (load::<S, T>(simd, down, at) - u) * load::<S, T>(simd, down_face, at);
            let from_up = (load::<S, T>(simd, up, at) - u) * load::<S, T>(simd, up_face, at);
            rate = rate + (from_down + from_up);
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
