"""The list of cases, and the work that they claim."""

import numpy as np
import pytest

from numfuse._bench import cases, diffusion, texts


def test_names_and_titles_are_unique():
    assert len({case.name for case in cases.CASES}) == len(cases.CASES)
    assert len({case.title for case in cases.CASES}) == len(cases.CASES)


def test_names_can_be_typed():
    for case in cases.CASES:
        assert case.name.isascii()
        assert " " not in case.name


def test_each_family_has_quick_cases():
    for family in cases.FAMILIES:
        assert cases.choose(quick=True, families=[family])


def test_work_is_what_the_answer_needs():
    square = cases.named("attention-1x8x2048x64")
    assert square.work == (4 * 8 * 2048 * 2048 * 64, "FLOP")
    causal = cases.named("attention-1x8x2048x64-causal")
    assert causal.work == (2 * 8 * 2048 * 2048 * 64, "FLOP")
    decode = cases.named("decode-32over8x16384x128")
    assert decode.work == (2 * 8 * 16384 * 128 * 4, "B")
    assert cases.named("attention-8x8-call").work is None
    assert cases.named("heat-256x256x256").work == (32 * 256**3, "update")


@pytest.mark.parametrize(
    ("name", "yardstick"),
    [
        ("attention-1x8x2048x64", "sgemm"),
        ("attention-1x8x2048x64-f64", "dgemm"),
        ("decode-32over8x16384x128", "read"),
        ("decode-12over12x1024x64", None),
        ("attention-1x8x1024x64-bias", None),
        ("gelu-1824x1536", None),
    ],
)
def test_yardstick_is_what_limits_the_case(name, yardstick):
    assert cases.named(name).yardstick == yardstick


def test_patterns_choose_whether_quick_or_not():
    chosen = cases.choose(quick=True, patterns=["decode-32over8x16384x128", "gelu-*"])
    assert [case.name for case in chosen] == [
        "decode-32over8x16384x128",
        "gelu-1824x1536",
        "gelu-tanh-1824x1536",
    ]


def test_unknown_case_is_refused_with_the_names_that_there_are():
    with pytest.raises(ValueError, match=r"no case is called 'x'.*gelu-1824x1536.*'decode-\*'"):
        cases.choose(patterns=["x"])


def test_inputs_fit_their_case():
    for case in cases.CASES:
        if isinstance(case, cases.Attention) and case.queries <= 512:
            inputs = case.inputs()
            assert inputs["query"].shape[-2:] == (case.queries, case.head_dim)
            assert inputs["query"].dtype == np.dtype(case.dtype)
            assert inputs.keys() == {"query", "key", "value", *case.arrays}


@pytest.mark.parametrize("count", [1, 16, 128])
def test_documents_are_sorted_texts(count):
    documents = texts.documents(count)
    assert len(documents) == count
    assert documents == sorted(documents, key=len)
    assert all(len(text) >= 20 for text in map(str.strip, documents))


def test_every_step_of_heat_is_stable():
    import numfuse

    for case in diffusion.CASES:
        if isinstance(case, diffusion.Heat):
            largest = diffusion.LARGEST_DIFFUSIVITY if case.variable else 1.0
            problem = numfuse.Diffusion(largest, order=case.order)
            # A small grid's limit is a little above that of a large one.
            field = np.broadcast_to(np.float32(0), (64,) * len(case.shape))
            assert case.dt <= 0.85 * problem.stable_step(field), case.name


def test_fields_of_diffusion_fit_their_case():
    heat = diffusion._heat((6, 9), 4, variable=True, dtype="float64")
    inputs = heat.inputs()
    assert {name: (array.shape, array.dtype) for name, array in inputs.items()} == {
        "field": ((6, 9), np.float64),
        "diffusivity": ((6, 9), np.float64),
    }
    certified = cases.named("certified-128x128").inputs()
    assert certified["field"].shape == (10, 128, 128)
    assert np.abs(certified["field"]).max(axis=(1, 2)) == pytest.approx(1)
    assert 0 < certified["time"]
