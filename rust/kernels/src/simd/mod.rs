//! Instruction-set levels, and the one generic name for a float that kernels compute in.
//!
//! A [`Level`] is a proof that the CPU has a set. A family's entry matches on it once, through
//! [`fearless_simd::dispatch!`]; everything below is `#[simd] fn …<S: Simd, …>(simd: S, …)`.

pub mod math;

use fearless_simd::SimdFloatElement;
pub use fearless_simd::Level;

use crate::Error;

/// Every level that this machine has, best first, under the names that `NUMFUSE_ISA` takes.
pub fn levels() -> Vec<(&'static str, Level)> {
    let mut found = Vec::new();
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    {
        let best = Level::new();
        found.extend(best.as_avx512().map(|token| ("avx512", Level::Avx512(token))));
        found.extend(best.as_avx2().map(|token| ("avx2", Level::Avx2(token))));
        found.extend(best.as_sse4_2().map(|token| ("sse4.2", Level::Sse4_2(token))));
    }
    found.push(("baseline", Level::baseline()));
    found
}

/// The level called `name`, or an error that lists what this machine has.
pub fn level(name: &str) -> Result<Level, Error> {
    let found = levels();
    found
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, level)| *level)
        .ok_or_else(|| Error::UnknownLevel {
            given: name.to_owned(),
            allowed: found.iter().map(|(known, _)| *known).collect(),
        })
}

/// The vector of `T` that level `S` is fastest with.
pub type Lanes<S, T> = <T as SimdFloatElement>::Native<S>;

/// A float type that kernels compute in, with the constants that its functions need.
pub trait Real: SimdFloatElement + PartialOrd + Send + Sync + 'static {
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// −∞.
    const NEG_INFINITY: Self;
    /// Not a number.
    const NAN: Self;
    /// log₂ e.
    const LOG2_E: Self;
    /// ln 2.
    const LN_2: Self;
    /// 1.5 · 2^(mantissa bits) + exponent bias: adding it rounds to an integer, whose biased
    /// value then stands in the low bits.
    const ROUND_AND_BIAS: Self;
    /// Mantissa bits: how far an exponent is shifted.
    const EXPONENT_SHIFT: u32;
    /// Where 2^x is exactly 0 and from there on down.
    const EXP2_LOWEST: Self;
    /// q of 2^f = 1 + f·q(f) on |f| ≤ ½, constant term first.
    const EXP2: &'static [Self];

    /// Rounds to this type.
    fn from_f64(value: f64) -> Self;
    /// Exact.
    fn to_f64(self) -> f64;
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const NEG_INFINITY: Self = f32::NEG_INFINITY;
    const NAN: Self = f32::NAN;
    const LOG2_E: Self = std::f32::consts::LOG2_E;
    const LN_2: Self = std::f32::consts::LN_2;
    const ROUND_AND_BIAS: Self = 12_582_912.0 + 127.0;
    const EXPONENT_SHIFT: u32 = 23;
    const EXP2_LOWEST: Self = -127.0;
    const EXP2: &'static [Self] =
        &[0.693_147_24, 0.240_226_52, 0.055_503_104, 0.009_617_693, 0.001_340_664_3, 0.000_155_946_78];

    fn from_f64(value: f64) -> Self {
        value as f32
    }
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const NEG_INFINITY: Self = f64::NEG_INFINITY;
    const NAN: Self = f64::NAN;
    const LOG2_E: Self = std::f64::consts::LOG2_E;
    const LN_2: Self = std::f64::consts::LN_2;
    const ROUND_AND_BIAS: Self = 6_755_399_441_055_744.0 + 1023.0;
    const EXPONENT_SHIFT: u32 = 52;
    const EXP2_LOWEST: Self = -1023.0;
    const EXP2: &'static [Self] = &[
        0.6931471805599457,
        0.24022650695910097,
        0.05550410866479039,
        0.009618129107607003,
        0.0013333558153439966,
        0.0001540353044157213,
        1.5252727385193868e-05,
        1.3215442675329823e-06,
        1.0180647659234139e-07,
        7.072570412814423e-09,
        4.078071929588337e-10,
    ];

    fn from_f64(value: f64) -> Self {
        value
    }
    fn to_f64(self) -> f64 {
        self
    }
}
