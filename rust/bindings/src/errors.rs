//! Each kernel error as the Python exception that fits it.

use numfuse_kernels::Error;
use pyo3::PyErr;
use pyo3::exceptions::{PyKeyboardInterrupt, PyMemoryError, PyValueError};

mod python {
    pyo3::import_exception!(numfuse._errors, InternalError);
}

/// Why a binding failed: lets `?` take both kinds.
pub(crate) enum Failure {
    /// Found by the door or a kernel.
    Kernel(Error),
    /// Raised by Python or NumPy.
    Python(PyErr),
}

/// What a binding returns.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Kernel(error)
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Kernel(error) => exception(&error),
            Failure::Python(error) => error,
        }
    }
}

/// The exception for `error`, with the error's own sentence as its message.
fn exception(error: &Error) -> PyErr {
    let message = error.to_string();
    match error {
        Error::Interrupted => PyKeyboardInterrupt::new_err(()),
        Error::OutOfMemory { .. } => PyMemoryError::new_err(message),
        Error::Panicked { .. } => python::InternalError::new_err(message),
        Error::TooLarge { .. }
        | Error::UnknownLevel { .. }
        | Error::Shape { .. }
        | Error::Layout { .. }
        | Error::NotFinite { .. }
        | Error::Value { .. } => PyValueError::new_err(message),
    }
}
