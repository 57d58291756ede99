"""What is computed: every case with its sizes and options, in the order in which they run.

The work is what the answer needs, not what an engine happens to do:
``4·batch·heads·queries·keys·head_dim`` FLOPs, half of it when causal; for one query the bytes of
the keys and values, each read once. Cases of diffusion are those of
`diffusion`, cases of fine-tuning those of `finetune`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

import numpy as np

from . import diffusion, finetune, texts
from .case import FAMILIES, Array, Case, Yardstick

__all__ = [
    "CASES",
    "FAMILIES",
    "Array",
    "Attention",
    "Case",
    "Embedding",
    "Layer",
    "choose",
    "named",
]


@dataclass(frozen=True, kw_only=True)
class Attention(Case):
    """`numfuse.attention` of standard normal query, key and value."""

    batch: int
    heads: int
    key_heads: int
    queries: int
    keys: int
    head_dim: int
    causal: bool = False
    window: tuple[int | None, int | None] | None = None
    softcap: float | None = None
    arrays: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        return "attention"

    @property
    def kind(self) -> str:
        if not self.plain:
            return "attention with options"
        if self.keys < 16:
            return "one small call of attention"
        return "attention of one query" if self.decoding else "attention"

    @property
    def decoding(self) -> bool:
        """Whether one query reads a long past: then memory is the limit, not arithmetic."""
        return self.queries == 1

    @property
    def plain(self) -> bool:
        """Whether no option beyond `causal` is used."""
        return not self.arrays and self.window is None and self.softcap is None

    @property
    def work(self) -> tuple[float, str] | None:
        # Options change how much has to be done; a tiny call costs what calling costs.
        if not self.plain or self.keys < 16:
            return None
        if self.decoding:
            elements = self.batch * self.key_heads * self.keys * self.head_dim
            return 2.0 * elements * np.dtype(self.dtype).itemsize, "B"
        pairs = self.batch * self.heads * self.queries * self.keys
        return 4.0 * pairs * self.head_dim * (0.5 if self.causal else 1.0), "FLOP"

    @property
    def yardstick(self) -> Yardstick | None:
        if self.work is None:
            return None
        if self.decoding:
            # What fits a cache is not held back by memory.
            return "read" if self.work[0] >= 32e6 else None
        return "dgemm" if self.dtype == "float64" else "sgemm"

    @property
    def options(self) -> dict[str, Any]:
        """The keywords of `numfuse.attention` that are not arrays."""
        chosen = {"causal": self.causal, "window": self.window, "softcap": self.softcap}
        return {name: value for name, value in chosen.items() if value not in (None, False)}

    def inputs(self) -> dict[str, Array]:
        generator = self.generator()
        dtype = np.dtype(self.dtype)

        def normal(*shape: int) -> Array:
            return generator.standard_normal(shape).astype(dtype)

        lead = (self.batch, self.heads) if self.batch else ()
        key_lead = (self.batch, self.key_heads) if self.batch else ()
        arrays = {
            "query": normal(*lead, self.queries, self.head_dim),
            "key": normal(*key_lead, self.keys, self.head_dim),
            "value": normal(*key_lead, self.keys, self.head_dim),
        }
        if "bias" in self.arrays:
            arrays["bias"] = normal(self.heads, self.queries, self.keys)
        if "alibi_slopes" in self.arrays:
            arrays["alibi_slopes"] = 2.0 ** (-8.0 * np.arange(1, self.heads + 1) / self.heads)
        if "sinks" in self.arrays:
            arrays["sinks"] = normal(self.heads)
        if "key_lengths" in self.arrays:
            arrays["key_lengths"] = generator.integers(self.keys // 2, self.keys + 1, self.batch)
        return arrays


@dataclass(frozen=True, kw_only=True)
class Layer(Case):
    """`numfuse.layers.gelu` or `numfuse.layers.layer_norm` of normal rows."""

    function: Literal["gelu", "layer_norm"]
    rows: int
    columns: int
    approximate: Literal["none", "tanh"] = "none"

    @property
    def family(self) -> str:
        return "layers"

    @property
    def work(self) -> tuple[float, str] | None:
        """Every element is read once and written once."""
        return 2.0 * self.rows * self.columns * np.dtype(self.dtype).itemsize, "B"

    def inputs(self) -> dict[str, Array]:
        generator = self.generator()
        dtype = np.dtype(self.dtype)
        arrays = {"x": generator.standard_normal((self.rows, self.columns)).astype(dtype)}
        if self.function == "layer_norm":
            arrays["weight"] = generator.standard_normal(self.columns).astype(dtype)
            arrays["bias"] = generator.standard_normal(self.columns).astype(dtype)
        return arrays


@dataclass(frozen=True, kw_only=True)
class Embedding(Case):
    """Sentence embeddings by all-MiniLM-L6-v2, tokenising included."""

    documents: int
    batch: int = 32
    max_length: int = 256

    @property
    def family(self) -> str:
        return "model"

    @property
    def work(self) -> tuple[float, str] | None:
        return float(self.documents), "document"

    def inputs(self) -> dict[str, Array]:
        """Docstrings spread evenly over a thousand that are sorted by length, or one sentence."""
        if self.documents == 1:
            return {"texts": np.array([texts.SENTENCE])}
        return {"texts": np.array(texts.documents(self.documents))}


def _square(
    batch: int,
    heads: int,
    length: int,
    head_dim: int,
    *,
    causal: bool = False,
    dtype: str = "float32",
    quick: bool = False,
    label: str = "",
    window: tuple[int | None, int | None] | None = None,
    softcap: float | None = None,
    arrays: tuple[str, ...] = (),
) -> Attention:
    """As many queries as keys."""
    words = ["causal"] * causal + [label] * bool(label) + ["f64"] * (dtype == "float64")
    return Attention(
        name="-".join([f"attention-{batch}x{heads}x{length}x{head_dim}", *words]).replace(" ", "-"),
        title=" ".join([f"{batch},{heads},{length},{head_dim}", *words]),
        dtype=dtype,
        quick=quick,
        batch=batch,
        heads=heads,
        key_heads=heads,
        queries=length,
        keys=length,
        head_dim=head_dim,
        causal=causal,
        window=window,
        softcap=softcap,
        arrays=arrays,
    )


def _decode(
    heads: int, key_heads: int, keys: int, head_dim: int, *, dtype: str = "float32", quick: bool
) -> Attention:
    """One query against a long past."""
    suffix = "f64" if dtype == "float64" else ""
    over = f" over {key_heads}" if key_heads != heads else ""
    return Attention(
        name="-".join(
            filter(None, [f"decode-{heads}over{key_heads}x{keys}x{head_dim}", suffix]),
        ),
        title=" ".join(
            filter(None, [f"1 query, {heads}{over} heads, {keys} keys, {head_dim}", suffix])
        ),
        dtype=dtype,
        quick=quick,
        batch=1,
        heads=heads,
        key_heads=key_heads,
        queries=1,
        keys=keys,
        head_dim=head_dim,
    )


CASES: tuple[Case, ...] = (
    _square(1, 12, 128, 64),
    _square(8, 12, 128, 64, quick=True),
    _square(8, 12, 128, 64, causal=True),
    _square(1, 12, 512, 64),
    _square(1, 12, 512, 64, causal=True, quick=True),
    _square(1, 8, 2048, 64, quick=True),
    _square(1, 8, 2048, 64, causal=True),
    _square(1, 8, 4096, 128, causal=True),
    _square(1, 8, 8192, 64, causal=True),
    _decode(32, 8, 4096, 128, quick=True),
    _decode(32, 8, 16384, 128, quick=False),
    _decode(12, 12, 1024, 64, quick=True),
    _square(8, 12, 128, 64, dtype="float64"),
    _square(1, 12, 512, 64, dtype="float64"),
    _square(1, 12, 512, 64, causal=True, dtype="float64"),
    _square(1, 8, 2048, 64, dtype="float64"),
    _square(1, 8, 2048, 64, causal=True, dtype="float64"),
    _square(1, 8, 1024, 64, label="bias", arrays=("bias",), quick=True),
    _square(
        1,
        8,
        2048,
        64,
        causal=True,
        label="ALiBi window",
        window=(256, 0),
        arrays=("alibi_slopes",),
    ),
    _square(8, 12, 512, 64, label="padding", arrays=("key_lengths",)),
    _square(
        2,
        8,
        1024,
        64,
        causal=True,
        label="every option",
        window=(512, 0),
        softcap=20.0,
        arrays=("bias", "alibi_slopes", "sinks", "key_lengths"),
    ),
    Attention(
        name="attention-8x8-call",
        title="8 × 8, one call",
        quick=True,
        batch=0,
        heads=1,
        key_heads=1,
        queries=8,
        keys=8,
        head_dim=8,
    ),
    Layer(
        name="gelu-1824x1536",
        title="GELU 1824 × 1536",
        quick=True,
        function="gelu",
        rows=1824,
        columns=1536,
    ),
    Layer(
        name="gelu-tanh-1824x1536",
        title="GELU (tanh) 1824 × 1536",
        function="gelu",
        rows=1824,
        columns=1536,
        approximate="tanh",
    ),
    Layer(
        name="layer_norm-1824x384",
        title="layer norm 1824 × 384",
        quick=True,
        function="layer_norm",
        rows=1824,
        columns=384,
    ),
    Layer(
        name="layer_norm-1824x1536",
        title="layer norm 1824 × 1536",
        function="layer_norm",
        rows=1824,
        columns=1536,
    ),
    Embedding(name="minilm-documents", title="MiniLM, 128 docstrings", documents=128),
    Embedding(name="minilm-documents-few", title="MiniLM, 8 docstrings", documents=8, quick=True),
    Embedding(name="minilm-sentence", title="MiniLM, one short sentence", documents=1, quick=True),
    *diffusion.CASES,
    *finetune.CASES,
)


def named(name: str) -> Case:
    """Return the case of that name."""
    return next(case for case in CASES if case.name == name)


def choose(
    *, quick: bool = False, families: Sequence[str] = (), patterns: Sequence[str] = ()
) -> list[Case]:
    """Return the cases to run, in the order of `CASES`.

    A pattern that is a name or a shell pattern picks its cases whether or not they are quick.

    Raises
    ------
    ValueError
        If a pattern picks nothing, with the names that there are.
    """
    for pattern in patterns:
        if not any(fnmatchcase(case.name, pattern) for case in CASES):
            names = ", ".join(case.name for case in CASES)
            raise ValueError(
                f"no case is called {pattern!r}; a case is one of {names}, or a pattern "
                "such as 'decode-*'"
            )
    return [
        case
        for case in CASES
        if (not families or case.family in families)
        and (
            any(fnmatchcase(case.name, pattern) for pattern in patterns)
            if patterns
            else case.quick or not quick
        )
    ]
