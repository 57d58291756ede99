"""Arrays that end (or begin) exactly where memory does: one element too far is a segmentation fault.

`python guarded.py LEVEL PLACE SEED COUNT` calls every function on such arrays, on one level, says
before each call what it is about to do, and compares with the same call on ordinary arrays.
"""

import ctypes
import mmap
import sys
from pathlib import Path

import numpy as np

PAGE = mmap.PAGESIZE
NONE, READ, READ_WRITE = 0, 1, 3
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


class Guards:
    """Hands out memory between two pages that may not be touched; `place` is "end" or "start"."""

    def __init__(self, place):
        self.place = place
        self.regions = []

    def memory(self, nbytes):
        """Address of `nbytes` that touch the guard, with the region that may be protected."""
        inner = max(-(-nbytes // PAGE), 1) * PAGE
        whole = inner + 2 * PAGE
        start = _libc.mmap(None, whole, NONE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
        if start in (None, ctypes.c_void_p(-1).value):
            raise OSError(ctypes.get_errno(), "mmap")
        self.regions.append((start, whole))
        self.protect((start + PAGE, inner), READ_WRITE)
        address = start + PAGE + (inner - nbytes if self.place == "end" else 0)
        return address, (start + PAGE, inner)

    @staticmethod
    def protect(region, how):
        if _libc.mprotect(*region, how):
            raise OSError(ctypes.get_errno(), "mprotect")

    def empty(self, shape, dtype=float, gap=0):
        """Like `np.empty`; rows stand `gap` elements apart, and the last ends at the guard."""
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        dtype = np.dtype(dtype)
        if 0 in shape:
            return np.zeros(shape, dtype), None
        steps = [dtype.itemsize]
        for axis, n in enumerate(reversed(shape[1:])):
            steps.insert(0, steps[0] * n + (gap * dtype.itemsize if axis == 0 else 0))
        nbytes = sum((n - 1) * step for n, step in zip(shape, steps, strict=True)) + dtype.itemsize
        address, region = self.memory(nbytes)
        buffer = (ctypes.c_char * nbytes).from_address(address)
        return np.ndarray(shape, dtype, buffer, strides=steps), region

    def copy(self, a, gap=0):
        """A copy between guards that cannot be written either."""
        made, region = self.empty(a.shape, a.dtype, gap)
        made[...] = a
        if region:
            self.protect(region, READ)
            made.flags.writeable = False
        return made

    def release(self):
        for region in self.regions:
            _libc.munmap(*region)
        self.regions.clear()


LENGTHS = [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129, 257]
HEAD_DIMS = [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 24, 33, 40, 64, 65, 80, 96]


def calls(rng):
    """Endlessly: a name, a function and its arrays, of shapes that leave tails everywhere."""
    import numfuse

    def pick(values):
        return int(rng.choice(values))

    def normal(*shape):
        return rng.standard_normal(shape).astype(dtype)

    while True:
        dtype = rng.choice(["f4", "f8"])
        batch, heads, group = pick([1, 2]), pick([1, 2]), pick([1, 2, 3])
        queries, keys = pick(LENGTHS), pick(LENGTHS)
        width, value_width = pick(HEAD_DIMS), pick(HEAD_DIMS)
        every = heads * group
        arrays = {
            "query": normal(batch, every, queries, width),
            "key": normal(batch, heads, keys, width),
            "value": normal(batch, heads, keys, value_width),
        }
        options = {
            "mask": rng.random((batch, every, queries, keys)) < 0.8,
            "bias": normal(batch, every, queries, keys),
            "alibi_slopes": normal(batch, every),
            "sinks": normal(batch, every),
            "key_lengths": rng.integers(0, keys + 1, batch),
            "query_offset": rng.integers(-3, keys, batch),
        }
        chosen = {name: a for name, a in options.items() if rng.random() < 0.3}
        scalars = {"causal": bool(rng.random() < 0.5), "window": (pick(LENGTHS), None)}
        yield "attention", numfuse.attention, arrays, {}
        yield "attention, causal", numfuse.attention, arrays, {"causal": True}
        yield (
            "attention, options",
            numfuse.attention,
            {**arrays, **chosen},
            {**scalars, "return_lse": True},
        )
        del arrays["value"]
        yield "attention_weights", numfuse.attention_weights, {**arrays, **chosen}, scalars
        x = {"x": normal(batch, queries, width)}
        yield "gelu", numfuse.layers.gelu, x, {}
        yield "gelu, tanh", numfuse.layers.gelu, x, {"approximate": "tanh"}
        scaled = {**x, "weight": normal(width), "bias": normal(width)}
        yield "layer_norm", numfuse.layers.layer_norm, scaled, {}
        turning = {"x": normal(batch, queries, 2 * width), "positions": np.arange(queries)}
        yield "rotary", numfuse.rotary, turning, {"interleaved": bool(rng.random() < 0.5)}
        parts = {f"part{i}": normal(batch, queries, width) for i in range(2)}
        parts |= {f"lse{i}": normal(batch, queries) for i in range(2)}
        yield "merge_attention", merge, parts, {}


def merge(part0, part1, lse0, lse1):
    import numfuse

    return numfuse.merge_attention([part0, part1], [lse0, lse1])


def main(level, place, seed, count):
    import numfuse
    from numfuse import _numfuse

    _numfuse.set_isa(level)
    rng, guards, usual_empty = np.random.default_rng(seed), Guards(place), np.empty
    for done, (name, function, arrays, options) in enumerate(calls(rng)):
        if done == count:
            break
        gap, threads = int(rng.integers(0, 4)), int(rng.integers(1, 3))
        shapes = {k: a.shape for k, a in arrays.items()}
        print(
            f"{level}, {place}: {name} {options} {shapes} gap {gap} threads {threads}", flush=True
        )
        expected = function(**arrays, **options)
        guarded = {k: guards.copy(a, gap) for k, a in arrays.items()}
        if isinstance(expected, np.ndarray) and name.startswith(
            ("attention,", "attention_w", "gelu", "layer")
        ):
            guarded["out"], _ = guards.empty(expected.shape, expected.dtype, gap)
        np.empty = lambda shape, dtype=float: guards.empty(shape, dtype)[
            0
        ]  # results, too, end at a guard
        with numfuse.config_context(threads=threads):
            given = function(**guarded, **options)
        np.empty = usual_empty
        pairs = zip(*[r if isinstance(r, tuple) else (r,) for r in (given, expected)], strict=True)
        if any(a.tobytes() != b.tobytes() for a, b in pairs):
            raise AssertionError("another result beside a guard page")
        del guarded, given, pairs
        guards.release()
    print("every call was right", flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
