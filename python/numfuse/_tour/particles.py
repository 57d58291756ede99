"""Chapter: particles in a medium of layers that let them pass more or less easily."""

from typing import Any

import numpy as np
from matplotlib.colors import LogNorm
from numpy.typing import NDArray

from numfuse import Diffusion

from . import draw_fields
from .chapter import Chapter, Guide, Picture, Table

CELL = 0.05  # cm
WIDTH = 240  # cells
LAYERS = (("sand", 1.0, 40), ("clay", 0.03, 30), ("sand", 1.0, 40), ("silt", 0.2, 50))
TIMES = (0.5, 4.0, 24.0)  # h


def particles(guide: Guide) -> Chapter:
    """Release particles in the first layer and look where they are."""
    guide.say("Particles in layers")
    depths = np.cumsum([0, *(cells for _, _, cells in LAYERS)]) * CELL
    bands = [
        (float(start), float(end), name)
        for start, end, (name, _, _) in zip(depths, depths[1:], LAYERS, strict=False)
    ]
    column = np.concatenate([np.full(cells, rate) for _, rate, cells in LAYERS])
    diffusivity = np.repeat(column[:, None], WIDTH, axis=1)
    medium = Diffusion(diffusivity, spacing=CELL)
    density = np.zeros(diffusivity.shape)
    density[19:21, WIDTH // 2 - 1 : WIDTH // 2 + 1] = 1 / (4 * CELL**2)  # all are 1

    found, before = [], 0.0
    for time in TIMES:
        density = medium.advance(density, time=time - before)
        found.append(density)
        before = time
    guide.say("Drawing the particles")
    plan = medium.plan(density, time=TIMES[-1])
    shares = [_shares(density) for density in found]
    rows: tuple[tuple[str | float, ...], ...] = tuple(
        (
            f"{number}. {name}, {bands[number - 1][0]:g} to {bands[number - 1][1]:g} cm",
            f"{rate:g} cm²/h",
            *(float(100 * share[number - 1]) for share in shares),
        )
        for number, (name, rate, _) in enumerate(LAYERS, start=1)
    )
    return Chapter(
        "Particles in layers",
        (
            (
                "Particles are released at one point of a sand that lies on clay, which lies on "
                "sand again and silt. Each wanders at random; their density diffuses, thirty "
                f"times more slowly in one layer than in another: {_rates()}. Between two "
                "layers, what leaves one enters the other, through a face whose coefficient is "
                "the harmonic mean of theirs, as for resistances in a row."
            ),
            _maps(found, bands),
            _profiles(found, bands),
            Table(
                "Share of the particles in each layer, %",
                ("Layer", "Diffusivity", *(f"after {time:g} h" for time in TIMES)),
                rows,
                printed=True,
            ),
            f"How numfuse went the {TIMES[-1]:g} hours, in its own words: {plan.why}",
        ),
    )


def _rates() -> str:
    words = [f"{name} {rate:g}" for name, rate, _ in LAYERS]
    return ", ".join(words[:-1]) + f" and {words[-1]} cm²/h"


def _shares(density: NDArray[Any]) -> NDArray[Any]:
    ends = np.cumsum([cells for _, _, cells in LAYERS])[:-1]
    rows = density.sum(axis=1) * CELL**2
    return np.array([part.sum() for part in np.split(rows, ends)])


def _maps(found: list[NDArray[Any]], bands: list[tuple[float, float, str]]) -> Picture:
    def drawn(*, narrow: bool) -> bytes:
        return draw_fields.panels(
            [np.clip(density, 1e-12, None) for density in found],
            [f"{time:g} h" for time in TIMES],
            size=(bands[-1][1], WIDTH * CELL),
            unit="cm",
            label="share of the particles on a cm² (logarithmic)",
            norm=LogNorm(vmin=1e-4, vmax=0.3, clip=True),
            colormap="YlGnBu_r",
            marks=[start for start, _, _ in bands[1:]],
            narrow=narrow,
        )

    return Picture(
        "Where they are",
        "Dashed lines part the layers. Above, the sand fills within hours; the clay lets few "
        "through, and those who made it spread quickly again.",
        f"Three maps of the layers after {', '.join(f'{time:g}' for time in TIMES)} hours: a "
        "bright spot in the top layer, dark below the clay at first, evenly bright above in the "
        "end.",
        drawn(narrow=False),
        drawn(narrow=True),
    )


def _profiles(found: list[NDArray[Any]], bands: list[tuple[float, float, str]]) -> Picture:
    lines = [density.sum(axis=1) * CELL for density in found]
    places = (np.arange(len(lines[0])) + 0.5) * CELL

    def drawn(*, narrow: bool) -> bytes:
        return draw_fields.profiles(
            places,
            lines,
            [f"{time:g} h" for time in TIMES],
            bands,
            x_label="depth (cm)",
            y_label="share on a cm of depth",
            narrow=narrow,
        )

    return Picture(
        "The same by depth",
        "Within clay the density falls steeply, since the same flow needs a steeper fall there: "
        "at a border the line has a kink, and no jump.",
        "Three lines of density over depth with kinks at the borders of the layers: high in the "
        "first, falling through the clay, low and flat below.",
        drawn(narrow=False),
        drawn(narrow=True),
    )
