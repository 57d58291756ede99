"""From what a caller passes to arrays that the kernels read where they lie, and back.

Values arrive as anything NumPy can make an array of. `floats` settles their common dtype, `rows`
their layout: the last axis has unit stride, all others may have any stride, 0 for a broadcast axis.
`result` and `deliver` bracket a kernel that may not write straight into the caller's `out`.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

SINGLE: np.dtype[Any] = np.dtype(np.float32)
DOUBLE: np.dtype[Any] = np.dtype(np.float64)
HALF_DTYPES = ("float16", "bfloat16")


def as_array(name: str, value: object) -> NDArray[Any]:
    """`np.asarray`, which keeps memory where it is, with an error that names the argument."""
    if type(value) is np.ndarray:
        return value
    masked = sys.modules.get("numpy.ma")  # whoever has a masked array has loaded it
    if masked is not None and isinstance(value, masked.MaskedArray):
        raise TypeError(
            f"{name} is a MaskedArray, but has to be an ordinary array; pass {name}.filled(0), and "
            "what is masked by mask, bias or key_lengths."
        )
    try:
        if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
            return np.from_dlpack(value)
        return np.asarray(value)
    except (ValueError, TypeError, BufferError) as error:
        raise type(error)(
            f"{name} is a {type(value).__name__} that NumPy cannot make an array of ({error}); "
            "pass an array or nested lists of equal lengths."
        ) from error


def floats(**values: object) -> tuple[list[NDArray[Any]], np.dtype[Any]]:
    """Return the named values as arrays, and what they promote to: float32 or float64."""
    arrays = [as_array(name, value) for name, value in values.items()]
    promoted = SINGLE
    for name, array in zip(values, arrays, strict=True):
        dtype = array.dtype
        if not dtype.isnative:
            dtype = dtype.newbyteorder("=")
        if dtype == DOUBLE:
            promoted = DOUBLE
        elif dtype != SINGLE:
            raise _unsupported(name, dtype)
    return arrays, promoted


def _unsupported(name: str, dtype: np.dtype[Any]) -> TypeError:
    if dtype.name in HALF_DTYPES:
        return TypeError(
            f"{name} is {dtype.name}, but half precision is not supported yet, only float32 and "
            f"float64; cast it: {name}.astype(np.float32)."
        )
    way_out = f"{name}.real" if dtype.kind == "c" else f"{name}.astype(np.float64)"
    return TypeError(
        f"{name} is {dtype.name}, but has to be float32 or float64; cast it: {way_out}."
    )


def strided(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """`array` in the native `dtype`, its strides whole elements: itself, or one small copy."""
    return array if _readable(array, dtype) else _copied(array, dtype, array.ndim)


def rows(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """`array` in the native `dtype`, its last axis with unit stride: itself, or one copy."""
    if _readable(array, dtype) and _has_unit_rows(array):
        return array
    return _copied(array, dtype, array.ndim - 1)


def _readable(array: NDArray[Any], dtype: np.dtype[Any]) -> bool:
    if array.dtype != dtype or not array.flags.aligned:
        return False
    # Where a type is aligned to its size, aligned strides are whole elements.
    itemsize = dtype.itemsize
    return dtype.alignment == itemsize or not any(stride % itemsize for stride in array.strides)


def _has_unit_rows(array: NDArray[Any]) -> bool:
    if array.size == 0 or array.ndim == 0:  # NumPy gives empty arrays any strides
        return True
    return array.shape[-1] == 1 or array.strides[-1] == array.itemsize


def _copied(array: NDArray[Any], dtype: np.dtype[Any], axes: int) -> NDArray[Any]:
    """Copy an array; those of its first `axes` axes that repeat one element stay one long."""
    with np.errstate(over="ignore"):
        copy = np.array(once(array, axes), dtype, order="C", copy=True, subok=False)
    return broadcast("A copy of an array", copy, array.shape)


def once(array: NDArray[Any], axes: int) -> NDArray[Any]:
    """Cut those of the first `axes` axes that repeat one element down to a length of 1."""
    index = tuple(
        slice(1) if stride == 0 and length > 1 else slice(None)
        for stride, length in zip(array.strides[:axes], array.shape[:axes], strict=True)
    )
    return array[index]


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...] | None:
    """`np.broadcast_shapes` for shapes of any size; None where they do not broadcast."""
    rank = max(map(len, shapes))
    together = []
    for axis in range(-rank, 0):
        lengths = {shape[axis] for shape in shapes if len(shape) >= -axis} - {1}
        if len(lengths) > 1:
            return None
        together.append(lengths.pop() if lengths else 1)
    return tuple(together)


def broadcast(what: str, array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """`array` seen with `shape`, which it is known to broadcast to."""
    if array.shape == shape:
        return array
    check_size(what, shape, array.dtype)
    return np.broadcast_to(array, shape)


def check_size(what: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse an array that no address space could hold, whatever length 0 another axis has."""
    size = math.prod(max(length, 1) for length in shape) * dtype.itemsize
    if size > sys.maxsize:
        raise ValueError(
            f"{what} would have shape {shape} and {size} bytes, but no array has more than "
            f"{sys.maxsize}; use shorter axes or fewer of them."
        )


def check_out(out: object, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse an `out` that cannot take the result."""
    error: type[Exception]
    if type(out) is not np.ndarray and type(out) is not np.memmap:
        error, problem = TypeError, f"is a {type(out).__name__}, but has to be a NumPy array"
    elif out.dtype != dtype:
        error, problem = TypeError, f"is {out.dtype}, but the result is {dtype}"
    elif out.shape != shape:
        error, problem = ValueError, f"has shape {out.shape}, but the result has {shape}"
    elif not out.flags.writeable:
        error, problem = ValueError, "is read-only, but the result is written to it"
    elif _overlaps_itself(out):
        error, problem = ValueError, "has elements that share memory, but the result's differ"
    else:
        return
    raise error(f"out {problem}; pass np.empty({shape}, np.{dtype}), or leave out= away.")


def result(
    out: NDArray[Any] | None,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    inputs: Iterable[NDArray[Any] | None],
) -> NDArray[Any]:
    """Return the array for a kernel to write: the checked `out`, or a new one if need be.

    It cannot be `out` if that may share memory with one of the `inputs`, if two of its elements
    may share theirs, or if its last axis has no unit stride.
    """
    if (
        out is not None
        and _readable(out, dtype)
        and _has_unit_rows(out)
        and not _may_overlap_itself(out)
        and not any(array is not None and np.may_share_memory(out, array) for array in inputs)
    ):
        return out
    return np.empty(shape, dtype)


def deliver(result: NDArray[Any], out: NDArray[Any] | None) -> NDArray[Any]:
    """Return what the caller gets: `result`, copied to `out` where it was computed aside."""
    if out is None or result is out:
        return result
    np.copyto(out, result)
    return out


def _may_overlap_itself(array: NDArray[Any]) -> bool:
    """Seen from the shortest stride up, each has to step over all that the shorter ones cover."""
    if array.flags.c_contiguous or array.size == 0:
        return False
    covered = array.itemsize
    for stride, length in sorted(zip(map(abs, array.strides), array.shape, strict=True)):
        if length > 1:
            if stride < covered:
                return True
            covered += stride * (length - 1)
    return False


def _overlaps_itself(array: NDArray[Any]) -> bool:
    """Whether two elements share memory: exactly, unlike `_may_overlap_itself`."""
    if not _may_overlap_itself(array):
        return False
    moves = [
        (abs(stride), length)
        for stride, length in zip(array.strides, array.shape, strict=True)
        if length > 1
    ]
    last = sum(stride * (length - 1) for stride, length in moves)
    if last < (array.size - 1) * array.itemsize:
        return True
    starts = np.zeros(1, np.intp)
    for stride, length in moves:
        starts = np.add.outer(starts, np.arange(length) * stride).ravel()
    starts.sort()
    return bool((np.diff(starts) < array.itemsize).any())
