"""numfuse where the method is explicit, as it has to be without a tolerance."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import numfuse
from numfuse._bench.case import Array, Case
from numfuse._bench.child import RefusalError
from numfuse._bench.diffusion import Certified

from . import numfuse as ours

versions = ours.versions
settle = ours.settle
to_numpy = ours.to_numpy


def prepare(case: Case, inputs: dict[str, Array]) -> Callable[[], Any]:
    """Prepare the problem."""
    if not isinstance(case, Certified):
        raise RefusalError("what a tolerance chooses only")
    problem = numfuse.Diffusion(inputs["diffusivity"], axes=(1, 2), method="explicit")
    out = np.empty_like(inputs["field"])
    return partial(problem.advance, inputs["field"], time=float(inputs["time"]), out=out)
