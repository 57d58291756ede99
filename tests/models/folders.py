"""Makes small BERT-family folders with random weights, whole or broken on purpose."""

import json

import numpy as np

from .needed import needed

safetensors = needed("safetensors.numpy")
tokenizers = needed("tokenizers")

WORDS = [
    "a",
    "cat",
    "dog",
    "sat",
    "ran",
    "on",
    "the",
    "mat",
    "road",
    "red",
    "blue",
    "old",
    "new",
    "and",
    "or",
    "but",
    "never",
    "always",
]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]
CONFIG = {
    "model_type": "bert",
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": 20,
    "vocab_size": len(VOCABULARY),
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-6,
    "hidden_act": "gelu",
    "pad_token_id": 0,
}


def texts(count, seed=0):
    """Random texts of 1 to 15 known words."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(1, 16))) for _ in range(count)]


def random_tensors(config, prefix="", seed=0):
    """Weights large enough that each of them shows in the result."""
    rng = np.random.default_rng(seed)
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    tensors = {}

    def put(name, *shape, scale=1.0, centre=0.0):
        values = centre + scale * rng.standard_normal(shape)
        tensors[prefix + name] = values.astype(np.float32)

    def norm(name):
        put(f"{name}.weight", hidden, scale=0.2, centre=1.0)
        put(f"{name}.bias", hidden, scale=0.2)

    def dense(name, outputs, inputs):
        put(f"{name}.weight", outputs, inputs, scale=1.5 / np.sqrt(inputs))
        put(f"{name}.bias", outputs, scale=0.3)

    put("embeddings.word_embeddings.weight", config["vocab_size"], hidden)
    put("embeddings.position_embeddings.weight", config["max_position_embeddings"], hidden)
    put("embeddings.token_type_embeddings.weight", config["type_vocab_size"], hidden)
    norm("embeddings.LayerNorm")
    for layer in range(config["num_hidden_layers"]):
        key = f"encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            dense(f"{key}.attention.self.{part}", hidden, hidden)
        dense(f"{key}.attention.output.dense", hidden, hidden)
        norm(f"{key}.attention.output.LayerNorm")
        dense(f"{key}.intermediate.dense", inner, hidden)
        dense(f"{key}.output.dense", hidden, inner)
        norm(f"{key}.output.LayerNorm")
    dense("pooler.dense", hidden, hidden)
    return tensors


def make_tokenizer():
    """One token a word, [CLS] before and [SEP] behind, and a padding that has to be ignored."""
    ids = {word: number for number, word in enumerate(VOCABULARY)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(ids, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_padding(length=18)
    tokenizer.enable_truncation(5)
    return tokenizer


def make_folder(folder, *, prefix="", pooling=None, max_seq_length=None, **changes):
    """Write a whole folder; `changes` go into config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    config = CONFIG | changes
    write_json(folder / "config.json", config)
    safetensors.save_file(random_tensors(config, prefix), folder / "model.safetensors")
    make_tokenizer().save(str(folder / "tokenizer.json"))
    if pooling is not None:
        kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
        modules = [
            {"idx": index, "name": str(index), "path": path, "type": f"some.models.{kind}"}
            for index, (path, kind) in enumerate(kinds.items())
        ]
        write_json(folder / "modules.json", modules)
        modes = {f"pooling_mode_{mode}": False for mode in ("cls_token", "mean_tokens")}
        write_json(folder / "1_Pooling" / "config.json", modes | {f"pooling_mode_{pooling}": True})
    if max_seq_length is not None:
        write_json(folder / "sentence_bert_config.json", {"max_seq_length": max_seq_length})
    return folder


def write_json(path, content):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def edit_tensors(folder, edit):
    """Rewrite model.safetensors after `edit` changed its dict of tensors."""
    path = folder / "model.safetensors"
    tensors = safetensors.load_file(path)
    edit(tensors)
    safetensors.save_file(tensors, path)
