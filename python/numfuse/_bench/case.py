"""What a case is: a name, a title, inputs from a fixed seed, and the work in it.

A case is known by its name in the parent and in every child, so only names travel between them.
Inputs come from a generator seeded by the name.
"""

import zlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Yardstick = Literal["sgemm", "dgemm", "read"]
FAMILIES = ("attention", "layers", "model", "diffusion", "certified", "tune")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One thing to compute. Subclasses say what."""

    name: str
    title: str
    dtype: str = "float32"
    quick: bool = False

    @property
    def family(self) -> str:
        """Which of `FAMILIES` this case belongs to."""
        raise NotImplementedError

    @property
    def kind(self) -> str:
        """Which cases it may be averaged with; as a rule those of its family."""
        return self.family

    @property
    def work(self) -> tuple[float, str] | None:
        """Amount and unit of the useful work, where a rate means something."""
        return None

    @property
    def yardstick(self) -> Yardstick | None:
        """The machine's own rate that the rate is compared with."""
        return None

    @property
    def first_call(self) -> bool:
        """Whether each turn is the first call of a new process, whatever has to be compiled."""
        return False

    def inputs(self) -> dict[str, Array]:
        """Every array of the case, by the keyword that takes it; the same at every call."""
        raise NotImplementedError

    def generator(self) -> np.random.Generator:
        """Random numbers that depend on the case's name and nothing else."""
        return np.random.default_rng(zlib.crc32(self.name.encode()))
