//! Attention forward: `out = softmax(scale·Q Kᵀ + …) V` in one pass over K and V.
//!
//! ```text
//! for each TILE of queries that share a key head            (threads)
//!   queries → panels [d][lane], scale·log₂e multiplied in
//!   for each CHUNK of keys, for each block of KEYS in it that some query sees
//!     for each panel: s = K_block · panel;  options;  m' = max(m, max s);  p = 2^(s − m')
//!                     α = 2^(m − m');  l = l·α + Σp;  acc = acc·α + pᵀ V_block;  m = m'
//!   total = total ⊕ chunk                                   (by their maxima)
//!   out = acc / l;  lse = ln 2·(m + log₂ l).  l = 0: the row saw nothing, out = 0, lse = −∞
//! ```
//!
//! Queries stand in the lanes, so that an output element is one chain of fused multiply-adds in
//! the order of keys and nothing is summed across lanes. Blocks and chunks stand at fixed
//! positions from key 0. Hence a query's bits depend on its own row, keys and values alone: not on
//! threads, neighbours, padding, tile shapes or, where there is fused multiply-add, on the level.
//!
//! KEYS = 256: scores of a panel (256 × 16 × 4 B) take half of a 32 KiB L1; keys and values of a
//! block (2 × 64 KiB at head_dim 64) stay in L2 while the tile's panels pass. CHUNK = 2048 keys:
//! the unit in which few queries share many keys among threads.
//! Source: Milakov & Gimelshein 2018 (online softmax), Dao 2023 (loop order).

use fearless_simd::prelude::*;

use super::decode;
use super::mask::{Adjust, addend, adjust, limits};
use super::phases::{pack, scores, values, write};
use super::problem::{Problem, Sizes};
use super::queries::Queries;
use super::single;
use super::softmax::{State, close, exponentials, merge};
use super::work::{Layout, MOST, Shared, Work};
use crate::Context;
use crate::error::Error;
use crate::gemm::panel::{self, Block};
use crate::scratch::Scratch;
use crate::simd::{Float, Lanes, Real};
use crate::threads::{self, Turn};
use crate::view::{Plane, RowTiles, Rows, View, ViewMut};
use std::ops::Range;

/// Keys of a block.
pub(super) const KEYS: usize = 256;
/// Keys of a chunk.
pub(super) const CHUNK: usize = 8 * KEYS;
/// Vectors of a full panel.
pub(super) const NR: usize = 2;
/// Most lanes of a panel: two vectors of sixteen.
pub(super) const LANES: usize = 32;
/// Most queries of a tile.
const TILE: usize = 128;

/// Attention of every item and head into `out` (lead…, heads, queries, value head_dim) and, where
/// asked, the logarithm of each row's denominator into `lse` (lead…, heads, queries, 1).
///
/// # Errors
/// If shapes do not go together, memory cannot be had, or the caller asked to stop.
pub fn forward<T: Real>(
    problem: &Problem<'_, T>,
    out: ViewMut<'_, T>,
    lse: Option<ViewMut<'_, T>>,
    context: &Context<'_>,
) -> Result<(), Error> {
    let sizes = problem.sizes()?;
    let rows = &problem.query.shape()[..problem.query.rank() - 1];
    let expect = |argument, given: &[usize], last| {
        let wanted = [rows, &[last]].concat();
        let given = given.to_vec();
        if given == wanted {
            return Ok(());
        }
        Err(Error::Shape {
            argument,
            given,
            allowed: format!("{wanted:?}"),
        })
    };
    expect("out", out.shape(), sizes.value_dim)?;
    if let Some(lse) = &lse {
        expect("lse", lse.shape(), 1)?;
    }
    fearless_simd::dispatch!(context.level, simd => {
        if decode::serves(simd, &sizes, problem) {
            decode::run(simd, problem, &sizes, out, lse, context)
        } else {
            run(simd, problem, &sizes, out, lse, context)
        }
    })
}

/// Tiles, scratch and threads of one call.
#[inline(always)]
fn run<S: Simd, T: Real>(
    simd: S,
    problem: &Problem<'_, T>,
    sizes: &Sizes,
    out: ViewMut<'_, T>,
    lse: Option<ViewMut<'_, T>>,
    context: &Context<'_>,
) -> Result<(), Error> {
    let tiling = Tiling::new::<S, T>(sizes, context);
    let out = tiling.split(out)?;
    let lse = lse.map(|lse| tiling.split(lse)).transpose()?;
    tiling.run(simd, problem, sizes, context, &|tile, work, turn, index| {
        if tile.attend(simd, work, turn) {
            tile.finish(
                simd,
                work,
                out.take(index),
                lse.as_ref().map(|lse| lse.take(index)),
            );
        }
    })
}

/// How queries are cut into tiles. No bit depends on it.
pub(super) struct Tiling {
    /// Queries that share a key head.
    rows: usize,
    /// Key heads of all items.
    groups: usize,
    per_tile: usize,
}

impl Tiling {
    pub(super) fn new<S: Simd, T: Real>(sizes: &Sizes, context: &Context<'_>) -> Self {
        let rows = sizes.group * sizes.queries;
        let groups = sizes.items * sizes.key_heads;
        let mut per_tile = TILE;
        let enough = 4 * context.threads;
        while per_tile > NR * Lanes::<S, T>::LEN && groups * rows.div_ceil(per_tile) < enough {
            per_tile /= 2;
        }
        Self {
            rows,
            groups,
            per_tile,
        }
    }

    pub(super) fn split<'a, T>(&self, out: ViewMut<'a, T>) -> Result<RowTiles<'a, T>, Error> {
        out.split_rows(self.rows.max(1), self.per_tile)
    }

    /// Calls `work` for each tile with its scratch and its index among the output's tiles.
    #[inline(always)]
    pub(super) fn run<S: Simd, T: Real>(
        &self,
        _: S,
        problem: &Problem<'_, T>,
        sizes: &Sizes,
        context: &Context<'_>,
        work: &(dyn Fn(Tile<'_, '_, T>, &mut Work<'_, T>, &Turn<'_>, usize) + Sync),
    ) -> Result<(), Error> {
        let parts = self.rows.div_ceil(self.per_tile);
        let tiles = self.groups * parts;
        if tiles == 0 {
            return Ok(());
        }
        let width = NR * Lanes::<S, T>::LEN;
        let layout = Layout::new(
            problem,
            sizes,
            self.per_tile.min(self.rows),
            width,
            panel::block::<S, T>(),
        );
        let length = layout.length().ok_or(Error::TooLarge {
            what: "the scratch of one tile",
        })?;
        let scratch = Scratch::<T>::new(threads::workers(context, tiles), length)?;
        threads::run(context, tiles, &|turn: Turn<'_>| {
            // The last queries of a causal problem see most: they go first.
            let (group, part) = (turn.tile / parts, parts - 1 - turn.tile % parts);
            let first = part * self.per_tile;
            let rows = first..self.rows.min(first + self.per_tile);
            let mut buffer = scratch.lock(turn.worker);
            let tile = Tile::new(problem, sizes, group, rows);
            work(
                tile,
                &mut layout.cut(&mut buffer),
                &turn,
                group * parts + part,
            );
        })
    }
}

/// Queries that share a key head, and that head.
pub(super) struct Tile<'p, 'a, T> {
    pub(super) problem: &'p Problem<'a, T>,
    pub(super) key: Plane<'a, T>,
    pub(super) value: Plane<'a, T>,
    pub(super) queries: Queries<'p, 'a, T>,
    /// Heads of an item, to tell an item's sinks and slopes.
    heads: usize,
}

/// One panel of a tile.
#[derive(Clone)]
pub(super) struct Lane {
    /// Index among the tile's panels.
    pub(super) index: usize,
    /// Its queries, counted within the tile.
    pub(super) rows: Range<usize>,
    /// Lanes: one vector where that is enough.
    pub(super) width: usize,
}

impl<'p, 'a, T: Real> Tile<'p, 'a, T> {
    /// Rows `range` of key head `group` (counted over all items): heads one after the other.
    pub(super) fn new(
        problem: &'p Problem<'a, T>,
        sizes: &Sizes,
        group: usize,
        range: Range<usize>,
    ) -> Self {
        let key = problem.key.plane(group);
        // Without values there are no value columns, so the keys' plane is never read as values.
        let value = problem.value.map_or(key, |value| value.plane(group));
        let queries = Queries::new(problem, sizes, group, range);
        Self {
            problem,
            key,
            value,
            queries,
            heads: sizes.heads,
        }
    }

    /// The tile's panels.
    pub(super) fn panels<S: Simd>(&self) -> impl Iterator<Item = Lane> + use<S, T> {
        let lanes = Lanes::<S, T>::LEN;
        let (full, count) = (NR * lanes, self.queries.count());
        (0..count.div_ceil(full)).map(move |index| {
            let rows = index * full..count.min((index + 1) * full);
            let width = if rows.len() <= lanes { lanes } else { full };
            Lane { index, rows, width }
        })
    }

    /// Scores, softmax and weighted sums of all panels; false if the caller asked to stop.
    pub(super) fn attend<S: Simd>(&self, simd: S, work: &mut Work<'_, T>, turn: &Turn<'_>) -> bool {
        let scale = query_scale(self.problem);
        for lane in self.panels::<S>() {
            let (mut panel, _) = work.panel(lane.index, lane.width);
            pack(simd, self, lane, scale, panel.query);
            panel.clear();
        }
        let mut hidden = [false; MOST];
        let all = 0..self.panels::<S>().count();
        if !self.sweep(simd, work, turn, all, &mut hidden, false) {
            return false;
        }
        // 0 · ∞ and 0 · NaN: what a hidden value left behind is taken out by a second, careful
        // sweep. Values that are visible show in both.
        for Lane { index, width, .. } in self.panels::<S>() {
            let (mut panel, _) = work.panel(index, width);
            if hidden[index] && panel.result().acc.iter().any(|x| *x - *x != T::ZERO) {
                panel.clear();
                if !self.sweep(simd, work, turn, index..index + 1, &mut hidden, true) {
                    return false;
                }
            }
        }
        true
    }

    /// Takes some panels over all their keys; marks those of whose keys some were hidden.
    fn sweep<S: Simd>(
        &self,
        simd: S,
        work: &mut Work<'_, T>,
        turn: &Turn<'_>,
        chosen: Range<usize>,
        hidden: &mut [bool; MOST],
        careful: bool,
    ) -> bool {
        let width = NR * Lanes::<S, T>::LEN;
        let rows = chosen.start * width..self.queries.count().min(chosen.end * width);
        let Some((any, _)) = self.queries.spans(rows) else {
            return true;
        };
        let panels = || self.panels::<S>().skip(chosen.start).take(chosen.len());
        for chunk in any.first / CHUNK..any.end.div_ceil(CHUNK) {
            let end = any.end.min((chunk + 1) * CHUNK);
            for first in (chunk * CHUNK..end).step_by(KEYS) {
                if turn.cancelled() {
                    return false;
                }
                let keys = first..end.min(first + KEYS);
                for lane in panels() {
                    let index = lane.index;
                    hidden[index] |= if lane.width < width {
                        self.block::<S, 1>(simd, work, lane, &keys, careful)
                    } else {
                        self.block::<S, NR>(simd, work, lane, &keys, careful)
                    };
                }
            }
            for Lane { index, width, .. } in panels() {
                let (mut panel, _) = work.panel(index, width);
                panel.close_chunk(|total, chunk| merge(simd, total, chunk));
            }
        }
        true
    }

    /// One block of keys for one panel; true if some of its keys were hidden from some of its rows.
    fn block<S: Simd, const N: usize>(
        &self,
        simd: S,
        work: &mut Work<'_, T>,
        lane: Lane,
        keys: &Range<usize>,
        careful: bool,
    ) -> bool {
        let (panel, mut shared) = work.panel(lane.index, lane.width);
        let (seen, hidden) = self.scores::<S, Lanes<S, T>, N>(
            simd,
            panel.query,
            &mut shared,
            &lane,
            keys,
            lane.index == 0,
        );
        if seen.is_empty() {
            return hidden;
        }
        let s = &mut shared.s[..seen.len() * lane.width];
        let State { m, l, acc } = panel.chunk;
        let fresh = std::mem::take(panel.fresh);
        if fresh {
            m.fill(T::NEG_INFINITY);
            l.fill(T::ZERO);
        }
        exponentials::<S, Lanes<S, T>, N>(simd, seen.start, s, m, l, shared.alpha);
        let alpha = (!fresh).then_some(&*shared.alpha);
        if careful {
            self.mark(&lane, seen.start, s);
            values::<S, T, N, true>(simd, self.value, seen.start, s, alpha, acc);
        } else {
            values::<S, T, N, false>(simd, self.value, seen.start, s, alpha, acc);
        }
        hidden
    }

    /// Scores of one block of keys into `shared.s`, options applied, and each lane's maximum into
    /// `shared.alpha`. Returns the keys that were scored, and whether some were hidden from a row.
    /// `fetch`: their values are asked for meanwhile.
    pub(super) fn scores<S: Simd, V: Float<S, Element = T>, const N: usize>(
        &self,
        simd: S,
        query: &[T],
        shared: &mut Shared<'_, T>,
        lane: &Lane,
        keys: &Range<usize>,
        fetch: bool,
    ) -> (Range<usize>, bool) {
        let width = lane.width;
        let Some((any, all)) = self.queries.spans(lane.rows.clone()) else {
            return (0..0, false);
        };
        let seen = keys.start.max(any.first)..keys.end.min(any.end);
        if seen.is_empty() {
            return (0..0, false);
        }
        let problem = self.problem;
        let rows = || self.queries.rows(lane.rows.clone());
        let addends = problem.mask.is_some() || problem.bias.is_some();
        if addends {
            let tile = &mut shared.addend[..seen.len() * width];
            if !addend(
                simd,
                problem,
                rows(),
                seen.clone(),
                width,
                tile,
                shared.strip,
            ) {
                return (0..0, true);
            }
        }
        // Keys and positions count from the block's, so that no bit depends on a panel's span.
        let origin = keys.start;
        if problem.alibi_slopes.is_some() {
            self.per_head(problem.alibi_slopes, lane, shared.slope);
            shared.base.fill(T::ZERO);
            for (lane, row) in rows() {
                let base = row.position.saturating_sub(origin as i64);
                shared.base[lane] = T::from_f64(base as f64);
            }
        }
        shared.alpha.fill(T::NEG_INFINITY);
        let from = all.first.clamp(seen.start, seen.end);
        let to = all.end.clamp(from, seen.end);
        if from > seen.start || to < seen.end {
            limits(rows(), &seen, origin, shared.low, shared.high);
        }
        for (part, partial) in [
            (seen.start..from, true),
            (from..to, false),
            (to..seen.end, true),
        ] {
            if part.is_empty() {
                continue;
            }
            let place = (part.start - seen.start) * width..(part.end - seen.start) * width;
            let options = Adjust {
                softcap: problem.softcap.map(|cap| cap * T::LOG2_E),
                addend: addends.then(|| &shared.addend[place.clone()]),
                alibi: problem
                    .alibi_slopes
                    .map(|_| (&*shared.slope, &*shared.base)),
                limits: partial.then_some((&*shared.low, &*shared.high)),
                first: part.start - origin,
            };
            let s = &mut shared.s[place];
            let plain = options.is_nothing();
            let maximum = plain.then_some(&mut *shared.alpha);
            let fetch = fetch.then_some(self.value);
            if lane.rows.len() == 1 && width == Block::<S, T>::LEN {
                single::scores(simd, self.key, part.start, query, s, maximum, fetch);
            } else {
                scores::<S, V, N>(simd, self.key, part.start, query, s, maximum, fetch);
            }
            if !plain {
                adjust::<S, V, N>(simd, &options, s, shared.alpha);
            }
        }
        let hidden = addends || from > seen.start || to < seen.end;
        (seen, hidden)
    }

    /// A number a head into the lanes of its queries, in base 2.
    fn per_head(&self, numbers: Option<View<'_, T>>, lane: &Lane, lanes: &mut [T]) {
        lanes.fill(T::ZERO);
        if let Some(numbers) = numbers {
            for (lane, row) in self.queries.rows(lane.rows.clone()) {
                lanes[lane] = self.of_head(numbers, row.head);
            }
        }
    }

    /// A head's number, in base 2.
    pub(super) fn of_head(&self, numbers: View<'_, T>, head: usize) -> T {
        numbers.line(head / self.heads).get(head % self.heads) * T::LOG2_E
    }

    /// Turns the probabilities of hidden keys from 0 into −0, by which a careful sweep knows them.
    pub(super) fn mark(&self, lane: &Lane, first: usize, s: &mut [T]) {
        for (at, row) in self.queries.rows(lane.rows.clone()) {
            for (key, cells) in s.chunks_exact_mut(lane.width).enumerate() {
                if !row.sees(self.problem, first + key) {
                    cells[at] = -T::ZERO;
                }
            }
        }
    }

    /// Closes a panel's sums: `factor` becomes what they are multiplied by to give the output.
    pub(super) fn close<S: Simd>(
        &self,
        simd: S,
        state: &mut State<'_, T>,
        lane: &Lane,
        sinks: &mut [T],
        factor: &mut [T],
    ) {
        let given = self.problem.sinks;
        self.per_head(given, lane, sinks);
        close(simd, state, given.is_some().then_some(sinks), factor);
        if state.l[..lane.rows.len()].iter().all(|l| *l != T::ZERO) {
            return;
        }
        for (lane, row) in self.queries.rows(lane.rows.clone()) {
            // Every visible score was −∞: 0/0, as in the formula.
            if state.l[lane] == T::ZERO && row.sees_any(self.problem) {
                (state.m[lane], factor[lane]) = (T::NAN, T::NAN);
            }
        }
    }

    /// Divides by the denominators and writes rows and log-sum-exps.
    fn finish<S: Simd>(
        &self,
        simd: S,
        work: &mut Work<'_, T>,
        mut out: Rows<'_, T>,
        mut lse: Option<Rows<'_, T>>,
    ) {
        for lane in self.panels::<S>() {
            let (mut panel, shared) = work.panel(lane.index, lane.width);
            let (first, rows) = (lane.rows.start, lane.rows.len());
            let state = panel.result();
            self.close(simd, state, &lane, shared.slope, shared.factor);
            if let Some(lse) = &mut lse {
                for lane in 0..rows {
                    lse.row(first + lane)[0] = log_sum_exp(state.m[lane], state.l[lane]);
                }
            }
            write(
                simd,
                state,
                shared.factor,
                rows,
                shared.strip,
                &mut out,
                first,
            );
        }
    }
}

/// ln 2·(m + log₂ l): −∞ where nothing was seen.
pub(super) fn log_sum_exp<T: Real>(m: T, l: T) -> T {
    T::from_f64((m.to_f64() + l.to_f64().log2()) * std::f64::consts::LN_2)
}

/// What queries are multiplied by: log₂ e goes in with the scale, unless a tanh comes between.
pub(super) fn query_scale<T: Real>(problem: &Problem<'_, T>) -> T {
    problem
        .softcap
        .map_or(problem.scale * T::LOG2_E, |cap| problem.scale / cap)
}
