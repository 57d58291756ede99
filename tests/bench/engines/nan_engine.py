"""Answers rightly but for one NaN."""

import exact_engine
from exact_engine import settle, to_numpy, versions  # noqa: F401


def prepare(case, inputs):
    answer = exact_engine.prepare(case, inputs)().copy()
    answer[7, 3] = float("nan")
    return lambda: answer
