//! Diffusion on grids: ∂u/∂t = ∇·(D∇u) − ∇·(velocity·u) − decay·u + source, cell-centred finite
//! volumes.
//!
//! [`problem`] says what is solved, and checks it; [`boundary`] turns each side into what its
//! cells gain through it. Which path serves a call:
//! 1. [`explicit`]: Euler's method, several steps in each pass over memory ([`blocking`]) or, with
//!    velocity, one.

pub mod boundary;
pub mod problem;

pub use problem::{Advection, Diffusivity, Face, Mean, Problem, Side, Term};
