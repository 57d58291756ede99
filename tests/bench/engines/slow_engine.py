"""Answers rightly after sleeping for 0.012 s."""

import time

import exact_engine
from exact_engine import settle, to_numpy, versions  # noqa: F401


def prepare(case, inputs):
    right = exact_engine.prepare(case, inputs)

    def call():
        time.sleep(0.012)
        return right()

    return call
