"""threadpoolctl sees the threads of numfuse, limits them, and gives them back."""

import pytest

from .script import run

pytest.importorskip("threadpoolctl")

SEEN = """
def ours():
    found = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "numfuse"]
    assert len(found) == 1, threadpoolctl.threadpool_info()
    return found[0]

numfuse.set_config(threads=5)
assert ours()["num_threads"] == 5
assert ours()["version"] == numfuse.__version__
assert ours()["internal_api"] == "numfuse"
assert "_numfuse" in ours()["filepath"]
with threadpoolctl.threadpool_limits(1):
    assert numfuse.get_config()["threads"] == 1
    x = np.ones((3, 2), np.float32)
    np.testing.assert_array_equal(numfuse.attention(x, x, x), x)
assert numfuse.get_config()["threads"] == 5
with threadpoolctl.threadpool_limits({"numfuse": 3}):
    assert numfuse.get_config()["threads"] == 3
assert numfuse.get_config()["threads"] == 5
with threadpoolctl.threadpool_limits({"blas": 1}):
    assert numfuse.get_config()["threads"] == 5
"""


@pytest.mark.parametrize("imports", [
    "import threadpoolctl, numfuse",
    "import numfuse, threadpoolctl; numfuse.set_config()",
    "import numfuse, threadpoolctl; numfuse.show_versions()",
    "import numfuse; numfuse.set_config(); import threadpoolctl",
])  # fmt: skip
def test_threadpoolctl_sees_and_limits_the_threads(imports):
    run(f"{imports}\n{SEEN}")


def test_a_limit_within_a_context_ends_with_the_limit():
    run(
        """
import threadpoolctl, numfuse
with numfuse.config_context(threads=6):
    with threadpoolctl.threadpool_limits(2):
        assert numfuse.get_config()["threads"] == 2
    assert numfuse.get_config()["threads"] == 6
"""
    )


def test_without_threadpoolctl_settings_work():
    run(
        """
sys.modules["threadpoolctl"] = None  # an import fails
import numfuse
numfuse.set_config(threads=3)
numfuse.show_versions()
assert numfuse.get_config()["threads"] == 3
"""
    )
