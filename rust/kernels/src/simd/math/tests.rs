use fearless_simd::prelude::*;
use fearless_simd_macros::simd;

use super::golden;
use crate::simd::{Lanes, Level, Real, levels, math};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Function {
    Exp2,
    Log,
    Tanh,
    Erf,
    Erfc,
}

use Function::{Erf, Erfc, Exp2, Log, Tanh};

const ALL: [Function; 5] = [Exp2, Log, Tanh, Erf, Erfc];

impl Function {
    fn golden(self) -> &'static [(f64, f64, f64)] {
        match self {
            Exp2 => golden::EXP2,
            Log => golden::LOG,
            Tanh => golden::TANH,
            Erf => golden::ERF,
            Erfc => golden::ERFC,
        }
    }

    /// The stated largest relative error in units of u, for float32 and float64.
    fn bound(self, x: f64) -> (f64, f64) {
        match self {
            Exp2 => (1.9e-7 / f32_unit(), 3.4e-16 / f64_unit()),
            Log => (1.5, 1.5),
            Tanh => (6.0, 10.0),
            Erf => (4.0, 4.0),
            Erfc => (7.0 + 3.0 * x * x, 7.0 + 3.0 * x * x),
        }
    }

    /// Results below this are flushed.
    fn smallest<T: Real>(self) -> f64 {
        match self {
            Exp2 | Erfc => 2.0 * T::SMALLEST_NORMAL.to_f64(),
            Log | Tanh | Erf => 0.0,
        }
    }

    /// Whether `x` lies in the stated range.
    fn takes(self, x: f32) -> bool {
        match self {
            Exp2 => x <= 127.0,
            Erfc => x >= 0.0,
            Log | Tanh | Erf => true,
        }
    }
}

fn f32_unit() -> f64 {
    f64::from(f32::EPSILON) / 2.0
}

fn f64_unit() -> f64 {
    f64::EPSILON / 2.0
}

/// `function` of every element, lanes that are left over filled with ones.
fn apply<T: Real>(level: Level, function: Function, x: &[T]) -> Vec<T> {
    let mut out = vec![T::ZERO; x.len()];
    fearless_simd::dispatch!(level, simd => apply_lanes(simd, function, x, &mut out));
    out
}

#[simd]
fn apply_lanes<S: Simd, T: Real>(simd: S, function: Function, x: &[T], out: &mut [T]) {
    let lanes = Lanes::<S, T>::LEN;
    for (x, out) in x.chunks(lanes).zip(out.chunks_mut(lanes)) {
        let mut argument = Lanes::<S, T>::splat(simd, T::ONE);
        argument.as_mut_slice()[..x.len()].copy_from_slice(x);
        let value = match function {
            Exp2 => math::exp2(simd, argument),
            Log => math::log(simd, argument),
            Tanh => math::tanh(simd, argument),
            Erf => math::erf(simd, argument),
            Erfc => math::erfc_nonnegative(simd, argument),
        };
        out.copy_from_slice(&value.as_slice()[..x.len()]);
    }
}

/// Every 4,099th float32, both signs, subnormal ones too.
fn sweep() -> Vec<f32> {
    (0..=u32::MAX)
        .step_by(4099)
        .map(f32::from_bits)
        .filter(|x| x.is_finite())
        .collect()
}

#[test]
fn float64_keeps_the_stated_errors() {
    for (name, level) in levels() {
        for function in ALL {
            let table = function.golden();
            let x: Vec<f64> = table.iter().map(|row| row.0).collect();
            for (&(x, high, low), got) in table.iter().zip(apply(level, function, &x)) {
                if high.abs() < function.smallest::<f64>() {
                    assert!(
                        (0.0..=function.smallest::<f64>()).contains(&got),
                        "{name} {function:?}({x}) = {got}"
                    );
                    continue;
                }
                let error = ((got - high) - low).abs() / high.abs() / f64_unit();
                assert!(
                    error <= function.bound(x).1,
                    "{name} {function:?}({x}) = {got}: {error} u"
                );
            }
        }
    }
}

#[test]
fn float32_keeps_the_stated_errors() {
    let (_, best) = levels()[0];
    for function in ALL {
        let x: Vec<f32> = sweep().into_iter().filter(|&x| function.takes(x)).collect();
        let wide: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
        let truth: Vec<f64> = match function {
            Exp2 => wide.iter().map(|x| x.exp2()).collect(),
            Log => wide.iter().map(|x| x.ln()).collect(),
            Tanh => wide.iter().map(|x| x.tanh()).collect(),
            // float64_keeps_the_stated_errors has shown that these serve as truth.
            Erf | Erfc => apply(best, function, &wide),
        };
        for (name, level) in levels() {
            for ((&x, &truth), got) in wide.iter().zip(&truth).zip(apply(level, function, &x)) {
                let got = f64::from(got);
                if truth.is_nan() || truth.is_infinite() || truth == 0.0 {
                    assert!(
                        got == truth || got.is_nan() && truth.is_nan(),
                        "{name} {function:?}({x}) = {got}"
                    );
                    continue;
                }
                if truth.abs() < function.smallest::<f32>() {
                    assert!(
                        (0.0..=function.smallest::<f32>()).contains(&got),
                        "{name} {function:?}({x}) = {got}"
                    );
                    continue;
                }
                // A subnormal result has an absolute rounding.
                let unit = (truth.abs() * f32_unit()).max(f64::from(f32::from_bits(1)) / 2.0);
                let error = (got - truth).abs() / unit;
                assert!(
                    error <= function.bound(x).0,
                    "{name} {function:?}({x}) = {got}: {error} u"
                );
            }
        }
    }
}

fn special_values_are_kept<T: Real>() {
    let (infinity, nan) = (-T::NEG_INFINITY, T::NAN);
    let minus_zero = -T::ZERO;
    let cases = [
        (Exp2, T::NEG_INFINITY, T::ZERO),
        (Exp2, T::ZERO, T::ONE),
        (Exp2, minus_zero, T::ONE),
        (Exp2, T::EXP2_LOWEST, T::ZERO),
        (Exp2, T::EXPONENT_BIAS + T::ONE, infinity),
        (Log, T::ZERO, T::NEG_INFINITY),
        (Log, minus_zero, T::NEG_INFINITY),
        (Log, T::ONE, T::ZERO),
        (Log, infinity, infinity),
        (Log, T::NEG_INFINITY, nan),
        (Log, -T::ONE, nan),
        (Log, -T::SMALLEST_NORMAL, nan),
        (Tanh, T::ZERO, T::ZERO),
        (Tanh, minus_zero, minus_zero),
        (Tanh, infinity, T::ONE),
        (Tanh, T::NEG_INFINITY, -T::ONE),
        (Erf, T::ZERO, T::ZERO),
        (Erf, minus_zero, minus_zero),
        (Erf, infinity, T::ONE),
        (Erf, T::NEG_INFINITY, -T::ONE),
        (Erfc, infinity, T::ZERO),
    ];
    for (name, level) in levels() {
        for (function, x, truth) in cases {
            let got = apply(level, function, &[x])[0];
            let same_sign = got.to_f64().is_sign_negative() == truth.to_f64().is_sign_negative();
            let same = got == truth && same_sign || got != got && truth != truth;
            assert!(same, "{name} {function:?}({x}) = {got}, not {truth}");
        }
        for function in ALL {
            let got = apply(level, function, &[nan])[0];
            assert!(got != got, "{name} {function:?}(NaN) = {got}");
        }
    }
}

#[test]
fn special_values_are_kept_in_float32() {
    special_values_are_kept::<f32>();
}

#[test]
fn special_values_are_kept_in_float64() {
    special_values_are_kept::<f64>();
}

#[test]
fn a_lane_depends_on_its_own_input_alone() {
    let x: Vec<f32> = (0..97).map(|i| 0.01 + 0.11 * i as f32).collect();
    for (name, level) in levels() {
        for function in ALL {
            let together = apply(level, function, &x);
            for (&x, together) in x.iter().zip(together) {
                let alone = apply(level, function, &[x])[0];
                assert_eq!(
                    alone.to_bits(),
                    together.to_bits(),
                    "{name} {function:?}({x})"
                );
            }
        }
    }
}

#[test]
fn levels_that_fuse_give_the_same_bits_and_so_do_the_others() {
    let x: Vec<f64> = golden::LOG
        .iter()
        .chain(golden::TANH)
        .map(|row| row.0)
        .collect();
    for function in ALL {
        let mut seen: [Option<Vec<u64>>; 2] = [None, None];
        for (name, level) in levels() {
            let fuses = name.starts_with("avx");
            let bits = apply(level, function, &x)
                .iter()
                .map(|x| x.to_bits())
                .collect::<Vec<_>>();
            let first = seen[usize::from(fuses)].get_or_insert_with(|| bits.clone());
            assert_eq!(*first, bits, "{name} {function:?}");
        }
    }
}
