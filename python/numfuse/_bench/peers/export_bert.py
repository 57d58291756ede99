"""BERT as an ONNX model, exported by PyTorch in a process of its own that then ends.

onnxruntime's child must not load PyTorch itself: its idle workers would disturb the measurement.
"""

import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from numfuse._bench.child import RefusalError

_EXPORT = """
import sys
sys.path[:] = sys.argv[3:]
import torch, transformers
folder, path = sys.argv[1:3]
names = ["input_ids", "attention_mask", "token_type_ids"]
model = transformers.AutoModel.from_pretrained(folder).eval()

class States(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.model = model

    def forward(self, *tensors):
        return self.model(**dict(zip(names, tensors))).last_hidden_state

tokens = torch.ones((2, 8), dtype=torch.int64)
torch.onnx.export(
    States(), (tokens, tokens, torch.zeros_like(tokens)), path, input_names=names,
    output_names=["states"], dynamic_axes={name: {0: "batch", 1: "length"} for name in names},
    dynamo=False, opset_version=17,
)
"""


def exported(folder: Path) -> bytes:
    """Return the serialised model that yields the token states of a Hugging Face folder.

    Raises
    ------
    RefusalError
        If PyTorch or transformers is not installed.
    """
    missing = [name for name in ("torch", "transformers") if find_spec(name) is None]
    if missing:
        raise RefusalError(f"exporting the model needs {' and '.join(missing)}")
    with tempfile.TemporaryDirectory(prefix="numfuse-bench-") as temporary:
        path = Path(temporary) / "bert.onnx"
        process = subprocess.run(
            [sys.executable, "-c", _EXPORT, str(folder), str(path), *sys.path],
            capture_output=True,
            text=True,
            check=False,
        )
        if process.returncode != 0:
            printed = process.stderr.strip().splitlines() or ["no message"]
            raise RuntimeError(f"the model could not be exported: {printed[-1]}")
        return path.read_bytes()
