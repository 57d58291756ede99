"""Files of safetensors [1]_, read and written with NumPy alone.

A file is the length of its header (8 bytes, little end first), the header (JSON: each tensor's
dtype, shape and place, and under "__metadata__" a dict of texts), and the tensors' bytes.

.. [1] https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _files

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from numpy.typing import NDArray

_DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items() if name != "BF16"}
# The format's own limit for a header.
_LONGEST_HEADER = 100_000_000


def write(
    path: str | os.PathLike[str],
    tensors: Mapping[str, NDArray[Any]],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write named arrays, so that the file is whole or what was there before."""
    header: dict[str, Any] = {}
    if metadata:
        header["__metadata__"] = dict(metadata)
    parts, start = [], 0
    for name, tensor in tensors.items():
        stored = tensor.dtype.newbyteorder("<")
        array = np.asarray(tensor, stored, order="C")
        header[name] = {
            "dtype": _NAMES[stored],
            "shape": list(array.shape),
            "data_offsets": [start, start + array.nbytes],
        }
        parts.append(array)
        start += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the tensors are aligned
    with _files.replacing(Path(path)) as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for array in parts:
            file.write(array.tobytes())


def read(path: str | os.PathLike[str]) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Return the arrays by name, and the metadata; bfloat16 is widened to float32.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no safetensors file, is cut short, or has bytes that are no tensor's.
    """
    content = Path(path).read_bytes()
    header, start = _header(path, content)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise _foreign(path)
    # Other libraries write tensors in any order; each byte belongs to one of them.
    tensors, places = {}, []
    for name, entry in header.items():
        tensors[name], place = _tensor(path, name, entry, content, start)
        places.append(place)
    end = 0
    for first, last in sorted(places):
        if first != end:
            raise _foreign(path)
        end = last
    if len(content) > start + end:
        raise _wrong_length(path, "is too long", len(content), start + end)
    return tensors, {str(key): str(value) for key, value in metadata.items()}


def _header(path: str | os.PathLike[str], content: bytes) -> tuple[dict[str, Any], int]:
    """Parse the header, and check that the file is as long as it says."""
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > _LONGEST_HEADER:
        raise _foreign(path)
    if len(content) < 8 + length:
        raise _wrong_length(path, "is cut short", len(content), 8 + length)
    try:
        header = json.loads(content[8 : 8 + length].decode(), object_pairs_hook=_once)
        entries = [entry for name, entry in header.items() if name != "__metadata__"]
        end = max((_counts(entry["data_offsets"])[1] for entry in entries), default=0)
    except (ValueError, AttributeError, TypeError, KeyError, IndexError, RecursionError):
        raise _foreign(path) from None
    if len(content) < 8 + length + end:
        raise _wrong_length(path, "is cut short", len(content), 8 + length + end)
    return header, 8 + length


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a dict of a JSON object, whose names have to differ."""
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a name is there twice")
    return dict(pairs)


def _counts(values: Any) -> tuple[int, ...]:
    """Return a list's integers of 0 or more; a bool is none, nor is a float without a fraction."""
    if not isinstance(values, list) or not all(type(value) is int for value in values):
        raise TypeError("no list of integers")
    if min(values, default=0) < 0:
        raise ValueError("a negative integer")
    return tuple(values)


def _tensor(
    path: str | os.PathLike[str], name: str, entry: Any, content: bytes, start: int
) -> tuple[NDArray[Any], tuple[int, int]]:
    """Return a tensor, and its first and last place behind `start`."""
    try:
        kind, shape = entry["dtype"], _counts(entry["shape"])
        first, last = _counts(entry["data_offsets"])
        if not isinstance(kind, str):
            raise TypeError("no name of a dtype")
    except (ValueError, TypeError, KeyError):
        raise _foreign(path) from None
    if kind not in _DTYPES:
        raise ValueError(
            f"{path} has the tensor {name!r} of {kind}, which is not read here; cast it to float32 "
            "before it is saved."
        )
    dtype = _DTYPES[kind]
    count = math.prod(shape)
    if last - first != count * dtype.itemsize:
        raise _foreign(path)
    try:
        array = np.frombuffer(content, dtype, count, start + first).reshape(shape)
    except (ValueError, OverflowError):  # more axes, or longer ones, than an array can have
        raise _foreign(path) from None
    if kind == "BF16":
        return (array.astype(np.uint32) << np.uint32(16)).view(np.float32), (first, last)
    return array.astype(dtype.newbyteorder("=")), (first, last)


def _foreign(path: str | os.PathLike[str]) -> ValueError:
    return ValueError(
        f"{path} is not a safetensors file, or its header is damaged; give a file that save() or "
        "safetensors.torch.save_file wrote."
    )


def _wrong_length(path: str | os.PathLike[str], what: str, given: int, wanted: int) -> ValueError:
    return ValueError(
        f"{path} {what}: it has {given:,} bytes of {wanted:,}; copy it again, or delete it."
    )
