"""The whole tour with the real weights."""

import io

import pytest

from models.needed import needed, needed_minilm_folder
from numfuse import tour

from .html import Page

LAYERS, HEADS = 6, 12


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    for library in ("matplotlib", "safetensors", "tokenizers"):
        needed(library)
    needed_minilm_folder()
    return tour.run(tmp_path_factory.mktemp("tour"), quiet=True)


@pytest.fixture(scope="module")
def read(written):
    return Page(written.read_text(encoding="utf-8"))


def test_one_file_can_be_mailed(written, read):
    assert [file.name for file in written.parent.iterdir()] == ["numfuse-tour.html"]
    assert written.stat().st_size < 2_000_000
    assert all(link.startswith(("data:", "#")) for link in read.links)


def test_every_head_of_every_layer_is_drawn(read):
    alts = [image["alt"] for image in read.all("img")]
    for layer in range(1, LAYERS + 1):
        for head in range(1, HEADS + 1):
            assert sum(alt.startswith(f"Layer {layer}, head {head}: ") for alt in alts) == 1
    assert all("[CLS] the cat sat on the mat [SEP]" in alt for alt in alts if alt[:6] == "Layer ")


def test_every_picture_is_described_and_shows_something(read):
    image_module = needed("PIL.Image")
    assert all(len(image["alt"]) > 20 for image in read.all("img"))
    for png in read.pictures():
        picture = image_module.open(io.BytesIO(png)).convert("RGB")
        assert len(picture.getcolors(maxcolors=2**24)) > 16
        assert picture.getpixel((0, 0)) == (255, 255, 255)


def test_questions_find_sentences_of_their_topic(read):
    """The first answer of each of the six questions, as the page prints it."""
    for question, answer, topic in (
        ("Where does my pet like to nap?", "The kitten fell asleep in a basket", "Pets"),
        ("How do I bake a loaf at home?", "Bread dough rises faster", "Cooking"),
        ("What can be seen in the night sky?", "The telescope collected light", "Astronomy"),
        ("Is it a good time to borrow from a bank?", "The central bank raised", "Money"),
        ("Who decided the match?", "They won the cup with a header", "Football"),
        ("Why does my software freeze?", "Two threads waited for each other", "Programming"),
    ):
        start = read.text.index(question)
        assert read.text[start + len(question) :].lstrip().startswith(answer)
        assert topic in read.text[start : start + 150]


def test_kernels_and_reference_are_said_to_agree(read):
    said = read.text.split("no embedding differs by more than ")[1].split(" in cosine")[0]
    assert 0 <= float(said) < 1e-5
