"""The functions of numfuse in plain NumPy: short, slow, and the definition of what is right.

`numfuse.reference.diffusion` has the parts that diffusion on grids is made of: its operator, the
methods, the limits of a step. `numfuse.reference.finetune` has those of fine-tuning: losses,
optimisers, rates, and the walk over batches.
"""

from numfuse.reference import diffusion, finetune
from numfuse.reference.attention import attention, attention_weights, merge_attention, rotary
from numfuse.reference.layers import gelu, layer_norm

__all__ = [
    "attention",
    "attention_weights",
    "diffusion",
    "finetune",
    "gelu",
    "layer_norm",
    "merge_attention",
    "rotary",
]
