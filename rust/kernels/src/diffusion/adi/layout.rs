//! How the grid lies while it is solved: strips of lanes, so that every line is read in order.
//!
//! `[z][strip of x][y][lane]`: a line along y is a run of rows of lanes, one along z a row a plane,
//! and a square of lanes × lanes stands together, to be transposed for the lines along x. Columns
//! and rows beyond the grid are 0. A row of lanes is a cache line, and no stride is a power of two
//! times the grid's: the sweeps along the slow axes would otherwise fight for a few sets of a
//! cache.

use fearless_simd::prelude::*;
use fearless_simd_macros::simd;

use super::lines::lanes;
use crate::diffusion::boundary::zeros;
use crate::gemm::panel::{Block, MOST, transpose};
use crate::simd::Real;
use crate::threads::{self, Turn};
use crate::view::{RowTiles, Rows, ViewMut};
use crate::{Context, Error};

/// Rows of lanes that a tile of lines along z is wide: a plane's rows are then read four cache
/// lines at a time.
pub(super) const WIDE: usize = 4;

/// Sizes of the layout.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    pub(super) shape: [usize; 3],
    pub(super) lanes: usize,
    pub(super) strips: usize,
    /// Rows of a strip, padded to squares.
    pub(super) rows: usize,
    /// Groups of rows whose lines along x are solved together.
    pub(super) groups: usize,
    pub(super) plane: usize,
    pub(super) volume: usize,
}

impl Layout {
    pub(super) fn new<T>(shape: [usize; 3]) -> Result<Self, Error> {
        let lanes = lanes::<T>();
        let too_large = Error::TooLarge { what: "field" };
        let (strips, groups) = (shape[2].div_ceil(lanes), shape[1].div_ceil(lanes));
        let plane = (strips * lanes)
            .checked_mul(groups * lanes)
            .ok_or(too_large.clone())?;
        let volume = plane.checked_mul(shape[0]).ok_or(too_large)?;
        Ok(Self {
            shape,
            lanes,
            strips,
            rows: groups * lanes,
            groups,
            plane,
            volume,
        })
    }

    /// An array of `items` grids of zeros.
    pub(super) fn zeros<T: Real>(&self, items: usize) -> Result<Vec<T>, Error> {
        zeros(self.volume.saturating_mul(items))
    }

    /// `data` in tiles of a group of rows: a row of a tile is a square.
    pub(super) fn squares<'d, T>(&self, data: &'d mut [T]) -> Result<RowTiles<'d, T>, Error> {
        let square = self.lanes * self.lanes;
        let strip = self.rows * self.lanes;
        let items = data.len() / self.volume;
        ViewMut::new(
            data,
            0,
            &[items, self.shape[0], self.groups, self.strips, square],
            &[
                self.volume as isize,
                self.plane as isize,
                square as isize,
                strip as isize,
                1,
            ],
        )?
        .split_rows(self.strips, self.strips)
    }

    /// `data` in tiles of a strip of one plane: one row, its lines along y.
    pub(super) fn columns<'d, T>(&self, data: &'d mut [T]) -> Result<RowTiles<'d, T>, Error> {
        let strip = self.rows * self.lanes;
        let count = data.len() / strip;
        ViewMut::contiguous(data, &[count, strip])?.split_rows(count, 1)
    }

    /// `data` in tiles of [`WIDE`] rows of lanes of every plane.
    pub(super) fn pillars<'d, T>(&self, data: &'d mut [T]) -> Result<RowTiles<'d, T>, Error> {
        let wide = WIDE * self.lanes;
        let items = data.len() / self.volume;
        ViewMut::new(
            data,
            0,
            &[items, self.plane / wide, self.shape[0], wide],
            &[self.volume as isize, wide as isize, self.plane as isize, 1],
        )?
        .split_rows(self.shape[0], self.shape[0])
    }

    /// Where the square of `strip` in tile `tile` of [`Self::squares`] starts.
    pub(super) fn square(&self, tile: usize, strip: usize) -> usize {
        let square = self.lanes * self.lanes;
        tile / self.groups * self.plane
            + strip * self.rows * self.lanes
            + tile % self.groups * square
    }

    /// Fills `data` row by row: `fill` gets the first cell of a run of one row, item by item, and
    /// where it goes.
    pub(super) fn fill<T: Real>(
        &self,
        data: &mut [T],
        context: &Context,
        fill: &(dyn Fn(usize, &mut [T]) + Sync),
    ) -> Result<(), Error> {
        let tiles = self.squares(data)?;
        threads::run(context, tiles.tiles(), &|turn: Turn| {
            let mut squares = tiles.take(turn.tile);
            self.each_run(turn.tile, |strip, lane, cell, length| {
                fill(cell, &mut squares.row(strip)[lane * self.lanes..][..length]);
            });
        })
    }

    /// Calls `run` for each row of lanes of a group of rows: its strip, its row in the square, its
    /// first cell and its length.
    pub(super) fn each_run(&self, tile: usize, mut run: impl FnMut(usize, usize, usize, usize)) {
        let [_, rows, columns] = self.shape;
        let (plane, first) = (tile / self.groups, tile % self.groups * self.lanes);
        for lane in 0..self.lanes.min(rows - first) {
            let start = (plane * rows + first + lane) * columns;
            for strip in 0..self.strips {
                let column = strip * self.lanes;
                let length = self.lanes.min(columns - column);
                run(strip, lane, start + column, length);
            }
        }
    }
}

/// The squares of a group of rows as lines along x: rows of lanes in `lines`.
pub(super) fn gather<S: Simd, T: Real>(simd: S, squares: &mut Rows<T>, lines: &mut [T]) {
    let square = lanes::<T>() * lanes::<T>();
    for (strip, lines) in lines.chunks_exact_mut(square).enumerate() {
        turn_square(simd, squares.row(strip), lines);
    }
}

/// The counterpart of [`gather`]; `weight` times what stands in `given` is added.
pub(super) fn scatter<S: Simd, T: Real>(
    simd: S,
    lines: &[T],
    given: Option<(&[T], T)>,
    layout: &Layout,
    tile: usize,
    squares: &mut Rows<T>,
) {
    let square = layout.lanes * layout.lanes;
    for (strip, lines) in lines.chunks_exact(square).enumerate() {
        let out = squares.row(strip);
        turn_square(simd, lines, out);
        if let Some((given, weight)) = given {
            let start = layout.square(tile, strip);
            add(simd, &given[start..][..square], weight, out);
        }
    }
}

/// `out += weight·given`.
#[simd]
pub(super) fn add<S: Simd, T: Real>(simd: S, given: &[T], weight: T, out: &mut [T]) {
    let lanes = T::Wide::<S>::LEN;
    let weight = T::Wide::<S>::splat(simd, weight);
    for (given, out) in given.chunks_exact(lanes).zip(out.chunks_exact_mut(lanes)) {
        let sum = T::Wide::<S>::from_slice(simd, out);
        let given = T::Wide::<S>::from_slice(simd, given);
        given.mul_add(weight, sum).store_slice(out);
    }
}

/// `out[j][i] = square[i][j]`.
#[simd]
pub(super) fn turn_square<S: Simd, T: Real>(simd: S, square: &[T], out: &mut [T]) {
    let (lanes, block) = (lanes::<T>(), Block::<S, T>::LEN);
    let (square, out) = (&square[..lanes * lanes], &mut out[..lanes * lanes]);
    for i in (0..lanes).step_by(block) {
        for j in (0..lanes).step_by(block) {
            let mut x = [Block::<S, T>::splat(simd, T::ZERO); MOST];
            for k in 0..block {
                x[k] = Block::<S, T>::from_slice(simd, &square[(i + k) * lanes + j..][..block]);
            }
            transpose(&mut x);
            for k in 0..block {
                x[k].store_slice(&mut out[(j + k) * lanes + i..][..block]);
            }
        }
    }
}
