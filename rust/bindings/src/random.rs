//! The kernels' random numbers, for the tests that hold them against `numfuse.reference.random`.

use numfuse_kernels::random::{self, Stream};
use numfuse_kernels::{Context, Error};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::arrays::{Array, Element, Lent, uninitialised};
use crate::enter::enter;
use crate::errors::Outcome;

/// The four words at `counter` under `key`.
#[pyfunction]
#[pyo3(signature = (key, counter, /))]
pub(crate) fn philox4x32(key: (u32, u32), counter: (u32, u32, u32, u32)) -> (u32, u32, u32, u32) {
    random::philox4x32(key.into(), counter.into()).into()
}

/// The first `count` uniform numbers of a stream, as float32 or float64.
#[pyfunction]
#[pyo3(signature = (seed, stream, count, dtype, /))]
pub(crate) fn random_uniform<'py>(
    py: Python<'py>,
    seed: u64,
    stream: u64,
    count: usize,
    dtype: &str,
) -> Outcome<Array<'py>> {
    let stream = Stream::new(seed, stream);
    match dtype {
        "float32" => filled(py, count, |out: &mut [f32]| stream.fill_uniform(0, out)),
        "float64" => filled(py, count, |out: &mut [f64]| stream.fill_uniform(0, out)),
        _ => Err(unknown(dtype).into()),
    }
}

/// The first `count` exponential numbers of a stream, as float32 or float64.
#[pyfunction]
#[pyo3(signature = (seed, stream, count, dtype, /))]
pub(crate) fn random_exponential<'py>(
    py: Python<'py>,
    seed: u64,
    stream: u64,
    count: usize,
    dtype: &str,
) -> Outcome<Array<'py>> {
    let stream = Stream::new(seed, stream);
    match dtype {
        "float32" => filled(py, count, |out: &mut [f32]| stream.fill_exponential(0, out)),
        "float64" => filled(py, count, |out: &mut [f64]| stream.fill_exponential(0, out)),
        _ => Err(unknown(dtype).into()),
    }
}

/// The numbers 0 to `count` − 1 in the order that a stream puts them in, as int64.
#[pyfunction]
#[pyo3(signature = (seed, stream, count, /))]
pub(crate) fn random_permutation<'py>(
    py: Python<'py>,
    seed: u64,
    stream: u64,
    count: usize,
) -> Outcome<Array<'py>> {
    let stream = Stream::new(seed, stream);
    filled(py, count, |out: &mut [i64]| {
        out.iter_mut()
            .zip(0..)
            .for_each(|(place, number)| *place = number);
        stream.shuffle(out);
    })
}

fn filled<'py, T: Element>(
    py: Python<'py>,
    count: usize,
    fill: impl FnOnce(&mut [T]) + Send,
) -> Outcome<Array<'py>> {
    let array = uninitialised::<T>(py, &[count], count)?;
    let out = Lent::default().output("out", &array)?;
    enter(py, 1, |_: &Context<'_>| {
        let problem = "is not one piece of memory; pass a copy";
        let argument = "out";
        fill(
            out.into_slice()
                .ok_or(Error::Layout { argument, problem })?,
        );
        Ok(())
    })?;
    Ok(array)
}

fn unknown(dtype: &str) -> PyErr {
    PyTypeError::new_err(format!(
        "dtype is {dtype:?}, but must be float32 or float64"
    ))
}
