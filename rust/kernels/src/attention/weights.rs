//! The attention weights themselves, for looking at: two passes over the keys, the first for each
//! row's denominator, the second for its weights. The whole matrix is written, so memory and time
//! are those of the matrix.

use fearless_simd::prelude::*;
use fearless_simd_macros::simd;

use super::forward::{KEYS, LANES, NR, Tile, Tiling};
use super::problem::{Problem, Sizes};
use super::work::Work;
use crate::Context;
use crate::error::Error;
use crate::gemm::panel;
use crate::simd::math::exp2;
use crate::simd::{Lanes, Real};
use crate::threads::Turn;
use crate::view::{Rows, ViewMut};

/// Softmax weights of every item and head into `out` (lead…, heads, queries, keys). A row that
/// sees nothing is zero; with a sink, rows sum to less than one.
///
/// # Errors
/// As [`super::forward()`].
pub fn weights<T: Real>(
    problem: &Problem<'_, T>,
    out: ViewMut<'_, T>,
    context: &Context<'_>,
) -> Result<(), Error> {
    let sizes = Sizes {
        value_dim: 0,
        ..problem.sizes()?
    };
    let shape = [
        &problem.query.shape()[..problem.query.rank() - 1],
        &[sizes.keys],
    ]
    .concat();
    if out.shape() != shape {
        let given = out.shape().to_vec();
        return Err(Error::Shape {
            argument: "out",
            given,
            allowed: format!("{shape:?}"),
        });
    }
    fearless_simd::dispatch!(context.level, simd => run(simd, problem, &sizes, out, context))
}

#[inline(always)]
fn run<S: Simd, T: Real>(
    simd: S,
    problem: &Problem<'_, T>,
    sizes: &Sizes,
    out: ViewMut<'_, T>,
    context: &Context<'_>,
) -> Result<(), Error> {
    let problem = &Problem {
        value: None,
        ..*problem
    };
    let tiling = Tiling::new::<S, T>(sizes, context);
    let out = tiling.split(out)?;
    tiling.run(simd, problem, sizes, context, &|tile, work, turn, index| {
        if tile.attend(simd, work, turn) {
            fill(simd, &tile, work, turn, &mut out.take(index));
        }
    })
}

/// The second pass.
fn fill<S: Simd, T: Real>(
    simd: S,
    tile: &Tile<'_, '_, T>,
    work: &mut Work<'_, T>,
    turn: &Turn<'_>,
    out: &mut Rows<'_, T>,
) {
    let block = panel::block::<S, T>();
    for lane in tile.panels::<S>() {
        let (first, rows) = (lane.rows.start, lane.rows.len());
        (0..rows).for_each(|row| out.row(first + row).fill(T::ZERO));
        let (mut panel, mut shared) = work.panel(lane.index, lane.width);
        let state = panel.result();
        // The factor belongs to the maximum without the sink.
        let mut m = [T::ZERO; LANES];
        m[..lane.width].copy_from_slice(state.m);
        let mut factor = [T::ZERO; LANES];
        tile.close(simd, state, &lane, shared.slope, &mut factor[..lane.width]);
        let Some((any, _)) = tile.queries.spans(lane.rows.clone()) else {
            continue;
        };
        for start in (any.first - any.first % KEYS..any.end).step_by(KEYS) {
            if turn.cancelled() {
                return;
            }
            let keys = start..any.end.min(start + KEYS);
            let (seen, _) = if lane.width == Lanes::<S, T>::LEN {
                tile.scores::<S, Lanes<S, T>, 1>(
                    simd,
                    panel.query,
                    &mut shared,
                    &lane,
                    &keys,
                    false,
                )
            } else {
                tile.scores::<S, Lanes<S, T>, NR>(
                    simd,
                    panel.query,
                    &mut shared,
                    &lane,
                    &keys,
                    false,
                )
            };
            let s = &mut shared.s[..seen.len() * lane.width];
            for from in (0..rows).step_by(block) {
                strip(simd, s, &m[..lane.width], &factor, from, shared.strip);
                for i in from..rows.min(from + block) {
                    let strip = &shared.strip[(i - from) * seen.len()..][..seen.len()];
                    out.row(first + i)[seen.clone()].copy_from_slice(strip);
                }
            }
        }
    }
}

/// Weights of the rows `lane..` of a panel, as many as a block has. A score of −∞ weighs 0 even
/// where a NaN that the row sees has made its factor NaN: the key may be out of sight.
#[simd]
#[inline(never)]
fn strip<S: Simd, T: Real>(simd: S, s: &[T], m: &[T], factor: &[T], lane: usize, strip: &mut [T]) {
    let keys = s.len() / m.len();
    panel::unpack(simd, s, m.len(), lane, keys, strip);
    for (i, row) in strip
        .chunks_exact_mut(keys.max(1))
        .take(panel::block::<S, T>())
        .enumerate()
    {
        let (m, factor) = (m[lane + i], factor[lane + i]);
        let from = if m == T::NEG_INFINITY { T::ZERO } else { m };
        let nothing = Lanes::<S, T>::splat(simd, T::NEG_INFINITY);
        let zero = Lanes::<S, T>::splat(simd, T::ZERO);
        let mut chunks = row.chunks_exact_mut(Lanes::<S, T>::LEN);
        for chunk in &mut chunks {
            let x = Lanes::<S, T>::from_slice(simd, chunk);
            let weight = exp2(simd, x - from) * factor;
            x.simd_eq(nothing).select(zero, weight).store_slice(chunk);
        }
        for x in chunks.into_remainder() {
            if *x == T::NEG_INFINITY {
                *x = T::ZERO;
            } else {
                *x = exp2(simd, Lanes::<S, T>::splat(simd, *x - from))[0] * factor;
            }
        }
    }
}
