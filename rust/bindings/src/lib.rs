//! The door between Python and the kernels: the module `numfuse._numfuse`.
//!
//! A binding takes arrays and numbers that Python has validated, turns arrays into checked views
//! (`arrays`), enters the kernel (`enter`), and raises what went wrong (`errors`). It holds no
//! arithmetic and no loop. Memory safety never depends on what Python checked: every size, stride
//! and dtype is checked here or in the kernels again.

mod arrays;
mod attention;
mod diffusion;
mod enter;
mod errors;
mod faults;
mod finetune;
mod layers;
mod level;
mod quick;
mod random;

use pyo3::prelude::*;

#[pymodule(gil_used = false)]
mod _numfuse {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::attention::{attention_forward, attention_weights, merge_attention, rotary};
    #[pymodule_export]
    use crate::diffusion::{
        diffusion_adi, diffusion_explicit, diffusion_image, diffusion_largest_rate,
        diffusion_operator, diffusion_rkl1, diffusion_rkl2, diffusion_spectral,
        diffusion_step_limit,
    };
    #[pymodule_export]
    use crate::faults::panic_in_tile;
    #[pymodule_export]
    use crate::finetune::{finetune_epoch, finetune_evaluate, finetune_logits, finetune_moments};
    #[pymodule_export]
    use crate::layers::{gelu, layer_norm};
    #[pymodule_export]
    use crate::level::{isa, isas, set_isa};
    #[pymodule_export]
    use crate::quick::attention_quick;
    #[pymodule_export]
    use crate::random::{philox4x32, random_exponential, random_permutation, random_uniform};

    #[pymodule_init]
    fn init(_module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::level::from_environment()
    }
}
