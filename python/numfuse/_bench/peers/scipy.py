"""SciPy: one step as a product with a sparse matrix, stored by diagonals.

Of the ways that its pages show (`ndimage.laplace`, `sparse.linalg.LaplacianNd`, a matrix of rows, a
matrix of diagonals) this is the quickest here by a factor of two to ten.

https://docs.scipy.org/doc/scipy/reference/generated/scipy.sparse.dia_array.html
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy
from scipy import sparse

from numfuse._bench.case import Array, Case
from numfuse._bench.child import RefusalError
from numfuse._bench.diffusion import Heat

from ._faces import lower_faces
from .reference import available_memory


def versions() -> dict[str, str]:
    """State the release."""
    return {"scipy": str(scipy.__version__)}


def settle(threads: int) -> None:
    """Do nothing: sparse products have one thread."""


def prepare(case: Case, inputs: dict[str, Array]) -> Callable[[], Any]:
    """Make the matrix of one step."""
    assert isinstance(case, Heat)
    if case.order != 2:
        raise RefusalError("order 2 only")
    diagonals = 2 * len(case.shape) + 1
    needed = 3 * diagonals * case.cells * np.dtype(case.dtype).itemsize
    if needed > 0.5 * available_memory():
        raise RefusalError(f"its matrix needs {needed / 1e9:.1f} GB while it is made")
    matrix = _matrix(case, inputs.get("diffusivity"))
    field = inputs["field"].ravel()

    def advance() -> Array:
        u = field
        for _ in range(case.steps):
            u = matrix @ u
        return u.reshape(case.shape)

    return advance


def _matrix(case: Heat, diffusivity: Array | None) -> Any:
    """Identity plus dt times the operator; column j's entry of a diagonal stands at place j."""
    dtype = np.dtype(case.dtype)
    centre = np.ones(case.shape, dtype)
    diagonals, offsets = [centre.ravel()], [0]
    stride = case.cells
    for axis, length in enumerate(case.shape):
        stride //= length
        low = (slice(None),) * axis + (slice(None, -1),)
        high = (slice(None),) * axis + (slice(1, None),)
        carried: Any = case.dt
        if diffusivity is not None:
            carried = lower_faces(diffusivity, axis, case.dt)[high]
        for near, offset in ((low, -stride), (high, stride)):
            diagonal = np.zeros(case.shape, dtype)
            diagonal[near] = carried
            centre[near] -= diagonal[near]
            diagonals.append(diagonal.ravel())
            offsets.append(offset)
    return sparse.dia_array((np.array(diagonals), offsets), shape=(case.cells, case.cells))


def to_numpy(result: Array) -> Array:
    """Return it: it is an array already."""
    return result
