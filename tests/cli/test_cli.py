"""The command `numfuse`: what it accepts, what it says, how it ends."""

import subprocess
import sys

import pytest

import numfuse
from numfuse import cli


def test_version(capsys):
    with pytest.raises(SystemExit) as ending:
        cli.main(["--version"])
    assert ending.value.code == 0
    assert capsys.readouterr().out == f"numfuse {numfuse.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "arguments are required: {diffuse,tune,bench,tour}"),
        (["dance"], "invalid choice: 'dance'"),
        (["bench", "--rounds", "6"], "'6' is not an integer of 7 or more"),
        (["bench", "--rounds", "many"], "'many' is not an integer of 7 or more"),
        (["bench", "--threads", "0"], "'0' is not an integer of 1 or more"),
        (["bench", "--family", "networks"], "invalid choice: 'networks'"),
        (["bench", "--case", "nonsense"], "no case is called 'nonsense'; a case is one of"),
        (["tour", "--quick"], "unrecognized arguments: --quick"),
    ],
)
def test_wrong_command_line_says_what_is_allowed(arguments, message, capsys):
    with pytest.raises(SystemExit) as ending:
        cli.main(arguments)
    assert ending.value.code == 2
    assert message in capsys.readouterr().err


def test_options_that_leave_nothing_are_an_error(tmp_path, capsys):
    arguments = ["bench", "--family", "layers", "--case", "decode-*", "--output", str(tmp_path)]
    assert cli.main(arguments) == 1
    assert "numfuse bench: these options leave no case to run" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["bench", "tour"])
def test_output_that_is_a_file_is_an_error(command, tmp_path, monkeypatch, capsys):
    path = tmp_path / "taken"
    path.write_text("")
    assert cli.main([command, "--output", str(path)]) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"numfuse {command}: ")


def test_tour_runs_in_the_folder(tmp_path, monkeypatch):
    from numfuse import tour

    folders = []
    monkeypatch.setattr(tour, "run", folders.append)
    assert cli.main(["tour", "--output", str(tmp_path)]) == 0
    assert folders == [tmp_path]


@pytest.mark.parametrize(
    "error", [ImportError("the tour needs rich"), OSError("disk full"), ValueError("bad")]
)
def test_failure_is_one_line(error, tmp_path, monkeypatch, capsys):
    from numfuse import tour

    def fail(folder):
        raise error

    monkeypatch.setattr(tour, "run", fail)
    assert cli.main(["tour", "--output", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"numfuse tour: {error}\n"


def test_ctrl_c_ends_with_130(tmp_path, monkeypatch, capsys):
    from numfuse import tour

    def interrupt(folder):
        raise KeyboardInterrupt

    monkeypatch.setattr(tour, "run", interrupt)
    assert cli.main(["tour", "--output", str(tmp_path)]) == 130
    assert capsys.readouterr().err == "numfuse tour: interrupted\n"


def test_module_is_the_command():
    found = subprocess.run(
        [sys.executable, "-m", "numfuse", "--version"], capture_output=True, text=True, check=True
    )
    assert found.stdout == f"numfuse {numfuse.__version__}\n"


def test_help_lists_every_option(capsys):
    with pytest.raises(SystemExit):
        cli.main(["bench", "--help"])
    printed = capsys.readouterr().out
    for option in ("--quick", "--family", "--case", "--rounds", "--threads", "--resume"):
        assert option in printed
