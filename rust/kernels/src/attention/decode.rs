//! Few queries a key head: decoding, grouped heads, a handful of tokens.
//!
//! ```text
//! for each key head, for each CHUNK of its keys             (threads)
//!   for each block of KEYS in it, for up to four queries at once
//!     s[r][key] = q_r · K, four keys in the lanes of a 128-bit block, transposed in registers
//!     options;  m' = max(m, max s);  p = 2^(s − m');  l = l·α + Σp
//!     acc[r] = acc[r]·α + p_r V, columns in the lanes
//! for each key head: total = chunk 0 ⊕ chunk 1 ⊕ …;  out = acc / l
//! ```
//!
//! Lanes would stand empty in [`super::forward()`]'s panels, and a batch of one would keep one
//! thread busy. Each score and each sum is the same chain of fused multiply-adds as there, in the
//! same order and from the same block and chunk boundaries, so that both give the same bits.
//!
//! Memory limits: while a block's scores are made its values are fetched, while its values are
//! summed the next block's keys. Four queries × 8 keys, × 16 for fewer: enough chains to hide the
//! latency of a multiply-add.

use std::ops::Range;

use fearless_simd::prelude::*;
use fearless_simd_macros::simd;

use super::forward::{CHUNK, KEYS, LANES, Lane, Tile, log_sum_exp};
use super::mask::addend_row;
use super::problem::{Problem, Sizes};
use super::softmax::{State, origin};
use crate::Context;
use crate::error::Error;
use crate::gemm::panel::{Block, MOST, transpose};
use crate::scratch::Scratch;
use crate::simd::math::{exp2, tanh};
use crate::simd::{Lanes, Real, prefetch};
use crate::threads::{self, Turn};
use crate::view::{Plane, Rows, ViewMut};

/// Most queries a key head that are served here.
pub(super) const FEW: usize = 8;

/// Queries that are taken at once.
const ROWS: usize = 4;

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
    let too_large = || Error::TooLarge {
        what: "the scratch of few queries",
    };
    let length = Few::<T>::length(sizes, rows).ok_or_else(too_large)?;
    let tiles = groups.checked_mul(chunks).ok_or_else(too_large)?;
    let states = tiles
        .checked_mul(rows * (2 + sizes.value_dim))
        .ok_or_else(too_large)?;

    let out = out.split_rows(rows, rows)?;
    let lse = lse.map(|lse| lse.split_rows(rows, rows)).transpose()?;
    let scratch = Scratch::<T>::new(threads::workers(context, tiles), length)?;
    let whole = |group| Tile::new(problem, sizes, group, 0..rows);
    let lse_of = |group| lse.as_ref().map(|lse| lse.take(group));

    if chunks == 1 {
        return threads::run(context, groups, &|turn: Turn<'_>| {
            let mut buffer = scratch.lock(turn.worker);
            let mut few = Few::cut(whole(turn.tile), rows, &mut buffer);
            if few.attend(simd, 0..sizes.keys, &turn) {
                few.finish(simd, &mut out.take(turn.tile), lse_of(turn.tile));
            }
        });
    }
    let parts = Scratch::<T>::new(1, states)?;
    let mut parts = parts.lock(0);
    let row = states / tiles;
    let done = ViewMut::contiguous(&mut parts, &[tiles, row])?.split_rows(1, 1)?;
    threads::run(context, tiles, &|turn: Turn<'_>| {
        let (group, chunk) = (turn.tile / chunks, turn.tile % chunks);
        let mut buffer = scratch.lock(turn.worker);
        let mut few = Few::cut(whole(group), rows, &mut buffer);
        let keys = chunk * CHUNK..sizes.keys.min((chunk + 1) * CHUNK);
        if few.attend(simd, keys, &turn) {
            done.take(turn.tile).row(0).copy_from_slice(few.state);
        }
    })?;
    drop(done);
    threads::run(context, groups, &|turn: Turn<'_>| {
        let mut buffer = scratch.lock(turn.worker);
        let mut few = Few::cut(whole(turn.tile), rows, &mut buffer);
        few.clear();
        for part in parts[turn.tile * chunks * row..][..chunks * row].chunks_exact(row) {
            add_state(simd, few.state, part, rows);
        }
        few.finish(simd, &mut out.take(turn.tile), lse_of(turn.tile));
    })
}

/// A key head, its few queries, and the scratch they need.
struct Few<'b, 'p, 'a, T> {
    tile: Tile<'p, 'a, T>,
    rows: usize,
    /// The queries, scaled: [row][d].
    query: &'b mut [T],
    /// Scores, then probabilities: [row][key], KEYS and a margin a row.
    s: &'b mut [T],
    /// Mask and bias of one row.
    addend: &'b mut [T],
    /// m and l of each row, then acc: [row][column].
    state: &'b mut [T],
}

/// Room behind a row of scores: a full vector, or a full group of keys, may end beyond KEYS.
const MARGIN: usize = 16;
const STRIDE: usize = KEYS + MARGIN;

impl<'b, 'p, 'a, T: Real> Few<'b, 'p, 'a, T> {
    /// Elements of one worker's scratch; `None` if that overflows.
    fn length(sizes: &Sizes, rows: usize) -> Option<usize> {
        let widths = sizes
            .head_dim
            .checked_add(sizes.value_dim)?
            .checked_add(2)?;
        widths.checked_mul(rows)?.checked_add((ROWS + 1) * STRIDE)
    }

    fn cut(tile: Tile<'p, 'a, T>, rows: usize, buffer: &'b mut [T]) -> Self {
        let (s, rest) = buffer.split_at_mut(ROWS * STRIDE);
        let (addend, rest) = rest.split_at_mut(STRIDE);
        let (query, state) = rest.split_at_mut(rows * tile.key.columns());
        Self {
            tile,
            rows,
            query,
            s,
            addend,
            state,
        }
    }

    /// Nothing seen yet.
    fn clear(&mut self) {
        self.state.fill(T::ZERO);
        self.state[..self.rows].fill(T::NEG_INFINITY);
    }

    /// Takes all queries over `keys`, which start a chunk; false if the caller asked to stop.
    fn attend<S: Simd>(&mut self, simd: S, keys: Range<usize>, turn: &Turn<'_>) -> bool {
        let problem = self.tile.problem;
        let scale = super::forward::query_scale(problem);
        let depth = self.tile.key.columns();
        for (i, row) in self.tile.queries.rows(0..self.rows) {
            let query = problem.query.plane(row.head);
            let packed = &mut self.query[i * depth..(i + 1) * depth];
            packed
                .iter_mut()
                .zip(query.row(row.query))
                .for_each(|(x, q)| *x = *q * scale);
        }
        for first in (0..self.rows).step_by(ROWS) {
            let rows = first..self.rows.min(first + ROWS);
            if first == 0 {
                self.clear();
            }
            let Some(hidden) = self.sweep(simd, rows.clone(), keys.clone(), turn, false) else {
                return false;
            };
            let columns = self.tile.value.columns();
            let acc = 2 * self.rows + rows.start * columns..2 * self.rows + rows.end * columns;
            if hidden && self.state[acc.clone()].iter().any(|x| *x - *x != T::ZERO) {
                self.state[rows.clone()].fill(T::NEG_INFINITY);
                self.state[self.rows + rows.start..self.rows + rows.end].fill(T::ZERO);
                self.state[acc].fill(T::ZERO);
                if self.sweep(simd, rows, keys.clone(), turn, true).is_none() {
                    return false;
                }
            }
        }
        true
    }

    /// Up to four queries over `keys`: whether keys were hidden from them, `None` when stopped.
    fn sweep<S: Simd>(
        &mut self,
        simd: S,
        rows: Range<usize>,
        keys: Range<usize>,
        turn: &Turn<'_>,
        careful: bool,
    ) -> Option<bool> {
        let Some((any, all)) = self.tile.queries.spans(rows.clone()) else {
            return Some(false);
        };
        let mut hidden = false;
        for start in keys.clone().step_by(KEYS) {
            if turn.cancelled() {
                return None;
            }
            let end = keys.end.min(start + KEYS);
            let seen = start.max(any.first)..end.min(any.end);
            if seen.is_empty() {
                continue;
            }
            hidden |= self.tile.problem.mask.is_some()
                || self.tile.problem.bias.is_some()
                || all.first > seen.start
                || all.end < seen.end;
            let next = keys.end.min(any.end).min(end + KEYS);
            let next = end.min(next)..next;
            match rows.len() {
                1 => self.block::<S, 1>(simd, rows.start, start, seen, next, careful),
                2 => self.block::<S, 2>(simd, rows.start, start, seen, next, careful),
                3 => self.block::<S, 3>(simd, rows.start, start, seen, next, careful),
                _ => self.block::<S, 4>(simd, rows.start, start, seen, next, careful),
            }
        }
        Some(hidden)
    }

    /// One block of keys for R queries from `first` on. Positions count from key `origin`.
    fn block<S: Simd, const R: usize>(
        &mut self,
        simd: S,
        first: usize,
        origin: usize,
        seen: Range<usize>,
        next: Range<usize>,
        careful: bool,
    ) {
        let problem = self.tile.problem;
        let (depth, columns) = (self.tile.key.columns(), self.tile.value.columns());
        let query = &self.query[first * depth..(first + R) * depth];
        scores::<S, T, R>(
            simd,
            self.tile.key,
            self.tile.value,
            seen.clone(),
            query,
            self.s,
        );
        let mut alpha = [T::ZERO; R];
        for r in 0..R {
            let row = self.tile.queries.row(first + r);
            let s = &mut self.s[r * STRIDE..(r + 1) * STRIDE];
            let addend = problem.mask.is_some() || problem.bias.is_some();
            if addend {
                addend_row(problem, row, seen.clone(), &mut self.addend[..seen.len()]);
            }
            let of_item = |x: crate::view::View<'_, T>| self.tile.of_head(x, row.head);
            let base = row.position.saturating_sub(origin as i64) as f64;
            let within =
                |key: usize| T::from_f64((key.clamp(seen.start, seen.end) - origin) as f64);
            let limited = row.span.first > seen.start || row.span.end < seen.end;
            let options = Options {
                softcap: problem.softcap.map(|cap| cap * T::LOG2_E),
                alibi: problem
                    .alibi_slopes
                    .map(|x| (of_item(x), T::from_f64(base))),
                addend: addend.then_some(&*self.addend),
                limits: limited.then(|| (within(row.span.first), within(row.span.end))),
                first: T::from_f64((seen.start - origin) as f64),
            };
            let (m, rest) = self.state.split_at_mut(self.rows);
            alpha[r] = softmax(
                simd,
                s,
                seen.len(),
                &options,
                &mut m[first + r],
                &mut rest[first + r],
            );
            if careful {
                for (p, key) in s.iter_mut().zip(seen.clone()) {
                    if !row.sees(problem, key) {
                        *p = -T::ZERO;
                    }
                }
            }
        }
        let acc = &mut self.state[2 * self.rows + first * columns..][..R * columns];
        let (key, value) = (self.tile.key, self.tile.value);
        if careful {
            values::<S, T, R, true>(simd, value, key, seen, next, self.s, alpha, acc);
        } else {
            values::<S, T, R, false>(simd, value, key, seen, next, self.s, alpha, acc);
        }
    }

    /// Divides by the denominators and writes rows and log-sum-exps.
    fn finish<S: Simd>(&mut self, simd: S, out: &mut Rows<'_, T>, mut lse: Option<Rows<'_, T>>) {
        let (mut m, mut l) = ([T::NEG_INFINITY; LANES], [T::ZERO; LANES]);
        let (mut sinks, mut factor) = ([T::ZERO; LANES], [T::ZERO; LANES]);
        m[..self.rows].copy_from_slice(&self.state[..self.rows]);
        l[..self.rows].copy_from_slice(&self.state[self.rows..2 * self.rows]);
        let mut state = State {
            m: &mut m,
            l: &mut l,
            acc: &mut [],
        };
        let lane = Lane {
            index: 0,
            rows: 0..self.rows,
            width: LANES,
        };
        self.tile
            .close(simd, &mut state, &lane, &mut sinks, &mut factor);
        let columns = self.tile.value.columns();
        for row in 0..self.rows {
            let acc = &self.state[2 * self.rows + row * columns..][..columns];
            write(simd, acc, factor[row], out.row(row));
            if let Some(lse) = &mut lse {
                lse.row(row)[0] = log_sum_exp(state.m[row], state.l[row]);
            }
        }
    }
}

/// What happens to one row of scores before the exponential, as in [`super::mask`].
struct Options<'b, T> {
    softcap: Option<T>,
    /// Slope in base 2, and the query's position less the block's.
    alibi: Option<(T, T)>,
    addend: Option<&'b [T]>,
    /// First visible key and end, less the block's position.
    limits: Option<(T, T)>,
    /// The first key, less the block's position.
    first: T,
}

/// `s[r][key] = q_r · k` for R queries.
#[simd]
#[inline(never)]
fn scores<S: Simd, T: Real, const R: usize>(
    simd: S,
    keys: Plane<'_, T>,
    values: Plane<'_, T>,
    seen: Range<usize>,
    query: &[T],
    s: &mut [T],
) {
    let mut key = seen.start;
    while key < seen.end {
        let s = &mut s[key - seen.start..];
        if R > 2 {
            key += group::<S, T, R, 2>(simd, keys, values, key..seen.end, query, s);
        } else {
            key += group::<S, T, R, 4>(simd, keys, values, key..seen.end, query, s);
        }
    }
}

/// G blocks of keys; returns how many keys those are.
#[inline(always)]
fn group<S: Simd, T: Real, const R: usize, const G: usize>(
    simd: S,
    keys: Plane<'_, T>,
    values: Plane<'_, T>,
    range: Range<usize>,
    query: &[T],
    s: &mut [T],
) -> usize {
    let block = Block::<S, T>::LEN;
    let depth = keys.columns();
    let zero = Block::<S, T>::splat(simd, T::ZERO);
    let mut acc = [[zero; R]; G];
    let mut rows = [[&query[..0]; MOST]; G];
    for g in 0..G {
        for i in 0..block {
            // Beyond the last key stands the last key again: its score is not looked at.
            let key = (range.start + g * block + i).min(range.end - 1);
            rows[g][i] = &keys.row(key)[..depth];
            prefetch(values.row(key));
        }
    }
    let full = depth - depth % block;
    for d in (0..full).step_by(block) {
        for g in 0..G {
            let mut k = [zero; MOST];
            for i in 0..block {
                k[i] = Block::<S, T>::from_slice(simd, &rows[g][i][d..d + block]);
            }
            transpose(&mut k);
            for r in 0..R {
                let q = &query[r * depth + d..][..block];
                for i in 0..block {
                    acc[g][r] = k[i].mul_add(Block::<S, T>::splat(simd, q[i]), acc[g][r]);
                }
            }
        }
    }
    for d in full..depth {
        for g in 0..G {
            let mut k = [T::ZERO; MOST];
            for i in 0..block {
                k[i] = rows[g][i][d];
            }
            let k = Block::<S, T>::from_slice(simd, &k[..block]);
            for r in 0..R {
                let q = Block::<S, T>::splat(simd, query[r * depth + d]);
                acc[g][r] = k.mul_add(q, acc[g][r]);
            }
        }
    }
    for g in 0..G {
        for r in 0..R {
            acc[g][r].store_slice(&mut s[r * STRIDE + g * block..][..block]);
        }
    }
    G * block
}

/// Options, maximum, exponentials and sum of one row of `count` scores; returns α.
#[simd]
#[inline(never)]
fn softmax<S: Simd, T: Real>(
    simd: S,
    s: &mut [T],
    count: usize,
    options: &Options<'_, T>,
    m: &mut T,
    l: &mut T,
) -> T {
    let lanes = Lanes::<S, T>::LEN;
    let padded = count.next_multiple_of(lanes);
    let hidden = Lanes::<S, T>::splat(simd, T::NEG_INFINITY);
    s[count..padded].fill(T::NEG_INFINITY);
    let mut at = Lanes::<S, T>::from_fn(simd, |lane| T::from_f64(lane as f64)) + options.first;
    let step = T::from_f64(lanes as f64);
    let mut largest = hidden;
    for (i, cell) in s[..padded].chunks_exact_mut(lanes).enumerate() {
        let mut x = Lanes::<S, T>::from_slice(simd, cell);
        if let Some(softcap) = options.softcap {
            x = tanh(simd, x) * softcap;
        }
        if let Some((slope, base)) = options.alibi {
            let distance = (Lanes::<S, T>::splat(simd, base) - at).abs();
            x = x - Lanes::<S, T>::splat(simd, slope) * distance;
        }
        if let Some(addend) = options.addend {
            let add = Lanes::<S, T>::from_slice(simd, &addend[i * lanes..(i + 1) * lanes]);
            x = add.simd_eq(hidden).select(hidden, x + add);
        }
        if let Some((low, high)) = options.limits {
            let low = at.simd_ge(Lanes::<S, T>::splat(simd, low));
            x = (low & at.simd_lt(Lanes::<S, T>::splat(simd, high))).select(x, hidden);
        }
        at = at + step;
        x.store_slice(cell);
        largest = largest.max(x);
    }
    // What the options made of the padding is not a key.
    s[count..padded].fill(T::NEG_INFINITY);
    if padded > count {
        largest = hidden;
        for cell in s[..padded].chunks_exact(lanes) {
            largest = largest.max(Lanes::<S, T>::from_slice(simd, cell));
        }
    }
    let mut after = *m;
    for lane in 0..lanes {
        after = if largest[lane] > after {
            largest[lane]
        } else {
            after
        };
    }
    let from = if after == T::NEG_INFINITY {
        T::ZERO
    } else {
        after
    };
    let alpha = exp2(simd, Lanes::<S, T>::splat(simd, *m - from));
    for cell in s[..padded].chunks_exact_mut(lanes) {
        exp2(simd, Lanes::<S, T>::from_slice(simd, cell) - from).store_slice(cell);
    }
    let mut sum = T::ZERO;
    for p in &s[..count] {
        sum += *p;
    }
    let sum = Lanes::<S, T>::splat(simd, sum);
    *l = Lanes::<S, T>::splat(simd, *l).mul_add(alpha, sum)[0];
    *m = after;
    alpha[0]
}

/// `acc[r] = acc[r]·α_r + p_r V`, fetching the `next` keys meanwhile. `CAREFUL`: a probability of
/// −0 adds nothing, whatever its value holds.
#[simd]
#[inline(never)]
#[expect(clippy::too_many_arguments, reason = "one phase, one register tile")]
fn values<S: Simd, T: Real, const R: usize, const CAREFUL: bool>(
    simd: S,
    values: Plane<'_, T>,
    keys: Plane<'_, T>,
    seen: Range<usize>,
    next: Range<usize>,
    p: &[T],
    alpha: [T; R],
    acc: &mut [T],
) {
    let lanes = Lanes::<S, T>::LEN;
    let columns = values.columns();
    let mut c = 0;
    while c < columns {
        let fetch = Fetch {
            keys,
            next: next.clone(),
            column: c,
        };
        let left = columns - c;
        c += if R > 2 && left >= 2 * lanes {
            sums::<S, T, R, 2, CAREFUL>(simd, values, &seen, c, p, alpha, acc, fetch)
        } else if R <= 2 && left >= 4 * lanes {
            sums::<S, T, R, 4, CAREFUL>(simd, values, &seen, c, p, alpha, acc, fetch)
        } else {
            sums::<S, T, R, 1, CAREFUL>(simd, values, &seen, c, p, alpha, acc, fetch)
        };
    }
}

/// The part of the next block's keys that is fetched beside some columns of the values.
struct Fetch<'a, T> {
    keys: Plane<'a, T>,
    next: Range<usize>,
    column: usize,
}

/// N vectors of columns from `c` on, or what is left of one; returns how many columns those are.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "one register tile")]
fn sums<S: Simd, T: Real, const R: usize, const N: usize, const CAREFUL: bool>(
    simd: S,
    values: Plane<'_, T>,
    seen: &Range<usize>,
    c: usize,
    p: &[T],
    alpha: [T; R],
    acc: &mut [T],
    fetch: Fetch<'_, T>,
) -> usize {
    let lanes = Lanes::<S, T>::LEN;
    let columns = values.columns();
    let width = (N * lanes).min(columns - c);
    let zero = Lanes::<S, T>::splat(simd, T::ZERO);
    let mut sum = [[zero; N]; R];
    let mut rest = [T::ZERO; LANES];
    for (i, key) in seen.clone().enumerate() {
        if i < fetch.next.len() && fetch.column < fetch.keys.columns() {
            let row = &fetch.keys.row(fetch.next.start + i)[fetch.column..];
            prefetch(&row[..row.len().min(N * lanes)]);
        }
        let row = &values.row(key)[c..c + width];
        let mut v = [zero; N];
        if width == N * lanes {
            for j in 0..N {
                v[j] = Lanes::<S, T>::from_slice(simd, &row[j * lanes..(j + 1) * lanes]);
            }
        } else {
            rest[..width].copy_from_slice(row);
            v[0] = Lanes::<S, T>::from_slice(simd, &rest[..lanes]);
        }
        for r in 0..R {
            let weight = p[r * STRIDE + i];
            if CAREFUL && weight == T::ZERO && T::ONE / weight < T::ZERO {
                continue;
            }
            let weight = Lanes::<S, T>::splat(simd, weight);
            for j in 0..N {
                sum[r][j] = v[j].mul_add(weight, sum[r][j]);
            }
        }
    }
    for r in 0..R {
        let row = &mut acc[r * columns + c..][..width];
        for j in 0..N {
            if width == N * lanes {
                let cell = &mut row[j * lanes..(j + 1) * lanes];
                let old = Lanes::<S, T>::from_slice(simd, cell);
                let alpha = Lanes::<S, T>::splat(simd, alpha[r]);
                old.mul_add(alpha, sum[r][j]).store_slice(cell);
            } else {
                rest[..width].copy_from_slice(row);
                let old = Lanes::<S, T>::from_slice(simd, &rest[..lanes]);
                let alpha = Lanes::<S, T>::splat(simd, alpha[r]);
                old.mul_add(alpha, sum[r][j])
                    .store_slice(&mut rest[..lanes]);
                row.copy_from_slice(&rest[..width]);
            }
        }
    }
    width
}

/// Adds the state over a later chunk of keys, as [`super::softmax::merge`] does.
#[simd]
#[inline(never)]
fn add_state<S: Simd, T: Real>(simd: S, total: &mut [T], part: &[T], rows: usize) {
    let lanes = Lanes::<S, T>::LEN;
    let columns = total.len() / rows - 2;
    for row in 0..rows {
        let (m0, m1) = (total[row], part[row]);
        let m = if m1 > m0 { m1 } else { m0 };
        let from = origin::<S, T>(simd, Lanes::<S, T>::splat(simd, m));
        let a = exp2(simd, Lanes::<S, T>::splat(simd, m0) - from);
        let b = exp2(simd, Lanes::<S, T>::splat(simd, m1) - from);
        let later = Lanes::<S, T>::splat(simd, part[rows + row]) * b;
        total[rows + row] = Lanes::<S, T>::splat(simd, total[rows + row]).mul_add(a, later)[0];
        total[row] = m;
        let place = 2 * rows + row * columns..2 * rows + (row + 1) * columns;
        let (x, y) = (&mut total[place.clone()], &part[place]);
        let mut x = x.chunks_exact_mut(lanes);
        let mut y = y.chunks_exact(lanes);
        for (x, y) in (&mut x).zip(&mut y) {
            let later = Lanes::<S, T>::from_slice(simd, y) * b;
            Lanes::<S, T>::from_slice(simd, x)
                .mul_add(a, later)
                .store_slice(x);
        }
        for (x, y) in x.into_remainder().iter_mut().zip(y.remainder()) {
            let later = Lanes::<S, T>::splat(simd, *y) * b;
            *x = Lanes::<S, T>::splat(simd, *x).mul_add(a, later)[0];
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
