"""What the reader sees, with and without rich and matplotlib."""

import re

import pytest

from bench.records import a_case, a_record
from numfuse._bench import chart, report
from numfuse._bench.record import Showing, Spread


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (5.912e-6, "5.91 µs"),
        (52.06e-6, "52.1 µs"),
        (0.0521, "52.1 ms"),
        (0.9999, "1.00 s"),
        (133.4, "133 s"),
        (999.4e-6, "999 µs"),
        (999.9e-6, "1.00 ms"),
    ],
)
def test_times_have_three_figures(seconds, text):
    assert report.time_text(seconds) == text


def test_rates_have_the_unit_of_their_work():
    assert report.rate_text(a_case(), 0.1) == "60.0 GFLOP/s"
    assert report.rate_text(a_case(unit="B"), 0.1) == "60.0 GB/s"
    assert report.rate_text(a_case(unit="update"), 0.1) == "60.0 G updates/s"
    assert report.rate_text(a_case(work=32.0, unit="document"), 0.5) == "64.0 documents/s"
    assert report.rate_text(a_case(work=None, unit=None), 0.1) is None


def test_ratio_is_written_with_its_quartiles():
    assert report.ratio_text(Spread(1.432, 1.4, 12.345)) == "1.43× (1.40–12.3)"


def test_grid_has_a_column_for_each_contestant():
    heading, row = report.build_grid(a_record(a_case()))
    assert [cell[0] for cell in heading] == [
        "case",
        "numfuse",
        "of",
        "PyTorch",
        "OpenVINO",
        "error",
    ]
    assert row == [
        ["some case"],
        ["100 ms", "60.0 GFLOP/s"],
        ["60%", "sgemm"],
        ["300 ms", "2.00× (1.75–3.00)"],
        ["no grouped heads"],
        ["1.0e-07"],
    ]


def test_wrong_answer_of_ours_is_shown():
    case = a_case(showings={"numfuse": Showing(problem="wrong answer: error 1", wrong=True)})
    assert report.build_grid(a_record(case))[1][1] == ["wrong answer: error 1"]


def test_summary_has_mean_and_least_for_each_peer():
    other = a_case(
        title="another",
        showings={"numfuse": Showing(seconds=[0.1]), "torch": Showing(seconds=[0.8])},
    )
    assert report.summarise(a_record(a_case(), other)) == [
        (
            "PyTorch over numfuse, attention float32: 4.00× (geometric mean of 2 cases; "
            "least 2.00×, some case)"
        )
    ]


def test_rich_table_shows_every_cell(capsys):
    pytest.importorskip("rich")
    report.make_reporter().table(a_record(a_case()))
    printed = capsys.readouterr().out
    for text in ("some case", "60.0 GFLOP/s", "60%", "2.00× (1.75–3.00)", "OpenVINO", "1.0e-07"):
        assert text in printed


LIST = """\
some case
  numfuse   100 ms    60.0 GFLOP/s, 60% of sgemm, error 1.0e-07
  PyTorch   300 ms    2.00× (1.75–3.00)
  OpenVINO  no grouped heads
"""


def test_narrow_terminal_gets_a_list(monkeypatch, capsys):
    monkeypatch.setattr(report.sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    report.Reporter().table(a_record(a_case()))
    assert capsys.readouterr().out == LIST


def test_narrow_terminal_gets_a_list_from_rich(monkeypatch, capsys):
    pytest.importorskip("rich")
    monkeypatch.setenv("COLUMNS", "70")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    report.make_reporter().table(a_record(a_case()))
    printed = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert printed == LIST


def test_without_rich_one_line_says_so_and_the_table_is_plain(monkeypatch, capsys):
    monkeypatch.setattr(report, "find_spec", lambda name: None)
    reporter = report.make_reporter()
    assert capsys.readouterr().out == (
        "rich is not installed, so the table is plain: pip install rich\n"
    )
    with reporter.progress(3) as progress:
        progress.step("some case: PyTorch")
        progress.done(a_case())
    assert capsys.readouterr().out == "[1/3] some case: 100 ms\n"
    reporter.table(a_record(a_case()))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["case", "numfuse", "of", "PyTorch", "OpenVINO", "error"]
    assert set(lines[1]) == {"-", " "}
    assert lines[2].split("  ")[0] == "some case"
    assert "60.0 GFLOP/s" in lines[3]


def test_rich_progress_follows_the_cases(capsys):
    pytest.importorskip("rich")
    with report.make_reporter().progress(2) as progress:
        progress.step("some case: PyTorch")
        progress.done(a_case())


def test_chart_is_a_picture(tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "bench.png"
    assert chart.draw(a_record(a_case(), a_case(title="another")), path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_no_ratio_no_chart(tmp_path):
    pytest.importorskip("matplotlib")
    case = a_case(showings={"numfuse": Showing(seconds=[1.0])})
    assert not chart.draw(a_record(case), tmp_path / "bench.png")
    assert not (tmp_path / "bench.png").exists()
