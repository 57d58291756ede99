"""The whole tour with the real weights."""

import base64
import io
import re

import numpy as np
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
    assert written.stat().st_size < 4_000_000
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


def test_ink_is_shown_as_a_film_too(read):
    start = "data:image/gif;base64,"
    (film,) = [link.removeprefix(start) for link in read.links if link.startswith(start)]
    with needed("PIL.Image").open(io.BytesIO(base64.b64decode(film, validate=True))) as pictures:
        assert pictures.n_frames > 30


def test_ink_is_neither_made_nor_lost(read):
    said = read.text.split("in float32: ")[1].split(". ")[0]
    assert said == "none" or 0 < float(said.removesuffix(" of it")) < 1e-5


def test_particles_are_all_somewhere(read):
    table = read.text.split("Share of the particles in each layer, %")[1]
    shares = re.findall(r"cm²/h ([\d.]+) ([\d.]+) ([\d.]+)", table)
    for time in zip(*shares, strict=True):
        assert sum(map(float, time)) == pytest.approx(100, abs=0.03)


def test_plate_names_method_and_what_it_saves(read):
    table = read.text.split("The middle of the plate")[1]
    assert "1 s spectral" in table
    assert re.search(r"600 s spectral [\d,]+ explicit steps", table)


def test_embeddings_need_fewer_labels_than_words(read):
    table = read.text.split("Right on modules not seen before")[1].split("With 5 labels")[0]
    rows = re.findall(r"\b(\d+) (\d+\.\d\d) (\d+\.\d\d)", table)
    assert [int(count) for count, _, _ in rows] == [1, 2, 5, 10, 20, 50]
    assert all(float(embedded) > float(words) + 5 for _, embedded, words in rows)
    assert float(rows[-1][1]) > 40


def test_no_module_and_no_text_is_on_two_sides():
    from numfuse._tour.docstrings import AREAS, collect, part_of_modules

    parts = part_of_modules()
    assert len(parts) == sum(len(names.split()) for names in AREAS.values())
    found = collect()
    assert len(set(found.texts)) == len(found.texts) > 2000
    assert all(len(text) >= 20 for text in found.texts)
    for area in AREAS:
        assert set(found.parts[found.areas == area]) == {"train", "choose", "test"}


def test_class_weights_find_more_and_alarm_more(read):
    table = read.text.split("synthetic transactions class_weight")[1]
    (_, none, alarms), (_, balanced, more) = re.findall(
        r"(none|balanced) (\d+) of \d+ ([\d,]+) of", table
    )[:2]
    assert int(none) < int(balanced)
    assert int(alarms.replace(",", "")) < int(more.replace(",", ""))


@pytest.mark.parametrize("chapter", ["digits", "fraud"])
def test_without_scikit_learn_the_chapter_says_so(chapter, monkeypatch):
    from numfuse._tour import CHAPTERS
    from numfuse._tour.chapter import Guide

    (make,) = (one for one in CHAPTERS if one.__name__ == chapter)
    monkeypatch.setitem(make.__globals__, "find_spec", lambda name: None)
    made = make(Guide(lambda what: None))
    words = " ".join(part for part in made.parts if isinstance(part, str))
    assert "come with scikit-learn, not installed here" in words


def test_stir_has_no_source_and_leaves_the_walls_alone():
    from numfuse._tour.ink import make_glass

    glass = make_glass()
    down, across = glass.velocity.astype(float)
    # A face has the mean of its two cells; outer faces and the wall's are closed.
    divergence = np.zeros(glass.walls.shape)
    for axis, speed in enumerate((down, across)):
        face = (speed[1:] + speed[:-1]) / 2 if axis == 0 else (speed[:, 1:] + speed[:, :-1]) / 2
        low = (slice(None),) * axis + (slice(None, -1),)
        high = (slice(None),) * axis + (slice(1, None),)
        assert (face[glass.walls[low] | glass.walls[high]] == 0).all()
        divergence[low] += face
        divergence[high] -= face
    assert np.abs(divergence).max() < 1e-6
