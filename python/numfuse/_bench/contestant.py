"""What a contestant's child does: takes a case, answers it, and takes timed turns at it.

The engine itself is a module of `peers` with four names: ``versions()``, ``settle(threads)``,
``prepare(case, inputs)`` -> a call without arguments, and ``to_numpy(result)``.
"""

import itertools
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from . import cases
from .child import Handler

# Calls shorter than this are timed many at once: reading the clock costs about 0.05 µs.
SHORTEST_SAMPLE = 100e-6


def handlers(engine: ModuleType, threads: int) -> dict[str, Handler]:
    """Return the requests that a contestant understands."""
    engine.settle(threads)
    prepared: list[Callable[[], object]] = []
    last_call: list[float] = []

    def hello() -> dict[str, Any]:
        return {"versions": engine.versions()}

    def prepare(case: str, folder: str) -> dict[str, Any]:
        forget()
        prepared.append(engine.prepare(cases.named(case), read_arrays(Path(folder))))
        return {}

    def answer(path: str) -> dict[str, Any]:
        start = time.perf_counter()
        result = prepared[0]()
        last_call[:] = [time.perf_counter() - start]
        np.save(path, engine.to_numpy(result))
        return {}

    def turn(seconds: float, warm_up: bool = True) -> dict[str, Any]:
        # What a warm-up brings back is far less than a call that fills the turn.
        took = measure(prepared[0], seconds, warm_up=warm_up and last_call < [seconds])
        last_call[:] = [took]
        return {"seconds": took}

    def forget() -> dict[str, Any]:
        prepared.clear()
        last_call.clear()
        return {}

    return {
        "hello": hello,
        "prepare": prepare,
        "answer": answer,
        "turn": turn,
        "forget": forget,
    }


def measure(call: Callable[[], object], seconds: float, *, warm_up: bool = True) -> float:
    """Median time of one call, from samples that fill `seconds` after a warm-up.

    The warm-up is one call at least, and a tenth of the turn if calls are short.
    """
    count = 1
    if warm_up:
        took = _sample(call, 1)
        end = time.perf_counter() + 0.1 * seconds
        while time.perf_counter() < end:
            count = max(1, round(SHORTEST_SAMPLE / took))
            took = _sample(call, count)
    samples: list[float] = []
    end = time.perf_counter() + seconds
    while not samples or time.perf_counter() < end:
        samples.append(_sample(call, count))
    return statistics.median(samples)


def _sample(call: Callable[[], object], count: int) -> float:
    """Mean time of `count` calls."""
    start = time.perf_counter()
    for _ in itertools.repeat(None, count):
        call()
    return (time.perf_counter() - start) / count


def read_arrays(folder: Path) -> dict[str, cases.Array]:
    """Read the inputs that the judge dealt into memory of this process."""
    return {path.stem: np.load(path) for path in sorted(folder.glob("*.npy"))}
