"""Features larger than memory ought to be: a memmap of halves is read by rows, never copied whole."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

STREAM = """
    import sys
    import numpy as np
    from numfuse import LinearHead

    def anonymous():
        for line in open("/proc/self/status"):
            if line.startswith("RssAnon"):
                return int(line.split()[1]) * 1024

    bits = np.load(sys.argv[1], mmap_mode="r")
    if sys.argv[2] == "bfloat16":
        import ml_dtypes
        features = bits.view(ml_dtypes.bfloat16)
    else:
        features = bits.view(np.float16)
    labels = np.arange(len(bits)) % 2
    settings = dict(solver="sgd", epochs=1, shuffle=False, standardize=sys.argv[3] == "standardized")
    LinearHead(**settings).fit(features[:64], labels[:64])
    before = anonymous()
    head = LinearHead(**settings).fit(features, labels)
    predicted = head.decision_function(features)
    print(anonymous() - before, head.n_iter_, head.weight_.shape, predicted.shape)
"""
ROWS = 32768  # 64 MB


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("stream") / "features.npy"
    bits = np.lib.format.open_memmap(path, "w+", np.uint16, (ROWS, 1024))
    bits[:] = 0x3C00  # 1 as float16, 2⁻⁷ as bfloat16
    bits[::2, :512] = 0
    bits.flush()
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
@pytest.mark.parametrize("how", ["plain", "standardized"])
def test_a_memmap_is_not_copied(path, kind, how):
    if kind == "bfloat16":
        pytest.importorskip("ml_dtypes")
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(STREAM), str(path), kind, how], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    growth = int(run.stdout.split()[0])
    # A quarter of the file; a copy of it would be 64 MB, float32 of it 128 MB.
    assert growth < 16_000_000
