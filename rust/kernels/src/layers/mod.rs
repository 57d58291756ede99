//! What models need beside attention so that no time is lost there: GELU and layer normalisation.
//!
//! Both read each element once from memory and write one, so memory is what they wait for. Which
//! path serves a call:
//! 1. [`gelu()`] on arrays whose elements stand side by side: one long run in pieces of a fixed size.
//! 2. [`gelu()`] on other arrays, and [`layer_norm()`]: tiles of whole rows along the last axis.

pub mod gelu;
pub mod layer_norm;
#[cfg(test)]
mod naive;
pub(crate) mod rows;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;

pub use gelu::{Approximation, gelu};
pub use layer_norm::layer_norm;
