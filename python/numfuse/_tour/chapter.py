"""What a chapter of the tour is made of.

A chapter is a function that takes the `Guide` and returns a `Chapter`; `numfuse._tour.CHAPTERS`
lists them in reading order. It computes, it words and it draws, and knows nothing of terminals or
HTML: those are `terminal.py` and `page.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from numfuse.models import BertEncoder, minilm_folder


@dataclass(frozen=True)
class Table:
    """Rows of text; a float stands right-aligned with two decimals."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float, ...], ...]
    printed: bool = False  # in the terminal as well


@dataclass(frozen=True)
class Picture:
    """A PNG or GIF for wide screens and, where it would be too small to read, one for phones."""

    title: str
    caption: str
    alt: str
    png: bytes
    narrow_png: bytes | None = None


@dataclass(frozen=True)
class Gallery:
    """Small pictures that flow into as many columns as the screen is wide, under one colour bar."""

    title: str
    caption: str
    bar: Picture
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Chapter:
    """A title and its parts in reading order; a str is a paragraph."""

    title: str
    parts: tuple[str | Table | Picture | Gallery, ...]


class Guide:
    """What chapters share: the encoder, and a way to say what they are at."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say

    @cached_property
    def encoder(self) -> BertEncoder:
        """MiniLM, read when a chapter first asks for it."""
        self.say("Reading all-MiniLM-L6-v2")
        return BertEncoder.from_folder(minilm_folder())
