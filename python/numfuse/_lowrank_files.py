"""An adapter's files, as PEFT names them, and its tensors.

`adapter_config.json` has the scaling and the layer's name, `adapter_model.safetensors` A and B.
What PEFT has no name for, the activation, rides in the metadata of the head's own file.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _files, _safetensors

CONFIG, ADAPTER = "adapter_config.json", "adapter_model.safetensors"
HEAD = "head.safetensors"
PREFIX = "base_model.model."
KEY = "numfuse.adapter"
# What a configuration means that does not say.
USUAL: dict[str, Any] = {"lora_alpha": 8, "use_rslora": False, "lora_dropout": 0.0}


def write(
    folder: Path,
    module: str,
    parts: Mapping[str, NDArray[Any]],
    *,
    scaling: float,
    rslora: bool,
    dropout: float,
) -> None:
    """Write A and B of a layer, and what PEFT has to know of them."""
    rank = len(parts["A"])
    config = {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": None,
        "inference_mode": True,
        "r": rank,
        "lora_alpha": scaling * (math.sqrt(rank) if rslora else rank),
        "use_rslora": rslora,
        "lora_dropout": dropout,
        "target_modules": [module],
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
    }
    tensors = {f"{PREFIX}{module}.lora_{part}.weight": array for part, array in parts.items()}
    _safetensors.write(folder / ADAPTER, tensors, {"format": "pt"})
    with _files.replacing(folder / CONFIG) as file:
        file.write(json.dumps(config, indent=2).encode())


def read(folder: Path) -> tuple[dict[str, Any], NDArray[Any], NDArray[Any]]:
    """Return scaling and dropout as PEFT names them, A and B."""
    config = _config(folder / CONFIG)
    return config, *_tensors(folder / ADAPTER)


def add_activation(path: Path, activation: str | None) -> None:
    """Put the activation into a head's file."""
    tensors, metadata = _safetensors.read(path)
    metadata[KEY] = json.dumps({"version": 1, "activation": activation})
    _safetensors.write(path, tensors, metadata)


def activation(path: Path) -> str | None:
    """Return the activation before a head that was saved."""
    _, metadata = _safetensors.read(path)
    try:
        found = json.loads(metadata.get(KEY, "{}")).get("activation")
    except (ValueError, AttributeError):
        raise ValueError(f"{path} has damaged metadata; save it again.") from None
    return found if isinstance(found, str) else None


def _config(path: Path) -> dict[str, Any]:
    """Read PEFT's settings."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        kind = config["peft_type"]
        wanted = {name: config.get(name, usual) for name, usual in USUAL.items()}
    except (ValueError, KeyError, AttributeError, TypeError):
        raise ValueError(
            f"{path} is no adapter's configuration, or is damaged; give a folder that save() or "
            "PEFT's save_pretrained wrote."
        ) from None
    if kind != "LORA" or config.get("use_dora") or config.get("fan_in_fan_out"):
        raise ValueError(
            f"{path} is of the kind {kind!r}"
            + " with use_dora" * bool(config.get("use_dora"))
            + " with fan_in_fan_out" * bool(config.get("fan_in_fan_out"))
            + ', but only plain "LORA" is read.'
        )
    return wanted


def _tensors(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """Read A and B of the only layer."""
    tensors, _ = _safetensors.read(path)
    ending = ".lora_A.weight"
    modules = [name.removesuffix(ending) for name in tensors if name.endswith(ending)]
    if len(modules) != 1 or f"{modules[0]}.lora_B.weight" not in tensors or len(tensors) != 2:
        names = ", ".join(sorted(tensors)) or "no tensor"
        raise ValueError(
            f"{path} has {names}, but has to have lora_A.weight and lora_B.weight of one layer; "
            "save that layer's adapter alone."
        )
    A, B = tensors[f"{modules[0]}{ending}"], tensors[f"{modules[0]}.lora_B.weight"]
    if A.ndim != 2 or B.ndim != 2 or A.dtype.kind != "f" or B.dtype.kind != "f":
        raise ValueError(f"{path} has A {A.shape} of {A.dtype} and B {B.shape} of {B.dtype}.")
    dtype = np.promote_types(np.float32, np.promote_types(A.dtype, B.dtype))
    return A.astype(dtype), B.astype(dtype)
