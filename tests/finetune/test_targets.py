"""How targets are told apart and encoded, and what is said of those that cannot be."""

import numpy as np
import pytest

from numfuse import LinearHead
from numfuse._finetune_targets import (
    balanced_factors,
    describe,
    encode,
    labels_in,
    named_factors,
    of_labels,
    row_weights,
)

F8 = np.dtype(np.float64)


@pytest.mark.parametrize("labels", [
    np.array([3, 1, 3, 2]), np.array([-5, 10**15, 7]), np.array([0, 2**64 - 1], np.uint64), np.array([-128, 127, 5], np.int8),
    np.array(["b", "a", "b"]), np.array(["b", "a"], object), np.array([0.5, -0.0, 0.0]), np.array([True, False]),
])  # fmt: skip
def test_classes_are_the_sorted_labels_and_indices_bring_them_back(labels):
    kind = describe("softmax", labels)
    np.testing.assert_array_equal(kind.classes, np.unique(labels), strict=True)
    np.testing.assert_array_equal(kind.classes[encode(kind, labels, F8).labels], labels)


def test_labels_are_found_by_counting_and_by_sorting_alike():
    rng = np.random.default_rng(0)
    for span in (1, 3, 4000, 10**9):
        for dtype in (np.int16, np.int64, np.uint32, np.uint64):
            labels = rng.integers(0, min(span, np.iinfo(dtype).max), 500).astype(dtype)
            np.testing.assert_array_equal(labels_in(labels), np.unique(labels), strict=True)
            if len(np.unique(labels)) > 1:
                kind = of_labels("softmax", np.unique(labels))
                wanted = np.searchsorted(kind.classes, labels)
                np.testing.assert_array_equal(encode(kind, labels, F8).labels, wanted)


def test_integers_and_floats_of_one_value_are_one_label():
    kind = describe("softmax", np.array([0, 1, 2]))
    assert encode(kind, np.array([2.0, 0.0]), F8).labels.tolist() == [2, 0]
    assert encode(kind, np.array([True, False]), F8).labels.tolist() == [1, 0]


def test_kinds_are_told_by_loss_and_shape():
    for loss, targets, name, outputs in (
        ("softmax", [0, 1, 2], "labels", 3), ("softmax", [[0.5, 0.5], [1, 0]], "soft", 2),
        ("sigmoid", [0, 1, 1], "labels", 1), ("sigmoid", [[0, 1, 1], [1, 0, 0]], "several", 3),
        ("squared", [0, 1, 2], "numbers", 1), ("huber", [[0.0, 1.0]], "numbers", 2),
    ):  # fmt: skip
        kind = describe(loss, np.array(targets))
        assert (kind.name, kind.outputs) == (name, outputs)
        assert (kind.classes is None) == (name == "numbers")


X = np.arange(12.0).reshape(4, 3) % 5
BAD = {
    "one label": ("softmax", ["a"] * 4, {}, ValueError, "only the label 'a'.*classes="),
    "three for a sigmoid": ("sigmoid", [0, 1, 2, 1], {}, ValueError, 'two labels, but targets has 3.*loss="softmax"'),
    "an unknown label": ("softmax", ["a", "b", "c", "a"], {"classes": ["a", "b"]}, ValueError, "'c' in row 2.*not in classes.*'a', 'b'"),
    "words for numbers": ("softmax", ["a", "b", "a", "a"], {"classes": [0, 1]}, ValueError, "'a' in row 0"),
    "a class twice": ("softmax", [0, 1, 0, 1], {"classes": [0, 1, 1]}, ValueError, "classes has 1 twice"),
    "a label that is NaN": ("softmax", [0.0, np.nan, 1.0, 0.0], {}, ValueError, "nan.*row 1"),
    "a label that is None": ("softmax", np.array(["a", None, "b", "a"], object), {}, ValueError, "None in row 1"),
    "labels of two types": ("softmax", np.array(["a", 1, "b", 2], object), {}, TypeError, "cannot be sorted"),
    "complex labels": ("softmax", [1j, 0, 1, 1], {}, TypeError, "complex128"),
    "a column of labels": ("softmax", [[0], [1], [0], [1]], {}, ValueError, r"targets.ravel\(\)"),
    "three axes": ("softmax", np.zeros((4, 1, 2)), {}, ValueError, r"shape \(4, 1, 2\)"),
    "no axis": ("softmax", 3, {}, ValueError, r"shape \(\)"),
    "too few": ("softmax", [0, 1, 0], {}, ValueError, "targets has 3 entries for features' 4 rows"),
    "shares that do not sum to 1": ("softmax", [[0.5, 0.5], [0.5, 0.6], [1, 0], [1, 0]], {}, ValueError, "row 1.*sum to 1"),
    "negative shares": ("softmax", [[1.5, -0.5], [0.5, 0.5], [1, 0], [1, 0]], {}, ValueError, "row 0.*>= 0"),
    "shares that are NaN": ("softmax", [[0.5, 0.5], [np.nan, 1], [1, 0], [1, 0]], {}, ValueError, "nan in row 1"),
    "shares for sigmoid": ("sigmoid", [[0.5, 0.5], [1, 0], [1, 0], [1, 0]], {}, ValueError, "row 0.*0 or 1"),
    "words with two axes": ("sigmoid", [["a", "b"]] * 4, {}, TypeError, "two axes"),
    "words for a regression": ("squared", ["a", "b", "a", "b"], {}, TypeError, '"squared" aims at numbers'),
    "classes for a regression": ("squared", [1, 2, 3, 4], {"classes": [1, 2]}, ValueError, "classes is given"),
    "numbers that are infinite": ("huber", [1, 2, np.inf, 4], {}, ValueError, "inf in row 2"),
    "none": ("softmax", None, {}, ValueError, "targets is None"),
    "a class weight of nobody": ("softmax", [0, 1, 0, 1], {"class_weight": {"z": 1.0}}, ValueError, r"class_weight names 'z'.*\[0, 1\]"),
    "too many class weights": ("softmax", [0, 1, 0, 1], {"class_weight": [1.0, 2.0, 3.0]}, ValueError, r"class_weight has shape \(3,\).*2 classes"),
    "a negative class weight": ("softmax", [0, 1, 0, 1], {"class_weight": {0: -1.0}}, ValueError, "class_weight.*-1.0"),
    "class weights of 0": ("softmax", [0, 1, 0, 1], {"class_weight": {0: 0.0, 1: 0}}, ValueError, "class_weight is 0"),
    "class weights of numbers": ("squared", [0, 1, 0, 1], {"class_weight": "balanced"}, ValueError, "class_weight is given"),
    "class weights of shares": ("softmax", [[1, 0]] * 4, {"class_weight": [1, 1]}, ValueError, "class_weight is given.*soft"),
    "class weights of several": ("sigmoid", [[1, 0]] * 4, {"class_weight": {0: 1}}, ValueError, "class_weight is given.*several"),
    "a negative weight": ("softmax", [0, 1, 0, 1], {"sample_weight": [1, 1, 1, -1.0]}, ValueError, "sample_weight is -1.0 in row 3"),
    "a weight that is NaN": ("softmax", [0, 1, 0, 1], {"sample_weight": [1, np.nan, 1, 1]}, ValueError, "sample_weight is nan in row 1"),
    "weights of 0": ("softmax", [0, 1, 0, 1], {"sample_weight": [0, 0, 0, 0]}, ValueError, "sample_weight is 0 in all rows"),
    "too few weights": ("softmax", [0, 1, 0, 1], {"sample_weight": [1, 1]}, ValueError, "sample_weight has 2 entries"),
    "weights of words": ("softmax", [0, 1, 0, 1], {"sample_weight": ["a"] * 4}, TypeError, "sample_weight is"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", BAD)
@pytest.mark.parametrize("solver", ["lbfgs", "adamw"])
def test_what_cannot_be_aimed_at_is_explained(mistake, solver):
    loss, targets, given, error, words = BAD[mistake]
    keywords = {name: value for name, value in given.items() if name == "class_weight"}
    data = {name: value for name, value in given.items() if name not in keywords}
    head = LinearHead(loss=loss, solver=solver, **keywords)
    before = dict(head.__dict__)
    with pytest.raises(error, match=words):
        head.fit(X, targets, **data)
    assert head.__dict__ == before


def test_balanced_weights_give_each_class_the_same_sum():
    factors = balanced_factors(np.array([1.0, 3.0, 0.0, 6.0]))
    assert factors.tolist() == [10 / 4, 10 / 12, 0, 10 / 24]
    assert (factors * [1, 3, 0, 6])[[0, 1, 3]].tolist() == [2.5, 2.5, 2.5]


def test_class_weights_by_name_and_by_place_are_the_same():
    kind = of_labels("softmax", np.array(["a", "b", "c"]))
    assert named_factors({"b": 3.0}, kind).tolist() == [1, 3, 1]
    assert named_factors(np.array([1.0, 3.0, 1.0]), kind).tolist() == [1, 3, 1]
    assert named_factors(None, kind) is None


def test_row_weights_are_rounded_once():
    weights = row_weights(
        np.array([1 / 3, 2.0]), np.array([1.0, 3.0]), np.array([1, 0]), np.dtype("f4")
    )
    np.testing.assert_array_equal(weights, np.array([1 / 3 * 3.0, 2.0], np.float32), strict=True)
