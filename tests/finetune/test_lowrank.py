"""The adapter of low rank: gradients, merging, dropout, PEFT's files, and fits that go on."""

import json
import os

import numpy as np
import pytest

import numfuse
from numfuse import LowRankAdapter, _safetensors
from numfuse._lowrank_layer import Layer, Parameters, activate, adapted, gradients, logits
from numfuse.reference.finetune import loss_rows

LOSSES = ["softmax", "sigmoid", "squared", "huber"]
ACTIVATIONS = [None, "relu", "gelu", "tanh"]


def rng(seed=0):
    return np.random.default_rng(seed)


def drawn(activation="tanh", rank=2, features=5, outputs=4, classes=3, rows=7):
    """A layer, parameters, features, and features as dropout leaves them."""
    random = rng()
    layer = Layer(
        random.normal(size=(outputs, features)), random.normal(size=outputs), 0.7, activation
    )
    parts = [
        random.normal(size=shape)
        for shape in ((rank, features), (outputs, rank), (classes, outputs))
    ]
    bias = [np.zeros(rank), np.zeros(outputs), random.normal(size=classes)]
    parameters = Parameters(*(np.column_stack(pair) for pair in zip(parts, bias, strict=True)))
    x = random.normal(size=(rows, features))
    return layer, parameters, x, x * (random.random(x.shape) > 0.3) / 0.7


def aims(loss, rows=7, classes=3):
    random = rng(1)
    return {
        "softmax": random.integers(0, classes, rows),
        "sigmoid": random.integers(0, 2, (rows, classes)),
    }.get(loss, random.normal(size=(rows, classes)))


def objective(loss, layer, parameters, x, u, y):
    """The weighted mean loss, written without the module's own way to the logits."""
    A, B, V, c = (*(part[:, :-1] for part in parameters), parameters.head[:, -1])
    a = x @ layer.weight.T + layer.bias + layer.scaling * u @ (B @ A).T
    f = {
        "relu": lambda a: np.where(a > 0, a, 0),
        "tanh": np.tanh,
        "gelu": numfuse.layers.gelu,
        None: lambda a: a,
    }
    rows, _ = loss_rows(
        loss, f[layer.activation](a) @ V.T + c, y, smoothing=0.1 * (loss in LOSSES[:2])
    )
    w = np.arange(1.0, len(x) + 1)
    return (rows @ w) / w.sum()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_are_those_of_differences(loss, activation):
    layer, parameters, x, u = drawn(activation)
    y = aims(loss)
    w = np.arange(1.0, len(x) + 1)
    a = adapted(layer, parameters, x, u)
    _, e = loss_rows(
        loss, logits(parameters, activate(layer, a)), y, smoothing=0.1 * (loss in LOSSES[:2])
    )
    found = gradients(layer, parameters, x, u, a, activate(layer, a), e * (w / w.sum())[:, None])
    h = np.finfo(float).eps ** (1 / 3)
    for part, slope, names in zip(parameters, found, Parameters._fields, strict=True):
        trained = part[:, :-1] if names != "head" else part
        for index in np.ndindex(trained.shape):
            values = []
            for side in (h, -h):
                moved = parameters.copy()
                getattr(moved, names)[index] += side
                values.append(objective(loss, layer, moved, x, u, y))
            # Truncation h²f‴/6 and rounding 2·eps·f/h, each below 1e-9 for values of this size.
            assert slope[index] == pytest.approx((values[0] - values[1]) / (2 * h), abs=1e-8)
    assert not found.A[:, -1].any()
    assert not found.B[:, -1].any()


def test_gelu_has_its_slope_at_and_beside_0():
    from numfuse._lowrank_layer import slope

    layer = Layer(np.ones((1, 1)), None, 1.0, "gelu")
    for dtype in (np.float32, np.float64):
        a = np.array([-40.0, -1e-3, -1e-9, -1e-42, 0.0, 1e-42, 1e-9, 1e-3, 1.0, 40.0], dtype)
        wide = a.astype(float)
        from math import erf

        phi = np.array([(1 + erf(v / 2**0.5)) / 2 for v in wide])
        exact = phi + wide * np.exp(-(wide**2) / 2) / (2 * np.pi) ** 0.5
        found = slope(layer, a, activate(layer, a))
        # gelu's own error, a few roundings, divided by |a|.
        np.testing.assert_allclose(found, exact, rtol=0, atol=8 * np.finfo(dtype).eps)


def data(rows=60, width=6, dtype=float, seed=2):
    """Features, and labels that no linear head tells apart."""
    x = rng(seed).normal(size=(rows, width))
    return x.astype(dtype), np.where((x**2).sum(1) > width, "far", "near")


def adapter(width=6, outputs=8, **settings):
    random = rng(3)
    weight, bias = random.normal(size=(outputs, width)), random.normal(size=outputs)
    return LowRankAdapter(weight, bias, **{"rank": 3, "batch_size": 16, "epochs": 4} | settings)


def arrays(fitted):
    return [fitted.lora_A_, fitted.lora_B_, fitted.head_.weight_, fitted.head_.bias_]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(arrays(one), arrays(other), strict=True))


@pytest.mark.parametrize("rslora", [False, True])
def test_first_step_finds_the_layer_as_it_is_and_draws_the_other_from_the_seed(rslora):
    x, y = data()
    fitted = adapter(
        solver="sgd", momentum=0.0, batch_size=60, epochs=1, seed=5, rslora=rslora
    ).fit(x, y)
    # The head is 0 at first, so nothing reaches A and B; these are their starts.
    drawn = numfuse.reference.random.uniform(5, 3 << 56, 18).reshape(3, 6)
    np.testing.assert_array_equal(fitted.lora_A_, (2 * drawn - 1) * (1 / 6**0.5))
    assert not fitted.lora_B_.any()
    assert fitted.head_.weight_.any()
    np.testing.assert_allclose(fitted.transform(x), x @ fitted.weight.T + fitted.bias, rtol=1e-13)
    assert fitted.scaling_ == 8 / (3**0.5 if rslora else 3)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_merged_layer_does_what_the_adapted_one_does(activation):
    x, y = data()
    fitted = adapter(activation=activation, learning_rate=0.05).fit(x, y)
    weight, bias = fitted.merge()
    assert np.linalg.matrix_rank(weight - fitted.weight) == 3
    np.testing.assert_array_equal(bias, fitted.bias)
    y = activate(Layer(weight, bias, 1.0, activation), x @ weight.T + bias)
    np.testing.assert_allclose(fitted.transform(x), y, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(
        fitted.decision_function(x),
        y @ fitted.head_.weight_.T + fitted.head_.bias_,
        rtol=1e-11,
        atol=1e-12,
    )


def test_layer_without_bias_has_none_after_merging():
    x, y = data()
    fitted = LowRankAdapter(np.ones((2, 6)), rank=1, epochs=1).fit(x, y)
    assert fitted.merge()[1] is None


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "nesterov", "adamw"])
def test_fit_goes_where_torch_goes(optimizer, activation):
    torch = pytest.importorskip("torch")
    random = rng(4)
    x, y = random.normal(size=(60, 6)), random.integers(0, 3, 60)
    initial = random.normal(size=(3, 8)), random.normal(size=3)
    settings = {
        "sgd": {"solver": "sgd", "momentum": 0.0},
        "momentum": {"solver": "sgd", "momentum": 0.9},
        "nesterov": {"solver": "sgd", "momentum": 0.9, "nesterov": True},
        "adamw": {"solver": "adamw", "weight_decay": 0.1},
    }[optimizer]
    ours = adapter(
        activation=activation, initial=initial, shuffle=False, epochs=25, learning_rate=0.02, l2=0.0,
        clip_norm=0.5, **settings,
    ).fit(x, y)  # fmt: skip
    drawn = numfuse.reference.random.uniform(0, 3 << 56, 18).reshape(3, 6)
    made = [(2 * drawn - 1) / 6**0.5, np.zeros((8, 3)), *initial]
    A, B, V, c = (torch.tensor(part, dtype=torch.float64, requires_grad=True) for part in made)
    W, b = torch.tensor(ours.weight), torch.tensor(ours.bias)
    f = {
        None: lambda a: a,
        "relu": torch.relu,
        "tanh": torch.tanh,
        "gelu": torch.nn.functional.gelu,
    }[activation]
    if optimizer == "adamw":
        groups = [{"params": [A, B, V], "weight_decay": 0.1}, {"params": [c], "weight_decay": 0.0}]
        steps = torch.optim.AdamW(groups, lr=0.02)
    else:
        steps = torch.optim.SGD(
            [A, B, V, c], lr=0.02, momentum=settings["momentum"], nesterov=optimizer == "nesterov"
        )
    for _ in range(25):
        for first in range(0, 60, 16):
            rows, aims_ = torch.tensor(x[first : first + 16]), torch.tensor(y[first : first + 16])
            steps.zero_grad()
            z = f(rows @ W.T + b + 8 / 3 * (rows @ A.T) @ B.T) @ V.T + c
            torch.nn.functional.cross_entropy(z, aims_).backward()
            torch.nn.utils.clip_grad_norm_([A, B, V, c], 0.5)
            steps.step()
    # 100 steps; a rounding of one grows by at most the steps that follow it. relu's kink is not hit.
    for mine, theirs in zip(arrays(ours), (A, B, V, c), strict=True):
        np.testing.assert_allclose(mine, theirs.detach().numpy(), rtol=1e-9, atol=1e-10)


def test_penalty_pulls_the_head_to_its_anchor_and_leaves_the_rest():
    x, y = data()
    settings = {
        "solver": "sgd",
        "momentum": 0.0,
        "batch_size": 60,
        "epochs": 1,
        "learning_rate": 0.5,
    }
    anchor = rng(5).normal(size=(2, 8))
    y = (y == "far").astype(int)
    free = adapter(l2=0.0, initial=np.ones((2, 8)), **settings).fit(x, y)
    held = adapter(l2=0.3, anchor=anchor, initial=np.ones((2, 8)), **settings).fit(x, y)
    np.testing.assert_allclose(
        free.head_.weight_ - held.head_.weight_, 0.5 * 0.3 * (1 - anchor), rtol=1e-12
    )
    for mine, other in zip(arrays(free)[:2], arrays(held)[:2], strict=True):
        np.testing.assert_array_equal(mine, other)
    penalty = 0.15 * ((1 - anchor) ** 2).sum()
    assert held.history_["loss"][0] - free.history_["loss"][0] == pytest.approx(penalty, rel=1e-12)


def test_dropout_hides_its_share_anew_at_each_step():
    from types import SimpleNamespace

    from numfuse._lowrank_train import _dropped

    x = np.ones((500, 80))
    task = SimpleNamespace(dropout=0.3, settings=SimpleNamespace(seed=7))
    u = _dropped(task, x, 2, 5)
    assert set(np.unique(u)) == {0.0, 1 / 0.7}
    share = (u == 0).mean()
    # 40,000 draws: five deviations of √(0.3·0.7/40000).
    assert share == pytest.approx(0.3, abs=5 * 0.00229)
    assert np.array_equal(u, _dropped(task, x, 2, 5))
    for epoch, number in ((2, 6), (3, 5)):
        both = ((u == 0) & (_dropped(task, x, epoch, number) == 0)).mean()
        assert both == pytest.approx(0.09, abs=5 * 0.00143)


def test_dropout_is_for_training_only():
    x, y = data()
    fitted = adapter(dropout=0.5, epochs=2).fit(x, y)
    weight, bias = fitted.merge()
    np.testing.assert_allclose(fitted.transform(x), x @ weight.T + bias, rtol=1e-12, atol=1e-13)
    assert not same(fitted, adapter(epochs=2).fit(x, y))
    assert same(fitted, adapter(dropout=0.5, epochs=2).fit(x, y))


def test_what_no_linear_head_tells_apart_is_learned():
    x, y = data(600)
    fitted = adapter(outputs=24, activation="relu", rank=6, learning_rate=0.02, epochs=40).fit(x, y)
    linear = numfuse.LinearHead().fit(x, y)
    test, labels = data(600, seed=9)
    assert fitted.score(test, labels) > 0.85 > linear.score(test, labels) + 0.1
    assert fitted.classes_.tolist() == ["far", "near"]
    shares = fitted.predict_proba(test)
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-12)
    assert (fitted.classes_[shares.argmax(1)] == fitted.predict(test)).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_targets_are_those_of_a_head(loss):
    x, _ = data()
    y = aims(loss, 60)
    fitted = adapter(loss=loss, learning_rate=0.01).fit(x, y)
    assert fitted.decision_function(x).shape == (60, 3)
    assert fitted.predict(x).shape == y.shape
    assert np.isfinite(fitted.history_["loss"]).all()
    one = adapter(loss=loss).fit(x, y if y.ndim == 1 else y[:, 0])
    assert one.predict(x).shape == (60,)


def test_features_in_blocks_are_the_array_they_make():
    x, y = data()
    blocks = [(x[i : i + 32], y[i : i + 32]) for i in (0, 32)]
    whole = adapter(shuffle=False, dropout=0.2, schedule="cosine", class_weight="balanced").fit(
        x, y
    )
    parts = adapter(shuffle=False, dropout=0.2, schedule="cosine", class_weight="balanced").fit(
        blocks
    )
    assert same(whole, parts)
    np.testing.assert_allclose(whole.history_["loss"], parts.history_["loss"], rtol=1e-14)


def test_half_features_are_what_they_widen_to():
    x, y = data(dtype=np.float16)
    assert same(adapter().fit(x, y), adapter().fit(x.astype(np.float32), y))
    assert adapter().fit(x, y).lora_A_.dtype == np.float32
    fitted = adapter().fit(x, y)
    np.testing.assert_array_equal(fitted.transform(x), fitted.transform(x.astype(np.float32)))


def test_integers_and_doubles_are_computed_in_double():
    x, y = data()
    assert adapter().fit(x, y).head_.weight_.dtype == np.float64
    assert adapter().fit((x * 9).astype(int), y).lora_B_.dtype == np.float64


def test_early_stopping_restores_the_best_epoch():
    x, y = data(200)
    settings = {"activation": "relu", "learning_rate": 0.2, "epochs": 60}
    fitted = adapter(early_stopping=4, metric="loss", **settings).fit(x, y)
    values = fitted.history_["validation_metric"]
    assert fitted.n_iter_ == len(values) < 60
    assert fitted.best_epoch_ == values.argmin() == len(values) - 5
    again = adapter(
        early_stopping=4, metric="loss", **settings | {"epochs": fitted.best_epoch_ + 1}
    ).fit(x, y)
    assert same(fitted, again)


def test_validation_data_are_judged_and_train_nothing():
    x, y = data()
    other = data(seed=8)
    fitted = adapter().fit(x, y, validation=other)
    assert same(fitted, adapter().fit(x, y))
    assert fitted.history_["validation_metric"][-1] == fitted.score(*other)


def test_sample_weight_0_is_a_row_left_out():
    x, y = data()
    w = np.r_[np.ones(40), np.zeros(20)]
    settings = {"batch_size": 60, "shuffle": False}
    weighed = adapter(**settings).fit(x, y, sample_weight=w)
    fewer = adapter(**settings).fit(x[:40], y[:40], classes=["far", "near"])
    for mine, other in zip(arrays(weighed), arrays(fewer), strict=True):
        # The products add in another order.
        np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-12)


def test_warm_start_goes_on():
    x, y = data()
    fitted = adapter(warm_start=True, solver="sgd", momentum=0.0, shuffle=False, epochs=3)
    fitted.fit(x, y).fit(x, y)
    assert same(fitted, adapter(solver="sgd", momentum=0.0, shuffle=False, epochs=6).fit(x, y))


class Stop(Exception):
    pass


@pytest.mark.parametrize("solver", ["sgd", "adamw"])
def test_fit_that_was_stopped_goes_on_to_the_same_bits(solver, tmp_path, monkeypatch):
    from numfuse import _lowrank_train

    x, y = data(200)
    settings = {
        "solver": solver,
        "dropout": 0.1,
        "early_stopping": 9,
        "schedule": "cosine",
        "epochs": 8,
    }
    whole = adapter(**settings).fit(x, y, checkpoint=tmp_path / "whole")
    path = tmp_path / "stopped"
    epoch = _lowrank_train._epoch

    def stopping(task, state):
        if state.epoch == 5:
            raise Stop
        return epoch(task, state)

    monkeypatch.setattr(_lowrank_train, "_epoch", stopping)
    with pytest.raises(Stop):
        adapter(**settings).fit(x, y, checkpoint=path, checkpoint_every=2)
    monkeypatch.undo()
    resumed = adapter(**settings).fit(x, y, checkpoint=path)
    assert same(whole, resumed)
    assert all(
        np.array_equal(resumed.history_[name], values) for name, values in whole.history_.items()
    )
    # A finished one trains nothing.
    monkeypatch.setattr(_lowrank_train, "_epoch", stopping)
    assert same(whole, adapter(**settings).fit(x, y, checkpoint=path))


def test_checkpoint_of_another_fit_is_refused_and_stays(tmp_path):
    x, y = data()
    path = tmp_path / "checkpoint"
    adapter().fit(x, y, checkpoint=path)
    before = path.read_bytes()
    for other, part in (
        (adapter(rank=2), "rank"),
        (adapter(seed=1), "seed"),
        (adapter(outputs=9), "weight"),
    ):
        with pytest.raises(ValueError, match=rf"another fit: its ['a-z ]*{part} differs"):
            other.fit(x, y, checkpoint=path)
    numfuse.LinearHead(solver="sgd").fit(x, y, checkpoint=tmp_path / "head")
    with pytest.raises(ValueError, match="another fit"):
        adapter().fit(x, y, checkpoint=tmp_path / "head")
    path.write_bytes(before[:-9])
    with pytest.raises(ValueError, match="cut short"):
        adapter().fit(x, y, checkpoint=path)
    assert path.read_bytes() == before[:-9]


def test_files_have_the_names_of_peft(tmp_path):
    x, y = data()
    fitted = adapter(rslora=True, dropout=0.1, alpha=5.0).fit(x, y)
    fitted.save(tmp_path / "made", module="layer.3.dense")
    assert sorted(os.listdir(tmp_path / "made")) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "head.safetensors",
    ]
    tensors, _ = _safetensors.read(tmp_path / "made" / "adapter_model.safetensors")
    prefix = "base_model.model.layer.3.dense."
    assert {name: array.shape for name, array in tensors.items()} == {
        f"{prefix}lora_A.weight": (3, 6),
        f"{prefix}lora_B.weight": (8, 3),
    }
    config = json.loads((tmp_path / "made" / "adapter_config.json").read_text())
    assert config["lora_alpha"] == pytest.approx(5, rel=1e-15)
    assert (config["peft_type"], config["r"], config["use_rslora"]) == ("LORA", 3, True)
    assert (config["lora_dropout"], config["target_modules"], config["bias"]) == (
        0.1,
        ["layer.3.dense"],
        "none",
    )
    assert set(_safetensors.read(tmp_path / "made" / "head.safetensors")[0]) == {"weight", "bias"}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_what_is_loaded_predicts_as_what_was_saved(activation, tmp_path):
    x, y = data()
    fitted = adapter(activation=activation, epochs=3, rslora=True).fit(x, y)
    fitted.save(tmp_path)
    loaded = LowRankAdapter.load(tmp_path, fitted.weight, fitted.bias)
    assert same(fitted, loaded)
    np.testing.assert_allclose(loaded.transform(x), fitted.transform(x), rtol=1e-13, atol=1e-14)
    assert (loaded.predict(x) == fitted.predict(x)).all()
    assert (loaded.rank, loaded.rslora, loaded.activation) == (3, True, activation)
    assert loaded.epochs == 3
    assert loaded.n_features_in_ == 6


def test_adapter_without_head_transforms_and_merges(tmp_path):
    x, y = data()
    fitted = adapter().fit(x, y)
    fitted.save(tmp_path)
    (tmp_path / "head.safetensors").unlink()
    loaded = LowRankAdapter.load(tmp_path, fitted.weight, fitted.bias)
    np.testing.assert_allclose(loaded.transform(x), fitted.transform(x), rtol=1e-13)
    np.testing.assert_allclose(loaded.merge()[0], fitted.merge()[0], rtol=1e-13)
    with pytest.raises(numfuse.NotFittedError, match="without a head"):
        loaded.predict(x)


def test_files_that_do_not_fit_are_refused(tmp_path):
    x, y = data()
    fitted = adapter().fit(x, y)
    fitted.save(tmp_path)
    with pytest.raises(ValueError, match=r"lora_A \(3, 6\) .* weight has shape \(8, 7\)"):
        LowRankAdapter.load(tmp_path, np.ones((8, 7)))
    with pytest.raises(ValueError, match="bias has shape"):
        LowRankAdapter.load(tmp_path, fitted.weight, np.ones(3))
    with pytest.raises(FileNotFoundError):
        LowRankAdapter.load(tmp_path / "none", fitted.weight)
    model = tmp_path / "adapter_model.safetensors"
    tensors, _ = _safetensors.read(model)
    _safetensors.write(model, tensors | {"base_model.model.b.lora_A.weight": fitted.lora_A_})
    with pytest.raises(ValueError, match="of one layer"):
        LowRankAdapter.load(tmp_path, fitted.weight)
    config = tmp_path / "adapter_config.json"
    for text in (
        "{",
        "[]",
        '{"r": 3}',
        '{"peft_type": "LOHA"}',
        '{"peft_type": "LORA", "use_dora": true}',
    ):
        config.write_text(text)
        with pytest.raises(ValueError, match=r"adapter_config\.json is"):
            LowRankAdapter.load(tmp_path, fitted.weight)


MISTAKES = {
    "width": ({}, {"features": np.ones((60, 5))}, "features has 5 columns, but weight has 6"),
    "NaN": ({}, {"features": np.where(np.arange(360).reshape(60, 6) == 99, np.nan, 0)}, "features has nan in row 16, column 3"),
    "solver": ({"solver": "lbfgs"}, {}, 'solver is "lbfgs", but an adapter'),
    "weight_decay of sgd": ({"solver": "sgd", "weight_decay": 0.1}, {}, "weight_decay is 0.1, but solver"),
    "anchor": ({"anchor": np.ones((2, 6))}, {}, r"anchor has shape \(2, 6\), but the head's weight has \(2, 8\)"),
    "initial": ({"initial": np.ones((3, 8))}, {}, "initial has shape|classes"),
    "one class": ({}, {"targets": ["a"] * 60}, "targets has only the label 'a'"),
    "lengths": ({}, {"targets": ["a", "b"]}, "targets has 2 entries for features' 60 rows"),
    "class_weight": ({"class_weight": {"z": 1}}, {}, "class_weight names 'z'"),
    "early stopping of blocks": ({"early_stopping": 2}, {"features": [data()], "targets": None}, "give validation="),
    "weights": ({}, {"sample_weight": -np.ones(60)}, "sample_weight is -1.0 in row 0"),
}  # fmt: skip


@pytest.mark.parametrize(("settings", "given", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistake_is_named_and_loses_nothing(settings, given, message):
    x, y = data()
    fitted = adapter().fit(x, y)
    before = dict(vars(fitted))
    vars(fitted).update(settings)
    with pytest.raises(ValueError, match=message):
        fitted.fit(**{"features": x, "targets": y} | given)
    vars(fitted).update({name: before[name] for name in settings})
    assert vars(fitted).keys() == before.keys()
    assert all(vars(fitted)[name] is before[name] for name in before)


@pytest.mark.parametrize(
    "name", ["rank", "alpha", "rslora", "dropout", "activation", "weight", "bias"]
)
def test_bad_values_are_refused_by_name(name):
    from numfuse import _lowrank_options as options

    x, y = data()
    rule = {"weight": options.WEIGHT, "bias": options.BIAS, **options.OWN}[name]
    for value in rule.bad:
        made = LowRankAdapter(**{"weight": np.ones((8, 6)), name: value})
        with pytest.raises((TypeError, ValueError), match=rf"^{name} "):
            made.fit(x, y)


def test_weight_beyond_single_precision_is_refused():
    x, y = data(dtype=np.float32)
    with pytest.raises(ValueError, match="weight has values that are infinite in float32"):
        LowRankAdapter(np.full((8, 6), 1e99)).fit(x, y)


def test_features_to_predict_are_checked():
    x, y = data()
    fitted = adapter().fit(x, y)
    with pytest.raises(
        ValueError, match="features has 5 columns, but this adapter was fitted with 6"
    ):
        fitted.predict(x[:, :5])
    x[4, 2] = np.inf
    with pytest.raises(ValueError, match="features has inf in row 4, column 2"):
        fitted.transform(x)
    assert fitted.transform(np.empty((0, 6))).shape == (0, 8)
    assert fitted.transform(np.ones((2, 6), np.float32)).dtype == np.float64


@pytest.mark.parametrize("method", ["predict", "transform", "merge", "save"])
def test_unfitted_one_says_so(method, tmp_path):
    with pytest.raises(
        numfuse.NotFittedError, match="This LowRankAdapter is not fitted; call fit first"
    ):
        getattr(adapter(), method)(
            *([] if method == "merge" else [tmp_path if method == "save" else np.ones((1, 6))])
        )


def test_divergence_warns_and_goes_on():
    x, y = data()
    with pytest.warns(numfuse.ConvergenceWarning, match="the loss is not finite from epoch"):
        fitted = adapter(solver="sgd", loss="squared", learning_rate=1e9, epochs=6).fit(
            x, (y == "far") * 1.0
        )
    assert fitted.n_iter_ == 6


def test_copies_keep_everything():
    import copy
    import pickle

    x, y = data()
    fitted = adapter().fit(x, y)
    for other in (copy.copy(fitted), copy.deepcopy(fitted), pickle.loads(pickle.dumps(fitted))):
        assert same(fitted, other)
        assert (other.predict(x) == fitted.predict(x)).all()


def test_repr_is_the_call_with_what_is_not_default():
    made = LowRankAdapter(np.ones((8, 6)), rank=2, solver="sgd", learning_rate=0.1)
    assert repr(made) == "LowRankAdapter(<weight (8, 6)>, rank=2, solver='sgd', learning_rate=0.1)"
