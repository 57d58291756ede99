"""What `LinearHead` takes, gives and keeps."""

import copy
import pickle

import numpy as np
import pytest

import numfuse
from numfuse import LinearHead, NotFittedError

from .problems import NAMES, labelled, numbered, same

X, Y = labelled()
LABELS = {
    "words": NAMES, "bytes": np.array([b"a", b"b", b"c"]), "integers": np.array([-7, 3, 10**12]),
    "small integers": np.array([5, 6, 9], np.int8), "unsigned": np.array([0, 2**63, 2**64 - 1], np.uint64),
    "floats": np.array([-0.5, 0.0, 2.5]), "objects": np.array(["x", "y", "z"], object),
    "dates": np.array(["2001-01-01", "2002-01-01", "2003-01-01"], "M8[D]"),
}  # fmt: skip


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("solver", ["lbfgs", "adamw", "newton"])
def test_labels_of_any_type_come_back_as_they_were(kind, solver):
    labels = LABELS[kind]
    head = LinearHead(solver=solver).fit(X, labels[Y])
    np.testing.assert_array_equal(head.classes_, labels, strict=True)
    same(head, LinearHead(solver=solver).fit(X, Y))
    predicted = head.predict(X)
    assert predicted.dtype == labels.dtype
    assert (predicted == labels[Y]).mean() == head.score(X, labels[Y]) > 0.5


def test_labels_may_come_as_a_list():
    head = LinearHead().fit(X.tolist(), NAMES[Y].tolist())
    same(head, LinearHead().fit(X, NAMES[Y]))


def test_true_and_false_are_labels():
    for loss in ("softmax", "sigmoid"):
        head = LinearHead(loss=loss).fit(X, Y == 0)
        assert head.classes_.tolist() == [False, True]
        assert head.predict(X).dtype == bool
        assert head.weight_.shape[0] == (2 if loss == "softmax" else 1)
        probabilities = head.predict_proba(X)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-14)
        np.testing.assert_array_equal(probabilities[:, 1] > 0.5, head.predict(X))


def test_classes_may_hold_more_than_the_targets():
    head = LinearHead().fit(X, NAMES[Y], classes=["yak", *NAMES[::-1]])
    assert head.classes_.tolist() == [*NAMES, "yak"]
    assert head.weight_.shape == (4, 6)
    assert (head.predict_proba(X)[:, 3] < 1 / 3).all()


def test_targets_of_each_loss_come_back_in_their_shape():
    x, y = numbered()
    for loss in ("squared", "huber"):
        assert LinearHead(loss=loss).fit(x, y).predict(x).shape == (200, 2)
        assert LinearHead(loss=loss).fit(x, y[:, 0]).predict(x).shape == (200,)
        assert LinearHead(loss=loss).fit(x, y[:, :1]).predict(x).shape == (200, 1)
    several = y > 1
    head = LinearHead(loss="sigmoid").fit(x, several)
    assert head.predict(x).dtype == np.int64
    assert head.predict_proba(x).shape == (200, 2)
    assert head.score(x, several) == (head.predict(x) == several).all(axis=1).mean()
    soft = np.eye(3)[Y] * 0.8 + 0.2 / 3
    head = LinearHead().fit(X, soft)
    assert head.classes_.tolist() == [0, 1, 2]
    assert head.score(X, soft) == head.score(X, Y) == (head.predict(X) == Y).mean()


def test_soft_labels_of_zero_and_one_are_labels():
    for solver in ("adamw", "lbfgs", "newton"):
        hard = LinearHead(solver=solver).fit(X, Y)
        for one_hot in (np.eye(3)[Y], np.eye(3, dtype=int)[Y]):
            soft = LinearHead(solver=solver).fit(X, one_hot)
            np.testing.assert_allclose(soft.weight_, hard.weight_, rtol=1e-9, atol=1e-9)


def test_one_output_has_the_same_optimum_whatever_stands_beside_it():
    x, y = numbered()
    for loss, targets in (("squared", y), ("huber", y), ("sigmoid", (y > 1).astype(int))):
        both = LinearHead(loss=loss, tolerance=1e-10).fit(x, targets)
        one = LinearHead(loss=loss, tolerance=1e-10).fit(x, targets[:, 0])
        # Both are within tolerance/curvature of the optimum; the curvature is above 0.02 here.
        np.testing.assert_allclose(both.weight_[:1], one.weight_, atol=1e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64, np.uint8, bool])
def test_the_weight_has_the_dtype_that_is_computed_in(dtype):
    x = (X > 0).astype(dtype)
    head = LinearHead(solver="adamw").fit(x, Y)
    wanted = np.float32 if dtype in (np.float32, np.float16) else np.float64
    for array in (head.weight_, head.bias_, head.decision_function(x), head.predict_proba(x)):
        assert array.dtype == wanted
    # Other precisions of the same values give the same predictions but for rounding.
    for other in (np.float16, np.float32, np.float64, np.int8):
        np.testing.assert_allclose(
            head.decision_function((X > 0).astype(other)), head.decision_function(x), atol=1e-5
        )


def test_no_rows_give_no_predictions():
    head = LinearHead().fit(X, NAMES[Y])
    assert head.predict(X[:0]).shape == (0,)
    assert head.predict_proba(X[:0]).shape == head.decision_function(X[:0]).shape == (0, 3)


def test_features_are_read_in_any_layout():
    usual = LinearHead(solver="adamw").fit(X, Y)
    wide = np.zeros((400, 20))
    wide[::2, 3:9] = X
    for x in (np.asfortranarray(X), wide[::2, 3:9], X[::-1][::-1], X.astype(">f8")):
        same(LinearHead(solver="adamw").fit(x, Y), usual)
        np.testing.assert_array_equal(usual.predict(x), usual.predict(X))


def test_a_memmap_gives_the_bits_of_its_array(tmp_path):
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    for solver in ("sgd", "lbfgs"):
        same(LinearHead(solver=solver).fit(mapped, Y), LinearHead(solver=solver).fit(X, Y))
    head = LinearHead().fit(X, Y)
    np.testing.assert_array_equal(head.decision_function(mapped), head.decision_function(X))


@pytest.mark.parametrize("solver", ["sgd", "adamw", "lbfgs", "newton"])
def test_warm_start_goes_on_from_the_weights(solver):
    settings = {"solver": solver, "shuffle": False, "warm_start": True}
    if solver in ("sgd", "adamw"):
        settings |= {"epochs": 2, "momentum": 0.0}
    head = LinearHead(**settings).fit(X, Y)
    first = head.history_["loss"][-1]
    weight, bias = head.weight_, head.bias_
    again = LinearHead(**settings, initial=(weight, bias)).fit(X, Y)
    head.fit(X, Y)
    same(head, again)
    assert not len(head.history_["loss"]) or head.history_["loss"][0] <= first


def test_a_head_starts_from_another_head():
    first = LinearHead().fit(X, NAMES[Y])
    second = LinearHead(initial=first, solver="sgd", learning_rate=1e-12, epochs=1).fit(X, NAMES[Y])
    np.testing.assert_allclose(second.weight_, first.weight_, rtol=1e-9)
    assert second.classes_.tolist() == NAMES.tolist()
    with pytest.raises(ValueError, match="classes_.*'cat'"):
        LinearHead(initial=first).fit(X, NAMES[Y], classes=["a", "b", "c"])


def test_labels_of_a_start_are_counted_from_zero():
    head = LinearHead(initial=np.zeros((4, 6))).fit(X, Y)
    assert head.classes_.tolist() == [0, 1, 2, 3]
    head = LinearHead(initial=np.zeros((1, 6)), loss="sigmoid").fit(X, np.minimum(Y, 1))
    assert head.classes_.tolist() == [0, 1]
    with pytest.raises(ValueError, match="label 2"):
        LinearHead(initial=np.zeros((2, 6))).fit(X, Y)


def test_an_anchor_pulls_the_weights():
    anchor = np.arange(18.0).reshape(3, 6) / 10
    for solver in ("sgd", "adamw", "lbfgs", "newton"):
        strong = LinearHead(solver=solver, l2=1e6, anchor=anchor)
        if solver == "sgd":
            strong.learning_rate = 1e-7
        head = strong.fit(X, Y)
        np.testing.assert_allclose(head.weight_, anchor, atol=0.02)
        start = LinearHead(solver=solver, l2=strong.l2, initial=anchor, anchor="initial")
        start.learning_rate = strong.learning_rate
        same(start.fit(X, Y), head)
    x, y = numbered()
    head = LinearHead(loss="squared", solver="ridge", l2=1e9, anchor=anchor[:2]).fit(x, y)
    np.testing.assert_allclose(head.weight_, anchor[:2], atol=1e-6)


@pytest.mark.parametrize("solver", ["sgd", "adamw", "lbfgs", "newton", "ridge"])
def test_without_a_bias_it_stays_zero(solver):
    x, y = numbered()
    for standardize in (False, True):
        settings = {"solver": solver, "loss": "squared", "bias": False, "standardize": standardize}
        if solver == "sgd":
            settings["learning_rate"] = 0.01
        head = LinearHead(**settings).fit(x, y)
        assert (head.bias_ == 0).all()


@pytest.mark.parametrize("solver", ["sgd", "adamw"])
def test_partial_fit_of_all_rows_is_an_epoch_of_fit(solver):
    whole = LinearHead(solver=solver, epochs=3, batch_size=32).fit(X, NAMES[Y])
    head = LinearHead(solver=solver, batch_size=32)
    for _ in range(3):
        head.partial_fit(X, NAMES[Y], classes=NAMES)
    same(head, whole)


def test_partial_fit_may_follow_fit():
    head = LinearHead(solver="adamw", epochs=2).fit(X, Y)
    head.partial_fit(X[:50], Y[:50])
    assert head.n_iter_ == 3
    assert len(head.history_["loss"]) == 3
    with pytest.raises(ValueError, match="5 columns.*6"):
        head.partial_fit(X[:, :5], Y)
    with pytest.raises(ValueError, match="label 7"):
        head.partial_fit(X[:2], [0, 7])


def test_partial_fit_asks_for_all_labels_first():
    with pytest.raises(ValueError, match="classes"):
        LinearHead(solver="sgd").partial_fit(X, Y)
    x, y = numbered()
    LinearHead(solver="sgd", loss="squared").partial_fit(x, y)
    with pytest.raises(ValueError, match='solver is "lbfgs"'):
        LinearHead().partial_fit(X, Y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="standardize"):
        LinearHead(solver="sgd", standardize=True).partial_fit(X, Y, classes=[0, 1, 2])


BLOCKS = [(X[:64], Y[:64]), (X[64:96], Y[64:96]), (X[96:], Y[96:])]


class Blocks:
    """Blocks that are made anew each time."""

    def __iter__(self):
        return iter(BLOCKS)


@pytest.mark.parametrize("settings", [
    {"solver": "sgd", "shuffle": False, "batch_size": 32}, {"solver": "adamw", "shuffle": False, "batch_size": 16},
    {"solver": "adamw", "shuffle": False, "batch_size": 32, "schedule": "cosine", "warmup": 0.2},
    {"solver": "adamw", "shuffle": False, "batch_size": 32, "class_weight": "balanced"},
])  # fmt: skip
def test_blocks_of_whole_batches_are_like_one_array(settings):
    same(LinearHead(**settings).fit(Blocks()), LinearHead(**settings).fit(X, Y))
    same(LinearHead(**settings).fit(BLOCKS), LinearHead(**settings).fit(X, Y))


@pytest.mark.parametrize("solver", ["lbfgs", "newton"])
def test_solvers_of_all_rows_go_through_blocks(solver):
    whole = LinearHead(solver=solver, tolerance=1e-9).fit(X, Y)
    blocks = LinearHead(solver=solver, tolerance=1e-9).fit(BLOCKS)
    np.testing.assert_allclose(blocks.weight_, whole.weight_, atol=1e-5)


def test_ridge_goes_through_blocks():
    x, y = numbered()
    settings = {"solver": "ridge", "loss": "squared", "l2": [1e-3, 0.1]}
    whole = LinearHead(**settings).fit(x, y)
    blocks = LinearHead(**settings).fit([(x[:70], y[:70]), (x[70:], y[70:])])
    np.testing.assert_allclose(blocks.weight_, whole.weight_, rtol=1e-10)
    np.testing.assert_allclose(blocks.loo_predictions_, whole.loo_predictions_, rtol=1e-10)


def test_blocks_are_standardised_as_one_array():
    settings = {"solver": "adamw", "shuffle": False, "batch_size": 32, "standardize": True}
    x = X * [1, 10, 100, 1, 1, 1] + [0, 5, 0, -3, 0, 1000]
    blocks = [(x[:64], Y[:64], np.ones(64)), (x[64:], Y[64:], np.ones(136))]
    one, many = LinearHead(**settings).fit(x, Y), LinearHead(**settings).fit(blocks)
    np.testing.assert_allclose(many.weight_, one.weight_, rtol=1e-9)


def test_a_generator_serves_for_one_epoch():
    settings = {"solver": "sgd", "batch_size": 32, "epochs": 1, "shuffle": False}
    head = LinearHead(**settings).fit((block for block in BLOCKS), classes=[0, 1, 2])
    same(head, LinearHead(**settings).fit(X, Y))
    for bad, words in (
        ({"epochs": 2}, "generator"), ({"solver": "lbfgs"}, "generator"), ({"schedule": "cosine"}, "schedule"),
        ({"warmup": 0.5}, "warmup"), ({"standardize": True}, "standardize"), ({"class_weight": "balanced"}, "class_weight"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            LinearHead(**{**settings, **bad}).fit(iter(BLOCKS), classes=[0, 1, 2])
    with pytest.raises(ValueError, match="classes"):
        LinearHead(**settings).fit(iter(BLOCKS))


def test_sample_weights_of_a_block_are_its_own():
    weights = np.random.default_rng(1).uniform(0, 2, len(X))
    blocks = [(X[:64], Y[:64], weights[:64]), (X[64:], Y[64:], weights[64:])]
    settings = {"solver": "sgd", "shuffle": False, "batch_size": 32}
    same(
        LinearHead(**settings).fit(blocks), LinearHead(**settings).fit(X, Y, sample_weight=weights)
    )


def test_a_weight_of_two_is_a_row_twice():
    weights = np.random.default_rng(1).integers(0, 3, len(X))
    rows = np.repeat(np.arange(len(X)), weights)
    for solver in ("lbfgs", "newton"):
        weighted = LinearHead(solver=solver, tolerance=1e-10).fit(X, Y, sample_weight=weights)
        repeated = LinearHead(solver=solver, tolerance=1e-10).fit(X[rows], Y[rows])
        np.testing.assert_allclose(weighted.weight_, repeated.weight_, atol=1e-6)


def test_a_class_of_weight_zero_does_not_count():
    for solver in ("lbfgs", "newton", "adamw"):
        settings = {
            "solver": solver,
            "shuffle": False,
            "batch_size": 500,
            "l2": 0.01,
            "tolerance": 1e-9,
        }
        kept = Y != 2
        weighted = LinearHead(**settings, class_weight={2: 0.0}).fit(X, Y)
        alone = LinearHead(**settings).fit(X[kept], Y[kept], classes=[0, 1, 2])
        np.testing.assert_allclose(weighted.weight_, alone.weight_, atol=1e-5)


def test_history_has_an_entry_an_epoch():
    head = LinearHead(solver="adamw", epochs=4, schedule="linear").fit(X, Y, validation=(X, Y))
    assert {len(values) for values in head.history_.values()} == {4}
    assert list(head.history_) == ["loss", "learning_rate", "validation_loss", "validation_metric"]
    assert (np.diff(head.history_["loss"]) < 0).all()
    assert head.history_["learning_rate"][-1] == pytest.approx(1e-3 / 4)
    assert head.history_["validation_metric"][-1] == head.score(X, Y)


def test_what_fit_was_not_asked_for_is_not_there():
    head = LinearHead()
    for call in (head.predict, head.predict_proba, head.decision_function):
        with pytest.raises(NotFittedError, match="This LinearHead is not fitted; call fit first"):
            call(X)
    with pytest.raises(NotFittedError):
        head.save("nowhere")
    x, y = numbered()
    head = LinearHead(loss="squared", solver="ridge").fit(x, y)
    with pytest.raises(AttributeError, match="use predict"):
        head.predict_proba(x)
    assert not hasattr(head, "classes_")
    head.solver = "lbfgs"
    assert not hasattr(head.fit(x, y), "loo_error_")


def test_keywords_are_kept_as_they_are_and_count_at_the_next_fit():
    l2 = np.float64(0.1)
    head = LinearHead(l2=l2, class_weight={0: 2})
    assert head.l2 is l2
    head.fit(X, Y)
    head.l2 = 10.0
    assert np.linalg.norm(head.fit(X, Y).weight_) < np.linalg.norm(
        LinearHead(l2=0.1).fit(X, Y).weight_
    )


def test_it_pickles_and_copies():
    head = LinearHead(solver="adamw", l2=0.01).fit(X, NAMES[Y])
    head.partial_fit(X, NAMES[Y])
    for twin in (pickle.loads(pickle.dumps(head)), copy.deepcopy(head)):
        assert repr(twin) == "LinearHead(solver='adamw', l2=0.01)"
        same(twin.partial_fit(X, NAMES[Y]), copy.deepcopy(head).partial_fit(X, NAMES[Y]))


@pytest.mark.parametrize("loss", ["softmax", "sigmoid", "several", "soft", "squared", "huber"])
def test_a_saved_head_comes_back(tmp_path, loss):
    x, y = numbered()
    targets = {
        "softmax": NAMES[Y], "sigmoid": Y == 1, "several": y > 1, "soft": np.full((200, 3), 1 / 3),
    }.get(loss, y)  # fmt: skip
    name = {"several": "sigmoid", "soft": "softmax"}.get(loss, loss)
    for dtype in (np.float32, np.float64):
        head = LinearHead(loss=name, l2=0.1, betas=(0.5, 0.75), bias=loss != "huber").fit(
            x.astype(dtype), targets
        )
        head.save(tmp_path / "head.safetensors")
        twin = LinearHead.load(tmp_path / "head.safetensors")
        assert repr(twin) == repr(head)
        np.testing.assert_array_equal(twin.weight_, head.weight_, strict=True)
        np.testing.assert_array_equal(twin.bias_, head.bias_, strict=True)
        np.testing.assert_array_equal(twin.predict(x), head.predict(x), strict=True)
        assert twin.score(x, targets) == head.score(x, targets)


@pytest.mark.parametrize("kind", [kind for kind in LABELS if kind != "objects"])
def test_labels_of_any_type_are_saved(tmp_path, kind):
    head = LinearHead().fit(X, LABELS[kind][Y])
    head.save(tmp_path / "head.safetensors")
    np.testing.assert_array_equal(
        LinearHead.load(tmp_path / "head.safetensors").classes_, LABELS[kind], strict=True
    )


def test_files_are_those_of_torch(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    head = LinearHead().fit(X, NAMES[Y])
    head.save(tmp_path / "head.safetensors")
    stored = safetensors.load_file(tmp_path / "head.safetensors")
    np.testing.assert_array_equal(stored["weight"], head.weight_)
    np.testing.assert_array_equal(stored["bias"], head.bias_)
    weight = np.arange(8, dtype=np.float32).reshape(2, 4)
    safetensors.save_file({"weight": weight}, tmp_path / "bare.safetensors")
    bare = LinearHead.load(tmp_path / "bare.safetensors")
    assert bare.classes_.tolist() == [0, 1]
    assert (bare.bias_ == 0).all()
    np.testing.assert_array_equal(bare.decision_function(np.eye(4, dtype=np.float32)), weight.T)
    safetensors.save_file({"weight": weight[:1]}, tmp_path / "one.safetensors")
    one = LinearHead.load(tmp_path / "one.safetensors")
    assert one.classes_.tolist() == [0, 1]
    assert one.predict([[0, 1, 0, 0], [0, -1, 0, 0]]).tolist() == [1, 0]


def test_both_backends_agree():
    for solver in ("sgd", "adamw", "lbfgs", "newton"):
        heads = []
        for backend in ("rust", "numpy"):
            with numfuse.config_context(backend=backend):
                heads.append(LinearHead(solver=solver, tolerance=1e-10).fit(X, Y))
        # 10 steps of batches differ by rounding; optima by tolerance over curvature.
        np.testing.assert_allclose(heads[0].weight_, heads[1].weight_, atol=1e-5)


def test_ties_go_to_the_first_class():
    head = LinearHead(initial=np.zeros((3, 6)), l2=1e12).fit(X, Y, classes=[0, 1, 2])
    head.weight_, head.bias_ = np.zeros((3, 6)), np.zeros(3)
    assert (head.predict(X) == 0).all()
    head = LinearHead(loss="sigmoid").fit(X, Y == 0)
    head.weight_, head.bias_ = np.zeros((1, 6)), np.zeros(1)
    assert not head.predict(X).any()


@pytest.mark.parametrize("solver", ["adamw", "lbfgs", "newton", "ridge"])
def test_a_bar_changes_no_bit(solver, capsys):
    x, y = numbered()
    settings = {"loss": "squared", "solver": solver}
    same(LinearHead(**settings).fit(x, y, progress=True), LinearHead(**settings).fit(x, y))
    assert not capsys.readouterr().out
    with pytest.raises(TypeError, match="^progress"):
        LinearHead(**settings).fit(x, y, progress="yes")
