"""Real sentences, from the docstrings of the standard library."""

import argparse
import collections
import email.message
import inspect
import json
import logging
import pathlib
import re
import statistics
import textwrap
import threading
from itertools import islice

MODULES = (
    statistics,
    pathlib,
    textwrap,
    argparse,
    json,
    logging,
    collections,
    threading,
    email.message,
)


def sentences(count):
    """The first `count` sentences of 30 to 160 characters, each once."""
    return list(islice(_all(), count))


def _all():
    seen = set()
    for module in MODULES:
        for documented in (module, *(value for _, value in inspect.getmembers(module))):
            text = " ".join((inspect.getdoc(documented) or "").split())
            for sentence in re.split(r"(?<=[.!?]) ", text):
                if 30 <= len(sentence) <= 160 and ">>>" not in sentence and sentence not in seen:
                    seen.add(sentence)
                    yield sentence
