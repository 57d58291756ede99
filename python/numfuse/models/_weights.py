"""Reads model.safetensors; every tensor's name, shape and dtype is checked against config.json.

A dense layer is kept as one (inputs + 1, outputs) matrix: PyTorch's (outputs, inputs) weight
transposed, and its bias as the last row. The states carry a column of ones, so one matrix product
adds the bias too, and no extra pass over memory does.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._settings import Settings, existing

STORED = ("F64", "F32", "F16", "BF16")
MISMATCH = "take config.json and model.safetensors from one model"


@dataclass(frozen=True)
class Norm:
    """Weight and bias of a layer norm, each (hidden,)."""

    weight: NDArray[Any]
    bias: NDArray[Any]


@dataclass(frozen=True)
class Layer:
    """One transformer block; H is hidden, I is intermediate."""

    query_key_value: NDArray[Any]  # (H + 1, 3 H), the three projections side by side
    attention_output: NDArray[Any]  # (H + 1, H)
    attention_norm: Norm
    intermediate: NDArray[Any]  # (H + 1, I)
    output: NDArray[Any]  # (I + 1, H)
    output_norm: Norm


@dataclass(frozen=True)
class Weights:
    """All that the encoder multiplies by; `pooler` is None where the folder has none."""

    words: NDArray[Any]  # (vocabulary, H)
    positions: NDArray[Any]  # (usable positions, H), the embedding of token type 0 added
    embedding_norm: Norm
    layers: tuple[Layer, ...]
    pooler: NDArray[Any] | None  # (H + 1, H)


def read_weights(folder: Path, settings: Settings, dtype: np.dtype[Any]) -> Weights:
    """Read model.safetensors as `dtype`."""
    from safetensors import SafetensorError, safe_open

    path = existing(folder, "model.safetensors", "the weights")
    try:
        with safe_open(path, framework="numpy") as file:
            return _assemble(_Tensors(path, file, dtype), settings)
    except SafetensorError as error:
        with path.open("rb") as start:
            pointer = start.read(24).startswith(b"version https://git-lfs")
        way_out = (
            "it is only a Git LFS pointer: run git lfs pull"
            if pointer
            else "it is damaged or cut short: download it again"
        )
        raise OSError(f"{path} cannot be read by safetensors ({error}); {way_out}") from error


class _Tensors:
    """The tensors of one file, whatever prefix (bert., roberta., none) their names have."""

    def __init__(self, path: Path, file: Any, dtype: np.dtype[Any]) -> None:
        self._path, self._file, self._dtype = path, file, dtype
        self._names = set(file.keys())
        anchor = "embeddings.word_embeddings.weight"
        matches = [name for name in self._names if name.endswith(anchor)]
        self._prefix = min(matches, key=len, default=anchor).removesuffix(anchor)

    def has(self, key: str) -> bool:
        return self._prefix + key in self._names

    def get(self, key: str, *shape: int) -> NDArray[Any]:
        """Return one tensor in the encoder's dtype."""
        name = self._prefix + key
        if name not in self._names:
            raise ValueError(
                f"{self._path} has no tensor {name}; config.json asks for one of shape {shape}: "
                + MISMATCH
            )
        part = self._file.get_slice(name)
        given, stored = tuple(part.get_shape()), part.get_dtype()
        if given != shape:
            raise ValueError(
                f"{self._path}: {name} has shape {given}; config.json asks for {shape}: " + MISMATCH
            )
        if stored not in STORED:
            raise ValueError(
                f"{self._path}: {name} is stored as {stored}; supported: {', '.join(STORED)}"
            )
        tensor = self._bfloat16(name) if stored == "BF16" else self._file.get_tensor(name)
        return np.asarray(tensor, self._dtype).reshape(shape)

    def _bfloat16(self, name: str) -> NDArray[np.float32]:
        """Return what NumPy has no dtype for: the bits are the upper half of a float32."""
        with self._path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            start, end = json.loads(file.read(length))[name]["data_offsets"]
            file.seek(8 + length + start)
            bits = np.frombuffer(file.read(end - start), "<u2")
        return (bits.astype(np.uint32) << 16).view(np.float32)

    def dense(self, key: str, outputs: int, inputs: int) -> NDArray[Any]:
        """Return a dense layer as one (inputs + 1, outputs) matrix, the bias its last row."""
        matrix = np.empty((inputs + 1, outputs), self._dtype)
        matrix[:-1] = self.get(f"{key}.weight", outputs, inputs).T
        matrix[-1] = self.get(f"{key}.bias", outputs)
        return matrix

    def norm(self, key: str, hidden: int) -> Norm:
        """Return a layer norm; folders converted from TensorFlow say gamma and beta."""
        weight, bias = ("gamma", "beta") if self.has(f"{key}.gamma") else ("weight", "bias")
        return Norm(self.get(f"{key}.{weight}", hidden), self.get(f"{key}.{bias}", hidden))


def _assemble(tensors: _Tensors, settings: Settings) -> Weights:
    hidden = settings.hidden
    words = tensors.get("embeddings.word_embeddings.weight", settings.vocabulary, hidden)
    positions = tensors.get("embeddings.position_embeddings.weight", settings.positions, hidden)
    types = tensors.get("embeddings.token_type_embeddings.weight", settings.token_types, hidden)
    pooler = None
    if tensors.has("pooler.dense.weight"):
        pooler = tensors.dense("pooler.dense", hidden, hidden)
    return Weights(
        words=words,
        positions=positions[settings.first_position :] + types[0],
        embedding_norm=tensors.norm("embeddings.LayerNorm", hidden),
        layers=tuple(_layer(tensors, index, settings) for index in range(settings.layers)),
        pooler=pooler,
    )


def _layer(tensors: _Tensors, index: int, settings: Settings) -> Layer:
    key, hidden, intermediate = f"encoder.layer.{index}", settings.hidden, settings.intermediate
    projections = [
        tensors.dense(f"{key}.attention.self.{name}", hidden, hidden)
        for name in ("query", "key", "value")
    ]
    return Layer(
        query_key_value=np.concatenate(projections, axis=1),
        attention_output=tensors.dense(f"{key}.attention.output.dense", hidden, hidden),
        attention_norm=tensors.norm(f"{key}.attention.output.LayerNorm", hidden),
        intermediate=tensors.dense(f"{key}.intermediate.dense", intermediate, hidden),
        output=tensors.dense(f"{key}.output.dense", hidden, intermediate),
        output_norm=tensors.norm(f"{key}.output.LayerNorm", hidden),
    )
