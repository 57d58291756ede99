"""Reads the settings of a BERT-family folder; what is wrong with one is said by file and key.

config.json                               sizes and activation
modules.json, 1_Pooling/config.json       how sentence-transformers pools, if they are there
sentence_bert_config.json                 where sentence-transformers cuts a text, if it is there
tokenizer.json                            text to token ids, through the `tokenizers` library
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizers import Tokenizer

ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}
# Whether positions are numbered from pad_token_id + 1, as RoBERTa does, or from 0.
MODEL_TYPES = {"bert": False, "roberta": True, "xlm-roberta": True, "camembert": True}
POOLINGS = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
}
MODULES = ("Transformer", "Pooling", "Normalize")


@dataclass(frozen=True)
class Settings:
    """The numbers of config.json, and how a sentence is cut and pooled."""

    hidden: int
    layers: int
    heads: int
    intermediate: int
    positions: int
    first_position: int
    vocabulary: int
    token_types: int
    activation: str
    epsilon: float
    pooling: str
    max_length: int


def existing(folder: Path, name: str, why: str) -> Path:
    """Return the path of a file that must be there."""
    path = folder / name
    if not path.is_file():
        raise FileNotFoundError(f"{folder} has no {name} ({why}); {_way_out(folder, name)}")
    return path


def _way_out(folder: Path, name: str) -> str:
    if not folder.is_dir():
        return "there is no such folder: pass the path of a downloaded Hugging Face model"
    if name == "model.safetensors":
        if (folder / "model.safetensors.index.json").is_file():
            return (
                "the weights are in several files: load them with transformers, then "
                "save_pretrained(folder, max_shard_size='100GB')"
            )
        if (folder / "pytorch_model.bin").is_file():
            return (
                "it has pytorch_model.bin: load it with transformers, then "
                "save_pretrained(folder), which writes model.safetensors"
            )
    if name == "tokenizer.json":
        return (
            "make it with transformers: "
            "AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"
        )
    return "pass a folder that holds config.json, model.safetensors and tokenizer.json"


def read_settings(folder: Path) -> Settings:
    """Read and check config.json and the sentence-transformers files beside it."""
    path = existing(folder, "config.json", "the sizes of the model")
    raw = _read_object(path)

    model_type = raw.get("model_type", "bert")
    activation = raw.get("hidden_act", "gelu")
    position_type = raw.get("position_embedding_type", "absolute")
    _allowed(path, "model_type", model_type, MODEL_TYPES)
    _allowed(path, "hidden_act", activation, ACTIVATIONS)
    _allowed(path, "position_embedding_type", position_type, ("absolute",))
    if raw.get("is_decoder"):
        raise ValueError(f"{path}: is_decoder is true; supported: encoders, false")

    hidden, heads = _size(path, raw, "hidden_size"), _size(path, raw, "num_attention_heads")
    if hidden % heads:
        raise ValueError(
            f"{path}: num_attention_heads is {heads}, which does not divide hidden_size {hidden}"
        )
    epsilon = raw.get("layer_norm_eps", 1e-12)
    if isinstance(epsilon, bool) or not isinstance(epsilon, int | float) or not epsilon >= 0:
        raise ValueError(f"{path}: layer_norm_eps is {epsilon!r}; a number >= 0 is expected")

    positions = _size(path, raw, "max_position_embeddings")
    first_position = 0
    if MODEL_TYPES[model_type]:
        first_position = _size(path, {"pad_token_id": 1} | raw, "pad_token_id", least=0) + 1
    if first_position >= positions:
        raise ValueError(
            f"{path}: max_position_embeddings is {positions}; more than pad_token_id + 1 = "
            f"{first_position} are needed"
        )
    return Settings(
        hidden=hidden,
        layers=_size(path, raw, "num_hidden_layers"),
        heads=heads,
        intermediate=_size(path, raw, "intermediate_size"),
        positions=positions,
        first_position=first_position,
        vocabulary=_size(path, raw, "vocab_size"),
        token_types=_size(path, {"type_vocab_size": 2} | raw, "type_vocab_size"),
        activation=ACTIVATIONS[activation],
        epsilon=float(epsilon),
        pooling=_read_pooling(folder),
        max_length=_read_max_length(folder, positions - first_position),
    )


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON ({error}); download it again") from error


def _read_object(path: Path) -> dict[str, Any]:
    content = _read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}; a JSON object is expected")
    return content


def _allowed(path: Path, key: str, given: object, allowed: Iterable[str]) -> None:
    if not isinstance(given, str) or given not in allowed:
        raise ValueError(f"{path}: {key} is {given!r}; supported: {', '.join(allowed)}")


def _size(path: Path, raw: dict[str, Any], key: str, least: int = 1) -> int:
    value = raw.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        given = repr(value) if key in raw else "missing"
        raise ValueError(f"{path}: {key} is {given}; an integer >= {least} is expected")
    return value


def _read_pooling(folder: Path) -> str:
    """Return mean, cls or max as modules.json and its pooling module say; mean without them."""
    path = folder / "modules.json"
    if not path.is_file():
        return "mean"
    try:
        modules = [
            (module["type"].rpartition(".")[2], module["path"]) for module in _read_json(path)
        ]
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: a list of modules with type and path is expected") from error
    for kind, _ in modules:
        _allowed(path, "type", kind, MODULES)
    place = next((place for kind, place in modules if kind == "Pooling"), None)
    if place is None:
        return "mean"

    path = existing(folder, f"{place}/config.json", "modules.json names it")
    raw = _read_object(path)
    if "pooling_mode" in raw:
        _allowed(path, "pooling_mode", raw["pooling_mode"], POOLINGS.values())
        return str(raw["pooling_mode"])
    chosen = [key for key, value in raw.items() if key.startswith("pooling_mode_") and value]
    if len(chosen) != 1 or chosen[0] not in POOLINGS:
        raise ValueError(
            f"{path} chooses {', '.join(chosen) or 'no pooling mode'}; supported: exactly one "
            f"of {', '.join(POOLINGS)}"
        )
    return POOLINGS[chosen[0]]


def _read_max_length(folder: Path, usable: int) -> int:
    """Return the tokens a text is cut to, at most those that have a position."""
    path = folder / "sentence_bert_config.json"
    if not path.is_file():
        return usable
    raw = _read_object(path)
    if raw.get("max_seq_length") is None:
        return usable
    return min(_size(path, raw, "max_seq_length"), usable)


def read_tokenizer(folder: Path, settings: Settings) -> "Tokenizer":
    """Read tokenizer.json; the tokenizer neither pads nor truncates by itself."""
    from tokenizers import Tokenizer

    path = existing(folder, "tokenizer.json", "how text becomes tokens")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise ValueError(
            f"{path} cannot be read by tokenizers ({error}); download it again"
        ) from error
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    if largest >= settings.vocabulary:
        raise ValueError(
            f"{path} has token id {largest}, but vocab_size in config.json is "
            f"{settings.vocabulary}; take both files from one model"
        )
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
