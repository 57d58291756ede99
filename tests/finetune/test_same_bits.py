"""A head's bits are its own: threads, heads beside it and rows after it change none of them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

import numfuse
from conftest import LEVELS, run_on
from numfuse import LinearHead
from numfuse import _finetune_engine as functions

from .cases import cases, head
from .test_reference import large

SHAPES = [  # outputs of each head, features, rows, batch
    ((10,), 384, 256, 32),
    ((2,), 1024, 1100, 256),
    ((10,) * 16, 130, 600, 256),
    ((121, 119, 1), 200, 280, 140),
    ((10,), 129, 2500, 2100),
]


def same(one, other):
    """No bit differs; answers are tuples of arrays."""
    for each, its_twin in zip(one, other, strict=True):
        np.testing.assert_array_equal(each, its_twin, strict=True)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_threads_change_no_bit(level, shape, optimizer):
    case = large(*shape, optimizer)
    answers = []
    for threads in [1, 2, 7]:
        with numfuse.config_context(threads=threads):
            answers.append((*case.trained(), *case.evaluated(), case.predicted()))
    same(answers[0], answers[1])
    same(answers[0], answers[2])


@given(case=cases())
@settings(max_examples=30)
def test_a_head_has_the_bits_that_it_has_alone(level, case):
    together, evaluated = case.trained(), case.evaluated()
    for index, (each, outputs) in enumerate(case.heads()):
        kept = len(case.moments)
        if each.optimizer == "sgd" and each.momentum == 0:
            kept = 0
        alone = replace(
            case,
            work=case.work._replace(heads=(each,)),
            parameters=case.parameters[outputs],
            moments=case.moments[:kept, outputs],
            anchor=None if case.anchor is None else case.anchor[outputs],
            rates=case.rates[index : index + 1],
        )
        trained = alone.trained()
        same(
            trained,
            (
                together.parameters[outputs],
                together.moments[:kept, outputs],
                together.losses[index : index + 1],
                together.weight_sums[index : index + 1],
            ),
        )
        losses, sums, gradient = evaluated
        same(
            alone.evaluated(),
            (losses[index : index + 1], sums[index : index + 1], gradient[outputs]),
        )


@pytest.mark.parametrize("loss", ["softmax", "sigmoid", "squared", "huber"])
def test_a_batch_does_not_depend_on_the_rows_after_it(level, loss):
    rng = np.random.default_rng(3)
    case = large((3,), 70, 400, 100, "adamw")
    y = (rng.random((400, 3)) > 0.5).astype("f4")
    y = y / np.maximum(y.sum(axis=1, keepdims=True), 1) if loss == "softmax" else y
    heads = (head(outputs=3, loss=loss, values=0, l2=1e-3, optimizer="adamw"),)
    work = case.work._replace(heads=heads, labels=(), values=(y.astype("f4"),))
    order = rng.permutation(400)
    long = replace(case, work=work._replace(order=order)).trained()
    short = replace(
        case, work=work._replace(order=order[:200].copy()), rates=case.rates[:, :2].copy()
    ).trained()
    np.testing.assert_array_equal(short.losses, long.losses[:, :2])


def test_a_row_has_the_same_logits_in_any_company(level):
    case = large((10, 3), 130, 300, 100, "sgd")
    work = case.work = case.work._replace(order=None)
    everyone = case.predicted()
    for rows in [[299], [5, 4], list(range(63, 129))]:
        out = np.full((len(rows), 13), np.nan, case.dtype)
        functions.logits(
            work.features, None, None, None, np.array(rows, np.int64), case.parameters, out
        )
        np.testing.assert_array_equal(out, everyone[rows])


@pytest.mark.skipif(len(LEVELS) < 2, reason="this machine has one level")
def test_levels_with_fused_multiply_add_agree_on_every_bit():
    case = large((10,) * 16, 130, 600, 256, "adamw")
    seen = {}
    for name in LEVELS:
        fuses = name not in ("sse4.2", "baseline")
        for _ in run_on(name):
            answer = (*case.trained(), *case.evaluated(), case.predicted())
            same(seen.setdefault(fuses, answer), answer)


@pytest.mark.parametrize("solver", ["sgd", "adamw", "lbfgs"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_fit_has_the_same_bits_at_1_2_and_7_threads_of_numfuse(dtype, solver):
    rng = np.random.default_rng(7)
    y = rng.integers(0, 4, 1500)
    x = (rng.standard_normal((1500, 90)) + np.eye(4)[y] @ rng.standard_normal((4, 90))).astype(
        dtype
    )
    heads = []
    for threads in [1, 2, 7]:
        with numfuse.config_context(threads=threads, backend="rust"):
            made = LinearHead(solver=solver, l2=1e-2, epochs=3, batch_size=500)
            heads.append(made.fit(x, y))
    for other in heads[1:]:
        np.testing.assert_array_equal(heads[0].weight_, other.weight_, strict=True)
        np.testing.assert_array_equal(heads[0].bias_, other.bias_, strict=True)
        np.testing.assert_array_equal(heads[0].history_["loss"], other.history_["loss"])
