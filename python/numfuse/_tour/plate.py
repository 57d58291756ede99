"""Chapter: heat in a plate with two held edges."""

from typing import Any

import numpy as np
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from numfuse import Diffusion

from . import draw_fields
from .chapter import Chapter, Guide, Picture, Table

CELL = 0.125  # cm
SHAPE = (160, 240)
SIZE = (SHAPE[0] * CELL, SHAPE[1] * CELL)
COPPER = 1.1  # cm²/s
START, HOT, COLD = 25.0, 100.0, 0.0  # °C
TIMES = (1.0, 10.0, 60.0, 600.0)  # s


def plate(guide: Guide) -> Chapter:
    """Heat the plate for four times, each from the start."""
    guide.say("Heating a plate")
    sides: Any = {(1, "low"): ("value", HOT), (0, "low"): ("value", COLD)}
    copper = Diffusion(COPPER, spacing=CELL, boundary=sides)
    start = np.full(SHAPE, START)
    found = [copper.advance(start, time=time) for time in TIMES]
    steps = Diffusion(COPPER, spacing=CELL, boundary=sides, method="explicit")
    rows = tuple(
        (
            f"{time:g} s",
            copper.plan(start, time=time).method,
            f"{steps.plan(start, time=time).steps:,} explicit steps",
            float(field[SHAPE[0] // 2, SHAPE[1] // 2]),
        )
        for time, field in zip(TIMES, found, strict=True)
    )
    guide.say("Drawing the plate")
    return Chapter(
        "Heat in a plate with two held edges",
        (
            (
                f"A plate of copper, {SIZE[1]:g} by {SIZE[0]:g} cm, {START:g} °C warm. From now on "
                f"its left edge is kept at {HOT:g} °C and its upper one at {COLD:g} °C; the other "
                "two let no heat through. What the lines of equal temperature do at the edges "
                "shows it: they fan out of the corner between the held ones and meet the others "
                "at a right angle."
            ),
            _maps(found),
            Table(
                "The middle of the plate",
                ("Time", "Method that was chosen", "Instead of", "°C"),
                rows,
                printed=True,
            ),
            (
                "Nobody has to know the longest stable step, or the method: given a time and a "
                "tolerance, numfuse takes the cheapest method that keeps to it. "
                f"{copper.plan(start, time=TIMES[-1]).why}"
            ),
        ),
    )


def _maps(found: list[NDArray[Any]]) -> Picture:
    def drawn(*, narrow: bool) -> bytes:
        return draw_fields.panels(
            found,
            [f"{time:g} s" for time in TIMES],
            size=SIZE,
            unit="cm",
            label="temperature (°C), a line for each 10",
            norm=Normalize(COLD, HOT),
            colormap="inferno",
            lines=np.arange(10, 100, 10).tolist(),
            narrow=narrow,
        )

    return Picture(
        "Four times",
        "Heat comes in from the left and leaves at the top, until both are equal and nothing "
        "changes any more.",
        "Four maps of the plate: at first warm and cold only along the left and the upper edge, "
        "in the end lines of equal temperature that fan out of the corner between the two.",
        drawn(narrow=False),
        drawn(narrow=True),
    )
