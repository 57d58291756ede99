"""The README's examples run, and show what they say."""

import doctest
import re
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[2] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_there_are_three_examples():
    assert len(BLOCKS) == 3


@pytest.mark.parametrize("count", [2, 3], ids=["arrays", "and the model"])
def test_examples_show_what_they_say(count):
    """In one session, as a reader would type them."""
    if count == 3:
        pytest.importorskip("safetensors")
        pytest.importorskip("tokenizers")
        from numfuse.models import minilm_folder

        try:
            minilm_folder()
        except FileNotFoundError as error:
            pytest.skip(str(error))
    session = "".join(BLOCKS[:count])
    test = doctest.DocTestParser().get_doctest(session, {}, "README.md", str(README), 0)
    said = []
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(test, out=said.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)
