"""The one door to the compiled extension: loads it, or says why it cannot be loaded.

`kernels` is the extension module. It is loaded at its first use, not when this file is imported, so
that a process with ``NUMFUSE_BACKEND=numpy`` never loads it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import _numfuse as kernels

__all__ = ["kernels", "load", "loaded"]


def loaded() -> bool:
    """Whether the extension is loaded."""
    return "kernels" in globals()


def load() -> None:
    """Load the extension, so that ``_native.kernels`` is an ordinary global from here on.

    Raises
    ------
    ImportError
        If the extension is missing, was built for another machine, or refuses ``NUMFUSE_ISA``.
    """
    if loaded():
        return
    try:
        globals()["kernels"] = importlib.import_module("numfuse._numfuse")
    except ImportError as error:
        raise ImportError(
            f"numfuse's compiled kernels cannot be loaded: {error}. Reinstall numfuse for this "
            "Python and machine, or set the environment variable NUMFUSE_BACKEND=numpy to run the "
            "plain NumPy reference instead.",
            name=error.name,
            path=error.path,
        ) from error


def __getattr__(name: str) -> Any:
    if name == "kernels":
        load()
        return globals()["kernels"]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
