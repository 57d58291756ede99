//! Everything that can go wrong, each variant a sentence for the user: which argument, what was
//! given, what is allowed, the way out.

use std::fmt;

/// Why a call did not finish.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// The caller asked to stop: outputs are undefined, inputs untouched.
    Interrupted,
    /// Memory that a call needs beside its outputs could not be had; outputs are untouched.
    OutOfMemory {
        /// Size of the allocation that failed.
        bytes: usize,
    },
    /// A size does not fit the address space.
    TooLarge {
        /// What is too large, as the sentence's subject.
        what: &'static str,
    },
    /// No instruction-set level of that name on this machine.
    UnknownLevel {
        /// The name asked for.
        given: String,
        /// The names that this machine has, best first.
        allowed: Vec<&'static str>,
    },
    /// An array's shape does not go with the others'.
    Shape {
        /// The array's name.
        argument: &'static str,
        /// Its shape.
        given: Vec<usize>,
        /// The shape that it must have, and which way to get there.
        allowed: String,
    },
    /// An array's place in memory, or its strides, cannot be used.
    Layout {
        /// The array's name.
        argument: &'static str,
        /// What about it, as the sentence's predicate, with the way out.
        problem: &'static str,
    },
    /// A bug in numfuse: a kernel panicked.
    Panicked {
        /// The panic's message.
        message: String,
    },
    /// A number is out of its range.
    Value {
        /// The number's name.
        argument: &'static str,
        /// The number.
        given: String,
        /// Its range, as in "scale must be …".
        allowed: &'static str,
    },
    /// An array has a NaN or an infinity where only numbers can be.
    NotFinite {
        /// The array's name.
        argument: &'static str,
        /// The first row that has one.
        row: usize,
        /// The first column of that row that has one.
        column: usize,
    },
}

impl Error {
    /// The same error about the argument called `name`: views know their layout, not whose they are.
    #[must_use]
    pub fn named(mut self, name: &'static str) -> Self {
        match &mut self {
            Self::Shape { argument, .. }
            | Self::Layout { argument, .. }
            | Self::NotFinite { argument, .. }
            | Self::Value { argument, .. } => *argument = name,
            Self::TooLarge { what } => *what = name,
            Self::Interrupted
            | Self::OutOfMemory { .. }
            | Self::UnknownLevel { .. }
            | Self::Panicked { .. } => {}
        }
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted => f.write_str("interrupted; the outputs are undefined"),
            Self::OutOfMemory { bytes } => write!(
                f,
                "{bytes} bytes of working memory could not be had; \
                 free some, or use fewer threads or smaller arrays"
            ),
            Self::TooLarge { what } => write!(
                f,
                "{what} has more elements than the address space holds; use smaller arrays"
            ),
            Self::UnknownLevel { given, allowed } => write!(
                f,
                "instruction-set level {given:?} is unknown or not on this machine, which has {}; \
                 set NUMFUSE_ISA to one of those or leave it unset",
                allowed.join(", ")
            ),
            Self::Shape {
                argument,
                given,
                allowed,
            } => {
                write!(
                    f,
                    "{argument} has shape {}, but must have {allowed}",
                    Tuple(given)
                )
            }
            Self::Layout { argument, problem } => write!(f, "{argument} {problem}"),
            Self::Panicked { message } => write!(
                f,
                "a kernel failed: {message}; this is a bug in numfuse, please report it with the \
                 call's arguments"
            ),
            Self::Value {
                argument,
                given,
                allowed,
            } => {
                write!(f, "{argument} is {given}, but must be {allowed}")
            }
            Self::NotFinite {
                argument,
                row,
                column,
            } => write!(
                f,
                "{argument} has a value that is not finite in row {row}, column {column}; \
                 drop or fill it"
            ),
        }
    }
}

impl std::error::Error for Error {}

/// A shape as Python writes it.
struct Tuple<'a>(&'a [usize]);

impl fmt::Display for Tuple<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (axis, length) in self.0.iter().enumerate() {
            if axis > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{length}")?;
        }
        f.write_str(if self.0.len() == 1 { ",)" } else { ")" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_error_names_argument_given_and_allowed() {
        let error = Error::Shape {
            argument: "array",
            given: vec![5],
            allowed: "(7,); pass one slope a head".to_owned(),
        }
        .named("alibi_slopes");
        assert_eq!(
            error.to_string(),
            "alibi_slopes has shape (5,), but must have (7,); pass one slope a head"
        );
    }

    #[test]
    fn an_unknown_level_lists_what_the_machine_has() {
        let error = Error::UnknownLevel {
            given: "avx9".to_owned(),
            allowed: vec!["avx2", "baseline"],
        };
        let text = error.to_string();
        assert!(
            text.contains("\"avx9\"") && text.contains("avx2, baseline"),
            "{text}"
        );
    }

    #[test]
    fn shapes_are_written_as_python_writes_them() {
        assert_eq!(Tuple(&[]).to_string(), "()");
        assert_eq!(Tuple(&[2, 0, 3]).to_string(), "(2, 0, 3)");
    }
}
