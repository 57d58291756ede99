"""numfuse itself, as a user calls it."""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import numfuse
from numfuse import _native
from numfuse._bench.cases import Array, Attention, Case, Embedding, Layer
from numfuse._bench.diffusion import Certified, Heat
from numfuse._bench.finetune import TOLERANCE, Path, Tune


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
    if isinstance(case, Tune):
        return tune(case, inputs)
    if isinstance(case, Path):
        return path(case, inputs)
    assert isinstance(case, Embedding)
    return embedding(case, inputs)


def tune(case: Tune, inputs: dict[str, Array]) -> Callable[[], Any]:
    """Train a head, or equal heads as one sweep."""
    settings: dict[str, Any] = {
        "solver": case.optimizer, "l2": 0.0, "batch_size": case.batch, "epochs": case.epochs,
        "learning_rate": case.learning_rate,
    }  # fmt: skip
    features, labels, classes = inputs["features"], inputs["labels"], np.arange(case.outputs)

    def train(shuffle: bool) -> list[Any]:
        if case.heads == 1:
            head = numfuse.LinearHead(**settings, shuffle=shuffle)
            return [head.fit(features, labels, classes=classes)]
        sweep = numfuse.HeadSweep([{}] * case.heads, **settings, shuffle=shuffle)
        return sweep.fit(features, labels, classes=classes).heads_

    return in_order_first(train)


def in_order_first(train: Callable[[bool], Any]) -> Callable[[], Any]:
    """Return calls that shuffle, but the first, which is judged."""
    shuffles = itertools.chain([False], itertools.repeat(True))
    return lambda: train(next(shuffles))


def path(case: Path, inputs: dict[str, Array]) -> Callable[[], Any]:
    """Find the optimum for one penalty, or for all at once."""
    features, labels = inputs["features"], inputs["labels"]
    if case.values == 1:
        head = numfuse.LinearHead(l2=float(case.penalties[0]), tolerance=TOLERANCE)
        return lambda: [head.fit(features, labels)]
    grid = {"l2": case.penalties.tolist()}
    sweep = numfuse.HeadSweep(grid, solver="lbfgs", tolerance=TOLERANCE)
    return lambda: sweep.fit(features, labels).heads_


def embedding(case: Embedding, inputs: dict[str, Array]) -> Callable[[], Any]:
    """Embed sentences by `numfuse.models.BertEncoder`."""
    from numfuse.models import BertEncoder, minilm_folder

    encoder = BertEncoder.from_folder(minilm_folder())
    texts = inputs["texts"].tolist()
    return partial(encoder.encode, texts, batch_size=case.batch, max_length=case.max_length)


def to_numpy(result: Any) -> Array:
    """Return an array as it is; of heads the weights, at an optimum with the biases beside them."""
    if isinstance(result, np.ndarray):
        return result
    weights = np.array([head.weight_ for head in result])
    if result[0].solver != "lbfgs":
        return weights
    biases = np.array([head.bias_ for head in result])
    return np.concatenate([weights, biases[..., None]], axis=-1)
