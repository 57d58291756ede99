//! What happens to one output's GROUP parameters once their gradient is known.
//!
//! ```text
//! penalty  p = Σ (θ − a)²                              pull  g = g + l2·(θ − a)
//! sgd      v = μ·v + g;  d = nesterov ? μ·v + g : v;   θ = θ − lr·d
//! adamw    θ = θ·(1 − lr·λ);  m = m + (1 − β₁)·(g − m);  v = β₂·v + (1 − β₂)·g²
//!          θ = θ − step·m / (√v·root + ε),  step = lr/(1 − β₁ᵗ),  root = 1/√(1 − β₂ᵗ)
//! ```
//! Penalty, pull and decay are the weight's, not the bias's. A row of parameters that holds the
//! bias or padding comes with a [`Tail`], which says what is what.
//!
//! Sums over features: lane j of 64 bytes sums features j, j + L, … by one chain, then the lanes
//! are added by halves: one order on every level.

use fearless_simd::prelude::*;

use super::pack::GROUP;
use crate::simd::{Lanes, Real};

/// What the last group's columns are: 1 or 0 a column.
pub(super) struct Tail<T> {
    /// A weight.
    pub(super) weight: [T; GROUP],
    /// A weight, or the bias of a head that has one.
    pub(super) free: [T; GROUP],
}

impl<T: Real> Tail<T> {
    /// `weights` columns of weights, then perhaps a bias, then padding.
    pub(super) fn new(weights: usize, bias: bool) -> Self {
        let mut weight = [T::ZERO; GROUP];
        weight[..weights].fill(T::ONE);
        let mut free = weight;
        if bias {
            free[weights] = T::ONE;
        }
        Self { weight, free }
    }
}

/// One step of one head in its own type.
#[derive(Clone, Copy)]
pub(super) enum Step<T> {
    /// Gradient descent.
    Sgd {
        rate: T,
        momentum: T,
        nesterov: bool,
    },
    /// AdamW.
    AdamW {
        /// 1 − lr·weight_decay, where there is decay.
        decay: Option<T>,
        step: T,
        root: T,
        /// 1 − β₁.
        first: T,
        /// β₂ and 1 − β₂.
        second: [T; 2],
        epsilon: T,
    },
}

/// `value` where `tail` has a 1 in these columns, `other` elsewhere.
#[inline(always)]
fn kept<S: Simd, V>(simd: S, tail: &[V::Element], value: V, other: V) -> V
where
    V: SimdFloat<S>,
    V::Element: Real,
{
    V::from_slice(simd, tail)
        .simd_eq(V::splat(simd, V::Element::ZERO))
        .select(other, value)
}

/// Σ (θ − anchor)² over the weights of a row.
#[inline(always)]
pub(super) fn penalty<S: Simd, T: Real>(
    simd: S,
    parameters: &[T],
    anchor: Option<&[T]>,
    tail: Option<&Tail<T>>,
) -> T {
    let lanes = T::Wide::<S>::LEN;
    let zero = T::Wide::<S>::splat(simd, T::ZERO);
    let mut sum = zero;
    for at in (0..GROUP).step_by(lanes) {
        let columns = at..at + lanes;
        let mut x = T::Wide::<S>::from_slice(simd, &parameters[columns.clone()]);
        if let Some(anchor) = anchor {
            x -= T::Wide::<S>::from_slice(simd, &anchor[columns.clone()]);
        }
        if let Some(tail) = tail {
            x = kept(simd, &tail.weight[columns], x, zero);
        }
        sum = x.mul_add(x, sum);
    }
    sum.reduce_sum()
}

/// Σ g² over a row; what is neither weight nor bias is 0.
#[inline(always)]
pub(super) fn squares<S: Simd, T: Real>(simd: S, g: &[T]) -> T {
    let lanes = T::Wide::<S>::LEN;
    let mut sum = T::Wide::<S>::splat(simd, T::ZERO);
    for g in g.chunks_exact(lanes) {
        let g = T::Wide::<S>::from_slice(simd, g);
        sum = g.mul_add(g, sum);
    }
    sum.reduce_sum()
}

/// 0 for the gradient of what is neither weight nor the bias of a head that has one.
#[inline(always)]
pub(super) fn clear<S: Simd, T: Real>(simd: S, g: &mut [T], tail: &Tail<T>) {
    let lanes = Lanes::<S, T>::LEN;
    for at in (0..GROUP).step_by(lanes) {
        let cell = &mut g[at..at + lanes];
        let x = Lanes::<S, T>::from_slice(simd, cell);
        let zero = Lanes::<S, T>::splat(simd, T::ZERO);
        kept(simd, &tail.free[at..at + lanes], x, zero).store_slice(cell);
    }
}

/// g += l2·(θ − anchor), weights only.
#[inline(always)]
pub(super) fn pull<S: Simd, T: Real>(
    simd: S,
    g: &mut [T],
    parameters: &[T],
    anchor: Option<&[T]>,
    l2: T,
    tail: Option<&Tail<T>>,
) {
    let lanes = Lanes::<S, T>::LEN;
    let l2 = Lanes::<S, T>::splat(simd, l2);
    for at in (0..GROUP).step_by(lanes) {
        let columns = at..at + lanes;
        let before = Lanes::<S, T>::from_slice(simd, &g[columns.clone()]);
        let mut x = Lanes::<S, T>::from_slice(simd, &parameters[columns.clone()]);
        if let Some(anchor) = anchor {
            x -= Lanes::<S, T>::from_slice(simd, &anchor[columns.clone()]);
        }
        let mut after = l2.mul_add(x, before);
        if let Some(tail) = tail {
            after = kept(simd, &tail.weight[columns.clone()], after, before);
        }
        after.store_slice(&mut g[columns]);
    }
}

/// g ·= factor.
#[inline(always)]
pub(super) fn shorten<S: Simd, T: Real>(simd: S, g: &mut [T], factor: T) {
    let lanes = Lanes::<S, T>::LEN;
    for g in g.chunks_exact_mut(lanes) {
        (Lanes::<S, T>::from_slice(simd, g) * factor).store_slice(g);
    }
}

/// One step on one row. `first` and `second` are its moments, as many as the optimiser keeps.
#[inline(always)]
pub(super) fn update<S: Simd, T: Real>(
    simd: S,
    step: &Step<T>,
    parameters: &mut [T],
    first: Option<&mut [T]>,
    second: Option<&mut [T]>,
    g: &[T],
    tail: Option<&Tail<T>>,
) {
    match (*step, first, second) {
        (
            Step::Sgd {
                rate,
                momentum,
                nesterov,
            },
            velocity,
            _,
        ) => sgd(
            simd, parameters, velocity, g, rate, momentum, nesterov, tail,
        ),
        (Step::AdamW { .. }, Some(first), Some(second)) => {
            adamw(simd, parameters, first, second, g, step, tail);
        }
        (Step::AdamW { .. }, ..) => unreachable!("AdamW has two moments"),
    }
}

#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "one step's numbers")]
fn sgd<S: Simd, T: Real>(
    simd: S,
    parameters: &mut [T],
    velocity: Option<&mut [T]>,
    g: &[T],
    rate: T,
    momentum: T,
    nesterov: bool,
    tail: Option<&Tail<T>>,
) {
    let lanes = Lanes::<S, T>::LEN;
    let splat = |value| Lanes::<S, T>::splat(simd, value);
    let (rate, share) = (splat(-rate), splat(momentum));
    let mut velocity = velocity.filter(|_| momentum != T::ZERO);
    for at in (0..GROUP).step_by(lanes) {
        let columns = at..at + lanes;
        let g = Lanes::<S, T>::from_slice(simd, &g[columns.clone()]);
        let mut d = g;
        if let Some(velocity) = &mut velocity {
            let cell = &mut velocity[columns.clone()];
            let v = share.mul_add(Lanes::<S, T>::from_slice(simd, cell), g);
            v.store_slice(cell);
            d = if nesterov { share.mul_add(v, g) } else { v };
        }
        let before = Lanes::<S, T>::from_slice(simd, &parameters[columns.clone()]);
        let mut after = rate.mul_add(d, before);
        if let Some(tail) = tail {
            after = kept(simd, &tail.free[columns.clone()], after, before);
        }
        after.store_slice(&mut parameters[columns]);
    }
}

#[inline(always)]
fn adamw<S: Simd, T: Real>(
    simd: S,
    parameters: &mut [T],
    first: &mut [T],
    second: &mut [T],
    g: &[T],
    numbers: &Step<T>,
    tail: Option<&Tail<T>>,
) {
    let Step::AdamW {
        decay,
        step,
        root,
        first: share,
        second: [keep, take],
        epsilon,
    } = *numbers
    else {
        return;
    };
    let lanes = Lanes::<S, T>::LEN;
    let splat = |value| Lanes::<S, T>::splat(simd, value);
    let (step, root, epsilon) = (splat(step), splat(root), splat(epsilon));
    let (share, keep, take) = (splat(share), splat(keep), splat(take));
    for at in (0..GROUP).step_by(lanes) {
        let columns = at..at + lanes;
        let g = Lanes::<S, T>::from_slice(simd, &g[columns.clone()]);
        let before = Lanes::<S, T>::from_slice(simd, &parameters[columns.clone()]);
        let mut theta = before;
        if let Some(decay) = decay {
            theta *= splat(decay);
            if let Some(tail) = tail {
                theta = kept(simd, &tail.weight[columns.clone()], theta, before);
            }
        }
        let cell = &mut first[columns.clone()];
        let m = Lanes::<S, T>::from_slice(simd, cell);
        let m = share.mul_add(g - m, m);
        m.store_slice(cell);
        let cell = &mut second[columns.clone()];
        let v = take.mul_add(g * g, keep * Lanes::<S, T>::from_slice(simd, cell));
        v.store_slice(cell);
        theta -= m * step / v.sqrt().mul_add(root, epsilon);
        if let Some(tail) = tail {
            theta = kept(simd, &tail.free[columns.clone()], theta, before);
        }
        theta.store_slice(&mut parameters[columns]);
    }
}
