"""PyTorch on the CPU: inference mode but where it trains, tensors of its own, its fused attention.

https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html
https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad_mode.inference_mode.html
https://huggingface.co/docs/transformers/attention_interface
https://docs.pytorch.org/docs/stable/generated/torch.optim.AdamW.html
"""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from numfuse._bench.cases import Array, Attention, Case, Embedding, Layer
from numfuse._bench.child import RefusalError
from numfuse._bench.finetune import Path, Tune

from ._masks import dense_mask
from .numfuse import in_order_first

_inference = ExitStack()


def versions() -> dict[str, str]:
    """State PyTorch's release, and that of transformers where it is installed."""
    found = {"torch": str(torch.__version__)}
    if find_spec("transformers") is not None:
        found["transformers"] = metadata.version("transformers")
    return found


def settle(threads: int) -> None:
    """Size the pool for work within an operator, and turn off autograd for the whole process.

    Inference mode is entered once, as a program does around its loop: 1 µs a call is saved.
    """
    torch.set_num_threads(threads)
    _inference.enter_context(torch.inference_mode())


def prepare(case: Case, inputs: dict[str, Array]) -> Callable[[], Any]:
    """Copy the inputs into memory that PyTorch aligned."""
    if isinstance(case, Embedding):
        return _embedding(case, inputs)
    tensors = copies(inputs)
    if isinstance(case, Tune):
        return in_order_first(lambda shuffle: [train(case, tensors, case.heads, shuffle=shuffle)])
    if isinstance(case, Path):
        raise RefusalError("its LBFGS has no penalty")
    if isinstance(case, Attention):
        return _attention(case, inputs, tensors)
    assert isinstance(case, Layer)
    return _layer(case, tensors)


def copies(inputs: dict[str, Array]) -> dict[str, Any]:
    """Return tensors that training can take: made outside of inference mode."""
    with torch.inference_mode(mode=False):
        return {name: torch.from_numpy(array).clone() for name, array in inputs.items()}


def _attention(
    case: Attention, inputs: dict[str, Array], tensors: dict[str, Any]
) -> Callable[[], Any]:
    query, key, value = tensors["query"], tensors["key"], tensors["value"]
    if query.dim() == 2:  # its quick path wants four axes: 6 µs instead of 22
        query, key, value = query[None, None], key[None, None], value[None, None]
    mask = dense_mask(case, inputs)
    keywords: dict[str, Any] = {}
    if case.heads != case.key_heads:
        keywords["enable_gqa"] = True
    if mask is not None:
        keywords["attn_mask"] = torch.from_numpy(mask).clone()
    elif case.causal:
        keywords["is_causal"] = True
    return partial(functional.scaled_dot_product_attention, query, key, value, **keywords)


def _layer(case: Layer, tensors: dict[str, Any]) -> Callable[[], Any]:
    x = tensors["x"]
    if case.function == "gelu":
        return partial(functional.gelu, x, approximate=case.approximate)
    weight, bias = tensors["weight"], tensors["bias"]
    return partial(functional.layer_norm, x, (case.columns,), weight, bias, 1e-5)


def _embedding(case: Embedding, inputs: dict[str, Array]) -> Callable[[], Any]:
    """Take the BERT of transformers with fused attention, mean pooling as its page shows."""
    if find_spec("transformers") is None:
        raise RefusalError("transformers is not installed")
    import transformers

    from numfuse.models import minilm_folder

    folder = str(minilm_folder())
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, attn_implementation="sdpa").eval()
    texts = inputs["texts"].tolist()

    def embed(batch: list[str]) -> Any:
        tokens = tokenizer(
            batch,
            padding=True,
            truncation=True,
            max_length=case.max_length,
            return_tensors="pt",
        )
        states = model(**tokens).last_hidden_state
        mask = tokens["attention_mask"].unsqueeze(-1)
        return functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1)

    batches = [texts[i : i + case.batch] for i in range(0, len(texts), case.batch)]
    return lambda: torch.cat([embed(batch) for batch in batches])


@torch.inference_mode(mode=False)  # type: ignore[untyped-decorator]
def train(case: Tune, tensors: dict[str, Any], heads: int, *, shuffle: bool) -> Any:
    """Return the weights (heads, outputs, width) of one wide layer after the epochs.

    A loop as PyTorch's own tutorials have it, with rows taken by index. Heads share no weight: the
    loss is the sum of theirs.
    """
    features, labels = tensors["features"], tensors["labels"]
    with torch.enable_grad():
        layer = torch.nn.Linear(case.width, heads * case.outputs)
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
        optimizer: Any
        if case.optimizer == "sgd":
            optimizer = torch.optim.SGD(layer.parameters(), lr=case.learning_rate, momentum=0.9)
        else:
            settings = {"lr": case.learning_rate, "weight_decay": 0.0, "fused": True}
            optimizer = torch.optim.AdamW(layer.parameters(), **settings)
        rows = len(features)
        for _ in range(case.epochs):
            order = torch.randperm(rows) if shuffle else torch.arange(rows)
            for start in range(0, rows, case.batch):
                chosen = order[start : start + case.batch]
                logits, target = layer(features[chosen]), labels[chosen]
                if heads > 1:
                    logits = logits.view(-1, case.outputs)
                    target = target.repeat_interleave(heads)
                loss = functional.cross_entropy(logits, target) * heads
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
    return layer.weight.detach().view(heads, case.outputs, case.width)


def to_numpy(result: Any) -> Array:
    """Look at the tensor's memory; of layers, at each, as (heads, outputs, width)."""
    if isinstance(result, list):
        return np.concatenate([weight.numpy() for weight in result])
    array: Array = result.numpy()
    return array
