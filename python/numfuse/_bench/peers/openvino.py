"""OpenVINO on the CPU: one operator compiled for latency, inputs shared and not copied.

https://docs.openvino.ai/2026/documentation/openvino-ir-format/operation-sets/operation-specs/sequence/scaled-dot-product-attention.html
https://docs.openvino.ai/2026/openvino-workflow/running-inference/optimize-inference/high-level-performance-hints.html
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import openvino
from openvino import opset13

from numfuse._bench.cases import Array, Attention, Case
from numfuse._bench.child import RefusalError

from ._masks import dense_mask

_threads = 1


def versions() -> dict[str, str]:
    """State the release."""
    return {"openvino": str(openvino.__version__)}


def settle(threads: int) -> None:
    """Keep it for the models to come."""
    global _threads
    _threads = threads


def prepare(case: Case, inputs: dict[str, Array]) -> Callable[[], Any]:
    """Compile a model of one operator in float32."""
    if not isinstance(case, Attention):
        raise RefusalError("attention only")
    if case.dtype != "float32":
        raise RefusalError("float32 only")
    if case.heads != case.key_heads:
        raise RefusalError("no grouped heads")
    arrays = [inputs[name] for name in ("query", "key", "value")]
    if arrays[0].ndim == 2:
        arrays = [array[None, None] for array in arrays]
    mask = dense_mask(case, inputs)
    if mask is not None:
        shape = (case.batch, case.heads, case.queries, case.keys)
        arrays.append(np.array(np.broadcast_to(mask, shape), order="C"))
    parameters = [opset13.parameter(list(array.shape), array.dtype) for array in arrays]
    node = opset13.scaled_dot_product_attention(*parameters, causal=case.causal and mask is None)
    compiled = openvino.Core().compile_model(
        openvino.Model([opset13.result(node)], parameters),
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": _threads,
            "PERFORMANCE_HINT": "LATENCY",
        },
    )
    request = compiled.create_infer_request()
    for i, array in enumerate(arrays):
        request.set_input_tensor(i, openvino.Tensor(array, shared_memory=True))
    # The request reads the arrays' memory but does not keep them alive: the call does.
    return partial(_infer, request, arrays)


def _infer(request: Any, arrays: list[Array]) -> Any:
    request.infer()
    return request


def to_numpy(result: Any) -> Array:
    """Copy it: the request keeps its output tensor."""
    return np.array(result.get_output_tensor().data)
