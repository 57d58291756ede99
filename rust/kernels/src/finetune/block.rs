//! Up to [`ROWS`] rows through the heads and back: two runs of the pool.
//!
//! ```text
//! forward,  tile = slab of 64 rows
//!   for each chunk of 128 columns: rows → panel, strips;  z (+)= panel · θ
//!   for each head: z → e = ∂loss/∂z · w, loss of each row
//! backward, tile = group of 64 columns
//!   for each 120 outputs: g = e · strips;  what is done with g is the caller's
//! ```
//! A longer batch goes through in several blocks, whose chains are added to one gradient in order:
//! a block is whole chains, so that no bit depends on where it ends, and working memory does not
//! grow with the batch.
//!
//! Beside the arguments this keeps, in elements: rows · (in + 1) for the strips, rows · K for the
//! errors, and a few KB for each worker.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use fearless_simd::prelude::*;
use fearless_simd_macros::simd;

use super::gradient::{self, Ahead, Block};
use super::logits::{self, OUTPUTS, Panels};
use super::loss::{self, Goal, Terms};
use super::pack::{self, CHUNK, GROUP, SLAB, Source, staged, width};
use super::problem::{Problem, Sizes, Targets};
use crate::gemm::panel;
use crate::scratch::{Buffer, Scratch};
use crate::simd::Real;
use crate::threads::{self, Turn};
use crate::view::{Plane, RowTiles, View, ViewMut};
use crate::{Context, Error};

/// Rows of a block: sixteen slabs, eight chains.
pub(super) const ROWS: usize = 16 * SLAB;

/// Rows that are visited one after the other.
#[derive(Clone, Copy)]
pub(super) enum Visits<'a> {
    /// These.
    Listed(&'a [i64]),
    /// So many from this one on.
    From(usize, usize),
}

impl<'a> Visits<'a> {
    /// As `order` says, or all `rows`.
    pub(super) fn new(order: Option<&'a [i64]>, rows: usize) -> Self {
        order.map_or(Self::From(0, rows), Self::Listed)
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Listed(order) => order.len(),
            Self::From(_, count) => *count,
        }
    }

    /// The `i`-th row.
    #[inline(always)]
    pub(super) fn row(&self, i: usize) -> usize {
        match self {
            Self::Listed(order) => order[i] as usize,
            Self::From(first, _) => first + i,
        }
    }

    /// Those of `range`, which ends where the visits do or before.
    pub(super) fn part(&self, range: Range<usize>) -> Self {
        match self {
            Self::Listed(order) => Self::Listed(&order[range]),
            Self::From(first, _) => Self::From(first + range.start, range.len()),
        }
    }

    /// In pieces of `length`, the last one perhaps shorter, each with the piece after it.
    pub(super) fn pieces(self, length: usize) -> impl Iterator<Item = [Self; 2]> {
        let end = move |start: usize| self.len().min(start + length);
        (0..self.len())
            .step_by(length.max(1))
            .map(move |start| [start, end(start)].map(|start| self.part(start..end(start))))
    }

    /// Rows of slab `slab` into the front of `rows`.
    pub(super) fn slab<'r>(&self, slab: usize, rows: &'r mut [usize; SLAB]) -> &'r [usize] {
        let start = slab * SLAB;
        let count = SLAB.min(self.len() - start);
        for (i, row) in rows[..count].iter_mut().enumerate() {
            *row = self.row(start + i);
        }
        &rows[..count]
    }
}

/// The error that names the first value of `visits` that is not finite, if there is one.
pub(super) fn not_finite<T: Real>(source: &Source<'_, T>, visits: Visits<'_>) -> Option<Error> {
    (0..visits.len()).map(|i| visits.row(i)).find_map(|row| {
        source.first_not_finite(row).map(|column| Error::NotFinite {
            argument: "features",
            row,
            column,
        })
    })
}

/// What is wrong with `visits`, of which a slab was found to be not finite.
pub(super) fn spoilt<T: Real>(source: &Source<'_, T>, visits: Visits<'_>) -> Error {
    not_finite(source, visits).unwrap_or(Error::Layout {
        argument: "features",
        problem: "has values that overflow once they are standardised; scale them down",
    })
}

/// Parameters as the kernels keep them: (groups, outputs, GROUP), padding 0.
pub(super) fn groups(columns: usize) -> usize {
    (columns + 1).div_ceil(GROUP)
}

/// Row `k` of parameters, (outputs, columns + 1), into groups.
pub(super) fn enter<T: Copy>(groups: &mut [T], outputs: usize, k: usize, row: &[T]) {
    for (group, part) in row.chunks(GROUP).enumerate() {
        groups[(group * outputs + k) * GROUP..][..part.len()].copy_from_slice(part);
    }
}

/// Row `k` out of groups.
pub(super) fn leave<T: Copy>(groups: &[T], outputs: usize, k: usize, row: &mut [T]) {
    for (group, part) in row.chunks_mut(GROUP).enumerate() {
        part.copy_from_slice(&groups[(group * outputs + k) * GROUP..][..part.len()]);
    }
}

/// Sizes and constants of a call.
pub(super) struct Plan<'p, 'a, T> {
    pub(super) problem: &'p Problem<'a, T>,
    pub(super) source: Source<'a, T>,
    pub(super) sizes: Sizes,
    pub(super) groups: usize,
    /// Strips of a slab.
    strips: usize,
    /// Lanes of a strip.
    wide: usize,
    /// First output of each head.
    pub(super) starts: Vec<usize>,
    /// Which head an output belongs to.
    pub(super) owner: Vec<usize>,
    terms: Vec<Terms<T>>,
    /// Outputs of the widest head that is compared with values.
    values: usize,
}

impl<'p, 'a, T: Real> Plan<'p, 'a, T> {
    pub(super) fn new<S: Simd>(_: S, problem: &'p Problem<'a, T>, sizes: Sizes) -> Self {
        let heads = &problem.heads;
        let mut starts = Vec::with_capacity(heads.len());
        let mut owner = Vec::with_capacity(sizes.outputs);
        let mut values = 0;
        for (index, head) in heads.iter().enumerate() {
            starts.push(owner.len());
            owner.extend(std::iter::repeat_n(index, head.outputs));
            if matches!(head.targets, Targets::Values(_)) {
                values = values.max(head.outputs);
            }
        }
        let wide = width::<S, T>();
        Self {
            problem,
            source: Source::new(
                &problem.features,
                problem.shift,
                problem.scale,
                sizes.columns,
            ),
            sizes,
            groups: groups(sizes.columns),
            strips: (sizes.columns + 1).div_ceil(wide),
            wide,
            starts,
            owner,
            terms: heads.iter().map(Terms::new).collect(),
            values,
        }
    }

    pub(super) fn visits(&self) -> Visits<'a> {
        Visits::new(self.problem.order, self.sizes.rows)
    }

    /// Elements of one array in groups.
    pub(super) fn parameters(&self) -> Result<usize, Error> {
        (self.groups * GROUP)
            .checked_mul(self.sizes.outputs)
            .ok_or(Error::TooLarge {
                what: "parameters with its padding",
            })
    }

    /// The sums of each of the problem's weights over `visits`, in order, after the number of rows.
    pub(super) fn weigh(&self, visits: Visits<'_>, sums: &mut [f64]) {
        sums[0] = visits.len() as f64;
        for (sum, weights) in sums[1..].iter_mut().zip(&self.problem.weights) {
            *sum = 0.0;
            for i in 0..visits.len() {
                *sum += weights[visits.row(i)].to_f64();
            }
        }
    }

    /// Where a head's weights stand in [`Self::weigh`]'s sums.
    pub(super) fn weight_of(&self, head: usize) -> usize {
        self.problem.heads[head]
            .weights
            .map_or(0, |index| index + 1)
    }
}

/// Working memory of a call, had before its first write.
pub(super) struct Memory<T> {
    strips: Scratch<T>,
    errors: Scratch<T>,
    losses: Scratch<T>,
    workers: Scratch<T>,
    slabs: usize,
}

impl<T: Real + Default> Memory<T> {
    /// For blocks of up to `rows` rows.
    pub(super) fn new(
        plan: &Plan<'_, '_, T>,
        rows: usize,
        context: &Context<'_>,
    ) -> Result<Self, Error> {
        let slabs = rows.min(ROWS).div_ceil(SLAB);
        let room = |each: usize| {
            let length = each.checked_mul(SLAB * slabs).ok_or(Error::TooLarge {
                what: "a block of rows",
            })?;
            Scratch::new(1, length)
        };
        let workers = threads::workers(
            context,
            slabs.max(Part::count(plan.groups, plan.sizes.outputs)),
        );
        let forward = (SLAB * CHUNK + staged() + 2 * SLAB)
            .checked_add(plan.values.saturating_mul(SLAB))
            .ok_or(Error::TooLarge { what: "a slab" })?;
        Ok(Self {
            strips: room(plan.strips.saturating_mul(plan.wide))?,
            errors: room(plan.sizes.outputs)?,
            losses: room(plan.problem.heads.len())?,
            workers: Scratch::new(workers, forward.max(OUTPUTS * GROUP))?,
            slabs,
        })
    }

    pub(super) fn lock(&self) -> Work<'_, T> {
        Work {
            strips: self.strips.lock(0),
            errors: self.errors.lock(0),
            losses: self.losses.lock(0),
            workers: &self.workers,
            slabs: self.slabs,
        }
    }
}

/// [`Memory`] in use.
pub(super) struct Work<'m, T> {
    strips: Buffer<'m, T>,
    errors: Buffer<'m, T>,
    losses: Buffer<'m, T>,
    workers: &'m Scratch<T>,
    slabs: usize,
}

/// A tile of the backward run: one group of columns and up to [`OUTPUTS`] outputs. Its rows, one an
/// output, stand in that order in all arrays in groups.
#[derive(Clone)]
pub(super) struct Part {
    /// Which of the tiles.
    pub(super) index: usize,
    pub(super) group: usize,
    pub(super) outputs: Range<usize>,
}

impl Part {
    /// How many there are.
    pub(super) fn count(groups: usize, outputs: usize) -> usize {
        groups * outputs.div_ceil(OUTPUTS)
    }

    pub(super) fn new(index: usize, outputs: usize) -> Self {
        let blocks = outputs.div_ceil(OUTPUTS);
        let start = index % blocks * OUTPUTS;
        Self {
            index,
            group: index / blocks,
            outputs: start..outputs.min(start + OUTPUTS),
        }
    }

    /// An array in groups, rows of `length`, cut so that a part is a tile.
    pub(super) fn cut<T>(
        array: &mut [T],
        groups: usize,
        outputs: usize,
        length: usize,
    ) -> Result<RowTiles<'_, T>, Error> {
        ViewMut::contiguous(array, &[groups * outputs, length])?.split_rows(outputs, OUTPUTS)
    }
}

impl<T: Real + Default> Work<'_, T> {
    /// Logits, losses and errors of `visits`; `inverse[i]` multiplies the `i`-th weights (the 0-th:
    /// ones).
    pub(super) fn forward<S: Simd>(
        &mut self,
        simd: S,
        plan: &Plan<'_, '_, T>,
        theta: &[T],
        visits: Visits<'_>,
        inverse: &[T],
        context: &Context<'_>,
    ) -> Result<(), Error> {
        let outputs = plan.sizes.outputs;
        let theta = View::contiguous(theta, &[plan.groups, outputs, GROUP])?;
        let slabs = visits.len().div_ceil(SLAB);
        let strips = cut(&mut self.strips, self.slabs)?;
        let errors = cut(&mut self.errors, self.slabs)?;
        let losses = cut(&mut self.losses, self.slabs)?;
        let finite = AtomicBool::new(true);
        threads::run(context, slabs, &|turn: Turn<'_>| {
            let mut rows = [0; SLAB];
            let rows = visits.slab(turn.tile, &mut rows);
            let mut buffer = self.workers.lock(turn.worker);
            let mut strips = strips.take(turn.tile);
            let mut errors = errors.take(turn.tile);
            let mut losses = losses.take(turn.tile);
            let z = errors.row(0);
            let strips = Some(strips.row(0));
            if !slab(simd, plan, &theta, rows, &mut buffer, strips, z) {
                finite.store(false, Ordering::Relaxed);
                return;
            }
            score(simd, plan, rows, inverse, &mut buffer, z, losses.row(0));
        })?;
        if finite.into_inner() {
            Ok(())
        } else {
            Err(spoilt(&plan.source, visits))
        }
    }

    /// Σ loss · weight of each head over the block of `visits`, in order, onto `sums`.
    pub(super) fn add_losses(&self, plan: &Plan<'_, '_, T>, visits: Visits<'_>, sums: &mut [f64]) {
        let heads = sums.len();
        for (index, sum) in sums.iter_mut().enumerate() {
            let weights = plan.problem.heads[index].weights;
            let weights = weights.map(|weights| plan.problem.weights[weights]);
            for slab in 0..visits.len().div_ceil(SLAB) {
                let count = SLAB.min(visits.len() - slab * SLAB);
                let losses = &self.losses[(slab * heads + index) * SLAB..][..count];
                for (i, loss) in losses.iter().enumerate() {
                    let loss = loss.to_f64();
                    *sum += weights.map_or(loss, |weights| {
                        loss * weights[visits.row(slab * SLAB + i)].to_f64()
                    });
                }
            }
        }
    }

    /// Gradient of the block of `rows` rows, part by part. Where `onto` is given, cut by
    /// [`Part::cut`], it goes on from what stands there unless `fresh`, and is kept there. The rows
    /// `after` are asked for meanwhile.
    pub(super) fn backward<S: Simd>(
        &self,
        simd: S,
        plan: &Plan<'_, '_, T>,
        [rows, after]: [Visits<'_>; 2],
        onto: Option<(&RowTiles<'_, T>, bool)>,
        finish: &(dyn Fn(&Part, &mut [T]) + Sync),
        context: &Context<'_>,
    ) -> Result<(), Error> {
        let outputs = plan.sizes.outputs;
        let block = Block {
            errors: View::contiguous(&self.errors, &[self.slabs, outputs, SLAB])?,
            strips: &self.strips,
            count: plan.strips,
            rows: rows.len(),
        };
        let per_group = GROUP / plan.wide;
        let parts = Part::count(plan.groups, outputs);
        threads::run(context, parts, &|turn: Turn<'_>| {
            let part = Part::new(turn.tile, outputs);
            let first = part.group * per_group;
            let strips = first..plan.strips.min(first + per_group);
            let mut buffer = self.workers.lock(turn.worker);
            let g = &mut buffer[..part.outputs.len() * GROUP];
            let mut kept = onto.map(|(tiles, _)| tiles.take(part.index));
            let fresh = onto.is_none_or(|(_, fresh)| fresh);
            if let (Some(kept), false) = (&mut kept, fresh) {
                for (r, g) in g.chunks_exact_mut(GROUP).enumerate() {
                    g.copy_from_slice(kept.row(r));
                }
            }
            let start = part.group * GROUP;
            let ahead = (part.outputs.start == 0).then(|| Ahead {
                source: &plan.source,
                visits: after,
                columns: start..start + GROUP,
            });
            let outputs = part.outputs.clone();
            gradient::group(simd, block, strips, outputs, ahead, fresh, g);
            finish(&part, g);
            if let Some(kept) = &mut kept {
                for (r, g) in g.chunks_exact(GROUP).enumerate() {
                    kept.row(r).copy_from_slice(g);
                }
            }
        })
    }
}

/// `buffer` in as many tiles of one row.
pub(super) fn cut<T>(buffer: &mut [T], tiles: usize) -> Result<RowTiles<'_, T>, Error> {
    let length = buffer.len() / tiles.max(1);
    ViewMut::contiguous(buffer, &[tiles, length])?.split_rows(tiles, 1)
}

/// Logits `z`, (outputs, SLAB), of the rows of one slab. False if a feature is not finite.
pub(super) fn slab<S: Simd, T: Real>(
    simd: S,
    plan: &Plan<'_, '_, T>,
    theta: &View<'_, T>,
    rows: &[usize],
    buffer: &mut [T],
    strips: Option<&mut [T]>,
    z: &mut [T],
) -> bool {
    multiply(
        simd,
        &plan.source,
        plan.sizes.columns,
        theta,
        rows,
        buffer,
        strips,
        z,
    )
}

/// [`slab`], for features alone.
#[expect(clippy::too_many_arguments, reason = "a slab's places in memory")]
pub(super) fn multiply<S: Simd, T: Real>(
    simd: S,
    source: &Source<'_, T>,
    features: usize,
    theta: &View<'_, T>,
    rows: &[usize],
    buffer: &mut [T],
    mut strips: Option<&mut [T]>,
    z: &mut [T],
) -> bool {
    let wide = width::<S, T>();
    let (panel, stage) = buffer.split_at_mut(SLAB * CHUNK);
    let panels = rows.len().div_ceil(wide);
    let groups = groups(features);
    let mut finite = true;
    for start in (0..=features).step_by(CHUNK) {
        let chunk = |start: usize| start..(start + CHUNK).min(features + 1).max(start);
        let ranges = [chunk(start), chunk(start + CHUNK)];
        let depth = ranges[0].len();
        let panel = &mut panel[..panels * wide * depth];
        let strips = strips.as_mut().map(|strips| &mut strips[start * SLAB..]);
        finite &= pack::pack(simd, source, rows, ranges, stage, panel, strips);
        let group = start / GROUP;
        let planes = [group, group + 1].map(|group| (group < groups).then(|| theta.plane(group)));
        let packed = &*panel;
        logits::chunk(simd, planes, Panels { packed, depth }, start == 0, z);
    }
    finite
}

/// Losses and errors of one slab's rows, head by head.
fn score<S: Simd, T: Real>(
    simd: S,
    plan: &Plan<'_, '_, T>,
    rows: &[usize],
    inverse: &[T],
    buffer: &mut [T],
    z: &mut [T],
    losses: &mut [T],
) {
    let (label, rest) = buffer.split_at_mut(SLAB);
    let (weight, values) = rest.split_at_mut(SLAB);
    let (mut labelled, mut weighed) = (None, None);
    let heads = plan.problem.heads.iter().zip(&plan.terms);
    for (index, (head, terms)) in heads.enumerate() {
        let weights = plan.weight_of(index);
        if weighed.replace(weights) != Some(weights) {
            match head.weights.map(|index| plan.problem.weights[index]) {
                None => weight.fill(inverse[0]),
                Some(numbers) => {
                    for (weight, &row) in weight.iter_mut().zip(rows) {
                        *weight = numbers[row] * inverse[weights];
                    }
                }
            }
        }
        let goal = match head.targets {
            Targets::Labels(index) => {
                if labelled.replace(index) != Some(index) {
                    let labels = plan.problem.labels[index];
                    for (label, &row) in label.iter_mut().zip(rows) {
                        *label = T::from_f64(labels[row] as f64);
                    }
                }
                Goal::Labels(label)
            }
            Targets::Values(index) => {
                let plane = plan.problem.values[index].plane(0);
                let values = &mut values[..head.outputs * SLAB];
                transpose(simd, plane, rows, values);
                Goal::Values(values)
            }
        };
        let z = &mut z[plan.starts[index] * SLAB..][..head.outputs * SLAB];
        let loss = &mut losses[index * SLAB..(index + 1) * SLAB];
        loss::apply(simd, terms, goal, rows.len(), weight, z, loss);
    }
}

/// Values of `rows` into the lanes: [output][SLAB].
#[simd]
#[inline(never)]
fn transpose<S: Simd, T: Real>(simd: S, all: Plane<'_, T>, rows: &[usize], values: &mut [T]) {
    let row = |lane: usize| all.row(rows[lane]);
    panel::pack(simd, row, rows.len(), SLAB, T::ONE, values);
}
