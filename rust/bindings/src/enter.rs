//! The one entrance to the kernels: without the GIL, with an eye on signals, and back with an
//! exception instead of a panic.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

use numfuse_kernels::{Context, Error};
use pyo3::prelude::*;

use crate::errors::Outcome;
use crate::level;

/// Time between two looks for signals. Kernels ask about every 20 ms, so that Ctrl-C waits for
/// 80 ms at most.
const BETWEEN_LOOKS: Duration = Duration::from_millis(40);

/// Runs `kernel` detached from the interpreter, with at most `threads` threads; 0 is an error.
pub(crate) fn enter<F>(py: Python<'_>, threads: usize, kernel: F) -> Outcome
where
    F: FnOnce(&Context<'_>) -> Result<(), Error> + Send,
{
    if threads == 0 {
        let allowed = "at least 1; see numfuse.set_config";
        return Err(Error::Value {
            argument: "threads",
            given: threads.to_string(),
            allowed,
        }
        .into());
    }
    let level = level::current();
    let (outcome, raised) = py.detach(move || {
        let signals = Signals::default();
        let cancelled = || signals.pending();
        let context = Context {
            level,
            threads,
            cancelled: &cancelled,
        };
        // What a panicking kernel leaves behind is its output, which is documented as undefined.
        let outcome =
            panic::catch_unwind(AssertUnwindSafe(|| kernel(&context))).unwrap_or_else(|payload| {
                Err(Error::Panicked {
                    message: message(&*payload),
                })
            });
        (outcome, signals.raised.into_inner())
    });
    match raised {
        Some(error) => Err(error.into()),
        None => Ok(outcome?),
    }
}

/// What signal handlers, which only run on Python's main thread and attached, have raised.
#[derive(Default)]
struct Signals {
    looked: Cell<Option<Instant>>,
    raised: RefCell<Option<PyErr>>,
}

impl Signals {
    /// Whether the call has to end. Looks for signals at most every [`BETWEEN_LOOKS`]; the first
    /// question only starts the clock, which keeps it out of short calls.
    fn pending(&self) -> bool {
        if self.raised.borrow().is_some() {
            return true;
        }
        let now = Instant::now();
        match self.looked.get() {
            Some(last) if now.duration_since(last) >= BETWEEN_LOOKS => {}
            Some(_) => return false,
            None => {
                self.looked.set(Some(now));
                return false;
            }
        }
        // None: the interpreter is shutting down, and nobody waits for the result.
        let looked = Python::try_attach(|py| py.check_signals());
        self.looked.set(Some(Instant::now()));
        match looked {
            Some(Ok(())) => false,
            Some(Err(error)) => {
                self.raised.replace(Some(error));
                true
            }
            None => true,
        }
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
        .to_owned()
}
