//! One epoch of sgd or AdamW: a step a batch, all heads together.
//!
//! ```text
//! θ, moments, anchor → groups of 64 columns                    (once)
//! for each batch:
//!   inv = 1/Σw (0 where Σw = 0), for each of the weights
//!   for each block of 1024 rows: forward; backward: g (+)= …   ([`super::block`])
//!   in the last backward: p = Σ(θ − a)², g += l2·(θ − a); then, while g is in L1, the update
//!   loss = Σ loss·w / Σw + l2/2 · Σp
//! groups → θ, moments                                          (once)
//! ```
//! Where a head clips its gradient, or a batch is longer than a block, gradients are kept and a
//! third run updates, once their norms are known. Either way the numbers are the same.
//!
//! Beside a block's memory this keeps K · ⌈(in + 1)/64⌉ · 64 elements for θ, each moment, the
//! anchor and perhaps the gradient, and two float64 for each output and group.

use std::ops::Range;

use fearless_simd::prelude::*;
use fearless_simd_macros::simd;

use super::block::{Memory, Part, Plan, ROWS, Visits, Work, enter, leave};
use super::optimizer::{self, Step, Tail};
use super::pack::GROUP;
use super::problem::{Head, Optimizer, Problem, Sizes};
use crate::layers::rows::{check_rows, check_shape};
use crate::scratch::Scratch;
use crate::simd::Real;
use crate::threads::{self, Turn};
use crate::view::{RowTiles, Rows, View, ViewMut};
use crate::{Context, Error};

/// Floating-point operations of a step below which one thread is faster than two.
const WORTH_WAKING: usize = 1_000_000;

/// One step for each `batch` rows in the problem's order, on `parameters` (outputs, in + 1) and
/// `moments` (0, 1 or 2, outputs, in + 1), in place. `anchor` has the parameters' shape; its last
/// column is not looked at. Without it, all heads are pulled towards 0. `rates` is (heads, steps, 3):
/// lr, step, root for each. `losses` and `weight_sums`, (heads, steps), receive each batch's objective
/// before its step, and its Σw.
///
/// # Errors
/// What [`Problem::check`] finds, [`Error::Shape`], [`Error::OutOfMemory`] before anything is
/// written; [`Error::NotFinite`], [`Error::Interrupted`], after which what is written to is
/// undefined.
#[expect(clippy::too_many_arguments, reason = "what an epoch reads and writes")]
pub fn epoch<T: Real + Default>(
    problem: &Problem<'_, T>,
    batch: usize,
    parameters: ViewMut<'_, T>,
    moments: ViewMut<'_, T>,
    anchor: Option<View<'_, T>>,
    rates: View<'_, f64>,
    losses: &mut [f64],
    weight_sums: &mut [f64],
    context: &Context<'_>,
) -> Result<(), Error> {
    let sizes = problem.sizes()?;
    if batch == 0 {
        return Err(Error::Value {
            argument: "batch",
            given: "0".to_owned(),
            allowed: "at least 1",
        });
    }
    let steps = sizes.visits.div_ceil(batch);
    let (heads, columns) = (problem.heads.len(), sizes.columns + 1);
    let kept = kept(&problem.heads)?;
    let shape = [sizes.outputs, columns];
    check_shape("parameters", parameters.shape(), &shape, "the heads")?;
    let moments_shape = [kept, sizes.outputs, columns];
    check_shape("moments", moments.shape(), &moments_shape, "the heads")?;
    check_shape("rates", rates.shape(), &[heads, steps, 3], "the batches")?;
    for (argument, numbers) in [("losses", &*losses), ("weight_sums", &*weight_sums)] {
        check_shape(argument, &[numbers.len()], &[heads * steps], "the batches")?;
    }
    if let Some(anchor) = &anchor {
        check_rows("anchor", anchor)?;
        check_shape("anchor", anchor.shape(), &shape, "the parameters")?;
    }
    let state = Given {
        parameters,
        moments,
        anchor,
        kept,
    };
    let record = Record {
        rates,
        losses,
        weight_sums,
        steps,
    };
    fearless_simd::dispatch!(context.level, simd => {
        run(simd, problem, sizes, batch, state, record, context)
    })
}

/// Arrays of the caller that are trained.
struct Given<'a, T> {
    parameters: ViewMut<'a, T>,
    moments: ViewMut<'a, T>,
    anchor: Option<View<'a, T>>,
    kept: usize,
}

/// What each step is told and leaves.
struct Record<'a> {
    rates: View<'a, f64>,
    losses: &'a mut [f64],
    weight_sums: &'a mut [f64],
    steps: usize,
}

/// Moments that the heads keep: one kind of optimiser serves all heads of a call.
fn kept(heads: &[Head]) -> Result<usize, Error> {
    let kind = |head: &Head| std::mem::discriminant(&head.optimizer);
    let same = heads.windows(2).all(|two| kind(&two[0]) == kind(&two[1]));
    let none = heads.iter().any(|head| head.optimizer == Optimizer::None);
    if none || !same {
        return Err(Error::Value {
            argument: "optimizer",
            given: if none { "none" } else { "mixed" }.to_owned(),
            allowed: "sgd for all heads of a call, or adamw for all",
        });
    }
    let moments = heads.iter().map(|head| head.optimizer.moments());
    Ok(moments.max().unwrap_or(0))
}

/// Trained arrays in groups, (groups, outputs, GROUP).
struct State<'s, T> {
    theta: &'s mut [T],
    first: Option<&'s mut [T]>,
    second: Option<&'s mut [T]>,
    gradient: Option<&'s mut [T]>,
    anchor: Option<&'s [T]>,
    /// (groups, outputs) of Σ(θ − a)², and of Σg².
    penalties: &'s mut [f64],
    squares: &'s mut [f64],
}

/// A head's numbers in one step.
#[derive(Clone, Copy)]
struct Numbers<T> {
    step: Step<T>,
    /// Where it is not 0.
    l2: Option<T>,
    clips: bool,
    anchored: bool,
    bias: bool,
}

fn run<S: Simd, T: Real + Default>(
    simd: S,
    problem: &Problem<'_, T>,
    sizes: Sizes,
    batch: usize,
    given: Given<'_, T>,
    mut record: Record<'_>,
    context: &Context<'_>,
) -> Result<(), Error> {
    let plan = Plan::new(simd, problem, sizes);
    let operations = batch
        .min(sizes.visits)
        .saturating_mul(4 * (sizes.columns + 1))
        .saturating_mul(sizes.outputs);
    let context = &Context {
        threads: if operations < WORTH_WAKING {
            1
        } else {
            context.threads
        },
        ..*context
    };
    let length = plan.parameters()?;
    let stored =
        batch.min(sizes.visits) > ROWS || problem.heads.iter().any(|head| head.clip_norm.is_some());
    let memory = Memory::new(&plan, batch.min(sizes.visits), context)?;
    let room = |needed: bool| Scratch::<T>::new(1, if needed { length } else { 0 });
    let (theta, first, second) = (room(true)?, room(given.kept > 0)?, room(given.kept > 1)?);
    let (gradient, anchor) = (room(stored)?, room(given.anchor.is_some())?);
    let sums = Scratch::<f64>::new(2, plan.groups * sizes.outputs)?;
    let (mut theta, mut first, mut second) = (theta.lock(0), first.lock(0), second.lock(0));
    let (mut gradient, mut anchor) = (gradient.lock(0), anchor.lock(0));
    let (mut penalties, mut squares) = (sums.lock(0), sums.lock(1));

    let outputs = sizes.outputs;
    let parameters = given.parameters.split_rows(outputs, outputs)?;
    let moments = given.moments.split_rows(outputs, outputs)?;
    let mut parameters = parameters.take(0);
    let mut moments: Vec<_> = (0..given.kept).map(|moment| moments.take(moment)).collect();
    for k in 0..outputs {
        enter(&mut theta, outputs, k, parameters.row(k));
        for (to, from) in [&mut first, &mut second].into_iter().zip(&mut moments) {
            enter(to, outputs, k, from.row(k));
        }
        if let Some(given) = &given.anchor {
            enter(&mut anchor, outputs, k, given.plane(0).row(k));
        }
    }
    let mut state = State {
        theta: &mut theta,
        first: (given.kept > 0).then_some(&mut *first),
        second: (given.kept > 1).then_some(&mut *second),
        gradient: stored.then_some(&mut *gradient),
        anchor: given.anchor.is_some().then_some(&*anchor),
        penalties: &mut penalties,
        squares: &mut squares,
    };
    let mut work = memory.lock();
    let mut trainer = Trainer::new(&plan);
    for (step, visits) in plan.visits().pieces(batch).enumerate() {
        trainer.step(
            simd,
            &plan,
            &mut work,
            &mut state,
            visits,
            step,
            &mut record,
            context,
        )?;
    }
    for k in 0..outputs {
        leave(&theta, outputs, k, parameters.row(k));
        for (from, to) in [&first, &second].into_iter().zip(&mut moments) {
            leave(from, outputs, k, to.row(k));
        }
    }
    Ok(())
}

/// What steps of one epoch share.
struct Trainer<T> {
    /// Of each of the problem's weights, ones first: Σw of the batch, and 1/Σw.
    sums: Vec<f64>,
    inverse: Vec<T>,
    /// One for each head.
    numbers: Vec<Numbers<T>>,
    data: Vec<f64>,
    factors: Vec<Option<T>>,
    /// What the last group's columns are, without and with a bias.
    tails: [Tail<T>; 2],
}

impl<T: Real + Default> Trainer<T> {
    fn new(plan: &Plan<'_, '_, T>) -> Self {
        let heads = plan.problem.heads.len();
        let weights = plan.sizes.columns - (plan.groups - 1) * GROUP;
        Self {
            sums: vec![0.0; plan.problem.weights.len() + 1],
            inverse: vec![T::ZERO; plan.problem.weights.len() + 1],
            numbers: Vec::with_capacity(heads),
            data: vec![0.0; heads],
            factors: vec![None; heads],
            tails: [false, true].map(|bias| Tail::new(weights, bias)),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what a step reads and writes")]
    fn step<S: Simd>(
        &mut self,
        simd: S,
        plan: &Plan<'_, '_, T>,
        work: &mut Work<'_, T>,
        state: &mut State<'_, T>,
        [visits, after]: [Visits<'_>; 2],
        step: usize,
        record: &mut Record<'_>,
        context: &Context<'_>,
    ) -> Result<(), Error> {
        plan.weigh(visits, &mut self.sums);
        for (inverse, sum) in self.inverse.iter_mut().zip(&self.sums) {
            *inverse = if *sum == 0.0 {
                T::ZERO
            } else {
                T::from_f64(1.0 / sum)
            };
        }
        self.numbers.clear();
        for (index, head) in plan.problem.heads.iter().enumerate() {
            let rate = |which| record.rates.element(&[index, step, which]);
            self.numbers
                .push(Numbers::new(head, [rate(0), rate(1), rate(2)]));
        }
        self.data.fill(0.0);
        let blocks = visits.len().div_ceil(ROWS);
        for (index, [visits, later]) in visits.pieces(ROWS).enumerate() {
            let after = if later.len() == 0 { after } else { later };
            work.forward(simd, plan, state.theta, visits, &self.inverse, context)?;
            work.add_losses(plan, visits, &mut self.data);
            let place = [index == 0, index + 1 == blocks];
            self.back(simd, plan, work, state, [visits, after], place, context)?;
        }
        for (index, head) in plan.problem.heads.iter().enumerate() {
            let sum = self.sums[plan.weight_of(index)];
            let data = if sum == 0.0 {
                0.0
            } else {
                self.data[index] / sum
            };
            let penalty = if head.l2 == 0.0 {
                0.0
            } else {
                0.5 * head.l2 * self.total(plan, index, state.penalties)
            };
            record.losses[index * record.steps + step] = data + penalty;
            record.weight_sums[index * record.steps + step] = sum;
        }
        if state.gradient.is_some() {
            self.finish(simd, plan, state, context)?;
        }
        Ok(())
    }

    /// Σ over a head's outputs, then groups, of what was found for each.
    fn total(&self, plan: &Plan<'_, '_, T>, head: usize, sums: &[f64]) -> f64 {
        let outputs = plan.sizes.outputs;
        let own = plan.starts[head]..plan.starts[head] + plan.problem.heads[head].outputs;
        let mut total = 0.0;
        for k in own {
            for group in 0..plan.groups {
                total += sums[group * outputs + k];
            }
        }
        total
    }

    /// The gradient of a block, and in the batch's last block what follows from it.
    #[expect(clippy::too_many_arguments, reason = "what a step reads and writes")]
    fn back<S: Simd>(
        &self,
        simd: S,
        plan: &Plan<'_, '_, T>,
        work: &Work<'_, T>,
        state: &mut State<'_, T>,
        rows: [Visits<'_>; 2],
        [fresh, last]: [bool; 2],
        context: &Context<'_>,
    ) -> Result<(), Error> {
        let (groups, outputs) = (plan.groups, plan.sizes.outputs);
        let penalties = Part::cut(state.penalties, groups, outputs, 1)?;
        let squares = Part::cut(state.squares, groups, outputs, 1)?;
        let found = |part: &Part| [penalties.take(part.index), squares.take(part.index)];
        let common = self.common(plan, state.anchor);
        if let Some(gradient) = &mut state.gradient {
            let theta = &*state.theta;
            let gradient = Part::cut(gradient, groups, outputs, GROUP)?;
            let finish = |part: &Part, g: &mut [T]| {
                if last {
                    settle(simd, &common, part, theta, g, &mut found(part));
                }
            };
            work.backward(simd, plan, rows, Some((&gradient, fresh)), &finish, context)
        } else {
            let tiles = Tiles::new(plan, state.theta, &mut state.first, &mut state.second)?;
            let finish = |part: &Part, g: &mut [T]| {
                let trained = &mut tiles.take(part.index);
                settle_and_update(simd, &common, part, trained, g, &mut found(part));
            };
            work.backward(simd, plan, rows, None, &finish, context)
        }
    }

    /// Updates from gradients that were kept, those that are too long shortened.
    fn finish<S: Simd>(
        &mut self,
        simd: S,
        plan: &Plan<'_, '_, T>,
        state: &mut State<'_, T>,
        context: &Context<'_>,
    ) -> Result<(), Error> {
        for (index, head) in plan.problem.heads.iter().enumerate() {
            self.factors[index] = head.clip_norm.map(|longest| {
                let norm = self.total(plan, index, state.squares).sqrt();
                // A norm that is no number stays one.
                let factor = longest / (norm + 1e-6);
                T::from_f64(if factor > 1.0 { 1.0 } else { factor })
            });
        }
        let (groups, outputs) = (plan.groups, plan.sizes.outputs);
        let common = self.common(plan, None);
        let Some(gradient) = &mut state.gradient else {
            return Ok(());
        };
        let gradient = Part::cut(gradient, groups, outputs, GROUP)?;
        let tiles = Tiles::new(plan, state.theta, &mut state.first, &mut state.second)?;
        threads::run(context, gradient.tiles(), &|turn: Turn<'_>| {
            let part = Part::new(turn.tile, outputs);
            let mut g = gradient.take(turn.tile);
            shorten_and_update(simd, &common, &part, &mut tiles.take(turn.tile), &mut g);
        })
    }

    fn common<'c>(&'c self, plan: &'c Plan<'_, '_, T>, anchor: Option<&'c [T]>) -> Common<'c, T> {
        Common {
            numbers: &self.numbers,
            factors: &self.factors,
            owner: &plan.owner,
            anchor,
            tails: &self.tails,
            groups: plan.groups,
        }
    }
}

impl<T: Real> Numbers<T> {
    /// Of `head`, at the rates lr, step and root.
    fn new(head: &Head, [rate, step, root]: [f64; 3]) -> Self {
        let step = match head.optimizer {
            Optimizer::None => Step::Sgd {
                rate: T::ZERO,
                momentum: T::ZERO,
                nesterov: false,
            },
            Optimizer::Sgd { momentum, nesterov } => Step::Sgd {
                rate: T::from_f64(rate),
                momentum: T::from_f64(momentum),
                nesterov,
            },
            Optimizer::AdamW {
                beta,
                epsilon,
                weight_decay,
            } => Step::AdamW {
                decay: (weight_decay != 0.0).then(|| T::from_f64(1.0 - rate * weight_decay)),
                step: T::from_f64(step),
                root: T::from_f64(root),
                first: T::from_f64(1.0 - beta[0]),
                second: [T::from_f64(beta[1]), T::from_f64(1.0 - beta[1])],
                epsilon: T::from_f64(epsilon),
            },
        };
        Self {
            step,
            l2: (head.l2 != 0.0).then(|| T::from_f64(head.l2)),
            clips: head.clip_norm.is_some(),
            anchored: head.anchored,
            bias: head.bias,
        }
    }
}

/// What all parts of one step share.
struct Common<'c, T> {
    numbers: &'c [Numbers<T>],
    factors: &'c [Option<T>],
    owner: &'c [usize],
    /// In groups.
    anchor: Option<&'c [T]>,
    tails: &'c [Tail<T>; 2],
    groups: usize,
}

impl<T> Common<'_, T> {
    /// Of the head that row `r` of `part` belongs to.
    #[inline(always)]
    fn numbers(&self, part: &Part, r: usize) -> (&Numbers<T>, Option<&Tail<T>>) {
        let numbers = &self.numbers[self.owner[part.outputs.start + r]];
        let tail = &self.tails[usize::from(numbers.bias)];
        (numbers, (part.group + 1 == self.groups).then_some(tail))
    }

    /// Place of row `r` of `part` in an array in groups.
    #[inline(always)]
    fn place(&self, part: &Part, r: usize) -> Range<usize> {
        let start = (part.group * self.owner.len() + part.outputs.start + r) * GROUP;
        start..start + GROUP
    }
}

/// Arrays that are trained, cut by [`Part::cut`].
struct Tiles<'t, T> {
    theta: RowTiles<'t, T>,
    first: Option<RowTiles<'t, T>>,
    second: Option<RowTiles<'t, T>>,
}

impl<'t, T: Real> Tiles<'t, T> {
    fn new(
        plan: &Plan<'_, '_, T>,
        theta: &'t mut [T],
        first: &'t mut Option<&mut [T]>,
        second: &'t mut Option<&mut [T]>,
    ) -> Result<Self, Error> {
        let cut = |array: &'t mut [T]| Part::cut(array, plan.groups, plan.sizes.outputs, GROUP);
        Ok(Self {
            theta: cut(theta)?,
            first: first.as_deref_mut().map(cut).transpose()?,
            second: second.as_deref_mut().map(cut).transpose()?,
        })
    }

    fn take(&self, part: usize) -> Trained<'_, T> {
        Trained {
            theta: self.theta.take(part),
            first: self.first.as_ref().map(|tiles| tiles.take(part)),
            second: self.second.as_ref().map(|tiles| tiles.take(part)),
        }
    }
}

/// The rows of one part of what is trained.
struct Trained<'t, T> {
    theta: Rows<'t, T>,
    first: Option<Rows<'t, T>>,
    second: Option<Rows<'t, T>>,
}

impl<T: Real> Trained<'_, T> {
    #[inline(always)]
    fn update<S: Simd>(
        &mut self,
        simd: S,
        r: usize,
        numbers: &Numbers<T>,
        tail: Option<&Tail<T>>,
        g: &[T],
    ) {
        optimizer::update(
            simd,
            &numbers.step,
            self.theta.row(r),
            self.first.as_mut().map(|rows| rows.row(r)),
            self.second.as_mut().map(|rows| rows.row(r)),
            g,
            tail,
        );
    }
}

/// Makes the data's gradient `g` of row `r` the objective's; returns Σ(θ − a)² and Σg², where
/// somebody will ask for them.
#[inline(always)]
fn complete<S: Simd, T: Real>(
    simd: S,
    common: &Common<'_, T>,
    part: &Part,
    r: usize,
    theta: &[T],
    g: &mut [T],
) -> [f64; 2] {
    let (numbers, tail) = common.numbers(part, r);
    if let Some(tail) = tail {
        optimizer::clear(simd, g, tail);
    }
    let mut found = [0.0; 2];
    if let Some(l2) = numbers.l2 {
        let anchor = common.anchor.filter(|_| numbers.anchored);
        let anchor = anchor.map(|anchor| &anchor[common.place(part, r)]);
        found[0] = optimizer::penalty(simd, theta, anchor, tail).to_f64();
        optimizer::pull(simd, g, theta, anchor, l2, tail);
    }
    if numbers.clips {
        found[1] = optimizer::squares(simd, g).to_f64();
    }
    found
}

/// The gradient of a part completed; its norms.
#[simd]
#[inline(never)]
fn settle<S: Simd, T: Real>(
    simd: S,
    common: &Common<'_, T>,
    part: &Part,
    theta: &[T],
    g: &mut [T],
    found: &mut [Rows<'_, f64>; 2],
) {
    for (r, g) in g.chunks_exact_mut(GROUP).enumerate() {
        let theta = &theta[common.place(part, r)];
        let [penalty, squares] = complete(simd, common, part, r, theta, g);
        found[0].row(r)[0] = penalty;
        found[1].row(r)[0] = squares;
    }
}

/// [`settle`], and the step at once.
#[simd]
#[inline(never)]
fn settle_and_update<S: Simd, T: Real>(
    simd: S,
    common: &Common<'_, T>,
    part: &Part,
    trained: &mut Trained<'_, T>,
    g: &mut [T],
    found: &mut [Rows<'_, f64>; 2],
) {
    for (r, g) in g.chunks_exact_mut(GROUP).enumerate() {
        let theta = trained.theta.row(r);
        let [penalty, squares] = complete(simd, common, part, r, theta, g);
        found[0].row(r)[0] = penalty;
        found[1].row(r)[0] = squares;
        let (numbers, tail) = common.numbers(part, r);
        trained.update(simd, r, numbers, tail, g);
    }
}

/// The step of a part whose gradient was kept.
#[simd]
#[inline(never)]
fn shorten_and_update<S: Simd, T: Real>(
    simd: S,
    common: &Common<'_, T>,
    part: &Part,
    trained: &mut Trained<'_, T>,
    g: &mut Rows<'_, T>,
) {
    for r in 0..part.outputs.len() {
        let g = g.row(r);
        let (numbers, tail) = common.numbers(part, r);
        if let Some(factor) = common.factors[common.owner[part.outputs.start + r]] {
            optimizer::shorten(simd, g, factor);
        }
        trained.update(simd, r, numbers, tail, g);
    }
}
