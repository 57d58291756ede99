"""What the reader sees: progress while it runs, the table, the summary. With rich, or plain."""

import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from shutil import get_terminal_size
from typing import Protocol

from .peers import OURS
from .record import CaseRecord, Record, Showing, Spread

# A cell is one or two lines; the first row of a grid is its heading.
Cell = list[str]
Grid = list[list[Cell]]


class Progress(Protocol):
    """Is told what is going on."""

    def step(self, what: str) -> None:
        """Note that something begins."""

    def done(self, case: CaseRecord) -> None:
        """Note that a case is finished."""


class Reporter:
    """Prints plainly; `RichReporter` prints with rich."""

    def line(self, text: str) -> None:
        """Print a line of plain text."""
        print(text, flush=True)

    def table(self, record: Record) -> None:
        """Print the table of a record, or where the terminal is too narrow for it, a list."""
        grid = build_grid(record)
        widths = column_widths(grid)
        if sys.stdout.isatty() and sum(widths) + 2 * len(widths) > get_terminal_size().columns:
            print("\n".join(line for _, line in build_list(record)))
            return
        for number, row in enumerate(grid):
            for k in range(max(map(len, row))):
                texts = [cell[k] if k < len(cell) else "" for cell in row]
                padded = [text.ljust(width) for text, width in zip(texts, widths, strict=True)]
                print("  ".join(padded).rstrip())
            if number == 0:
                print("  ".join("-" * width for width in widths))

    @contextmanager
    def progress(self, cases: int) -> Iterator[Progress]:
        """Follow a run of that many cases."""
        yield _Lines(cases)


class _Lines:
    """A line for each finished case."""

    def __init__(self, cases: int) -> None:
        self._cases = cases
        self._finished = 0

    def step(self, what: str) -> None:
        pass

    def done(self, case: CaseRecord) -> None:
        self._finished += 1
        ours = case.seconds(OURS)
        took = time_text(ours.median) if ours else "not measured"
        print(f"[{self._finished}/{self._cases}] {case.title}: {took}", flush=True)


class RichReporter(Reporter):
    """The same with rich: colours, a progress bar."""

    def __init__(self) -> None:
        from rich.console import Console

        console = Console()
        # Into a file or a pipe there is no reason to fold lines.
        self._console = console if console.is_terminal else Console(width=200)

    def line(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def table(self, record: Record) -> None:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        grid = build_grid(record)
        if sum(column_widths(grid)) + 2 * len(grid[0]) + 2 > self._console.width:
            for style, line in build_list(record):
                self._console.print(Text(line, style=style))
            return
        heading, *rows = grid
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
        for cell in heading:
            table.add_column("\n".join(cell))
        for row in rows:
            texts = [Text("\n".join(cell)) for cell in row]
            texts[1].stylize("bold", 0, len(row[1][0]))
            for text, cell in zip(texts[3:-1], row[3:-1], strict=True):
                if len(cell) == 2:
                    text.stylize(_style(cell), len(cell[0]) + 1)
                else:
                    text.stylize("dim")
            table.add_row(*texts)
        self._console.print(table)

    @contextmanager
    def progress(self, cases: int) -> Iterator[Progress]:
        from rich import progress

        bar = progress.Progress(
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TextColumn("{task.description}"),
            console=self._console,
            # A thread that redraws would take the CPU from whoever is being timed.
            auto_refresh=False,
            transient=True,
        )
        with bar:
            yield _Bar(bar, bar.add_task("", total=cases))


class _Bar:
    """Drawn between turns only."""

    def __init__(self, bar: "object", task: int) -> None:
        self._bar = bar
        self._task = task

    def step(self, what: str) -> None:
        self._bar.update(self._task, description=what, refresh=True)  # type: ignore[attr-defined]

    def done(self, case: CaseRecord) -> None:
        self._bar.update(self._task, advance=1, refresh=True)  # type: ignore[attr-defined]


def make_reporter() -> Reporter:
    """Rich where it is installed; else plain, which one line says."""
    if find_spec("rich") is not None:
        return RichReporter()
    reporter = Reporter()
    reporter.line("rich is not installed, so the table is plain: pip install rich")
    return reporter


def build_grid(record: Record) -> Grid:
    """Build heading and rows: case, ours, share of the yardstick, each other contestant, error."""
    others = [name for name in record.contestants if name != OURS]
    heading = [
        ["case"],
        [record.contestants.get(OURS, OURS)],
        ["of"],
        *([record.contestants[name]] for name in others),
        ["error"],
    ]
    rows = [
        [
            [case.title],
            _ours(case),
            _share(case),
            *(_other(case, name) for name in others),
            [_error(case)],
        ]
        for case in record.cases
    ]
    return [heading, *rows]


def column_widths(grid: Grid) -> list[int]:
    """Return what each column needs."""
    return [max(len(line) for row in grid for line in row[i]) for i in range(len(grid[0]))]


def build_list(record: Record) -> list[tuple[str, str]]:
    """Build the same as lines of 80 characters, each with its style: a line for each contestant."""
    heading, *rows = build_grid(record)
    names = [cell[0] for cell in heading[3:-1]]
    width = max(map(len, (heading[1][0], *names)))
    lines = []
    for (title,), ours, share, *others, (error,) in rows:
        notes = [*ours[1:], *([" of ".join(share)] if len(share) == 2 else []), f"error {error}"]
        lines.append(("bold", title))
        lines.append(("", f"  {heading[1][0]:<{width}}  {ours[0]:<8}  {', '.join(notes)}"))
        lines += [
            (_style(cell), f"  {name:<{width}}  {cell[0]:<8}  {' '.join(cell[1:])}".rstrip())
            for name, cell in zip(names, others, strict=True)
        ]
    return lines


def _style(cell: Cell) -> str:
    """Green where numfuse is faster, red where it is slower, dim where nothing was measured."""
    if len(cell) == 1:
        return "dim"
    return "red" if cell[1].startswith("0.") else "green"


def _ours(case: CaseRecord) -> Cell:
    seconds = case.seconds(OURS)
    if seconds is None:
        showing = case.showings.get(OURS)
        return [_shortened(showing)]
    rate = rate_text(case, seconds.median)
    return [time_text(seconds.median), rate] if rate else [time_text(seconds.median)]


def _share(case: CaseRecord) -> Cell:
    share = case.share(OURS)
    if share is None:
        return ["–"]
    return [f"{share.median:.0%}", str(case.yardstick)]


def _other(case: CaseRecord, name: str) -> Cell:
    """Time, and how many times as long as ours with the quartiles; or why there is none."""
    seconds = case.seconds(name)
    if seconds is None:
        showing = case.showings.get(name)
        return [_shortened(showing)]
    ratio = case.ratio(OURS, name)
    if ratio is None:
        return [time_text(seconds.median)]
    return [time_text(seconds.median), ratio_text(ratio)]


def _shortened(showing: Showing | None) -> str:
    """Write why somebody has no figures; the record has the whole sentence."""
    problem = (showing.problem if showing else None) or "–"
    return problem if len(problem) <= 28 else problem[:27] + "…"


def _error(case: CaseRecord) -> str:
    showing = case.showings.get(OURS)
    return f"{showing.error:.1e}" if showing and showing.error is not None else "–"


def summarise(record: Record) -> list[str]:
    """Say for each other contestant and kind of case: the ratios' geometric mean, and the least."""
    lines = []
    for name, title in record.contestants.items():
        for kind, dtype in dict.fromkeys((case.kind, case.dtype) for case in record.cases):
            ratios = [
                (ratio.median, case.title)
                for case in record.cases
                if (case.kind, case.dtype) == (kind, dtype)
                and (ratio := case.ratio(OURS, name)) is not None
            ]
            if name == OURS or len(ratios) < 2:
                continue
            mean = geometric_mean([ratio for ratio, _ in ratios])
            least, where = min(ratios)
            lines.append(
                f"{title} over numfuse, {kind} {dtype}: {mean:.2f}× (geometric mean of "
                f"{len(ratios)} cases; least {least:.2f}×, {where})"
            )
    return lines


def geometric_mean(values: Sequence[float]) -> float:
    """Return the exponential of the mean logarithm."""
    return math.exp(sum(map(math.log, values)) / len(values))


def time_text(seconds: float) -> str:
    """Write three figures and a unit: 5.91 µs, 52.1 ms, 1.23 s."""
    for factor, unit in ((1e6, "µs"), (1e3, "ms")):
        if seconds * factor < 999.5:
            return f"{_three(seconds * factor)} {unit}"
    return f"{_three(seconds)} s"


def rate_text(case: CaseRecord, seconds: float) -> str | None:
    """Write the useful work a second."""
    if case.work is None:
        return None
    rate = case.work / seconds
    if case.unit == "FLOP":
        return f"{_three(rate / 1e9)} GFLOP/s"
    if case.unit == "B":
        return f"{_three(rate / 1e9)} GB/s"
    if case.unit == "update":
        return f"{_three(rate / 1e9)} G updates/s"
    return f"{_three(rate)} {case.unit}s/s"


def ratio_text(ratio: Spread) -> str:
    """Write median and quartiles."""
    return f"{_three(ratio.median)}× ({_three(ratio.low)}–{_three(ratio.high)})"


def _three(value: float) -> str:
    """Three figures, never an exponent."""
    if value >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
