"""The method: everybody in a process of their own, right before fast, rounds A B A B.

for each case:
    the judge deals the inputs (one file an array) and finds the truth
    each contestant prepares, answers once, and is judged: a wrong answer is not timed
    for each round: each contestant in turn, and the yardstick: warm up, then repeat for a while;
        the turn's figure is the median call. The next turn begins when the process is at rest.
        Where the first call is the case, the turn is one call of a new process that has imported
        its library and prepared.

Figures that are compared come from the same round, seconds apart; a contestant that fails leaves
the case and the others go on. Memory of a case is given back before the next begins.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .cases import Case
from .peers import JUDGE, YARDSTICK, Contestant
from .peers import yardstick as yardstick_engine
from .process import Child, ChildError
from .record import CaseRecord, Showing


@dataclass(frozen=True)
class Method:
    """How long and how often."""

    rounds: int
    turn_seconds: float
    threads: int


class Crew:
    """The children of a run, started when first needed and again if they died."""

    def __init__(self, threads: int, environment: Mapping[str, str]) -> None:
        self._threads = threads
        self._environment = environment
        self._children: dict[str, Child] = {}

    def child(self, contestant: Contestant) -> Child:
        """Return the contestant's process."""
        child = self._children.get(contestant.name)
        if child is None or not child.alive:
            if child is not None:
                child.end()
            environment = {**self._environment, **contestant.environment}
            child = Child(contestant.engine, self._threads, environment)
            self._children[contestant.name] = child
        return child

    def dismiss(self, contestant: Contestant) -> None:
        """End the contestant's process: the next is a new one."""
        child = self._children.pop(contestant.name, None)
        if child is not None:
            child.end()

    def end(self) -> None:
        """Kill all."""
        while self._children:
            self._children.popitem()[1].end()


@contextmanager
def crew(threads: int, environment: Mapping[str, str] | None = None) -> Iterator[Crew]:
    """Children that are gone when the block is left, however it is left."""
    children = Crew(threads, environment or {})
    try:
        yield children
    finally:
        children.end()


def compete(
    case: Case,
    contestants: Sequence[Contestant],
    crew: Crew,
    method: Method,
    on_turn: Callable[[str], None] = lambda what: None,
) -> CaseRecord:
    """Run one case and return its record.

    Parameters
    ----------
    case : Case
    contestants : sequence of Contestant
        In the order of their turns.
    crew : Crew
    method : Method
    on_turn : callable
        Told what happens next, before each turn.

    Raises
    ------
    ChildError
        If the judge or the yardstick fails: then nothing can be said.
    """
    work, unit = case.work or (None, None)
    showings = {contestant.name: Showing() for contestant in contestants}
    rates: list[float] = []
    with tempfile.TemporaryDirectory(prefix="numfuse-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        on_turn("truth")
        judge = crew.child(JUDGE)
        inputs = folder / "inputs"
        inputs.mkdir()
        judge.ask("deal", case=case.name, folder=str(inputs))
        standing = [
            contestant
            for contestant in contestants
            if _qualifies(contestant, case, crew, folder, showings[contestant.name], on_turn)
        ]
        if case.yardstick is not None:
            crew.child(YARDSTICK).ask("prepare", case=case.name, folder=str(inputs))
        if not case.first_call:
            shutil.rmtree(folder)

        for _ in range(method.rounds):
            for contestant in list(standing):
                on_turn(contestant.title)
                showing = showings[contestant.name]
                try:
                    if case.first_call:
                        seconds = _first_call(contestant, case, crew, inputs)
                    else:
                        turn = crew.child(contestant).ask("turn", seconds=method.turn_seconds)
                        seconds = turn["seconds"]
                    showing.seconds.append(seconds)
                except ChildError as failure:
                    standing.remove(contestant)
                    showing.seconds.clear()
                    showing.problem = str(failure)
            if case.yardstick is not None:
                on_turn(case.yardstick)
                turn = crew.child(YARDSTICK).ask("turn", seconds=method.turn_seconds)
                rates.append(yardstick_engine.amount(case.yardstick) / turn["seconds"])

    for contestant in (*standing, YARDSTICK):
        if contestant is not YARDSTICK or case.yardstick is not None:
            crew.child(contestant).ask("forget")
    return CaseRecord(
        name=case.name,
        title=case.title,
        family=case.family,
        kind=case.kind,
        dtype=case.dtype,
        work=work,
        unit=unit,
        yardstick=case.yardstick,
        yardstick_rates=rates,
        showings=showings,
    )


def _first_call(contestant: Contestant, case: Case, crew: Crew, inputs: Path) -> float:
    """Time one call of a process that has called nothing before."""
    crew.dismiss(contestant)
    child = crew.child(contestant)
    child.ask("prepare", case=case.name, folder=str(inputs))
    seconds: float = child.ask("turn", seconds=0.0, warm_up=False)["seconds"]
    return seconds


def _qualifies(
    contestant: Contestant,
    case: Case,
    crew: Crew,
    folder: Path,
    showing: Showing,
    on_turn: Callable[[str], None],
) -> bool:
    """Whether the contestant can express the case and answers it rightly; its showing says."""
    on_turn(f"{contestant.title}'s answer")
    answer = folder / "answer.npy"
    try:
        child = crew.child(contestant)
        child.ask("prepare", case=case.name, folder=str(folder / "inputs"))
        child.ask("answer", path=str(answer))
    except ChildError as failure:
        showing.problem = str(failure)
        return False
    verdict = crew.child(JUDGE).ask("judge", path=str(answer))
    showing.error = verdict["error"]
    if verdict["flaw"]:
        showing.wrong = True
        showing.problem = f"wrong answer: {verdict['flaw']}"
        child.ask("forget")
        return False
    return True
