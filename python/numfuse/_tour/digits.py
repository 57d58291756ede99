"""Chapter: a network that learned five digits is tuned for the other five."""

from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numfuse import LinearHead, LowRankAdapter

from . import draw_heads
from .chapter import Chapter, Guide, Picture, Table

TITLE = "Five digits learned, five to go"
COUNTS = (5, 10, 20, 50, 100)
REPETITIONS = 3
HIDDEN = 64
LIGHTEST, DARKEST = 0.0, 16.0
# Of the head on given features, and of the networks.
PENALTY = 1e-3
BATCH = 32
NETWORK: dict[str, Any] = {"learning_rate": 5e-3, "weight_decay": 1e-2, "schedule": "cosine"}
PRETRAINING_EPOCHS = 30
STEPS = 300  # of a network on 5 to 9, however few its rows
RANK = 8
WAYS = ("head, layer frozen", "head and low-rank update", "network from scratch", "head on pixels")


def digits(guide: Guide) -> Chapter:
    """Pretrain on 0 to 4, then learn 5 to 9 from few labels, four ways."""
    if find_spec("sklearn") is None:
        return Chapter(
            TITLE, ("Left out: the pictures of digits come with scikit-learn, not installed here.",)
        )
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    features = ((images - LIGHTEST) / (DARKEST - LIGHTEST)).astype(np.float32)
    early, late = labels < 5, labels >= 5
    guide.say("Pretraining a network on the digits 0 to 4")
    base = network(0, epochs=PRETRAINING_EPOCHS)
    train, test = held_out(features[early], labels[early])
    base.fit(*train, validation=test)
    guide.say("Learning the digits 5 to 9 from few labels")
    scores = compare(base, features[late], labels[late])
    final = float(base.history_["validation_metric"][-1])
    return Chapter(
        TITLE,
        (
            (
                f"{len(images):,} handwritten digits of 8 × 8 pixels. A network of one hidden "
                f"layer ({HIDDEN} units; LowRankAdapter at full rank trains every weight) learns "
                f"the digits 0 to 4 first, and is right on {final:.1%} of those held out. Then 5 "
                "to 9 are to be learned, which it has never seen, from a few labels each."
            ),
            _learning(base),
            (
                "Four ways: the hidden layer stays frozen, and only a head is learned on it; an "
                f"update of rank {RANK} tunes it together with a head; the same network starts "
                "from random weights; or there is no network, and a head looks at the pixels."
            ),
            _by_labels(scores),
            Table(
                "Right on held-out digits from 5 to 9",
                ("Labels for each digit", *(f"{name}, %" for name in scores)),
                tuple(
                    (str(count), *(float(100 * values[row].mean()) for values in scores.values()))
                    for row, count in enumerate(COUNTS)
                ),
                printed=True,
            ),
            _verdict(scores),
        ),
    )


def network(seed: int, *, epochs: int) -> LowRankAdapter:
    """Return a network of which every weight is learned: random start, update of full rank."""
    start = np.random.default_rng(seed).standard_normal((HIDDEN, 64)) / np.sqrt(64 / 2)
    return LowRankAdapter(
        start.astype(np.float32), np.zeros(HIDDEN, np.float32), rank=HIDDEN, alpha=HIDDEN,
        activation="relu", batch_size=BATCH, epochs=epochs, seed=seed, **NETWORK,
    )  # fmt: skip


def held_out(features: NDArray[Any], labels: NDArray[Any]) -> tuple[Any, Any]:
    """Split rows, two to learn from for each that counts."""
    test = np.arange(len(labels)) % 3 == 0
    return (features[~test], labels[~test]), (features[test], labels[test])


def compare(
    base: LowRankAdapter, features: NDArray[Any], labels: NDArray[Any]
) -> dict[str, NDArray[np.float64]]:
    """Return accuracies (counts, repetitions) of four ways to learn."""
    (train, train_labels), (test, test_labels) = held_out(features, labels)
    weight, bias = base.merge()
    learned, learned_test = base.transform(train), base.transform(test)
    scores = {way: np.empty((len(COUNTS), REPETITIONS)) for way in WAYS}
    for repetition in range(REPETITIONS):
        order = np.random.default_rng(repetition).permutation(len(train))
        own = [order[train_labels[order] == digit] for digit in range(5, 10)]
        for row, count in enumerate(COUNTS):
            chosen = np.concatenate([rows[:count] for rows in own])
            x, y = train[chosen], train_labels[chosen]
            epochs = -(-STEPS // -(-len(x) // BATCH))
            head = LinearHead(l2=PENALTY, tolerance=1e-4)
            tuned = LowRankAdapter(
                weight, bias, rank=RANK, alpha=RANK, activation="relu", batch_size=BATCH,
                epochs=epochs, **NETWORK,
            )  # fmt: skip
            scratch = network(repetition + 1, epochs=epochs)
            found = (
                head.fit(learned[chosen], y).score(learned_test, test_labels),
                tuned.fit(x, y).score(test, test_labels),
                scratch.fit(x, y).score(test, test_labels),
                head.fit(x, y).score(test, test_labels),
            )
            for way, value in zip(WAYS, found, strict=True):
                scores[way][row, repetition] = value
    return scores


def _verdict(scores: dict[str, NDArray[np.float64]]) -> str:
    """Say which way is best with few labels and with many, whichever it is."""
    best = []
    for row in (0, -1):
        means = {way: float(values[row].mean()) for way, values in scores.items()}
        best.append(max(means.items(), key=lambda pair: pair[1]))
    (few, few_right), (many, many_right) = best
    frozen = scores[WAYS[0]].mean(axis=1)
    return (
        f"Best with {COUNTS[0]} labels for each digit: “{few}”, {few_right:.0%}; with "
        f"{COUNTS[-1]}: “{many}”, {many_right:.0%}. Features that were made for five digits keep "
        f"what tells those apart: frozen, they reach {frozen[0]:.0%} and {frozen[-1]:.0%} on "
        "the others. So pretraining has to be measured, not believed in."
    )


def _learning(base: LowRankAdapter) -> Picture:
    return Picture(
        "Learning 0 to 4",
        "Loss on the rows that the network learns from, loss and accuracy on those held out.",
        f"Learning curves over {PRETRAINING_EPOCHS} epochs: both losses fall, the accuracy "
        f"rises to {base.history_['validation_metric'][-1]:.1%}.",
        draw_heads.learning(base.history_),
        draw_heads.learning(base.history_, narrow=True),
    )


def _by_labels(scores: dict[str, NDArray[np.float64]]) -> Picture:
    def drawn(*, narrow: bool) -> bytes:
        return draw_heads.by_labels(COUNTS, scores, chance=0.2, narrow=narrow)

    means = {name: values.mean(axis=1) for name, values in scores.items()}
    ends = "; ".join(f"{name} {mean[0]:.0%} to {mean[-1]:.0%}" for name, mean in means.items())
    return Picture(
        "Learning 5 to 9",
        f"Mean of {REPETITIONS} draws of the labelled digits; the band is from the worst draw to "
        "the best.",
        f"Line chart of accuracy over {COUNTS[0]} to {COUNTS[-1]} labels for each digit: {ends}.",
        drawn(narrow=False),
        drawn(narrow=True),
    )
