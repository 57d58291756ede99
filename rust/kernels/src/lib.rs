//! The work and the ground of numfuse, without Python: see each module's first lines.

pub mod attention;
pub mod diffusion;
pub mod error;
pub mod finetune;
pub mod gemm;
pub mod layers;
pub mod random;
pub mod scratch;
pub mod simd;
pub mod threads;
pub mod view;

pub use error::Error;

/// What a kernel may use and when it has to stop.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Instruction-set level that the kernel's lanes use.
    pub level: simd::Level,
    /// Largest number of threads that work at once, the caller included; at least 1.
    pub threads: usize,
    /// Asked by the calling thread at least every 100 ms; `true` ends the call with
    /// [`Error::Interrupted`].
    pub cancelled: &'a dyn Fn() -> bool,
}
