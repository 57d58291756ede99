"""Random numbers that two implementations, NumPy's and Rust's, agreed on to the bit.

`random.txt` holds them: one case a line, which `write` makes from the reference and which the
kernels' own tests (rust/kernels/tests/random.rs) make anew. Run this file to write it again.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from numfuse.reference import random

PATH = Path(__file__).with_name("random.txt")
TOP = (1 << 64) - 1
# seed, stream, first number, how many: odd starts, and a block counter that crosses 32 bits.
SPANS = [
    (0, 0, 0, 50_000),
    (1, 0, 3, 1),
    (0x0123456789ABCDEF, 5, (1 << 34) - 5, 4_001),
    (TOP, TOP, 12_345_678_901, 999),
]
# seed, stream, first item, how many, bound: rejection is rare, never, and every other time.
BOUNDS = [(7, 1, 0, 5_000, 6), (7, 1, 11, 5_000, 1 << 40), (7, 2, 0, 5_000, (1 << 63) + 1)]
COUNTS = [(3, 0, 0), (3, 0, 1), (3, 1, 2), (3, 2, 100), (TOP, 9, 20_000)]


def cases() -> Iterator[tuple[str, np.ndarray]]:
    """What was asked for, and the bits of the answer as unsigned integers."""
    for span in SPANS:
        seed, stream, first, count = span
        for kind in ("uniform", "exponential"):
            for dtype, bits in (("float32", np.uint32), ("float64", np.uint64)):
                draw = getattr(random, kind)
                numbers = draw(seed, stream, count, first=first, dtype=dtype)
                yield f"{kind} {dtype} {seed} {stream} {first} {count}", numbers.view(bits)
    for seed, stream, first, count, bound in BOUNDS:
        items = np.uint64(first) + np.arange(count, dtype=np.uint64)
        name = f"below {bound} {seed} {stream} {first} {count}"
        yield name, random.below(seed, stream, items, bound)
    for seed, stream, count in COUNTS:
        order = random.permutation(seed, stream, count)
        yield f"permutation int64 {seed} {stream} 0 {count}", order.astype(np.uint64)


def line(name: str, numbers: np.ndarray) -> str:
    """Write a case, a sum over all its bits in which places count, and its first numbers."""
    wide = numbers.astype(np.uint64)
    places = np.arange(len(wide), dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    digest = int((wide * places).sum(dtype=np.uint64)) ^ int(np.bitwise_xor.reduce(wide, initial=0))
    return " ".join([name, f"{digest:016x}", *(f"{number:x}" for number in wide[:6].tolist())])


def write() -> None:
    """Write every case."""
    PATH.write_text("".join(f"{line(*case)}\n" for case in cases()))


if __name__ == "__main__":
    write()
