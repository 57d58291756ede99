"""Files that ``numfuse tune`` reads: features, labels, groups; and which rows are held out.

Features stay on disk where they can: a .npy file is mapped. Up to `MOST_BYTES` the rows that are
trained on are copied together; beyond that they are handed on block by block.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import _finetune_engine, _safetensors
from .reference.finetune import stream

Array = np.ndarray[Any, np.dtype[Any]]
MOST_BYTES = 2**30
BLOCK_ROWS = 65_536
# The purpose that `reference.finetune` numbers folds by.
FOLDS = 5


def features(text: str, *, bfloat16: bool) -> Array:
    """Map a .npy file, or read a tensor of a safetensors file, given as FILE:KEY."""
    path, key = place(text)
    array = _tensor(path, key) if path.suffix == ".safetensors" else _numpy(path, mapped=True)
    if array.ndim != 2:
        raise ValueError(f"{text} has shape {array.shape}, but features have (rows, columns)")
    if not bfloat16:
        return array
    if array.dtype != np.uint16:
        raise ValueError(
            f"{text} is {array.dtype}, but --bfloat16 is for a file of uint16; leave it out"
        )
    try:
        import ml_dtypes
    except ImportError:
        return array
    return array.view(ml_dtypes.bfloat16)


def place(text: str) -> tuple[Path, str | None]:
    """Split what features were given as into the file and, of FILE.safetensors:KEY, the key."""
    name, colon, key = text.rpartition(":")
    if colon and name.endswith(".safetensors"):
        return Path(name), key
    return Path(text), None


def widened(array: Array) -> Array:
    """Return rows of features as the heads take them: bfloat16 as float32 without ml_dtypes."""
    if array.dtype == np.uint16:
        return (array.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return array


class Blocks:
    """Rows of features with their targets, from a file that is too large to be copied."""

    def __init__(self, features: Array, targets: Array, rows: Array, *, bfloat16: bool) -> None:
        self._features, self._targets, self._rows = features, targets, rows
        self._bfloat16 = bfloat16

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        for start in range(0, len(self._rows), BLOCK_ROWS):
            rows = self._rows[start : start + BLOCK_ROWS]
            yield taken(self._features, rows, bfloat16=self._bfloat16), self._targets[rows]


def taken(features: Array, rows: Array, *, bfloat16: bool) -> Array:
    """Copy rows of features together."""
    array = np.asarray(features[rows])
    return widened(array) if bfloat16 else array


def labels(path: Path, column: str | None, rows: int) -> Array:
    """Read labels or numbers, one a row; of a .npy file also a matrix."""
    if path.suffix.lower() == ".npy":
        array = _numpy(path)
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
    else:
        array = _told(_column(path, column, rows))
    if array.ndim == 0 or len(array) != rows:
        count = len(array) if array.ndim else 1
        raise ValueError(
            f"{path} has {count:,} entries, but features has {rows:,} rows; give one for each"
        )
    return array


def _column(path: Path, name: str | None, rows: int) -> list[str]:
    """Read a column of a .csv file; a single one may have a header.

    One text too few or too many would shift all others by a row, so none is passed over.
    """
    table = _table(path)
    if name is not None:
        _, header = table.pop(0)
        if name not in header:
            raise ValueError(
                f"{path} has no column {name!r}, but {', '.join(map(repr, header))}; name one"
            )
        if header.count(name) > 1:
            raise ValueError(f"{path} has {header.count(name)} columns {name!r}; rename the others")
        column = header.index(name)
    elif len(table[0][1]) > 1:
        raise ValueError(f"{path} has {len(table[0][1])} columns; name one by --column NAME")
    else:
        column = 0
        if _has_header(path, [line[0].strip() for _, line in table], rows):
            table.pop(0)
    for number, line in table:
        if len(line) <= column:
            raise ValueError(f"{path} has no such column in line {number}: {','.join(line)!r}")
        if not line[column].strip():
            raise ValueError(f"{path} has an empty cell in line {number}; fill it, or drop the row")
    return [line[column].strip() for _, line in table]


def _table(path: Path) -> list[tuple[int, list[str]]]:
    """Read the lines of a .csv file with their numbers; blank ones may be at its end only."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            table = [(reader.line_num, line) for line in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read as a .csv file: {error}") from error
    while table and _is_blank(table[-1][1]):
        table.pop()
    if not table:
        raise ValueError(f"{path} is empty")
    for number, line in table:
        if _is_blank(line):
            raise ValueError(
                f"{path} has a blank line {number}; fill it where a row has no text, or delete it"
            )
    return table


def _is_blank(line: list[str]) -> bool:
    # A text that is empty, but quoted, is [""].
    return not line or (len(line) == 1 and line[0].isspace())


def _has_header(path: Path, texts: list[str], rows: int) -> bool:
    """Whether the first text of a single column is its header; refuse where that is in doubt."""
    first, others = texts[0], texts[1:]
    numbers = bool(others) and all(map(_is_number, others))
    alike = _is_number(first) if numbers else first in others
    if len(texts) == rows + 1:
        if not alike:
            return True
        raise ValueError(
            f"{path} has {len(texts):,} lines, but features has {rows:,} rows, and {first!r} in "
            "the first may be a header or one label too many; drop the label, or name the header "
            "by --column NAME or by a word that is no label"
        )
    # Where no text occurs twice, the first one is no exception; nor is a number among numbers.
    if len(texts) == rows and not alike and (numbers or len(set(others)) < len(others)):
        what = "is no number as all others are" if numbers else "is there only once"
        raise ValueError(
            f"{path} has {rows:,} lines, as features has rows, but {first!r} in the first {what}: "
            "if it is a header, a row lacks its text; if it is none, write a header above it"
        )
    return False


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _told(texts: list[str]) -> Array:
    """Make integers or floats of texts where all of them are."""
    kinds: tuple[type, ...] = (int, float)
    for kind in kinds:
        try:
            array = np.array([kind(text) for text in texts])
        except (ValueError, OverflowError):
            continue
        # What is written with leading zeros, or is beyond 64 bits, is a name.
        if kind is float or [str(number) for number in array.tolist()] == texts:
            return array
        return np.array(texts)
    return np.array(texts)


def _tensor(path: Path, key: str | None) -> Array:
    tensors, _ = _safetensors.read(path)
    if key is None and len(tensors) == 1:
        (key,) = tensors
    if key not in tensors:
        names = ", ".join(map(repr, tensors)) or "none"
        raise ValueError(f"{path} has the tensors {names}; name one as {path}:KEY")
    return tensors[key]


def _numpy(path: Path, *, mapped: bool = False) -> Array:
    try:
        array = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except FileNotFoundError:
        raise
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path} cannot be read as a .npy file: {error}") from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{path} holds several arrays; save the one that is meant with np.save")
    return array


class Split(NamedTuple):
    """Rows to train on and rows to judge by, each in ascending order."""

    train: Array
    test: Array


def split(rows: int, share: float, seed: int, groups: Array | None) -> Split:
    """Draw the rows that are held out; those of one group stay on one side."""
    if not share:
        return Split(np.arange(rows), np.arange(0))
    if groups is None:
        count = min(max(int(share * rows), 1), rows - 1)
        order = _finetune_engine.permutation(seed, stream(FOLDS), rows)
        return Split(np.sort(order[count:]), np.sort(order[:count]))
    names, member = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        raise ValueError(
            f"--groups has the one group {names[0]}, which cannot be on both sides; leave it out"
        )
    order = _finetune_engine.permutation(seed, stream(FOLDS), len(names))
    sizes = np.bincount(member)[order]
    count = int(np.searchsorted(np.cumsum(sizes), share * rows)) + 1
    held = np.zeros(len(names), bool)
    held[order[: min(count, len(names) - 1)]] = True
    return Split(np.flatnonzero(~held[member]), np.flatnonzero(held[member]))
