"""The command ``numfuse``: ``diffuse`` and ``tune`` work on files, ``bench`` and ``tour`` show."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from . import _cli_diffuse, _cli_tune
from ._version import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    0 is success, 1 a failure that a line on standard error explains, 2 a wrong command line,
    130 Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    jobs = {"bench": _bench, "diffuse": _cli_diffuse.run, "tour": _tour, "tune": _cli_tune.run}
    try:
        return jobs[options.command](options)
    except KeyboardInterrupt:
        print(f"numfuse {options.command}: interrupted", file=sys.stderr)
        return 130
    except (ValueError, OSError, ImportError) as error:
        print(f"numfuse {options.command}: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="numfuse",
        description="Fused kernels for NumPy: use them on files, measure them, see them at work.",
    )
    parser.add_argument("--version", action="version", version=f"numfuse {__version__}")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="{diffuse,tune,bench,tour}"
    )

    _cli_diffuse.add_parser(commands)
    _cli_tune.add_parser(commands)
    bench = commands.add_parser(
        "bench",
        help="measure numfuse beside NumPy and every peer that is installed",
        description=(
            "Measure numfuse beside its NumPy reference and every installed peer (PyTorch, "
            "onnxruntime, OpenVINO; SciPy, numba, Devito, py-pde): each in its own process, "
            "answers compared before they are timed, rounds alternating. Prints a table; writes "
            "bench.json and bench.png."
        ),
    )
    bench.add_argument(
        "--quick", action="store_true", help="fewer cases and shorter turns, under a minute"
    )
    bench.add_argument(
        "--family",
        action="append",
        choices=("attention", "layers", "model", "diffusion", "certified", "tune"),
        default=[],
        help="only this family; may be given again",
    )
    bench.add_argument(
        "--case",
        action="append",
        type=_case,
        default=[],
        metavar="NAME",
        help="only this case or pattern such as 'decode-*'; may be given again",
    )
    bench.add_argument(
        "--rounds",
        type=_rounds,
        default=7,
        metavar="N",
        help="rounds of each case, 7 or more (default: 7)",
    )
    bench.add_argument(
        "--threads",
        type=_threads,
        metavar="N",
        help="threads of every contestant (default: numfuse's own default)",
    )
    bench.add_argument(
        "--resume",
        action="store_true",
        help="keep the finished cases of a run that was interrupted, and go on",
    )
    _add_output(bench, "numfuse-bench")

    tour = commands.add_parser(
        "tour",
        help="see a real model, diffusion and tuned heads at work",
        description=(
            "Embed a few dozen sentences with MiniLM, print nearest neighbours, draw attention "
            "weights; let ink spread in a stirred glass, particles in layers, heat in a plate; "
            "tune heads on docstrings, digits and a rare class; and write one HTML page with all "
            "pictures."
        ),
    )
    _add_output(tour, "numfuse-tour")
    return parser


def _add_output(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(default),
        metavar="FOLDER",
        help=f"where the files go (default: {default})",
    )


def _case(text: str) -> str:
    """Check that a name or pattern stands for a case; the list is loaded only when one is given."""
    from ._bench import cases

    try:
        cases.choose(patterns=[text])
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _rounds(text: str) -> int:
    return _at_least(text, 7)


def _threads(text: str) -> int:
    return _at_least(text, 1)


def _at_least(text: str, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of {least} or more")
    return number


def _bench(options: argparse.Namespace) -> int:
    from ._bench import run

    return run.run(
        run.Options(
            output=options.output,
            quick=options.quick,
            families=options.family,
            patterns=options.case,
            rounds=options.rounds,
            threads=options.threads,
            resume=options.resume,
        )
    )


def _tour(options: argparse.Namespace) -> int:
    from . import tour

    tour.run(options.output)
    return 0
