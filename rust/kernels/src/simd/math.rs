//! Elementary functions on lanes. Each states its largest error and its range; the tests measure
//! both against float64 (float32) or a sum of two float64 (float64), on every level.
//!
//! A lane's result depends on that lane's input alone. Levels with fused multiply-add give the same
//! bits as each other, levels without it too. u is half a unit in the last place of 1: 2⁻²⁴
//! (float64: 2⁻⁵³).
//!
//! All polynomials are minimax in the relative error of the function, from a Remez exchange in 60
//! digits; they and the other constants stand with [`Real`].

use fearless_simd::prelude::*;

use super::Real;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;

/// 2^x for x ≤ 127 (float64: 1023), and at 128 (1024) +∞. NaN stays NaN.
///
/// Exactly 1 at 0 and exactly 0 where x ≤ −127 (−1023), so results below the smallest normal
/// number are flushed. Elsewhere the relative error is at most 1.9e-7 (float64: 3.4e-16).
///
/// x = n + f with n an integer and |f| ≤ ½; 2^f = 1 + f·q(f) by a minimax polynomial; n becomes an
/// exponent by a shift, and the two are multiplied, which keeps a NaN.
#[inline(always)]
pub fn exp2<S: Simd, V>(simd: S, x: V) -> V
where
    V: SimdFloat<S>,
    V::Element: Real,
{
    let lowest = V::splat(simd, V::Element::EXP2_LOWEST);
    let bias = V::splat(simd, V::Element::ROUND_AND_BIAS);
    // The constant stands first: this order lets a NaN through.
    let x = lowest.max(x);
    let shifted = x + bias;
    let fraction = x - (shifted - bias);
    let coefficients = V::Element::EXP2;
    let mut q = V::splat(simd, coefficients[coefficients.len() - 1]);
    for &coefficient in coefficients[..coefficients.len() - 1].iter().rev() {
        q = q.mul_add(fraction, V::splat(simd, coefficient));
    }
    let power = q.mul_add(fraction, V::splat(simd, V::Element::ONE));
    power * V::from_bits(shifted.to_bits() << V::Element::EXPONENT_SHIFT)
}

/// p(x), coefficients with the constant term first.
#[inline(always)]
fn polynomial<S: Simd, V>(simd: S, coefficients: &'static [V::Element], x: V) -> V
where
    V: SimdFloat<S>,
    V::Element: Real,
{
    // A loop, not `fold`: the closure would be compiled without the level's instructions.
    let mut sum = V::splat(simd, coefficients[coefficients.len() - 1]);
    for &coefficient in coefficients[..coefficients.len() - 1].iter().rev() {
        sum = sum.mul_add(x, V::splat(simd, coefficient));
    }
    sum
}

/// ln x. 0 gives −∞, +∞ itself, less than 0 NaN; NaN stays NaN.
///
/// For all other x, subnormal ones too, the relative error is at most 1.5 u (float64: 1.5 u).
///
/// x = 2^n·m with m in [√½, √2); s = (m − 1)/(m + 1); ln m = 2s + s·z·L(z) with z = s², summed so
/// that m − 1, which is exact, comes last.
#[inline(always)]
pub fn log<S: Simd, V>(simd: S, x: V) -> V
where
    V: SimdFloat<S>,
    V::Element: Real,
{
    let splat = |value| V::splat(simd, value);
    let (zero, one) = (splat(V::Element::ZERO), splat(V::Element::ONE));
    let mantissa_end = splat(V::Element::MANTISSA_END);
    let shift = V::Element::EXPONENT_SHIFT;

    let subnormal = x.simd_lt(splat(V::Element::SMALLEST_NORMAL));
    let normal = subnormal.select(x * mantissa_end, x);
    let bias = splat(V::Element::EXPONENT_BIAS);
    let lost = splat(V::Element::from_f64(f64::from(shift)));
    let bias = subnormal.select(bias + lost, bias);

    // In bits relative to √½ the exponent steps at √½, √2, …, and the mantissa starts there.
    let start = splat(V::Element::SQRT_HALF).to_bits();
    let relative = normal.to_bits() - start + one.to_bits();
    let exponent = V::from_bits((relative >> shift) | mantissa_end.to_bits()) - mantissa_end - bias;
    let m = V::from_bits((relative & V::Element::MANTISSA) + start);

    let f = m - one;
    let s = f / (f + splat(V::Element::from_f64(2.0)));
    let z = s * s;
    let tail = polynomial(simd, V::Element::LOG, z) * z;
    let half_square = f * f * splat(V::Element::from_f64(0.5));
    let low = exponent * splat(V::Element::LN_2_LOW);
    let small = s.mul_add(half_square + tail, low) - half_square;
    let finite = exponent.mul_add(splat(V::Element::LN_2_HIGH), small + f);

    // What is neither positive nor finite: ±0 → −∞; +∞ and NaN → themselves; the rest → NaN.
    let special = zero.simd_lt(x).select(x, splat(V::Element::NAN));
    let special = x
        .simd_eq(zero)
        .select(splat(V::Element::NEG_INFINITY), special);
    let infinity = splat(-V::Element::NEG_INFINITY);
    (zero.simd_lt(x) & x.simd_lt(infinity)).select(finite, special)
}

/// tanh x. ±0 and ±∞ give ±0 and ±1; NaN stays NaN.
///
/// The relative error is at most 6 u (float64: 10 u), near 0 as well.
///
/// With t = e^(2|x|) − 1, tanh |x| = t / (t + 2). t is had without cancellation from the parts of
/// 2^y = 2^n·(1 + f·q(f)): it is 2^n·f·q(f) + (2^n − 1).
#[inline(always)]
pub fn tanh<S: Simd, V>(simd: S, x: V) -> V
where
    V: SimdFloat<S>,
    V::Element: Real,
{
    let splat = |value| V::splat(simd, value);
    let bias = splat(V::Element::ROUND_AND_BIAS);
    let two = splat(V::Element::from_f64(2.0));

    let y = x.abs() * (splat(V::Element::LOG2_E) * two);
    // The constant stands first: this order lets a NaN through.
    let y = splat(V::Element::TANH_SATURATED).min(y);
    let shifted = y + bias;
    let fraction = y - (shifted - bias);
    let power = V::from_bits(shifted.to_bits() << V::Element::EXPONENT_SHIFT);
    let less_one = polynomial(simd, V::Element::EXP2, fraction) * fraction;
    let t = less_one.mul_add(power, power - splat(V::Element::ONE));
    (t / (t + two)).copysign(x)
}

/// 1 − erf x for x ≥ 0 (or −0). +∞ gives 0; NaN stays NaN; a negative x gives garbage.
///
/// The relative error is at most (7 + 3·x²) u (float64: (7 + 3·x²) u), of which x² comes from
/// rounding x² alone; from x ≈ 9.38 on (26.62) the result is exactly 0.
///
/// erfc(x)·e^(x²)·(x + k) hardly varies and is a polynomial in q = (x − k)/(x + k), after
/// M. M. Shepherd and J. G. Laframboise, Math. Comp. 36 (1981) 249-253.
#[inline(always)]
pub fn erfc_nonnegative<S: Simd, V>(simd: S, x: V) -> V
where
    V: SimdFloat<S>,
    V::Element: Real,
{
    let splat = |value| V::splat(simd, value);
    let centre = splat(V::Element::ERFC_CENTRE);
    // Above this the result is 0 in any case; it keeps ∞ / ∞ away. The constant stands first: this
    // order lets a NaN through.
    let x = splat(V::Element::from_f64(64.0)).min(x);
    let reciprocal = splat(V::Element::ONE) / (x + centre);
    let q = (x - centre) * reciprocal;
    let gauss = exp2(simd, x * x * splat(-V::Element::LOG2_E));
    polynomial(simd, V::Element::ERFC, q) * reciprocal * gauss
}

/// erf x. ±0 and ±∞ give ±0 and ±1; NaN stays NaN.
///
/// The relative error is at most 4 u (float64: 4 u), near 0 as well.
#[inline(always)]
pub fn erf<S: Simd, V>(simd: S, x: V) -> V
where
    V: SimdFloat<S>,
    V::Element: Real,
{
    let magnitude = x.abs();
    let small = polynomial(simd, V::Element::ERF, x * x) * x;
    let large = V::splat(simd, V::Element::ONE) - erfc_nonnegative(simd, magnitude);
    magnitude
        .simd_lt(V::splat(simd, V::Element::ERF_SMALL))
        .select(small, large.copysign(x))
}
