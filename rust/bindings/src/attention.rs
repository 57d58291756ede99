//! `numfuse.attention` and its relatives.

#![allow(clippy::too_many_arguments)] // Python passes every option by position.

use numfuse_kernels::Error;
use numfuse_kernels::attention::{self as kernels, Problem};
use numfuse_kernels::simd::Real;
use numfuse_kernels::view::View;
use pyo3::prelude::*;

use crate::arrays::{Array, Element, Lent, by_float};
use crate::enter::enter;
use crate::errors::Outcome;

/// What a problem has beside query, key and value, as Python passes it.
struct Options<'a, 'py> {
    causal: bool,
    window_left: Option<usize>,
    window_right: Option<usize>,
    mask: Option<&'a Array<'py>>,
    bias: Option<&'a Array<'py>>,
    alibi_slopes: Option<&'a Array<'py>>,
    sinks: Option<&'a Array<'py>>,
    scale: f64,
    softcap: Option<f64>,
    key_lengths: Option<&'a Array<'py>>,
    query_offset: Option<&'a Array<'py>>,
}

impl<'a> Options<'a, '_> {
    fn problem<T: Real + Element>(
        &self,
        lent: &mut Lent,
        query: View<'a, T>,
        key: View<'a, T>,
        value: Option<View<'a, T>>,
    ) -> Result<Problem<'a, T>, Error> {
        Ok(Problem {
            query,
            key,
            value,
            causal: self.causal,
            window_left: self.window_left,
            window_right: self.window_right,
            mask: lent.optional("mask", self.mask)?,
            bias: lent.optional("bias", self.bias)?,
            alibi_slopes: lent.optional("alibi_slopes", self.alibi_slopes)?,
            sinks: lent.optional("sinks", self.sinks)?,
            scale: T::from_f64(self.scale),
            softcap: self.softcap.map(T::from_f64),
            key_lengths: lent.optional("key_lengths", self.key_lengths)?,
            query_offset: lent.optional("query_offset", self.query_offset)?,
        })
    }
}

/// Writes the attention of `query` over `key` and `value` to `out`, and log-sum-exp to `lse`.
#[pyfunction]
#[pyo3(signature = (
    query, key, value, out, lse, causal, window_left, window_right, mask, bias, alibi_slopes, sinks,
    scale, softcap, key_lengths, query_offset, threads, /
))]
pub(crate) fn attention_forward(
    py: Python<'_>,
    query: &Array<'_>,
    key: &Array<'_>,
    value: &Array<'_>,
    out: &Array<'_>,
    lse: Option<&Array<'_>>,
    causal: bool,
    window_left: Option<usize>,
    window_right: Option<usize>,
    mask: Option<&Array<'_>>,
    bias: Option<&Array<'_>>,
    alibi_slopes: Option<&Array<'_>>,
    sinks: Option<&Array<'_>>,
    scale: f64,
    softcap: Option<f64>,
    key_lengths: Option<&Array<'_>>,
    query_offset: Option<&Array<'_>>,
    threads: usize,
) -> Outcome {
    let options = Options {
        causal,
        window_left,
        window_right,
        mask,
        bias,
        alibi_slopes,
        sinks,
        scale,
        softcap,
        key_lengths,
        query_offset,
    };
    by_float!(query, T => {
        let mut lent = Lent::default();
        let query = lent.input::<T>("query", query)?;
        let key = lent.input("key", key)?;
        let value = lent.input("value", value)?;
        let problem = options.problem(&mut lent, query, key, Some(value))?;
        let out = lent.output("out", out)?;
        let lse = lse.map(|lse| lent.output("lse", lse)).transpose()?;
        enter(py, threads, |context| kernels::forward(&problem, out, lse, context))
    })
}

/// Writes the matrix of attention weights of `query` over `key` to `out`.
#[pyfunction]
#[pyo3(signature = (
    query, key, out, causal, window_left, window_right, mask, bias, alibi_slopes, sinks, scale,
    softcap, key_lengths, query_offset, threads, /
))]
pub(crate) fn attention_weights(
    py: Python<'_>,
    query: &Array<'_>,
    key: &Array<'_>,
    out: &Array<'_>,
    causal: bool,
    window_left: Option<usize>,
    window_right: Option<usize>,
    mask: Option<&Array<'_>>,
    bias: Option<&Array<'_>>,
    alibi_slopes: Option<&Array<'_>>,
    sinks: Option<&Array<'_>>,
    scale: f64,
    softcap: Option<f64>,
    key_lengths: Option<&Array<'_>>,
    query_offset: Option<&Array<'_>>,
    threads: usize,
) -> Outcome {
    let options = Options {
        causal,
        window_left,
        window_right,
        mask,
        bias,
        alibi_slopes,
        sinks,
        scale,
        softcap,
        key_lengths,
        query_offset,
    };
    by_float!(query, T => {
        let mut lent = Lent::default();
        let query = lent.input::<T>("query", query)?;
        let key = lent.input("key", key)?;
        let problem = options.problem(&mut lent, query, key, None)?;
        let out = lent.output("out", out)?;
        enter(py, threads, |context| kernels::weights(&problem, out, context))
    })
}

/// Writes the merge of attentions over disjoint parts of the keys to `out` and `lse`.
#[pyfunction]
#[pyo3(signature = (outs, lses, out, lse, threads, /))]
pub(crate) fn merge_attention(
    py: Python<'_>,
    outs: Vec<Array<'_>>,
    lses: Vec<Array<'_>>,
    out: &Array<'_>,
    lse: &Array<'_>,
    threads: usize,
) -> Outcome {
    by_float!(out, T => {
        let mut lent = Lent::default();
        let outs = lent.inputs::<T>("outs", &outs)?;
        let lses = lent.inputs::<T>("lses", &lses)?;
        let out = lent.output("out", out)?;
        let lse = lent.output("lse", lse)?;
        enter(py, threads, |context| kernels::merge::merge(&outs, &lses, out, lse, context))
    })
}

/// Writes `x`, turned by the angles whose `cosine` and `sine` are given, to `out`.
#[pyfunction]
#[pyo3(signature = (x, cosine, sine, interleaved, out, threads, /))]
pub(crate) fn rotary(
    py: Python<'_>,
    x: &Array<'_>,
    cosine: &Array<'_>,
    sine: &Array<'_>,
    interleaved: bool,
    out: &Array<'_>,
    threads: usize,
) -> Outcome {
    by_float!(x, T => {
        let mut lent = Lent::default();
        let x = lent.input::<T>("x", x)?;
        let cosine = lent.input("cosine", cosine)?;
        let sine = lent.input("sine", sine)?;
        let out = lent.output("out", out)?;
        enter(py, threads, |context| {
            kernels::rotary::rotary(x, cosine, sine, interleaved, out, context)
        })
    })
}
