# The compiled kernels. Arrays arrive validated, broadcast and laid out by the modules that call
# these; the extension checks again whatever memory safety rests on.
from typing import Any, Literal

from numpy import bool_, float64, floating, int64, uint8
from numpy.typing import NDArray

from ._diffusion_problem import Problem
from ._finetune_work import Work

__all__ = [
    "attention_forward",
    "attention_quick",
    "attention_weights",
    "diffusion_adi",
    "diffusion_explicit",
    "diffusion_image",
    "diffusion_largest_rate",
    "diffusion_operator",
    "diffusion_rkl1",
    "diffusion_rkl2",
    "diffusion_spectral",
    "diffusion_step_limit",
    "finetune_epoch",
    "finetune_evaluate",
    "finetune_logits",
    "finetune_moments",
    "gelu",
    "isa",
    "isas",
    "layer_norm",
    "merge_attention",
    "panic_in_tile",
    "philox4x32",
    "random_exponential",
    "random_permutation",
    "random_uniform",
    "rotary",
    "set_isa",
]

def attention_forward(
    query: NDArray[Any],
    key: NDArray[Any],
    value: NDArray[Any],
    out: NDArray[Any],
    lse: NDArray[Any] | None,
    causal: bool,
    window_left: int | None,
    window_right: int | None,
    mask: NDArray[bool_ | uint8] | None,
    bias: NDArray[Any] | None,
    alibi_slopes: NDArray[Any] | None,
    sinks: NDArray[Any] | None,
    scale: float,
    softcap: float | None,
    key_lengths: NDArray[int64] | None,
    query_offset: NDArray[int64] | None,
    threads: int,
    /,
) -> None: ...
def attention_quick(
    query: object,
    key: object,
    value: object,
    causal: object,
    scale: object,
    threads: int,
    /,
) -> NDArray[Any] | None: ...
def attention_weights(
    query: NDArray[Any],
    key: NDArray[Any],
    out: NDArray[Any],
    causal: bool,
    window_left: int | None,
    window_right: int | None,
    mask: NDArray[bool_ | uint8] | None,
    bias: NDArray[Any] | None,
    alibi_slopes: NDArray[Any] | None,
    sinks: NDArray[Any] | None,
    scale: float,
    softcap: float | None,
    key_lengths: NDArray[int64] | None,
    query_offset: NDArray[int64] | None,
    threads: int,
    /,
) -> None: ...
def merge_attention(
    outs: list[NDArray[Any]],
    lses: list[NDArray[Any]],
    out: NDArray[Any],
    lse: NDArray[Any],
    threads: int,
    /,
) -> None: ...
def rotary(
    x: NDArray[Any],
    cosine: NDArray[Any],
    sine: NDArray[Any],
    interleaved: bool,
    out: NDArray[Any],
    threads: int,
    /,
) -> None: ...
def gelu(x: NDArray[Any], out: NDArray[Any], approximate: bool, threads: int, /) -> None: ...
def layer_norm(
    x: NDArray[Any],
    weight: NDArray[Any] | None,
    bias: NDArray[Any] | None,
    epsilon: float,
    out: NDArray[Any],
    threads: int,
    /,
) -> None: ...
def diffusion_explicit(
    problem: Problem,
    field: NDArray[Any],
    out: NDArray[Any],
    aside: NDArray[Any],
    dt: float,
    steps: int,
    levels: int,
    threads: int,
    /,
) -> None: ...
def diffusion_rkl2(
    problem: Problem,
    field: NDArray[Any],
    out: NDArray[Any],
    aside: NDArray[Any],
    dt: float,
    steps: int,
    stages: int,
    levels: int,
    threads: int,
    /,
) -> None: ...
def diffusion_rkl1(
    problem: Problem,
    field: NDArray[Any],
    out: NDArray[Any],
    dt: float,
    stages: int,
    levels: int,
    threads: int,
    /,
) -> None: ...
def diffusion_adi(
    problem: Problem,
    field: NDArray[Any],
    out: NDArray[Any],
    steps: list[float],
    threads: int,
    /,
) -> None: ...
def diffusion_spectral(
    problem: Problem, field: NDArray[Any], out: NDArray[Any], time: float, threads: int, /
) -> None: ...
def diffusion_operator(
    problem: Problem, field: NDArray[Any], out: NDArray[Any], threads: int, /
) -> None: ...
def diffusion_largest_rate(problem: Problem, /) -> float: ...
def diffusion_step_limit(problem: Problem, /) -> float: ...
def diffusion_image(
    image: NDArray[Any],
    out: NDArray[Any],
    steps: int,
    edge: float,
    reciprocal: bool,
    dt: float,
    threads: int,
    /,
) -> None: ...
def finetune_epoch(
    work: Work,
    batch: int,
    parameters: NDArray[Any],
    moments: NDArray[Any],
    anchor: NDArray[Any] | None,
    rates: NDArray[float64],
    losses: NDArray[float64],
    weight_sums: NDArray[float64],
    threads: int,
    /,
) -> None: ...
def finetune_evaluate(
    work: Work,
    parameters: NDArray[Any],
    losses: NDArray[float64],
    weight_sums: NDArray[float64],
    gradient: NDArray[float64],
    threads: int,
    /,
) -> None: ...
def finetune_logits(
    features: NDArray[Any],
    half: str | None,
    shift: NDArray[Any] | None,
    scale: NDArray[Any] | None,
    rows: NDArray[int64] | None,
    parameters: NDArray[Any],
    out: NDArray[Any],
    threads: int,
    /,
) -> None: ...
def finetune_moments(
    features: NDArray[Any],
    half: str | None,
    rows: NDArray[int64] | None,
    weights: NDArray[float64] | None,
    mean: NDArray[float64],
    deviation: NDArray[float64],
    threads: int,
    /,
) -> None: ...
def isa() -> str: ...
def isas() -> list[str]: ...
def set_isa(name: str, /) -> None: ...
def philox4x32(
    key: tuple[int, int], counter: tuple[int, int, int, int], /
) -> tuple[int, int, int, int]: ...
def random_uniform(
    seed: int, stream: int, count: int, dtype: Literal["float32", "float64"], /
) -> NDArray[floating[Any]]: ...
def random_exponential(
    seed: int, stream: int, count: int, dtype: Literal["float32", "float64"], /
) -> NDArray[floating[Any]]: ...
def random_permutation(seed: int, stream: int, count: int, /) -> NDArray[int64]: ...
def panic_in_tile(tile: int, tiles: int, threads: int, /) -> None: ...
