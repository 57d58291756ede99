"""What is right: the truth in float64, and how far an answer is from it.

An error is given as a share of the size that rounding works on: for attention S = Σⱼ pⱼ|vⱼ|, for
GELU |x|, for layer norm |weight|·(|x̂| + 1) + |bias|, in all elements, the largest counts. For
embeddings it is 1 − cosine. An answer whose error exceeds `tolerance` does not get to be timed:
256 roundings, some ten times what numfuse's own tests allow, since this is about wrong engines and
not about the last bit.

Of large attention cases the truth covers eight blocks of query rows, spread from the first row to
the last, in every head: the score matrix in float64 would be too much. Of diffusion see
`judge_diffusion`, of fine-tuning `judge_finetune`.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np

from numfuse import reference

from . import cases, judge_diffusion, judge_finetune
from .cases import Array, Attention, Embedding, Layer
from .child import Handler
from .contestant import read_arrays
from .diffusion import Certified, Heat
from .finetune import Path as Penalties
from .finetune import Tune
from .peers import reference as reference_engine

BLOCKS = 8
# The scores of a block are stored in float64, several times over.
BLOCK_SCORES = 2**17


def handlers() -> dict[str, Handler]:
    """Return the requests that the judge understands."""
    truth: dict[str, Any] = {}

    def deal(case: str, folder: str) -> dict[str, Any]:
        chosen = cases.named(case)
        inputs = chosen.inputs()
        for name, array in inputs.items():
            np.save(Path(folder) / f"{name}.npy", array)
        truth["case"] = chosen
        truth["value"], truth["size"] = find_truth(chosen, read_arrays(Path(folder)))
        return {}

    def judge(path: str) -> dict[str, Any]:
        allowed = tolerance(truth["case"])
        error = error_of(truth["case"], np.load(path), truth["value"], truth["size"])
        if math.isinf(error):
            return {"error": None, "flaw": "wrong shape, not finite, or not 0 where it has to be"}
        flaw = f"error {error:.2g}, allowed {allowed:.2g}" if error > allowed else None
        return {"error": error, "flaw": flaw}

    return {"deal": deal, "judge": judge}


def tolerance(case: cases.Case) -> float:
    """Return the largest error of an answer that may be timed."""
    if isinstance(case, Certified):
        return case.tolerance
    if isinstance(case, Tune | Penalties):
        return judge_finetune.tolerance(case)
    return 1e-5 if isinstance(case, Embedding) else 128 * float(np.finfo(case.dtype).eps)


def find_truth(case: cases.Case, inputs: dict[str, Array]) -> tuple[Array, Array]:
    """Find the truth, and the size that an error is compared with."""
    exact = {
        name: array.astype(np.float64) if array.dtype.kind == "f" else array
        for name, array in inputs.items()
    }
    if isinstance(case, Attention):
        return _attention(case, exact)
    if isinstance(case, Layer):
        return _layer(case, exact)
    if isinstance(case, Heat):
        return judge_diffusion.heat(case, exact)
    if isinstance(case, Certified):
        return judge_diffusion.certified(exact)
    if isinstance(case, Tune):
        return judge_finetune.tuned(case, exact)
    if isinstance(case, Penalties):
        return judge_finetune.least(case, exact)
    truth = reference_engine.to_numpy(reference_engine.prepare(case, inputs)())
    return truth.astype(np.float64), np.ones(1)


def error_of(case: cases.Case, answer: Array, truth: Array, size: Array) -> float:
    """Return the largest error of an answer; infinite if its shape is wrong or it is not finite.

    Leading axes of length 1 that an engine needed do not count.
    """
    while answer.ndim > truth.ndim and len(answer) == 1:
        answer = answer[0]
    if isinstance(case, Heat):
        if answer.shape != case.shape:
            return float("inf")
        answer = judge_diffusion.samples(case, answer)
    if isinstance(case, Attention) and truth.shape != answer.shape:
        rows = row_blocks(case)
        if answer.shape != (*truth.shape[:-2], case.queries, truth.shape[-1]):
            return float("inf")
        answer = np.concatenate([answer[..., block, :] for block in rows], axis=-2)
    if answer.shape != truth.shape or not np.isfinite(answer).all():
        return float("inf")
    answer = answer.astype(np.float64)
    if isinstance(case, Embedding):
        lengths = np.linalg.norm(answer, axis=1) * np.linalg.norm(truth, axis=1)
        return float((1 - (answer * truth).sum(axis=1) / lengths).max())
    if isinstance(case, Certified):
        return judge_diffusion.largest_norm(answer - truth, size)
    if isinstance(case, Tune):
        return judge_finetune.drift(answer, truth, size)
    if isinstance(case, Penalties):
        return judge_finetune.excess(case, answer, size)
    difference = np.abs(answer - truth)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.where(difference == 0, 0, difference / size).max())


def row_blocks(case: Attention) -> list[slice]:
    """Return the query rows that the truth covers, in order and without overlap."""
    row = max(case.batch, 1) * (case.heads // case.key_heads) * case.keys
    rows = max(1, BLOCK_SCORES // row)
    if rows * BLOCKS >= case.queries:
        starts = list(range(0, case.queries, rows))
    else:
        starts = [i * (case.queries - rows) // (BLOCKS - 1) for i in range(BLOCKS)]
    return [slice(start, min(start + rows, case.queries)) for start in starts]


def _attention(case: Attention, inputs: dict[str, Array]) -> tuple[Array, Array]:
    """Truth and S, one key head and one block of rows at a time."""
    lead = (max(case.batch, 1), -1)
    query = inputs["query"].reshape(*lead, case.queries, case.head_dim)
    key = inputs["key"].reshape(*lead, case.keys, case.head_dim)
    value = inputs["value"].reshape(*lead, case.keys, case.head_dim)
    # Σⱼ pⱼ|vⱼ| comes out of the same call as Σⱼ pⱼ vⱼ.
    value = np.concatenate([value, np.abs(value)], axis=-1)
    lengths = inputs.get("key_lengths", case.keys)
    group = case.heads // case.key_heads
    heads = []
    for key_head in range(case.key_heads):
        these = slice(key_head * group, (key_head + 1) * group)
        blocks = []
        for rows in row_blocks(case):
            options = case.options | {
                name: inputs[name][these] for name in ("alibi_slopes", "sinks") if name in inputs
            }
            if "bias" in inputs:
                options["bias"] = inputs["bias"][these, rows]
            if "key_lengths" in inputs:
                options["key_lengths"] = lengths
            # A block stands where it stood: the last query of all on the last valid key.
            options["query_offset"] = lengths - case.queries + rows.start
            blocks.append(
                reference.attention(
                    query[:, these, rows], key[:, [key_head]], value[:, [key_head]], **options
                )
            )
        heads.append(np.concatenate(blocks, axis=-2))
    both = np.concatenate(heads, axis=-3)
    truth, size = np.split(both if case.batch else both[0, 0], 2, axis=-1)
    return truth, size


def _layer(case: Layer, inputs: dict[str, Array]) -> tuple[Array, Array]:
    x = inputs["x"]
    if case.function == "gelu":
        return reference.gelu(x, approximate=case.approximate), np.abs(x)
    weight, bias = inputs["weight"], inputs["bias"]
    normal = reference.layer_norm(x)
    truth = reference.layer_norm(x, weight, bias)
    return truth, np.abs(weight) * (np.abs(normal) + 1) + np.abs(bias)
