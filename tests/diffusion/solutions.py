"""Solutions known beforehand, with what has to be given so that they solve the equation.

Along an axis of length 1: g(x) = cos(ax + b)·exp(c·cos(ωx + φ)), smooth and no eigenfunction of
anything. With a source that balances it, g stays for ever; what is added to it at the start,

    u(x, t) = g(x) + φ(x)·exp(−(D·κ² + decay)·t),

decays, φ being a mode that meets the sides' conditions with zeros in place of their numbers.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass
class Profile:
    """g of one axis with its derivatives."""

    a: float = 1.0
    b: float = 0.4
    c: float = 0.5
    omega: float = 2.0
    phi: float = 0.3

    def parts(self, x):
        wave, bell = np.cos(self.a * x + self.b), np.exp(self.c * np.cos(self.omega * x + self.phi))
        wave_slope = -self.a * np.sin(self.a * x + self.b)
        bell_slope = -self.c * self.omega * np.sin(self.omega * x + self.phi) * bell
        return wave, bell, wave_slope, bell_slope

    def value(self, x):
        wave, bell, _, _ = self.parts(x)
        return wave * bell

    def slope(self, x):
        wave, bell, wave_slope, bell_slope = self.parts(x)
        return wave_slope * bell + wave * bell_slope

    def curvature(self, x):
        wave, bell, wave_slope, bell_slope = self.parts(x)
        s, c = np.sin(self.omega * x + self.phi), np.cos(self.omega * x + self.phi)
        bell_curvature = self.omega**2 * ((self.c * s) ** 2 - self.c * c) * bell
        return -(self.a**2) * wave * bell + 2 * wave_slope * bell_slope + wave * bell_curvature


# Of the first: a = κ·tan(κ/2) with b = 1 holds for cos κ(x − ½) on both sides.
KAPPA = 1.3
ROBIN = KAPPA * np.tan(KAPPA / 2)
# A pair "flat" has g = 1 and no mode. For each pair of sides: a profile, κ and phase of the mode cos(κx + phase). Orders above 2 take
# the first five, whose profiles continue as the sides' mirrors do.
AXES = {
    "periodic, periodic": (Profile(0.0, 0.0, 0.7, 2 * np.pi, 0.6), 2 * np.pi, 0.5),
    "insulated, insulated": (Profile(0.0, 0.0, 0.8, np.pi, 0.0), np.pi, 0.0),
    "zero, zero": (Profile(np.pi, -np.pi / 2, 0.8, np.pi, 0.0), np.pi, -np.pi / 2),
    "insulated, zero": (Profile(np.pi / 2, 0.0, 0.8, np.pi, 0.0), np.pi / 2, 0.0),
    "zero, insulated": (Profile(np.pi / 2, -np.pi / 2, 0.8, np.pi, 0.0), np.pi / 2, -np.pi / 2),
    "value, value": (Profile(), np.pi, -np.pi / 2),
    "flux, flux": (Profile(), np.pi, 0.0),
    "flux, value": (Profile(), np.pi / 2, 0.0),
    "value, flux": (Profile(), np.pi / 2, -np.pi / 2),
    "robin, robin": (Profile(), KAPPA, -KAPPA / 2),
    "flat": (Profile(0.0, 0.0, 0.0, 0.0, 0.0), 0.0, 0.0),
}
PAIRS = list(AXES)[:-1]
MIRRORED = list(AXES)[:5]
SPECTRAL = list(AXES)[:6]


@dataclass
class Solution:
    """A solution on a box of sides 1: one entry of AXES for each axis; `mode` is its part that decays."""

    axes: tuple[str, ...]
    diffusivity: tuple[float, ...]
    decay: float = 0.5
    mode: float = 1.0

    def centres(self, shape):
        """Coordinates of the cells, as arrays that broadcast to the grid."""
        lines = [(np.arange(n) + 0.5) / n for n in shape]
        return np.meshgrid(*lines, indexing="ij", sparse=True)

    def at(self, places, time):
        profiles = [AXES[name] for name in self.axes]
        steady = np.prod(
            np.broadcast_arrays(
                *(g.value(x) for (g, _, _), x in zip(profiles, places, strict=True))
            ),
            axis=0,
        )
        mode, rate = self.mode, self.decay
        for (_, kappa, phase), x, D in zip(profiles, places, self.diffusivity, strict=True):
            mode = mode * np.cos(kappa * x + phase)
            rate += D * kappa**2
        return steady + mode * np.exp(-rate * time)

    def source(self, shape):
        """decay·g − ∇·(D∇g) at the centres."""
        places = self.centres(shape)
        profiles = [AXES[name][0] for name in self.axes]
        values = [g.value(x) for g, x in zip(profiles, places, strict=True)]
        total = self.decay * np.prod(np.broadcast_arrays(*values), axis=0)
        for axis, (g, x) in enumerate(zip(profiles, places, strict=True)):
            parts = [*values[:axis], g.curvature(x), *values[axis + 1 :]]
            total = total - self.diffusivity[axis] * np.prod(np.broadcast_arrays(*parts), axis=0)
        return total

    def boundary(self, shape) -> dict[Any, Any]:
        """Sides by key: arrays along the face in two and three dimensions."""
        places, sides = self.centres(shape), {}
        for axis, name in enumerate(self.axes):
            if name.startswith("periodic"):
                sides[axis] = "periodic"
            if name.startswith(("periodic", "flat")):
                continue
            others = [
                AXES[self.axes[k]][0].value(np.squeeze(places[k], axis))
                for k in range(len(shape))
                if k != axis
            ]
            along = np.prod(np.broadcast_arrays(*others), axis=0) if others else 1.0
            g = AXES[name][0]
            for end, kind in enumerate(name.split(", ")):
                value = g.value(float(end)) * along
                slope = (1 if end else -1) * g.slope(float(end)) * along  # outwards
                sides[axis, ("low", "high")[end]] = {
                    "insulated": "insulated",
                    "zero": ("value", 0.0),
                    "value": ("value", value),
                    "flux": ("flux", self.diffusivity[axis] * slope),
                    "robin": ("robin", ROBIN, 1.0, ROBIN * value + slope),
                }[kind]
        return sides
