"""py-pde: its Euler stepper compiled by numba, insulated sides, no tracker.

https://py-pde.readthedocs.io/en/latest/manual/performance.html
https://py-pde.readthedocs.io/en/latest/packages/pde.solvers.html
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pde

from numfuse._bench.case import Array, Case
from numfuse._bench.child import RefusalError
from numfuse._bench.diffusion import Heat


def versions() -> dict[str, str]:
    """State the release."""
    return {"py-pde": str(pde.__version__)}


def settle(threads: int) -> None:
    """Size numba's pool."""
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))


def prepare(case: Case, inputs: dict[str, Array]) -> Callable[[], Any]:
    """Make a compiled stepper; where the first call counts, that is left to it."""
    assert isinstance(case, Heat)
    if case.shape != (512, 512):
        raise RefusalError("measured at 512² only")
    grid = pde.CartesianGrid([(0, length) for length in case.shape], case.shape)
    state = pde.ScalarField(grid, inputs["field"], dtype=np.dtype(case.dtype))
    equation = pde.DiffusionPDE(1.0, bc={"derivative": 0})
    # A fraction of a step less, so that rounding cannot make it one step more.
    end = (case.steps - 1e-3) * case.dt
    if case.first_call:
        return lambda: equation.solve(
            state, t_range=end, dt=case.dt, solver="euler", backend="numba", tracker=None
        )
    solver = pde.solvers.EulerSolver(equation, backend="numba")
    stepper = solver.make_stepper(state, dt=case.dt)

    def advance() -> Any:
        after = state.copy()
        stepper(after, 0.0, end)
        return after

    return advance


def to_numpy(result: Any) -> Array:
    """Take the field's values."""
    array: Array = result.data
    return array
