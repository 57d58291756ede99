"""The same numbers in memory laid out differently: everything that NumPy can hand over."""

import atexit
import shutil
import tempfile
from pathlib import Path

import numpy as np

_folder = Path(tempfile.mkdtemp(prefix="numfuse-tests-"))
atexit.register(shutil.rmtree, _folder, ignore_errors=True)


def _garbage(shape, dtype):
    """An array whose every element would be noticed in a result."""
    full = np.empty(shape, dtype)
    full[...] = np.nan if dtype.kind == "f" else (True if dtype.kind == "b" else 113)
    return full


def contiguous(a):
    return np.ascontiguousarray(a).copy()


def heads_and_length_swapped(a):
    """(..., length, heads, head_dim) as most networks store it; the first two axes of a matrix."""
    if a.ndim < 3:
        return fortran(a)
    return np.ascontiguousarray(a.swapaxes(-3, -2)).swapaxes(-3, -2)


def fortran(a):
    return np.asfortranarray(a).copy(order="K")


def every_second_column(a):
    """A last stride of two elements."""
    wide = _garbage((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
    wide[..., ::2] = a
    return wide[..., ::2]


def every_second_row(a):
    if a.ndim < 2:
        return every_second_column(a)
    tall = _garbage((*a.shape[:-2], 2 * a.shape[-2], a.shape[-1]), a.dtype)
    tall[..., ::2, :] = a
    return tall[..., ::2, :]


def part_of_wider_rows(a):
    """A row stride that is no multiple of the row's length."""
    wide = _garbage((*a.shape[:-1], a.shape[-1] + 5), a.dtype)
    wide[..., 2:-3] = a
    return wide[..., 2:-3]


def rows_backwards(a):
    if a.ndim < 2:
        return columns_backwards(a)
    return np.ascontiguousarray(a[..., ::-1, :])[..., ::-1, :]


def columns_backwards(a):
    return np.ascontiguousarray(a[..., ::-1])[..., ::-1]


def everything_backwards(a):
    return np.ascontiguousarray(np.flip(a))[(slice(None, None, -1),) * a.ndim]


def read_only(a):
    copy = contiguous(a)
    copy.flags.writeable = False
    return copy


def other_byte_order(a):
    return a.astype(a.dtype.newbyteorder("S"))


def misaligned(a):
    room = np.zeros(a.nbytes + 1, np.uint8)
    shifted = room[1:].view(a.dtype).reshape(a.shape)
    shifted[...] = a
    return shifted


def memory_mapped(a):
    if a.size == 0:
        return contiguous(a)
    with tempfile.NamedTemporaryFile(dir=_folder, delete=False) as file:
        file.write(np.ascontiguousarray(a).tobytes())
    return np.memmap(file.name, dtype=a.dtype, mode="r", shape=a.shape)


LAYOUTS = [
    contiguous,
    heads_and_length_swapped,
    fortran,
    every_second_column,
    every_second_row,
    part_of_wider_rows,
    rows_backwards,
    columns_backwards,
    everything_backwards,
    read_only,
    other_byte_order,
    misaligned,
    memory_mapped,
]
