"""Cases of diffusion: Euler steps on insulated boxes, and a step that a tolerance chooses.

Every contestant makes the same steps on cell-centred grids of spacing 1: a face between two cells
carries dt times its coefficient times their difference, and no face lies on the box. The work of a
`Heat` case is one update for each cell and step.

`Certified` asks for an answer within a tolerance instead: its truth is exact in time.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

import numfuse

from .case import Array, Case

# Field and coefficients have no smooth part to speak of, so that every wave takes part.
LEAST_DIFFUSIVITY, LARGEST_DIFFUSIVITY = 0.5, 1.5


@dataclass(frozen=True, kw_only=True)
class Heat(Case):
    """`steps` explicit Euler steps of a uniformly random field."""

    shape: tuple[int, ...]
    steps: int
    dt: float
    order: Literal[2, 8] = 2
    variable: bool = False
    cold: bool = False

    @property
    def family(self) -> str:
        return "diffusion"

    @property
    def kind(self) -> str:
        if self.cold:
            return "first call of diffusion"
        if self.variable:
            return "diffusion of varying coefficient"
        if self.order != 2:
            return f"diffusion of order {self.order}"
        return f"diffusion in {len(self.shape)}-D"

    @property
    def first_call(self) -> bool:
        return self.cold

    @property
    def cells(self) -> int:
        """How many cells the grid has."""
        return math.prod(self.shape)

    @property
    def work(self) -> tuple[float, str] | None:
        return None if self.cold else (float(self.cells) * self.steps, "update")

    def inputs(self) -> dict[str, Array]:
        generator = self.generator()
        arrays = {"field": generator.random(self.shape, np.dtype(self.dtype))}
        if self.variable:
            arrays["diffusivity"] = _diffusivity(generator, self.shape, self.dtype)
        return arrays


@dataclass(frozen=True, kw_only=True)
class Certified(Case):
    """Several fields after a time of `steps` explicit steps, within `tolerance` of the truth.

    The time is an input: `steps` times 0.8 of the largest stable step.
    """

    shape: tuple[int, int]
    fields: int
    steps: int
    tolerance: float

    @property
    def family(self) -> str:
        return "certified"

    def inputs(self) -> dict[str, Array]:
        """Fields from white noise, the first, to smooth, the last; and the time."""
        generator = self.generator()
        rows, columns = self.shape
        distance = np.hypot(
            np.fft.fftfreq(rows)[:, None] * rows, np.fft.rfftfreq(columns) * columns
        )
        fields = []
        for number in range(self.fields):
            waves = np.fft.rfft2(generator.standard_normal(self.shape))
            waves *= (1 + distance) ** (-2 * number / (self.fields - 1))
            field = np.fft.irfft2(waves, self.shape)
            fields.append(field / np.abs(field).max())
        field = np.array(fields, self.dtype)
        diffusivity = _diffusivity(generator, self.shape, self.dtype)
        stable = numfuse.Diffusion(diffusivity).stable_step(field[0])
        return {
            "field": field,
            "diffusivity": diffusivity,
            "time": np.array(self.steps * 0.8 * stable),
        }


def _diffusivity(generator: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
    spread = LARGEST_DIFFUSIVITY - LEAST_DIFFUSIVITY
    array: Array = LEAST_DIFFUSIVITY + spread * generator.random(shape)
    return array.astype(dtype)


def _heat(
    shape: tuple[int, ...],
    steps: int,
    *,
    order: Literal[2, 8] = 2,
    variable: bool = False,
    cold: bool = False,
    dtype: str = "float32",
    quick: bool = False,
) -> Heat:
    words = [
        *["varying"] * variable,
        *[f"order {order}"] * (order != 2),
        *["f64"] * (dtype == "float64"),
        *["first call"] * cold,
    ]
    size = "x".join(map(str, shape))
    power = f"{shape[0]}{'²³'[len(shape) - 2]}"
    return Heat(
        name="-".join(["heat", size, *words]).replace(" ", "-"),
        title=" ".join([f"heat {power}", *words]) + f", {steps} steps",
        dtype=dtype,
        quick=quick,
        shape=shape,
        steps=steps,
        # At most 0.8 of the largest stable step, which is 2 over the largest rate.
        dt={2: {2: 0.2, 3: 0.13}, 8: {3: 0.08}}[order][len(shape)] / (1.5 if variable else 1.0),
        order=order,
        variable=variable,
        cold=cold,
    )


def _certified(shape: tuple[int, int], steps: int, *, quick: bool = False) -> Certified:
    return Certified(
        name=f"certified-{shape[0]}x{shape[1]}",
        title=f"10 fields of {shape[0]}², {steps} explicit steps, error below 1e-4",
        quick=quick,
        shape=shape,
        fields=10,
        steps=steps,
        tolerance=1e-4,
    )


CASES: tuple[Heat | Certified, ...] = (
    _heat((256, 256), 100, quick=True),
    _heat((512, 512), 100),
    _heat((1024, 1024), 100),
    _heat((4096, 4096), 48),
    _heat((8192, 8192), 32),
    _heat((64, 64, 64), 100, quick=True),
    _heat((256, 256, 256), 32),
    _heat((512, 512, 512), 16),
    _heat((1024, 1024), 32, variable=True),
    _heat((4096, 4096), 48, variable=True),
    _heat((512, 512, 512), 8, order=8),
    _heat((4096, 4096), 48, dtype="float64"),
    _heat((256, 256, 256), 32, dtype="float64"),
    _heat((512, 512), 100, cold=True),
    _certified((128, 128), 2000, quick=True),
    _certified((1024, 1024), 2000),
)
