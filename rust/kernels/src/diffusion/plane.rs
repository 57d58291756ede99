//! One step of one plane: the inner loops that every sweep shares.
//!
//! rate = Σ over axes of c·(E + W − 2u), or of c_E·(E − u) + c_W·(W − u) with a coefficient for
//! each face;  Euler: out = u + rate;  RKL2: `first` and `stage` below.
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
    /// out = u + m·rate, and the rate is kept.
    First(T),
    /// out = z + µ(u − z) + ν(w − z) + m·rate + γ·(first rate), with z the field before the first
    /// stage and w the one before u.
    Stage { mu: T, nu: T, m: T, gamma: T },
}

/// The planes that RKL2 has beside those of Euler; empty there.
pub(super) struct Stages<'a, T> {
    pub(super) zero: &'a [T],
    pub(super) older: &'a [T],
    pub(super) rate: &'a mut [T],
}

const EULER: u8 = 0;
const FIRST: u8 = 1;
const STAGE: u8 = 2;

/// One plane with the same coefficient `scale` on all faces of an axis.
#[inline(always)]
pub(super) fn constant<S: Simd, T: Real>(
    simd: S,
    shape: &Shape,
    scale: [T; 3],
    planes: Planes<T>,
    step: Step<T>,
    stages: &mut Stages<T>,
    out: &mut [T],
) {
    let thick = shape.rows > 1;
    match (step, thick) {
        (Step::Euler, false) => {
            constant_as::<S, T, EULER, false>(simd, shape, scale, planes, step, stages, out);
        }
        (Step::Euler, true) => {
            constant_as::<S, T, EULER, true>(simd, shape, scale, planes, step, stages, out);
        }
        (Step::First(_), false) => {
            constant_as::<S, T, FIRST, false>(simd, shape, scale, planes, step, stages, out);
        }
        (Step::First(_), true) => {
            constant_as::<S, T, FIRST, true>(simd, shape, scale, planes, step, stages, out);
        }
        (Step::Stage { .. }, false) => {
            constant_as::<S, T, STAGE, false>(simd, shape, scale, planes, step, stages, out);
        }
        (Step::Stage { .. }, true) => {
            constant_as::<S, T, STAGE, true>(simd, shape, scale, planes, step, stages, out);
        }
    }
}

#[simd]
#[inline(never)]
fn constant_as<S: Simd, T: Real, const STEP: u8, const THICK: bool>(
    simd: S,
    shape: &Shape,
    scale: [T; 3],
    planes: Planes<T>,
    step: Step<T>,
    stages: &mut Stages<T>,
    out: &mut [T],
) {
    let lanes = Lanes::<S, T>::LEN;
    let minus_two = Lanes::<S, T>::splat(simd, T::from_f64(-2.0));
    let along = Lanes::<S, T>::splat(simd, scale[0]);
    let north_south = Lanes::<S, T>::splat(simd, scale[1]);
    let east_west = Lanes::<S, T>::splat(simd, scale[2]);
    let finish = Finish::<S, T>::new(simd, step);
    let count = shape.width.next_multiple_of(lanes);
    for y in 0..shape.rows {
        let here = shape.row(planes.here, y);
        let (west, east) = (&here[PAD - 1..][..count], &here[PAD + 1..][..count]);
        let centre = &here[PAD..][..count];
        let up = &shape.row(planes.up, y)[PAD..][..count];
        let down = &shape.row(planes.down, y)[PAD..][..count];
        let (n, s) = shape.beside(y);
        let north = &shape.row(planes.here, n)[PAD..][..count];
        let south = &shape.row(planes.here, s)[PAD..][..count];
        let mut kept = kept::<T, STEP>(shape, stages, y, count);
        let out = &mut shape.row_mut(out, y)[PAD..][..count];
        let mut at = 0;
        while at + lanes <= count {
            let u = load::<S, T>(simd, centre, at);
            let x = u.mul_add(
                minus_two,
                load::<S, T>(simd, east, at) + load::<S, T>(simd, west, at),
            );
            let mut rate = x * east_west;
            if THICK {
                let y = u.mul_add(
                    minus_two,
                    load::<S, T>(simd, north, at) + load::<S, T>(simd, south, at),
                );
                rate = y.mul_add(north_south, rate);
            }
            let z = u.mul_add(
                minus_two,
                load::<S, T>(simd, up, at) + load::<S, T>(simd, down, at),
            );
            rate = z.mul_add(along, rate);
            finish.write::<STEP>(simd, u, rate, &mut kept, at, out);
            at += lanes;
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
    step: Step<T>,
    stages: &mut Stages<T>,
    out: &mut [T],
) {
    let thick = shape.rows > 1;
    match (step, thick) {
        (Step::Euler, false) => {
            varied_as::<S, T, EULER, false>(simd, shape, faces, planes, step, stages, out);
        }
        (Step::Euler, true) => {
            varied_as::<S, T, EULER, true>(simd, shape, faces, planes, step, stages, out);
        }
        (Step::First(_), false) => {
            varied_as::<S, T, FIRST, false>(simd, shape, faces, planes, step, stages, out);
        }
        (Step::First(_), true) => {
            varied_as::<S, T, FIRST, true>(simd, shape, faces, planes, step, stages, out);
        }
        (Step::Stage { .. }, false) => {
            varied_as::<S, T, STAGE, false>(simd, shape, faces, planes, step, stages, out);
        }
        (Step::Stage { .. }, true) => {
            varied_as::<S, T, STAGE, true>(simd, shape, faces, planes, step, stages, out);
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
    step: Step<T>,
    stages: &mut Stages<T>,
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
        let mut kept = kept::<T, STEP>(shape, stages, y, count);
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
            finish.write::<STEP>(simd, u, rate, &mut kept, at, out);
            at += lanes;
        }
    }
}

#[inline(always)]
fn load<S: Simd, T: Real>(simd: S, row: &[T], at: usize) -> Lanes<S, T> {
    Lanes::<S, T>::from_slice(simd, &row[at..at + Lanes::<S, T>::LEN])
}

/// Rows of [`Stages`].
struct Kept<'a, T> {
    zero: &'a [T],
    older: &'a [T],
    rate: &'a mut [T],
}

#[inline(always)]
fn kept<'a, T, const STEP: u8>(
    shape: &Shape,
    stages: &'a mut Stages<T>,
    y: usize,
    count: usize,
) -> Kept<'a, T> {
    let from = y * shape.stride + PAD;
    match STEP {
        EULER => Kept {
            zero: &[],
            older: &[],
            rate: &mut [],
        },
        FIRST => Kept {
            zero: &[],
            older: &[],
            rate: &mut stages.rate[from..][..count],
        },
        _ => Kept {
            zero: &stages.zero[from..][..count],
            older: &stages.older[from..][..count],
            rate: &mut stages.rate[from..][..count],
        },
    }
}

/// A [`Step`] in lanes.
struct Finish<S: Simd, T: Real> {
    mu: Lanes<S, T>,
    nu: Lanes<S, T>,
    m: Lanes<S, T>,
    gamma: Lanes<S, T>,
}

impl<S: Simd, T: Real> Finish<S, T> {
    #[inline(always)]
    fn new(simd: S, step: Step<T>) -> Self {
        let (mu, nu, m, gamma) = match step {
            Step::Euler => (T::ZERO, T::ZERO, T::ZERO, T::ZERO),
            Step::First(m) => (T::ZERO, T::ZERO, m, T::ZERO),
            Step::Stage { mu, nu, m, gamma } => (mu, nu, m, gamma),
        };
        Self {
            mu: Lanes::<S, T>::splat(simd, mu),
            nu: Lanes::<S, T>::splat(simd, nu),
            m: Lanes::<S, T>::splat(simd, m),
            gamma: Lanes::<S, T>::splat(simd, gamma),
        }
    }

    #[inline(always)]
    fn write<const STEP: u8>(
        &self,
        simd: S,
        u: Lanes<S, T>,
        rate: Lanes<S, T>,
        kept: &mut Kept<T>,
        at: usize,
        out: &mut [T],
    ) {
        let cells = at..at + Lanes::<S, T>::LEN;
        let value = match STEP {
            EULER => u + rate,
            FIRST => {
                rate.store_slice(&mut kept.rate[cells.clone()]);
                rate.mul_add(self.m, u)
            }
            _ => {
                // Differences from the first field: where all are equal, they stay so exactly.
                let zero = load::<S, T>(simd, kept.zero, at);
                let mut change = rate * self.m;
                change = load::<S, T>(simd, kept.rate, at).mul_add(self.gamma, change);
                change = (load::<S, T>(simd, kept.older, at) - zero).mul_add(self.nu, change);
                change = (u - zero).mul_add(self.mu, change);
                zero + change
            }
        };
        value.store_slice(&mut out[cells]);
    }
}
