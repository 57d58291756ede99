"""numfuse's reference: plain NumPy that defines what is right and is not written for speed.

The same calls as numfuse's own, in a process where ``NUMFUSE_BACKEND=numpy`` is set, so that the
kernels are never loaded. A case whose score matrices would not fit is refused,
and one that would take long.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from numfuse._bench.cases import Array, Attention, Case
from numfuse._bench.child import RefusalError
from numfuse._bench.diffusion import Heat
from numfuse._bench.finetune import Path as Penalties
from numfuse._bench.finetune import Tune

from . import numfuse as ours

versions = ours.versions
settle = ours.settle
to_numpy = ours.to_numpy

# Score, probability, and what stands between them, at the reference's peak.
SCORE_MATRICES = 5
# About a second.
MOST_UPDATES = 1e7


def prepare(case: Case, inputs: dict[str, Array]) -> Callable[[], Any]:
    """Prepare as numfuse does, if memory allows."""
    if isinstance(case, Attention):
        refuse_if_too_large(case, SCORE_MATRICES)
    if isinstance(case, Heat) and case.cells * case.steps > MOST_UPDATES:
        raise RefusalError("it would take too long")
    if isinstance(case, Penalties) or (isinstance(case, Tune) and case.outputs > 100):
        raise RefusalError("it would take too long")
    return ours.prepare(case, inputs)


def refuse_if_too_large(case: Attention, matrices: int) -> None:
    """Refuse what would take more than half of the memory that is free."""
    scores = max(case.batch, 1) * case.heads * case.queries * case.keys
    needed = matrices * scores * np.dtype(case.dtype).itemsize
    if needed > 0.5 * available_memory():
        raise RefusalError(f"its score matrices need {needed / 1e9:.1f} GB")


def available_memory() -> float:
    """Return the bytes that programs could still get, where the system tells (Linux)."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return float("inf")
    amounts = {name: words for name, _, words in (line.partition(":") for line in lines)}
    return 1024.0 * float(amounts["MemAvailable"].split()[0])
