//! Elementary functions on lanes. Each states its largest error and its range; the tests measure
//! both against float64 (float32) or a sum of two float64 (float64).

use fearless_simd::prelude::*;

use super::Real;

/// 2^x for x ≤ 127 (float64: 1023). NaN stays NaN.
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
