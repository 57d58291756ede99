"""What a step carries through faces, as arrays for those that read them from memory."""

import numpy as np

from numfuse._bench.case import Array


def lower_faces(diffusivity: Array, axis: int, dt: float) -> Array:
    """Multiply dt by the harmonic mean at each cell's lower face along an axis; 0 at the first."""
    low = (slice(None),) * axis + (slice(None, -1),)
    high = (slice(None),) * axis + (slice(1, None),)
    a, b = diffusivity[low], diffusivity[high]
    carried = np.zeros_like(diffusivity)
    carried[high] = 2 * diffusivity.dtype.type(dt) * a * b / (a + b)
    return carried
