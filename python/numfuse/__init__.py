"""Fused kernels for NumPy.

The functions are here; the submodules are imported when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ._config import config_context, get_config, set_config, show_versions
from ._errors import InternalError
from ._version import __version__

if TYPE_CHECKING:
    from . import reference

__all__ = [
    "InternalError",
    "__version__",
    "config_context",
    "get_config",
    "reference",
    "set_config",
    "show_versions",
]

_SUBMODULES = ("reference",)


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES})
