"""The chapters of `numfuse tour`, in reading order: a new family adds its function here."""

from collections.abc import Callable

from .chapter import Chapter, Guide
from .check import check
from .digits import digits
from .docstrings import docstrings
from .fraud import fraud
from .heads import heads
from .ink import ink
from .meaning import meaning
from .particles import particles
from .plate import plate

CHAPTERS: tuple[Callable[[Guide], Chapter], ...] = (
    meaning,
    heads,
    check,
    ink,
    particles,
    plate,
    docstrings,
    digits,
    fraud,
)
