"""What the tour says in the terminal: with rich where it is installed, plainly otherwise."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .chapter import Chapter, Table


def _rich() -> bool:
    try:
        import rich  # noqa: F401
    except ImportError:
        return False
    return True


@contextmanager
def steps(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Yield a function that says what is being done now."""
    if quiet:
        yield lambda what: None
    elif _rich():
        from rich.console import Console

        with Console().status("Starting") as status:
            yield status.update
    else:
        yield lambda what: print(f"{what} …", flush=True)


def show(chapter: Chapter) -> None:
    """Print a chapter's title and those of its tables that are meant for it."""
    tables = [part for part in chapter.parts if isinstance(part, Table) and part.printed]
    if _rich():
        _show_rich(chapter.title, tables)
    else:
        _show_plain(chapter.title, tables)


def _show_rich(title: str, tables: list[Table]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as RichTable

    console = Console()
    console.print(f"\n[bold]{title}[/bold]")
    for table in tables:
        drawn = RichTable(title=table.title, title_justify="left", box=SIMPLE_HEAD)
        for index, column in enumerate(table.columns):
            number = isinstance(table.rows[0][index], float)
            drawn.add_column(column, justify="right" if number else "left")
        for row in table.rows:
            drawn.add_row(*map(_cell, row))
        console.print(drawn)


def _show_plain(title: str, tables: list[Table]) -> None:
    print(f"\n{title}")
    for table in tables:
        rows = [table.columns, *(tuple(map(_cell, row)) for row in table.rows)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        print(f"\n{table.title}")
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))


def _cell(cell: str | float) -> str:
    return f"{cell:.2f}" if isinstance(cell, float) else cell
