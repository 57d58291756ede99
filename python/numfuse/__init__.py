"""Fused kernels for NumPy.

The functions are here; the submodules `compat`, `layers`, `models`, `plot`, `reference` and
`sklearn` are imported when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ._attention import AttentionResult, attention, attention_weights
from ._config import config_context, get_config, set_config, show_versions
from ._diffusion import Diffusion, Plan, diffuse
from ._diffusion_image import diffuse_image
from ._diffusion_laplacian import laplacian
from ._errors import ConvergenceWarning, InternalError, NotFittedError
from ._merge import merge_attention
from ._rotary import rotary
from ._version import __version__

if TYPE_CHECKING:
    from . import compat as compat
    from . import layers as layers
    from . import models as models
    from . import plot as plot
    from . import reference as reference
    from . import sklearn as sklearn
    from ._finetune import LinearHead
    from ._finetune_sweep import HeadSweep
    from ._lowrank import LowRankAdapter

__all__ = [
    "AttentionResult",
    "ConvergenceWarning",
    "Diffusion",
    "HeadSweep",
    "InternalError",
    "LinearHead",
    "LowRankAdapter",
    "NotFittedError",
    "Plan",
    "__version__",
    "attention",
    "attention_weights",
    "config_context",
    "diffuse",
    "diffuse_image",
    "get_config",
    "laplacian",
    "merge_attention",
    "rotary",
    "set_config",
    "show_versions",
]

_SUBMODULES = ("compat", "layers", "models", "plot", "reference", "sklearn")
# Where heads are defined: imported at their first use, so that attention does not wait for them.
_LAZY = {
    "HeadSweep": "_finetune_sweep",
    "LinearHead": "_finetune",
    "LowRankAdapter": "_lowrank",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_SUBMODULES})
