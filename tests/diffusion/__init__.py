"""Diffusion on grids against its definition: any shape, any mix of options, on every level."""
