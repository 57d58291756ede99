"""What was measured, as JSON, and what follows from it.

A record is written after every case, to a sibling file that then takes its place, so that whatever
ends the run leaves a whole record of the finished cases, from which the run can go on.
"""

import json
import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

from numfuse._files import replacing

FORMAT = 1
FILE_NAME = "bench.json"


class Spread(NamedTuple):
    """Median and quartiles of the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """Quartiles by linear interpolation between the values, as NumPy's default has them."""
        values = list(values)
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)


@dataclass
class Showing:
    """What one contestant did in one case.

    `seconds` has the median time of a call for each round. If it did not take part, or only until
    something happened, `problem` says why and `seconds` is empty; `wrong` if its answer was.
    """

    seconds: list[float] = field(default_factory=list)
    error: float | None = None
    problem: str | None = None
    wrong: bool = False


@dataclass
class CaseRecord:
    """One case: its work, everybody's showing, the yardstick's rate in each round."""

    name: str
    title: str
    family: str
    kind: str
    dtype: str
    work: float | None
    unit: str | None
    yardstick: str | None
    yardstick_rates: list[float]
    showings: dict[str, Showing]

    def seconds(self, contestant: str) -> Spread | None:
        """Return the time of one call."""
        showing = self.showings.get(contestant)
        return Spread.of(showing.seconds) if showing and showing.seconds else None

    def ratio(self, ours: str, other: str) -> Spread | None:
        """Tell how many times as long the other takes: of each round, then the rounds' spread."""
        ours_seconds, other_seconds = (
            self.showings[name].seconds if name in self.showings else [] for name in (ours, other)
        )
        if not ours_seconds or not other_seconds:
            return None
        return Spread.of(b / a for a, b in zip(ours_seconds, other_seconds, strict=True))

    def share(self, contestant: str) -> Spread | None:
        """Divide useful work a second by the yardstick's rate: of each round, then the spread."""
        showing = self.showings.get(contestant)
        if not showing or not showing.seconds or not self.yardstick_rates or self.work is None:
            return None
        return Spread.of(
            self.work / seconds / rate
            for seconds, rate in zip(showing.seconds, self.yardstick_rates, strict=True)
        )


@dataclass
class Record:
    """One run of the bench on one machine."""

    date: str
    machine: dict[str, str]
    versions: dict[str, str]
    level: str
    threads: int
    rounds: int
    turn_seconds: float
    quick: bool
    contestants: dict[str, str]
    cases: list[CaseRecord] = field(default_factory=list)
    complete: bool = False
    disturbance: str | None = None

    def conditions(self) -> dict[str, Any]:
        """Return all that has to be the same for two runs to be one."""
        return {
            name: getattr(self, name)
            for name in ("machine", "versions", "level", "threads", "rounds", "turn_seconds")
        }

    def tables(self) -> list[Self]:
        """Split it by who takes part, so that no table has columns that stay empty."""
        groups: list[tuple[set[str], list[CaseRecord]]] = []
        for case in self.cases:
            names = set(case.showings)
            for members, cases in groups:
                if names <= members:
                    cases.append(case)
                    break
            else:
                groups.append((names, [case]))
        return [
            replace(
                self,
                cases=cases,
                contestants={
                    name: title for name, title in self.contestants.items() if name in members
                },
            )
            for members, cases in groups
        ]

    def write(self, path: Path) -> None:
        """Write it whole or not at all."""
        text = json.dumps({"format": FORMAT} | asdict(self), indent=1)
        with replacing(path) as file:
            file.write(f"{text}\n".encode())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote.

        Raises
        ------
        ValueError
            If the file is not such a record.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content.pop("format") != FORMAT:
                raise ValueError("another format")
            content["cases"] = [_case(entry) for entry in content["cases"]]
            return cls(**content)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{path} is not a record of this release's numfuse bench ({error}); "
                "choose another --output or remove the file"
            ) from error


def _case(entry: dict[str, Any]) -> CaseRecord:
    showings = {name: Showing(**showing) for name, showing in entry.pop("showings").items()}
    return CaseRecord(**entry, showings=showings)
