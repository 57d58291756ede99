//! Online softmax of one panel: scores are base-2 logits `s[key][lane]`, one query a lane.
//!
//! m is the largest visible score so far, l = Σ 2^(s − m). A block of keys moves both on:
//! `m' = max(m, max s);  p = 2^(s − m');  α = 2^(m − m');  l' = l·α + Σp`, p replacing s.
//! While nothing is visible m = −∞, and every p and α is 0.
//! Source: Milakov & Gimelshein 2018.

use fearless_simd::prelude::*;
use fearless_simd_macros::simd;

use crate::simd::math::exp2;
use crate::simd::{Float, Lanes, Real};

/// The vectors of one row of a panel.
#[inline(always)]
pub(super) fn load<S: Simd, V: Float<S>, const NR: usize>(simd: S, row: &[V::Element]) -> [V; NR] {
    let lanes = V::LEN;
    let mut x = [V::splat(simd, V::Element::ZERO); NR];
    for j in 0..NR {
        x[j] = V::from_slice(simd, &row[j * lanes..(j + 1) * lanes]);
    }
    x
}

/// Writes the vectors of one row of a panel.
#[inline(always)]
pub(super) fn store<S: Simd, V: Float<S>, const NR: usize>(x: [V; NR], row: &mut [V::Element]) {
    let lanes = V::LEN;
    for j in 0..NR {
        x[j].store_slice(&mut row[j * lanes..(j + 1) * lanes]);
    }
}

/// `m` where it is a number that scores can be measured from, 0 where nothing was visible yet.
#[inline(always)]
pub(super) fn origin<S: Simd, V: Float<S>>(simd: S, m: V) -> V {
    let nothing = V::splat(simd, V::Element::NEG_INFINITY);
    m.simd_eq(nothing)
        .select(V::splat(simd, V::Element::ZERO), m)
}

/// Addends of one chain of a denominator, counted from key 0. Equal numbers added one after the
/// other all round the same way: n/4 units in the last place for n of them, 8 here.
pub(super) const RUN: usize = 32;

/// Takes a block of scores, whose keys begin with `first`, into `m` and `l`, turns the scores into
/// probabilities and leaves in `alpha` what earlier sums have to be multiplied by. `alpha` holds
/// the block's maximum at entry.
#[simd]
#[inline(never)]
pub(super) fn exponentials<S: Simd, V: Float<S>, const NR: usize>(
    simd: S,
    first: usize,
    s: &mut [V::Element],
    m: &mut [V::Element],
    l: &mut [V::Element],
    alpha: &mut [V::Element],
) {
    let lanes = V::LEN;
    let zero = V::splat(simd, V::Element::ZERO);
    let before = load::<S, V, NR>(simd, m);
    let mut after = load::<S, V, NR>(simd, alpha);
    let mut from = [zero; NR];
    let mut factor = [zero; NR];
    let mut sum = [zero; NR];
    for j in 0..NR {
        after[j] = before[j].max(after[j]);
        from[j] = origin::<S, V>(simd, after[j]);
        factor[j] = exp2(simd, before[j] - from[j]);
    }
    let mut rest = s;
    let mut left = RUN - first % RUN;
    while !rest.is_empty() {
        let (run, after) = rest.split_at_mut((left * NR * lanes).min(rest.len()));
        let mut chain = [zero; NR];
        for row in run.chunks_exact_mut(NR * lanes) {
            for j in 0..NR {
                let cell = &mut row[j * lanes..(j + 1) * lanes];
                let p = exp2(simd, V::from_slice(simd, cell) - from[j]);
                chain[j] += p;
                p.store_slice(cell);
            }
        }
        for j in 0..NR {
            sum[j] += chain[j];
        }
        (rest, left) = (after, RUN);
    }
    let old = load::<S, V, NR>(simd, l);
    for j in 0..NR {
        sum[j] = old[j].mul_add(factor[j], sum[j]);
    }
    store::<S, V, NR>(after, m);
    store::<S, V, NR>(sum, l);
    store::<S, V, NR>(factor, alpha);
}

/// One panel's state: largest score, denominator, and the sums `acc[column][lane]`.
pub(super) struct State<'a, T> {
    pub(super) m: &'a mut [T],
    pub(super) l: &'a mut [T],
    pub(super) acc: &'a mut [T],
}

impl<T: Real> State<'_, T> {
    /// Nothing seen yet.
    pub(super) fn clear(&mut self) {
        self.m.fill(T::NEG_INFINITY);
        self.l.fill(T::ZERO);
        self.acc.fill(T::ZERO);
    }
}

/// Adds `part`, the state over later keys, to `total`. A part that saw nothing changes no bit.
#[simd]
#[inline(never)]
pub(super) fn merge<S: Simd, T: Real>(simd: S, total: &mut State<'_, T>, part: &State<'_, T>) {
    let lanes = Lanes::<S, T>::LEN;
    let width = total.m.len();
    for at in (0..width).step_by(lanes) {
        let lane = at..at + lanes;
        let m0 = Lanes::<S, T>::from_slice(simd, &total.m[lane.clone()]);
        let m1 = Lanes::<S, T>::from_slice(simd, &part.m[lane.clone()]);
        let m = m0.max(m1);
        let from = origin::<S, Lanes<S, T>>(simd, m);
        let (a, b) = (exp2(simd, m0 - from), exp2(simd, m1 - from));
        add::<S, Lanes<S, T>>(
            simd,
            &mut total.l[lane.clone()],
            a,
            &part.l[lane.clone()],
            b,
        );
        m.store_slice(&mut total.m[lane.clone()]);
        for (x, y) in total
            .acc
            .chunks_exact_mut(width)
            .zip(part.acc.chunks_exact(width))
        {
            add::<S, Lanes<S, T>>(simd, &mut x[lane.clone()], a, &y[lane.clone()], b);
        }
    }
}

/// `x = x·a + y·b`.
#[inline(always)]
pub(super) fn add<S: Simd, V: Float<S>>(
    simd: S,
    x: &mut [V::Element],
    a: V,
    y: &[V::Element],
    b: V,
) {
    let later = V::from_slice(simd, y) * b;
    V::from_slice(simd, x).mul_add(a, later).store_slice(x);
}

/// Lets a sink (a base-2 logit a lane) into the denominator; `factor` becomes what `acc` has to be
/// multiplied by to give the output: 0 where the denominator is 0.
#[simd]
#[inline(never)]
pub(super) fn close<S: Simd, T: Real>(
    simd: S,
    state: &mut State<'_, T>,
    sinks: Option<&[T]>,
    factor: &mut [T],
) {
    let lanes = Lanes::<S, T>::LEN;
    let zero = Lanes::<S, T>::splat(simd, T::ZERO);
    let one = Lanes::<S, T>::splat(simd, T::ONE);
    for at in (0..state.m.len()).step_by(lanes) {
        let lane = at..at + lanes;
        let mut l = Lanes::<S, T>::from_slice(simd, &state.l[lane.clone()]);
        let mut share = one;
        if let Some(sinks) = sinks {
            let m0 = Lanes::<S, T>::from_slice(simd, &state.m[lane.clone()]);
            let sink = Lanes::<S, T>::from_slice(simd, &sinks[lane.clone()]);
            let m = m0.max(sink);
            let from = origin::<S, Lanes<S, T>>(simd, m);
            share = exp2(simd, m0 - from);
            l = l.mul_add(share, exp2(simd, sink - from));
            m.store_slice(&mut state.m[lane.clone()]);
            l.store_slice(&mut state.l[lane.clone()]);
        }
        l.simd_eq(zero)
            .select(zero, share / l)
            .store_slice(&mut factor[lane]);
    }
}
