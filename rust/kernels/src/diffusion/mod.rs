//! Diffusion on grids: ∂u/∂t = ∇·(D∇u) − ∇·(velocity·u) − decay·u + source, cell-centred finite
//! volumes.
//!
//! [`problem`] says what is solved, and checks it; [`boundary`] turns each side into what its
//! cells gain through it. Which path serves a call:
//! 1. [`explicit`]: Euler's method, several steps in each pass over memory ([`blocking`]) or, with
//!    velocity, one.
//! 2. [`rkl2`]: stabilized Runge–Kutta, all stages of a step in one pass.
//! 3. [`adi`]: implicit steps, one axis at a time.
//! 4. [`spectral`]: exact in time where the eigenvectors are known.
//!
//! Orders above 2 are swept by [`stencil`], a step a pass; [`operator`] is du/dt itself, [`advection`]
//! what velocity adds to it. [`image`] smooths pictures.

pub mod adi;
pub mod advection;
pub mod boundary;
pub mod explicit;
pub mod image;
pub mod operator;
pub mod problem;
pub mod spectral;

mod blocking;
#[cfg(test)]
mod naive;
mod plane;
mod rate;
#[cfg(test)]
mod samples;
mod skewed;
mod stabilized;
mod stencil;
mod sweep;
#[cfg(test)]
mod tests;

pub use adi::adi;
pub use advection::no_negative_weight;
pub use explicit::{Blocking, explicit};
pub use image::{Conductance, image};
pub use operator::operator;
pub use problem::{Advection, Diffusivity, Face, Mean, Problem, Side, Term};
pub use rate::largest_rate;
pub use spectral::{Transformable, spectral};
pub use stabilized::{rkl1, rkl2};
