"""What a wheel has to show where nothing but NumPy is installed beside it."""

import importlib.metadata
import sys
from pathlib import Path

import numpy as np

import numfuse

here = Path(numfuse.__file__)
if not here.is_relative_to(sys.prefix):
    sys.exit(f"numfuse was imported from {here}, which is outside of {sys.prefix}")
if numfuse.__version__ != importlib.metadata.version("numfuse"):
    sys.exit(f"{numfuse.__version__=}, but the wheel says {importlib.metadata.version('numfuse')}")

rng = np.random.default_rng(0)
query, key, value = rng.standard_normal((3, 2, 4, 33, 16), dtype=np.float32)
ours = numfuse.attention(query, key, value, causal=True)
with numfuse.config_context(backend="numpy"):
    reference = numfuse.attention(query, key, value, causal=True)
np.testing.assert_allclose(ours, reference, rtol=1e-5, atol=1e-6)

for name in numfuse.__all__:
    getattr(numfuse, name)
if heavy := {"matplotlib", "rich", "safetensors", "scipy", "tokenizers"} & set(sys.modules):
    sys.exit(f"numfuse imported {sorted(heavy)} on its own")
numfuse.show_versions()
