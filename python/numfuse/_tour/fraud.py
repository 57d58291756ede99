"""Chapter: class weights where one class is rare, and what they do not change."""

from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numfuse import LinearHead

from . import draw_heads
from .chapter import Chapter, Guide, Picture, Table

ROWS, COLUMNS = 100_000, 30
POSITIVES = 0.002
WEIGHTS = {"none": None, "balanced": "balanced"}


def fraud(guide: Guide) -> Chapter:
    """Fit heads with and without class weights to a rare class, and to tumours."""
    guide.say("Looking for a rare class")
    features, rare = transactions()
    found = with_and_without(features, rare)
    best = {name: scores for name, (scores, _) in found.items()}
    truth = rare[1::2]
    return Chapter(
        "One in five hundred",
        (
            (
                f"Synthetic transactions, made up for this page: {ROWS:,} rows of {COLUMNS} "
                f"columns, {POSITIVES:.1%} of them fraud, which shifts six columns a little. A "
                "head of one logit learns from one half and is judged on the other, with and "
                "without class_weight=“balanced”, which gives both classes the same say."
            ),
            _table("Found by a chance above one half, synthetic transactions", found, truth),
            (
                "Accuracy says nothing here: whoever never speaks of fraud is right on "
                f"{1 - truth.mean():.1%}. Class weights move the threshold: nearly all fraud is "
                "found, for many false alarms. The order of the rows, and so the curve below, "
                "gets no better by them."
            ),
            _curve(truth, best),
            *_tumours(),
        ),
    )


def transactions() -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return made-up rows and which of them are fraud."""
    rng = np.random.default_rng(5)
    rare = np.zeros(ROWS, bool)
    rare[rng.choice(ROWS, round(POSITIVES * ROWS), replace=False)] = True
    features = rng.standard_normal((ROWS, COLUMNS)).astype(np.float32)
    features[:, 0] = np.exp(features[:, 0])  # amounts have a long tail
    features[np.ix_(rare, np.arange(1, 7))] += 1.3
    features[rare, 0] *= 1.5
    return features, rare


def with_and_without(
    features: NDArray[Any], rare: NDArray[np.bool_]
) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """Return scores and predictions of every second row by heads fitted to the others."""
    found = {}
    for name, weight in WEIGHTS.items():
        head = LinearHead(loss="sigmoid", standardize=True, class_weight=weight, l2=1e-4)
        head.fit(features[::2], rare[::2])
        test = features[1::2]
        found[name] = (head.decision_function(test)[:, 0], head.predict(test))
    return found


def _table(
    title: str, found: dict[str, tuple[NDArray[Any], NDArray[Any]]], truth: NDArray[np.bool_]
) -> Table:
    rows = []
    for name, (_, predicted) in found.items():
        hits = int(np.sum(predicted & truth))
        rows.append(
            (
                name,
                f"{hits:,} of {truth.sum():,}",
                f"{np.sum(predicted & ~truth):,} of {np.sum(~truth):,}",
                float(100 * np.mean(predicted == truth)),
            )
        )
    columns = ("class_weight", "Positives found", "False alarms", "Right, %")
    return Table(title, columns, tuple(rows), printed=True)


def _tumours() -> tuple[str | Table, ...]:
    if find_spec("sklearn") is None:
        return ("Real tumours are left out: the data come with scikit-learn, not installed here.",)
    from sklearn.datasets import load_breast_cancer

    features, benign = load_breast_cancer(return_X_y=True)
    malignant = benign == 0
    found = with_and_without(features, malignant)
    return (
        (
            f"Where a class is not rare there is less to move: {len(features)} real tumours of "
            f"scikit-learn's breast cancer data, {malignant.mean():.0%} of them malignant, again "
            "one half to learn from and one to be judged on."
        ),
        _table("Malignant tumours found", found, malignant[1::2]),
    )


def _curve(truth: NDArray[np.bool_], scores: dict[str, NDArray[Any]]) -> Picture:
    shown = {f"class_weight {name}": values for name, values in scores.items()}
    return Picture(
        "Every threshold at once",
        "Precision over recall for all thresholds of the head's logit. Whoever can look at a "
        "hundred rows a day chooses the threshold here; no class weight is needed for that.",
        "Precision–recall curves of two heads, with and without class weights, on synthetic data "
        f"with {POSITIVES:.1%} positives. Both lie far above the share of "
        "positives.",
        draw_heads.precision_recall(truth, shown),
        draw_heads.precision_recall(truth, shown, narrow=True),
    )
