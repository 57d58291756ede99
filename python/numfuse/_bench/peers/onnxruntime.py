"""onnxruntime on the CPU: one operator as a model, its own pool of threads.

https://onnx.ai/onnx/operators/onnx__Attention.html
https://onnxruntime.ai/docs/performance/tune-performance/threading.html
https://docs.pytorch.org/docs/stable/onnx.html
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

from numfuse._bench.cases import Array, Attention, Case, Embedding, Layer

from . import export_bert
from ._masks import dense_mask

_TYPES = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "bool": TensorProto.BOOL}
_threads = 1


def versions() -> dict[str, str]:
    """State the release."""
    return {"onnxruntime": str(onnxruntime.__version__)}


def settle(threads: int) -> None:
    """Keep it for the sessions to come."""
    global _threads
    _threads = threads


def prepare(case: Case, inputs: dict[str, Array]) -> Callable[[], Any]:
    """Make a session of one operator, with arrays that it reads in place."""
    if isinstance(case, Attention):
        arrays = {name: inputs[name] for name in ("query", "key", "value")}
        if arrays["query"].ndim == 2:
            arrays = {name: array[None, None] for name, array in arrays.items()}
        mask = dense_mask(case, inputs)
        if mask is not None:
            shape = (case.batch, case.heads, case.queries, case.keys)
            arrays["mask"] = np.array(np.broadcast_to(mask, shape), order="C")
        return _session("Attention", arrays, is_causal=int(case.causal and mask is None))
    if isinstance(case, Layer) and case.function == "gelu":
        return _session("Gelu", {"x": inputs["x"]}, approximate=case.approximate)
    if isinstance(case, Layer):
        arrays = {name: inputs[name] for name in ("x", "weight", "bias")}
        return _session("LayerNormalization", arrays, axis=-1, epsilon=1e-5)
    assert isinstance(case, Embedding)
    return _embedding(case, inputs)


def _embedding(case: Embedding, inputs: dict[str, Array]) -> Callable[[], Any]:
    """Run the model as PyTorch exports it; tokens by the tokenizers library."""
    from tokenizers import Tokenizer

    from numfuse.models import minilm_folder

    folder = minilm_folder()
    session = onnxruntime.InferenceSession(
        export_bert.exported(folder), _options(), providers=["CPUExecutionProvider"]
    )
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(case.max_length)
    tokenizer.enable_padding()
    texts = inputs["texts"].tolist()

    def embed(batch: list[str]) -> Array:
        encodings = tokenizer.encode_batch_fast(batch)
        ids = np.array([encoding.ids for encoding in encodings])
        mask = np.array([encoding.attention_mask for encoding in encodings])
        tokens = {
            "input_ids": ids,
            "attention_mask": mask,
            "token_type_ids": np.zeros_like(ids),
        }
        states = session.run(["states"], tokens)[0]
        # Unit length makes a sum as good as a mean.
        embeddings: Array = (mask[:, None].astype(np.float32) @ states)[:, 0]
        embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
        return embeddings

    batches = [texts[i : i + case.batch] for i in range(0, len(texts), case.batch)]
    return lambda: np.concatenate([embed(batch) for batch in batches])


def _options() -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads
    return options


def _session(operator: str, arrays: dict[str, Array], **attributes: Any) -> Callable[[], Any]:
    names = list(arrays)
    graph = helper.make_graph(
        [helper.make_node(operator, names, ["out"], **attributes)],
        operator,
        [
            helper.make_tensor_value_info(name, _TYPES[array.dtype.name], array.shape)
            for name, array in arrays.items()
        ],
        [helper.make_tensor_value_info("out", _TYPES[arrays[names[0]].dtype.name], None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), _options(), providers=["CPUExecutionProvider"]
    )
    return lambda: session.run(None, arrays)[0]


def to_numpy(result: Array) -> Array:
    """Return it: it is an array already."""
    return result
