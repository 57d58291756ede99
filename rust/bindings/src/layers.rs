//! `numfuse.layers`.

use numfuse_kernels::layers as kernels;
use numfuse_kernels::layers::gelu::Approximation;
use numfuse_kernels::simd::Real;
use pyo3::prelude::*;

use crate::arrays::{Array, Lent, by_float};
use crate::enter::enter;
use crate::errors::Outcome;

/// Writes GELU of `x` to `out`, by tanh where `approximate`, else by erf.
#[pyfunction]
#[pyo3(signature = (x, out, approximate, threads, /))]
pub(crate) fn gelu(
    py: Python<'_>,
    x: &Array<'_>,
    out: &Array<'_>,
    approximate: bool,
    threads: usize,
) -> Outcome {
    let approximation = if approximate {
        Approximation::Tanh
    } else {
        Approximation::None
    };
    by_float!(x, T => {
        let mut lent = Lent::default();
        let x = lent.input::<T>("x", x)?;
        let out = lent.output("out", out)?;
        enter(py, threads, |context| kernels::gelu::gelu(x, approximation, out, context))
    })
}

/// Writes `x` with its last axis normalised, times `weight` plus `bias`, to `out`.
#[pyfunction]
#[pyo3(signature = (x, weight, bias, epsilon, out, threads, /))]
pub(crate) fn layer_norm(
    py: Python<'_>,
    x: &Array<'_>,
    weight: Option<&Array<'_>>,
    bias: Option<&Array<'_>>,
    epsilon: f64,
    out: &Array<'_>,
    threads: usize,
) -> Outcome {
    by_float!(x, T => {
        let mut lent = Lent::default();
        let x = lent.input::<T>("x", x)?;
        let weight = lent.optional("weight", weight)?;
        let bias = lent.optional("bias", bias)?;
        let out = lent.output("out", out)?;
        let epsilon = T::from_f64(epsilon);
        enter(py, threads, |context| {
            kernels::layer_norm::layer_norm(x, weight, bias, epsilon, out, context)
        })
    })
}
