//! Sixteen-bit floats as float32, which holds each of them exactly.
//!
//! Both are loops over integers that every level's compiler turns into lanes when they are inlined
//! into a `#[simd]` function: bfloat16 is the upper half of a float32; float16 is shifted to where
//! float32 has exponent and mantissa, and multiplied by 2¹¹², the difference of the two biases,
//! which makes its subnormal numbers normal ones.

/// A kind of sixteen-bit float.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// IEEE 754's: 5 bits of exponent, 10 of mantissa.
    Float16,
    /// The upper half of a float32.
    Bfloat16,
}

/// 2¹¹²: float16's exponent bias is 15, float32's 127.
const REBIAS: f32 = f32::from_bits((112 + 127) << 23);

/// Each of `bits` as a float32, until one of the two slices ends.
#[inline(always)]
pub fn widen(half: Half, bits: &[u16], out: &mut [f32]) {
    match half {
        Half::Float16 => widen_f16(bits, out),
        Half::Bfloat16 => widen_bf16(bits, out),
    }
}

/// Each bfloat16 of `bits` as a float32.
#[inline(always)]
pub fn widen_bf16(bits: &[u16], out: &mut [f32]) {
    for (out, &bits) in out.iter_mut().zip(bits) {
        *out = f32::from_bits(u32::from(bits) << 16);
    }
}

/// Each float16 of `bits` as a float32; a NaN keeps its payload.
#[inline(always)]
pub fn widen_f16(bits: &[u16], out: &mut [f32]) {
    for (out, &bits) in out.iter_mut().zip(bits) {
        let bits = u32::from(bits);
        let sign = (bits & 0x8000) << 16;
        let magnitude = (bits & 0x7fff) << 13;
        let finite = (f32::from_bits(magnitude) * REBIAS).to_bits();
        // Infinities and NaN have all exponent bits set, here as there.
        let special = magnitude | 0x7f80_0000;
        let magnitude = if bits & 0x7c00 == 0x7c00 {
            special
        } else {
            finite
        };
        *out = f32::from_bits(sign | magnitude);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the definition: (−1)^s · 2^(e − 15) · (1 + m/1024), or 2^−14 · m/1024 where e is 0.
    fn float16(bits: u16) -> f64 {
        let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
        let (exponent, mantissa) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
        sign * match exponent {
            0 => 2_f64.powi(-14) * (mantissa / 1024.0),
            31 if mantissa == 0.0 => f64::INFINITY,
            31 => f64::NAN,
            _ => 2_f64.powi(exponent - 15) * (1.0 + mantissa / 1024.0),
        }
    }

    #[test]
    fn every_float16_keeps_its_value() {
        let bits: Vec<u16> = (0..=u16::MAX).collect();
        let mut out = vec![0.0; bits.len()];
        widen(Half::Float16, &bits, &mut out);
        for (&bits, &got) in bits.iter().zip(&out) {
            let truth = float16(bits);
            if truth.is_nan() {
                assert!(got.is_nan(), "{bits:#06x}");
            } else {
                assert_eq!(
                    f64::from(got).to_bits(),
                    truth.to_bits(),
                    "{bits:#06x}: {got} is not {truth}"
                );
            }
        }
    }

    #[test]
    fn every_bfloat16_is_the_upper_half_of_its_float32() {
        let bits: Vec<u16> = (0..=u16::MAX).collect();
        let mut out = vec![0.0; bits.len()];
        widen(Half::Bfloat16, &bits, &mut out);
        for (&bits, got) in bits.iter().zip(&out) {
            assert_eq!(got.to_bits(), u32::from(bits) << 16);
        }
    }
}
