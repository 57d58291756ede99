"""A head of a sweep is the head alone, to the bit; and what a sweep says about its heads."""

import copy
import pickle

import numpy as np
import pytest

import numfuse
from numfuse import HeadSweep, LinearHead

from .problems import labelled, numbered, same

X, Y = labelled(n=150, width=9)
X32 = X.astype(np.float32)
VALIDATION = labelled(n=60, width=9, seed=1)
BATCHES = {"batch_size": 32, "epochs": 4}
WEIGHTS = np.random.default_rng(5).uniform(0, 2, len(X))
GRIDS = {
    "learning rates": {"learning_rate": [1e-3, 0.1, 1.0]},
    "l2": {"l2": [0.0, 1e-4, 1.0]},
    "anchors": {"anchor": [None, np.ones((3, 9))]},
    "starts": {"initial": [None, np.ones((3, 9)), (np.ones((3, 9)), np.arange(3.0))]},
    "biases": {"bias": [True, False]},
    "losses": {"loss": ["softmax"], "label_smoothing": [0.0, 0.1]},
    "standardised": {"standardize": [False, True], "bias": [True, False]},
    "class weights": {"class_weight": [None, "balanced", {0: 2.0}, np.array([0.0, 1.0, 2.0])]},
    "schedules": {"schedule": ["constant", "cosine", "linear"], "warmup": [0, 3, 0.25]},
    "clipped": {"clip_norm": [None, 0.1, 10.0]},
    "seeds": {"seed": [0, 1, 2**64 - 1]},
    "early stopping": {"early_stopping": [None, 1, 2], "validation_fraction": [0.1, 0.3]},
    "columns": {"columns": [(0, 9), slice(2, 5), (-4, None)]},
    "everything": {"l2": [0.0, 0.1], "seed": [0, 3], "columns": [(0, 4), (0, 9)], "bias": [True, False]},
}  # fmt: skip
OF_SGD = {"momenta": {"momentum": [0.0, 0.9], "nesterov": [False, True]}}
OF_ADAMW = {
    "decays": {"weight_decay": [0.0, 0.1]},
    "betas": {"betas": [(0.9, 0.999), (0.5, 0.9)], "epsilon": [1e-8, 1e-3]},
}
OF_BATCHES = ("learning rates", "schedules", "clipped", "early stopping", "seeds")


def alone(own, settings, x, y, **data):
    """The head of a sweep by itself."""
    own = dict(own)
    columns = own.pop("columns", slice(None))
    columns = columns if isinstance(columns, slice) else slice(*columns)
    if "validation" in data:
        a, b = data["validation"]
        data["validation"] = a[:, columns], b
    return LinearHead(**settings, **own).fit(x[:, columns], y, **data)


def cases():
    for solver, grids in (
        ("sgd", GRIDS | OF_SGD), ("adamw", GRIDS | OF_ADAMW),
        ("lbfgs", {k: v for k, v in GRIDS.items() if k not in OF_BATCHES}),
    ):  # fmt: skip
        for name, grid in grids.items():
            yield pytest.param(solver, grid, id=f"{solver}-{name}")


kernels = pytest.mark.skipif(
    numfuse.get_config()["backend"] == "numpy", reason="a promise of the kernels alone"
)


@kernels
@pytest.mark.parametrize(("solver", "grid"), list(cases()))
@pytest.mark.parametrize("threads", [1, 2, 7])
def test_a_head_of_a_sweep_has_the_bits_of_the_head_alone(solver, grid, threads):
    settings = {"solver": solver, **(BATCHES if solver != "lbfgs" else {"max_iter": 12})}
    with numfuse.config_context(threads=threads):
        swept = quietly(lambda: HeadSweep(grid, **settings).fit(X32, Y, sample_weight=WEIGHTS))
    with numfuse.config_context(threads=1):
        for own, head in zip(combinations(grid), swept.heads_, strict=True):
            same(head, quietly(lambda own=own: alone(own, settings, X32, Y, sample_weight=WEIGHTS)))


def combinations(grid):
    from numfuse._finetune_grid import grid_of

    return grid_of(grid, {})


def quietly(call):
    """Few iterations are enough for bits."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", numfuse.ConvergenceWarning)
        return call()


@kernels
@pytest.mark.parametrize("solver", ["adamw", "lbfgs"])
def test_heads_with_validation_data_have_their_bits_too(solver):
    settings = {"solver": solver, **(BATCHES if solver == "adamw" else {})}
    grid = {"l2": [1e-3, 1.0], "columns": [(0, 9), (3, 9)]}
    if solver == "adamw":
        grid["early_stopping"] = [None, 2]
    swept = HeadSweep(grid, **settings).fit(X, Y, validation=VALIDATION)
    for own, head in zip(combinations(grid), swept.heads_, strict=True):
        same(head, alone(own, settings, X, Y, validation=VALIDATION))


@kernels
def test_losses_of_labels_and_of_numbers_go_side_by_side():
    labels = {"kind": Y, "first": Y == 0, "number": X @ np.arange(9.0)}
    grid = [
        {"targets": "kind"}, {"targets": "first", "loss": "sigmoid"}, {"targets": "first"},
        {"targets": "number", "loss": "squared"}, {"targets": "number", "loss": "huber", "huber_delta": 0.5},
    ]  # fmt: skip
    for solver in ("sgd", "adamw", "lbfgs"):
        settings = {"solver": solver, **(BATCHES if solver != "lbfgs" else {})}
        if solver == "sgd":
            settings["learning_rate"] = 0.01
        swept = HeadSweep(grid, **settings).fit(X, labels)
        for own, head in zip(grid, swept.heads_, strict=True):
            rest = {name: value for name, value in own.items() if name != "targets"}
            same(head, LinearHead(**settings, **rest).fit(X, labels[own["targets"]]))
    assert swept.heads_[0].classes_.tolist() == [0, 1, 2]
    assert swept.heads_[1].classes_.tolist() == [False, True]
    assert not hasattr(swept.heads_[3], "classes_")


@kernels
def test_blocks_are_swept_as_they_are_fitted():
    blocks = [(X[:64], Y[:64]), (X[64:100], Y[64:100]), (X[100:], Y[100:])]
    grid, settings = {"l2": [0.0, 0.1], "seed": [0, 1]}, {"solver": "adamw", **BATCHES}
    swept = HeadSweep(grid, **settings).fit(blocks)
    for own, head in zip(combinations(grid), swept.heads_, strict=True):
        same(head, LinearHead(**settings, **own).fit(blocks))


@kernels
def test_blocks_may_have_several_targets():
    class Blocks:
        def __iter__(self):
            yield X[:64], {"kind": Y[:64], "first": Y[:64] == 0}
            yield X[64:], {"kind": Y[64:], "first": Y[64:] == 0}

    swept = HeadSweep({"targets": ["kind", "first"]}, **BATCHES).fit(Blocks())
    for targets, head in zip((Y, Y == 0), swept.heads_, strict=True):
        blocks = [(X[:64], targets[:64]), (X[64:], targets[64:])]
        same(head, LinearHead(solver="adamw", **BATCHES).fit(blocks))


def test_the_table_has_one_entry_a_head_and_the_last_keyword_is_fastest():
    grid = {"l2": [1e-3, 10.0], "bias": [True, False], "columns": [(0, 9), None]}
    swept = HeadSweep(grid, solver="lbfgs").fit(X, Y, validation=VALIDATION)
    table = swept.results_
    assert list(table) == [
        "l2", "bias", "columns", "head", "epochs", "loss", "validation_loss", "validation_metric", "rank",
    ]  # fmt: skip
    assert table["l2"].tolist() == [1e-3] * 4 + [10.0] * 4
    assert table["bias"].dtype == bool
    assert table["columns"].tolist() == [(0, 9), None] * 4
    assert table["head"].tolist() == list(range(8))
    assert sorted(table["rank"]) == list(range(1, 9))
    for index, head in enumerate(swept.heads_):
        assert table["epochs"][index] == head.n_iter_
        assert table["loss"][index] == head.history_["loss"][-1]
        assert table["validation_metric"][index] == head.score(*VALIDATION)


@kernels
def test_the_best_head_is_the_one_of_the_best_metric_and_of_equal_ones_the_first():
    grid = {"l2": [100.0, 1e-3, 1e-3]}
    swept = HeadSweep(grid, metric="loss", solver="lbfgs").fit(X, Y, validation=VALIDATION)
    assert swept.best_index_ == 1
    assert swept.best_ is swept.heads_[1]
    assert swept.best_settings_ == {"l2": 1e-3}
    assert swept.results_["rank"].tolist() == [3, 1, 2]
    np.testing.assert_array_equal(swept.predict(X), swept.best_.predict(X))
    np.testing.assert_array_equal(swept.predict_proba(X), swept.best_.predict_proba(X))
    assert swept.score(*VALIDATION) == swept.best_.score(*VALIDATION)
    assert swept.results_["validation_metric"].min() == swept.results_["validation_metric"][1]


def test_metrics_of_which_less_is_better_rank_so():
    x, y = numbered(outputs=1)
    swept = HeadSweep({"l2": [10.0, 1e-3]}, metric="mse", loss="squared", solver="lbfgs")
    swept.fit(x[:100], y[:100], validation=(x[100:], y[100:]))
    assert swept.best_index_ == 1


def test_swept_numbers_are_arrays_of_numbers_and_the_rest_objects():
    grid = {"l2": np.logspace(-3, 0, 3), "warmup": [0, 0.5], "anchor": [None, np.zeros((3, 9))]}
    table = HeadSweep(grid, epochs=1).fit(X, Y).results_
    assert table["l2"].dtype == np.float64
    assert table["l2"][::4].tolist() == np.logspace(-3, 0, 3).tolist()
    assert table["warmup"].dtype == np.float64
    assert table["anchor"].dtype == object
    assert table["anchor"][0] is None
    table = (
        HeadSweep({"schedule": ["linear", "cosine"], "seed": [1, 2]}, epochs=1).fit(X, Y).results_
    )
    assert table["schedule"].dtype.kind == "U"
    assert table["seed"].tolist() == [1, 2, 1, 2]


def test_the_best_head_takes_its_own_columns():
    grid = [{"columns": (5, 9)}, {"columns": (0, 5)}]
    swept = HeadSweep(grid, solver="lbfgs").fit(X, Y, validation=VALIDATION)
    columns = slice(*swept.best_settings_["columns"])
    np.testing.assert_array_equal(
        swept.decision_function(X), swept.best_.decision_function(X[:, columns])
    )
    assert swept.n_features_in_ == 9
    assert [head.n_features_in_ for head in swept.heads_] == [4, 5]
    with pytest.raises(ValueError, match="features has 4 columns"):
        swept.predict(X[:, columns][:, :4])


def test_without_validation_data_there_is_no_best_head():
    swept = HeadSweep({"l2": [0.1, 1.0]}, solver="lbfgs").fit(X, Y)
    for name in ("best_", "best_index_", "best_settings_"):
        with pytest.raises(AttributeError, match="validation"):
            getattr(swept, name)
    assert np.isnan(swept.results_["validation_metric"]).all()
    assert swept.results_["rank"].tolist() == [1, 2]


def test_histories_are_padded_where_a_head_stopped():
    swept = HeadSweep({"early_stopping": [1, None], "learning_rate": [0.5]}, epochs=12)
    swept.fit(X, Y, validation=VALIDATION)
    short, long = (head.n_iter_ for head in swept.heads_)
    assert short < long == 12
    for values in swept.history_.values():
        assert values.shape == (2, 12)
        assert np.isnan(values[0, short:]).all()
        assert np.isfinite(values[1]).all()


def test_heads_that_stop_by_themselves_rank_by_their_best_epoch():
    swept = HeadSweep(
        [{"learning_rate": 0.5, "early_stopping": 2}, {"learning_rate": 1e-5}],
        epochs=200,
        metric="loss",
    ).fit(X, Y, validation=VALIDATION)
    short, long = swept.heads_
    assert short.n_iter_ < long.n_iter_
    assert swept.results_["rank"].tolist() == [1, 2]
    best = short.history_["validation_metric"].min()
    assert swept.results_["validation_metric"][0] == best


def test_a_saved_sweep_comes_back(tmp_path):
    grid = {"l2": [1e-3, 10.0], "columns": [(0, 9), (2, 5)], "bias": [True, False]}
    swept = HeadSweep(grid, solver="lbfgs").fit(
        X,
        np.array(["a", "b", "c"])[Y],
        validation=(VALIDATION[0], np.array(["a", "b", "c"])[VALIDATION[1]]),
    )
    swept.save(tmp_path / "heads.safetensors")
    twin = HeadSweep.load(tmp_path / "heads.safetensors")
    assert twin.best_settings_ == swept.best_settings_
    assert list(twin.results_) == list(swept.results_)
    for name, values in swept.results_.items():
        np.testing.assert_array_equal(twin.results_[name], values)
    np.testing.assert_array_equal(twin.predict(X), swept.predict(X))
    for a, b in zip(twin.heads_, swept.heads_, strict=True):
        np.testing.assert_array_equal(a.weight_, b.weight_, strict=True)
        np.testing.assert_array_equal(a.bias_, b.bias_, strict=True)
        assert repr(a) == repr(b)


def test_a_sweep_pickles_and_copies():
    swept = HeadSweep({"l2": [0.1, 1.0]}, solver="lbfgs").fit(X, Y, validation=VALIDATION)
    for twin in (pickle.loads(pickle.dumps(swept)), copy.copy(swept), copy.deepcopy(swept)):
        assert repr(twin) == repr(swept) == "HeadSweep({'l2': [0.1, 1.0]}, solver='lbfgs')"
        np.testing.assert_array_equal(twin.predict(X), swept.predict(X))


BAD = {
    "an empty grid": ({}, {}, ValueError, "grid is empty"),
    "an empty list": ([], {}, ValueError, "grid is empty"),
    "a keyword without values": ({"l2": []}, {}, ValueError, "no value of 'l2'"),
    "one value for a list": ({"l2": 0.1}, {}, TypeError, "'l2'.*list"),
    "a word for a list": ({"loss": "softmax"}, {}, TypeError, "'loss'.*list"),
    "a misspelt keyword": ({"learning_rat": [0.1]}, {}, TypeError, "learning_rate"),
    "a misspelt setting": ({"l2": [0.1]}, {"epoch": 3}, TypeError, "epochs"),
    "a shared keyword": ({"batch_size": [1, 2]}, {}, ValueError, "'batch_size'.*outside"),
    "a keyword twice": ({"l2": [0.1]}, {"l2": 0.2}, ValueError, "'l2'.*outside"),
    "a solver for one head": ({"l2": [0.1]}, {"solver": "ridge", "loss": "squared"}, ValueError, "sweep takes"),
    "columns with a step": ({"columns": [slice(0, 9, 2)]}, {}, ValueError, "step"),
    "no column": ({"columns": [(5, 5)]}, {}, ValueError, "columns is"),
    "columns by name": ({"columns": ["first"]}, {}, TypeError, "columns is 'first'"),
    "targets that are no dict": ({"targets": ["a"]}, {}, ValueError, "targets 'a'"),
    "a value that does not fit": ({"l2": [0.1, -1.0]}, {}, ValueError, "l2 is -1.0"),
    "halving without validation": ({"l2": [0.1, 1.0]}, {"halving": 2}, ValueError, "validation"),
    "halving of lbfgs": ({"l2": [0.1, 1.0]}, {"halving": 2, "solver": "lbfgs"}, ValueError, "lbfgs"),
    "neither dict nor list": (3, {}, TypeError, "grid is 3"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", BAD)
def test_a_grid_that_cannot_be_is_explained(mistake):
    grid, settings, error, words = BAD[mistake]
    with pytest.raises(error, match=words):
        HeadSweep(grid, **settings).fit(X, Y)


def test_targets_that_no_head_asks_for_are_explained():
    with pytest.raises(ValueError, match=r"\['a', 'b'\]"):
        HeadSweep({"l2": [0.1]}).fit(X, {"a": Y, "b": Y})
    with pytest.raises(ValueError, match="'c'"):
        HeadSweep({"targets": ["c"]}).fit(X, {"a": Y, "b": Y})
    swept = HeadSweep({"l2": [0.1]}, solver="lbfgs").fit(X, {"a": Y})
    same(swept.heads_[0], LinearHead(l2=0.1).fit(X, Y))
