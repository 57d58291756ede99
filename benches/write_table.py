"""Writes README.md's measured table from the newest record in `benches/records`.

    numfuse bench --output /tmp/bench
    cp /tmp/bench/bench.json benches/records/2026-11-24-zen3-avx2.json
    python benches/write_table.py

With `--check` nothing is written; the exit code is 1 if the README does not hold what would be.
"""

import argparse
import sys
from pathlib import Path

from numfuse._bench.peers import OURS
from numfuse._bench.record import CaseRecord, Record
from numfuse._bench.report import rate_text, summarise, time_text

BEGIN = "<!-- written by benches/write_table.py: begin -->"
END = "<!-- written by benches/write_table.py: end -->"
ROOT = Path(__file__).resolve().parent.parent


def newest(folder: Path) -> Record | None:
    """Read the record with the latest date, if there is one."""
    records = [Record.read(path) for path in sorted(folder.glob("*.json"))]
    return max(records, key=lambda record: record.date, default=None)


def markdown(record: Record | None) -> str:
    """Write the conditions, the tables and the means."""
    if record is None:
        return "No record yet: run `numfuse bench`."
    versions = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    conditions = (
        f"{record.date[:10]}, {record.machine['cpu']}, {record.threads} threads, "
        f"level {record.level}; {versions}."
    )
    if record.disturbance:
        conditions += f" {record.disturbance}."
    return "\n".join(
        [
            conditions,
            f"Times are medians of {record.rounds} rounds. Behind each other time stands how many",
            "times as long as numfuse it took: the median of the rounds' ratios, with quartiles.",
            "",
            *(line for part in record.tables() for line in (*table(part), "")),
            *(f"- {line}" for line in summarise(record)),
        ]
    )


def table(record: Record) -> list[str]:
    """Write heading and rows of those who took part."""
    others = [name for name in record.contestants if name != OURS]
    heading = ["case", "numfuse", "", *(record.contestants[name] for name in others), "error"]
    rows = [heading, ["---"] + ["--:"] * (len(heading) - 1)]
    rows += [row(case, others) for case in record.cases]
    return ["| " + " | ".join(cells) + " |" for cells in rows]


def row(case: CaseRecord, others: list[str]) -> list[str]:
    """Write one case."""
    ours = case.seconds(OURS)
    share = case.share(OURS)
    error = case.showings[OURS].error
    rate = rate_text(case, ours.median) if ours else None
    return [
        case.title,
        time_text(ours.median) if ours else "–",
        (rate or "") + (f", {share.median:.0%} of {case.yardstick}" if share else ""),
        *(cell(case, name) for name in others),
        "–" if error is None else f"{error:.0e}",
    ]


def cell(case: CaseRecord, name: str) -> str:
    """Write another contestant's time and ratio, or a dash if it did not take part."""
    seconds, ratio = case.seconds(name), case.ratio(OURS, name)
    if seconds is None or ratio is None:
        return "–"
    return (
        f"{time_text(seconds.median)}, **{ratio.median:.2f}×** ({ratio.low:.2f}–{ratio.high:.2f})"
    )


def put(readme: str, table: str) -> str:
    """Return the README with the table between its markers."""
    if readme.count(BEGIN) != 1 or readme.count(END) != 1:
        sys.exit(f"README.md needs one line {BEGIN!r} and one line {END!r}")
    before, rest = readme.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def main() -> int:
    """Write the table, or check it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    options = parser.parse_args()
    path = ROOT / "README.md"
    before = path.read_text(encoding="utf-8")
    after = put(before, markdown(newest(ROOT / "benches" / "records")))
    if options.check:
        if after != before:
            print("README.md's table is not the newest record's: python benches/write_table.py")
        return int(after != before)
    path.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
