//! A kernel that fails on purpose, for the tests of what happens then.

use numfuse_kernels::threads;
use pyo3::prelude::*;

use crate::enter::enter;
use crate::errors::Outcome;

/// Runs `tiles` tiles, of which number `tile` panics.
#[pyfunction]
#[pyo3(signature = (tile, tiles, threads, /))]
pub(crate) fn panic_in_tile(py: Python<'_>, tile: usize, tiles: usize, threads: usize) -> Outcome {
    enter(py, threads, |context| {
        threads::run(context, tiles, &|turn| {
            assert!(turn.tile != tile, "tile {tile} panics on purpose");
        })
    })
}
