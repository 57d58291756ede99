//! Attention: `out = softmax(scale·Q Kᵀ + …) V`, the score matrix never stored.
//!
//! 1. [`forward()`]: panels of queries in the lanes, keys and values read where they lie.
//! 2. `decode`: few queries a key head (grouped heads, a handful of tokens): value columns in the
//!    lanes; one query alone, `single`: keys in the lanes as well. All give the same bits.
//! 3. [`weights()`]: the matrix itself, for looking at.
//! 4. `naive`: the formula in scalars, which tests compare with.
//!
//! Beside them [`rotary`] turns queries and keys by their positions, and [`merge`] joins what was
//! computed over parts of the keys.

mod decode;
pub mod forward;
mod mask;
pub mod merge;
#[cfg(test)]
mod naive;
mod phases;
mod problem;
mod queries;
pub mod rotary;
mod single;
mod softmax;
#[cfg(test)]
mod tests;
pub mod weights;
mod work;

pub use forward::forward;
pub use problem::Problem;
pub use weights::weights;
