"""Diffusion on grids in plain NumPy: the definition of right for every kernel of this package.

    du/dt = ∇·(D∇u) − ∇·(velocity·u) − decay·u + source

Cell-centred finite volumes: cell i of an axis of step h covers [i·h, (i + 1)·h]. What a cell wins
through a face with diffusivity D is D/h²·(u_neighbour − u), what it wins through the grid's outer
side is p·u + q; both are zero at a wall.

======================== ===========================================================
`operator`               du/dt, the sum of all that; `faces` and `stencil` have the parts
`explicit`               u + dt·du/dt, step by step
`rkl2`                   stabilized steps of many stages
`adi`                    one direction after the other, each implicit
`spectral`               by the stencil's own eigenvectors, exact in time
`largest_rate`           the fastest decay in the operator: explicit steps must be below 2 / that
`step_limit`             the largest explicit step in which no cell's weight turns negative
`image`                  Perona and Malik's edge-preserving smoothing
======================== ===========================================================

Fields are (batch, *space); every step runs in their dtype and returns a new array. A problem is
any object with the attributes of `numfuse._diffusion_problem.Problem`. Nothing is validated here.
"""

from numfuse.reference.diffusion._adi import adi
from numfuse.reference.diffusion._explicit import explicit, rkl2
from numfuse.reference.diffusion._image import image
from numfuse.reference.diffusion._limits import largest_rate, step_limit
from numfuse.reference.diffusion._operator import operator
from numfuse.reference.diffusion._spectral import spectral

__all__ = [
    "adi",
    "explicit",
    "image",
    "largest_rate",
    "operator",
    "rkl2",
    "spectral",
    "step_limit",
]
