"""From a caller's field to the kernels' layout of it, and back."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._diffusion_problem import Problem


class Layout:
    """A caller's field as (batch, *space) in C order, and the way back to the caller's axes."""

    def __init__(
        self,
        array: NDArray[Any],
        dtype: np.dtype[Any],
        places: tuple[int, ...],
        out: NDArray[Any] | None,
    ) -> None:
        ndim = array.ndim
        rest = tuple(axis for axis in range(ndim) if axis not in places)
        order = rest + places
        self.order = None if order == tuple(range(ndim)) else order
        moved = array if self.order is None else array.transpose(order)
        self.moved_shape = moved.shape
        self.grid = moved.shape[len(rest) :]
        self.shape = (math.prod(moved.shape[: len(rest)]), *self.grid)
        self.dtype, self.out = dtype, out
        if out is not None:
            _arrays.check_out(out, array.shape, dtype)
        contiguous = moved.dtype == dtype and moved.flags.c_contiguous and moved.flags.aligned
        if not contiguous:
            _arrays.check_size("The field", moved.shape, dtype)
            moved = np.array(moved, dtype, order="C", subok=False)
        self.field = moved.reshape(self.shape)

    def target(self, problem: Problem) -> NDArray[Any]:
        """Return where to write: the caller's `out` if it is laid out so and shares no memory."""
        out = self.out
        if (
            out is not None
            and self.order is None
            and out.flags.c_contiguous
            and out.flags.aligned
            and not any(np.may_share_memory(out, a) for a in (self.field, *problem.arrays()))
        ):
            return out.reshape(self.shape)
        return np.empty(self.shape, self.dtype)

    def delivered(self, target: NDArray[Any]) -> NDArray[Any]:
        """Return what the caller gets of what was written to `target`."""
        result = target.reshape(self.moved_shape)
        if self.order is not None:
            result = result.transpose(np.argsort(self.order))
        if self.out is None:
            return result
        if not np.may_share_memory(result, self.out):
            np.copyto(self.out, result)
        return self.out
