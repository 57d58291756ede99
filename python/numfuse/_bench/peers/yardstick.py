"""What the machine itself can do: NumPy's matrix product, and summing memory with every thread."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from numfuse._bench.case import Array, Case, Yardstick

ORDER = 2048
BYTES = 256 * 2**20
# A row of the summed table: its sums stay in the first-level cache.
COLUMNS = 4096

_threads = 1


def amount(yardstick: Yardstick) -> float:
    """Return the FLOPs or bytes of one call."""
    return float(BYTES) if yardstick == "read" else 2.0 * ORDER**3


def versions() -> dict[str, str]:
    """State nothing: NumPy's own engine does."""
    return {}


def settle(threads: int) -> None:
    """Keep it for the sum; NumPy's BLAS has read the environment."""
    global _threads
    _threads = threads


def prepare(case: Case, inputs: dict[str, Array]) -> Callable[[], Any]:
    """Take the case's yardstick: the inputs are not used."""
    if case.yardstick == "read":
        return _read()
    dtype = np.float64 if case.yardstick == "dgemm" else np.float32
    generator = np.random.default_rng(0)
    a, b = (generator.standard_normal((ORDER, ORDER)).astype(dtype) for _ in range(2))
    out = np.empty_like(a)
    return lambda: np.matmul(a, b, out=out)


def _read() -> Callable[[], Any]:
    """Each thread adds the rows of its part of a float32 table: NumPy's fastest way to sum one."""
    table = np.ones((BYTES // 4 // COLUMNS, COLUMNS), np.float32)
    parts = np.array_split(table, _threads)
    pool = ThreadPoolExecutor(_threads)
    return lambda: list(pool.map(_column_sums, parts))


def _column_sums(part: Array) -> Any:
    return part.sum(axis=0)


def to_numpy(result: Any) -> Array:
    """Return it: it is not judged."""
    return np.asarray(result)
