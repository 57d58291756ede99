"""Features and files that cannot be used: each is explained, and nothing is lost."""

import json

import numpy as np
import pytest

import numfuse
from numfuse import LinearHead

from .problems import labelled, numbered

X, Y = labelled(n=60, width=4)
SOLVERS = ["sgd", "adamw", "lbfgs", "newton"]


def holed(row, column, value, dtype=np.float64):
    x = X.astype(dtype)
    x[row, column] = value
    return x


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_named_by_row_and_column(solver, standardize, value):
    head = LinearHead(solver=solver, standardize=standardize).fit(X, Y)
    before = {name: copy(value) for name, value in head.__dict__.items()}
    for dtype in (np.float32, np.float64):
        with pytest.raises(ValueError, match=rf"features has {value} in row 17, column 3"):
            head.fit(holed(17, 3, value, dtype), Y)
    assert head.__dict__.keys() == before.keys()
    np.testing.assert_array_equal(head.weight_, before["weight_"])
    with pytest.raises(ValueError, match=rf"features has {value} in row 17, column 3"):
        head.predict(holed(17, 3, value))


def copy(value):
    return value.copy() if hasattr(value, "copy") else value


def test_ridge_and_halves_name_it_too():
    x, y = numbered(n=60, width=4)
    x[5, 1] = np.nan
    with pytest.raises(ValueError, match="features has nan in row 5, column 1"):
        LinearHead(loss="squared", solver="ridge").fit(x, y)
    with pytest.raises(ValueError, match="row 5, column 1"):
        LinearHead(solver="adamw").fit(holed(5, 1, np.inf, np.float16), Y)


def test_columns_are_counted_from_the_features_first():
    with pytest.raises(ValueError, match="row 9, column 3"):
        numfuse.HeadSweep({"columns": [(2, 4)]}).fit(holed(9, 3, np.nan), Y)
    with pytest.raises(ValueError, match="row 9, column 3"):
        numfuse.HeadSweep({"columns": [(2, 4)]}, solver="lbfgs").fit(holed(9, 3, np.nan), Y)


def test_a_hole_in_validation_data_is_said_to_be_there():
    with pytest.raises(ValueError, match="validation's features has nan in row 2, column 0"):
        LinearHead(solver="sgd").fit(X, Y, validation=(holed(2, 0, np.nan), Y))


class Sparse:
    """What SciPy's matrices look like."""

    __module__ = "scipy.sparse._csr"

    def toarray(self):
        raise AssertionError("a sparse matrix is not made dense without being asked")


BAD = {
    "sparse features": (Sparse(), TypeError, r"features is a scipy.sparse matrix; LinearHead takes dense.*features.toarray\(\)"),
    "masked features": (np.ma.masked_array(X, X > 1), TypeError, r"features is a MaskedArray.*filled"),
    "one axis": (X[:, 0], ValueError, r"features has shape \(60,\).*reshape"),
    "three axes": (X[None], ValueError, r"features has shape \(1, 60, 4\)"),
    "no axis": (np.float64(1), ValueError, r"features has shape \(\)"),
    "no row": (X[:0], ValueError, r"0 sample\(s\)"),
    "no column": (X[:, :0], ValueError, r"0 feature\(s\)"),
    "complex features": (X + 0j, TypeError, "features is complex128"),
    "words": (np.array([["a"] * 4] * 60), TypeError, "features is"),
    "objects": (np.array([["a", 1, 2, 3]] * 60, object), (TypeError, ValueError), "features has a value that is no number"),
    "long doubles": (X.astype(np.longdouble), TypeError, "features is"),
    "ragged rows": ([[1.0, 2.0], [1.0]], ValueError, "features is a list"),
    "no block": ([], ValueError, "features"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", BAD)
def test_features_that_cannot_be_read_are_explained(mistake):
    features, error, words = BAD[mistake]
    head = LinearHead().fit(X, Y)
    with pytest.raises(error, match=words):
        head.fit(features, Y)
    with pytest.raises((TypeError, ValueError)):
        LinearHead(loss="squared", solver="ridge").fit(features, Y)
    assert head.score(X, Y) > 0.8
    if mistake not in ("no row", "no block"):
        with pytest.raises((TypeError, ValueError)):
            head.predict(features)


def test_another_width_is_explained():
    head = LinearHead().fit(X, Y)
    for call in (head.predict, head.predict_proba, head.decision_function):
        with pytest.raises(
            ValueError, match="features has 3 columns, but this head was fitted with 4"
        ):
            call(X[:, :3])
    with pytest.raises(ValueError, match="validation's features has 3 columns, but features has 4"):
        LinearHead().fit(X, Y, validation=(X[:, :3], Y))
    with pytest.raises(ValueError, match="validation's targets has the label 'z' in row 1"):
        LinearHead().fit(X, np.array(["a", "b", "c"])[Y], validation=(X[:2], ["a", "z"]))
    for bad in (X, (X,), (X, Y, None, None), "xy", 3):
        with pytest.raises((TypeError, ValueError), match="^validation"):
            LinearHead().fit(X, Y, validation=bad)


BLOCKS = {
    "an empty block": ([(X, Y), (X, Y), (X, Y), (X[:0], Y[:0])], "block 3 of features is empty"),
    "a narrow block": ([(X, Y), (X[:, :3], Y)], "block 1 of features has 3 columns, but the first block has 4"),
    "a block of another dtype": ([(X, Y), (X.astype("f4"), Y)], "block 1 of features is float32"),
    "a block with a hole": ([(X, Y), (holed(7, 2, np.nan), Y)], "block 1 of features has nan in row 7, column 2"),
    "a block without targets": ([(X, Y), (X,)], r"block 1 of features is a tuple.*\(features, targets\)"),
    "too few targets": ([(X, Y), (X, Y[:3])], "targets of block 1 has 3 entries for features' 60 rows"),
    "an unknown label": ([(X, Y), (X, Y + 1)], "targets of block 1 has the label 3"),
    "a negative weight": ([(X, Y), (X, Y, np.full(60, -1.0))], "sample_weight of block 1 is -1.0 in row 0"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", BLOCKS)
@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
def test_blocks_that_cannot_be_used_are_explained(mistake, solver):
    blocks, words = BLOCKS[mistake]
    head = LinearHead(solver=solver).fit(X, Y)
    weight = head.weight_.copy()
    with pytest.raises(ValueError, match=words):
        head.fit(blocks, classes=[0, 1, 2])
    np.testing.assert_array_equal(head.weight_, weight)


def test_weights_beside_blocks_are_refused():
    with pytest.raises(ValueError, match="sample_weight is given beside blocks"):
        LinearHead().fit([(X, Y)], sample_weight=np.ones(60))


def test_early_stopping_of_blocks_needs_validation_data():
    with pytest.raises(ValueError, match="early_stopping is 3, but of blocks.*validation="):
        LinearHead(solver="sgd", early_stopping=3).fit([(X, Y)])
    with pytest.raises(ValueError, match="early_stopping is 3, but features has one row"):
        LinearHead(solver="sgd", early_stopping=3).fit(X[:1], Y[:1], classes=[0, 1, 2])


def test_an_error_of_the_callers_own_goes_through():
    class Broken:
        def __iter__(self):
            yield X, Y
            raise KeyError("mine")

    head = LinearHead(solver="sgd").fit(X, Y)
    weight = head.weight_.copy()
    with pytest.raises(KeyError, match="mine"):
        head.fit(Broken(), classes=[0, 1, 2])
    np.testing.assert_array_equal(head.weight_, weight)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_fit_that_diverges_warns_and_ends(dtype):
    x, y = numbered(dtype=dtype)
    far = float(np.sqrt(np.finfo(dtype).max))
    head = LinearHead(loss="squared", solver="sgd", learning_rate=far, epochs=3)
    with pytest.warns(
        numfuse.ConvergenceWarning,
        match=r"the loss is not finite from epoch \d on; lower learning_rate=",
    ):
        head.fit(x, y, validation=(x, y))
    assert head.n_iter_ == 3
    assert not head.converged_
    assert np.isnan(head.history_["validation_metric"][-1])
    sweep = numfuse.HeadSweep(
        {"learning_rate": [far, 1e-3]}, loss="squared", solver="sgd", epochs=3
    )
    with pytest.warns(numfuse.ConvergenceWarning, match="^head 0: "):
        sweep.fit(x, y, validation=(x, y))
    assert sweep.best_index_ == 1
    assert sweep.results_["rank"].tolist() == [2, 1]


def test_a_solver_that_stops_early_says_so():
    for solver in ("lbfgs", "newton"):
        words = f"{solver} stopped after 2 iterations with a gradient of"
        with pytest.warns(numfuse.ConvergenceWarning, match=words) as caught:
            head = LinearHead(solver=solver, max_iter=2).fit(X, Y)
        assert not head.converged_
        assert head.n_iter_ == 2
        assert [each.filename for each in caught] == [__file__]


def test_warnings_point_to_the_call():
    x, y = numbered()
    head = LinearHead(loss="squared", solver="sgd", learning_rate=1e150, epochs=3)
    with pytest.warns(numfuse.ConvergenceWarning) as caught:
        head.fit(x, y)
    assert [each.filename for each in caught] == [__file__]
    sweep = numfuse.HeadSweep({"l2": [0.0, 0.1]}, solver="lbfgs", max_iter=1)
    with pytest.warns(numfuse.ConvergenceWarning) as caught:
        sweep.fit(X, Y)
    assert [each.filename for each in caught] == [__file__]


FILES = {
    "an empty file": b"",
    "a text": b"weight and bias, neither of them a tensor",
    "a header of nonsense": (20).to_bytes(8, "little") + b"x" * 40,
    "a header that never ends": (2**62).to_bytes(8, "little") + b"{}",
}


@pytest.mark.parametrize("mistake", FILES)
def test_files_of_something_else_are_explained(tmp_path, mistake):
    path = tmp_path / "head.safetensors"
    path.write_bytes(FILES[mistake])
    with pytest.raises(ValueError, match="not a safetensors file|cut short"):
        LinearHead.load(path)
    assert path.read_bytes() == FILES[mistake]


def test_a_file_that_is_cut_short_is_explained(tmp_path):
    path = tmp_path / "head.safetensors"
    LinearHead().fit(X, Y).save(path)
    whole = path.read_bytes()
    for length in (9, 100, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"cut short: it has [\d,]+ bytes of [\d,]+"):
            LinearHead.load(path)


def test_tensors_that_are_no_layer_are_explained(tmp_path):
    from numfuse import _safetensors

    path = tmp_path / "head.safetensors"
    for tensors, words in (
        ({"bias": np.zeros(3)}, "no tensor as weight"), ({"weight": np.zeros(3)}, r"shape \(3,\) as weight"),
        ({"weight": np.zeros((2, 3)), "bias": np.zeros(3)}, r"bias of shape \(3,\)"),
    ):  # fmt: skip
        _safetensors.write(path, tensors)
        with pytest.raises(ValueError, match=words):
            LinearHead.load(path)
    numfuse.HeadSweep({"l2": [0.1]}).fit(X, Y).save(path)
    with pytest.raises(ValueError, match="holds a HeadSweep, not a LinearHead"):
        LinearHead.load(path)
    with pytest.raises(ValueError, match="did not write"):
        _safetensors.write(path, {"weight": np.zeros((2, 3))})
        numfuse.HeadSweep.load(path)


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "head.safetensors"
    LinearHead().fit(X, Y).save(path)
    before = path.read_bytes()
    head = LinearHead().fit(X, Y)
    head.classes_ = np.array([object(), object(), object()])
    with pytest.raises(TypeError, match="classes_ has the label"):
        head.save(path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["head.safetensors"]


DAMAGE = [None, 5, "x", [1], {}, float("inf"), "left out"]


def damaged(path, name, bad):
    """Write the file again with one of its facts gone wrong."""
    from numfuse import _safetensors

    tensors, metadata = _safetensors.read(path)
    facts = json.loads(metadata["numfuse"])
    if bad == "left out":
        del facts[name]
    else:
        facts[name] = bad
    _safetensors.write(path, dict(tensors), {"numfuse": json.dumps(facts)})


@pytest.mark.parametrize("bad", DAMAGE, ids=str)
def test_damaged_facts_of_a_head_are_a_value_error_or_do_no_harm(tmp_path, bad):
    path = tmp_path / "head.safetensors"
    for name in ("settings", "classes", "targets", "rank", "n_iter", "kind", "version"):
        LinearHead().fit(X, Y).save(path)
        damaged(path, name, bad)
        try:
            LinearHead.load(path).predict(X)
        except ValueError as error:
            assert str(path) in str(error)  # noqa: PT017 - it need not be raised


@pytest.mark.parametrize("bad", DAMAGE, ids=str)
def test_damaged_facts_of_a_sweep_are_a_value_error_or_do_no_harm(tmp_path, bad):
    path = tmp_path / "sweep.safetensors"
    for name in ("settings", "own", "heads", "best_index", "width", "n_iter", "metric", "halving"):
        sweep = numfuse.HeadSweep({"l2": [0.1, 1.0]}, epochs=2)
        sweep.fit(X, Y, validation=(X, Y)).save(path)
        damaged(path, name, bad)
        try:
            numfuse.HeadSweep.load(path).predict(X)
        except ValueError as error:
            assert str(path) in str(error)  # noqa: PT017 - it need not be raised


@pytest.mark.parametrize("bad", DAMAGE, ids=str)
@pytest.mark.parametrize("name", ["fingerprint", "epoch", "finished"])
def test_damaged_facts_of_a_checkpoint_are_a_value_error_or_do_no_harm(tmp_path, name, bad):
    path = tmp_path / "fit.safetensors"
    settings = {"solver": "sgd", "epochs": 2}
    LinearHead(**settings).fit(X, Y, checkpoint=path)
    damaged(path, name, bad)
    try:
        LinearHead(**settings).fit(X, Y, checkpoint=path)
    except ValueError as error:
        assert str(path) in str(error)  # noqa: PT017 - it need not be raised


def test_a_checkpoint_that_is_ahead_of_the_fit_is_refused(tmp_path):
    path = tmp_path / "fit.safetensors"
    settings = {"solver": "sgd", "epochs": 2}
    LinearHead(**settings).fit(X, Y, checkpoint=path)
    for epoch in (99, -1):
        damaged(path, "epoch", epoch)
        with pytest.raises(ValueError, match="does not hold what its header promises"):
            LinearHead(**settings).fit(X, Y, checkpoint=path)


def test_validation_and_blocks_without_a_heads_targets_are_named():
    sweep = numfuse.HeadSweep({"targets": ["a", "b"]}, epochs=1)
    both = {"a": Y, "b": Y}
    with pytest.raises(ValueError, match="validation's targets has no 'b'"):
        sweep.fit(X, both, validation=(X, {"a": Y}))
    with pytest.raises(TypeError, match="validation's targets is a ndarray"):
        sweep.fit(X, both, validation=(X, Y))
    with pytest.raises(ValueError, match="targets has no 'b'"):
        sweep.fit([(X, both), (X, {"a": Y})])


def test_a_block_of_lists_is_named_by_its_dtype():
    with pytest.raises(ValueError, match="block 1 of features is float64, but the first block"):
        LinearHead(solver="adamw").fit([(X.astype("f4"), Y), (X.tolist(), Y)])


def test_blocks_that_grow_after_they_were_counted_are_refused():
    class Growing:
        passes = 0

        def __iter__(self):
            self.passes += 1
            return iter([(X, Y)] * (1 if self.passes < 4 else 2))

    head = LinearHead(solver="sgd", epochs=9, schedule="cosine", batch_size=32)
    with pytest.raises(ValueError, match="features has more rows in epoch"):
        head.fit(Growing())
    assert not hasattr(head, "weight_")


@pytest.mark.parametrize("solver", ["adamw", "lbfgs", "newton"])
@pytest.mark.parametrize("size", [1e-60, 1e60, 1e300])
def test_only_ratios_of_sample_weights_count(solver, size):
    x = X.astype(np.float32)
    weights = np.random.default_rng(5).random(len(x)) + 0.1
    # A power of two, so that scaling rounds nothing.
    large = np.ldexp(weights, int(np.log2(size)))
    one, other = (LinearHead(solver=solver).fit(x, Y, sample_weight=w) for w in (weights, large))
    np.testing.assert_allclose(one.weight_, other.weight_, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("keywords", [{}, {"loss": "squared", "solver": "ridge"}], ids=str)
def test_features_too_large_for_their_squares_are_named(keywords):
    targets = Y if not keywords else X[:, 0]
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="features are too large"):
        LinearHead(**keywords).fit(X * 1e200, targets)


@pytest.mark.parametrize("value", [None, "best", np.ones(2), 1j], ids=str)
def test_a_metric_that_is_no_number_is_named(value):
    head = LinearHead(solver="sgd", epochs=1, metric=lambda targets, logits: value)
    with pytest.raises(TypeError, match="metric returned"):
        head.fit(X, Y, validation=(X, Y))


def test_an_adapter_names_where_a_hole_is():
    adapter = numfuse.LowRankAdapter(np.ones((3, X.shape[1])), rank=1, epochs=1)
    holed = X.copy()
    holed[3, 1] = np.nan
    with pytest.raises(ValueError, match="validation's features has nan in row 3, column 1"):
        adapter.fit(X, Y, validation=(holed, Y))
    with pytest.raises(ValueError, match="block 0 of features has nan in row 3, column 1"):
        adapter.fit([(holed, Y), (X, Y)])


def test_files_keep_texts_of_any_length_and_forget_an_anchor_they_lack(tmp_path):
    path = tmp_path / "head.safetensors"
    labels = Y.astype(str).astype(np.dtypes.StringDType())
    head = LinearHead(anchor="initial", initial=np.ones((3, X.shape[1])))
    head.fit(X, labels, classes=np.unique(labels)).save(path)
    read = LinearHead.load(path)
    assert read.classes_.dtype == labels.dtype
    np.testing.assert_array_equal(read.predict(X), head.predict(X))
    read.fit(X, labels)
