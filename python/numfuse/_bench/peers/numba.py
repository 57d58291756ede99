"""numba: loops compiled for this grid's dtype, rows or planes by threads, all steps in one call.

The sides are insulated: a neighbour that the grid lacks is the cell itself. A cell of order 2 is
``keep·u + share·(sum of neighbours)``; of varying coefficient, it gains what its faces carry; both
are made before any clock runs.

https://numba.readthedocs.io/en/stable/user/parallel.html
https://numba.readthedocs.io/en/stable/user/performance-tips.html
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import njit, prange

from numfuse._bench.case import Array, Case
from numfuse._bench.child import RefusalError
from numfuse._bench.diffusion import Heat

from ._faces import lower_faces

# Weights of the second derivative of order 8, in the cell and 1 to 4 cells away.
ORDER_8 = (-205 / 72, 8 / 5, -1 / 5, 8 / 315, -1 / 560)
PAD = 4


def versions() -> dict[str, str]:
    """State the release."""
    return {"numba": str(numba.__version__)}


def settle(threads: int) -> None:
    """Set the one setting that there is."""
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))


def prepare(case: Case, inputs: dict[str, Array]) -> Callable[[], Any]:
    """Take the kernel of the case, with two arrays that take turns."""
    assert isinstance(case, Heat)
    field = inputs["field"]
    number = field.dtype.type
    even, odd = np.empty_like(field), np.empty_like(field)
    if "diffusivity" in inputs:
        if field.ndim != 2:
            raise RefusalError("varying coefficients in 2-D only")
        up, left = (lower_faces(inputs["diffusivity"], axis, case.dt) for axis in (0, 1))
        return lambda: _varying(field, even, odd, up, left, case.steps)
    if case.order == 8:
        padded = np.pad(field, PAD, mode="symmetric")
        even, odd = padded.copy(), padded.copy()
        weights = [number(case.dt * weight) for weight in ORDER_8]
        keep = number(1 + field.ndim * case.dt * ORDER_8[0])
        inside = (slice(PAD, -PAD),) * field.ndim
        return lambda: _order_8(padded, even, odd, keep, *weights[1:], case.steps)[inside]
    kernel = _heat_2d if field.ndim == 2 else _heat_3d
    keep, share = number(1 - 2 * field.ndim * case.dt), number(case.dt)
    return lambda: kernel(field, even, odd, keep, share, case.steps)


@njit(fastmath=True, inline="always")  # type: ignore[untyped-decorator]
def _row(new: Any, old: Any, up: Any, down: Any, keep: Any, share: Any) -> None:
    last = old.size - 1
    new[0] = keep * old[0] + share * (up[0] + down[0] + old[0] + old[1])
    for j in range(1, last):
        new[j] = keep * old[j] + share * (up[j] + down[j] + old[j - 1] + old[j + 1])
    new[last] = keep * old[last] + share * (up[last] + down[last] + old[last - 1] + old[last])


@njit(parallel=True, fastmath=True)  # type: ignore[untyped-decorator]
def _heat_2d(field: Any, even: Any, odd: Any, keep: Any, share: Any, steps: int) -> Any:
    old, new = field, even
    for step in range(steps):
        rows = old.shape[0]
        for row in prange(rows):
            i = np.int64(row)
            _row(new[i], old[i], old[max(i - 1, 0)], old[min(i + 1, rows - 1)], keep, share)
        old = new
        new = odd if step % 2 == 0 else even
    return old


@njit(parallel=True, fastmath=True)  # type: ignore[untyped-decorator]
def _heat_3d(field: Any, even: Any, odd: Any, keep: Any, share: Any, steps: int) -> Any:
    old, new = field, even
    for step in range(steps):
        planes, rows, columns = old.shape
        last = columns - 1
        for plane in prange(planes):
            i = np.int64(plane)
            before, after = old[max(i - 1, 0)], old[min(i + 1, planes - 1)]
            for j in range(rows):
                u, out = old[i, j], new[i, j]
                a, b = before[j], after[j]
                c, d = old[i, max(j - 1, 0)], old[i, min(j + 1, rows - 1)]
                out[0] = keep * u[0] + share * (a[0] + b[0] + c[0] + d[0] + u[0] + u[1])
                for k in range(1, last):
                    sides = a[k] + b[k] + c[k] + d[k] + u[k - 1] + u[k + 1]
                    out[k] = keep * u[k] + share * sides
                sides = a[last] + b[last] + c[last] + d[last] + u[last - 1] + u[last]
                out[last] = keep * u[last] + share * sides
        old = new
        new = odd if step % 2 == 0 else even
    return old


@njit(parallel=True, fastmath=True)  # type: ignore[untyped-decorator]
def _varying(field: Any, even: Any, odd: Any, up: Any, left: Any, steps: int) -> Any:
    old, new = field, even
    for step in range(steps):
        rows, columns = old.shape
        last = columns - 1
        for row in prange(rows):
            i = np.int64(row)
            u, out = old[i], new[i]
            # Where a neighbour is the cell itself, the difference is 0 whatever the face.
            a, b = old[max(i - 1, 0)], old[min(i + 1, rows - 1)]
            p, q, s = up[i], up[min(i + 1, rows - 1)], left[i]
            out[0] = u[0] + p[0] * (a[0] - u[0]) + q[0] * (b[0] - u[0]) + s[1] * (u[1] - u[0])
            for j in range(1, last):
                x = u[j]
                gain = p[j] * (a[j] - x) + q[j] * (b[j] - x)
                out[j] = x + gain + s[j] * (u[j - 1] - x) + s[j + 1] * (u[j + 1] - x)
            x = u[last]
            gain = p[last] * (a[last] - x) + q[last] * (b[last] - x)
            out[last] = x + gain + s[last] * (u[last - 1] - x)
        old = new
        new = odd if step % 2 == 0 else even
    return old


@njit(parallel=True, fastmath=True)  # type: ignore[untyped-decorator]
def _order_8(
    field: Any, even: Any, odd: Any, keep: Any, w1: Any, w2: Any, w3: Any, w4: Any, steps: int
) -> Any:
    """Mirror the four cells next to every side into the padding after each step."""
    old, new = field, even
    for step in range(steps):
        planes, rows, columns = old.shape
        for plane in prange(planes - 8):
            i = np.int64(plane) + 4
            for j in range(4, rows - 4):
                out = new[i, j]
                u = old[i, j]
                for k in range(4, columns - 4):
                    out[k] = (
                        keep * u[k]
                        + w1 * (old[i - 1, j, k] + old[i + 1, j, k] + old[i, j - 1, k])
                        + w1 * (old[i, j + 1, k] + u[k - 1] + u[k + 1])
                        + w2 * (old[i - 2, j, k] + old[i + 2, j, k] + old[i, j - 2, k])
                        + w2 * (old[i, j + 2, k] + u[k - 2] + u[k + 2])
                        + w3 * (old[i - 3, j, k] + old[i + 3, j, k] + old[i, j - 3, k])
                        + w3 * (old[i, j + 3, k] + u[k - 3] + u[k + 3])
                        + w4 * (old[i - 4, j, k] + old[i + 4, j, k] + old[i, j - 4, k])
                        + w4 * (old[i, j + 4, k] + u[k - 4] + u[k + 4])
                    )
                for k in range(4):
                    out[3 - k] = out[4 + k]
                    out[columns - 4 + k] = out[columns - 5 - k]
            for j in range(4):
                new[i, 3 - j] = new[i, 4 + j]
                new[i, rows - 4 + j] = new[i, rows - 5 - j]
        for k in range(4):
            new[3 - k] = new[4 + k]
            new[planes - 4 + k] = new[planes - 5 - k]
        old = new
        new = odd if step % 2 == 0 else even
    return old


def to_numpy(result: Array) -> Array:
    """Copy it: the next call writes there."""
    return result.copy()
