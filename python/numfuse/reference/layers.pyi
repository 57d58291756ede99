from typing import Any, Literal

from numpy.typing import ArrayLike, NDArray

def gelu(x: ArrayLike, *, approximate: Literal["none", "tanh"] = "none") -> NDArray[Any]: ...
def layer_norm(
    x: ArrayLike,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    *,
    epsilon: float = 1e-5,
) -> NDArray[Any]: ...
