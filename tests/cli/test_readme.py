"""The README's examples run, and show what they say."""

import doctest
import re
from pathlib import Path

import numpy as np
import pytest

import numfuse

README = Path(__file__).resolve().parents[2] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


ARRAYS, PICTURES, MODEL = "arrays", "pictures", "the model"


def kind(block):
    """What a block needs beside NumPy."""
    if "numfuse.models" in block:
        return MODEL
    return PICTURES if "numfuse.plot" in block else ARRAYS


def test_each_function_has_an_example():
    for name in (
        "attention",
        "merge_attention",
        "laplacian",
        "Diffusion",
        "diffuse",
        "diffuse_image",
    ):
        assert any(f"numfuse.{name}(" in block for block in BLOCKS)
    assert {kind(block) for block in BLOCKS} == {ARRAYS, PICTURES, MODEL}


@pytest.mark.parametrize("needed", [ARRAYS, PICTURES, MODEL])
def test_examples_show_what_they_say(needed):
    """In one session, as a reader would type them."""
    if needed == PICTURES:
        pytest.importorskip("matplotlib").use("agg")
    if needed == MODEL:
        pytest.importorskip("safetensors")
        pytest.importorskip("tokenizers")
        from numfuse.models import minilm_folder

        try:
            minilm_folder()
        except FileNotFoundError as error:
            pytest.skip(str(error))
    session = "".join(block for block in BLOCKS if kind(block) in (ARRAYS, needed))
    test = doctest.DocTestParser().get_doctest(session, {}, "README.md", str(README), 0)
    said = []
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(test, out=said.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)
    if needed == PICTURES:
        from matplotlib import pyplot

        pyplot.close("all")


def test_calls_of_scipy_map_as_the_page_says():
    ndimage = pytest.importorskip("scipy.ndimage")
    u = np.random.default_rng(0).random((60, 70))
    for mode, boundary in (("reflect", "insulated"), ("wrap", "periodic")):
        ours = numfuse.laplacian(u, boundary=boundary)
        assert np.allclose(ndimage.laplace(u, mode=mode), ours, atol=1e-12)
        for sigma in (4.0, (3.0, 5.0)):
            width = np.square(sigma)
            ours = numfuse.diffuse(
                u, width if width.ndim else float(width), time=0.5, boundary=boundary
            )
            theirs = ndimage.gaussian_filter(u, sigma, mode=mode, truncate=8)
            assert np.abs(ours - theirs).max() < 0.01
