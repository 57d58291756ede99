//! Random numbers by counting: Philox4x32-10, keyed by a seed, counted by (stream, item).
//!
//! A number depends on its place alone, never on what was drawn before or on which thread asks, so
//! any part of a stream can be made anywhere. `python/numfuse/reference/random.py` is the same
//! definition in NumPy, to the bit:
//!
//! ```text
//! block(item)     = philox4x32(key = seed, counter = (item, stream)), low words first
//! uniform f32 i   = (word i mod 4 of block(i div 4) >> 8) · 2⁻²⁴               in [0, 1)
//! uniform f64 i   = (words 2(i mod 2), 2(i mod 2)+1 of block(i div 2) >> 11) · 2⁻⁵³
//! exponential i   = 0 − ln(1 − uniform i): 1 − u is exact and above 0
//! below(item, n)  = ⌊r · n / 2⁶⁴⌋ for the first r of block(item), block(item + 2⁴⁸), … (two
//!                   64-bit words each) with r · n mod 2⁶⁴ ≥ 2⁶⁴ mod n: each value equally likely
//! shuffle         : for i = count − 1, …, 1: swap i with below(i, i + 1)
//! ```
//!
//! The logarithm is plain multiplications and additions and one division, each rounded by
//! IEEE 754 and none fused, hence the same everywhere:
//! x = 2ᵉm with √½ ≤ m < √2; s = (m − 1)/(m + 1); ln x = e·ln 2 + 2s(1 + s²/3 + s⁴/5 + …).
//!
//! Sources: Salmon et al., SC 2011 (Philox); Lemire, ACM TOMACS 29 (2019) (bounded integers).

use std::ops::{Add, Div, Mul, Sub};

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const KEY_STEPS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;
/// How far apart the blocks stand that [`Stream::below`] goes through for one item.
const RETRY: u64 = 1 << 48;

/// The four words at `counter` under `key`.
#[inline]
pub fn philox4x32(key: [u32; 2], counter: [u32; 4]) -> [u32; 4] {
    let [mut key0, mut key1] = key;
    let [mut a, mut b, mut c, mut d] = counter;
    for _ in 0..ROUNDS {
        let left = u64::from(MULTIPLIERS[0]) * u64::from(a);
        let right = u64::from(MULTIPLIERS[1]) * u64::from(c);
        a = (right >> 32) as u32 ^ b ^ key0;
        c = (left >> 32) as u32 ^ d ^ key1;
        b = right as u32;
        d = left as u32;
        key0 = key0.wrapping_add(KEY_STEPS[0]);
        key1 = key1.wrapping_add(KEY_STEPS[1]);
    }
    [a, b, c, d]
}

/// One of a seed's 2⁶⁴ independent streams. Each kind of number below reads the same blocks: use
/// another stream for another purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    key: [u32; 2],
    stream: [u32; 2],
}

impl Stream {
    /// The stream number `stream` of `seed`.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self {
            key: words(seed),
            stream: words(stream),
        }
    }

    /// The 128 random bits of `item`.
    #[inline]
    pub fn block(&self, item: u64) -> [u32; 4] {
        let [low, high] = words(item);
        philox4x32(self.key, [low, high, self.stream[0], self.stream[1]])
    }

    /// Uniform number `index`, in [0, 1).
    #[inline]
    pub fn uniform<T: Variate>(&self, index: u64) -> T {
        let block = self.block(index / T::IN_BLOCK);
        T::uniform(&block, (index % T::IN_BLOCK) as usize)
    }

    /// Exponential number `index`, of mean 1: at most 16.7 (f64: 36.8).
    #[inline]
    pub fn exponential<T: Variate>(&self, index: u64) -> T {
        exponential(self.uniform(index))
    }

    /// Uniform numbers `first`, `first + 1`, …
    pub fn fill_uniform<T: Variate>(&self, first: u64, out: &mut [T]) {
        self.fill(first, out, |uniform| uniform);
    }

    /// Exponential numbers `first`, `first + 1`, …
    pub fn fill_exponential<T: Variate>(&self, first: u64, out: &mut [T]) {
        self.fill(first, out, exponential);
    }

    /// An integer in [0, `bound`), each equally likely. Items below 2⁴⁸ share no bits.
    ///
    /// # Panics
    /// If `bound` is 0.
    pub fn below(&self, item: u64, bound: u64) -> u64 {
        assert!(bound > 0, "there is no integer below 0");
        let unfair = bound.wrapping_neg() % bound;
        let mut item = item;
        loop {
            let [a, b, c, d] = self.block(item);
            for word in [join(a, b), join(c, d)] {
                let product = u128::from(word) * u128::from(bound);
                if product as u64 >= unfair {
                    return (product >> 64) as u64;
                }
            }
            item = item.wrapping_add(RETRY);
        }
    }

    /// Puts `items` into random order, each order equally likely (Fisher and Yates).
    pub fn shuffle<T>(&self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64, i as u64 + 1) as usize);
        }
    }

    fn fill<T: Variate>(&self, first: u64, out: &mut [T], finish: impl Fn(T) -> T) {
        let mut index = first;
        let mut rest = out;
        while !rest.is_empty() {
            let block = self.block(index / T::IN_BLOCK);
            let part = (index % T::IN_BLOCK) as usize;
            let count = rest.len().min(T::IN_BLOCK as usize - part);
            let (now, later) = rest.split_at_mut(count);
            for (offset, out) in now.iter_mut().enumerate() {
                *out = finish(T::uniform(&block, part + offset));
            }
            index = index.wrapping_add(count as u64);
            rest = later;
        }
    }
}

#[inline]
fn words(value: u64) -> [u32; 2] {
    [value as u32, (value >> 32) as u32]
}

#[inline]
fn join(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

/// A float type that random numbers come in: `f32` and `f64`.
pub trait Variate:
    Copy
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + sealed::Sealed
    + 'static
{
    /// How many numbers one block makes.
    const IN_BLOCK: u64;
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// ln 2 rounded to so few bits that its product with an exponent is exact, and the rest.
    const LN_2: [Self; 2];
    /// 1/3, 1/5, …: as many terms as the mantissa needs.
    const SERIES: &'static [Self];

    /// The uniform number that is number `part` in `block`.
    fn uniform(block: &[u32; 4], part: usize) -> Self;
    /// (e, m) with x = 2ᵉm and √½ ≤ m < √2, for normal x > 0.
    fn split(self) -> (Self, Self);
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

impl Variate for f32 {
    const IN_BLOCK: u64 = 4;
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const LN_2: [Self; 2] = [0.693_145_75, 1.428_606_8e-6];
    const SERIES: &'static [Self] = &[1.0 / 3.0, 1.0 / 5.0, 1.0 / 7.0, 1.0 / 9.0];

    #[inline]
    fn uniform(block: &[u32; 4], part: usize) -> Self {
        (block[part] >> 8) as Self * (1.0 / 16_777_216.0)
    }

    #[inline]
    fn split(self) -> (Self, Self) {
        let exponent = (self.to_bits() >> 23) as i32 - 127;
        let mantissa = Self::from_bits(self.to_bits() & 0x007F_FFFF | Self::ONE.to_bits());
        if mantissa < std::f32::consts::SQRT_2 {
            (exponent as Self, mantissa)
        } else {
            ((exponent + 1) as Self, mantissa * 0.5)
        }
    }
}

impl Variate for f64 {
    const IN_BLOCK: u64 = 2;
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const LN_2: [Self; 2] = [0.6931471805598903, 5.497923018708371e-14];
    const SERIES: &'static [Self] = &[
        1.0 / 3.0,
        1.0 / 5.0,
        1.0 / 7.0,
        1.0 / 9.0,
        1.0 / 11.0,
        1.0 / 13.0,
        1.0 / 15.0,
        1.0 / 17.0,
        1.0 / 19.0,
    ];

    #[inline]
    fn uniform(block: &[u32; 4], part: usize) -> Self {
        let word = join(block[2 * part], block[2 * part + 1]);
        (word >> 11) as Self * (1.0 / 9_007_199_254_740_992.0)
    }

    #[inline]
    fn split(self) -> (Self, Self) {
        let exponent = (self.to_bits() >> 52) as i64 - 1023;
        let mantissa =
            Self::from_bits(self.to_bits() & 0x000F_FFFF_FFFF_FFFF | Self::ONE.to_bits());
        if mantissa < std::f64::consts::SQRT_2 {
            (exponent as Self, mantissa)
        } else {
            ((exponent + 1) as Self, mantissa * 0.5)
        }
    }
}

/// −ln(1 − u), of relative error at most 3 units in the last place.
#[inline]
fn exponential<T: Variate>(uniform: T) -> T {
    // A difference and no negation, so that 0 gives +0.
    T::ZERO - ln(T::ONE - uniform)
}

/// ln x for normal x > 0. No term may be fused or reordered: the reference does the same steps.
#[inline]
fn ln<T: Variate>(x: T) -> T {
    let (exponent, mantissa) = x.split();
    let s = (mantissa - T::ONE) / (mantissa + T::ONE);
    let square = s * s;
    let series = T::SERIES
        .iter()
        .rev()
        .fold(T::ZERO, |sum, &term| sum * square + term);
    let twice = s + s;
    let ln_mantissa = twice + twice * (square * series);
    (ln_mantissa + exponent * T::LN_2[1]) + exponent * T::LN_2[0]
}

#[cfg(test)]
mod tests;
