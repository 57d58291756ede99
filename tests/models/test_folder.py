"""Folders as they are found: other spellings are read, broken ones explained by file and key."""

import json
import sys

import numpy as np
import pytest

from numfuse.models import BertEncoder

from .folders import edit_tensors, make_folder, random_tensors, safetensors, texts, write_json

FIRST = "encoder.layer.0.attention.self.query.weight"


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "model")


def encode(folder):
    return BertEncoder.from_folder(folder).encode(texts(5))


@pytest.mark.parametrize("prefix", ["bert.", "roberta.", "0.auto_model."])
def test_prefix_of_names_does_not_matter(tmp_path, folder, prefix):
    other = make_folder(tmp_path / "other", prefix=prefix)
    np.testing.assert_array_equal(encode(other), encode(folder))


def test_gamma_and_beta_are_weight_and_bias(tmp_path, folder):
    def rename(tensors):
        for name in [name for name in tensors if "LayerNorm" in name]:
            old = name.replace("weight", "gamma").replace("bias", "beta")
            tensors[old] = tensors.pop(name)

    expected = encode(folder)
    edit_tensors(folder, rename)
    np.testing.assert_array_equal(encode(folder), expected)


def test_half_precision_weights_are_read(folder):
    def halve(tensors):
        for name in tensors:
            tensors[name] = tensors[name].astype(np.float16)

    edit_tensors(folder, halve)
    encoder = BertEncoder.from_folder(folder)
    stored = random_tensors(json.loads((folder / "config.json").read_text()))
    words = stored["embeddings.word_embeddings.weight"].astype(np.float16)
    np.testing.assert_array_equal(encoder._weights.words, words.astype(np.float32))


def test_bfloat16_weights_are_read(folder):
    """The upper 16 bits of each float32, written as the format says: its bits, little-endian."""
    tensors = random_tensors(json.loads((folder / "config.json").read_text()))
    upper = {name: (t.view(np.uint32) >> 16).astype("<u2") for name, t in tensors.items()}
    header, data = {}, b""
    for name, bits in upper.items():
        offsets = [len(data), len(data) + bits.nbytes]
        header[name] = {"dtype": "BF16", "shape": list(bits.shape), "data_offsets": offsets}
        data += bits.tobytes()
    text = json.dumps(header).encode()
    path = folder / "model.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    from_bfloat16 = encode(folder)
    safetensors.save_file(
        {name: (bits.astype(np.uint32) << 16).view(np.float32) for name, bits in upper.items()},
        path,
    )
    np.testing.assert_array_equal(from_bfloat16, encode(folder))


def test_extra_tensors_are_ignored(folder):
    expected = encode(folder)
    edit_tensors(
        folder, lambda t: t.update({"embeddings.position_ids": np.arange(20), "head": np.ones(3)})
    )
    np.testing.assert_array_equal(encode(folder), expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "gpt2"}, "model_type is 'gpt2'; supported: bert, roberta"),
        ({"model_type": 3}, "model_type is 3; supported: bert"),
        (
            {"position_embedding_type": "relative_key"},
            "position_embedding_type is 'relative_key'; supported: absolute",
        ),
        ({"hidden_act": "silu"}, "hidden_act is 'silu'; supported: gelu"),
        ({"is_decoder": True}, "is_decoder is true"),
        ({"hidden_size": 0}, "hidden_size is 0; an integer >= 1"),
        ({"hidden_size": "24"}, "hidden_size is '24'; an integer >= 1"),
        ({"num_hidden_layers": None}, "num_hidden_layers is None; an integer >= 1"),
        ({"num_attention_heads": 5}, "num_attention_heads is 5, .* divide hidden_size 24"),
        ({"layer_norm_eps": -1}, "layer_norm_eps is -1; a number >= 0"),
        ({"layer_norm_eps": "small"}, "layer_norm_eps is 'small'; a number >= 0"),
        (
            {"model_type": "roberta", "pad_token_id": 19},
            "max_position_embeddings is 20; more than pad_token_id [+] 1 = 20",
        ),
        ({"hidden_size": 48}, r"word_embeddings.weight has shape \(22, 24\).* asks for \(22, 48\)"),
        ({"num_hidden_layers": 3}, "no tensor encoder.layer.2.attention.self.query.weight"),
        ({"vocab_size": 21}, "tokenizer.json has token id 21, but vocab_size .* is 21"),
    ],
)
def test_unfit_config_is_explained(folder, changes, message):
    path = folder / "config.json"
    write_json(path, json.loads(path.read_text()) | changes)
    with pytest.raises(ValueError, match=message):
        BertEncoder.from_folder(folder)


@pytest.mark.parametrize("key", ["hidden_size", "vocab_size", "intermediate_size"])
def test_missing_key_of_config_is_named(folder, key):
    path = folder / "config.json"
    content = json.loads(path.read_text())
    del content[key]
    write_json(path, content)
    with pytest.raises(ValueError, match=f"config.json: {key} is missing"):
        BertEncoder.from_folder(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", "{", "config.json is not valid JSON"),
        ("config.json", "[1]", "config.json holds a list; a JSON object"),
        ("config.json", b"\xff\xfe{}", "config.json is not valid JSON"),
        ("modules.json", "{", "modules.json is not valid JSON"),
        ("modules.json", "[3]", "modules.json: a list of modules with type and path"),
        ("modules.json", "3", "modules.json: a list of modules"),
        (
            "modules.json",
            '[{"type": "sentence_transformers.models.Dense", "path": "2_Dense"}]',
            "modules.json: type is 'Dense'; supported: Transformer, Pooling, Normalize",
        ),
        ("1_Pooling/config.json", "{}", "chooses no pooling mode; supported: exactly one of"),
        ("1_Pooling/config.json", "3", "config.json holds a int; a JSON object"),
        (
            "1_Pooling/config.json",
            '{"pooling_mode_mean_sqrt_len_tokens": true}',
            "chooses pooling_mode_mean_sqrt_len_tokens; supported",
        ),
        (
            "1_Pooling/config.json",
            '{"pooling_mode": "lasttoken"}',
            "pooling_mode is 'lasttoken'; supported: mean, cls, max",
        ),
        ("sentence_bert_config.json", '{"max_seq_length": 0}', "max_seq_length is 0; an integer"),
        ("tokenizer.json", "{}", "tokenizer.json cannot be read by tokenizers"),
        ("tokenizer.json", "", "tokenizer.json cannot be read by tokenizers"),
    ],
)
def test_unreadable_file_is_named(tmp_path, name, content, message):
    folder = make_folder(tmp_path, pooling="mean_tokens")
    data = content if isinstance(content, bytes) else content.encode()
    (folder / name).write_bytes(data)
    with pytest.raises(ValueError, match=message):
        BertEncoder.from_folder(folder)


def test_newer_spelling_of_pooling_is_read(tmp_path):
    folder = make_folder(tmp_path, pooling="mean_tokens")
    write_json(folder / "1_Pooling" / "config.json", {"pooling_mode": "cls"})
    assert BertEncoder.from_folder(folder).pooling == "cls"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"has no {name}"):
        BertEncoder.from_folder(folder)


def test_missing_pooling_file_is_named(tmp_path):
    folder = make_folder(tmp_path, pooling="mean_tokens")
    (folder / "1_Pooling" / "config.json").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"has no 1_Pooling/config.json .modules.json names"
    ):
        BertEncoder.from_folder(folder)


def test_missing_folder_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        BertEncoder.from_folder(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("other", "way_out"),
    [
        ("model.safetensors.index.json", "weights are in several files: .*save_pretrained"),
        ("pytorch_model.bin", "it has pytorch_model.bin: .*save_pretrained"),
    ],
)
def test_weights_in_another_form_show_the_way_out(folder, other, way_out):
    (folder / "model.safetensors").rename(folder / other)
    with pytest.raises(FileNotFoundError, match=way_out):
        BertEncoder.from_folder(folder)


@pytest.mark.parametrize("kept", [0, 5, 8, 100, -1, -1000])
def test_truncated_weights_are_an_os_error(folder, kept):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(OSError, match=r"model.safetensors cannot be read .*download it again"):
        BertEncoder.from_folder(folder)


def test_git_lfs_pointer_shows_the_way_out(folder):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 90868376\n"
    (folder / "model.safetensors").write_text(pointer)
    with pytest.raises(OSError, match="only a Git LFS pointer: run git lfs pull"):
        BertEncoder.from_folder(folder)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda t: t.pop(FIRST),
            rf"no tensor {FIRST}; config.json asks for one of shape \(24, 24\)",
        ),
        (
            lambda t: t.update({FIRST: np.ones((24, 23), np.float32)}),
            rf"{FIRST} has shape \(24, 23\); config.json asks for \(24, 24\)",
        ),
        (
            lambda t: t.update({FIRST: np.ones((24, 24), np.int8)}),
            f"{FIRST} is stored as I8; supported: F64, F32, F16, BF16",
        ),
        (lambda t: t.clear(), "no tensor embeddings.word_embeddings.weight"),
        (
            lambda t: t.pop("pooler.dense.bias"),
            r"no tensor pooler.dense.bias; config.json asks for one of shape \(24,\)",
        ),
    ],
)
def test_missing_or_misshaped_tensor_is_named(folder, edit, message):
    edit_tensors(folder, edit)
    with pytest.raises(ValueError, match=message):
        BertEncoder.from_folder(folder)


@pytest.mark.parametrize("dtype", ["float16", "int64", complex])
def test_other_dtypes_are_refused(folder, dtype):
    with pytest.raises(ValueError, match=r"dtype is .*; supported: float32, float64"):
        BertEncoder.from_folder(folder, dtype=dtype)


@pytest.mark.parametrize("library", ["safetensors", "tokenizers"])
def test_missing_library_shows_how_to_get_it(folder, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=rf"needs {library} .*pip install numfuse\[tour\]"):
        BertEncoder.from_folder(folder)
