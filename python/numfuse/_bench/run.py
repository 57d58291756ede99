"""The whole command: choose, compete, keep, show."""

import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import numfuse

from . import cases, chart, machine, peers
from .contest import Crew, Method, compete, crew
from .process import ChildError
from .record import FILE_NAME, Record
from .report import Progress, Reporter, make_reporter, summarise

INTERRUPTED = 130


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line says."""

    output: Path
    quick: bool = False
    families: Sequence[str] = ()
    patterns: Sequence[str] = ()
    rounds: int = 7
    threads: int | None = None
    resume: bool = False


def run(options: Options) -> int:
    """Run the bench and return the exit code: 0, 1 if numfuse failed a case, 130 if interrupted.

    Raises
    ------
    ValueError
        If the options choose no case.
    OSError
        If the output folder cannot be written.
    """
    reporter = make_reporter()
    chosen = _with_model(
        cases.choose(quick=options.quick, families=options.families, patterns=options.patterns),
        reporter,
    )
    if not chosen:
        raise ValueError("these options leave no case to run; drop --family, --case or --quick")
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / FILE_NAME
    method = Method(
        rounds=options.rounds,
        turn_seconds=0.05 if options.quick else 0.3,
        threads=options.threads or numfuse.get_config()["threads"],
    )
    absent = [contestant.title for contestant in peers.missing()]
    if absent:
        reporter.line(f"Not installed, so not measured: {', '.join(absent)}")

    with crew(method.threads, peers.SLEEP_SOON if options.quick else None) as children:
        try:
            contestants, versions = _introduce(children, chosen, reporter)
        except KeyboardInterrupt:
            return INTERRUPTED
        if versions is None:
            return 1
        record = _new_record(options, method, contestants, versions)
        record.disturbance = machine.disturbance()
        if record.disturbance:
            reporter.line(record.disturbance)
        if options.resume and path.exists():
            record = _resumed(record, path, reporter)
        with reporter.progress(len(chosen)) as progress:
            finished, failures = _compete_all(
                chosen, contestants, children, method, record, path, progress
            )
    return _show(record, options.output, reporter, len(chosen), finished, failures)


def _with_model(chosen: list[cases.Case], reporter: Reporter) -> list[cases.Case]:
    """Leave out the model's cases if what they need is not here."""
    if not any(case.family == "model" for case in chosen):
        return chosen
    needed = [name for name in ("safetensors", "tokenizers") if find_spec(name) is None]
    if needed:
        why = f"needs {' and '.join(needed)}: pip install 'numfuse[tour]'"
    else:
        from numfuse.models import minilm_folder

        try:
            minilm_folder()
            return chosen
        except FileNotFoundError as error:
            why = f"fails: {error}"
    reporter.line(f"The model is not measured, it {why}")
    return [case for case in chosen if case.family != "model"]


def _introduce(
    children: Crew, chosen: Sequence[cases.Case], reporter: Reporter
) -> tuple[list[peers.Contestant], dict[str, str] | None]:
    """Those who start, and the versions they state; None for versions if numfuse does not."""
    families = tuple({case.family for case in chosen})
    contestants = peers.installed(families)
    for contestant in contestants:  # they start beside each other
        children.child(contestant)
    present = []
    versions: dict[str, str] = {}
    for contestant in contestants:
        try:
            # numfuse is the first: what others state about it (its reference) does not count.
            versions = children.child(contestant).ask("hello")["versions"] | versions
            present.append(contestant)
        except ChildError as failure:
            reporter.line(f"{contestant.title} does not start: {failure}")
            if contestant.name == peers.OURS:
                return [], None
    return present, versions


def _new_record(
    options: Options,
    method: Method,
    contestants: Sequence[peers.Contestant],
    versions: dict[str, str],
) -> Record:
    return Record(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=machine.describe(),
        level=versions.pop("level", "none"),
        versions={"python": platform.python_version()} | versions,
        threads=method.threads,
        rounds=method.rounds,
        turn_seconds=method.turn_seconds,
        quick=options.quick,
        contestants={contestant.name: contestant.title for contestant in contestants},
    )


def _resumed(record: Record, path: Path, reporter: Reporter) -> Record:
    """Return the new record with the finished cases of the one that was interrupted."""
    old = Record.read(path)
    if old.conditions() != record.conditions():
        reporter.line(f"{path} was measured under other conditions, so all cases run anew")
        return record
    record.cases = old.cases
    reporter.line(f"{len(old.cases)} finished cases are taken from {path}")
    return record


def _compete_all(
    chosen: Sequence[cases.Case],
    contestants: Sequence[peers.Contestant],
    children: Crew,
    method: Method,
    record: Record,
    path: Path,
    progress: Progress,
) -> tuple[bool, list[str]]:
    """Run what the record lacks; whether it came to the end, and cases that came to nothing."""
    failures = []
    before = {case.name: case for case in record.cases}
    try:
        for case in chosen:
            if case.name not in before:
                entrants = [one for one in contestants if case.family in one.families]

                def on_turn(what: str, title: str = case.title) -> None:
                    progress.step(f"{title}: {what}")

                try:
                    before[case.name] = compete(case, entrants, children, method, on_turn)
                except ChildError as failure:
                    failures.append(f"{case.title} could not be measured: {failure}")
                    continue
                record.cases = [before[known.name] for known in cases.CASES if known.name in before]
                record.write(path)
            progress.done(before[case.name])
    except KeyboardInterrupt:
        return False, failures
    record.complete = not failures
    record.write(path)
    return True, failures


def _show(
    record: Record,
    output: Path,
    reporter: Reporter,
    count: int,
    finished: bool,
    failures: list[str],
) -> int:
    """Table, summary, picture; and the exit code."""
    if record.cases:
        for part in record.tables():
            reporter.table(part)
        for line in summarise(record):
            reporter.line(line)
        reporter.line(
            f"{record.threads} thread{'s' if record.threads != 1 else ''}, level {record.level}, "
            f"{record.machine['cpu']}; medians of {record.rounds} rounds, ratios with quartiles; "
            "error as a share of the answer's size; a case of four numbers is attention: batch, "
            "heads, length, head size"
        )
        reporter.line(f"Every round is in {output / FILE_NAME}")
        if not chart.available():
            reporter.line(
                "matplotlib is not installed, so there is no chart: pip install matplotlib"
            )
        elif chart.draw(record, output / chart.FILE_NAME):
            reporter.line(f"The chart is {output / chart.FILE_NAME}")
    for case in record.cases:
        showing = case.showings.get(peers.OURS)
        if showing is not None and showing.problem:
            failures.append(f"numfuse in {case.title}: {showing.problem}")
    for failure in failures:
        print(failure, file=sys.stderr)
    if not finished:
        reporter.line(
            f"Interrupted with {len(record.cases)} of {count} cases finished; the same command "
            "with --resume goes on"
        )
        return INTERRUPTED
    return 1 if failures else 0
