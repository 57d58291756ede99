"""Pictures of fitted heads: how they learned, which settings were good, what they confuse."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ._colours import BLANK, COLOURS, FAINT, INK, MAP
from ._options import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

# Cells of more classes or values than these are too small for figures.
MOST_FIGURES = 12
# From this ratio of largest to least on, an axis of positive numbers is logarithmic.
WIDE = 20
# With fewer points than these each gets a mark.
FEW = 30
# For what others name: a dollar sign is one, and no formula begins there.
PLAIN: dict[str, Any] = {"parse_math": False}


def learning_curves(history: Mapping[str, ArrayLike], *, ax: Axes | None = None) -> Axes:
    """Draw loss and validation metric over the epochs.

    Parameters
    ----------
    history : mapping of str to array_like, (epochs,) or (heads, epochs)
        `LinearHead.history_`: "loss", and where they are there "validation_loss" and
        "validation_metric". Or `HeadSweep.history_`, where each head is a thin line, and the
        training loss is left out if there are validation data.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default axes in a new figure of `matplotlib.pyplot`. The metric has an
        axis of its own on the right.

    Returns
    -------
    matplotlib.axes.Axes
        Those of the losses. Their ``figure`` has ``savefig``.

    Raises
    ------
    ImportError
        If matplotlib is absent (``pip install 'numfuse[plot]'``).
    TypeError
        If `history` is no mapping.
    ValueError
        If it lacks "loss", or the shapes differ.

    Examples
    --------
    >>> import numfuse.plot
    >>> from numfuse import LinearHead
    >>> x, y = [[-2.0], [-1.0], [1.0], [2.0]], [0, 0, 1, 1]
    >>> head = LinearHead(solver="adamw").fit(x, y, validation=(x, y))
    >>> ax = numfuse.plot.learning_curves(head.history_)
    >>> ax.get_xlabel()
    'epoch'
    """
    curves = _curves(history)
    ax = _axes(ax)
    from matplotlib.ticker import MaxNLocator

    styles = {"loss": (COLOURS[0], "-"), "validation_loss": (COLOURS[1], "--")}
    shown = [name for name in styles if name in curves]
    if len(curves["loss"]) > 1:
        shown = shown[-1:]
    handles = []
    for name in shown:
        colour, dashes = styles[name]
        handles.append(_lines(ax, curves[name], colour, dashes, name.replace("_", " ")))
    if _is_wide(np.concatenate([curves[name].ravel() for name in shown])):
        ax.set_yscale("log")
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylabel("loss")
    ax.spines["top"].set_visible(False)
    if "validation_metric" in curves:
        metric = ax.twinx()
        curve = curves["validation_metric"]
        handles.append(_lines(metric, curve, COLOURS[2], "-.", "validation metric"))
        metric.set_ylabel("validation metric")
        metric.spines["top"].set_visible(False)
    else:
        ax.spines["right"].set_visible(False)
    ax.legend(
        handles=handles, frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.13), ncols=3
    )
    return ax


def sweep(
    results: Mapping[str, ArrayLike],
    x: str,
    y: str | None = None,
    *,
    value: str = "validation_metric",
    ax: Axes | None = None,
) -> Axes:
    """Draw how good the heads of a sweep are over one or two of their keywords.

    Where several heads have the same values of these keywords, the one of the best rank is shown.

    Parameters
    ----------
    results : mapping of str to array_like (heads,)
        `HeadSweep.results_`.
    x : str
        The keyword along the horizontal axis.
    y : str, optional
        The keyword along the vertical axis of a heat map, the best head framed; a line by default.
    value : str, default "validation_metric"
        What is drawn: any column of numbers.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default axes in a new figure of `matplotlib.pyplot`.

    Returns
    -------
    matplotlib.axes.Axes
        Its ``figure`` has ``savefig``.

    Raises
    ------
    ImportError
        If matplotlib is absent (``pip install 'numfuse[plot]'``).
    TypeError
        If `results` is no mapping.
    ValueError
        If it has no such column, columns differ in length, or `value` is no number for any head.

    Examples
    --------
    >>> import numfuse.plot
    >>> from numfuse import HeadSweep
    >>> features, labels = [[-2.0], [-1.0], [1.0], [2.0]], [0, 0, 1, 1]
    >>> sweep = HeadSweep({"l2": [1e-3, 1e-1], "label_smoothing": [0.0, 0.1]}, solver="lbfgs")
    >>> sweep = sweep.fit(features, labels, validation=(features, labels))
    >>> ax = numfuse.plot.sweep(sweep.results_, "l2", "label_smoothing", value="validation_loss")
    >>> ax.get_ylabel()
    'label_smoothing'
    """
    if not isinstance(results, Mapping):
        raise TypeError(
            f"results is a {type(results).__name__}, but has to be a mapping of columns; pass "
            "sweep.results_."
        )
    names = [name for name in (x, y, value) if name is not None]
    missing = [name for name in names if name not in results]
    if missing:
        raise ValueError(
            f"results has no column {missing[0]!r}, but {', '.join(map(repr, results))}."
        )
    if x == y:
        raise ValueError(f"x and y are both {x!r}; leave y out for a line.")
    values = np.asarray(results[value])
    if values.ndim != 1:
        raise ValueError(
            f"results[{value!r}] has shape {values.shape}, but has to be one number a head; draw "
            "another column."
        )
    for name in (*names, "rank"):
        shape = np.shape(results.get(name, values))
        if shape[:1] != values.shape:
            raise ValueError(
                f"results[{name!r}] has shape {shape}, but results[{value!r}] {values.shape}; pass "
                "sweep.results_ as it is."
            )
    if values.dtype.kind not in "biuf" or not np.isfinite(values).any():
        raise ValueError(
            f"{value} is no finite number for any head; fit the sweep with validation=, or draw "
            'value="loss".'
        )
    values = values.astype(np.float64)
    ranks = np.asarray(results.get("rank", np.arange(len(values))))
    places = [_Scale(results[name]) for name in (x, y) if name is not None]
    table, best = _best_of_each(values, ranks, places)
    ax = _axes(ax)
    (_line if y is None else _heat_map)(ax, table, best, places)
    ax.set_xlabel(x, **PLAIN)
    label = value.replace("_", " ")
    if y is None:
        ax.set_ylabel(label, **PLAIN)
    else:
        ax.set_ylabel(y, **PLAIN)
        ax.set_title(label, **PLAIN)
    return ax


def confusion(
    targets: ArrayLike,
    predictions: ArrayLike,
    *,
    classes: ArrayLike | None = None,
    normalize: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Draw how often rows of each class were taken for which.

    ::

        cell (i, j) = number of rows with the label classes[i] that were predicted as classes[j]

    Parameters
    ----------
    targets, predictions : array_like (n,)
        Labels, as given and as predicted.
    classes : array_like, optional
        All labels, in the order in which they are drawn; by default those that occur, sorted.
    normalize : bool, default False
        Draw shares of each label's rows in place of numbers: the diagonal is then the recall.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default axes in a new figure of `matplotlib.pyplot`.

    Returns
    -------
    matplotlib.axes.Axes
        Its ``figure`` has ``savefig``.

    Raises
    ------
    ImportError
        If matplotlib is absent (``pip install 'numfuse[plot]'``).
    TypeError
        If labels are of several kinds that do not sort, such as numbers and texts.
    ValueError
        If shapes differ, there are no rows, a label is NaN or not among `classes`.

    Examples
    --------
    >>> import numfuse.plot
    >>> ax = numfuse.plot.confusion(["cat", "cat", "dog"], ["cat", "dog", "dog"])
    >>> ax.images[0].get_array().tolist()
    [[1, 1], [0, 1]]
    """
    true, predicted = _labels("targets", targets), _labels("predictions", predictions)
    _check_pairs("predictions", true, predicted)
    if predicted.ndim != 1:
        raise ValueError(
            f"predictions has shape {predicted.shape}, but has to be one label a row; pass what "
            "predict returns."
        )
    if classes is None:
        known = _sorted("predictions", predicted, true)
    else:
        known = _labels("classes", classes)
        if known.ndim != 1:
            raise ValueError(
                f"classes has shape {known.shape}, but has to be (classes,); give each label once."
            )
    place = {label: index for index, label in enumerate(known.tolist())}
    if len(place) != known.size:
        raise ValueError("classes has a label twice; give each once.")
    counts = np.zeros((len(place), len(place)), np.int64)
    for name, labels in (("targets", true), ("predictions", predicted)):
        unknown = [label for label in labels.tolist() if label not in place]
        if unknown:
            raise ValueError(
                f"{name} has the label {unknown[0]!r}, which is not in classes; add it there."
            )
    rows = [place[label] for label in true.tolist()]
    columns = [place[label] for label in predicted.tolist()]
    np.add.at(counts, (rows, columns), 1)
    shown: NDArray[Any] = counts
    if normalize:
        shown = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax = _axes(ax)
    top = 1.0 if normalize else float(max(counts.max(), 1))
    image = ax.imshow(shown, cmap=MAP, vmin=0, vmax=top, interpolation="nearest")
    words = [str(label) for label in place]
    slanted = max(map(len, words)) > 3
    turn: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
    ax.set_xticks(range(len(words)), words, **PLAIN, **(turn if slanted else {}))
    ax.set_yticks(range(len(words)), words, **PLAIN)
    ax.tick_params(length=0)
    ax.set_xlabel("predicted")
    ax.set_ylabel("true")
    if len(words) <= MOST_FIGURES:
        _write_figures(ax, shown, shown / top, "{:.2f}" if normalize else "{:d}")
    _colour_bar(ax, image, "share of the true label's rows" if normalize else "rows")
    return ax


def precision_recall(
    targets: ArrayLike,
    scores: ArrayLike | Mapping[str, ArrayLike],
    *,
    positive: Any = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw precision over recall for every threshold of a score.

    The legend has the average precision Σ (Rᵢ − Rᵢ₋₁)·Pᵢ; a dotted line is the share of positives,
    which guessing reaches.

    Parameters
    ----------
    targets : array_like (n,)
        Labels of two kinds.
    scores : array_like (n,) or (n, 2), or mapping of name to array_like
        The larger, the more surely positive; two columns, such as `LinearHead.decision_function`
        and `predict_proba` give, count by their difference. A mapping draws a curve for each.
    positive : label, optional
        Which label is the positive one; by default the larger.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default axes in a new figure of `matplotlib.pyplot`.

    Returns
    -------
    matplotlib.axes.Axes
        Its ``figure`` has ``savefig``.

    Raises
    ------
    ImportError
        If matplotlib is absent (``pip install 'numfuse[plot]'``).
    TypeError
        If labels are of two kinds that do not sort, such as a number and a text.
    ValueError
        If shapes differ, the labels are not two, or a label or score is NaN.

    Examples
    --------
    >>> import numfuse.plot
    >>> ax = numfuse.plot.precision_recall([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> ax.get_legend().get_texts()[0].get_text()
    'average precision 0.833'
    """
    labels = _labels("targets", targets)
    if labels.ndim != 1:
        raise ValueError(f"targets has shape {labels.shape}, but has to be one label a row.")
    kinds = _sorted("targets", labels).tolist()
    if len(kinds) != 2:
        raise ValueError(
            f"targets has {len(kinds)} kinds of labels, but has to have two; for one class of "
            "several pass targets == that class."
        )
    chosen = kinds[1] if positive is None else positive
    if chosen not in kinds:
        raise ValueError(
            f"positive is {positive!r}, but the labels are {kinds[0]!r} and {kinds[1]!r}."
        )
    hit = labels == chosen
    named = scores if isinstance(scores, Mapping) else {"": scores}
    curves = {
        name: _precision_curve(hit, _score(name, labels, one, first=chosen == kinds[0]))
        for name, one in named.items()
    }
    ax = _axes(ax)
    for number, (name, (precision, recall)) in enumerate(curves.items()):
        average = float(np.sum(np.diff(recall) * precision[1:]))
        ax.plot(
            recall,
            precision,
            drawstyle="steps-pre",
            color=COLOURS[number % len(COLOURS)],
            linestyle=("-", "--", "-.")[number // len(COLOURS) % 3],
            label=f"{name}{', ' if name else ''}average precision {average:.3f}",
        )
    ax.axhline(hit.mean(), color=FAINT, linestyle=":", label=f"guessing, {hit.mean():.3g}")
    ax.set_xlim(0, 1.01)
    ax.set_ylim(0, 1.03)
    ax.set_xlabel("recall: found share of the positives")
    ax.set_ylabel("precision: positive share of the found")
    ax.spines[["top", "right"]].set_visible(False)
    legend = ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
    for text in legend.get_texts():
        text.set(**PLAIN)
    return ax


def _curves(history: Mapping[str, ArrayLike]) -> dict[str, NDArray[np.float64]]:
    """Return what there is to draw, (heads, epochs) each."""
    if not isinstance(history, Mapping):
        raise TypeError(
            f"history is a {type(history).__name__}, but has to be a mapping of curves; pass "
            "head.history_."
        )
    if "loss" not in history:
        raise ValueError("history has no 'loss'; pass a fitted head's history_.")
    curves = {}
    for name in ("loss", "validation_loss", "validation_metric"):
        if name not in history:
            continue
        array = np.asarray(history[name], np.float64)
        if array.ndim not in (1, 2) or array.size == 0:
            raise ValueError(
                f"history[{name!r}] has shape {array.shape}, but has to be (epochs,) or "
                "(heads, epochs), and no axis empty."
            )
        curves[name] = np.atleast_2d(array)
        if curves[name].shape != curves["loss"].shape:
            raise ValueError(
                f"history[{name!r}] has shape {array.shape}, but history['loss'] "
                f"{np.shape(history['loss'])}; both have to be of one fit."
            )
        curves[name][~np.isfinite(curves[name])] = np.nan
    return curves


def _lines(ax: Axes, curves: NDArray[np.float64], colour: str, dashes: str, label: str) -> Any:
    """Draw one line a head, and return a line for the legend."""
    from matplotlib.lines import Line2D

    heads, epochs = curves.shape
    style: dict[str, Any] = {"color": colour, "linestyle": dashes}
    legend = Line2D([], [], label=label, **style)
    if heads > 1:
        style |= {"linewidth": 0.8, "alpha": max(0.15, 1 / math.sqrt(heads))}
    elif epochs < FEW:
        style |= {"marker": "o", "markersize": 3}
    ax.plot(np.arange(epochs), curves.T, **style)
    return legend


def _is_wide(values: NDArray[np.float64]) -> bool:
    values = values[np.isfinite(values)]
    return bool(values.size and values.min() > 0 and values.max() > WIDE * values.min())


class _Scale:
    """The values of a keyword along an axis: numbers in order, all else as it comes."""

    def __init__(self, column: ArrayLike) -> None:
        found: list[Any] = list(np.asarray(column))
        names = [_name(value) for value in found]
        first = {name: index for index, name in reversed(list(enumerate(names)))}
        order = sorted(first, key=first.__getitem__)
        self.numbers: list[float] | None = None
        if all(
            isinstance(value, int | float | np.integer | np.floating) and math.isfinite(value)
            for value in found
        ):
            order.sort(key=lambda name: float(found[first[name]]))
            self.numbers = [float(found[first[name]]) for name in order]
        self.labels = order
        self.places = [order.index(name) for name in names]


def _name(value: Any) -> str:
    """Write a keyword's value shortly, and so that others are written otherwise."""
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, int | float | np.integer | np.floating):
        short = f"{value:g}"
        return short if float(short) == value else repr(float(value))
    if isinstance(value, np.ndarray):
        return f"array {value.shape}, mean {value.mean():.3g}"
    return str(value)


def _best_of_each(
    values: NDArray[np.float64], ranks: NDArray[Any], places: list[_Scale]
) -> tuple[NDArray[np.float64], tuple[int, ...]]:
    """Return the values of the best-ranked heads, (y, x) or (x,), and the place of the best."""
    scales = places[::-1]
    table = np.full(tuple(len(scale.labels) for scale in scales), np.nan)
    order = np.argsort(ranks, kind="stable")
    for head in order[::-1]:  # the best is the last to write
        table[tuple(scale.places[head] for scale in scales)] = values[head]
    return table, tuple(scale.places[order[0]] for scale in scales)


def _line(
    ax: Axes, table: NDArray[np.float64], best: tuple[int, ...], places: list[_Scale]
) -> None:
    (scale,) = places
    if scale.numbers is None:
        at = np.arange(len(table), dtype=np.float64)
        ax.set_xticks(at, scale.labels, **PLAIN)
    else:
        at = np.array(scale.numbers)
        if _is_wide(at):
            ax.set_xscale("log")
    ax.plot(at, table, color=COLOURS[0], marker="o", markersize=4)
    ax.plot(at[best], table[best], "o", color=COLOURS[1], markersize=8, label="best")
    if _is_wide(table):
        ax.set_yscale("log")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)


def _heat_map(
    ax: Axes, table: NDArray[np.float64], best: tuple[int, ...], places: list[_Scale]
) -> None:
    from matplotlib.patches import Rectangle

    ax.set_facecolor(BLANK)
    low, high = float(np.nanmin(table)), float(np.nanmax(table))
    span = high - low or 1.0
    image = ax.imshow(
        table, cmap=MAP, vmin=low, vmax=low + span, interpolation="nearest", aspect="auto",
        origin="lower",
    )  # fmt: skip
    ax.set_xticks(range(table.shape[1]), places[0].labels, **PLAIN)
    ax.set_yticks(range(table.shape[0]), places[1].labels, **PLAIN)
    if max(map(len, places[0].labels)) * table.shape[1] > 40:
        ax.tick_params(axis="x", rotation=40)
    ax.tick_params(length=0)
    if max(table.shape) <= MOST_FIGURES:
        _write_figures(ax, table, (table - low) / span, "{:.3g}")
    row, column = best
    frame = (column - 0.48, row - 0.48)
    ax.add_patch(Rectangle(frame, 0.96, 0.96, fill=False, edgecolor=COLOURS[2], linewidth=2.5))
    _colour_bar(ax, image, None)


def _write_figures(ax: Axes, table: NDArray[Any], share: NDArray[Any], form: str) -> None:
    """Write each cell's value, dark on light and light on dark."""
    for (row, column), value in np.ndenumerate(table):
        if np.isfinite(value):
            colour = "white" if share[row, column] > 0.5 else INK
            ax.text(
                column, row, form.format(value), color=colour, fontsize=8, ha="center", va="center"
            )


def _colour_bar(ax: Axes, image: Any, label: str | None) -> None:
    # As high as the picture, whatever its shape.
    bar = ax.figure.colorbar(image, cax=ax.inset_axes((1.03, 0, 0.04, 1)))
    bar.outline.set_visible(False)
    if label is not None:
        bar.set_label(label)


def _labels(name: str, given: ArrayLike) -> NDArray[Any]:
    """Return labels as an array: hashable, and none NaN; their shape is looked at elsewhere."""
    try:
        labels = np.asarray(given)
    except ValueError:
        raise ValueError(
            f"{name} has rows of several lengths, but has to be one label a row; give one for each."
        ) from None
    if labels.ndim != 1:
        return labels
    if labels.dtype.kind == "U" and isinstance(given, list | tuple):
        others = [label for label in given if not isinstance(label, str)]
        if others:
            raise TypeError(
                f"{name} has texts and {shown(others[0])}, but has to be of one kind; make all of "
                "them texts, or none."
            )
    if labels.dtype.kind == "O" and not all(isinstance(each, Hashable) for each in labels):
        raise TypeError(f"{name} has labels that are no numbers or texts; give one for each row.")
    if labels.dtype.kind in "fcO":
        floats = float | complex | np.inexact
        missing = [
            row
            for row, label in enumerate(labels.tolist())
            if isinstance(label, floats) and label != label
        ]
        if missing:
            raise ValueError(f"{name} has nan in row {missing[0]}; leave out rows without a label.")
    return labels


def _sorted(name: str, labels: NDArray[Any], others: NDArray[Any] | None = None) -> NDArray[Any]:
    """Return the labels that occur, sorted; `others` are the targets' where `labels` are not."""
    arrays = [labels] if others is None else [others, labels]
    kinds = {"text" if array.dtype.kind == "U" else "other" for array in arrays}
    try:
        if len(kinds) > 1:  # which NumPy would make texts of
            arrays = [array.astype(object) for array in arrays]
        known = np.unique(np.concatenate(arrays))
    except TypeError:
        words = "" if others is None else " together with those of targets"
        raise TypeError(
            f"{name} has labels that do not sort{words}, such as numbers and texts; make all of "
            "them one kind."
        ) from None
    return known


def _check_pairs(name: str, targets: NDArray[Any], others: NDArray[Any]) -> None:
    if targets.ndim != 1 or len(targets) == 0:
        raise ValueError(
            f"targets has shape {targets.shape}, but has to be one label a row, and not empty."
        )
    if others.ndim == 0 or len(others) != len(targets):
        raise ValueError(
            f"{name} has shape {others.shape}, but has to have targets' {len(targets)} rows."
        )


def _score(
    name: str, targets: NDArray[Any], given: ArrayLike, *, first: bool
) -> NDArray[np.float64]:
    """Return the positive label's score; `first` if that label is the smaller one."""
    named = f"scores[{name!r}]" if name else "scores"
    scores = np.asarray(given, np.float64)
    _check_pairs(named, targets, scores)
    if scores.ndim == 2 and scores.shape[1] == 2:
        scores = scores[:, 1] - scores[:, 0]
    elif scores.ndim == 2 and scores.shape[1] == 1:
        scores = scores[:, 0]
    elif scores.ndim != 1:
        raise ValueError(f"{named} has shape {scores.shape}, but has to be (n,) or (n, 2).")
    else:
        first = False
    if np.isnan(scores).any():
        raise ValueError(f"{named} has nan in row {int(np.isnan(scores).argmax())}.")
    return -scores if first else scores


def _precision_curve(
    hit: NDArray[np.bool_], scores: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return precision and recall from the highest threshold on; equal scores are one threshold."""
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(hit[order])
    falling = scores[order]
    # Not by differences: those of infinities are NaN.
    last = np.append(np.flatnonzero(falling[1:] != falling[:-1]), len(scores) - 1)
    precision, recall = found[last] / (last + 1), found[last] / found[-1]
    return np.concatenate([precision[:1], precision]), np.concatenate([[0.0], recall])


def _axes(ax: Axes | None) -> Axes:
    """Return where to draw, once everything given is checked."""
    from .plot import _need

    _need("matplotlib")
    if ax is None:
        from matplotlib import pyplot

        ax = pyplot.figure(layout="constrained").add_subplot()
    return ax
