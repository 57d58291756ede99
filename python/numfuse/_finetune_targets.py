"""What heads aim at: labels, soft labels, several labels a row, or numbers; and weights of rows.

`describe` finds out which kind of targets an array is, and its classes; `encode` turns an array
of a kind that is known, the next block's or the validation's, into what the kernels read:
indices of classes, or rows of values.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._options import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

CLASSIFIERS = ("softmax", "sigmoid")
# How far from 1 the sum of a row of soft labels may be, by the precision that it is given in.
_SOFT_TOLERANCE = {4: 1e-5, 8: 1e-9}


class Kind(NamedTuple):
    """What the targets of a head are."""

    name: str
    """Either "labels", "soft" (rows of shares), "several" (0/1 by class) or "numbers"."""
    outputs: int
    classes: NDArray[Any] | None
    """All labels, sorted; None for numbers."""
    rank: int
    """Axes of the targets."""


class Encoded(NamedTuple):
    """Targets as the kernels read them: one of the two is there."""

    labels: NDArray[np.int64] | None
    """(n,): index into the classes."""
    values: NDArray[Any] | None
    """(n, outputs), C order."""


def as_array(name: str, value: object) -> NDArray[Any]:
    """`np.asarray` with an error that names the argument."""
    masked = sys.modules.get("numpy.ma")
    if masked is not None and isinstance(value, masked.MaskedArray):
        raise TypeError(
            f"{name} is a MaskedArray, but has to be an ordinary array; drop the masked rows."
        )
    if hasattr(value, "toarray") and not hasattr(value, "__array__"):
        raise TypeError(
            f"{name} is a {type(value).__name__}, but has to be dense; pass {name}.toarray()."
        )
    try:
        return np.asarray(value)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{name} is a {type(value).__name__} that NumPy cannot make an array of ({error}); "
            "pass an array or nested lists of equal lengths."
        ) from error


def check_length(name: str, array: NDArray[Any], rows: int, features: str = "features") -> None:
    """Refuse what has not one entry for each row of features."""
    if array.ndim == 0 or len(array) != rows:
        given = f"{len(array)} entries" if array.ndim else "no axis"
        raise ValueError(
            f"{name} has {given} for {features}' {rows} rows; give one entry for each row."
        )


def describe(loss: str, array: NDArray[Any], classes: object = None, name: str = "targets") -> Kind:
    """Find out what targets are, and their classes unless `classes` says.

    Raises
    ------
    TypeError, ValueError
        If `loss` cannot aim at such targets, or there are too few labels or too many.
    """
    if array.ndim not in (1, 2):
        raise ValueError(
            f"{name} has shape {array.shape}, but has to be (rows,) or (rows, outputs); reshape it."
        )
    if loss not in CLASSIFIERS:
        if classes is not None:
            raise ValueError(
                f'classes is given, but loss "{loss}" aims at numbers; leave it out, or use '
                'loss="softmax".'
            )
        _check_numbers(loss, array, name)
        return Kind("numbers", array.shape[1] if array.ndim == 2 else 1, None, array.ndim)
    if array.ndim == 2:
        return _of_rows(loss, array, classes, name)
    known = labels_in(array, name) if classes is None else checked_classes(classes)
    return of_labels(loss, known, name)


def of_labels(loss: str, classes: NDArray[Any], name: str = "targets") -> Kind:
    """Return the kind of labels whose sorted classes are known."""
    if len(classes) < 2:
        given = f"only the label {_plain(classes[0])!r}" if len(classes) else "no label"
        raise ValueError(f"{name} has {given}; give a second one, or all labels as classes=.")
    if loss == "sigmoid":
        if len(classes) > 2:
            raise ValueError(
                f'loss "sigmoid" takes two labels, but {name} has {len(classes)}; use '
                'loss="softmax", or a 0/1 matrix for several labels a row.'
            )
        return Kind("labels", 1, classes, 1)
    return Kind("labels", len(classes), classes, 1)


def _of_rows(loss: str, array: NDArray[Any], classes: object, name: str) -> Kind:
    outputs = array.shape[1]
    if outputs == 1:
        raise ValueError(
            f"{name} has shape {array.shape}, but labels have one axis; pass {name}.ravel()."
        )
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"{name} is {array.dtype.name} with two axes, but rows of shares or of 0 and 1 are "
            "numbers; labels have one axis."
        )
    if outputs == 0:
        raise ValueError(f"{name} has shape {array.shape}; give at least two outputs.")
    known = np.arange(outputs) if classes is None else checked_classes(classes)
    if len(known) != outputs:
        raise ValueError(
            f"classes has {len(known)} labels, but {name} has {outputs} columns; give one for each."
        )
    return Kind("soft" if loss == "softmax" else "several", outputs, known, 2)


def encode(kind: Kind, array: NDArray[Any], dtype: np.dtype[Any], name: str = "targets") -> Encoded:
    """Turn targets of a known kind into what the kernels read.

    Raises
    ------
    TypeError, ValueError
        If they are of another kind, or hold a label that is not among the classes.
    """
    if array.ndim != kind.rank or (kind.rank == 2 and array.shape[1] != kind.outputs):
        wanted = "(rows,)" if kind.rank == 1 else f"(rows, {kind.outputs})"
        raise ValueError(
            f"{name} has shape {array.shape}, but has to be {wanted} here; reshape it."
        )
    if kind.name == "labels":
        assert kind.classes is not None
        return Encoded(_indices(array, kind.classes, name), None)
    if kind.name == "numbers":
        _check_numbers("squared", array, name)
    else:
        _check_rows(kind.name, array, dtype, name)
    with np.errstate(over="ignore"):
        values = np.array(array, dtype, order="C").reshape(len(array), kind.outputs)
    if kind.name == "numbers" and not np.isfinite(values).all():
        raise ValueError(
            f"{name} has values that are infinite in {dtype}; scale them, or pass float64 features."
        )
    return Encoded(None, values)


def _check_numbers(loss: str, array: NDArray[Any], name: str) -> None:
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f'{name} is {array.dtype.name}, but loss "{loss}" aims at numbers; use loss="softmax" '
            "for labels."
        )
    if array.ndim == 2 and array.shape[1] == 0:
        raise ValueError(f"{name} has shape {array.shape}; give at least one output.")
    _check_finite(array, name)


def _check_finite(array: NDArray[Any], name: str) -> None:
    if array.dtype.kind == "f" and not (finite := np.isfinite(array)).all():
        index = np.unravel_index(int(np.argmin(finite)), array.shape)
        raise ValueError(f"{name} has {array[index]} in row {index[0]}; drop or fill it.")


def _check_rows(what: str, array: NDArray[Any], dtype: np.dtype[Any], name: str) -> None:
    """Refuse rows that are no shares that sum to 1, or not of 0 and 1."""
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} is {array.dtype.name}, but has to be numbers; cast it to float64.")
    _check_finite(array, name)
    if what == "several":
        if not (fits := ((array == 0) | (array == 1)).all(axis=1)).all():
            row = int(np.argmin(fits))
            raise ValueError(
                f"{name} is {array[row].tolist()} in row {row}, but has to be 0 or 1 in each "
                'column for loss "sigmoid"; shares of classes go with loss="softmax".'
            )
        return
    size = array.dtype.itemsize if array.dtype.kind == "f" else 8
    tolerance = _SOFT_TOLERANCE[8 if min(size, dtype.itemsize) == 8 else 4]
    fits = (array >= 0).all(axis=1)
    fits &= np.abs(array.sum(axis=1, dtype=np.float64) - 1) <= tolerance
    if not fits.all():
        row = int(np.argmin(fits))
        raise ValueError(
            f"{name} is {shown(array[row].tolist())} in row {row}, but soft labels are >= 0 and "
            "sum to 1; divide each row by its sum."
        )


def labels_in(array: NDArray[Any], name: str = "targets") -> NDArray[Any]:
    """Return the labels that occur, sorted.

    Raises
    ------
    TypeError, ValueError
        If they cannot be sorted, or one is missing (NaN, None).
    """
    _check_labels(array, name)
    if array.dtype.kind in "iu" and len(array):
        least, most = int(array.min()), int(array.max())
        if most - least <= 4 * len(array) + 1024:  # counting is far sooner done than sorting
            counts = np.bincount(_offsets(array, least), minlength=1)
            known: NDArray[Any] = np.flatnonzero(counts).astype(array.dtype)
            known += array.dtype.type(least)  # wraps around where the offsets did
            return known
    try:
        return np.unique(array)
    except TypeError as error:
        raise TypeError(
            f"{name} has labels that cannot be sorted ({error}); use labels of one type."
        ) from None


def checked_classes(classes: object) -> NDArray[Any]:
    """`classes` sorted, each once."""
    array = as_array("classes", classes)
    if array.ndim != 1:
        raise ValueError(f"classes has shape {array.shape}, but has to be a list of labels.")
    known = labels_in(array, "classes")
    if len(known) < len(array):
        given = array.tolist()
        twice = next(label for i, label in enumerate(given) if label in given[:i])
        raise ValueError(f"classes has {twice!r} twice; give each label once.")
    return known


def _check_labels(array: NDArray[Any], name: str) -> None:
    if array.dtype.kind == "f":
        bad = np.isnan(array)
    elif array.dtype.kind == "O":
        # What is missing does not equal itself (NaN, pandas.NA's answer is NA), or is None.
        bad = np.array([each is None or (each == each) is not True for each in array], bool)
    elif array.dtype.kind in "biuUSMmT":
        return
    else:
        raise TypeError(
            f"{name} is {array.dtype.name}, but labels are integers, texts, bools or floats."
        )
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"{name} has the missing label {array[row]!r} in row {row}; drop the row or give it a "
            "label."
        )


def _indices(array: NDArray[Any], classes: NDArray[Any], name: str) -> NDArray[np.int64]:
    """Return the place of each label among the sorted classes."""
    _check_labels(array, name)
    count = len(classes)
    if len(array) == 0:
        return np.empty(0, np.int64)
    if array.dtype.kind in "iu" and classes.dtype.kind in "iu":
        least, span = int(classes[0]), int(classes[-1]) - int(classes[0])
        if span <= 4 * len(array) + 1024:
            low, high = int(array.min()), int(array.max())
            if least <= low and high <= least + span:
                offsets = _offsets(array, least)
                if span + 1 == count:
                    return offsets
                table = np.full(span + 1, -1)
                table[_offsets(classes, least)] = np.arange(count)
                places = table[offsets]
                _check_known(places >= 0, array, classes, name)
                return places
    if not _comparable(array, classes):
        _check_known(np.zeros(len(array), bool), array, classes, name)
    try:
        places = np.minimum(np.searchsorted(classes, array), count - 1).astype(np.int64)
    except TypeError:
        _check_known(np.zeros(len(array), bool), array, classes, name)
        raise
    _check_known(np.asarray(classes[places] == array, bool), array, classes, name)
    return places


def _offsets(array: NDArray[Any], least: int) -> NDArray[np.int64]:
    """Return `array` − `least`, which is known to be small."""
    if array.dtype == np.uint64:
        return (array - np.uint64(least)).astype(np.int64)
    offsets: NDArray[np.int64] = array.astype(np.int64) - least
    return offsets


def _comparable(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether labels of two arrays can be the same at all."""
    numbers = "biuf"
    if "O" in (a.dtype.kind, b.dtype.kind):
        return True
    return a.dtype.kind == b.dtype.kind or (a.dtype.kind in numbers and b.dtype.kind in numbers)


def _check_known(
    known: NDArray[np.bool_], array: NDArray[Any], classes: NDArray[Any], name: str
) -> None:
    if not known.all():
        row = int(np.argmin(known))
        raise ValueError(
            f"{name} has the label {_plain(array[row])!r} in row {row}, which is not in classes "
            f"{shown(classes.tolist())}; add it there or drop the row."
        )


def _plain(label: Any) -> Any:
    """`label` as Python shows it."""
    return label.item() if isinstance(label, np.generic) else label


def sample_weights(
    value: object, rows: int, name: str = "sample_weight"
) -> NDArray[np.float64] | None:
    """`sample_weight` as float64, one a row, none below 0; that not all are 0 is checked later."""
    if value is None:
        return None
    array = as_array(name, value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} is {array.dtype.name}, but has to be numbers >= 0, one a row.")
    if array.ndim == 0 and rows:
        array = np.broadcast_to(array, (rows,))
    if array.ndim != 1:
        raise ValueError(
            f"{name} has shape {array.shape}, but has to be ({rows},): one number a row. "
            "Sample weights must be 1D array or scalar."
        )
    check_length(name, array, rows)
    weights = array.astype(np.float64)
    if not (fits := (weights >= 0) & (weights < np.inf)).all():
        row = int(np.argmin(fits))
        raise ValueError(
            f"{name} is {weights[row]} in row {row}, but has to be finite and >= 0; 0 leaves a row "
            "out."
        )
    return weights


def named_factors(
    class_weight: str | Mapping[Any, float] | NDArray[Any] | None, kind: Kind
) -> NDArray[np.float64] | None:
    """Return the weight of each class; None if there are none, or they wait for `balanced`.

    Raises
    ------
    ValueError
        If a class is unknown, or the targets have no labels.
    """
    if class_weight is None:
        return None
    if kind.name != "labels" or kind.classes is None:
        what = {"soft": "soft labels", "several": "several labels a row"}.get(kind.name, "numbers")
        raise ValueError(
            f"class_weight is given, but the targets are {what}; use sample_weight for them."
        )
    if isinstance(class_weight, str):
        return None
    classes = shown(kind.classes.tolist())
    count = len(kind.classes)
    if isinstance(class_weight, np.ndarray):
        if class_weight.shape != (count,):
            raise ValueError(
                f"class_weight has shape {class_weight.shape}, but there are {count} classes "
                f"{classes}; give one weight for each."
            )
        return class_weight.astype(np.float64)
    factors = np.ones(count)
    places = {label: place for place, label in enumerate(kind.classes.tolist())}
    for label, weight in class_weight.items():
        plain = _plain(label)
        if plain not in places:
            raise ValueError(
                f"class_weight names {plain!r}, which is not among classes_ {classes}; leave it "
                "out."
            )
        factors[places[plain]] = weight
    if not factors.any():
        raise ValueError("class_weight is 0 for all classes; give one of them more.")
    return factors


def balanced_factors(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return weights that give each class the same sum; `sums` has what each has now."""
    factors = np.zeros(len(sums))
    np.divide(sums.sum(), len(sums) * sums, out=factors, where=sums > 0)
    return factors


def row_weights(
    weights: NDArray[np.float64] | None,
    factors: NDArray[np.float64] | None,
    labels: NDArray[np.int64] | None,
    dtype: np.dtype[Any],
) -> NDArray[Any] | None:
    """Return sample weight times class weight of each row, rounded once; None if all are 1."""
    if factors is not None:
        assert labels is not None
        by_class = factors[labels]
        weights = by_class if weights is None else weights * by_class
    return None if weights is None else weights.astype(dtype)
