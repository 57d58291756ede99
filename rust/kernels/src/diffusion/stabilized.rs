//! RKL2: a second-order Runge–Kutta method of s stages that is stable for steps about s²/4 times as
//! long as Euler's.
//!
//! Y₁ = Y₀ + µ̃₁τL(Y₀);  Y_j = µ_jY_{j−1} + ν_jY_{j−2} + (1 − µ_j − ν_j)Y₀ + µ̃_jτL(Y_{j−1}) +
//! γ̃_jτL(Y₀), written as differences from Y₀, so that a field that should not change does not.
//! The stability function is a shifted Legendre polynomial, positive on the whole stable interval
//! τ·λ ≤ (s² + s − 2)/2. Source: Meyer, Balsara & Aslam 2014, J. Comput. Phys. 257, 594.
//!
//! All stages of a step are made in one pass over memory where they are few enough
//! ([`super::blocking`]), else in one plain sweep a stage.

use super::blocking::{self, Blocks};
use super::boundary::reserved;
use super::explicit::{Blocking, StageArrays, plain};
use super::plane::Step;
use super::problem::Problem;
use super::sweep::Sweep;
use crate::simd::Real;
use crate::{Context, Error};

/// `out` is `field`, any number of grids one after the other, `steps` steps of `dt` later, each of
/// `stages` stages, at least 2.
///
/// # Errors
/// As [`Problem::check`]; [`Error::Value`] for fewer stages, another order than 2, or velocity;
/// [`Error::OutOfMemory`], [`Error::Interrupted`].
#[expect(
    clippy::too_many_arguments,
    reason = "as the explicit method, and stages"
)]
pub fn rkl2<T: Real>(
    problem: &Problem<T>,
    field: &[T],
    out: &mut [T],
    dt: f64,
    steps: usize,
    stages: usize,
    blocking: Blocking,
    context: &Context,
) -> Result<(), Error> {
    problem.check(field.len(), out.len(), 1)?;
    if stages < 2 {
        return Err(Error::Value {
            argument: "stages",
            given: stages.to_string(),
            allowed: "at least 2",
        });
    }
    if problem.velocity.is_some() || problem.order > 2 {
        return Err(Error::Value {
            argument: "method",
            given: "rkl2 with velocity or an order above 2".to_owned(),
            allowed: "explicit for those",
        });
    }
    if steps == 0 || field.is_empty() {
        out.copy_from_slice(field);
        return Ok(());
    }
    let sweep = Sweep::new(problem, dt)?;
    let scheme = scheme(stages)?;
    let blocked = match blocking {
        Blocking::Plain => false,
        Blocking::Levels(_) => true,
        Blocking::Auto => stages <= blocking::most_stages(&sweep),
    };
    if blocked {
        let mut other = filled(if steps > 1 { field.len() } else { 0 })?;
        let mut buffers = [out, &mut other[..]];
        // The last step writes to out, each one to the buffer that the one before did not.
        let mut to = (steps + 1) % 2;
        for step in 0..steps {
            let [first, second] = &mut buffers;
            let (target, source): (&mut [T], &[T]) = if to == 0 {
                (first, second)
            } else {
                (second, first)
            };
            let source = if step == 0 { field } else { source };
            let blocks = Blocks::new(&sweep, stages, 3, context.threads);
            fearless_simd::dispatch!(context.level, simd => {
                blocking::pass(simd, &sweep, &blocks, source, target, (&scheme, 0), context)
            })?;
            to = 1 - to;
        }
        return Ok(());
    }
    let mut zero = filled(field.len())?;
    let mut rate = filled(field.len())?;
    let mut other = filled(field.len())?;
    out.copy_from_slice(field);
    for _ in 0..steps {
        zero.copy_from_slice(out);
        other.copy_from_slice(out);
        // Y_j stands where Y_{j−2} stood.
        let mut buffers = [&mut *out, &mut other[..]];
        for (stage, &step) in scheme.iter().enumerate() {
            let [first, second] = &mut buffers;
            let (target, source): (&mut [T], &[T]) = if stage % 2 == 1 {
                (first, second)
            } else {
                (second, first)
            };
            let arrays = Some(StageArrays {
                zero: &zero,
                rate: &mut rate,
            });
            fearless_simd::dispatch!(context.level, simd => {
                plain(simd, &sweep, source, target, (step, 0), arrays, context)
            })?;
        }
        if stages % 2 == 1 {
            out.copy_from_slice(&other);
        }
    }
    Ok(())
}

fn filled<T: Real>(length: usize) -> Result<Vec<T>, Error> {
    let mut vector = reserved(length)?;
    vector.resize(length, T::ZERO);
    Ok(vector)
}

/// The coefficients of each stage.
fn scheme<T: Real>(stages: usize) -> Result<Vec<Step<T>>, Error> {
    let b = |j: usize| {
        let j = j.max(2) as f64;
        (j * j + j - 2.0) / (2.0 * j * (j + 1.0))
    };
    let s = stages as f64;
    let w = 4.0 / (s * s + s - 2.0);
    let mut scheme = reserved(stages)?;
    scheme.push(Step::First(T::from_f64(b(1) * w)));
    for stage in 2..=stages {
        let j = stage as f64;
        let mu = (2.0 * j - 1.0) / j * b(stage) / b(stage - 1);
        let nu = -(j - 1.0) / j * b(stage) / b(stage - 2);
        let m = mu * w;
        scheme.push(Step::Stage {
            mu: T::from_f64(mu),
            nu: T::from_f64(nu),
            m: T::from_f64(m),
            gamma: T::from_f64(-(1.0 - b(stage - 1)) * m),
        });
    }
    Ok(scheme)
}
