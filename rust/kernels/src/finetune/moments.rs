//! Mean and deviation of each column, in float64.
//!
//! ```text
//! for each group of 64 columns                             (threads)
//!   for each block of 1024 rows, in order
//!     mean_b = Σ w·x / Σ w;  squares_b = Σ w·(x − mean_b)²
//!     (mean, squares, Σw) ⊕ (mean_b, squares_b, Σ_b w)
//! ```
//! A block is read twice, the second time from L2; two passes keep squares free of cancellation.
//! Each sum runs along the rows in order, so nothing depends on threads or level.
//! Source: Chan, Golub & LeVeque 1983 (⊕).

use fearless_simd::prelude::*;
use fearless_simd_macros::simd;

use super::block::{ROWS, Visits, cut, not_finite};
use super::pack::{GROUP, Source};
use super::problem::{Features, check_order};
use crate::layers::rows::check_shape;
use crate::scratch::Scratch;
use crate::simd::Real;
use crate::threads::{self, Turn};
use crate::{Context, Error};

/// A deviation of this share of the mean is rounding.
const ROUNDING: f64 = 1e-12;

/// Mean and deviation (divided by Σw, not less) of each column over `rows` (all, where `None`),
/// weighted by `weights`, one for each row of features. Where a column does not vary, its deviation
/// counts as 1.
///
/// # Errors
/// [`Error::Shape`], [`Error::Layout`], [`Error::Value`] for a row that is none,
/// [`Error::OutOfMemory`], [`Error::NotFinite`], [`Error::Interrupted`]; outputs are then untouched.
pub fn moments<T: Real + Default>(
    features: Features<'_, T>,
    rows: Option<&[i64]>,
    weights: Option<&[f64]>,
    mean: &mut [f64],
    deviation: &mut [f64],
    context: &Context<'_>,
) -> Result<(), Error> {
    let [count, columns] = features.check()?;
    check_order(rows, count)?;
    if let Some(weights) = weights {
        check_shape("weights", &[weights.len()], &[count], "features")?;
    }
    check_shape("mean", &[mean.len()], &[columns], "features")?;
    check_shape("deviation", &[deviation.len()], &[columns], "features")?;
    let source = Source::<T>::new(&features, None, None, columns);
    let visits = Visits::new(rows, count);
    let groups = columns.div_ceil(GROUP);
    let found = Scratch::<f64>::new(1, groups * 2 * GROUP)?;
    let stages = Scratch::<T>::new(threads::workers(context, groups), GROUP)?;
    let mut found = found.lock(0);
    let tiles = cut(&mut found, groups)?;
    fearless_simd::dispatch!(context.level, simd => {
        threads::run(context, groups, &|turn: Turn<'_>| {
            let mut tile = tiles.take(turn.tile);
            let first = turn.tile * GROUP;
            let mut stage = stages.lock(turn.worker);
            let stage = &mut stage[..GROUP.min(columns - first)];
            column_moments(simd, &source, first, visits, weights, stage, tile.row(0), &turn);
        })
    })?;
    drop(tiles);
    let finite = |numbers: &[f64]| numbers.iter().all(|x| x.is_finite());
    if !finite(&found)
        && let Some(error) = not_finite(&source, visits)
    {
        return Err(error);
    }
    for (group, found) in found.chunks_exact(2 * GROUP).enumerate() {
        let columns = group * GROUP..columns.min((group + 1) * GROUP);
        mean[columns.clone()].copy_from_slice(&found[..columns.len()]);
        deviation[columns.clone()].copy_from_slice(&found[GROUP..GROUP + columns.len()]);
    }
    Ok(())
}

/// Means, then deviations, of up to GROUP columns from `first` on into `found`.
#[simd]
#[inline(never)]
#[expect(clippy::too_many_arguments, reason = "a group's places in memory")]
fn column_moments<S: Simd, T: Real>(
    _simd: S,
    source: &Source<'_, T>,
    first: usize,
    visits: Visits<'_>,
    weights: Option<&[f64]>,
    stage: &mut [T],
    found: &mut [f64],
    turn: &Turn<'_>,
) {
    let columns = first..first + stage.len();
    let weight = |row: usize| weights.map_or(1.0, |weights| weights[row]);
    let (mut mean, mut squares, mut total) = ([0.0_f64; GROUP], [0.0_f64; GROUP], 0.0);
    for start in (0..visits.len()).step_by(ROWS) {
        if turn.cancelled() {
            return;
        }
        let visits = visits.part(start..visits.len().min(start + ROWS));
        let (mut centre, mut around, mut sum) = ([0.0_f64; GROUP], [0.0_f64; GROUP], 0.0);
        for i in 0..visits.len() {
            let row = visits.row(i);
            let weight = weight(row);
            sum += weight;
            source.raw(row, columns.clone(), stage);
            for (centre, x) in centre.iter_mut().zip(&*stage) {
                *centre += weight * x.to_f64();
            }
        }
        if sum == 0.0 {
            // 0 · NaN shows what must not be there even in rows that do not count.
            for (mean, centre) in mean.iter_mut().zip(&centre) {
                *mean += *centre;
            }
            continue;
        }
        for centre in &mut centre {
            *centre /= sum;
        }
        for i in 0..visits.len() {
            let row = visits.row(i);
            let weight = weight(row);
            source.raw(row, columns.clone(), stage);
            for ((around, x), centre) in around.iter_mut().zip(&*stage).zip(&centre) {
                let difference = x.to_f64() - centre;
                *around += weight * (difference * difference);
            }
        }
        let both = total + sum;
        for j in 0..GROUP {
            let apart = centre[j] - mean[j];
            mean[j] += apart * (sum / both);
            squares[j] += around[j] + apart * apart * (total * sum / both);
        }
        total = both;
    }
    for j in 0..stage.len() {
        let deviation = (squares[j] / total.max(f64::MIN_POSITIVE)).sqrt();
        let flat = deviation <= ROUNDING * mean[j].abs();
        found[j] = mean[j];
        found[GROUP + j] = if flat { 1.0 } else { deviation };
    }
}
