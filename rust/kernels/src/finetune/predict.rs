//! Logits of rows: [`super::logits`] slab by slab, each turned back into rows on its way out.
//!
//! A logit's bits are those that training sees: they depend on its row and its parameters alone.

use std::sync::atomic::{AtomicBool, Ordering};

use fearless_simd::prelude::*;
use fearless_simd_macros::simd;

use super::block::{Visits, enter, groups, multiply, spoilt};
use super::pack::{CHUNK, GROUP, SLAB, Source, staged};
use super::problem::{Features, check_affine, check_order};
use crate::gemm::panel;
use crate::layers::rows::{check_rows, check_shape};
use crate::scratch::Scratch;
use crate::simd::Real;
use crate::threads::{self, Turn};
use crate::view::{Rows, View, ViewMut};
use crate::{Context, Error};

/// `out[i] = x·Wᵀ + b` for the `i`-th of `rows` (all, where `None`), x standardised by `shift` and
/// `scale`. `parameters` is (outputs, in + 1), the bias last; `out` (rows, outputs).
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`], [`Error::Value`] for a row that is none,
/// [`Error::OutOfMemory`] before anything is written; [`Error::NotFinite`] and
/// [`Error::Interrupted`], after which `out` is undefined.
pub fn logits<T: Real + Default>(
    features: Features<'_, T>,
    shift: Option<&[T]>,
    scale: Option<&[T]>,
    rows: Option<&[i64]>,
    parameters: View<'_, T>,
    out: ViewMut<'_, T>,
    context: &Context<'_>,
) -> Result<(), Error> {
    let [count, columns] = features.check()?;
    check_affine(shift, scale, columns)?;
    check_order(rows, count)?;
    check_rows("parameters", &parameters)?;
    let outputs = parameters.shape()[0];
    check_shape(
        "parameters",
        parameters.shape(),
        &[outputs, columns + 1],
        "features",
    )?;
    let visits = Visits::new(rows, count);
    check_shape("out", out.shape(), &[visits.len(), outputs], "the rows")?;
    if visits.len() == 0 || outputs == 0 {
        return Ok(());
    }
    let source = Source::new(&features, shift, scale, columns);
    fearless_simd::dispatch!(context.level, simd => {
        run(simd, &source, columns, visits, parameters, out, context)
    })
}

fn run<S: Simd, T: Real + Default>(
    simd: S,
    source: &Source<'_, T>,
    columns: usize,
    visits: Visits<'_>,
    parameters: View<'_, T>,
    out: ViewMut<'_, T>,
    context: &Context<'_>,
) -> Result<(), Error> {
    let outputs = parameters.shape()[0];
    let too_large = || Error::TooLarge {
        what: "parameters with its padding",
    };
    let length = (groups(columns) * GROUP)
        .checked_mul(outputs)
        .ok_or_else(too_large)?;
    let z = outputs.checked_mul(SLAB).ok_or_else(too_large)?;
    let block = outputs * panel::block::<S, T>();
    let pack = SLAB * CHUNK + staged();
    let theta = Scratch::<T>::new(1, length)?;
    let slabs = visits.len().div_ceil(SLAB);
    let scratch = Scratch::<T>::new(threads::workers(context, slabs), z + block.max(pack))?;
    let tiles = out
        .split_rows(visits.len(), SLAB)
        .map_err(|error| error.named("out"))?;
    let mut theta = theta.lock(0);
    for k in 0..outputs {
        enter(&mut theta, outputs, k, parameters.plane(0).row(k));
    }
    let theta = View::contiguous(&theta, &[groups(columns), outputs, GROUP])?;
    let finite = AtomicBool::new(true);
    threads::run(context, slabs, &|turn: Turn<'_>| {
        let mut rows = [0; SLAB];
        let rows = visits.slab(turn.tile, &mut rows);
        let mut buffer = scratch.lock(turn.worker);
        let (z, rest) = buffer.split_at_mut(z);
        if multiply(simd, source, columns, &theta, rows, rest, None, z) {
            write(simd, z, outputs, rest, &mut tiles.take(turn.tile));
        } else {
            finite.store(false, Ordering::Relaxed);
        }
    })?;
    if finite.into_inner() {
        Ok(())
    } else {
        Err(spoilt(source, visits))
    }
}

/// The slab's logits, (outputs, SLAB), as rows.
#[simd]
#[inline(never)]
fn write<S: Simd, T: Real>(
    simd: S,
    z: &[T],
    outputs: usize,
    strip: &mut [T],
    out: &mut Rows<'_, T>,
) {
    let block = panel::block::<S, T>();
    let strip = &mut strip[..block * outputs];
    for first in (0..out.len()).step_by(block) {
        panel::unpack(simd, z, SLAB, first, outputs, strip);
        for (i, row) in strip.chunks_exact(outputs).enumerate() {
            if first + i < out.len() {
                out.row(first + i).copy_from_slice(row);
            }
        }
    }
}
