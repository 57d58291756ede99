//! Layer normalisation: `out = (x − mean) / √(variance + epsilon) · weight + bias` along rows.
//!
//! mean = Σx / n;  variance = Σ(x − mean)² / n, a second pass over the row while it is in L1;  the
//! third pass writes.
//!
//! A sum has one order, whatever the level, the threads and the other rows: blocks of BLOCK
//! elements; in a block element i goes to lane i mod LANES, two vectors of 64 bytes, in order;
//! the two are added, then the lanes by a fixed tree, then the blocks in order. So rows have the
//! same bits on all levels with fused multiply-add. BLOCK = 4,096 keeps the error of a long sum
//! near that of a pairwise one; two vectors keep two or more additions in flight on every level.

use fearless_simd::prelude::*;
use fearless_simd_macros::simd;

use super::rows::{check_rows, check_shape, load, rows_from, rows_per_tile, store};
use crate::simd::{Lanes, Real};
use crate::threads::{self, Turn};
use crate::view::{View, ViewMut};
use crate::{Context, Error};

/// Elements whose sum is finished before the next ones' begins.
const BLOCK: usize = 4096;
/// Elements between two looks at whether to stop: some ten microseconds.
const PIECE: usize = 16 * BLOCK;

/// What is the same for all rows.
struct Affine<'a, T> {
    weight: Option<&'a [T]>,
    bias: Option<&'a [T]>,
    epsilon: T,
}

/// Normalises each row of `x`: mean 0 and variance 1, then times `weight` plus `bias`, both of
/// shape (columns,). `out` has the shape of `x`; the last axis of both has unit stride.
///
/// A NaN or an infinity makes its whole row NaN, and no other.
///
/// # Errors
/// [`Error::Shape`] and [`Error::Layout`] as said above, [`Error::Interrupted`].
pub fn layer_norm<T: Real>(
    x: View<T>,
    weight: Option<View<T>>,
    bias: Option<View<T>>,
    epsilon: T,
    out: ViewMut<T>,
    context: &Context,
) -> Result<(), Error> {
    check_rows("x", &x)?;
    check_shape("out", out.shape(), x.shape(), "x")?;
    let columns = x.shape()[x.rank() - 1];
    let affine = Affine {
        weight: per_column("weight", weight, columns)?,
        bias: per_column("bias", bias, columns)?,
        epsilon,
    };
    fearless_simd::dispatch!(context.level, simd => tiles(simd, &x, &affine, out, context))
}

/// The `columns` elements of `view`.
fn per_column<'a, T: Copy>(
    argument: &'static str,
    view: Option<View<'a, T>>,
    columns: usize,
) -> Result<Option<&'a [T]>, Error> {
    let Some(view) = view else { return Ok(None) };
    check_shape(argument, view.shape(), &[columns], "x's last axis")?;
    let elements = view.as_slice().ok_or(Error::Layout {
        argument,
        problem: "has gaps along its axis; pass a copy",
    })?;
    Ok(Some(elements))
}

fn tiles<S: Simd, T: Real>(
    simd: S,
    x: &View<T>,
    affine: &Affine<T>,
    out: ViewMut<T>,
    context: &Context,
) -> Result<(), Error> {
    let columns = x.shape()[x.rank() - 1];
    let tiles = out
        .split_rows(x.lead(x.rank() - 1), rows_per_tile(columns))
        .map_err(|error| error.named("out"))?;
    threads::run(context, tiles.tiles(), &|turn: Turn| {
        let mut rows = tiles.take(turn.tile);
        for (r, x) in (0..rows.len()).zip(rows_from(x, rows.first())) {
            row(simd, x, affine, rows.row(r), &turn);
        }
    })
}

/// One row; gives up when the call is cancelled.
#[simd]
fn row<S: Simd, T: Real>(simd: S, x: &[T], affine: &Affine<T>, out: &mut [T], turn: &Turn) {
    let count = T::from_f64(x.len() as f64);
    let Some(sum) = total(simd, x, None, turn) else {
        return;
    };
    let mean = sum / count;
    let Some(squares) = total(simd, x, Some(mean), turn) else {
        return;
    };
    let splat = |value| Lanes::<S, T>::splat(simd, value);
    let deviation = splat(squares / count + affine.epsilon).sqrt();
    let scale = splat(T::ONE) / deviation;
    for (piece, (x, out)) in x.chunks(PIECE).zip(out.chunks_mut(PIECE)).enumerate() {
        if piece > 0 && turn.cancelled() {
            return;
        }
        let columns = piece * PIECE..piece * PIECE + x.len();
        let weight = affine.weight.map(|weight| &weight[columns.clone()]);
        let bias = affine.bias.map(|bias| &bias[columns]);
        write(simd, x, splat(mean), scale, weight, bias, out);
    }
}

/// Σx, or Σ(x − centre)², in the order that the module's first lines give; `None` when cancelled.
#[inline(always)]
fn total<S: Simd, T: Real>(simd: S, x: &[T], centre: Option<T>, turn: &Turn) -> Option<T> {
    let mut sum = T::ZERO;
    for (piece, x) in x.chunks(PIECE).enumerate() {
        if piece > 0 && turn.cancelled() {
            return None;
        }
        for block in x.chunks(BLOCK) {
            sum += match centre {
                None => block_sum(
                    simd,
                    block,
                    T::ZERO,
                    #[inline(always)]
                    |sum, x| sum + x,
                ),
                Some(centre) => {
                    let mean = T::Wide::<S>::splat(simd, centre);
                    block_sum(
                        simd,
                        block,
                        centre,
                        #[inline(always)]
                        |sum, x| {
                            let difference = x - mean;
                            difference.mul_add(difference, sum)
                        },
                    )
                }
            };
        }
    }
    Some(sum)
}

/// The sum of a block by `add`, to which `nothing` adds nothing.
#[inline(always)]
fn block_sum<S: Simd, T: Real>(
    simd: S,
    block: &[T],
    nothing: T,
    add: impl Fn(T::Wide<S>, T::Wide<S>) -> T::Wide<S>,
) -> T {
    let lanes = T::Wide::<S>::LEN;
    let mut sums = [T::Wide::<S>::splat(simd, T::ZERO); 2];
    let mut pairs = block.chunks_exact(2 * lanes);
    for pair in &mut pairs {
        let (first, second) = pair.split_at(lanes);
        sums[0] = add(sums[0], T::Wide::from_slice(simd, first));
        sums[1] = add(sums[1], T::Wide::from_slice(simd, second));
    }
    for (sum, rest) in sums.iter_mut().zip(pairs.remainder().chunks(lanes)) {
        *sum = add(*sum, load(simd, rest, nothing));
    }
    (sums[0] + sums[1]).reduce_sum()
}

#[inline(always)]
fn write<S: Simd, T: Real>(
    simd: S,
    x: &[T],
    mean: Lanes<S, T>,
    scale: Lanes<S, T>,
    weight: Option<&[T]>,
    bias: Option<&[T]>,
    out: &mut [T],
) {
    let lanes = Lanes::<S, T>::LEN;
    // Checked here, so that the loop need not.
    let count = x.len();
    let (x, out) = (&x[..count], &mut out[..count]);
    let weight = weight.map(|weight| &weight[..count]);
    let bias = bias.map(|bias| &bias[..count]);
    let full = count - count % lanes;
    let mut at = 0;
    // Whole vectors have a loop of their own: asking each how long it is would cost more than it.
    while at < full {
        let columns = at..at + lanes;
        let vector = Lanes::<S, T>::from_slice(simd, &x[columns.clone()]);
        let mut value = (vector - mean) * scale;
        match (weight, bias) {
            (Some(weight), Some(bias)) => {
                let weight = Lanes::<S, T>::from_slice(simd, &weight[columns.clone()]);
                let bias = Lanes::<S, T>::from_slice(simd, &bias[columns.clone()]);
                value = value.mul_add(weight, bias);
            }
            (Some(weight), None) => {
                value *= Lanes::<S, T>::from_slice(simd, &weight[columns.clone()]);
            }
            (None, Some(bias)) => {
                value += Lanes::<S, T>::from_slice(simd, &bias[columns.clone()]);
            }
            (None, None) => {}
        }
        value.store_slice(&mut out[columns]);
        at += lanes;
    }
    if full < count {
        let rest = |elements: &[T]| load::<S, Lanes<S, T>>(simd, &elements[full..], T::ZERO);
        let value = (rest(x) - mean) * scale;
        let value = match (weight, bias) {
            (Some(weight), Some(bias)) => value.mul_add(rest(weight), rest(bias)),
            (Some(weight), None) => value * rest(weight),
            (None, Some(bias)) => value + rest(bias),
            (None, None) => value,
        };
        store(value, &mut out[full..]);
    }
}
