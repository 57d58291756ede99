"""The command ``numfuse diffuse``: its options, and the job itself.

The field is moved on in parts, so that a bar can follow; parts of equal steps give the bits of the
whole. The output is written at the end, beside its place, and then takes it: an interrupted job
leaves what was there.
"""

import argparse
import contextlib
import math
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from . import _diffusion, _diffusion_image, _image_files
from ._files import replacing
from ._progress import progress_bar

Array = np.ndarray[Any, np.dtype[Any]]
SUFFIXES = (".npy", *_image_files.FORMATS)
# A part takes about so long, once the first has shown how long steps take.
SECONDS = 0.2
# Steps of a part are a multiple of this: kernels make many in one pass over memory.
MULTIPLE = 32
# Methods whose steps under a tolerance are all equal, so that parts give the bits of the whole.
EQUAL_STEPS = ("explicit",)
STEPS_ALONE = ("auto", "explicit")
# The share of the longest stable step that a step takes which nobody has chosen.
SHARE = 0.8
# How many numbers follow each kind of side.
SIDES = {"insulated": 0, "periodic": 0, "value": 1, "flux": 1, "robin": 3}


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to those of ``numfuse``."""
    parser = commands.add_parser(
        "diffuse",
        help="diffuse an image or a .npy array",
        usage="numfuse diffuse INPUT OUTPUT (--time T | --steps N) [options]",
        description=(
            "Diffuse the values of a PNG or JPEG image, which count from 0 to 1, or of a .npy "
            "array of float32 or float64, and write an image or a .npy file. Numbers apply to "
            "every axis; where A,B is allowed, to each axis in turn."
        ),
        epilog=(
            "Examples: numfuse diffuse photo.jpg blurred.png --time 20; "
            "numfuse diffuse photo.jpg smooth.png --edge-preserving 0.1 --steps 50; "
            "numfuse diffuse plate.npy later.npy --diffusivity 1.1e-4 --spacing 0.001 --time 60 "
            "--boundary 1.low=value:100 --boundary 1.high=value:0"
        ),
    )
    parser.add_argument("input", type=_path, metavar="INPUT", help="a .png, .jpg or .npy file")
    parser.add_argument("output", type=_path, metavar="OUTPUT", help="the same kinds of file")

    long = parser.add_argument_group("how long")
    long.add_argument("--time", type=_not_negative, metavar="T", help="this time")
    long.add_argument("--steps", type=_count, metavar="N", help="this many steps")
    long.add_argument("--dt", type=_positive, metavar="DT", help="length of a step, or its limit")

    problem = parser.add_argument_group("the problem")
    add = problem.add_argument
    add(
        "--diffusivity",
        type=_amount,
        default=1.0,
        metavar="D",
        help="a number, A,B or a .npy file (1)",
    )
    add("--spacing", type=_numbers, default=1.0, metavar="H", help="width of a cell, or A,B (1)")
    add("--axes", type=_axes, metavar="A,B", help="the axes of a .npy array that are space (all)")
    add(
        "--boundary",
        type=_side,
        action="append",
        default=[],
        metavar="[AXIS[.low|.high]=]SPEC",
        help=(
            "insulated (the default), periodic, value:V, flux:G or robin:A,B,C, for all sides, an "
            "axis or a side; may be given again"
        ),
    )
    add("--walls", type=_cells, metavar="FILE", help="nothing flows where a bool .npy is True")
    add(
        "--held",
        type=_cells,
        metavar="FILE",
        help="values stay there; for both, an image counts where it is dark",
    )
    add("--decay", type=_amount, metavar="K", help="rate of decay, a number or a .npy file")
    add("--source", type=_amount, metavar="S", help="gain a unit of time, a number or a .npy file")
    add("--velocity", type=_array, metavar="FILE", help=".npy of shape (axes, *grid)")
    add("--advection", choices=("upwind", "limited"), default="upwind", help="(upwind)")
    add("--mean", choices=("harmonic", "arithmetic"), default="harmonic", help="(harmonic)")
    add("--order", type=int, choices=(2, 4, 6, 8), default=2, help="of the differences (2)")

    method = parser.add_argument_group("how")
    method.add_argument(
        "--method",
        choices=("auto", "explicit", "rkl2", "adi", "spectral"),
        default="auto",
        help="(auto)",
    )
    method.add_argument(
        "--tolerance",
        type=_positive,
        default=1e-3,
        metavar="E",
        help="error in time that --time allows (1e-3)",
    )
    method.add_argument(
        "--edge-preserving",
        type=_positive,
        metavar="EDGE",
        help="smooth with --steps but not across edges: differences of this size and more",
    )
    method.add_argument("--conductance", choices=("exponential", "reciprocal"), help="of edges")
    method.add_argument("--quiet", action="store_true", help="no progress bar, no last line")
    parser.set_defaults(parser=parser)


def run(options: argparse.Namespace) -> int:
    """Do the job and return the exit code."""
    _check(options)
    pixels, field = None, None
    if options.input.suffix.lower() == ".npy":
        field = _load(options.input)
    else:
        pixels = _image_files.read(options.input)
        field = pixels.values
    if options.output.suffix.lower() != ".npy":
        opacity = pixels is not None and pixels.opacity
        _image_files.check_writable(options.output, field.shape, opacity=opacity)
    start = perf_counter()
    try:
        if options.edge_preserving is None:
            after, how = _diffuse(options, field, colours=pixels is not None and field.ndim == 3)
        else:
            after, how = _smooth(options, field, colours=pixels is not None and field.ndim == 3)
    except (TypeError, MemoryError) as error:
        raise ValueError(str(error) or "there is not enough memory") from error
    took = perf_counter() - start
    _write(options.output, after, pixels)
    if not options.quiet:
        print(f"{options.output}: done in {took:.2g} s. {how}")
    return 0


def _check(options: argparse.Namespace) -> None:
    """Find what is wrong before any work is done."""
    if (options.time is None) == (options.steps is None):
        given = "neither is" if options.time is None else "both are"
        options.parser.error(f"--time or --steps says how long, and {given} given; give one")
    if options.edge_preserving is None and options.conductance is not None:
        options.parser.error("--conductance belongs to --edge-preserving EDGE; give that too")
    if options.edge_preserving is not None:
        default = options.parser.get_default
        kept = ("input", "output", "steps", "dt", "edge_preserving", "conductance", "quiet")
        other = [
            f"--{name}"
            for name, value in vars(options).items()
            if name not in (*kept, "parser", "command") and value is not default(name)
        ]
        if other:
            options.parser.error(
                f"--edge-preserving takes --steps, --dt and --conductance alone; leave out "
                f"{', '.join(other)}"
            )
    if options.steps is not None and options.dt is None and options.method not in STEPS_ALONE:
        options.parser.error(f"--method {options.method} has no usual step; give --dt, or --time")
    parent = options.output.parent
    if not parent.is_dir():
        raise FileNotFoundError(f"{parent} is no folder, so {options.output} cannot be written")
    if options.output.is_dir():
        raise IsADirectoryError(f"{options.output} is a folder; name a file")


def _diffuse(options: argparse.Namespace, field: Array, *, colours: bool) -> tuple[Array, str]:
    """Plan, then advance in parts of equal steps."""
    boundary: Any = dict(options.boundary) or "insulated"
    if isinstance(boundary, dict) and None in boundary:
        everywhere = boundary.pop(None)
        axes = 2 if colours else len(options.axes or range(field.ndim))
        boundary = dict.fromkeys(range(axes), everywhere) | boundary
    settings = {
        name: getattr(options, name)
        for name in (
            "diffusivity", "spacing", "walls", "held", "decay", "source", "velocity", "advection",
            "mean", "order", "tolerance",
        )
    } | {"boundary": boundary, "axes": (0, 1) if colours else options.axes}  # fmt: skip

    def problem(method: Any) -> _diffusion.Diffusion:
        return _diffusion.Diffusion(**settings, method=method)

    chosen = problem(options.method)
    if options.time is not None and options.dt is None:
        plan = chosen.plan(field, time=options.time)
        method, steps, dt, how = plan.method, plan.steps, plan.dt, plan.why
        if method not in EQUAL_STEPS:
            with progress_bar(method, 1, shown=_bar_shown(options)) as advance:
                after = chosen.advance(field, time=options.time)
                advance(1)
            return after, how
    else:
        method = "explicit" if options.method == "auto" else options.method
        steps, dt = _equal_steps(options, chosen.stable_step(field))
        how = f"{steps} {method} step{'s' * (steps != 1)} of {dt:.6g}."
    chosen = problem(method)

    def part(u: Array, count: int, out: Array) -> Array:
        return chosen.advance(u, steps=count, dt=dt, out=out)

    return _in_parts(part, field, steps, method, shown=_bar_shown(options)), how


def _equal_steps(options: argparse.Namespace, stable_step: float) -> tuple[int, float]:
    """Return number and length of the steps that --steps or --time and --dt ask for."""
    if options.time is None:
        return options.steps, options.dt or SHARE * stable_step
    steps = max(math.ceil(options.time / options.dt - 1e-9), 1)
    return steps, options.time / steps


def _smooth(options: argparse.Namespace, field: Array, *, colours: bool) -> tuple[Array, str]:
    """Smooth within edges, in parts."""
    settings: dict[str, Any] = {
        "edge": options.edge_preserving,
        "conductance": options.conductance or "exponential",
        "dt": options.dt,
        "channel_axis": 2 if colours else None,
    }

    def part(u: Array, count: int, out: Array) -> Array:
        return _diffusion_image.diffuse_image(u, steps=count, out=out, **settings)

    after = _in_parts(part, field, options.steps, "smoothing", shown=_bar_shown(options))
    return after, f"{options.steps} steps that keep edges of {options.edge_preserving:g}."


def _in_parts(
    part: Callable[[Array, int, Array], Array], field: Array, steps: int, label: str, *, shown: bool
) -> Array:
    """Take the steps in parts of about `SECONDS`; two arrays take turns."""
    dtype = field.dtype.newbyteorder("=")
    now, spare = field, [np.empty(field.shape, dtype), np.empty(field.shape, dtype)]
    multiple = MULTIPLE if label == "explicit" else 1
    count, done = multiple, 0
    with progress_bar(label, steps, shown=shown) as advance:
        while done < steps or now is field:
            count = min(count, steps - done)
            start = perf_counter()
            now = part(now, count, spare[0])
            took = perf_counter() - start
            spare.reverse()
            done += count
            advance(count)
            count = max(round(count * SECONDS / max(took, 1e-6) / multiple), 1) * multiple
    return now


def _bar_shown(options: argparse.Namespace) -> bool:
    return not options.quiet and sys.stderr.isatty()


def _write(path: Path, after: Array, pixels: _image_files.Pixels | None) -> None:
    """Put the output in its place, whole."""
    result = _image_files.Pixels(after, opacity=False, deep=False, kept={})
    if pixels is not None:
        result = pixels._replace(values=after)
    with replacing(path) as file:
        if path.suffix.lower() == ".npy":
            np.save(file, _image_files.straight(result))
            return
        share = _image_files.write(file, path, result)
    if share:
        print(
            f"numfuse diffuse: {share:.2%} of the values lay outside of 0 to 1 and were cut; "
            "a .npy file keeps them",
            file=sys.stderr,
        )


def _load(path: Path) -> Array:
    """Read a .npy file."""
    try:
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path} cannot be read as a .npy file: {error}") from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{path} holds several arrays; save the one that is meant with np.save")
    return array


def _path(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in SUFFIXES:
        raise argparse.ArgumentTypeError(f"{text!r} does not end in {', '.join(SUFFIXES)}")
    return path


def _not_negative(text: str) -> float:
    return _number(text, lambda number: 0 <= number < math.inf, "a number of 0 or more")


def _positive(text: str) -> float:
    return _number(text, lambda number: 0 < number < math.inf, "a number above 0")


def _count(text: str) -> int:
    number = _number(
        text, lambda number: 0 <= number < 2**62 and number % 1 == 0, "an integer of 0 or more"
    )
    return int(number)


def _number(text: str, fits: Callable[[float], bool], allowed: str) -> float:
    with contextlib.suppress(ValueError):
        if fits(number := float(text)):
            return number
    raise argparse.ArgumentTypeError(f"{text!r} is not {allowed}")


def _numbers(text: str) -> float | tuple[float, ...]:
    """Read one number or several."""
    try:
        numbers = tuple(map(float, text.split(",")))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number, nor several such as 1,0.5"
        ) from None
    return numbers if len(numbers) > 1 else numbers[0]


def _amount(text: str) -> float | tuple[float, ...] | Array:
    return _array(text) if text.lower().endswith(".npy") else _numbers(text)


def _axes(text: str) -> tuple[int, ...]:
    try:
        return tuple(map(int, text.split(",")))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not axes such as 1,2") from None


def _array(text: str) -> Array:
    """Read an option's file."""
    try:
        return _load(_path(text))
    except (ValueError, OSError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _cells(text: str) -> Array:
    """Read which cells are meant."""
    path = _path(text)
    try:
        return _load(path) if path.suffix.lower() == ".npy" else _image_files.read_mask(path)
    except (ImportError, ValueError, OSError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _side(text: str) -> tuple[int | tuple[int, str] | None, Any]:
    """Read a key of `boundary`, None for all sides, and what happens there."""
    where, equals, what = text.rpartition("=")
    kind, *values = what.replace(":", ",").split(",")
    key: int | tuple[int, str] | None = None
    try:
        if equals:
            axis, dot, side = where.partition(".")
            key = (int(axis), side) if dot else int(axis)
            if dot and side not in ("low", "high"):
                raise ValueError
        numbers = tuple(map(float, values))
        if len(numbers) != SIDES[kind]:
            raise ValueError
    except (KeyError, ValueError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no side such as insulated, periodic, value:0, 0=flux:2.5 or "
            "1.low=robin:1,0.5,0"
        ) from None
    return key, (kind, *numbers) if numbers else kind
