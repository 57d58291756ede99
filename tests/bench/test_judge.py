"""The judge: its truth is that of the whole problem, and it sees each kind of error."""

import numpy as np
import pytest

import numfuse
from numfuse import reference
from numfuse._bench import cases, diffusion, judge, judge_diffusion
from numfuse._bench.contestant import read_arrays


def small(**changes):
    """A case of attention that is cheap to compute whole."""
    settings = {
        "batch": 2,
        "heads": 4,
        "key_heads": 2,
        "queries": 40,
        "keys": 56,
        "head_dim": 8,
    }
    return cases.Attention(name="small", title="small", **(settings | changes))


OPTIONS = {
    "plain": {},
    "causal": {"causal": True},
    "window and ALiBi": {"window": (9, 0), "arrays": ("alibi_slopes",)},
    "everything": {
        "causal": True,
        "window": (20, None),
        "softcap": 5.0,
        "arrays": ("bias", "alibi_slopes", "sinks", "key_lengths"),
    },
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_truth_by_blocks_is_the_truth(monkeypatch, options):
    case = small(**options)
    inputs = case.inputs()
    whole = reference.attention(
        *(inputs[name].astype(np.float64) for name in ("query", "key", "value")),
        **case.options,
        **{name: inputs[name] for name in case.arrays},
    )
    # One row a block: eight of the forty rows.
    monkeypatch.setattr(judge, "BLOCK_SCORES", 2 * 2 * 56)
    assert len(judge.row_blocks(case)) == 8
    truth, size = judge.find_truth(case, inputs)
    assert truth.shape == (2, 4, 8, 8)
    assert judge.error_of(case, whole, truth, size) < 1e-12
    assert (size >= np.abs(truth) - 1e-12).all()


@pytest.mark.parametrize("rows", [1, 3, 5, 40, 100])
def test_blocks_never_overlap(monkeypatch, rows):
    case = small()
    monkeypatch.setattr(judge, "BLOCK_SCORES", rows * 2 * 2 * 56)
    covered = [row for block in judge.row_blocks(case) for row in range(40)[block]]
    assert covered == sorted(set(covered))
    assert covered[0] == 0
    assert covered[-1] == 39


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_plain_numpy_is_within_tolerance(dtype):
    case = small(dtype=dtype)
    inputs = case.inputs()
    answer = reference.attention(inputs["query"], inputs["key"], inputs["value"])
    error = judge.error_of(case, answer, *judge.find_truth(case, inputs))
    assert error < 0.2 * judge.tolerance(case)


def test_error_is_a_share_of_what_was_added():
    case = small()
    truth, size = judge.find_truth(case, case.inputs())
    answer = truth.copy()
    answer[1, 2, 3, 4] += 0.01 * size[1, 2, 3, 4]
    assert judge.error_of(case, answer, truth, size) == pytest.approx(0.01)


@pytest.mark.parametrize("spoil", [lambda a: a[:1], lambda a: a * np.nan, lambda a: a[..., :4]])
def test_wrong_shape_or_nan_is_an_infinite_error(spoil):
    case = small()
    truth, size = judge.find_truth(case, case.inputs())
    assert judge.error_of(case, spoil(truth), truth, size) == float("inf")


def test_something_where_nothing_may_be_is_an_infinite_error():
    case = small()
    truth = np.zeros((2, 4, 40, 8))
    assert judge.error_of(case, truth, truth, truth) == 0
    assert judge.error_of(case, truth + 1e-30, truth, truth) == float("inf")


def test_leading_axes_of_one_do_not_count():
    case = small(batch=0, heads=1, key_heads=1)
    truth, size = judge.find_truth(case, case.inputs())
    assert truth.shape == (40, 8)
    assert judge.error_of(case, truth[None, None], truth, size) == 0


@pytest.mark.parametrize("name", ["gelu-1824x1536", "gelu-tanh-1824x1536", "layer_norm-1824x384"])
def test_layers_in_float32_are_within_tolerance(name):
    case = cases.named(name)
    inputs = case.inputs()
    if case.function == "gelu":
        answer = reference.gelu(inputs["x"], approximate=case.approximate)
    else:
        answer = reference.layer_norm(**inputs)
    assert judge.error_of(case, answer, *judge.find_truth(case, inputs)) < judge.tolerance(case)


def test_embeddings_are_compared_by_cosine():
    case = cases.named("minilm-sentence")
    truth = np.array([[3.0, 4.0], [1.0, 0.0]])
    assert judge.error_of(case, 2 * truth, truth, np.ones(1)) == pytest.approx(0)
    turned = np.array([[3.0, 4.0], [0.0, 1.0]])
    assert judge.error_of(case, turned, truth, np.ones(1)) == pytest.approx(1)


def test_dealt_inputs_are_read_as_they_were(tmp_path):
    handlers = judge.handlers()
    handlers["deal"](case="attention-8x8-call", folder=str(tmp_path))
    inputs = cases.named("attention-8x8-call").inputs()
    dealt = read_arrays(tmp_path)
    assert dealt.keys() == inputs.keys()
    np.save(tmp_path / "out.npy", dealt["value"])
    assert "error" in handlers["judge"](path=str(tmp_path / "out.npy"))["flaw"]


def heat(shape, steps, **options):
    return diffusion._heat(shape, steps, **options)


HEATS = {
    "2-D": heat((60, 90), 3),
    "3-D": heat((50, 40, 60), 2),
    "varying": heat((60, 90), 3, variable=True),
    "order 8": heat((60, 60, 60), 1, order=8),
}


@pytest.mark.parametrize("case", HEATS.values(), ids=HEATS)
@pytest.mark.parametrize("windows", ["some", "one"])
def test_windows_of_heat_have_the_truth_of_the_whole(monkeypatch, case, windows):
    if windows == "some":
        monkeypatch.setattr(judge_diffusion, "WINDOW", 3)
        monkeypatch.setattr(judge_diffusion, "RANDOM_WINDOWS", 1)
        if case.order == 2:
            assert len(judge_diffusion.windows(case)) > 4
    inputs = {name: array.astype(np.float64) for name, array in case.inputs().items()}
    with numfuse.config_context(backend="numpy"):
        truth, size = judge.find_truth(case, inputs)
        whole = numfuse.diffuse(
            inputs["field"],
            inputs.get("diffusivity", 1.0),
            steps=case.steps,
            dt=case.dt,
            order=case.order,
        )
    assert judge.error_of(case, whole, truth, size) < 1e-13
    spoilt = whole.copy()
    spoilt[tuple(length // 2 for length in case.shape)] += 0.01
    assert judge.error_of(case, spoilt, truth, size) > 1e-9
    assert judge.error_of(case, whole[:-1], truth, size) == float("inf")


def test_truth_within_a_tolerance_is_that_of_many_small_steps():
    case = diffusion.Certified(
        name="small", title="small", shape=(12, 15), fields=3, steps=20, tolerance=1e-4
    )
    inputs = case.inputs()
    exact = {name: array.astype(np.float64) for name, array in inputs.items()}
    truth, size = judge.find_truth(case, exact)
    with numfuse.config_context(backend="numpy"):
        coarse, fine = (
            numfuse.diffuse(
                exact["field"],
                exact["diffusivity"],
                axes=(1, 2),
                steps=steps,
                dt=float(exact["time"]) / steps,
            )
            for steps in (4000, 8000)
        )
    # The error of Euler's method halves with its step: what is left of it goes away.
    assert judge.error_of(case, 2 * fine - coarse, truth, size) < 1e-6
    assert judge.error_of(case, truth * (1 + 2e-4), truth, size) > case.tolerance
