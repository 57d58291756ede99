//! Few queries a key head: decoding, grouped heads, a handful of tokens.
//!
//! ```text
//! for each key head, for each CHUNK of its keys             (threads)
//!   for each block of KEYS in it
//!     s, p, m, l, α as in forward, in one panel no wider than the queries need
//!     acc[row] = acc[row]·α + p V, columns in the lanes, up to four rows at once
//! for each key head: total = chunk 0 ⊕ chunk 1 ⊕ …;  out = acc / l
//! ```
//!
//! In [`super::forward()`] a batch of one would keep one thread busy, and values would be broadcast
//! to lanes that stand empty. Each score and each sum is the same chain of fused multiply-adds as
//! there, in the same order and from the same block and chunk boundaries: both give the same bits.
//!
//! Memory limits: while a block's scores are made its values are fetched, while its values are
//! summed the next block's keys.

use std::ops::Range;

use fearless_simd::prelude::*;
use fearless_simd_macros::simd;

use super::forward::{CHUNK, KEYS, LANES, Lane, Tile, log_sum_exp, query_scale};
use super::phases::pack;
use super::problem::{Problem, Sizes};
use super::single;
use super::softmax::{State, add, exponentials, origin};
use super::work::{Layout, Work};
use crate::Context;
use crate::error::Error;
use crate::gemm::panel::Block;
use crate::scratch::Scratch;
use crate::simd::math::exp2;
use crate::simd::{Float, Lanes, Real, prefetch};
use crate::threads::{self, Turn};
use crate::view::{Plane, Rows, ViewMut};

/// Most queries a key head that are served here.
const FEW: usize = 8;

/// Whether this module is the quicker one.
pub(super) fn serves<S: Simd, T: Real>(_: S, sizes: &Sizes, _: &Problem<'_, T>) -> bool {
    let rows = sizes.group * sizes.queries;
    rows > 0 && rows <= FEW.min(2 * Lanes::<S, T>::LEN)
}

/// Attention of every key head.
#[inline(always)]
pub(super) fn run<S: Simd, T: Real>(
    simd: S,
    problem: &Problem<'_, T>,
    sizes: &Sizes,
    out: ViewMut<'_, T>,
    lse: Option<ViewMut<'_, T>>,
    context: &Context<'_>,
) -> Result<(), Error> {
    let rows = sizes.group * sizes.queries;
    let groups = sizes.items * sizes.key_heads;
    let chunks = sizes.keys.div_ceil(CHUNK).max(1);
    let widths = [
        Block::<S, T>::LEN,
        Lanes::<S, T>::LEN,
        2 * Lanes::<S, T>::LEN,
    ];
    let width = widths
        .into_iter()
        .find(|width| rows <= *width)
        .unwrap_or(LANES);

    let too_large = || Error::TooLarge {
        what: "the scratch of few queries",
    };
    let layout = Layout::new(problem, sizes, rows, width, Block::<S, T>::LEN).unchunked();
    let length = layout.length().ok_or_else(too_large)?;
    let tiles = groups.checked_mul(chunks).ok_or_else(too_large)?;
    let part = 2 * width + rows * sizes.value_dim;
    let states = tiles.checked_mul(part).ok_or_else(too_large)?;

    let out = out.split_rows(rows, rows)?;
    let lse = lse.map(|lse| lse.split_rows(rows, rows)).transpose()?;
    let scratch = Scratch::<T>::new(threads::workers(context, tiles), length)?;
    let whole = |group| Tile::new(problem, sizes, group, 0..rows);
    let lane = Lane {
        index: 0,
        rows: 0..rows,
        width,
    };

    if chunks == 1 {
        return threads::run(context, groups, &|turn: Turn<'_>| {
            let (mut buffer, tile) = (scratch.lock(turn.worker), whole(turn.tile));
            let mut work = layout.cut(&mut buffer);
            if attend(simd, &tile, &lane, &mut work, 0..sizes.keys, &turn) {
                let lse = lse.as_ref().map(|lse| lse.take(turn.tile));
                finish(simd, &tile, &lane, &mut work, &mut out.take(turn.tile), lse);
            }
        });
    }
    let parts = Scratch::<T>::new(1, states)?;
    let mut parts = parts.lock(0);
    let done = ViewMut::contiguous(&mut parts, &[tiles, part])?.split_rows(1, 1)?;
    threads::run(context, tiles, &|turn: Turn<'_>| {
        let (group, chunk) = (turn.tile / chunks, turn.tile % chunks);
        let mut buffer = scratch.lock(turn.worker);
        let mut work = layout.cut(&mut buffer);
        let keys = chunk * CHUNK..sizes.keys.min((chunk + 1) * CHUNK);
        if attend(simd, &whole(group), &lane, &mut work, keys, &turn) {
            let mut done = done.take(turn.tile);
            let (m, rest) = done.row(0).split_at_mut(width);
            let (l, acc) = rest.split_at_mut(width);
            let (mut panel, _) = work.panel(0, width);
            let state = panel.chunk();
            m.copy_from_slice(state.m);
            l.copy_from_slice(state.l);
            acc.copy_from_slice(&state.acc[..acc.len()]);
        }
    })?;
    drop(done);
    threads::run(context, groups, &|turn: Turn<'_>| {
        let (mut buffer, tile) = (scratch.lock(turn.worker), whole(turn.tile));
        let mut work = layout.cut(&mut buffer);
        let (mut panel, _) = work.panel(0, width);
        panel.clear();
        let state = panel.chunk();
        for part in parts[turn.tile * chunks * part..][..chunks * part].chunks_exact(part) {
            add_part(simd, state, part, rows);
        }
        let lse = lse.as_ref().map(|lse| lse.take(turn.tile));
        finish(simd, &tile, &lane, &mut work, &mut out.take(turn.tile), lse);
    })
}

/// Takes a key head's queries over `keys`, which start a chunk; false if the caller asked to stop.
fn attend<S: Simd, T: Real>(
    simd: S,
    tile: &Tile<'_, '_, T>,
    lane: &Lane,
    work: &mut Work<'_, T>,
    keys: Range<usize>,
    turn: &Turn<'_>,
) -> bool {
    let (mut panel, _) = work.panel(0, lane.width);
    pack(
        simd,
        tile,
        lane.clone(),
        query_scale(tile.problem),
        panel.query,
    );
    panel.clear();
    let Some(hidden) = sweep(simd, tile, lane, work, keys.clone(), turn, false) else {
        return false;
    };
    let (mut panel, _) = work.panel(0, lane.width);
    // As in forward: 0 · ∞ of a hidden value is taken out by a careful sweep.
    if hidden && panel.chunk().acc.iter().any(|x| *x - *x != T::ZERO) {
        panel.clear();
        return sweep(simd, tile, lane, work, keys, turn, true).is_some();
    }
    true
}

/// All blocks of `keys`: whether keys were hidden from a query, `None` when stopped.
fn sweep<S: Simd, T: Real>(
    simd: S,
    tile: &Tile<'_, '_, T>,
    lane: &Lane,
    work: &mut Work<'_, T>,
    keys: Range<usize>,
    turn: &Turn<'_>,
    careful: bool,
) -> Option<bool> {
    let Some((any, _)) = tile.queries.spans(lane.rows.clone()) else {
        return Some(false);
    };
    let keys = keys.start.max(any.first - any.first % KEYS)..keys.end.min(any.end);
    let mut hidden = false;
    for start in keys.clone().step_by(KEYS) {
        if turn.cancelled() {
            return None;
        }
        let block = start..keys.end.min(start + KEYS);
        let next = block.end..keys.end.min(block.end + KEYS);
        hidden |= if lane.width == Block::<S, T>::LEN {
            take::<S, T::Block<S>, 1>(simd, tile, lane, work, block, next, careful)
        } else if lane.width == Lanes::<S, T>::LEN {
            take::<S, Lanes<S, T>, 1>(simd, tile, lane, work, block, next, careful)
        } else {
            take::<S, Lanes<S, T>, 2>(simd, tile, lane, work, block, next, careful)
        };
    }
    Some(hidden)
}

/// One block of keys.
fn take<S: Simd, V: Float<S>, const N: usize>(
    simd: S,
    tile: &Tile<'_, '_, V::Element>,
    lane: &Lane,
    work: &mut Work<'_, V::Element>,
    keys: Range<usize>,
    next: Range<usize>,
    careful: bool,
) -> bool {
    if lane.rows.len() == 1 && tile.problem.is_plain() {
        single::take(simd, tile, lane, work, keys, next);
        return false;
    }
    let (mut panel, mut shared) = work.panel(0, lane.width);
    let (seen, hidden) = tile.scores::<S, V, N>(simd, panel.query, &mut shared, lane, &keys, true);
    if seen.is_empty() {
        return hidden;
    }
    let s = &mut shared.s[..seen.len() * lane.width];
    let State { m, l, acc } = panel.chunk();
    exponentials::<S, V, N>(simd, seen.start, s, m, l, shared.alpha);
    if careful {
        tile.mark(lane, seen.start, s);
    }
    let columns = tile.value.columns();
    for row in lane.rows.clone().step_by(4) {
        let sums = Sums {
            values: tile.value,
            seen: seen.clone(),
            keys: tile.key,
            next: if row == 0 { next.clone() } else { 0..0 },
            p: s,
            width: lane.width,
            row,
            alpha: shared.alpha,
        };
        let acc = &mut acc[row * columns..];
        match lane.rows.end - row {
            1 => values::<S, V::Element, 1>(simd, &sums, acc, careful),
            2 => values::<S, V::Element, 2>(simd, &sums, acc, careful),
            3 => values::<S, V::Element, 3>(simd, &sums, acc, careful),
            _ => values::<S, V::Element, 4>(simd, &sums, acc, careful),
        }
    }
    hidden
}

/// What a block's weighted sums are made from.
pub(super) struct Sums<'b, 'a, T> {
    pub(super) values: Plane<'a, T>,
    pub(super) seen: Range<usize>,
    /// The keys that are fetched meanwhile.
    pub(super) keys: Plane<'a, T>,
    pub(super) next: Range<usize>,
    /// Probabilities: [key][lane], `width` lanes.
    pub(super) p: &'b [T],
    pub(super) width: usize,
    /// The first row, and what its and the next rows' sums so far are multiplied by.
    pub(super) row: usize,
    pub(super) alpha: &'b [T],
}

/// `acc[r] = acc[r]·α_r + p_r V` for R rows. Careful: a probability of −0 adds nothing, whatever
/// its value holds.
#[simd]
#[inline(never)]
pub(super) fn values<S: Simd, T: Real, const R: usize>(
    simd: S,
    sums: &Sums<'_, '_, T>,
    acc: &mut [T],
    careful: bool,
) {
    let lanes = Lanes::<S, T>::LEN;
    let columns = sums.values.columns();
    let mut c = 0;
    while c < columns {
        let left = columns - c;
        c += if careful || left < 2 * lanes {
            strip::<S, T, R, 1>(simd, sums, c, acc, careful)
        } else if R > 2 || left < 4 * lanes {
            strip::<S, T, R, 2>(simd, sums, c, acc, false)
        } else if R == 1 && left >= 8 * lanes {
            strip::<S, T, R, 8>(simd, sums, c, acc, false)
        } else {
            strip::<S, T, R, 4>(simd, sums, c, acc, false)
        };
    }
}

/// N vectors of columns from `c` on, or what is left of one; returns how many columns those are.
#[inline(always)]
fn strip<S: Simd, T: Real, const R: usize, const N: usize>(
    simd: S,
    sums: &Sums<'_, '_, T>,
    c: usize,
    acc: &mut [T],
    careful: bool,
) -> usize {
    let lanes = Lanes::<S, T>::LEN;
    let columns = sums.values.columns();
    let width = (N * lanes).min(columns - c);
    let zero = Lanes::<S, T>::splat(simd, T::ZERO);
    let mut sum = [[zero; N]; R];
    let mut rest = [T::ZERO; LANES];
    // Whole rows of the next keys, spread evenly over the passes: memory likes them in order.
    let passes = columns.div_ceil(N * lanes);
    let step = c / (N * lanes) * sums.seen.len();
    let (mut ahead, mut turn) = (step.div_ceil(passes), step % passes);
    let mut i = 0;
    for p in sums.p.chunks_exact(sums.width) {
        if turn == 0 && ahead < sums.next.len() {
            prefetch(sums.keys.row(sums.next.start + ahead));
            ahead += 1;
        }
        turn = if turn + 1 == passes { 0 } else { turn + 1 };
        let row = &sums.values.row(sums.seen.start + i)[c..c + width];
        i += 1;
        let mut v = [zero; N];
        if width == N * lanes {
            for j in 0..N {
                v[j] = Lanes::<S, T>::from_slice(simd, &row[j * lanes..(j + 1) * lanes]);
            }
        } else {
            rest[..width].copy_from_slice(row);
            v[0] = Lanes::<S, T>::from_slice(simd, &rest[..lanes]);
        }
        let p = &p[sums.row..][..R];
        for r in 0..R {
            if careful && p[r] == T::ZERO && T::ONE / p[r] < T::ZERO {
                continue;
            }
            let p = Lanes::<S, T>::splat(simd, p[r]);
            for j in 0..N {
                sum[r][j] = v[j].mul_add(p, sum[r][j]);
            }
        }
    }
    for r in 0..R {
        let alpha = Lanes::<S, T>::splat(simd, sums.alpha[sums.row + r]);
        let row = &mut acc[r * columns + c..][..width];
        if width == N * lanes {
            for j in 0..N {
                let cell = &mut row[j * lanes..(j + 1) * lanes];
                let old = Lanes::<S, T>::from_slice(simd, cell);
                old.mul_add(alpha, sum[r][j]).store_slice(cell);
            }
        } else {
            rest[..width].copy_from_slice(row);
            let old = Lanes::<S, T>::from_slice(simd, &rest[..lanes]);
            old.mul_add(alpha, sum[r][0])
                .store_slice(&mut rest[..lanes]);
            row.copy_from_slice(&rest[..width]);
        }
    }
    width
}

/// Adds the state over a later chunk of keys, as [`super::softmax::merge`] does.
#[simd]
#[inline(never)]
fn add_part<S: Simd, T: Real>(simd: S, total: &mut State<'_, T>, part: &[T], rows: usize) {
    let lanes = Lanes::<S, T>::LEN;
    let (m, rest) = part.split_at(total.m.len());
    let (l, acc) = rest.split_at(total.m.len());
    let columns = acc.len() / rows;
    for row in 0..rows {
        let m0 = Lanes::<S, T>::splat(simd, total.m[row]);
        let m1 = Lanes::<S, T>::splat(simd, m[row]);
        let both = m0.max(m1);
        let from = origin(simd, both);
        let (a, b) = (exp2(simd, m0 - from), exp2(simd, m1 - from));
        let later = Lanes::<S, T>::splat(simd, l[row]) * b;
        total.l[row] = Lanes::<S, T>::splat(simd, total.l[row]).mul_add(a, later)[0];
        total.m[row] = both[0];
        let place = row * columns..(row + 1) * columns;
        let mut x = total.acc[place.clone()].chunks_exact_mut(lanes);
        let mut y = acc[place].chunks_exact(lanes);
        for (x, y) in (&mut x).zip(&mut y) {
            add::<S, Lanes<S, T>>(simd, x, a, y, b);
        }
        for (x, y) in x.into_remainder().iter_mut().zip(y.remainder()) {
            let later = Lanes::<S, T>::splat(simd, *y) * b;
            *x = Lanes::<S, T>::splat(simd, *x).mul_add(a, later)[0];
        }
    }
}

/// Divides by the denominators and writes rows and log-sum-exps.
fn finish<S: Simd, T: Real>(
    simd: S,
    tile: &Tile<'_, '_, T>,
    lane: &Lane,
    work: &mut Work<'_, T>,
    out: &mut Rows<'_, T>,
    mut lse: Option<Rows<'_, T>>,
) {
    let (mut panel, _) = work.panel(0, lane.width);
    let part = panel.chunk();
    let rows = lane.rows.len();
    let (mut m, mut l) = ([T::NEG_INFINITY; LANES], [T::ZERO; LANES]);
    let (mut sinks, mut factor) = ([T::ZERO; LANES], [T::ZERO; LANES]);
    m[..rows].copy_from_slice(&part.m[..rows]);
    l[..rows].copy_from_slice(&part.l[..rows]);
    let mut state = State {
        m: &mut m,
        l: &mut l,
        acc: &mut [],
    };
    tile.close(simd, &mut state, lane, &mut sinks, &mut factor);
    let columns = tile.value.columns();
    for row in 0..rows {
        let acc = &part.acc[row * columns..(row + 1) * columns];
        write(simd, acc, factor[row], out.row(row));
        if let Some(lse) = &mut lse {
            lse.row(row)[0] = log_sum_exp(state.m[row], state.l[row]);
        }
    }
}

/// One output row.
#[simd]
#[inline(never)]
fn write<S: Simd, T: Real>(_: S, acc: &[T], factor: T, out: &mut [T]) {
    for (out, acc) in out.iter_mut().zip(acc) {
        // + 0 makes −0 the zero that a row gives that summed nothing.
        *out = *acc * factor + T::ZERO;
    }
}
