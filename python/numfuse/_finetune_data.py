"""What a head learns from: an array of features, or blocks that come one after the other.

`rows_of` makes of features what the kernels read where it lies: a memmap stays one, float16 and
bfloat16 travel as their 16 bits. `Data` gives a fit its blocks, targets encoded; an array is one
block. Blocks are checked as they come.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _arrays
from . import _finetune_engine as _engine
from ._finetune_targets import Encoded, Kind, as_array, check_length, encode, sample_weights

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

# Targets' key (None where there is but one array of them), a head's loss, and its classes if they
# are not found in the targets.
Aim = tuple[Any, str, str]
# Rows that are cast at once where a head computes in another dtype than its features have.
CAST_ROWS = 4096


class Rows(NamedTuple):
    """Features as the kernels read them."""

    array: NDArray[Any]
    """(n, in), rows of unit stride: float32, float64, or uint16 where `half` names its kind."""
    half: str | None
    dtype: np.dtype[Any]
    """What is computed in: float32 or float64."""

    def columns(self, columns: slice | None) -> NDArray[Any]:
        return self.array if columns is None else self.array[:, columns]

    def wide(self, start: int, stop: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return some rows in `dtype`."""
        part = self.array[start:stop]
        if self.half == "float16":
            part = part.view(np.float16)
        elif self.half == "bfloat16":
            part = (part.astype(np.uint32) << np.uint32(16)).view(np.float32)
        with np.errstate(over="ignore"):
            return np.asarray(part, dtype)


class Block(NamedTuple):
    """Some rows with all that they are trained by."""

    number: int
    rows: Rows
    targets: dict[Aim, Encoded]
    weights: NDArray[np.float64] | None
    cache: dict[Any, Any]
    """What the trainer makes of the block once, if the block comes again."""

    @property
    def length(self) -> int:
        return len(self.rows.array)


def rows_of(value: object, name: str = "features", owner: str = "LinearHead") -> Rows:
    """Return features as the kernels read them, where they lie if they can be read there.

    Raises
    ------
    TypeError, ValueError
        If they are sparse, masked, not numbers, or have not two axes.
    """
    if type(value).__module__.startswith("scipy.sparse"):
        raise TypeError(
            f"{name} is a scipy.sparse matrix; {owner} takes dense features: pass {name}.toarray()."
        )
    masked = sys.modules.get("numpy.ma")
    if masked is not None and isinstance(value, masked.MaskedArray):
        raise TypeError(
            f"{name} is a MaskedArray, but has to be an ordinary array; pass {name}.filled(0), or "
            "drop the rows."
        )
    array = _arrays.as_array(name, value)
    if array.ndim != 2:
        raise ValueError(
            f"{name} has shape {array.shape}, but has to be (rows, columns); "
            f"{name}.reshape(-1, 1) makes one column, reshape(1, -1) one row."
        )
    kind, dtype = array.dtype.kind, array.dtype
    if dtype.name in _arrays.HALF_DTYPES:
        if not dtype.isnative:
            array = array.astype(dtype.newbyteorder("="))
        return Rows(_unit_rows(array).view(np.uint16), dtype.name, _arrays.SINGLE)
    if kind in "biu":
        return Rows(array.astype(np.float64), None, _arrays.DOUBLE)
    if kind == "O":  # tables of mixed columns
        try:
            return Rows(array.astype(np.float64), None, _arrays.DOUBLE)
        except (TypeError, ValueError) as error:
            raise type(error)(
                f"{name} has a value that is no number ({error}); encode it."
            ) from None
    if kind != "f" or dtype.itemsize not in (4, 8):
        raise TypeError(
            f"{name} is {dtype.name}, but has to be floating point or integers; cast it: "
            f"{name}.astype(np.float32)."
        )
    native = dtype.newbyteorder("=")
    return Rows(np.asarray(_arrays.rows(array, native)), None, native)


def _unit_rows(array: NDArray[Any]) -> NDArray[Any]:
    """`array` with rows of unit stride: itself, or a copy."""
    aligned = array.flags.aligned and not any(step % array.itemsize for step in array.strides)
    if aligned and (array.shape[1] <= 1 or array.strides[1] == array.itemsize):
        return np.asarray(array)
    return np.array(array, order="C", copy=True, subok=False)


def check_width(rows: Rows, width: int, fitted: str, name: str = "features") -> None:
    """Refuse features of another width."""
    given = rows.array.shape[1]
    if given != width:
        raise ValueError(
            f"{name} has {given} columns, but {fitted} with {width}; pass the same columns in the "
            "same order."
        )


class Data:
    """Where a fit's rows come from.

    Parameters
    ----------
    features, targets, sample_weight
        As `LinearHead.fit` takes them.
    owner : str
        The class that errors speak of.
    """

    def __init__(
        self, features: object, targets: object, sample_weight: object, owner: str
    ) -> None:
        self.owner = owner
        self.single: Rows | None = None
        self.raw_targets: object = targets
        self.raw_weights: object = sample_weight
        self.kinds: Mapping[Aim, Kind] = {}
        """What the targets are, once that is known: they are encoded so."""
        self.once = False
        self._first: Any = None
        self._iterator: Iterator[Any] | None = None
        self._kept: Block | None = None
        if targets is None and _comes_in_blocks(features):
            if sample_weight is not None:
                raise ValueError(
                    "sample_weight is given beside blocks; put it into them: (features, targets, "
                    "sample_weight)."
                )
            self._blocks: Iterable[Any] = features  # type: ignore[assignment]
            self._open()
            return
        self.single = rows_of(features, owner=owner)
        if targets is None:
            raise ValueError(
                "targets is None, but this fit requires y: give targets, one for each row of "
                "features, or features as an iterable of (features, targets) blocks."
            )
        _check_extent(self.single, "features")
        self.dtype, self.width = self.single.dtype, self.single.array.shape[1]
        self.lengths: list[int] | None = [len(self.single.array)]

    def _open(self) -> None:
        """Look at the first block."""
        self.lengths = None
        iterator = iter(self._blocks)
        self.once = iterator is self._blocks
        try:
            self._first = next(iterator)
        except StopIteration:
            raise ValueError("features has no block; give at least one.") from None
        if self.once:
            self._iterator = iterator
        rows, _, _ = self._parts(0, self._first)
        self.dtype, self.width = rows.dtype, rows.array.shape[1]
        self.first_rows = rows.array[:64].copy()
        """By which a checkpoint tells whether these are the same blocks."""

    @property
    def in_blocks(self) -> bool:
        return self.single is None

    def name_of(self, block: Block) -> str:
        """Return what a message calls the block's features."""
        return f"block {block.number} of features" if self.in_blocks else "features"

    def _parts(self, number: int, block: Any) -> tuple[Rows, Any, Any]:
        """Take a block apart, and look at its features."""
        name = f"block {number} of features"
        if not isinstance(block, tuple | list) or len(block) not in (2, 3):
            raise ValueError(
                f"{name} is a {type(block).__name__}, but has to be (features, targets) or "
                "(features, targets, sample_weight)."
            )
        rows = rows_of(block[0], name, self.owner)
        _check_extent(rows, name)
        if number or self.lengths is not None:
            width = rows.array.shape[1]
            if width != self.width:
                raise ValueError(
                    f"{name} has {width} columns, but the first block has {self.width}; give all "
                    "blocks the same columns."
                )
            if rows.dtype != self.dtype:
                raise ValueError(
                    f"{name} is {rows.array.dtype}, but the first block is computed in "
                    f"{self.dtype}; give all blocks one dtype."
                )
        return rows, block[1], block[2] if len(block) == 3 else None

    def _each(self) -> Iterator[tuple[int, Rows, Any, Any]]:
        if self.single is not None:
            yield 0, self.single, self.raw_targets, self.raw_weights
            return
        number = 0
        if self.once:
            if self._iterator is None:
                raise ValueError(
                    "features is a generator, which can be gone through once; give a list or an "
                    "iterable that starts anew."
                )
            first, iterator = self._first, self._iterator
            self._iterator, self._first = None, None
            yield 0, *self._parts(0, first)
            number = 1
        else:
            iterator = iter(self._blocks)
        for block in iterator:
            yield number, *self._parts(number, block)
            number += 1
        if not number:
            raise ValueError("features has no block this time; give an iterable that starts anew.")

    def scan(self) -> Iterator[tuple[Rows, Any, NDArray[np.float64] | None]]:
        """Go through all blocks, targets as they come, and note the lengths."""
        lengths = []
        for number, rows, targets, weights in self._each():
            lengths.append(len(rows.array))
            name = "sample_weight" if not self.in_blocks else f"sample_weight of block {number}"
            yield rows, targets, sample_weights(weights, len(rows.array), name)
        self.lengths = lengths

    def first_targets(self) -> Any:
        """Return the targets of the first block, as they come."""
        return self.raw_targets if self.single is not None else self._first[1]

    def forget_first(self) -> None:
        """Let go of the first block, which will come again."""
        if not self.once:
            self._first = None

    def blocks(self) -> Iterator[Block]:
        """Give the blocks with targets encoded; an array's is always the same object."""
        if self._kept is not None:
            yield self._kept
            return
        for number, rows, targets, weights in self._each():
            suffix = f" of block {number}" if self.in_blocks else ""
            encoded = encoded_targets(
                self.kinds, targets, len(rows.array), self.dtype, f"targets{suffix}"
            )
            weight = sample_weights(weights, len(rows.array), f"sample_weight{suffix}")
            if weight is not None and not self.in_blocks:
                if not weight.any():
                    raise ValueError(
                        "sample_weight is 0 in all rows, so that none counts; give some more."
                    )
                weight = moderate(weight)
            block = Block(number, rows, encoded, weight, {})
            if self.single is not None:
                self._kept = block
            yield block


def moderate(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return weights of which only ratios count, none too large or small for float32 by their unit.

    Those that are moderate stay as they are; others take a power of two, which rounds nothing.
    """
    exponent = int(np.frexp(weights.max())[1])
    return weights if abs(exponent) <= 40 else np.ldexp(weights, -exponent)


def encoded_targets(
    kinds: Mapping[Aim, Kind], targets: Any, rows: int, dtype: np.dtype[Any], name: str
) -> dict[Aim, Encoded]:
    """Encode targets, or the dict of them, for each aim."""
    encoded = {}
    for aim, kind in kinds.items():
        array, own = target_array(targets, aim[0], name)
        check_length(own, array, rows)
        encoded[aim] = encode(kind, array, dtype, own)
    return encoded


def target_array(targets: Any, key: Any, name: str) -> tuple[NDArray[Any], str]:
    """Return the targets of a key, and what errors call them."""
    if key is None:
        return as_array(name, targets), name
    if not isinstance(targets, Mapping):
        raise TypeError(
            f"{name} is a {type(targets).__name__}, but has to be a dict of targets as heads have "
            f"their own; give {{{key!r}: …}}."
        )
    if key not in targets:
        raise ValueError(
            f"{name} has no {key!r}, which a head is trained on, but {list(targets)}; add it."
        )
    own = f"{name}[{key!r}]"
    return as_array(own, targets[key]), own


def _comes_in_blocks(features: object) -> bool:
    if hasattr(features, "__array__") or hasattr(features, "__dlpack__"):
        return False
    if type(features).__module__.startswith("scipy.sparse"):
        return False
    if isinstance(features, list | tuple):
        return bool(features) and isinstance(features[0], tuple)
    return hasattr(features, "__iter__") and not isinstance(features, str | bytes | dict)


def _check_extent(rows: Rows, name: str) -> None:
    count, width = rows.array.shape
    if not count:
        if name != "features":
            raise ValueError(f"{name} is empty; leave it out.")
        raise ValueError(
            f"{name} has 0 sample(s) (shape {rows.array.shape}) while a minimum of 1 is required."
        )
    if not width:
        raise ValueError(
            f"{name} has 0 feature(s) (shape {rows.array.shape}) while a minimum of 1 is required."
        )


def check_products(gram: NDArray[Any], dtype: np.dtype[Any]) -> None:
    """Refuse features whose sums of products are not finite, before they are decomposed."""
    if not np.isfinite(gram).all():
        raise ValueError(f"features are too large for their squares in {dtype}; scale them down.")


def check_finite(
    x: NDArray[Any],
    name: str,
    *,
    rows: NDArray[np.int64] | None = None,
    start: int = 0,
    first: int = 0,
    cast: np.dtype[Any] | None = None,
) -> None:
    """Refuse rows that are not finite, as the kernels do.

    They are rows `start` on, or `rows`; their first column is number `first`. `cast` is the dtype
    that they may have been too large for.
    """
    if not (finite := np.isfinite(x)).all():
        row, column = np.argwhere(~finite)[0].tolist()
        place = start + row if rows is None else rows[row]
        held = "" if cast is None else f" (in {cast})"
        raise ValueError(
            f"{name} has {x[row, column]} in row {place}, column {column + first}{held}; drop or "
            "fill it."
        )


def logits(
    rows: Rows,
    parameters: NDArray[Any],
    *,
    name: str = "features",
    columns: slice | None = None,
    shift: NDArray[Any] | None = None,
    scale: NDArray[Any] | None = None,
    index: NDArray[np.int64] | None = None,
) -> NDArray[Any]:
    """Return the logits (n, K) of rows, or of those of an index, in the parameters' dtype."""
    dtype = parameters.dtype
    first = 0 if columns is None else columns.start
    array = rows.columns(columns)
    count = len(array) if index is None else len(index)
    out = np.empty((count, len(parameters)), dtype)
    if not count:
        return out
    if rows.dtype == dtype:
        with _engine.naming(name, array, first):
            _engine.logits(array, rows.half, shift, scale, index, parameters, out)
        return out
    # Rows are chosen of what a fit trains on alone, and that is of its dtype.
    assert index is None
    part = Rows(array, rows.half, rows.dtype)
    for start in range(0, count, CAST_ROWS):
        stop = min(start + CAST_ROWS, count)
        wide = part.wide(start, stop, dtype)
        check_finite(wide, name, start=start, first=first, cast=dtype)
        _engine.logits(wide, None, shift, scale, None, parameters, out[start:stop])
    return out
