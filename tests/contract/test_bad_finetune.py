"""Wrong input to heads: each mistake has a message of its own, on every engine, and nothing is lost."""

import numpy as np
import pytest

from numfuse import HeadSweep, LinearHead

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 4))
Y = np.array(["a", "b", "c"])[(X @ RNG.standard_normal((4, 3))).argmax(axis=1)]


def hole(row, column, value=np.nan, dtype=float):
    x = X.astype(dtype)
    x[row, column] = value
    return x


# mistake: (keywords, data, error, what the message must say)
MISTAKES = {
    "a label out of range": ({}, {"classes": ["a", "b"]}, ValueError, ["label 'c'", "row ", "not in classes", "drop the row"]),
    "one class only": ({}, {"targets": ["a"] * 40}, ValueError, ["only the label 'a'", "classes="]),
    "a column of labels": ({}, {"targets": Y[:, None]}, ValueError, ["targets has shape (40, 1)", "ravel"]),
    "a feature that is NaN": ({}, {"features": hole(17, 3)}, ValueError, ["features has nan in row 17, column 3", "drop or fill"]),
    "a feature that is infinite": ({}, {"features": hole(0, 0, -np.inf)}, ValueError, ["-inf in row 0, column 0"]),
    "a half that is NaN": ({}, {"features": hole(17, 3, dtype=np.float16)}, ValueError, ["row 17, column 3", "drop or fill"]),
    "too few targets": ({}, {"targets": Y[:39]}, ValueError, ["targets has 39 entries", "40 rows"]),
    "other columns to validate on": ({}, {"validation": (X[:, :3], Y)}, ValueError, ["validation's features has 3 columns", "has 4"]),
    "a weight for an unknown class": ({"class_weight": {"z": 2.0}}, {}, ValueError, ["class_weight names 'z'", "['a', 'b', 'c']"]),
    "a negative weight": ({}, {"sample_weight": np.r_[np.ones(39), -1]}, ValueError, ["sample_weight is -1.0 in row 39"]),
    "no weight at all": ({}, {"sample_weight": np.zeros(40)}, ValueError, ["sample_weight is 0 in all rows"]),
    "an empty block": ({}, {"features": [(X, Y), (X[:0], Y[:0])], "targets": None, "classes": list("abc")}, ValueError, ["block 1 of features is empty"]),
    "a narrow block": ({}, {"features": [(X, Y), (X[:, 1:], Y)], "targets": None, "classes": list("abc")}, ValueError, ["block 1 of features has 3 columns", "4"]),
    "a hole in a block": ({}, {"features": [(X, Y), (hole(5, 2), Y)], "targets": None, "classes": list("abc")}, ValueError, ["block 1 of features", "row 5, column 2"]),
    "an anchor of another shape": ({"anchor": np.zeros((2, 4))}, {}, ValueError, ["anchor has shape (2, 4)", "(3, 4)"]),
    "decay that the solver lacks": ({"solver": "sgd", "weight_decay": 0.1}, {}, ValueError, ["weight_decay is 0.1", "use l2="]),
    "early stopping of a solver without epochs": ({"solver": "lbfgs", "early_stopping": 3}, {}, ValueError, ["early_stopping is 3", '"lbfgs"']),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("solver", ["adamw", "lbfgs"])
def test_a_head_explains(engine, mistake, solver):
    keywords, data, kind, words = MISTAKES[mistake]
    head = LinearHead(solver=solver).fit(X, Y)
    for name, value in keywords.items():
        setattr(head, name, value)
    weight = head.weight_.copy()
    with pytest.raises(kind) as error:
        head.fit(**{"features": X, "targets": Y, **data})
    for word in words:
        assert word in str(error.value)
    np.testing.assert_array_equal(head.weight_, weight)


def test_a_sweep_names_columns_of_the_features(engine):
    for solver in ("adamw", "lbfgs"):
        with pytest.raises(ValueError, match="row 9, column 3"):
            HeadSweep({"columns": [(2, 4)]}, solver=solver).fit(hole(9, 3), Y)


def test_another_width_is_explained(engine):
    head = LinearHead().fit(X, Y)
    for call in (head.predict, head.predict_proba, head.decision_function):
        with pytest.raises(
            ValueError, match="features has 3 columns, but this head was fitted with 4"
        ):
            call(X[:, :3])
        with pytest.raises(ValueError, match="features has nan in row 3, column 1"):
            call(hole(3, 1))


def test_a_checkpoint_that_does_not_fit_is_left_alone(engine, tmp_path):
    path = tmp_path / "fit.safetensors"
    settings = {"solver": "sgd", "epochs": 2}
    LinearHead(**settings).fit(X, Y, checkpoint=path)
    whole = path.read_bytes()
    for content, features, words in (
        (whole, X[:, :3], "its features' width differs"), (whole, X[1:], "its features' rows differs"),
        (whole[:-3], X, "cut short"), (whole[:30], X, "cut short"), (b"", X, "not a safetensors file"),
    ):  # fmt: skip
        path.write_bytes(content)
        head = LinearHead(**settings)
        with pytest.raises(ValueError, match=words):
            head.fit(features, Y[-len(features) :], checkpoint=path)
        assert path.read_bytes() == content
        assert not hasattr(head, "weight_")
