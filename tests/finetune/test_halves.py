"""Features of sixteen bits train as their float32 copy does, bit for bit, and no copy is made."""

import os
import subprocess
import sys
import textwrap
import tracemalloc

import numpy as np
import pytest

import numfuse
from numfuse import LinearHead
from numfuse import _finetune_engine as functions

from .cases import bfloat16
from .test_reference import large

KINDS = ["float16", "bfloat16"]


def halves(kind, x):
    """The bits of `x` rounded to `kind`, and their float32."""
    if kind == "float16":
        half = x.astype(np.float16)
        return half.view(np.uint16), half.astype(np.float32)
    bits = bfloat16(x)
    return bits, (bits.astype(np.uint32) << 16).view(np.float32)


@pytest.mark.parametrize("standardised", [False, True])
@pytest.mark.parametrize("shape", [((10,), 130, 300, 100), ((2, 3), 128, 64, 64), ((1,), 5, 70, 9)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_call_gives_the_bits_of_the_widened_features(level, kind, shape, standardised):
    case = large(*shape, "adamw")
    work = case.work
    bits, wide = halves(kind, np.asarray(work.features))
    if standardised:
        rng = np.random.default_rng(1)
        work = work._replace(
            shift=rng.standard_normal(wide.shape[1]).astype("f4"),
            scale=(0.5 + rng.random(wide.shape[1])).astype("f4"),
        )
    answers = []
    for features, half in [(wide, None), (bits, kind)]:
        case.work = work._replace(features=features, half=half)
        answers.append((*case.trained(), *case.evaluated(), case.predicted()))
    for one, other in zip(*answers, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_mean_and_deviation_are_those_of_the_widened_features(level, kind, weighted):
    rng = np.random.default_rng(2)
    bits, wide = halves(kind, rng.standard_normal((2500, 67)).astype("f4") + 3)
    weights = rng.random(2500) if weighted else None
    rows = rng.permutation(2500)[:2300]
    found = np.full((2, 2, 67), np.nan)
    functions.moments(bits, kind, rows, weights, *found[0])
    functions.moments(wide, None, rows, weights, *found[1])
    np.testing.assert_array_equal(found[0], found[1])
    # 2300 additions of numbers of one sign, and as many of squares.
    u = 2.0**-53
    truth = np.average(
        wide[rows].astype("f8"), axis=0, weights=None if weights is None else weights[rows]
    )
    np.testing.assert_allclose(found[0, 0], truth, rtol=2 * 2300 * u)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("special", [0x7C00, 0xFC00, 0x7E01, 0x7F80, 0x7FC0])
def test_an_infinity_or_nan_is_named_as_it_is_in_float32(level, kind, special):
    case = large((3,), 40, 90, 30, "sgd")
    bits, _ = halves(kind, np.asarray(case.work.features))
    bits[71, 33] = special
    exponent = 0x7C00 if kind == "float16" else 0x7F80
    case.work = case.work._replace(features=bits, half=kind)
    if special & exponent == exponent:
        with pytest.raises(ValueError, match="row 71, column 33"):
            case.trained()
    else:
        assert np.isfinite(case.trained().parameters).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_on_halves_is_the_fit_on_their_float32(kind):
    rng = np.random.default_rng(4)
    y = rng.integers(0, 3, 700)
    bits, wide = halves(kind, rng.standard_normal((700, 50)).astype("f4"))
    if kind == "bfloat16":
        half = bits.view(pytest.importorskip("ml_dtypes").bfloat16)
    else:
        half = bits.view(np.float16)
    with numfuse.config_context(backend="rust"):
        for settings in [{"solver": "adamw"}, {"solver": "sgd", "standardize": True}]:
            made = LinearHead(epochs=2, batch_size=64, **settings)
            narrow = made.fit(half, y).weight_.copy()
            np.testing.assert_array_equal(narrow, made.fit(wide, y).weight_, strict=True)
            np.testing.assert_array_equal(
                made.decision_function(half), made.decision_function(wide), strict=True
            )


def test_a_call_on_halves_makes_no_copy_that_numpy_sees():
    case = large((3,), 400, 5000, 250, "adamw")
    bits, _ = halves("bfloat16", np.asarray(case.work.features))
    case.work = case.work._replace(features=bits, half="bfloat16")
    with numfuse.config_context(backend="rust"):
        tracemalloc.start()
        try:
            case.trained()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    # Copies of parameters and moments of 3 × 401, far from the features' 4 MB.
    assert peak < bits.nbytes / 16


SCRIPT = """
    import os, sys
    import numpy as np
    import numfuse
    from numfuse import _finetune_engine as functions
    from numfuse._finetune_work import Head, Work

    def private():
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))

    n, width = 1 << 15, 1024
    bits = np.memmap(sys.argv[1], np.uint16, "r", shape=(n, width))
    plain = dict(
        outputs=2, bias=True, loss="softmax", labels=0, values=None, weights=None, smoothing=0.0,
        delta=1.0, l2=1e-4, optimizer="adamw", momentum=0.0, nesterov=False, beta1=0.9,
        beta2=0.999, epsilon=1e-8, weight_decay=0.0, clip_norm=None, anchored=False,
    )
    y = np.arange(n) % 2
    work = Work(bits, "bfloat16", None, None, None, (Head(**plain),), (y,), (), ())
    theta, moments = np.zeros((2, width + 1), "f4"), np.zeros((2, 2, width + 1), "f4")
    losses, sums = np.zeros((2, 1, 128))
    rates = np.full((1, 128, 3), 1e-3)
    numfuse.set_config(backend="rust", threads=2)
    before = private()
    functions.epoch(work, 256, theta, moments, None, rates, losses, sums)
    print(private() - before)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux's /proc")
def test_an_epoch_on_a_mapped_file_takes_memory_for_one_batch(tmp_path):
    """64 MB of bfloat16 pass; 1 MB of strips and what threads need stay."""
    path = tmp_path / "features"
    block = bfloat16(np.random.default_rng(5).standard_normal((1 << 11, 1024)).astype("f4"))
    with open(path, "wb") as file:
        for _ in range(16):
            block.tofile(file)
    child = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    assert int(child.stdout) <= 16 * 1024, f"{child.stdout} KB"
