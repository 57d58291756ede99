//! Σ loss·w, Σw and the gradient of Σ loss·w over all rows, for solvers that look at the whole.
//!
//! Blocks of 1024 rows, each as [`super::block`] has it; the gradient of a block, eight chains in
//! the type that is computed in, is added in float64, in the order of the blocks. What stands on a
//! head's rows does not depend on the heads beside it.
//!
//! Beside a block's memory this keeps K · ⌈(in + 1)/64⌉ · 64 elements and as many float64.

use fearless_simd::prelude::*;

use super::block::{Memory, Part, Plan, ROWS, enter, leave};
use super::pack::GROUP;
use super::problem::{Problem, Sizes};
use crate::layers::rows::{check_rows, check_shape};
use crate::scratch::Scratch;
use crate::simd::Real;
use crate::view::{View, ViewMut};
use crate::{Context, Error};

/// Σ loss·w and Σw of each head into `losses` and `weight_sums`, and ∂/∂parameters of the former
/// into `gradient`; `parameters` and `gradient` are (outputs, in + 1). No penalty is added.
///
/// # Errors
/// What [`Problem::check`] finds, [`Error::Shape`], [`Error::OutOfMemory`] before anything is
/// written; [`Error::NotFinite`], [`Error::Interrupted`], after which outputs are undefined.
pub fn evaluate<T: Real + Default>(
    problem: &Problem<'_, T>,
    parameters: View<'_, T>,
    losses: &mut [f64],
    weight_sums: &mut [f64],
    gradient: ViewMut<'_, f64>,
    context: &Context<'_>,
) -> Result<(), Error> {
    let sizes = problem.sizes()?;
    let shape = [sizes.outputs, sizes.columns + 1];
    check_rows("parameters", &parameters)?;
    check_shape("parameters", parameters.shape(), &shape, "the heads")?;
    check_shape("gradient", gradient.shape(), &shape, "the heads")?;
    for (argument, numbers) in [("losses", &*losses), ("weight_sums", &*weight_sums)] {
        check_shape(
            argument,
            &[numbers.len()],
            &[problem.heads.len()],
            "the heads",
        )?;
    }
    fearless_simd::dispatch!(context.level, simd => {
        run(simd, problem, sizes, parameters, [losses, weight_sums], gradient, context)
    })
}

fn run<S: Simd, T: Real + Default>(
    simd: S,
    problem: &Problem<'_, T>,
    sizes: Sizes,
    parameters: View<'_, T>,
    [losses, weight_sums]: [&mut [f64]; 2],
    gradient: ViewMut<'_, f64>,
    context: &Context<'_>,
) -> Result<(), Error> {
    let plan = Plan::new(simd, problem, sizes);
    let (groups, outputs) = (plan.groups, sizes.outputs);
    let memory = Memory::new(&plan, sizes.visits, context)?;
    let theta = Scratch::<T>::new(1, plan.parameters()?)?;
    let sums = Scratch::<f64>::new(1, plan.parameters()?)?;
    let (mut theta, mut sums) = (theta.lock(0), sums.lock(0));
    for k in 0..outputs {
        enter(&mut theta, outputs, k, parameters.plane(0).row(k));
    }
    let inverse = vec![T::ONE; problem.weights.len() + 1];
    let mut weights = vec![0.0; problem.weights.len() + 1];
    plan.weigh(plan.visits(), &mut weights);
    losses.fill(0.0);
    let mut work = memory.lock();
    for [visits, after] in plan.visits().pieces(ROWS) {
        work.forward(simd, &plan, &theta, visits, &inverse, context)?;
        work.add_losses(&plan, visits, losses);
        let tiles = Part::cut(&mut sums, groups, outputs, GROUP)?;
        let finish = |part: &Part, g: &mut [T]| {
            let mut rows = tiles.take(part.index);
            for (r, g) in g.chunks_exact(GROUP).enumerate() {
                for (sum, g) in rows.row(r).iter_mut().zip(g) {
                    *sum += g.to_f64();
                }
            }
        };
        work.backward(simd, &plan, [visits, after], None, &finish, context)?;
    }
    let tiles = gradient.split_rows(outputs, outputs)?;
    let mut rows = tiles.take(0);
    for k in 0..outputs {
        let head = plan.owner[k];
        let row = rows.row(k);
        leave(&sums, outputs, k, row);
        if !problem.heads[head].bias {
            row[sizes.columns] = 0.0;
        }
    }
    for (head, sum) in weight_sums.iter_mut().enumerate() {
        *sum = weights[plan.weight_of(head)];
    }
    Ok(())
}
