"""What tests of models need and a machine may lack: a skip with its reason; a failure under CI."""

import importlib
import os

import pytest

from numfuse.models import minilm_folder


def absent(reason):
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason, allow_module_level=True)


def needed(module):
    """Import a module that the tests cannot do without."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        return absent(f"{error}: pip install numfuse[tour]")


def needed_minilm_folder():
    """Find the real weights."""
    try:
        return minilm_folder()
    except FileNotFoundError as error:
        return absent(str(error))
