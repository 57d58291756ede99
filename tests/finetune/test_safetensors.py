"""Files of safetensors: whatever their header says, they are read or refused by name."""

import json

import numpy as np
import pytest

from numfuse import _safetensors


def entry(first, last, shape, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, last]}


def write(path, header, content=b""):
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content)


def test_tensors_may_be_empty_and_in_any_order(tmp_path):
    path = tmp_path / "file"
    header = {
        "b": entry(8, 12, []), "none": entry(8, 8, [3, 0]), "a": entry(0, 8, [2]),
        "half": entry(12, 14, [1], "BF16"), "last": entry(14, 14, [0], "I64"),
    }  # fmt: skip
    write(path, header, np.array([1, 2, 3], "<f4").tobytes() + b"\x80\x3f")
    tensors, metadata = _safetensors.read(path)
    assert {name: tensor.tolist() for name, tensor in tensors.items()} == {
        "b": 3.0, "none": [[], [], []], "a": [1.0, 2.0], "half": [1.0], "last": [],
    }  # fmt: skip
    assert metadata == {}


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "file"
    given = {"a": np.arange(6.0).reshape(2, 3), "none": np.zeros((0, 4), np.float32)}
    _safetensors.write(path, given, {"key": "value"})
    tensors, metadata = _safetensors.read(path)
    for name, tensor in given.items():
        np.testing.assert_array_equal(tensors[name], tensor, strict=True)
    assert metadata == {"key": "value"}
    _safetensors.write(path, {})
    assert _safetensors.read(path) == ({}, {})


ONE = entry(0, 8, [2])
HOSTILE = {
    "nested": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "infinite place": '{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, Infinity]}}',
    "infinite shape": '{"a": {"dtype": "F32", "shape": [1e999], "data_offsets": [0, 8]}}',
    "list of dtypes": {"a": ONE | {"dtype": ["F32"]}},
    "dict of a dtype": {"a": ONE | {"dtype": {}}},
    "number of a dtype": {"a": ONE | {"dtype": 32}},
    "fraction": {"a": entry(0, 8, [2.5])},
    "float": {"a": entry(0, 8, [2.0])},
    "bool": {"a": entry(0, 8, [2, True])},
    "text of a shape": {"a": entry(0, 8, "2")},
    "bool of a place": {"a": entry(False, 8, [2])},
    "float of a place": {"a": entry(0, 8.0, [2])},
    "three places": {"a": ONE | {"data_offsets": [0, 8, 8]}},
    "negative": {"a": entry(0, 8, [-1, -2])},
    "negative place": {"a": entry(-8, 0, [2])},
    "backwards": {"a": entry(8, 0, [2])},
    "too large": {"a": ONE, "b": entry(8, 8, [2**70, 0])},
    "too large together": {"a": ONE, "b": entry(8, 8, [2**40, 2**40, 0])},
    "72 axes": {"a": entry(0, 8, [1] * 71 + [2])},
    "twice": f'{{"a": {json.dumps(ONE)}, "a": {json.dumps(ONE)}}}',
    "dtype twice": '{"a": {"dtype": "F32", "dtype": "I32", "shape": [2], "data_offsets": [0, 8]}}',
    "metadata twice": '{"__metadata__": {}, "__metadata__": {}}',
    "overlap": {"a": ONE, "b": entry(4, 8, [1])},
    "same place": {"a": ONE, "b": ONE},
    "gap": {"a": entry(0, 4, [1]), "b": entry(5, 8, [3], "U8")},
    "gap before the first": {"a": entry(4, 8, [1])},
    "empty within another": {"a": ONE, "b": entry(4, 4, [0])},
    "list": [ONE],
    "tensor that is none": {"a": 1},
    "metadata that is none": {"__metadata__": [], "a": ONE},
}


@pytest.mark.parametrize("header", HOSTILE.values(), ids=HOSTILE)
def test_hostile_header_is_refused_by_name(header, tmp_path):
    path = tmp_path / "file"
    write(path, header, bytes(8))
    with pytest.raises(ValueError, match=f"{path} is not a safetensors file, or its header is"):
        _safetensors.read(path)


@pytest.mark.parametrize("header", [{"a": ONE}, {"a": entry(0, 0, [0])}, {}])
def test_bytes_behind_the_last_tensor_are_refused(header, tmp_path):
    path = tmp_path / "file"
    write(path, header, bytes(9))
    with pytest.raises(ValueError, match=f"{path} is too long: it has .* bytes of .*; copy it"):
        _safetensors.read(path)


def test_places_beyond_the_file_are_a_file_that_is_cut_short(tmp_path):
    path = tmp_path / "file"
    write(path, {"a": entry(0, 2**70, [2**68])}, bytes(8))
    with pytest.raises(ValueError, match=f"{path} is cut short"):
        _safetensors.read(path)
