"""Fine-tuning in plain NumPy: the definition of right for every kernel of this package.

    minimise  Σᵢ wᵢ·ℓ(zᵢ, yᵢ) / Σᵢ wᵢ  +  (l2/2)·‖W − anchor‖²,    z = W x + b

Parameters θ are (K, in + 1): the weight W (K, in), then the bias b, which is the weight of a
feature that is 1 in every row. So one rule gives logits, z = θ x, and gradients, e xᵀ.

============================= ================================================================
`loss_rows`                   ℓ and e = ∂ℓ/∂z of each row: softmax, sigmoid, squared, huber
`objective`, `hessian`        the sum above with its gradient, and the second derivatives
`clip`, `optimizer_step`      a gradient cut to a length; sgd and adamw
`schedule`, `rates`           how long each step is
`stream`, `order`             which row comes when
`epoch`                       all of that, batch by batch: what the kernels do in one call
`evaluate`                    sums of losses and gradients over all rows
`logits`                      z of each row
`moments`                     mean and deviation of each feature
`metric`                      how good logits are: accuracy, average precision, R² …
`lowrank_objective`           the objective behind a layer with an update of low rank
============================= ================================================================

What computes here does so in the dtype that it gets, with BLAS's order of summation: its results
are right to a bound, and their last bits are no definition. `rates` and `order` are one: both
backends take their steps and their rows from here. Heads and work are any objects with the
attributes of `numfuse._finetune_work.Head` and `Work`. Only what would end in silence is refused:
features that are not finite.
"""

from numfuse.reference.finetune._losses import hessian, loss_rows, objective
from numfuse.reference.finetune._lowrank import lowrank_objective
from numfuse.reference.finetune._metrics import metric
from numfuse.reference.finetune._optimizers import clip, optimizer_step
from numfuse.reference.finetune._rates import order, rates, schedule, stream
from numfuse.reference.finetune._steps import epoch, evaluate, logits, moments

__all__ = [
    "clip",
    "epoch",
    "evaluate",
    "hessian",
    "logits",
    "loss_rows",
    "lowrank_objective",
    "metric",
    "moments",
    "objective",
    "optimizer_step",
    "order",
    "rates",
    "schedule",
    "stream",
]
