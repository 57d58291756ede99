"""Cases of fine-tuning: every engine comes to the judge's answer, and the judge sees what is off."""

import importlib

import numpy as np
import pytest

from numfuse._bench import cases, finetune, judge
from numfuse._bench.child import RefusalError

MODULES = {"torch": "torch", "torch_loop": "torch", "sklearn": "sklearn"}


def tune(optimizer="adamw", heads=1):
    return finetune.Tune(
        name="small", title="small", width=20, outputs=3, batch=32, optimizer=optimizer,
        heads=heads, samples=200, epochs=2,
    )  # fmt: skip


def path(values):
    return finetune.Path(
        name="small", title="small", values=values, samples=400, width=12, outputs=3, informative=6
    )


def engine(name):
    if name in MODULES:
        pytest.importorskip(MODULES[name])
    return importlib.import_module(f"numfuse._bench.peers.{name}")


def error(name, case):
    served = engine(name)
    answer = served.to_numpy(served.prepare(case, case.inputs())())
    return judge.error_of(case, answer, *judge.find_truth(case, case.inputs()))


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("name", ["numfuse", "numpy", "reference", "torch"])
def test_engines_make_the_same_steps(name, optimizer):
    # 14 steps, each within some tens of roundings of float32.
    assert error(name, tune(optimizer)) < 2e-5


@pytest.mark.parametrize("name", ["numfuse", "torch", "torch_loop"])
def test_engines_train_many_heads_as_one(name):
    assert error(name, tune(heads=3)) < 2e-5


@pytest.mark.parametrize(
    ("name", "heads"), [("numfuse", 1), ("numpy", 1), ("torch", 1), ("torch_loop", 2)]
)
def test_later_calls_shuffle(name, heads):
    case = tune("sgd", heads=heads)
    served = engine(name)
    call = served.prepare(case, case.inputs())
    first, second = (np.array(served.to_numpy(call())) for _ in range(2))
    apart = np.linalg.norm(first - second) / np.linalg.norm(first)
    assert apart > judge.tolerance(case)


@pytest.mark.parametrize("values", [1, 4])
@pytest.mark.parametrize("name", ["numfuse", "sklearn"])
def test_engines_find_the_optimum_of_each_penalty(name, values):
    assert error(name, path(values)) < judge.tolerance(path(values))


def test_worst_penalty_counts():
    case = path(3)
    truth, size = judge.find_truth(case, case.inputs())
    assert judge.error_of(case, truth, truth, size) < 1e-9
    off = truth.copy()
    off[2] = 0
    assert judge.error_of(case, off, truth, size) > judge.tolerance(case)


@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("numpy", tune(heads=2)), ("numpy", path(1)), ("reference", path(1)), ("torch", path(1)),
        ("torch_loop", tune()), ("sklearn", tune()),
    ],
)  # fmt: skip
def test_what_an_engine_lacks_is_refused(name, case):
    with pytest.raises(RefusalError):
        engine(name).prepare(case, case.inputs())


def test_work_is_two_products():
    case = cases.named("tune-768x10x64-b256-adamw")
    assert case.work == (4 * 16384 * 768 * 10 * 64 * 4, "FLOP")
    assert case.yardstick == "sgemm"
    assert cases.named("path-20000x384x10-45").penalties[[0, -1]] == pytest.approx([1e-6, 1])
    assert cases.named("lbfgs-20000x384x10").penalties == pytest.approx([1 / 20_000])


def test_inputs_are_repeated_and_of_every_class():
    for case in (tune(), path(2)):
        one, two = case.inputs(), case.inputs()
        assert all(np.array_equal(one[name], two[name]) for name in one)
        assert one["features"].dtype == np.float32
        assert set(one["labels"].tolist()) == {0, 1, 2}
