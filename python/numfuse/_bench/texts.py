"""Real sentences for the model's cases: docstrings of NumPy and of the standard library."""

import argparse
import inspect
import json
import logging
import pathlib
import statistics
import textwrap
import warnings

import numpy as np

SENTENCE = "The cat sat on the mat."
_MODULES = (
    np,
    np.linalg,
    statistics,
    textwrap,
    argparse,
    json,
    logging,
    pathlib,
    inspect,
)


def documents(count: int) -> list[str]:
    """`count` paragraphs, evenly spaced in the first thousand after sorting those by length."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some names are there only to say that they went away
        paragraphs = [
            paragraph.strip()
            for module in _MODULES
            for name in dir(module)
            for paragraph in (inspect.getdoc(getattr(module, name)) or "").split("\n\n")
            if 20 < len(paragraph) < 1200
        ][:1000]
    paragraphs.sort(key=len)
    return [paragraphs[i * len(paragraphs) // count] for i in range(count)]
