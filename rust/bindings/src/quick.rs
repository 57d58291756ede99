//! `numfuse.attention` without options on plain arrays, in one step: for small problems the checks
//! and the allocation in Python would take longer than the work.
//!
//! Takes three `numpy.ndarray`s of one float dtype and one rank, with the same leading axes, whole
//! groups of heads, fitting lengths, nothing empty, and a unit last stride. For anything else the
//! answer is `None`, and the Python layer broadcasts, copies or explains.

use numfuse_kernels::attention::{self, Problem};
use numfuse_kernels::simd::Real;
use numfuse_kernels::view::View;
use numpy::PyUntypedArrayMethods;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat};

use crate::arrays::{Array, Element, Float, Lent, exact, uninitialised};
use crate::enter::enter;
use crate::errors::Outcome;

/// The attention of `query` over `key` and `value` in a new array, or `None`.
#[pyfunction]
#[pyo3(signature = (query, key, value, causal, scale, threads, /))]
pub(crate) fn attention_quick<'py>(
    py: Python<'py>,
    query: &Bound<'py, PyAny>,
    key: &Bound<'py, PyAny>,
    value: &Bound<'py, PyAny>,
    causal: &Bound<'py, PyAny>,
    scale: &Bound<'py, PyAny>,
    threads: usize,
) -> Outcome<Option<Array<'py>>> {
    let (Some(query), Some(key), Some(value)) = (exact(query), exact(key), exact(value)) else {
        return Ok(None);
    };
    let (Ok(causal), true) = (causal.cast_exact::<PyBool>(), fit(query, key, value)) else {
        return Ok(None);
    };
    let head_dim = query.shape()[query.ndim() - 1];
    let scale = if scale.is_none() {
        1.0 / (head_dim as f64).sqrt()
    } else if let Ok(scale) = scale.cast_exact::<PyFloat>() {
        scale.value()
    } else {
        return Ok(None);
    };
    let causal = causal.is_true();
    match (Float::of(query), Float::of(key), Float::of(value)) {
        (Some(Float::Single), Some(Float::Single), Some(Float::Single)) => {
            forward::<f32>(py, query, key, value, causal, scale, threads)
        }
        (Some(Float::Double), Some(Float::Double), Some(Float::Double)) => {
            forward::<f64>(py, query, key, value, causal, scale, threads)
        }
        _ => Ok(None),
    }
}

/// Whether the shapes are as the kernel takes them.
fn fit(query: &Array<'_>, key: &Array<'_>, value: &Array<'_>) -> bool {
    let rank = query.ndim();
    if rank < 2 || key.ndim() != rank || value.ndim() != rank {
        return false;
    }
    if query.is_empty() || key.is_empty() || value.is_empty() {
        return false;
    }
    let (query_shape, key_shape, value_shape) = (query.shape(), key.shape(), value.shape());
    query_shape[rank - 1] == key_shape[rank - 1]
        && key_shape[..rank - 1] == value_shape[..rank - 1]
        && (rank == 2
            || (query_shape[..rank - 3] == key_shape[..rank - 3]
                && query_shape[rank - 3].is_multiple_of(key_shape[rank - 3])))
}

fn last_stride_is_unit<T: Copy>(view: &View<'_, T>) -> bool {
    view.shape().last() == Some(&1) || view.strides().last() == Some(&1)
}

fn forward<'py, T: Real + Element>(
    py: Python<'py>,
    query: &Array<'py>,
    key: &Array<'py>,
    value: &Array<'py>,
    causal: bool,
    scale: f64,
    threads: usize,
) -> Outcome<Option<Array<'py>>> {
    let scale = T::from_f64(scale);
    if !scale.to_f64().is_finite() {
        return Ok(None);
    }
    let mut lent = Lent::default();
    let views = (
        lent.input_heads::<T>("query", query),
        lent.input_heads::<T>("key", key),
        lent.input_heads::<T>("value", value),
    );
    let (Ok(query_view), Ok(key_view), Ok(value_view)) = views else {
        return Ok(None);
    };
    if ![&query_view, &key_view, &value_view]
        .into_iter()
        .all(last_stride_is_unit)
    {
        return Ok(None);
    }
    let out = uninitialised::<T>(py, query.shape(), value.shape()[value.ndim() - 1])?;
    let problem = Problem {
        query: query_view,
        key: key_view,
        value: Some(value_view),
        causal,
        window_left: None,
        window_right: None,
        mask: None,
        bias: None,
        alibi_slopes: None,
        sinks: None,
        scale,
        softcap: None,
        key_lengths: None,
        query_offset: None,
    };
    let out_view = lent.output_heads("out", &out)?;
    enter(py, threads, |context| {
        attention::forward(&problem, out_view, None, context)
    })?;
    Ok(Some(out))
}
