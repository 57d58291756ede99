"""The encoder against BERT's formula, on small random models and in every way it can be called."""

import copy
import json
import pickle
import sys
import threading

import numpy as np
import pytest

import numfuse
from numfuse.models import BertEncoder

from . import formula
from .folders import CONFIG, VOCABULARY, edit_tensors, make_folder, random_tensors, texts

# float64 sums of fewer than 200 terms of order 1, two layers deep.
EXACT = {"rtol": 0, "atol": 1e-11}


def ids_of(text):
    known = {word: number for number, word in enumerate(VOCABULARY)}
    return [2, *(known.get(word, 1) for word in text.split()), 3]


@pytest.fixture(scope="module", params=["rust", "numpy"])
def backend(request):
    with numfuse.config_context(backend=request.param):
        yield request.param


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def encoder(folder):
    return BertEncoder.from_folder(folder, dtype=np.float64)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"hidden_act": "gelu_new"},
        {"hidden_act": "gelu_pytorch_tanh"},
        {"hidden_act": "relu"},
        {"model_type": "roberta", "pad_token_id": 1, "type_vocab_size": 1},
        {"model_type": "xlm-roberta", "pad_token_id": 3, "max_position_embeddings": 24},
        {"num_hidden_layers": 1, "num_attention_heads": 24},
        {"num_attention_heads": 1, "intermediate_size": 7},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())) or "bert",
)
def test_token_states_follow_the_formula(tmp_path, backend, changes):
    config = CONFIG | changes
    encoder = BertEncoder.from_folder(make_folder(tmp_path, **changes), dtype=np.float64)
    tensors = random_tensors(config)
    some = [*texts(9), "unheard words", ""]
    for text, states in zip(some, encoder.token_states(some), strict=True):
        expected, weights = formula.token_states(tensors, config, ids_of(text))
        np.testing.assert_allclose(states, expected, **EXACT)
        np.testing.assert_allclose(encoder.attention_weights(text), weights, **EXACT)


def test_float32_is_as_close_as_float32_can_be(folder, backend):
    encoder = BertEncoder.from_folder(folder)
    assert encoder.dtype == np.float32
    for text, states in zip(texts(9), encoder.token_states(texts(9)), strict=True):
        expected, _ = formula.token_states(random_tensors(CONFIG), CONFIG, ids_of(text))
        assert states.dtype == np.float32
        # About 2 × 150 roundings of numbers below 10, each half a unit in the last place.
        np.testing.assert_allclose(states, expected, rtol=0, atol=300 * 10 * 2.0**-24)


@pytest.mark.parametrize(
    ("pooling", "pool"),
    [
        (None, lambda states: states.mean(0)),
        ("mean_tokens", lambda states: states.mean(0)),
        ("cls_token", lambda states: states[0]),
        ("max_tokens", lambda states: states.max(0)),
    ],
)
def test_embeddings_are_pooled_as_the_folder_says(tmp_path, pooling, pool):
    encoder = BertEncoder.from_folder(make_folder(tmp_path, pooling=pooling), dtype=np.float64)
    some = texts(9)
    pooled = np.array([pool(states) for states in encoder.token_states(some)])
    np.testing.assert_allclose(encoder.encode(some, normalize=False), pooled, **EXACT)
    unit = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder.encode(some), unit, **EXACT)


def test_pooler_output_is_tanh_of_the_first_state(encoder):
    tensors = random_tensors(CONFIG)
    first = np.array([states[0] for states in encoder.token_states(texts(9))])
    dense = first @ tensors["pooler.dense.weight"].T + tensors["pooler.dense.bias"]
    np.testing.assert_allclose(encoder.pooled(texts(9)), np.tanh(dense), **EXACT)


def test_folder_without_pooler_encodes_but_says_so_when_asked_for_it(tmp_path):
    folder = make_folder(tmp_path)
    edit_tensors(
        folder, lambda tensors: [tensors.pop(f"pooler.dense.{x}") for x in ("weight", "bias")]
    )
    encoder = BertEncoder.from_folder(folder)
    assert encoder.encode(texts(2)).shape == (2, 24)
    with pytest.raises(ValueError, match=r"has no pooler .*use encode"):
        encoder.pooled(texts(2))


@pytest.mark.parametrize("batch_size", [1, 2, 7, 64, 1000])
def test_neither_batch_nor_order_changes_an_embedding(encoder, backend, batch_size):
    some = texts(65)
    alone = np.array([encoder.encode(text) for text in some])
    np.testing.assert_allclose(encoder.encode(some, batch_size=batch_size), alone, **EXACT)
    order = np.random.default_rng(1).permutation(65)
    shuffled = encoder.encode([some[index] for index in order], batch_size=batch_size)
    np.testing.assert_allclose(shuffled, alone[order], **EXACT)


def test_nan_in_one_text_does_not_reach_its_neighbours(tmp_path, backend):
    folder = make_folder(tmp_path)
    word = VOCABULARY.index("never")

    def poison(tensors):
        tensors["embeddings.word_embeddings.weight"][word] = np.nan

    clean = [text for text in texts(40) if "never" not in text]
    mixed = [*clean[:9], "never", "the cat never sat", *clean[9:]]
    edit_tensors(folder, poison)
    encoder = BertEncoder.from_folder(folder)
    result = encoder.encode(mixed, batch_size=64)
    assert np.isnan(result[9:11]).all()
    np.testing.assert_allclose(np.delete(result, [9, 10], 0), encoder.encode(clean), atol=2e-6)


def test_one_str_gives_one_vector(encoder):
    (text,) = texts(1)
    np.testing.assert_array_equal(encoder.encode(text), encoder.encode([text])[0])
    np.testing.assert_array_equal(encoder.pooled(text), encoder.pooled([text])[0])
    np.testing.assert_array_equal(encoder.token_states(text), encoder.token_states([text])[0])


def test_no_texts_give_no_rows(encoder):
    assert encoder.encode([]).shape == (0, 24)
    assert encoder.pooled(()).shape == (0, 24)
    assert encoder.token_states([]) == []


def test_empty_text_has_its_special_tokens(encoder):
    assert encoder.tokens("") == ["[CLS]", "[SEP]"]
    assert encoder.token_states("").shape == (2, 24)
    np.testing.assert_allclose(np.linalg.norm(encoder.encode("")), 1)


def test_tokenizer_file_cannot_pad_or_truncate_by_itself(encoder):
    """make_folder's tokenizer.json asks for a padding to 18 and a truncation to 5."""
    assert encoder.tokens("the cat sat on the mat") == (
        ["[CLS]", "the", "cat", "sat", "on", "the", "mat", "[SEP]"]
    )


@pytest.mark.parametrize("max_length", [3, 4, 10, 20])
def test_long_text_is_cut_before_its_last_special_token(encoder, max_length):
    words = " ".join(VOCABULARY[4:] * 2)
    tokens = encoder.tokens(words, max_length=max_length)
    assert tokens == ["[CLS]", *VOCABULARY[4 : 2 + max_length], "[SEP]"]
    cut = encoder.encode(" ".join(VOCABULARY[4 : 2 + max_length]))
    np.testing.assert_allclose(encoder.encode(words, max_length=max_length), cut, **EXACT)


def test_default_length_is_what_the_folder_says(tmp_path):
    words = " ".join(VOCABULARY[4:] * 2)
    for asked, length in [(None, 20), (6, 6), (512, 20)]:
        folder = make_folder(tmp_path / str(asked), max_seq_length=asked)
        encoder = BertEncoder.from_folder(folder)
        assert encoder.max_length == len(encoder.tokens(words)) == length


def test_layers_count_from_both_ends(encoder):
    both = encoder.attention_weights("the cat sat")
    assert both.shape == (2, 3, 5, 5)
    np.testing.assert_allclose(both.sum(-1), 1)
    for layer in (0, 1):
        np.testing.assert_array_equal(encoder.attention_weights("the cat sat", layer), both[layer])
        np.testing.assert_array_equal(
            encoder.attention_weights("the cat sat", layer - 2), both[layer]
        )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda e: e.encode(["a", 7]), TypeError, r"texts\[1\] is a int; every text must be a str"),
        (lambda e: e.encode([["a"]]), TypeError, r"texts\[0\] is a list"),
        (lambda e: e.encode(b"a"), TypeError, r"texts\[0\] is a int"),
        (lambda e: e.encode(["a"], batch_size=0), ValueError, "batch_size is 0; an int >= 1"),
        (lambda e: e.encode(["a"], batch_size=2.0), ValueError, "batch_size is 2.0; an int >= 1"),
        (lambda e: e.encode([], batch_size=-1), ValueError, "batch_size is -1; an int >= 1"),
        (lambda e: e.encode("a", max_length=2), ValueError, "max_length is 2; allowed: 3 .* to 20"),
        (lambda e: e.encode("a", max_length=21), ValueError, "max_length is 21; allowed: 3"),
        (lambda e: e.encode("a", max_length=8.0), TypeError, "max_length is a float; an int"),
        (lambda e: e.attention_weights(["a"]), TypeError, "text is a list; a single str"),
        (lambda e: e.attention_weights("a", 2), ValueError, "layer is 2; .* has 2: give 0 to 1"),
        (lambda e: e.attention_weights("a", -3), ValueError, "layer is -3"),
        (lambda e: e.attention_weights("a", 0.5), TypeError, "layer is a float; an int"),
        (lambda e: e.tokens(["a"]), TypeError, "text is a list; a single str"),
    ],
)
def test_bad_argument_is_named(encoder, call, error, message):
    with pytest.raises(error, match=message):
        call(encoder)


def test_text_without_any_token_is_named(tmp_path):
    folder = make_folder(tmp_path)
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text()) | {"post_processor": None}
    path.write_text(json.dumps(content))
    encoder = BertEncoder.from_folder(folder)
    assert encoder.tokens("the cat") == ["the", "cat"]
    with pytest.raises(ValueError, match=r"texts\[1\] \(''\) has no tokens.*leave it out"):
        encoder.encode(["the cat", ""])


def test_pickles_and_copies_give_the_same_bits(encoder):
    expected = encoder.encode(texts(9))
    for twin in (pickle.loads(pickle.dumps(encoder)), copy.copy(encoder), copy.deepcopy(encoder)):
        np.testing.assert_array_equal(twin.encode(texts(9)), expected)


def test_repr_says_what_it_is(folder):
    assert repr(BertEncoder.from_folder(folder)) == (
        f"BertEncoder({str(folder)!r}, layers=2, heads=3, hidden=24, max_length=20, "
        "pooling='mean', dtype=float32)"
    )


def test_two_threads_can_use_one_encoder(encoder):
    parts = [texts(40, seed) for seed in range(4)]
    expected = [encoder.encode(part) for part in parts]
    results = [None] * len(parts)

    def work(index):
        for _ in range(5):
            results[index] = encoder.encode(parts[index])

    workers = [threading.Thread(target=work, args=(index,)) for index in range(len(parts))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for result, right in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, right, **EXACT)


@pytest.mark.parametrize("rich", [True, False])
def test_progress_is_shown_on_stderr_only_when_asked_for(encoder, capsys, monkeypatch, rich):
    if not rich:
        monkeypatch.setitem(sys.modules, "rich.console", None)
    encoder.encode(texts(5))
    assert capsys.readouterr() == ("", "")
    encoder.encode(texts(5), progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    if not rich:
        assert err.endswith("Encoding texts 5/5\n")
