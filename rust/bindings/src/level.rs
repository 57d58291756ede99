//! The instruction-set level that every call uses: chosen once, when the module is imported.

use std::env::{self, VarError};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use numfuse_kernels::Error;
use numfuse_kernels::simd::{self, Level};
use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

use crate::errors::Outcome;

const VARIABLE: &str = "NUMFUSE_ISA";

/// Index into [`available`], where the best level stands first.
static CURRENT: AtomicUsize = AtomicUsize::new(0);

fn available() -> &'static [(&'static str, Level)] {
    static LEVELS: OnceLock<Vec<(&'static str, Level)>> = OnceLock::new();
    LEVELS.get_or_init(simd::levels)
}

fn entry() -> (&'static str, Level) {
    available()[CURRENT.load(Ordering::Relaxed)]
}

fn choose(name: &str) -> Result<(), Error> {
    let index = available().iter().position(|(known, _)| *known == name);
    CURRENT.store(
        index.ok_or_else(|| Error::UnknownLevel {
            given: name.to_owned(),
            allowed: available().iter().map(|(known, _)| *known).collect(),
        })?,
        Ordering::Relaxed,
    );
    Ok(())
}

/// The level that a call made now uses.
pub(crate) fn current() -> Level {
    entry().1
}

/// Follows `NUMFUSE_ISA`; a level that is unknown or that this machine lacks is an `ImportError`.
pub(crate) fn from_environment() -> PyResult<()> {
    let name = match env::var(VARIABLE) {
        Ok(name) => name,
        Err(VarError::NotPresent) => return Ok(()),
        Err(VarError::NotUnicode(name)) => name.to_string_lossy().into_owned(),
    };
    match name.trim() {
        "" => Ok(()),
        name => choose(name).map_err(|error| PyImportError::new_err(error.to_string())),
    }
}

/// Name of the level in use.
#[pyfunction]
pub(crate) fn isa() -> &'static str {
    entry().0
}

/// Names of every level that this machine has, best first.
#[pyfunction]
pub(crate) fn isas() -> Vec<&'static str> {
    available().iter().map(|(name, _)| *name).collect()
}

/// Switches the level for the whole process; tests compare levels with it.
#[pyfunction]
#[pyo3(signature = (name, /))]
pub(crate) fn set_isa(name: &str) -> Outcome {
    Ok(choose(name)?)
}
