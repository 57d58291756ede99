"""The functions of numfuse in plain NumPy: short, slow, and the definition of what is right."""

from numfuse.reference.attention import attention, attention_weights, merge_attention, rotary
from numfuse.reference.layers import gelu, layer_norm

__all__ = ["attention", "attention_weights", "gelu", "layer_norm", "merge_attention", "rotary"]
