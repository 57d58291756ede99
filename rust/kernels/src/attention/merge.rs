//! Attention over several sets of keys, from the results over each: for every row,
//!
//! peak = max lse_p;  w_p = e^(lse_p − peak);  l = Σ w_p;
//! out = Σ (w_p / l)·out_p;  lse = peak + ln l.
//!
//! A part whose lse is −∞ saw nothing and is left out: its out is not looked at, NaN or not. If all
//! parts are like that, the row is zeros and its lse −∞. A lse that is NaN or +∞ makes the row and
//! its lse NaN. The parts are summed in their order.
//!
//! Tiles of rows, part by part, so that each part's memory is read in one go; a tile of the output
//! stays in L2. The scratch holds w for each part and row of a tile, and two numbers a row.

use fearless_simd::prelude::*;
use fearless_simd_macros::simd;

use crate::layers::rows::{check_rows, check_shape, load, rows_from, rows_per_tile, store};
use crate::scratch::Scratch;
use crate::simd::{Lanes, Real, math};
use crate::threads::{self, Turn};
use crate::view::{Rows, View, ViewMut};
use crate::{Context, Error};

#[cfg(test)]
mod tests;

/// Merges the parts' `outs`, (…, rows, `value_dim`), and `lses`, (…, rows, 1). All of `outs` and
/// `out` have one shape, and so have `lses` and `lse`; the last axis of all has unit stride.
///
/// # Errors
/// [`Error::Value`] if there is no part or not one lse for each out, [`Error::Shape`] and
/// [`Error::Layout`] as said above, [`Error::OutOfMemory`], [`Error::Interrupted`].
pub fn merge<T: Real>(
    outs: &[View<T>],
    lses: &[View<T>],
    out: ViewMut<T>,
    lse: ViewMut<T>,
    context: &Context,
) -> Result<(), Error> {
    if outs.is_empty() || outs.len() != lses.len() {
        return Err(Error::Value {
            argument: "lses",
            given: format!("{} arrays for {} outs", lses.len(), outs.len()),
            allowed: "one array for each of at least one out",
        });
    }
    for (part, part_lse) in outs.iter().zip(lses) {
        check_rows("outs", part)?;
        check_rows("lses", part_lse)?;
        check_shape("outs", part.shape(), out.shape(), "out")?;
        check_shape("lses", part_lse.shape(), lse.shape(), "lse")?;
    }
    let (Some((&columns, lead)), Some((1, lse_lead))) =
        (out.shape().split_last(), lse.shape().split_last())
    else {
        return Err(Error::Shape {
            argument: "lse",
            given: lse.shape().to_vec(),
            allowed: "a last axis of length 1".to_owned(),
        });
    };
    check_shape("lse", lse_lead, lead, "out's leading axes")?;
    let per_tile = rows_per_tile(columns);
    let rows = outs[0].lead(lead.len());
    let out = out
        .split_rows(rows, per_tile)
        .map_err(|error| error.named("out"))?;
    let lse = lse
        .split_rows(rows, per_tile)
        .map_err(|error| error.named("lse"))?;

    let length = per_tile.min(rows);
    let scratch = outs
        .len()
        .checked_add(2)
        .and_then(|arrays| arrays.checked_mul(length))
        .ok_or(Error::TooLarge { what: "outs" })?;
    let scratch = Scratch::new(threads::workers(context, out.tiles()), scratch)?;
    fearless_simd::dispatch!(context.level, simd => {
        threads::run(context, out.tiles(), &|turn: Turn| {
            let mut scratch = scratch.lock(turn.worker);
            let (out, lse) = (out.take(turn.tile), lse.take(turn.tile));
            tile(simd, outs, lses, out, lse, &mut scratch, &turn);
        })
    })
}

fn tile<S: Simd, T: Real>(
    simd: S,
    outs: &[View<T>],
    lses: &[View<T>],
    mut out: Rows<T>,
    mut lse: Rows<T>,
    scratch: &mut [T],
    turn: &Turn,
) {
    let (first, count) = (out.first(), out.len());
    let (peaks, rest) = scratch.split_at_mut(count);
    let (totals, rest) = rest.split_at_mut(count);
    let weights = &mut rest[..count * lses.len()];
    for (weights, part) in weights.chunks_exact_mut(count).zip(lses) {
        for (weight, row) in weights.iter_mut().zip(rows_from(part, first)) {
            *weight = row[0];
        }
    }
    normalise(simd, weights, peaks, totals);
    for (r, &total) in totals.iter().enumerate() {
        out.row(r).fill(T::ZERO);
        lse.row(r)[0] = total;
    }
    for ((weights, part), part_lse) in weights.chunks_exact(count).zip(outs).zip(lses) {
        if turn.cancelled() {
            return;
        }
        let inputs = rows_from(part, first).zip(rows_from(part_lse, first));
        for ((r, &weight), (part, part_lse)) in weights.iter().enumerate().zip(inputs) {
            if part_lse[0] != T::NEG_INFINITY {
                add_scaled(simd, part, weight, out.row(r));
            }
        }
    }
}

/// From each part's lse, one row of `weights` a part, to w / l; `totals` become the merged lse.
#[simd]
fn normalise<S: Simd, T: Real>(simd: S, weights: &mut [T], peaks: &mut [T], totals: &mut [T]) {
    let count = peaks.len();
    peaks.fill(T::NEG_INFINITY);
    for part in weights.chunks_exact(count) {
        for (peak, &lse) in peaks.iter_mut().zip(part) {
            *peak = if lse > *peak { lse } else { *peak };
        }
    }
    // Where all parts are empty, so that −∞ − peak is −∞.
    for peak in peaks.iter_mut().filter(|peak| **peak == T::NEG_INFINITY) {
        *peak = T::ZERO;
    }
    totals.fill(T::ZERO);
    let lanes = Lanes::<S, T>::LEN;
    let vector = |elements: &[T]| load::<S, Lanes<S, T>>(simd, elements, T::ZERO);
    for part in weights.chunks_exact_mut(count) {
        let rows = part.chunks_mut(lanes).zip(peaks.chunks(lanes));
        for ((weight, peak), total) in rows.zip(totals.chunks_mut(lanes)) {
            let log = (vector(weight) - vector(peak)) * T::LOG2_E;
            let value = math::exp2(simd, log);
            store(value, weight);
            store(vector(total) + value, total);
        }
    }
    for part in weights.chunks_exact_mut(count) {
        for (weight, total) in part.chunks_mut(lanes).zip(totals.chunks(lanes)) {
            store(vector(weight) / vector(total), weight);
        }
    }
    for (total, peak) in totals.chunks_mut(lanes).zip(peaks.chunks(lanes)) {
        store(vector(peak) + math::log(simd, vector(total)), total);
    }
}

/// out += weight·x.
#[simd]
fn add_scaled<S: Simd, T: Real>(simd: S, x: &[T], weight: T, out: &mut [T]) {
    let lanes = Lanes::<S, T>::LEN;
    let weight = Lanes::<S, T>::splat(simd, weight);
    for (x, out) in x.chunks(lanes).zip(out.chunks_mut(lanes)) {
        let sum: Lanes<S, T> = load(simd, out, T::ZERO);
        store(
            load::<S, Lanes<S, T>>(simd, x, T::ZERO).mul_add(weight, sum),
            out,
        );
    }
}
