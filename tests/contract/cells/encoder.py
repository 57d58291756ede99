"""What the contracts mean for `BertEncoder`: shown on a tiny encoder with random weights."""

import copy
import json
import pickle
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import numfuse

HIDDEN, HEADS, LAYERS, WIDE, LONGEST = 16, 2, 2, 32, 24
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cat", "sat", "on", "mat", "dog", "ran"]
TEXTS = ["the cat sat on the mat", "the dog ran", "cat", "on the mat the cat sat on the dog ran"]


def tensors():
    """Random weights under the names that Hugging Face gives them."""
    rng = np.random.default_rng(0)

    def normal(*shape):
        return (0.3 * rng.standard_normal(shape)).astype(np.float32)

    made = {
        "embeddings.word_embeddings.weight": normal(len(WORDS), HIDDEN),
        "embeddings.position_embeddings.weight": normal(LONGEST, HIDDEN),
        "embeddings.token_type_embeddings.weight": normal(2, HIDDEN),
    }

    def dense(name, outputs, inputs):
        made[f"{name}.weight"], made[f"{name}.bias"] = normal(outputs, inputs), normal(outputs)

    def norm(name):
        made[f"{name}.weight"], made[f"{name}.bias"] = 1 + normal(HIDDEN), normal(HIDDEN)

    norm("embeddings.LayerNorm")
    for layer in range(LAYERS):
        block = f"encoder.layer.{layer}"
        for name in ("query", "key", "value"):
            dense(f"{block}.attention.self.{name}", HIDDEN, HIDDEN)
        dense(f"{block}.attention.output.dense", HIDDEN, HIDDEN)
        norm(f"{block}.attention.output.LayerNorm")
        dense(f"{block}.intermediate.dense", WIDE, HIDDEN)
        dense(f"{block}.output.dense", HIDDEN, WIDE)
        norm(f"{block}.output.LayerNorm")
    return made


def write_folder(folder):
    """A model folder as Hugging Face lays it out; skips where a library to write it is absent."""
    safetensors = pytest.importorskip("safetensors.numpy")
    tokenizers = pytest.importorskip("tokenizers")
    folder.mkdir(exist_ok=True)
    config = {
        "model_type": "bert", "hidden_size": HIDDEN, "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS, "intermediate_size": WIDE, "vocab_size": len(WORDS),
        "max_position_embeddings": LONGEST, "type_vocab_size": 2, "hidden_act": "gelu",
        "layer_norm_eps": 1e-12, "pad_token_id": 0,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    safetensors.save_file(tensors(), folder / "model.safetensors")
    model = tokenizers.models.WordLevel(dict(zip(WORDS, range(len(WORDS)), strict=True)), "[UNK]")
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


_kept = tempfile.TemporaryDirectory(prefix="numfuse-encoder-", ignore_cleanup_errors=True)


@cache
def folder():
    return write_folder(Path(_kept.name) / "tiny")


@cache
def encoder(dtype="float32"):
    return numfuse.models.BertEncoder.from_folder(folder(), dtype=dtype)


def weights_and_results_have_the_dtype_asked_for(name, example):
    for dtype in ("float32", "float64"):
        assert encoder(dtype).dtype == dtype
        assert encoder(dtype).encode(TEXTS).dtype == dtype
    with pytest.raises(ValueError, match="float16.*float32, float64"):
        numfuse.models.BertEncoder.from_folder(folder(), dtype=np.float16)


def bad_texts_and_options_are_refused_by_name(name, example):
    for call, words in [
        (lambda: encoder().encode(["cat", 3]), r"texts\[1\] is a int"),
        (lambda: encoder().encode("cat", batch_size=0), "batch_size is 0"),
        (lambda: encoder().encode("cat", max_length=2), "max_length is 2; allowed: 3"),
        (lambda: encoder().encode("cat", max_length=LONGEST + 1), f"max_length is {LONGEST + 1}"),
        (lambda: encoder().attention_weights("cat", LAYERS), f"layer is {LAYERS}"),
    ]:
        with pytest.raises((TypeError, ValueError), match=words):
            call()


def embeddings_do_not_depend_on_the_number_of_threads(name, example):
    with numfuse.config_context(threads=1):
        alone = encoder().encode(TEXTS)
    for threads in (2, 3, 7):
        with numfuse.config_context(threads=threads):
            np.testing.assert_array_equal(encoder().encode(TEXTS), alone)


def both_backends_agree(name, example):
    """Embeddings of length 1; two layers of fewer than 100 roundings each, of u of numbers below 20."""
    with numfuse.config_context(backend="numpy"):
        reference = encoder().encode(TEXTS)
    np.testing.assert_allclose(encoder().encode(TEXTS), reference, rtol=0, atol=200 * 20 * 2.0**-24)


def it_pickles_copies_and_shows_itself(name, example):
    usual = encoder().encode(TEXTS)
    for twin in (
        pickle.loads(pickle.dumps(encoder())),
        copy.copy(encoder()),
        copy.deepcopy(encoder()),
    ):
        np.testing.assert_array_equal(twin.encode(TEXTS), usual)
        assert repr(twin) == repr(encoder())
    assert repr(encoder()).startswith("BertEncoder(")
    assert f"layers={LAYERS}" in repr(encoder())


def options_are_keyword_only(name, example):
    with pytest.raises(TypeError, match="positional"):
        encoder().encode(TEXTS, 32)
    with pytest.raises(TypeError, match="positional"):
        numfuse.models.BertEncoder.from_folder(folder(), np.float64)


def missing_and_damaged_files_are_named(name, example):
    with tempfile.TemporaryDirectory() as room:
        broken = write_folder(Path(room) / "broken")
        weights = broken / "model.safetensors"
        whole = weights.read_bytes()
        for damaged in (
            whole[: len(whole) // 2],
            whole[:5],
            b"",
            b"version https://git-lfs" + whole,
        ):
            weights.write_bytes(damaged)
            with pytest.raises((OSError, ValueError), match="model.safetensors"):
                numfuse.models.BertEncoder.from_folder(broken)
        for file in ("model.safetensors", "config.json", "tokenizer.json"):
            (broken / file).unlink()
            with pytest.raises(OSError, match=file):
                numfuse.models.BertEncoder.from_folder(broken)


def a_pickle_is_never_read(name, example):
    """A folder that holds nothing but PyTorch's pickle is refused, and its code does not run."""
    with tempfile.TemporaryDirectory() as room:
        broken, ran = write_folder(Path(room) / "pickled"), Path(room) / "ran"
        (broken / "model.safetensors").unlink()
        command = f"import pathlib; pathlib.Path({str(ran)!r}).touch()"
        (broken / "pytorch_model.bin").write_bytes(pickle.dumps(_Bomb(command)))
        with pytest.raises(OSError, match="model.safetensors"):
            numfuse.models.BertEncoder.from_folder(broken)
        assert not ran.exists()


class _Bomb:
    """Unpickled, it runs a command."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return exec, (self.command,)


def reading_changes_no_file(name, example):
    before = {file.name: file.read_bytes() for file in folder().iterdir()}
    numfuse.models.BertEncoder.from_folder(folder()).encode(TEXTS)
    assert {file.name: file.read_bytes() for file in folder().iterdir()} == before


OBJECTS = [it_pickles_copies_and_shows_itself, options_are_keyword_only]
FILES = [missing_and_damaged_files_are_named, a_pickle_is_never_read, reading_changes_no_file]
