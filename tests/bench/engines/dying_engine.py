"""Answers rightly once; then its process is gone."""

import os
import sys

import exact_engine
from exact_engine import settle, to_numpy, versions  # noqa: F401


def prepare(case, inputs):
    right = exact_engine.prepare(case, inputs)
    calls = []

    def call():
        calls.append(1)
        if len(calls) > 1:
            print("out of luck", file=sys.stderr, flush=True)
            os._exit(3)
        return right()

    return call
