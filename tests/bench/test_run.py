"""The whole command, with engines that cost nothing."""

import os
import signal
import subprocess
import sys
import time

import pytest

from numfuse._bench import cases, chart, peers, report, run
from numfuse._bench.record import Record

LAYER_NORMS = ["layer_norm-1824x384", "layer_norm-1824x1536"]


@pytest.fixture
def field(monkeypatch, contestant):
    """Put engines in the place of the roster; the first is called numfuse."""

    def put(*names):
        roster = [contestant(name) for name in names]
        ours = peers.Contestant(
            peers.OURS, "numfuse", environment=roster[0].environment, module=roster[0].engine
        )
        monkeypatch.setattr(peers, "ROSTER", (ours, *roster[1:]))

    return put


def options(folder, **changes):
    settings = {"quick": True, "patterns": ["layer_norm-*"], "threads": 1}
    return run.Options(output=folder, **(settings | changes))


def test_run_writes_record_and_chart_and_prints_the_table(field, tmp_path, capsys):
    field("exact", "slow", "wrong")
    assert run.run(options(tmp_path / "new" / "folder")) == 0
    record = Record.read(tmp_path / "new" / "folder" / "bench.json")
    assert record.complete
    assert [case.name for case in record.cases] == LAYER_NORMS
    assert record.threads == 1
    assert record.rounds == 7
    assert record.versions["exact"] == "1"
    for case in record.cases:
        assert len(case.showings["slow"].seconds) == 7
        assert case.showings["wrong"].wrong
    printed = capsys.readouterr().out
    assert "layer norm 1824 × 384" in printed
    assert "slow over numfuse, layers float32" in printed
    if chart.available():
        assert (tmp_path / "new" / "folder" / "bench.png").exists()


def test_our_own_wrong_answer_is_a_failure(field, tmp_path, capsys):
    field("wrong", "exact")
    assert run.run(options(tmp_path, patterns=LAYER_NORMS[:1])) == 1
    assert "numfuse in layer norm 1824 × 384: wrong answer" in capsys.readouterr().err


def test_without_matplotlib_one_line_says_so(field, tmp_path, monkeypatch, capsys):
    field("exact", "quick")
    monkeypatch.setattr(chart, "available", lambda: False)
    assert run.run(options(tmp_path, patterns=LAYER_NORMS[:1])) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum("matplotlib is not installed" in line for line in lines) == 1
    assert not (tmp_path / "bench.png").exists()


def test_without_model_libraries_one_line_says_so(field, tmp_path, monkeypatch, capsys):
    field("exact")
    monkeypatch.setattr(run, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="leave no case to run"):
        run.run(options(tmp_path, patterns=["minilm-sentence"]))
    assert "needs safetensors and tokenizers" in capsys.readouterr().out


def test_engine_that_does_not_start_is_left_out(field, tmp_path, capsys):
    field("exact", "absent")
    assert run.run(options(tmp_path, patterns=LAYER_NORMS[:1])) == 0
    assert "absent does not start: its process ended with code 1" in capsys.readouterr().out


def test_nothing_runs_if_numfuse_does_not_start(field, tmp_path, capsys):
    field("absent", "exact")
    assert run.run(options(tmp_path)) == 1
    assert "numfuse does not start" in capsys.readouterr().out
    assert not (tmp_path / "bench.json").exists()


def test_interrupt_keeps_finished_cases_and_resume_goes_on(field, tmp_path, monkeypatch, capsys):
    field("exact", "quick")
    compete = run.compete

    def interrupted(case, *rest):
        if case.name == LAYER_NORMS[1]:
            raise KeyboardInterrupt
        return compete(case, *rest)

    monkeypatch.setattr(run, "compete", interrupted)
    assert run.run(options(tmp_path)) == 130
    assert "1 of 2 cases finished; the same command with --resume" in capsys.readouterr().out
    before = Record.read(tmp_path / "bench.json")
    assert [case.name for case in before.cases] == LAYER_NORMS[:1]
    assert not before.complete

    monkeypatch.setattr(run, "compete", compete)
    assert run.run(options(tmp_path, resume=True)) == 0
    after = Record.read(tmp_path / "bench.json")
    assert after.cases[0] == before.cases[0]
    assert [case.name for case in after.cases] == LAYER_NORMS
    assert after.complete


def test_resume_under_other_conditions_starts_anew(field, tmp_path, capsys):
    field("exact", "quick")
    assert run.run(options(tmp_path, patterns=LAYER_NORMS[:1])) == 0
    assert run.run(options(tmp_path, patterns=LAYER_NORMS[:1], threads=2, resume=True)) == 0
    assert "other conditions" in capsys.readouterr().out
    assert Record.read(tmp_path / "bench.json").threads == 2


@pytest.mark.skipif(os.name == "nt", reason="signals and process groups of POSIX")
def test_ctrl_c_leaves_no_process_behind(tmp_path):
    command = ["bench", "--quick", "--family", "layers", "--output", str(tmp_path)]
    process = subprocess.Popen(
        [sys.executable, "-m", "numfuse", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    give_up = time.monotonic() + 120
    while not (tmp_path / "bench.json").exists() and time.monotonic() < give_up:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130, printed
    assert "--resume goes on" in printed
    assert Record.read(tmp_path / "bench.json").cases
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_quick_run_of_the_real_roster_measures_every_case_rightly(tmp_path, monkeypatch):
    ours_and_numpy = tuple(one for one in peers.ROSTER if not one.requires)
    monkeypatch.setattr(peers, "ROSTER", ours_and_numpy)
    monkeypatch.setattr(report, "find_spec", lambda name: None)
    settings = run.Options(output=tmp_path, quick=True, families=("layers",), threads=2)
    assert run.run(settings) == 0
    record = Record.read(tmp_path / "bench.json")
    expected = [case.name for case in cases.choose(quick=True, families=["layers"])]
    assert [case.name for case in record.cases] == expected
    for case in record.cases:
        for name in (peers.OURS, peers.REFERENCE):
            assert len(case.showings[name].seconds) == 7
            assert case.showings[name].error < 1e-5
