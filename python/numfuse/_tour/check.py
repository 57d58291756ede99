"""Chapter: the kernels and their NumPy reference give the same embeddings."""

from itertools import chain
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numfuse import config_context, get_config

from .chapter import Chapter, Guide, Table
from .sentences import TOPICS

REPETITIONS = 3


def check(guide: Guide) -> Chapter:
    """Embed the sentences with each backend, compare and time them."""
    sentences = list(chain.from_iterable(TOPICS.values()))
    guide.say("Comparing the kernels with plain NumPy")
    ours, our_time = _timed(guide, sentences, REPETITIONS)
    with config_context(backend="numpy"):
        reference, reference_time = _timed(guide, sentences, 1)
    apart = float(np.max(1 - np.sum(ours.astype(float) * reference.astype(float), axis=1)))
    name = {"rust": "compiled kernels", "numpy": "plain NumPy"}[get_config()["backend"]]
    return Chapter(
        "The same numbers, checked",
        (
            (
                "Every function of numfuse has a twin in plain NumPy that reads like its formula "
                "and says what is right. The same sentences went through both: no embedding "
                f"differs by more than {max(apart, 0):.0e} in cosine."
            ),
            Table(
                f"Time to embed the {len(sentences)} sentences",
                ("Backend", "What it is", "Milliseconds"),
                (
                    ("This run", name, 1e3 * our_time),
                    ("Reference", "plain NumPy", 1e3 * reference_time),
                ),
                printed=True,
            ),
            (
                "Tokenising and the matrix products, which NumPy does in both, are part of the "
                "times. Careful measurements, other libraries included, are what numfuse bench is "
                "for."
            ),
        ),
    )


def _timed(guide: Guide, sentences: list[str], repetitions: int) -> tuple[NDArray[Any], float]:
    """Return the embeddings and the median time; earlier chapters have warmed up the encoder."""
    times = []
    for _ in range(repetitions):
        start = perf_counter()
        embeddings = guide.encoder.encode(sentences)
        times.append(perf_counter() - start)
    return embeddings, float(np.median(times))
