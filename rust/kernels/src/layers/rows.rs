//! Rows in tiles: what the kernels share that work along the last axis.
//!
//! for each tile of about TILE elements, on any thread; for each of its rows: the kernel.
//!
//! TILE = 16,384: 64 KB of input and of output each (float32) lie in L2 together, and one tile
//! takes some ten microseconds, several times what waking a thread costs.

use fearless_simd::prelude::*;

use crate::simd::Real;
use crate::threads::{self, Turn};
use crate::view::{Plane, View, ViewMut};
use crate::{Context, Error};

/// Elements of a tile.
pub(crate) const TILE: usize = 1 << 14;

/// How many rows of `columns` make a tile.
pub(crate) fn rows_per_tile(columns: usize) -> usize {
    (TILE / columns.max(1)).max(1)
}

/// Checks that `view` has rows: a last axis whose elements stand side by side.
pub(crate) fn check_rows<T: Copy>(argument: &'static str, view: &View<T>) -> Result<(), Error> {
    let (Some(&columns), Some(&stride)) = (view.shape().last(), view.strides().last()) else {
        return Err(Error::Layout {
            argument,
            problem: "has no axis; add one",
        });
    };
    if columns > 1 && stride != 1 {
        return Err(Error::Layout {
            argument,
            problem: "has gaps along its last axis; pass a copy",
        });
    }
    Ok(())
}

/// Checks that an array has the shape `expected`, which is that of `of`.
pub(crate) fn check_shape(
    argument: &'static str,
    given: &[usize],
    expected: &[usize],
    of: &str,
) -> Result<(), Error> {
    if given == expected {
        return Ok(());
    }
    Err(Error::Shape {
        argument,
        given: given.to_vec(),
        allowed: format!("the shape {expected:?} that follows from {of}"),
    })
}

/// The rows of a view that [`check_rows`] passed, in C order from row `first` on.
pub(crate) fn rows_from<'v, 'a, T: Copy>(
    view: &'v View<'a, T>,
    first: usize,
) -> RowsFrom<'v, 'a, T> {
    let lead = view.rank() - 1;
    let per_plane = if lead == 0 { 1 } else { view.shape()[lead - 1] };
    let mut rows = RowsFrom {
        view,
        plane: None,
        next_plane: first / per_plane.max(1),
        row: first % per_plane.max(1),
        per_plane,
    };
    rows.step();
    rows
}

/// See [`rows_from`].
pub(crate) struct RowsFrom<'v, 'a, T> {
    view: &'v View<'a, T>,
    /// The rows that share all indexes but the last two; a view of rank 1 is one row.
    plane: Option<Source<'a, T>>,
    next_plane: usize,
    row: usize,
    per_plane: usize,
}

enum Source<'a, T> {
    Plane(Plane<'a, T>),
    Row(&'a [T]),
}

impl<T: Copy> RowsFrom<'_, '_, T> {
    #[inline(never)]
    fn step(&mut self) {
        let index = self.next_plane;
        self.next_plane += 1;
        self.plane = match self.view.rank().checked_sub(2) {
            Some(lead) => {
                (index < self.view.lead(lead)).then(|| Source::Plane(self.view.plane(index)))
            }
            None if index == 0 => self.view.as_slice().map(Source::Row),
            None => None,
        };
    }
}

impl<'a, T: Copy> Iterator for RowsFrom<'_, 'a, T> {
    type Item = &'a [T];

    #[inline(always)]
    fn next(&mut self) -> Option<&'a [T]> {
        if self.row == self.per_plane {
            self.step();
            self.row = 0;
        }
        let row = match self.plane.as_ref()? {
            Source::Plane(plane) => plane.row(self.row),
            Source::Row(row) => row,
        };
        self.row += 1;
        Some(row)
    }
}

/// Calls `work` on runs of elements of `x` and of `out`, which have one shape, until all are done.
pub(crate) fn each_run<T: Real>(
    x: &View<T>,
    out: ViewMut<T>,
    context: &Context,
    work: &(dyn Fn(&[T], &mut [T]) + Sync),
) -> Result<(), Error> {
    check_shape("out", out.shape(), x.shape(), "x")?;
    if let Some(x) = x.as_slice()
        && out.is_contiguous()
    {
        let out = out.into_slice().expect("just asked");
        return each_piece(x, out, context, work);
    }
    check_rows("x", x)?;
    let columns = x.shape()[x.rank() - 1];
    let count = x.lead(x.rank() - 1);
    let tiles = out
        .split_rows(count, rows_per_tile(columns))
        .map_err(|error| error.named("out"))?;
    threads::run(context, tiles.tiles(), &|turn: Turn| {
        let mut rows = tiles.take(turn.tile);
        for (r, x) in (0..rows.len()).zip(rows_from(x, rows.first())) {
            for (x, out) in x.chunks(TILE).zip(rows.row(r).chunks_mut(TILE)) {
                if turn.cancelled() {
                    return;
                }
                work(x, out);
            }
        }
    })
}

/// As [`each_run`], for elements that stand side by side.
fn each_piece<T: Real>(
    x: &[T],
    out: &mut [T],
    context: &Context,
    work: &(dyn Fn(&[T], &mut [T]) + Sync),
) -> Result<(), Error> {
    let pieces = out.len() / TILE;
    let (whole, rest) = out.split_at_mut(pieces * TILE);
    if pieces > 0 {
        let tiles = ViewMut::contiguous(whole, &[pieces, TILE])?.split_rows(pieces, 1)?;
        threads::run(context, pieces, &|turn: Turn| {
            let x = &x[turn.tile * TILE..][..TILE];
            work(x, tiles.take(turn.tile).row(0));
        })?;
    }
    work(&x[pieces * TILE..], rest);
    Ok(())
}

/// Up to a vector's length of elements, the lanes beyond filled with `fill`.
#[inline(always)]
pub(crate) fn load<S: Simd, V: SimdFloat<S>>(
    simd: S,
    elements: &[V::Element],
    fill: V::Element,
) -> V {
    if elements.len() == V::LEN {
        return V::from_slice(simd, elements);
    }
    let mut lanes = V::splat(simd, fill);
    lanes.as_mut_slice()[..elements.len()].copy_from_slice(elements);
    lanes
}

/// The first lanes of `value` into `elements`, which are no more than a vector's length.
#[inline(always)]
pub(crate) fn store<S: Simd, V: SimdFloat<S>>(value: V, elements: &mut [V::Element]) {
    if elements.len() == V::LEN {
        value.store_slice(elements);
    } else {
        elements.copy_from_slice(&value.as_slice()[..elements.len()]);
    }
}

/// `f` of every element, 64 bytes at a time: on the narrower levels that is several vectors, whose
/// long chains of operations then run side by side (a fifth faster for GELU on avx2).
#[inline(always)]
pub(crate) fn map_lanes<S: Simd, T: Real>(
    simd: S,
    x: &[T],
    out: &mut [T],
    f: impl Fn(T::Wide<S>) -> T::Wide<S>,
) {
    let lanes = T::Wide::<S>::LEN;
    let mut x = x.chunks_exact(lanes);
    let mut out = out.chunks_exact_mut(lanes);
    for (x, out) in (&mut x).zip(&mut out) {
        f(T::Wide::<S>::from_slice(simd, x)).store_slice(out);
    }
    let (x, out) = (x.remainder(), out.into_remainder());
    if !x.is_empty() {
        store(f(load(simd, x, T::ZERO)), out);
    }
}
