"""Chapter: a drop of ink spreads in a glass of water with a wall, which is slowly stirred."""

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import PowerNorm
from numpy.typing import NDArray

from numfuse import Diffusion, diffuse, plot

from . import draw_fields
from .chapter import Chapter, Guide, Picture, Table

CELL = 0.07  # cm
SHAPE = (100, 144)
SIZE = (SHAPE[0] * CELL, SHAPE[1] * CELL)
DIFFUSIVITY = 4e-4  # cm²/s
SPEED = 0.4  # cm/s, the fastest
TIMES = (0, 6, 12, 24, 45, 90)  # s
FRAME = 1.5  # s


class Glass(NamedTuple):
    """The place: wall, stir, and where the ink goes."""

    walls: NDArray[np.bool_]
    streams: NDArray[np.float64]
    velocity: NDArray[np.float32]
    drop: NDArray[np.float32]


def ink(guide: Guide) -> Chapter:
    """Move the ink on from picture to picture."""
    guide.say("Stirring a glass of water")
    glass = make_glass()
    water = Diffusion(
        DIFFUSIVITY,
        spacing=CELL,
        velocity=glass.velocity,
        advection="limited",
        walls=glass.walls,
    )
    frames = [glass.drop]
    for number in range(1, round(TIMES[-1] / FRAME) + 1):
        guide.say(f"Ink after {number * FRAME:.0f} of {TIMES[-1]} seconds")
        frames.append(water.advance(frames[-1], time=FRAME))
    stills = [frames[round(time / FRAME)] for time in TIMES]
    guide.say("Drawing the ink")
    plan = water.plan(glass.drop, time=float(TIMES[-1]))
    lost = abs(float(np.sum(frames[-1], dtype=float) / np.sum(glass.drop, dtype=float)) - 1)
    return Chapter(
        "A drop of ink in a stirred glass",
        (
            (
                f"A glass of water, {SIZE[1]:.0f} by {SIZE[0]:.0f} cm, seen from the side, with a "
                "wall that reaches up from its floor. A slow stir, at most "
                f"{SPEED:g} cm/s, carries a drop of ink around; diffusion blurs it. The stir has "
                "no source and no sink, so ink that enters a cell pushes as much out."
            ),
            _stills(glass, stills),
            _film(glass, frames),
            _table(glass, stills),
            (
                f"{plan.steps} explicit steps of {plan.dt:.3f} s went by. Ink lost or gained on "
                f"the way, in float32: {_share(lost)}. The diffusivity, {DIFFUSIVITY:g} cm²/s, is "
                "forty times that of ink, or the stripes would be thinner than a cell."
            ),
        ),
    )


def make_glass() -> Glass:
    """Cut the wall, find the stir, place the drop.

    The stir itself comes from diffusion: the steady state of a source between cold walls is a hill
    whose level lines run along the walls. They become the lines of the flow.
    """
    rows, columns = SHAPE
    walls = np.zeros(SHAPE, bool)
    walls[round(0.42 * rows) :, 63:66] = True
    hill = diffuse(np.zeros(SHAPE), 1.0, source=1.0, held=walls, boundary=("value", 0.0), time=2e4)
    # Still water two cells deep along every wall: its faces are closed, and nothing may push there.
    near = np.ones(SHAPE, bool)
    near[2:-2, 2:-2] = False
    for shift in (-2, -1, 1, 2):
        near |= np.roll(walls, shift, axis=0) | np.roll(walls, shift, axis=1)
    streams = np.clip(hill - hill[near | walls].max(), 0, None) ** 1.5
    # Of these central differences the divergence is 0 to rounding, whatever the stream function.
    across, down = np.zeros(SHAPE), np.zeros(SHAPE)
    across[1:-1] = streams[2:] - streams[:-2]
    down[:, 1:-1] = streams[:, :-2] - streams[:, 2:]
    velocity = np.array([down, across])
    velocity *= SPEED / np.sqrt((velocity**2).sum(axis=0)).max()
    y, x = np.ogrid[:rows, :columns]
    drop = np.exp(-((((y - 22) ** 2 + (x - 44) ** 2) / 5.5**2) ** 3))
    return Glass(walls, streams, velocity.astype(np.float32), drop.astype(np.float32))


def _stills(glass: Glass, stills: list[NDArray[Any]]) -> Picture:
    def drawn(*, narrow: bool) -> bytes:
        return draw_fields.panels(
            stills,
            [f"{time} s" for time in TIMES],
            size=SIZE,
            unit="cm",
            label="ink (share of the drop's; the scale is stretched where it is low)",
            norm=PowerNorm(0.45, vmin=0, vmax=1),
            colormap="Blues",
            walls=glass.walls,
            streams=glass.streams,
            narrow=narrow,
        )

    return Picture(
        "The ink, six times",
        "The grey lines in the first picture are those along which the water moves. The drop is "
        "drawn out into a stripe, wound up, and blurred until the stripes merge; part of it goes "
        "over the wall.",
        f"Six maps of the glass from {TIMES[0]} to {TIMES[-1]} seconds: a round blue drop becomes "
        "a spiral of stripes on the left of a wall, then a haze on both sides.",
        drawn(narrow=False),
        drawn(narrow=True),
    )


def _film(glass: Glass, frames: list[NDArray[Any]]) -> Picture:
    """Make the same as a film, by `numfuse.plot.movie`."""
    with tempfile.TemporaryDirectory(prefix="numfuse-tour-") as folder:
        path = plot.movie(
            [np.sqrt(np.clip(frame, 0, 1)) for frame in frames],
            Path(folder) / "ink.gif",
            frames_per_second=10,
            spacing=CELL,
            walls=glass.walls,
            limits=(0, 1),
            colormap="Blues",
            label="square root of ink",
            titles=[f"{number * FRAME:.1f} s" for number in range(len(frames))],
            size=(4.6, 3.0),
        )
        film = path.read_bytes()
    return Picture(
        "The same as a film",
        f"A second here is {10 * FRAME:g} in the glass. numfuse.plot.movie wrote it.",
        "Film of the drop of ink being drawn into stripes and wound up on both sides of the wall.",
        film,
    )


def _table(glass: Glass, stills: list[NDArray[Any]]) -> Table:
    beyond = np.arange(SHAPE[1]) > np.flatnonzero(glass.walls.any(axis=0)).max()
    rows = tuple(
        (
            f"{time} s",
            float(still.max()),
            float(100 * still[:, beyond].sum() / still.sum()),
        )
        for time, still in zip(TIMES, stills, strict=True)
    )
    return Table(
        "Where the ink is", ("Time", "Darkest (drop: 1)", "Beyond the wall, %"), rows, printed=True
    )


def _share(share: float) -> str:
    return "none" if share == 0 else f"{share:.0e} of it"
