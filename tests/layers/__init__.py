"""The small kernels that stand beside attention: GELU and layer normalisation."""
