"""The grid of a sweep: each head's own keywords, and the table of what became of them."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _finetune_data as _data
from . import _finetune_metrics as _metrics
from . import _finetune_options as _options
from ._options import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from ._finetune_fit import Fitted, Plan

SHARED = ("solver", "metric", "warm_start", "batch_size", "epochs", "shuffle")
OWN = ("columns", "targets")


def grid_of(grid: Any, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return each head's own keywords.

    Raises
    ------
    TypeError, ValueError
        If the grid is empty, or holds what it cannot.
    """
    _check_names(settings, [*_options.DEFAULTS], "settings")
    if isinstance(grid, Mapping):
        values = {}
        for name, given in grid.items():
            if isinstance(given, str | bytes) or not hasattr(given, "__iter__"):
                raise TypeError(
                    f"grid has {shown(given)} as values of {name!r}, but has to have a list of "
                    "them."
                )
            values[name] = list(given)
            if not values[name]:
                raise ValueError(f"grid has no value of {name!r}; give one, or leave it out.")
        if not values:
            raise ValueError("grid is empty; give a keyword with its values.")
        heads = [
            dict(zip(values, combination, strict=True))
            for combination in itertools.product(*values.values())
        ]
    elif isinstance(grid, list | tuple):
        if not grid:
            raise ValueError("grid is empty; give one dict for each head.")
        for index, own in enumerate(grid):
            if not isinstance(own, Mapping):
                raise TypeError(
                    f"grid has {shown(own)} at {index}, but has to have a dict of keywords there."
                )
        heads = [dict(own) for own in grid]
    else:
        raise TypeError(
            f"grid is {shown(grid)}, but has to be a dict of keywords with lists of values, or a "
            "list of dicts."
        )
    for own in heads:
        for name in own:
            if name in SHARED:
                raise ValueError(
                    f"grid has {name!r}, which is shared by all heads; give it outside the grid."
                )
        _check_names(own, [*_options.DEFAULTS, *OWN], "grid")
        if both := [name for name in own if name in settings]:
            raise ValueError(
                f"grid has {both[0]!r}, which is given outside the grid too; leave one out."
            )
    return heads


def _check_names(given: Iterable[Any], known: list[str], what: str) -> None:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 3)
            hint = f"; near it are {', '.join(near)}" if near else ""
            raise TypeError(f"{what} has {name!r}, which is no keyword of LinearHead{hint}.")


def columns_of(columns: Any, width: int) -> slice:
    """Return the start and stop of a head's columns.

    Raises
    ------
    TypeError, ValueError
        If they are no range of the features' columns.
    """
    if isinstance(columns, tuple | list) and len(columns) == 2:
        columns = slice(*columns)
    if not isinstance(columns, slice):
        raise TypeError(
            f"columns is {shown(columns)}, but has to be a slice or (start, stop) of the features."
        )
    if columns.step not in (None, 1):
        raise ValueError(f"columns is {columns}, but has to be without a step; reorder features.")
    try:
        start, stop, _ = columns.indices(width)
    except TypeError:
        raise TypeError(
            f"columns is {columns}, but its ends have to be integers or None."
        ) from None
    if stop <= start:
        raise ValueError(
            f"columns is {shown(columns)}, which leaves none of features' {width}; give start < "
            "stop."
        )
    return slice(start, stop)


def names_of(features: Any, targets: Any) -> list[Any] | None:
    """Return the names of several targets; None where there is one."""
    if isinstance(targets, Mapping):
        if not targets:
            raise ValueError("targets is an empty dict; give at least one.")
        return list(targets)
    starts_anew = hasattr(features, "__iter__") and not hasattr(features, "__array__")
    if targets is None and starts_anew and iter(features) is not features:
        first = next(iter(features), None)
        if isinstance(first, tuple | list) and len(first) > 1 and isinstance(first[1], Mapping):
            return list(first[1])
    return None


def key_of(own: Mapping[str, Any], names: list[Any] | None) -> Any:
    """Return which of the targets a head aims at."""
    key = own.get("targets")
    if names is None:
        if key is not None:
            raise ValueError(
                f"grid has targets {key!r}, but targets is no dict; give fit {{name: targets}}."
            )
        return None
    if key is None:
        if len(names) > 1:
            raise ValueError(
                f"targets has {names}, but the grid does not say which of them a head aims at; put "
                '"targets" into it.'
            )
        return names[0]
    if key not in names:
        raise ValueError(f"grid has targets {key!r}, but fit got {names}; name one of them.")
    return key


def width_of(features: Any) -> int:
    """Return the number of columns, looking at the first block if need be."""
    if hasattr(features, "shape") and len(features.shape) == 2:
        return int(features.shape[1])
    if isinstance(features, list | tuple) and features and not isinstance(features[0], tuple):
        return int(_data.rows_of(features).array.shape[1])
    if hasattr(features, "__iter__") and iter(features) is not features:
        return int(_data.rows_of(next(iter(features))[0], "block 0 of features").array.shape[1])
    raise ValueError(
        "columns needs the width of features, which a generator does not tell; give a list of "
        "blocks."
    )


def slice_facts(columns: Any) -> Any:
    if isinstance(columns, slice):
        return columns.start, columns.stop
    return columns


def swept(grid: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
    """Return the keywords of the grid as arrays over the heads."""
    names: dict[str, None] = {}
    for own in grid:
        names.update(dict.fromkeys(own))
    table = {}
    for name in names:
        values = [own.get(name, _options.DEFAULTS.get(name)) for own in grid]
        values = [value.item() if isinstance(value, np.generic) else value for value in values]
        plain = {type(value) for value in values}
        if plain == {int, float} or (len(plain) == 1 and plain <= {int, float, str, bool}):
            table[name] = np.array(values)
        else:
            table[name] = np.empty(len(values), object)
            for index, value in enumerate(values):
                table[name][index] = value
    return table


def results_of(
    grid: Sequence[Mapping[str, Any]], plan: Plan, fitted: Sequence[Fitted]
) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64]]:
    """Return the table of results, and the heads from the best on."""
    results = swept(grid)
    results["head"] = np.arange(len(fitted))
    results["epochs"] = np.array([each.n_iter for each in fitted])
    at = [
        each.best_epoch if task.settings.early_stopping is not None else -1
        for task, each in zip(plan.tasks, fitted, strict=True)
    ]
    for name in ("loss", "validation_loss", "validation_metric"):
        results[name] = np.array(
            [
                each.history[name][i] if len(each.history.get(name, ())) else np.nan
                for each, i in zip(fitted, at, strict=True)
            ]
        )
    keys = []
    for index, (task, each) in enumerate(zip(plan.tasks, fitted, strict=True)):
        if "validation_metric" in each.history:
            value = _metrics.rank_key(task.metric, float(results["validation_metric"][index]))
        else:
            value = _metrics.rank_key("loss", float(results["loss"][index]))
        # Of heads that halving ended, those that went on longer are before the others.
        keys.append((-each.n_iter if each.halved else -np.inf, value, index))
    order = np.array([index for _, _, index in sorted(keys)])
    results["rank"] = np.empty(len(fitted), np.int64)
    results["rank"][order] = np.arange(1, len(fitted) + 1)
    return results, order


def history_of(fitted: Sequence[Fitted]) -> dict[str, NDArray[np.float64]]:
    """Return the heads' histories, padded with NaN to the longest."""
    names: dict[str, None] = {}
    for each in fitted:
        names.update(dict.fromkeys(each.history))
    longest = max(len(each.history["loss"]) for each in fitted)
    history = {}
    for name in names:
        history[name] = np.full((len(fitted), longest), np.nan)
        for row, each in zip(history[name], fitted, strict=True):
            values = each.history.get(name, np.empty(0))
            row[: len(values)] = values
    return history
