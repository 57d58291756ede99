"""The command ``numfuse tune``: features and labels in, a tuned head out.

Where an option has several values, all their combinations are trained at once (`HeadSweep`), and
the one with the best metric on the rows that are held out is written.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import warnings
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _cli_tune_files as files
from . import _config
from ._files import replacing
from ._finetune import LinearHead
from ._finetune_metrics import METRICS, resolved
from ._finetune_targets import describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._finetune_sweep import HeadSweep

Array = files.Array
SWEPT = ("l2", "learning_rate", "weight_decay")
# Options that only training in batches has: any of them makes it "adamw".
BATCHED = ("learning_rate", "weight_decay", "epochs", "batch_size", "early_stopping", "halving")
MOST_HEADS, MOST_CLASSES = 10, 12


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those of ``numfuse``."""
    parser = commands.add_parser(
        "tune",
        help="train a linear head on features from a file",
        usage="numfuse tune FEATURES LABELS [options]",
        description=(
            "Train a linear head on features, of a pretrained model for instance, and write it as "
            "a safetensors file that torch.nn.Linear loads too. Where --l2, --learning-rate or "
            "--weight-decay have several values, all combinations are trained in one sweep and "
            "the best on held-out rows is written."
        ),
        epilog=(
            "Examples: numfuse tune embeddings.npy labels.csv --l2 1e-6,1e-5,1e-4,1e-3; "
            "numfuse tune embeddings.npy table.csv --column topic --groups authors.csv "
            "--learning-rate 1e-3,1e-2 --epochs 20 --early-stopping 3 --pictures pictures"
        ),
    )
    add = parser.add_argument
    add("features", metavar="FEATURES", help=".npy, which is mapped, or FILE.safetensors:KEY")
    add("labels", type=Path, metavar="LABELS", help=".csv or .npy, one label or number a row")
    add("--column", metavar="NAME", help="the column of a .csv file with a header")
    add("--output", type=Path, metavar="FILE", help="(FEATURES with .head.safetensors at its end)")
    add("--bfloat16", action="store_true", help="FEATURES is uint16 that holds bfloat16")

    objective = parser.add_argument_group("what is minimised")
    add = objective.add_argument
    add(
        "--loss",
        choices=("auto", "softmax", "sigmoid", "squared", "huber"),
        default="auto",
        help="(auto: softmax for labels, sigmoid for a 0/1 matrix, squared for other numbers)",
    )
    add("--l2", type=_amounts, default=[1e-4], metavar="A[,B…]", help="penalty (1e-4)")
    add("--class-weight", choices=("balanced",), help="give each class the same weight")
    add("--standardize", action="store_true", help="scale features to deviation 1")

    method = parser.add_argument_group("how")
    add = method.add_argument
    add(
        "--solver",
        choices=("sgd", "adamw", "lbfgs", "newton", "ridge"),
        help="(lbfgs; adamw where an option below is given that is one of batches)",
    )
    add("--learning-rate", type=_positives, metavar="A[,B…]", help="(sgd 0.1, adamw 1e-3)")
    add("--weight-decay", type=_amounts, metavar="A[,B…]", help="of adamw (0)")
    add("--epochs", type=_count, metavar="N", help="times through all rows (10)")
    add("--batch-size", type=_count, metavar="N", help="rows of a step (256)")
    add("--early-stopping", type=_count, metavar="N", help="stop after N epochs without gain")
    add("--halving", type=_factor, metavar="K", help="train on only the best 1/K at each epoch")
    add("--seed", type=_seed, default=0, metavar="N", help="of rows' order and hold-out (0)")
    add("--checkpoint", type=Path, metavar="FILE", help="kept up to date; goes on from there")
    add("--threads", type=_count, metavar="N", help="(all CPUs)")

    judged = parser.add_argument_group("how it is judged")
    add = judged.add_argument
    add("--validation", type=_share, default=0.2, metavar="F", help="share held out (0.2)")
    add("--groups", type=Path, metavar="FILE", help="rows of one group stay on one side")
    add("--metric", choices=METRICS, help="(accuracy of labels, r2 of numbers, else loss)")
    add("--pictures", type=Path, metavar="FOLDER", help="draw curves, sweep and confusion there")
    add("--quiet", action="store_true", help="print nothing but warnings")
    parser.set_defaults(parser=parser)


def run(options: argparse.Namespace) -> int:
    """Do the job and return the exit code."""
    output = _output(options)
    if options.pictures is not None:
        options.pictures.mkdir(parents=True, exist_ok=True)
        import_plot()
    limited = _config.config_context(threads=options.threads)
    start = perf_counter()
    try:
        with limited, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            job = Job(options)
            job.fit()
            job.report()
            job.head.save(output)
            if options.pictures is not None:
                job.draw(options.pictures)
    except (TypeError, MemoryError, AttributeError) as error:
        raise ValueError(str(error) or "there is not enough memory") from error
    for text in dict.fromkeys(str(each.message) for each in caught):
        print(f"numfuse tune: {text}", file=sys.stderr)
    if not options.quiet:
        print(f"{output}: done in {perf_counter() - start:.2g} s.")
    return 0


class Job:
    """Features, targets, which rows of them are held out, and what came of them."""

    head: LinearHead
    """The best of the sweep, where there is one."""
    sweep: HeadSweep | None = None

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        features = files.features(options.features, bfloat16=options.bfloat16)
        rows = len(features)
        if rows < 2:
            raise ValueError(f"{options.features} has {rows} rows, which cannot be learned from")
        self.targets = files.labels(options.labels, options.column, rows)
        self.loss = _loss(options.loss, self.targets)
        groups = None
        if options.groups is not None:
            groups = files.labels(options.groups, None, rows)
        self.split = files.split(rows, options.validation, options.seed, groups)
        self.classes = describe(self.loss, self.targets).classes
        self.features = features
        test = self.split.test
        self.test = files.taken(features, test, bfloat16=options.bfloat16), self.targets[test]
        self._say(
            f"{options.features}: {rows:,} rows of {features.shape[1]:,} features, "
            f"{_what(self.targets, self.classes)}. Trained on {len(self.split.train):,} rows, "
            f"judged by {len(test):,}."
        )

    def fit(self) -> None:
        """Train a head, or a sweep of them."""
        options = self.options
        settings, grid = self._settings()
        told: dict[str, Any] = {
            "classes": None if self.targets.ndim == 2 else self.classes,
            "checkpoint": options.checkpoint,
            "progress": not options.quiet and sys.stderr.isatty(),
            "validation": self.test if len(self.split.test) else None,
        }
        if grid and told["validation"] is None:
            raise ValueError(
                "--validation is 0, but several values are compared on rows held out; give a share"
            )
        data = self._data()
        if not grid:
            self.head = LinearHead(**settings).fit(*data, **told)
            return
        from ._finetune_sweep import HeadSweep

        self.sweep = HeadSweep(grid, **settings).fit(*data, **told)
        self.head = self.sweep.best_

    def _data(self) -> tuple[Any, ...]:
        """Return what `fit` is given: arrays, or blocks where a copy would be too large."""
        rows, bfloat16 = self.split.train, self.options.bfloat16
        if len(rows) / len(self.features) * self.features.nbytes > files.MOST_BYTES:
            return (files.Blocks(self.features, self.targets, rows, bfloat16=bfloat16),)
        return files.taken(self.features, rows, bfloat16=bfloat16), self.targets[rows]

    def _settings(self) -> tuple[dict[str, Any], dict[str, list[float]]]:
        """Return the keywords that all heads share, and those of several values."""
        options = self.options
        solver = options.solver or self._usual_solver()
        settings: dict[str, Any] = {
            "loss": self.loss, "solver": solver, "standardize": options.standardize,
            "class_weight": options.class_weight, "seed": options.seed,
        }  # fmt: skip
        for name in ("epochs", "batch_size", "early_stopping", "metric"):
            if getattr(options, name) is not None:
                settings[name] = getattr(options, name)
        grid = {}
        for name in SWEPT:
            values = getattr(options, name)
            if values is None:
                continue
            if len(values) == 1:
                settings[name] = values[0]
            elif solver == "ridge" and name == "l2":
                settings[name] = values
            else:
                grid[name] = values
        if options.halving is not None:
            if not grid:
                raise ValueError("--halving is given, but there is one head; give several values")
            settings["halving"] = options.halving
        return settings, grid

    def _usual_solver(self) -> str:
        batched = any(getattr(self.options, name) is not None for name in BATCHED)
        return "adamw" if batched else "lbfgs"

    def report(self) -> None:
        """Print the heads, the best one's score, and who is taken for whom."""
        head = self.head
        if self.sweep is not None:
            self._say(_table(self.sweep, self._metric()))
        if len(getattr(head, "l2_path_", ())) > 1:
            self._say(
                f"l2={head.l2_:g} has the least leave-one-out error, {head.loo_error_.min():.4g}, "
                f"of {len(head.l2_path_)} values."
            )
        if not len(self.split.test):
            return
        words = "r2" if self.classes is None else "accuracy"
        line = f"On held-out rows: {words} {head.score(*self.test):.4f}"
        judged = self._judged()
        if judged is not None and self._metric() != words:
            line += f", {self._metric()} {judged:.4f}"
        self._say(line + ".")
        classes = self.classes
        if self.targets.ndim == 1 and classes is not None and len(classes) <= MOST_CLASSES:
            self._say(_confusion(classes, self.test[1], head.predict(self.test[0])))

    def draw(self, folder: Path) -> None:
        """Write the pictures."""
        plot = import_plot()
        from matplotlib.figure import Figure

        def axes() -> Any:
            return Figure(layout="constrained").subplots()

        drawn = {"curves.png": plot.learning_curves(self.head.history_, ax=axes())}
        if self.sweep is not None:
            x, y = [*self._settings()[1], None][:2]
            drawn["sweep.png"] = plot.sweep(self.sweep.results_, x, y, ax=axes())
        if len(self.split.test) and self.targets.ndim == 1 and self.classes is not None:
            drawn["confusion.png"] = plot.confusion(
                self.test[1], self.head.predict(self.test[0]), classes=self.classes, ax=axes()
            )
        for name, each in drawn.items():
            with replacing(folder / name) as file:
                each.figure.savefig(file, format="png")

    def _judged(self) -> float | None:
        """Return the metric by which the head was chosen."""
        if self.sweep is not None:
            return float(self.sweep.results_["validation_metric"][self.sweep.best_index_])
        values = self.head.history_.get("validation_metric", ())
        if not len(values):
            return None
        return float(values[min(self.head.best_epoch_, len(values) - 1)])

    def _metric(self) -> str:
        kind = describe(self.loss, self.targets)
        return str(resolved(self.options.metric or "auto", kind))

    def _say(self, text: str) -> None:
        if not self.options.quiet:
            print(text)


def import_plot() -> Any:
    """Return `numfuse.plot`, or say what it needs."""
    from . import plot

    plot._need("matplotlib")
    return plot


def _output(options: argparse.Namespace) -> Path:
    """Return where the head goes, once it is known that it can."""
    output: Path | None = options.output
    source, _ = files.place(options.features)
    if output is None:
        output = source.with_name(f"{source.stem}.head.safetensors")
    if not output.parent.is_dir():
        raise FileNotFoundError(f"{output.parent} is no folder, so {output} cannot be written")
    if output.is_dir():
        raise IsADirectoryError(f"{output} is a folder; name a file")
    others = {
        "FEATURES": source, "LABELS": options.labels, "--groups": options.groups,
        "--checkpoint": options.checkpoint,
    }  # fmt: skip
    _check_apart("--output", output, others)
    del others["--checkpoint"]
    _check_apart("--checkpoint", options.checkpoint, others)
    return output


def _check_apart(name: str, written: Path | None, others: dict[str, Path | None]) -> None:
    """Refuse to write over a file that is something else as well."""
    for other, path in others.items():
        if written is None or path is None:
            continue
        # By their names too: neither has to be there yet.
        same = os.path.realpath(written) == os.path.realpath(path)
        if same or (written.exists() and path.exists() and written.samefile(path)):
            raise ValueError(
                f"{name} is {written}, but {other} is the same file, which would be written over; "
                f"name another by {name} FILE"
            )


def _loss(loss: str, targets: Array) -> str:
    """Settle "auto" by what the targets are."""
    if loss != "auto":
        return loss
    if targets.ndim == 2 and targets.dtype.kind in "biuf":
        if ((targets == 0) | (targets == 1)).all():
            return "sigmoid"
        shares = (targets >= 0).all() and np.allclose(targets.sum(axis=1), 1, atol=1e-5)
        return "softmax" if shares else "squared"
    if targets.dtype.kind == "f" and (targets % 1 != 0).any():
        return "squared"
    return "softmax"


def _what(targets: Array, classes: Array | None) -> str:
    if classes is not None:
        return f"{len(classes)} classes" if targets.ndim == 1 else f"{len(classes)} columns of 0, 1"
    return "numbers" if targets.ndim == 1 else f"{targets.shape[1]} numbers a row"


def _table(sweep: HeadSweep, metric: str) -> str:
    """Lay out the best heads, best first."""
    results = sweep.results_
    swept = [name for name in SWEPT if name in results]
    order = np.argsort(results["rank"], kind="stable")[:MOST_HEADS]
    lines = [["rank", *swept, "epochs", metric, "loss"]]
    for place in order:
        lines.append(
            [
                str(results["rank"][place]),
                *(f"{results[name][place]:g}" for name in swept),
                str(results["epochs"][place]),
                f"{results['validation_metric'][place]:.4f}",
                f"{results['validation_loss'][place]:.4f}",
            ]
        )
    text = _aligned(lines)
    more = len(results["rank"]) - len(order)
    return f"{text}\n… and {more} more" if more else text


def _confusion(classes: Array, targets: Array, predictions: Array) -> str:
    """Lay out who is taken for whom: a row for each true label, a column for each predicted one."""
    names = [str(label)[:12] for label in classes.tolist()]
    count = len(classes)
    places = np.searchsorted(classes, targets) * count + np.searchsorted(classes, predictions)
    table = np.bincount(places, minlength=count * count).reshape(count, count)
    lines = [["true \\ predicted", *names]]
    lines += [[name, *map(str, row)] for name, row in zip(names, table.tolist(), strict=True)]
    return _aligned(lines)


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True))
        for line in lines
    )


def _numbers(text: str, fits: Any, allowed: str) -> list[float]:
    try:
        numbers = [float(each) for each in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or not all(fits(number) for number in numbers):
        raise argparse.ArgumentTypeError(f"{text!r} is not {allowed}, or several such as 1e-3,1e-2")
    if len(set(numbers)) < len(numbers):
        raise argparse.ArgumentTypeError(f"{text!r} has a value twice")
    return numbers


def _amounts(text: str) -> list[float]:
    return _numbers(text, lambda number: 0 <= number < math.inf, "a number of 0 or more")


def _positives(text: str) -> list[float]:
    return _numbers(text, lambda number: 0 < number < math.inf, "a number above 0")


def _whole(text: str, least: int, most: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of {least} or more")
    return number


def _count(text: str) -> int:
    return _whole(text, 1, 2**31)


def _factor(text: str) -> int:
    return _whole(text, 2, 2**31)


def _seed(text: str) -> int:
    return _whole(text, 0, 2**64 - 1)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to below 1")
    return share
