"""numfuse itself, as a user calls it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import numfuse
from numfuse import _native
from numfuse._bench.cases import Array, Attention, Case, Embedding, Layer
from numfuse._bench.diffusion import Certified, Heat


def versions() -> dict[str, str]:
    """State the release, and the level of instructions in force."""
    level = _native.kernels.isa() if numfuse.get_config()["backend"] == "rust" else "none"
    return {"numfuse": numfuse.__version__, "level": level}


def settle(threads: int) -> None:
    """Set the one setting that there is."""
    numfuse.set_config(threads=threads)


def prepare(case: Case, inputs: dict[str, Array]) -> Callable[[], Any]:
    """Prepare the keywords or the problem.

    Outputs are allocated in the call, but for fields: there the peers have theirs from before.
    """
    if isinstance(case, Attention):
        query, key, value = inputs["query"], inputs["key"], inputs["value"]
        options = case.options | {name: inputs[name] for name in case.arrays}
        return partial(numfuse.attention, query, key, value, **options)
    if isinstance(case, Layer):
        from numfuse import layers

        x = inputs["x"]
        if case.function == "gelu":
            return partial(layers.gelu, x, approximate=case.approximate)
        return partial(layers.layer_norm, x, inputs["weight"], inputs["bias"])
    if isinstance(case, Heat):
        problem = numfuse.Diffusion(inputs.get("diffusivity", 1.0), order=case.order)
        out = np.empty_like(inputs["field"])
        return partial(problem.advance, inputs["field"], steps=case.steps, dt=case.dt, out=out)
    if isinstance(case, Certified):
        problem = numfuse.Diffusion(inputs["diffusivity"], axes=(1, 2), tolerance=case.tolerance)
        out = np.empty_like(inputs["field"])
        return partial(problem.advance, inputs["field"], time=float(inputs["time"]), out=out)
    assert isinstance(case, Embedding)
    return embedding(case, inputs)


def embedding(case: Embedding, inputs: dict[str, Array]) -> Callable[[], Any]:
    """Embed sentences by `numfuse.models.BertEncoder`."""
    from numfuse.models import BertEncoder, minilm_folder

    encoder = BertEncoder.from_folder(minilm_folder())
    texts = inputs["texts"].tolist()
    return partial(encoder.encode, texts, batch_size=case.batch, max_length=case.max_length)


def to_numpy(result: Array) -> Array:
    """Return it: it is an array already."""
    return result
