"""One step along a gradient: sgd, adamw, and the gradient's length before it.

θ are parameters whose last column is a bias, g their gradient, μ the momentum:

    sgd     v ← μv + g,  d = g + μv (nesterov) or v,  θ ← θ − lr·d
    adamw   θ ← θ·(1 − lr·weight_decay), the bias apart
            m ← m + (1 − β₁)(g − m),  v ← β₂v + (1 − β₂)g²
            θ ← θ − lr/(1 − β₁ᵗ) · m / (√v/√(1 − β₂ᵗ) + ε)

References
----------
.. [1] D. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.
.. [2] I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", ICLR 2019.
.. [3] I. Sutskever, J. Martens, G. Dahl, G. Hinton, "On the importance of initialization and
       momentum in deep learning", ICML 2013, in PyTorch's form: lr stands outside of v.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

Array = Any  # ndarray, of the dtype that is computed in if nothing else is said


def clip(gradient: Iterable[Array], norm: float) -> float:
    """Give the factor that shortens a gradient to `norm`: min(1, norm/(‖g‖ + 10⁻⁶)).

    Several arrays, in a list, count as one gradient.
    """
    squares = sum(float(np.sum(np.square(part, dtype=np.float64))) for part in gradient)
    return min(1.0, norm / (math.sqrt(squares) + 1e-6))


@np.errstate(all="ignore")
def optimizer_step(
    head: Any, parameters: Array, gradient: Array, moments: Array, rate: Array
) -> None:
    """Move θ (K, in + 1) by one step, and what it remembers of earlier steps, in place.

    `moments` (0, 1 or 2, K, in + 1), 0 at first, holds v where sgd has momentum, m and v for adamw.
    `rate` is the step's row of `rates`.
    """
    theta, g = parameters, gradient
    learning_rate, step, root = map(float, rate)
    if head.optimizer == "sgd":
        if head.momentum:
            v = moments[0]
            v[...] = head.momentum * v + g
            g = g + head.momentum * v if head.nesterov else v
        theta -= learning_rate * g
    else:
        m, v = moments
        theta[:, :-1] *= 1 - learning_rate * head.weight_decay
        m += (1 - head.beta1) * (g - m)
        v[...] = head.beta2 * v + (1 - head.beta2) * g * g
        theta -= step * m / (np.sqrt(v) * root + head.epsilon)
