"""The extension that cannot be loaded, the levels, the environment: each says what is wrong."""

import os
import sys

import pytest

from conftest import LEVELS

from .script import run


def failure(code, **environment):
    """The last line of what an import says that has to fail."""
    done = run(code, check=False, **environment)
    assert done.returncode == 1, done.stderr
    return done.stderr.strip().splitlines()[-1]


WITHOUT_EXTENSION = """
class Break:
    def find_spec(self, name, path=None, target=None):
        if name == "numfuse._numfuse":
            raise ImportError("libwhatever.so.3: cannot open shared object file")

sys.meta_path.insert(0, Break())
import numfuse
"""


def test_missing_extension_says_why_and_names_the_way_out():
    text = failure(WITHOUT_EXTENSION)
    assert text.startswith("ImportError")
    assert "libwhatever.so.3: cannot open shared object file" in text
    assert "NUMFUSE_BACKEND=numpy" in text


def test_missing_extension_is_not_needed_with_the_numpy_backend():
    run(
        WITHOUT_EXTENSION
        + """
x = np.ones((3, 2), np.float32)
np.testing.assert_array_equal(numfuse.attention(x, x, x), x)
assert "numfuse._numfuse" not in sys.modules
try:
    numfuse.set_config(backend="rust")
except ImportError as error:
    assert "NUMFUSE_BACKEND=numpy" in str(error)
else:
    raise AssertionError("a backend that cannot be loaded was accepted")
assert numfuse.get_config()["backend"] == "numpy"
""",
        NUMFUSE_BACKEND="numpy",
    )


def test_numpy_backend_never_loads_the_extension():
    run(
        """
import numfuse
x = np.ones((1, 2, 3, 4), np.float32)
out, lse = numfuse.attention(x, x, x, causal=True, return_lse=True)
numfuse.attention_weights(x, x)
numfuse.merge_attention([out], [lse])
numfuse.rotary(x, np.arange(3))
numfuse.layers.gelu(x)
numfuse.layers.layer_norm(x)
numfuse.compat.scaled_dot_product_attention(x, x, x)
numfuse.show_versions()
numfuse.get_config()
assert not [name for name in sys.modules if name.endswith("_numfuse")]
""",
        NUMFUSE_BACKEND="numpy",
    )


@pytest.mark.parametrize("bad", ["torch", "Rust", "1"])
def test_unknown_backend_in_the_environment_is_refused(bad):
    text = failure("import numfuse", NUMFUSE_BACKEND=bad)
    assert "NUMFUSE_BACKEND" in text
    assert repr(bad) in text
    assert "'rust', 'numpy'" in text


@pytest.mark.parametrize("level", LEVELS)
def test_level_in_the_environment_is_the_one_that_runs(level):
    run(
        """
import numfuse
from numfuse import _numfuse
assert _numfuse.isa() == sys.argv[1]
x = np.ones((3, 2), np.float32)
np.testing.assert_array_equal(numfuse.attention(x, x, x), x)
""",
        level,
        NUMFUSE_ISA=level,
    )


def test_best_level_runs_unless_another_is_asked_for():
    run("import numfuse; from numfuse import _numfuse; assert _numfuse.isa() == _numfuse.isas()[0]")


def test_every_machine_has_its_baseline():
    assert LEVELS[-1] == "baseline"
    assert len(set(LEVELS)) == len(LEVELS)


@pytest.mark.parametrize("bad", ["avx9000", "AVX2", "neon2"])
def test_level_that_the_machine_lacks_is_an_import_error_that_lists_what_there_is(bad):
    text = failure("import numfuse", NUMFUSE_ISA=bad)
    assert text.startswith("ImportError")
    assert "NUMFUSE_ISA" in text
    assert bad in text
    for level in LEVELS:
        assert level in text


def test_unknown_level_leaves_the_current_one_in_force():
    run(
        """
import numfuse
from numfuse import _numfuse
before = _numfuse.isa()
try:
    _numfuse.set_isa("avx9000")
except (ImportError, ValueError) as error:
    assert before in str(error)
else:
    raise AssertionError("accepted")
assert _numfuse.isa() == before
"""
    )


THREADS = "import numfuse; print(numfuse.get_config()['threads'])"


@pytest.mark.parametrize(("environment", "threads"), [
    ({"NUMFUSE_NUM_THREADS": "3"}, 3),
    ({"NUMFUSE_NUM_THREADS": "3", "OMP_NUM_THREADS": "5"}, 3),
    ({"OMP_NUM_THREADS": "5"}, 5),
    ({"OMP_NUM_THREADS": "4,2"}, 4),
    ({"NUMFUSE_NUM_THREADS": "", "OMP_NUM_THREADS": ""}, None),
], ids=str)  # fmt: skip
def test_threads_follow_the_environment(environment, threads):
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    given = int(run(THREADS, **environment).stdout)
    if threads is None:
        assert 1 <= given <= usable  # a quota may allow fewer than the affinity
    else:
        assert given == threads


@pytest.mark.parametrize("variable", ["NUMFUSE_NUM_THREADS", "OMP_NUM_THREADS"])
@pytest.mark.parametrize("bad", ["0", "-2", "two", "1.5", "9" * 5000])
def test_bad_number_of_threads_in_the_environment_is_refused_by_name(variable, bad):
    text = failure(THREADS, **{variable: bad})
    assert variable in text
    assert bad in text
    assert "integer from 1" in text


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_threads_are_no_more_than_the_cpus_the_process_may_use():
    code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n" + THREADS
    assert int(run(code).stdout) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads by /proc")
def test_one_thread_allowed_means_that_none_is_made():
    run(
        """
import os
import numfuse
x = np.ones((2, 8, 300, 64), np.float32)
before = len(os.listdir("/proc/self/task"))
out, lse = numfuse.attention(x, x, x, return_lse=True)
numfuse.attention(x, x, x, window=9)
numfuse.layers.gelu(x)
numfuse.merge_attention([out, out], [lse, lse])
assert len(os.listdir("/proc/self/task")) == before
""",
        NUMFUSE_NUM_THREADS="1",
    )


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads by /proc")
@pytest.mark.parametrize("threads", [2, 5])
def test_no_more_threads_are_made_than_allowed(threads):
    run(
        """
import os
import numfuse
x = np.ones((2, 8, 300, 64), np.float32)
before = len(os.listdir("/proc/self/task"))
for _ in range(5):
    numfuse.attention(x, x, x)
made = len(os.listdir("/proc/self/task")) - before
assert 0 < made < int(sys.argv[1]), made
""",
        threads,
        NUMFUSE_NUM_THREADS=str(threads),
    )


HEAVY = [
    "matplotlib",
    "rich",
    "scipy",
    "torch",
    "safetensors",
    "tokenizers",
    "threadpoolctl",
    "sklearn",
]


@pytest.mark.parametrize("statement", [
    "import numfuse",
    "import numfuse.layers, numfuse.compat, numfuse.reference",
    "import numfuse; x = np.ones((3, 2)); numfuse.attention(x, x, x, causal=True, window=1)",
    "import numfuse.cli",
    "from numfuse import *",
])  # fmt: skip
def test_importing_numfuse_imports_nothing_heavy(statement):
    code = f"{statement}\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    assert not set(HEAVY) & set(run(code).stdout.split())


def test_importing_numfuse_alone_does_not_import_its_submodules():
    done = run("import numfuse; print(*[n for n in sys.modules if n.startswith('numfuse.')])")
    assert not {"numfuse.models", "numfuse.reference", "numfuse.cli", "numfuse.tour"} & set(
        done.stdout.split()
    )


def test_submodules_are_there_without_an_import_of_their_own():
    run(
        """
import numfuse
numfuse.layers.gelu, numfuse.compat.scaled_dot_product_attention, numfuse.reference.attention
numfuse.models.BertEncoder
assert {"layers", "compat", "reference", "models"} <= set(dir(numfuse))
try:
    numfuse.attentoin
except AttributeError as error:
    assert "attentoin" in str(error)
else:
    raise AssertionError("no AttributeError")
"""
    )
