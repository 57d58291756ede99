"""Devito: a symbolic update compiled to C with OpenMP for one grid.

The sides are insulated: the grid has a margin of half the order, into which each step mirrors the
cells beside the side; with varying coefficients, outer faces are 0 and need none. Steps go on from
where the call before ended, as they do in Devito's tutorials.

https://www.devitoproject.org/examples/cfd/05_laplace.html
https://www.devitoproject.org/examples/performance/00_overview.html
"""

from collections.abc import Callable
from typing import Any

import devito
import numpy as np

from numfuse._bench.case import Array, Case
from numfuse._bench.child import RefusalError
from numfuse._bench.diffusion import Heat

from ._faces import lower_faces


def versions() -> dict[str, str]:
    """State the release."""
    return {"devito": str(devito.__version__)}


def settle(threads: int) -> None:
    """Choose OpenMP, which has read the number of threads from the environment."""
    devito.configuration["language"] = "openmp"
    devito.configuration["log-level"] = "ERROR"


def prepare(case: Case, inputs: dict[str, Array]) -> Callable[[], Any]:
    """Compile the operator, and fill its first buffer."""
    assert isinstance(case, Heat)
    if case.first_call:
        raise RefusalError("keeps compiled code for later processes")
    pad = 0 if case.variable else case.order // 2
    grid = devito.Grid(
        shape=tuple(length + 2 * pad for length in case.shape),
        extent=tuple(length + 2 * pad - 1 for length in case.shape),
        dtype=np.dtype(case.dtype).type,
    )
    u = devito.TimeFunction(name="u", grid=grid, space_order=case.order)
    if case.variable:
        equations = [_varying(u, inputs["diffusivity"], case.dt)]
    else:
        inner = _Inner(pad, grid=grid)
        laplacian = case.dt * u.laplace
        equations = [devito.Eq(u.forward, u + laplacian, subdomain=inner), *_mirrors(u, pad)]
    operator = devito.Operator(equations, subs=grid.spacing_map)
    inside = tuple(slice(pad, pad + length) for length in case.shape)
    u.data[0] = np.pad(inputs["field"], pad, mode="symmetric") if pad else inputs["field"]

    def advance() -> Array:
        operator.apply(time_m=0, time_M=case.steps - 1)
        array: Array = u.data[case.steps % 2][inside]
        return array

    return advance


class _Inner(devito.SubDomain):  # type: ignore[misc]
    """The grid without its margin."""

    name = "inner"

    def __init__(self, pad: int, **keywords: Any) -> None:
        self._pad = pad
        super().__init__(**keywords)

    def define(self, dimensions: Any) -> dict[Any, Any]:
        return dict.fromkeys(dimensions, ("middle", self._pad, self._pad))


def _mirrors(u: Any, pad: int) -> list[Any]:
    """Copy the cells beside each side into the margin, in reverse."""
    equations = []
    for axis, dimension in enumerate(u.grid.dimensions):
        length = u.grid.shape[axis]
        for k in range(pad):
            for target, source in (
                (pad - 1 - k, pad + k),
                (length - pad + k, length - pad - 1 - k),
            ):
                equations.append(
                    devito.Eq(u.forward.subs(dimension, target), u.forward.subs(dimension, source))
                )
    return equations


def _varying(u: Any, diffusivity: Array, dt: float) -> Any:
    """Let each cell gain what its faces carry."""
    gains = 0
    for axis, dimension in enumerate(u.grid.dimensions):
        lower = devito.Function(name=f"face{axis}", grid=u.grid, space_order=2)
        lower.data[:] = lower_faces(diffusivity, axis, dt)
        step = dimension.spacing
        gains += lower * (u.subs(dimension, dimension - step) - u)
        upper = lower.subs(dimension, dimension + step)
        gains += upper * (u.subs(dimension, dimension + step) - u)
    return devito.Eq(u.forward, u + gains)


def to_numpy(result: Array) -> Array:
    """Copy it: the next call writes there."""
    return np.array(result)
