//! Rotary embedding: pairs of columns turned by an angle, `(a, b) → (a·cos − b·sin, b·cos + a·sin)`.
//!
//! half ("NeoX"):         column c is paired with c + rotary_dim / 2
//! interleaved ("GPT-J"): column 2c is paired with 2c + 1
//!
//! Angle c stands in column c of `cosine` and `sine`, which have rotary_dim / 2; columns from
//! rotary_dim on are copied. Tiles of rows; a row is read once and written once.
//! Source: Su et al. 2021.

use fearless_simd::prelude::*;
use fearless_simd_macros::simd;

use crate::layers::rows::{check_rows, check_shape, load, rows_from, rows_per_tile, store};
use crate::simd::{Lanes, Real};
use crate::threads::{self, Turn};
use crate::view::{View, ViewMut};
use crate::{Context, Error};

#[cfg(test)]
mod tests;

/// Turns the pairs of each row of `x`, (lead…, length, head_dim), by the angles whose `cosine` and
/// `sine` have shape (lead…, length, rotary_dim / 2), axes of stride 0 where they are the same.
/// `out` has the shape of `x`; the last axis of all has unit stride.
///
/// # Errors
/// [`Error::Shape`] and [`Error::Layout`] as said above, [`Error::Interrupted`].
pub fn rotary<T: Real>(
    x: View<T>,
    cosine: View<T>,
    sine: View<T>,
    interleaved: bool,
    out: ViewMut<T>,
    context: &Context,
) -> Result<(), Error> {
    check_rows("x", &x)?;
    check_rows("cosine", &cosine)?;
    check_rows("sine", &sine)?;
    check_shape("out", out.shape(), x.shape(), "x")?;
    check_shape("sine", sine.shape(), cosine.shape(), "cosine")?;
    let lead = x.rank() - 1;
    let columns = x.shape()[lead];
    let fits = cosine.rank() == x.rank()
        && cosine.shape()[..lead] == x.shape()[..lead]
        && cosine.shape()[lead] <= columns / 2;
    if !fits {
        let axes = &x.shape()[..lead];
        let half = columns / 2;
        return Err(Error::Shape {
            argument: "cosine",
            given: cosine.shape().to_vec(),
            allowed: format!("the leading axes {axes:?} of x and at most {half} columns"),
        });
    }
    fearless_simd::dispatch!(
        context.level,
        simd => tiles(simd, &x, &cosine, &sine, interleaved, out, context)
    )
}

fn tiles<S: Simd, T: Real>(
    simd: S,
    x: &View<T>,
    cosine: &View<T>,
    sine: &View<T>,
    interleaved: bool,
    out: ViewMut<T>,
    context: &Context,
) -> Result<(), Error> {
    let lead = x.rank() - 1;
    let tiles = out
        .split_rows(x.lead(lead), rows_per_tile(x.shape()[lead]))
        .map_err(|error| error.named("out"))?;
    threads::run(context, tiles.tiles(), &|turn: Turn| {
        let mut rows = tiles.take(turn.tile);
        let first = rows.first();
        let angles = rows_from(cosine, first).zip(rows_from(sine, first));
        let inputs = rows_from(x, first).zip(angles);
        for (r, (x, (cosine, sine))) in (0..rows.len()).zip(inputs) {
            let (out, rest) = rows.row(r).split_at_mut(2 * cosine.len());
            let (x, copied) = x.split_at(out.len());
            rest.copy_from_slice(copied);
            if interleaved {
                neighbours(simd, x, cosine, sine, out);
            } else {
                halves(simd, x, cosine, sine, out);
            }
        }
    })
}

/// (a, b) turned.
#[inline(always)]
fn turn_pair<S: Simd, V: SimdFloat<S>>(a: V, b: V, cosine: V, sine: V) -> (V, V) {
    (a.mul_sub(cosine, b * sine), b.mul_add(cosine, a * sine))
}

#[simd]
fn halves<S: Simd, T: Real>(simd: S, x: &[T], cosine: &[T], sine: &[T], out: &mut [T]) {
    let lanes = Lanes::<S, T>::LEN;
    let (a, b) = x.split_at(cosine.len());
    let (out_a, out_b) = out.split_at_mut(cosine.len());
    let inputs = a.chunks(lanes).zip(b.chunks(lanes));
    let angles = cosine.chunks(lanes).zip(sine.chunks(lanes));
    let outputs = out_a.chunks_mut(lanes).zip(out_b.chunks_mut(lanes));
    for (((a, b), (cosine, sine)), (out_a, out_b)) in inputs.zip(angles).zip(outputs) {
        let load = |elements: &[T]| load::<S, Lanes<S, T>>(simd, elements, T::ZERO);
        let (a, b) = turn_pair(load(a), load(b), load(cosine), load(sine));
        store(a, out_a);
        store(b, out_b);
    }
}

#[simd]
fn neighbours<S: Simd, T: Real>(simd: S, x: &[T], cosine: &[T], sine: &[T], out: &mut [T]) {
    let lanes = Lanes::<S, T>::LEN;
    let angles = cosine.chunks(lanes).zip(sine.chunks(lanes));
    let pairs = x.chunks(2 * lanes).zip(out.chunks_mut(2 * lanes));
    for ((x, out), (cosine, sine)) in pairs.zip(angles) {
        let load = |elements: &[T]| load::<S, Lanes<S, T>>(simd, elements, T::ZERO);
        let (low, high) = x.split_at(lanes.min(x.len()));
        let (a, b) = load(low).deinterleave(load(high));
        let (a, b) = turn_pair(a, b, load(cosine), load(sine));
        let (a, b) = a.interleave(b);
        let (low, high) = out.split_at_mut(low.len());
        store(a, low);
        store(b, high);
    }
}
