//! RKL2: a second-order Runge–Kutta method of s stages that is stable for steps about s²/4 times as
//! long as Euler's.
//!
//! Its stability function is R = 1 − b + b·P_s(1 + wτL), P_s Legendre's polynomial, w = 4/(s² + s −
//! 2), b = (s² + s − 2)/(2s(s + 1)): second order, and of magnitude ≤ 1 for τ·λ ≤ (s² + s − 2)/2.
//! The source's recursion for R needs Y₀ and L(Y₀) in each stage. Its Y_j = Y₀ + b_j(Z_j − Y₀) with
//!
//! Z₀ = Y₀;  Z₁ = E(Z₀);  Z_j = Z_{j−2} + (2j − 1)/j·(E(Z_{j−1}) − Z_{j−2});  Y_s = Y₀ + b(Z_s − Y₀),
//!
//! E one step of Euler's of length wτ: the same numbers from one array less in each stage than even
//! two-step methods have, and a field that should not change does not, to the bit.
//! Source: Meyer, Balsara & Aslam 2014, J. Comput. Phys. 257, 594.
//!
//! RKL1, of first order, is the same with R = P_s(1 + wτL) and w = 2/(s² + s), stable for τ·λ ≤ s² + s.
//! Its error has the other sign: one such step among those of RKL2 takes away most of theirs.
//!
//! All stages of a step are made in one pass over memory where they are few enough
//! ([`super::blocking`]), else in one plain sweep a stage.

use super::blocking::{self, Scheme};
use super::boundary::{between, reserved};
use super::explicit::{Blocking, plain};
use super::plane::Step;
use super::problem::Problem;
use super::sweep::{Sweep, blend_rows};
use crate::layers::rows::TILE;
use crate::simd::Real;
use crate::threads::{self, Turn};
use crate::view::ViewMut;
use crate::{Context, Error};

/// `out` is `field`, any number of grids one after the other, `steps` steps of `dt` later, each of
/// `stages` stages, at least 2. `aside` is as [`super::explicit()`] has it.
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
    aside: Option<&mut [T]>,
    dt: f64,
    steps: usize,
    stages: usize,
    blocking: Blocking,
    context: &Context,
) -> Result<(), Error> {
    let s = stages as f64;
    let reach = s * s + s - 2.0;
    let blend = reach / (2.0 * s * (s + 1.0));
    legendre(
        problem,
        field,
        out,
        aside,
        (dt * 4.0 / reach, blend),
        steps,
        stages,
        blocking,
        context,
    )
}

/// `out` is `field`, any number of grids one after the other, a step of RKL1 of `dt` and `stages`
/// stages later.
///
/// # Errors
/// As [`rkl2`].
pub fn rkl1<T: Real>(
    problem: &Problem<T>,
    field: &[T],
    out: &mut [T],
    dt: f64,
    stages: usize,
    blocking: Blocking,
    context: &Context,
) -> Result<(), Error> {
    let s = stages as f64;
    let length = dt * 2.0 / (s * s + s);
    legendre(
        problem,
        field,
        out,
        None,
        (length, 1.0),
        1,
        stages,
        blocking,
        context,
    )
}

/// Steps of Legendre's recursion over Euler's steps of `length`, each of which ends at Y₀ + `blend`·
/// (Z_s − Y₀).
#[expect(clippy::too_many_arguments, reason = "as the methods it serves")]
fn legendre<T: Real>(
    problem: &Problem<T>,
    field: &[T],
    out: &mut [T],
    aside: Option<&mut [T]>,
    (length, blend): (f64, f64),
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
    let sweep = Sweep::new(problem, length)?;
    let blend = T::from_f64(blend);
    let mut all = reserved(stages)?;
    all.push(Step::Euler);
    all.extend((2..=stages).map(|j| Step::Stage(T::from_f64((2.0 * j as f64 - 1.0) / j as f64))));
    let blocked = match blocking {
        Blocking::Plain => false,
        Blocking::Levels(_) => true,
        Blocking::Auto => stages <= blocking::most_stages(&sweep, context.threads),
    };
    let mut own = Vec::new();
    let other = between(blocked && steps > 1, aside, &mut own, field.len())?;
    if blocked {
        let scheme = Scheme {
            steps: &all,
            first: 0,
            blend: Some(blend),
        };
        let grids = field.len() / problem.cells()?;
        let scratch = blocking::scratch(&sweep, stages, true, grids, context)?;
        let mut buffers = [out, other];
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
            fearless_simd::dispatch!(context.level, simd => {
                blocking::pass(simd, &sweep, (source, target), scheme, &scratch, context)
            })?;
            to = 1 - to;
        }
        return Ok(());
    }
    let mut zero = filled(field.len())?;
    let mut other = filled(field.len())?;
    out.copy_from_slice(field);
    for _ in 0..steps {
        zero.copy_from_slice(out);
        // Z_j stands where Z_{j−2} stood.
        let mut buffers = [&mut *out, &mut other[..]];
        for (stage, &step) in all.iter().enumerate() {
            let [first, second] = &mut buffers;
            let (target, source): (&mut [T], &[T]) = if stage % 2 == 1 {
                (first, second)
            } else {
                (second, first)
            };
            fearless_simd::dispatch!(context.level, simd => {
                plain(simd, &sweep, source, target, (step, 0), context)
            })?;
        }
        if stages % 2 == 1 {
            out.copy_from_slice(&other);
        }
        blend_fields(problem, blend, &zero, out, context)?;
    }
    Ok(())
}

/// `last` becomes the field `blend` of the way from `zero` to it; walls, which may hold anything,
/// stay as they are.
fn blend_fields<T: Real>(
    problem: &Problem<T>,
    blend: T,
    zero: &[T],
    last: &mut [T],
    context: &Context,
) -> Result<(), Error> {
    let columns = problem.shape[2];
    let rows = last.len() / columns;
    let each = (TILE / columns).max(1);
    let tiles = ViewMut::contiguous(last, &[rows, columns])?.split_rows(rows, each)?;
    let per_grid = problem.cells()? / columns;
    let level = context.level;
    threads::run(context, tiles.tiles(), &|turn: Turn| {
        let mut out = tiles.take(turn.tile);
        for r in 0..out.len() {
            let row = out.first() + r;
            let zero = &zero[row * columns..][..columns];
            let out = out.row(r);
            fearless_simd::dispatch!(level, simd => blend_rows(simd, blend, zero, out));
            if problem.walls.is_some() {
                let first = row % per_grid * columns;
                for (column, out) in out.iter_mut().enumerate() {
                    if problem.is_wall(first + column) {
                        *out = zero[column];
                    }
                }
            }
        }
    })
}

fn filled<T: Real>(length: usize) -> Result<Vec<T>, Error> {
    let mut vector = reserved(length)?;
    vector.resize(length, T::ZERO);
    Ok(vector)
}
