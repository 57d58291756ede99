"""Chapter: sentences of one topic lie close together."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import draw
from .chapter import Chapter, Guide, Picture, Table
from .sentences import QUERIES, TOPICS

NEIGHBOURS = 3


def meaning(guide: Guide) -> Chapter:
    """Embed the sentences, look up the questions, draw who is near whom."""
    sentences = list(chain.from_iterable(TOPICS.values()))
    topics = [topic for topic, members in TOPICS.items() for _ in members]
    guide.say(f"Embedding {len(sentences) + len(QUERIES)} sentences")
    embeddings = guide.encoder.encode(sentences)
    similarity = embeddings @ embeddings.T

    others = similarity - 2 * np.eye(len(sentences))
    at_home = [topics[row.argmax()] == topic for row, topic in zip(others, topics, strict=True)]
    inside = np.equal.outer(topics, topics) & ~np.eye(len(topics), dtype=bool)
    mean_inside = similarity[inside].mean()
    across = np.not_equal.outer(topics, topics)
    mean_across = similarity[across].mean()
    one, other = np.unravel_index(np.where(across, similarity, -1).argmax(), similarity.shape)

    guide.say("Drawing who is near whom")
    return Chapter(
        "What sentences mean",
        (
            (
                f"MiniLM turns a sentence into {guide.encoder.hidden} numbers, so that sentences "
                "that mean similar things point in similar directions. The cosine of the angle "
                "between two of them is their similarity: 1 is the same direction, 0 is unrelated."
            ),
            (
                f"Here are {len(sentences)} sentences on {len(TOPICS)} topics, and "
                f"{len(QUERIES)} questions that share hardly a word with their answers."
            ),
            _neighbours(guide, sentences, topics, embeddings),
            (
                f"For {sum(at_home)} of the {len(sentences)} sentences, the nearest other sentence "
                f"is of the same topic. Two sentences of one topic have a cosine of "
                f"{mean_inside:.2f} on average, two of different topics {mean_across:.2f}."
            ),
            _matrix(similarity),
            (
                f"The strangers that lie closest are “{sentences[one]}” and “{sentences[other]}” "
                f"({topics[one]} and {topics[other]}, {similarity[one, other]:.2f})."
            ),
            _map(embeddings, topics),
        ),
    )


def _neighbours(
    guide: Guide, sentences: Sequence[str], topics: Sequence[str], embeddings: NDArray[Any]
) -> Table:
    cosines = guide.encoder.encode(QUERIES) @ embeddings.T
    rows = []
    for query, row in zip(QUERIES, cosines, strict=True):
        for rank, best in enumerate(np.argsort(-row)[:NEIGHBOURS]):
            shown = "" if rank else query
            rows.append((shown, sentences[best], topics[best], float(row[best])))
    return Table(
        "Nearest sentences to each question",
        ("Question", "Nearest sentences", "Topic", "Cosine"),
        tuple(rows),
        printed=True,
    )


def _matrix(similarity: NDArray[Any]) -> Picture:
    sizes = {topic: len(members) for topic, members in TOPICS.items()}
    return Picture(
        "Every sentence against every other",
        "Each row and each column is a sentence; the darker, the more alike. The topics stand out "
        "as squares along the diagonal, though the model was never told about them. Each "
        "sentence's cosine with itself, always 1, is left grey.",
        f"Heat map of the cosine similarities of {len(similarity)} sentences, grouped by "
        f"{len(sizes)} topics: {', '.join(sizes)}. Squares of high similarity lie on the diagonal.",
        draw.similarity_matrix(similarity, sizes),
        draw.similarity_matrix(similarity, sizes, narrow=True),
    )


def _map(embeddings: NDArray[Any], topics: Sequence[str]) -> Picture:
    centred = embeddings - embeddings.mean(axis=0)
    _, singular, axes = np.linalg.svd(centred, full_matrices=False)
    shares = singular[:2] ** 2 / np.sum(singular**2)
    return Picture(
        "The same sentences as a map",
        "The two directions in which the embeddings differ most (principal components). Two of "
        f"{embeddings.shape[1]} dimensions keep {shares.sum():.0%} of the variance: topics that "
        "overlap here may be far apart in the others.",
        f"Scatter plot of {len(embeddings)} sentences on their first two principal components, "
        "coloured and shaped by topic; sentences of one topic lie together.",
        draw.topic_map(centred @ axes[:2].T, topics, shares),
        draw.topic_map(centred @ axes[:2].T, topics, shares, narrow=True),
    )
