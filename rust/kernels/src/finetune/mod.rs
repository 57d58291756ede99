//! Heads on fixed features: a weight and a bias each, trained by batches or evaluated as a whole.
//!
//! All heads that read the same rows are stacked along the outputs, so that one product serves
//! them. A head's bits do not depend on the heads beside it, on threads or, where there is fused
//! multiply-add, on the level.
//!
//! 1. [`epoch()`]: an epoch of sgd or AdamW, a step a batch.
//! 2. [`evaluate()`]: objective and gradient over all rows, for solvers that need the whole.
//! 3. [`logits()`]: the outputs of rows.
//! 4. [`moments()`]: mean and deviation of each column.

mod block;
mod epoch;
mod evaluate;
mod gradient;
mod logits;
mod loss;
mod moments;
#[cfg(test)]
mod naive;
mod optimizer;
mod pack;
mod predict;
mod problem;
#[cfg(test)]
mod tests;

pub use epoch::epoch;
pub use evaluate::evaluate;
pub use moments::moments;
pub use predict::logits;
pub use problem::{Features, Head, Loss, Optimizer, Problem, Targets};

pub use crate::simd::Half;
