//! Instruction-set levels, and the one generic name for a float that kernels compute in.
//!
//! A [`Level`] is a proof that the CPU has a set. A family's entry matches on it once, through
//! [`fearless_simd::dispatch!`]; everything below is `#[simd] fn …<S: Simd, …>(simd: S, …)`.

pub mod half;
pub mod math;
mod prefetch;

pub use fearless_simd::Level;
use fearless_simd::{
    Simd, SimdCombine, SimdFloat, SimdFloatElement, f32x4, f32x8, f32x16, f64x2, f64x4, f64x8,
};
pub use half::Half;
pub use prefetch::prefetch;

use crate::Error;

/// Every level that this machine has, best first, under the names that `NUMFUSE_ISA` takes.
pub fn levels() -> Vec<(&'static str, Level)> {
    let mut found = Vec::new();
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    {
        let best = Level::new();
        found.extend(
            best.as_avx512()
                .map(|token| ("avx512", Level::Avx512(token))),
        );
        found.extend(best.as_avx2().map(|token| ("avx2", Level::Avx2(token))));
        found.extend(
            best.as_sse4_2()
                .map(|token| ("sse4.2", Level::Sse4_2(token))),
        );
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

/// Lanes of a [`Real`]: [`Lanes`], or a narrower or wider vector of the same kind.
pub trait Float<S: Simd>: SimdFloat<S, Element: Real> {}

impl<S: Simd, V: SimdFloat<S, Element: Real>> Float<S> for V {}

/// A float type that kernels compute in, with the constants that its functions need.
pub trait Real: SimdFloatElement + PartialOrd + Send + Sync + 'static {
    /// 64 bytes of lanes on every level. A sum over these has one order everywhere, which a sum
    /// over [`Lanes`] has not.
    type Wide<S: Simd>: SimdFloat<S, Element = Self>;
    /// 128 bits of lanes: the widest whose interleaving is one instruction on every level.
    type Block<S: Simd>: SimdFloat<S, Element = Self> + SimdCombine<S, Combined = Self::Pair<S>>;
    /// Two blocks.
    type Pair<S: Simd>: SimdFloat<S, Element = Self>;

    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// −∞.
    const NEG_INFINITY: Self;
    /// The largest finite number.
    const MAX: Self;
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
    /// √½, where the logarithm's mantissas begin.
    const SQRT_HALF: Self;
    /// The smallest normal number.
    const SMALLEST_NORMAL: Self;
    /// 2^(mantissa bits): an integer below it, written into its low bits, adds to it exactly.
    const MANTISSA_END: Self;
    /// What is added to an exponent before it is stored.
    const EXPONENT_BIAS: Self;
    /// The bits of the mantissa.
    const MANTISSA: Self::Bits;
    /// ln 2 in so few bits that its product with an exponent is exact.
    const LN_2_HIGH: Self;
    /// ln 2 − `LN_2_HIGH`.
    const LN_2_LOW: Self;
    /// L of ln((1 + s)/(1 − s)) = 2s + s·z·L(z), z = s², on |s| ≤ 3 − 2√2, constant term first.
    const LOG: &'static [Self];
    /// Where 2^x makes tanh exactly 1.
    const TANH_SATURATED: Self;
    /// From here on up, erf is 1 − erfc.
    const ERF_SMALL: Self;
    /// p of erf(x) = x·p(x²) below `ERF_SMALL`, constant term first.
    const ERF: &'static [Self];
    /// k of `ERFC`: about the x at which q is 0.
    const ERFC_CENTRE: Self;
    /// p of erfc(x) = e^(−x²)·p(q) / (x + k), q = (x − k)/(x + k), for x ≥ 0, constant term first.
    const ERFC: &'static [Self];

    /// Rounds to this type.
    fn from_f64(value: f64) -> Self;
    /// Exact.
    fn to_f64(self) -> f64;
    /// Each of `bits` in this type, exactly.
    fn widen(half: Half, bits: &[u16], out: &mut [Self]);
}

impl Real for f32 {
    type Wide<S: Simd> = f32x16<S>;
    type Block<S: Simd> = f32x4<S>;
    type Pair<S: Simd> = f32x8<S>;

    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const NEG_INFINITY: Self = f32::NEG_INFINITY;
    const MAX: Self = f32::MAX;
    const NAN: Self = f32::NAN;
    const LOG2_E: Self = std::f32::consts::LOG2_E;
    const LN_2: Self = std::f32::consts::LN_2;
    const ROUND_AND_BIAS: Self = 12_582_912.0 + 127.0;
    const EXPONENT_SHIFT: u32 = 23;
    const EXP2_LOWEST: Self = -127.0;
    const EXP2: &'static [Self] = &[
        0.693_147_24,
        0.240_226_52,
        0.055_503_104,
        0.009_617_693,
        0.001_340_664_3,
        0.000_155_946_78,
    ];
    const SQRT_HALF: Self = std::f32::consts::FRAC_1_SQRT_2;
    const SMALLEST_NORMAL: Self = f32::MIN_POSITIVE;
    const MANTISSA_END: Self = 8_388_608.0;
    const EXPONENT_BIAS: Self = 127.0;
    const MANTISSA: u32 = (1 << 23) - 1;
    const LN_2_HIGH: Self = 0.693_145_75;
    const LN_2_LOW: Self = 1.428_606_8e-6;
    const LOG: &'static [Self] = &[0.666_666_7, 0.400_001_23, 0.285_507_38, 0.233_323_83];
    const TANH_SATURATED: Self = 30.0;
    const ERF_SMALL: Self = 0.65;
    #[expect(clippy::approx_constant, reason = "a minimax coefficient near 2/√π")]
    const ERF: &'static [Self] = &[
        1.128_379_2,
        -0.376_126_35,
        0.112_836_54,
        -0.026_852_211,
        0.005_159_621,
        -0.000_715_59,
    ];
    const ERFC_CENTRE: Self = 2.625;
    const ERFC: &'static [Self] = &[
        1.059_909_7,
        -0.827_280_8,
        0.491_441_04,
        -0.206_741_56,
        0.048_443_705,
        0.003_150_872_2,
        -0.005_778_552_5,
        0.000_486_163_13,
        0.000_598_866_4,
    ];

    fn from_f64(value: f64) -> Self {
        value as f32
    }
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn widen(half: Half, bits: &[u16], out: &mut [Self]) {
        half::widen(half, bits, out);
    }
}

impl Real for f64 {
    type Wide<S: Simd> = f64x8<S>;
    type Block<S: Simd> = f64x2<S>;
    type Pair<S: Simd> = f64x4<S>;

    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const NEG_INFINITY: Self = f64::NEG_INFINITY;
    const MAX: Self = f64::MAX;
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
    const SQRT_HALF: Self = std::f64::consts::FRAC_1_SQRT_2;
    const SMALLEST_NORMAL: Self = f64::MIN_POSITIVE;
    const MANTISSA_END: Self = 4_503_599_627_370_496.0;
    const EXPONENT_BIAS: Self = 1023.0;
    const MANTISSA: u64 = (1 << 52) - 1;
    const LN_2_HIGH: Self = 0.6931471805601177;
    const LN_2_LOW: Self = -1.7239444525614835e-13;
    const LOG: &'static [Self] = &[
        0.666666666666667,
        0.39999999999898445,
        0.2857142862639939,
        0.2222221107281702,
        0.1818289322033006,
        0.15331596911736187,
        0.14617873222520872,
    ];
    const TANH_SATURATED: Self = 60.0;
    const ERF_SMALL: Self = 0.65;
    #[expect(clippy::approx_constant, reason = "a minimax coefficient near 2/√π")]
    const ERF: &'static [Self] = &[
        1.1283791670955126,
        -0.37612638903183543,
        0.11283791670938696,
        -0.026866170640177083,
        0.005223977549431837,
        -0.0008548320310806468,
        0.00012054971121593218,
        -1.4913528589784891e-05,
        1.6214917410703673e-06,
        -1.3525834301943084e-07,
    ];
    const ERFC_CENTRE: Self = 3.5;
    const ERFC: &'static [Self] = &[
        1.08705558926226,
        -0.9377997245671119,
        0.6941136466346453,
        -0.43525602671689967,
        0.22573862164736638,
        -0.09231870663817339,
        0.026518619882581387,
        -0.0031770503467389707,
        -0.0013053547015863508,
        0.0007145317144784868,
        -4.206210375943701e-05,
        -7.477720714138627e-05,
        1.8646954539571416e-05,
        7.244434285789638e-06,
        -3.3914555167019875e-06,
        -7.966930751097677e-07,
        5.496875659946319e-07,
        1.1621982463002075e-07,
        -8.282405023503568e-08,
        -2.1603202290245163e-08,
        8.803876023389131e-09,
        3.1916757445001077e-09,
    ];

    fn from_f64(value: f64) -> Self {
        value
    }
    fn to_f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn widen(half: Half, bits: &[u16], out: &mut [Self]) {
        for (out, &bits) in out.iter_mut().zip(bits) {
            let mut one = [0.0];
            half::widen(half, &[bits], &mut one);
            *out = f64::from(one[0]);
        }
    }
}
