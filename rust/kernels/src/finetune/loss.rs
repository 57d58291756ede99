//! Losses of a slab's rows and their derivatives by the logits, rows in the lanes.
//!
//! ```text
//! softmax   m = max z;  q = 2^((z − m)·log₂e);  s = Σ q
//!           loss = Σ t·(ln s − (z − m));                        e = q/s − t
//! sigmoid   a = 2^(−|z|·log₂e);  p = (z ≥ 0 ? 1 : a)/(1 + a)
//!           loss = Σ max(z, 0) − t·z + ln(1 + a);               e = p − t
//! squared   loss = Σ ½e²;                                       e = z − t
//! huber     loss = Σ |r| ≤ δ ? ½r² : δ(|r| − δ/2), r = z − t;   e = r within [−δ, δ]
//! ```
//! A target that is 0 adds nothing to softmax's loss, even where its z − m is −∞. Nothing crosses
//! lanes: a row's bits depend on that row and that head alone. The sum of q is one of partial sums
//! of 128, so that its error does not grow with the outputs.

use fearless_simd::prelude::*;
use fearless_simd_macros::simd;

use super::pack::SLAB;
use super::problem::{Head, Loss};
use crate::simd::math::{exp2, log};
use crate::simd::{Lanes, Real};

/// Addends of one partial sum over outputs.
const RUN: usize = 128;

/// A slab's targets for one head.
#[derive(Clone, Copy)]
pub(super) enum Goal<'a, T> {
    /// A label a row.
    Labels(&'a [T]),
    /// [output][row].
    Values(&'a [T]),
}

/// Numbers of a head that its loss needs.
#[derive(Clone, Copy)]
pub(super) struct Terms<T> {
    loss: Loss,
    /// 1 − ε.
    keep: T,
    /// What smoothing gives every output: ε/outputs, or ε/2 for sigmoid.
    spread: T,
    /// keep + spread.
    on: T,
    delta: T,
    half_delta: T,
}

impl<T: Real> Terms<T> {
    /// Of `head`.
    pub(super) fn new(head: &Head) -> Self {
        let spread = match head.loss {
            Loss::Softmax => head.smoothing / head.outputs as f64,
            _ => head.smoothing / 2.0,
        };
        Self {
            loss: head.loss,
            keep: T::from_f64(1.0 - head.smoothing),
            spread: T::from_f64(spread),
            on: T::from_f64(1.0 - head.smoothing + spread),
            delta: T::from_f64(head.delta),
            half_delta: T::from_f64(head.delta / 2.0),
        }
    }
}

/// Turns the head's logits `z`, [output][SLAB rows], into e times the rows' `weight`, and writes
/// each row's loss. The first `rows` rows count; what becomes of the others is not looked at.
pub(super) fn apply<S: Simd, T: Real>(
    simd: S,
    terms: &Terms<T>,
    goal: Goal<'_, T>,
    rows: usize,
    weight: &[T],
    z: &mut [T],
    loss: &mut [T],
) {
    match terms.loss {
        Loss::Softmax => softmax(simd, terms, goal, rows, weight, z, loss),
        Loss::Sigmoid => sigmoid(simd, terms, goal, rows, weight, z, loss),
        Loss::Squared => squared(simd, goal, rows, weight, z, loss),
        Loss::Huber => huber(simd, terms, goal, rows, weight, z, loss),
    }
}

/// The targets of output `k` for the rows from `at` on, before smoothing.
#[inline(always)]
fn target<S: Simd, T: Real>(simd: S, goal: Goal<'_, T>, k: usize, at: usize) -> Lanes<S, T> {
    let splat = |value| Lanes::<S, T>::splat(simd, value);
    let lanes = Lanes::<S, T>::LEN;
    match goal {
        Goal::Labels(labels) => Lanes::<S, T>::from_slice(simd, &labels[at..at + lanes])
            .simd_eq(splat(T::from_f64(k as f64)))
            .select(splat(T::ONE), splat(T::ZERO)),
        Goal::Values(values) => Lanes::<S, T>::from_slice(simd, &values[k * SLAB + at..][..lanes]),
    }
}

/// Smoothed: `keep·target + spread`; a label's own output gets `on`, rounded once.
#[inline(always)]
fn smoothed<S: Simd, T: Real>(
    simd: S,
    terms: &Terms<T>,
    goal: Goal<'_, T>,
    k: usize,
    at: usize,
) -> Lanes<S, T> {
    let splat = |value| Lanes::<S, T>::splat(simd, value);
    let lanes = Lanes::<S, T>::LEN;
    match goal {
        Goal::Labels(labels) => Lanes::<S, T>::from_slice(simd, &labels[at..at + lanes])
            .simd_eq(splat(T::from_f64(k as f64)))
            .select(splat(terms.on), splat(terms.spread)),
        Goal::Values(_) => {
            target(simd, goal, k, at).mul_add(splat(terms.keep), splat(terms.spread))
        }
    }
}

#[simd]
#[inline(never)]
fn softmax<S: Simd, T: Real>(
    simd: S,
    terms: &Terms<T>,
    goal: Goal<'_, T>,
    rows: usize,
    weight: &[T],
    z: &mut [T],
    loss: &mut [T],
) {
    let splat = |value| Lanes::<S, T>::splat(simd, value);
    let lanes = Lanes::<S, T>::LEN;
    let zero = splat(T::ZERO);
    for at in (0..rows).step_by(lanes) {
        let mut m = Lanes::<S, T>::from_slice(simd, &z[at..at + lanes]);
        for row in z.chunks_exact(SLAB).skip(1) {
            m = m.max(Lanes::<S, T>::from_slice(simd, &row[at..at + lanes]));
        }
        // Σ t·(z − m) and Σ t beside Σ q.
        let (mut along, mut total) = (zero, zero);
        let (mut s, mut run) = (zero, zero);
        for (k, row) in z.chunks_exact_mut(SLAB).enumerate() {
            let cell = &mut row[at..at + lanes];
            let below = Lanes::<S, T>::from_slice(simd, cell) - m;
            let q = exp2(simd, below * T::LOG2_E);
            q.store_slice(cell);
            run += q;
            if (k + 1).is_multiple_of(RUN) {
                s += run;
                run = zero;
            }
            let t = smoothed(simd, terms, goal, k, at);
            along = t.simd_eq(zero).select(along, t.mul_add(below, along));
            total += t;
        }
        s += run;
        log(simd, s)
            .mul_add(total, -along)
            .store_slice(&mut loss[at..at + lanes]);
        let share = splat(T::ONE) / s;
        let weight = Lanes::<S, T>::from_slice(simd, &weight[at..at + lanes]);
        for (k, row) in z.chunks_exact_mut(SLAB).enumerate() {
            let cell = &mut row[at..at + lanes];
            let q = Lanes::<S, T>::from_slice(simd, cell);
            let e = q * share - smoothed(simd, terms, goal, k, at);
            (e * weight).store_slice(cell);
        }
    }
}

#[simd]
#[inline(never)]
fn sigmoid<S: Simd, T: Real>(
    simd: S,
    terms: &Terms<T>,
    goal: Goal<'_, T>,
    rows: usize,
    weight: &[T],
    z: &mut [T],
    loss: &mut [T],
) {
    let splat = |value| Lanes::<S, T>::splat(simd, value);
    let lanes = Lanes::<S, T>::LEN;
    let (zero, one) = (splat(T::ZERO), splat(T::ONE));
    for at in (0..rows).step_by(lanes) {
        let weight = Lanes::<S, T>::from_slice(simd, &weight[at..at + lanes]);
        let mut sum = zero;
        for (k, row) in z.chunks_exact_mut(SLAB).enumerate() {
            let cell = &mut row[at..at + lanes];
            let z = Lanes::<S, T>::from_slice(simd, cell);
            // A label is the target of the one output that there is.
            let t = match goal {
                Goal::Labels(labels) => Lanes::<S, T>::from_slice(simd, &labels[at..at + lanes])
                    .simd_eq(zero)
                    .select(splat(terms.spread), splat(terms.on)),
                Goal::Values(_) => smoothed(simd, terms, goal, k, at),
            };
            let a = exp2(simd, z.abs() * (-T::LOG2_E));
            let denominator = one + a;
            let rise = zero.max(z) - t * z;
            sum += rise + log(simd, denominator);
            let p = zero.simd_le(z).select(one, a) / denominator;
            ((p - t) * weight).store_slice(cell);
        }
        sum.store_slice(&mut loss[at..at + lanes]);
    }
}

#[simd]
#[inline(never)]
fn squared<S: Simd, T: Real>(
    simd: S,
    goal: Goal<'_, T>,
    rows: usize,
    weight: &[T],
    z: &mut [T],
    loss: &mut [T],
) {
    let lanes = Lanes::<S, T>::LEN;
    let half = Lanes::<S, T>::splat(simd, T::from_f64(0.5));
    for at in (0..rows).step_by(lanes) {
        let weight = Lanes::<S, T>::from_slice(simd, &weight[at..at + lanes]);
        let mut sum = Lanes::<S, T>::splat(simd, T::ZERO);
        for (k, row) in z.chunks_exact_mut(SLAB).enumerate() {
            let cell = &mut row[at..at + lanes];
            let e = Lanes::<S, T>::from_slice(simd, cell) - target(simd, goal, k, at);
            sum = (e * half).mul_add(e, sum);
            (e * weight).store_slice(cell);
        }
        sum.store_slice(&mut loss[at..at + lanes]);
    }
}

#[simd]
#[inline(never)]
fn huber<S: Simd, T: Real>(
    simd: S,
    terms: &Terms<T>,
    goal: Goal<'_, T>,
    rows: usize,
    weight: &[T],
    z: &mut [T],
    loss: &mut [T],
) {
    let lanes = Lanes::<S, T>::LEN;
    let splat = |value| Lanes::<S, T>::splat(simd, value);
    let (half, delta) = (splat(T::from_f64(0.5)), splat(terms.delta));
    for at in (0..rows).step_by(lanes) {
        let weight = Lanes::<S, T>::from_slice(simd, &weight[at..at + lanes]);
        let mut sum = splat(T::ZERO);
        for (k, row) in z.chunks_exact_mut(SLAB).enumerate() {
            let cell = &mut row[at..at + lanes];
            let r = Lanes::<S, T>::from_slice(simd, cell) - target(simd, goal, k, at);
            let size = r.abs();
            let beyond = delta.simd_lt(size);
            let line = delta * (size - splat(terms.half_delta));
            sum += beyond.select(line, r * half * r);
            let e = beyond.select(delta.copysign(r), r);
            (e * weight).store_slice(cell);
        }
        sum.store_slice(&mut loss[at..at + lanes]);
    }
}
