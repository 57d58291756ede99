"""PyTorch as `torch` has it, but many heads one after the other, on the same data."""

from collections.abc import Callable
from typing import Any

from numfuse._bench.cases import Array, Case
from numfuse._bench.child import RefusalError
from numfuse._bench.finetune import Tune

from . import torch as engine
from .numfuse import in_order_first

versions = engine.versions
settle = engine.settle
to_numpy = engine.to_numpy


def prepare(case: Case, inputs: dict[str, Array]) -> Callable[[], Any]:
    """Copy the inputs into memory that PyTorch aligned."""
    if not isinstance(case, Tune) or case.heads == 1:
        raise RefusalError("many heads only")
    tensors = engine.copies(inputs)
    return in_order_first(
        lambda shuffle: [engine.train(case, tensors, 1, shuffle=shuffle) for _ in range(case.heads)]
    )
