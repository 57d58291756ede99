//! GELU: `out = x·Φ(x)`, Φ the standard normal distribution function.
//!
//! exact:  h = ½·erfc(|x| / √2);  Φ = 1 − h for x > 0, else h.
//! tanh:   ½·(1 + tanh u) = 1 / (1 + e^(−2u)),  u = √(2/π)·(x + 0.044715·x³).
//!
//! Neither form subtracts nearly equal numbers, so that the far negative side keeps its leading
//! digits, which ½·x·(1 + erf(x / √2)) loses. −∞ gives NaN, as −∞·0 in the formula does.
//! Source: Hendrycks & Gimpel 2016.

use fearless_simd::prelude::*;
use fearless_simd_macros::simd;

use super::rows::{each_run, map_lanes};
use crate::simd::Real;
use crate::simd::math::{erfc_nonnegative, exp2};
use crate::view::{View, ViewMut};
use crate::{Context, Error};

/// Which function stands for Φ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approximation {
    /// Φ itself.
    None,
    /// Hendrycks and Gimpel's ½·(1 + tanh(√(2/π)·(x + 0.044715·x³))).
    Tanh,
}

/// GELU of every element. `out` has the shape of `x`; where their elements do not all stand side by
/// side, the last axis of both has unit stride.
///
/// The relative error is at most (9 + 3·x²) u, to which comes |x| times the smallest normal number,
/// since smaller probabilities are flushed.
///
/// # Errors
/// [`Error::Shape`] and [`Error::Layout`] as said above, [`Error::Interrupted`].
pub fn gelu<T: Real>(
    x: View<T>,
    approximation: Approximation,
    out: ViewMut<T>,
    context: &Context,
) -> Result<(), Error> {
    fearless_simd::dispatch!(context.level, simd => each_run(&x, out, context, &|x, out| {
        run(simd, approximation, x, out);
    }))
}

#[simd]
fn run<S: Simd, T: Real>(simd: S, approximation: Approximation, x: &[T], out: &mut [T]) {
    match approximation {
        Approximation::None => map_lanes(
            simd,
            x,
            out,
            #[inline(always)]
            |x| exact::<S, T>(simd, x),
        ),
        Approximation::Tanh => map_lanes(
            simd,
            x,
            out,
            #[inline(always)]
            |x| by_tanh::<S, T>(simd, x),
        ),
    }
}

#[inline(always)]
fn exact<S: Simd, T: Real>(simd: S, x: T::Wide<S>) -> T::Wide<S> {
    let splat = |value| T::Wide::<S>::splat(simd, value);
    let magnitude = x.abs() * splat(T::SQRT_HALF);
    let h = erfc_nonnegative(simd, magnitude) * splat(T::from_f64(0.5));
    let positive = splat(T::ZERO).simd_lt(x);
    x * positive.select(splat(T::ONE) - h, h)
}

#[inline(always)]
fn by_tanh<S: Simd, T: Real>(simd: S, x: T::Wide<S>) -> T::Wide<S> {
    let splat = |value| T::Wide::<S>::splat(simd, value);
    // −2·√(2/π)·log₂e, and that times 0.044715.
    let first = -2.0 * std::f64::consts::LOG2_E * (2.0 / std::f64::consts::PI).sqrt();
    let third = first * 0.044_715;
    let slope = (x * x).mul_add(splat(T::from_f64(third)), splat(T::from_f64(first)));
    // exp2 is infinite here, and x / ∞ is the limit. The constant stands first: this order lets a
    // NaN through.
    let overflow = splat(T::EXPONENT_BIAS + T::ONE);
    let power = exp2(simd, overflow.min(x * slope));
    x / (power + splat(T::ONE))
}
