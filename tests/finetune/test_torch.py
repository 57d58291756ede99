"""Training takes the steps that PyTorch takes: its losses, its optimisers, its clipping, its schedules."""

import functools

import numpy as np
import pytest

import numfuse
from numfuse import _finetune_engine as functions
from numfuse._finetune_work import Work
from numfuse.reference import finetune

from .cases import head

torch = pytest.importorskip("torch")

STEPS, BATCH, WIDTH, OUTPUTS = 100, 16, 20, 5
OPTIMIZERS = {
    "sgd": {"optimizer": "sgd"},
    "momentum": {"optimizer": "sgd", "momentum": 0.9},
    "nesterov": {"optimizer": "sgd", "momentum": 0.9, "nesterov": True},
    "adamw": {"optimizer": "adamw", "beta1": 0.8, "beta2": 0.99, "epsilon": 1e-6},
    "adamw that decays": {"optimizer": "adamw", "weight_decay": 0.1},
}
SCHEDULES = [("constant", 0), ("cosine", 0), ("cosine", 7), ("linear", 5)]
LOSSES = ["labels", "weighed labels", "soft targets", "sigmoid", "one sigmoid", "squared", "huber"]


@pytest.fixture(autouse=True, scope="module")
def one_torch_thread():
    """More would spin beside products of this size."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@functools.cache
def data(kind):
    """Features, targets and row weights (None: all 1), float64 or labels."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((STEPS * BATCH, WIDTH))
    z = x @ rng.standard_normal((WIDTH, OUTPUTS)) + rng.standard_normal((len(x), OUTPUTS))
    if kind in ("labels", "weighed labels"):
        y = z.argmax(axis=1)
        return x, y, np.array([1.0, 0.5, 3.0, 2.0, 0.25])[y] if kind != "labels" else None
    if kind == "soft targets":
        return x, np.exp(z) / np.exp(z).sum(axis=1, keepdims=True), None
    if kind == "sigmoid":
        return x, (z > 0).astype(float), None
    if kind == "one sigmoid":
        return x, (z[:, :1] > 0).astype(float), None
    return x, z, None


def start(outputs):
    return np.random.default_rng(6).standard_normal((outputs, WIDTH + 1)) / 4


def torch_loss(kind, z, y, smoothing, delta):
    """A row's loss as PyTorch has it, summed over outputs."""
    F = torch.nn.functional
    if kind in ("labels", "weighed labels", "soft targets"):
        return F.cross_entropy(z, y, reduction="none", label_smoothing=smoothing)
    if "sigmoid" in kind:
        y = (1 - smoothing) * y + smoothing / 2
        return F.binary_cross_entropy_with_logits(z, y, reduction="none").sum(dim=1)
    if kind == "huber":
        return F.huber_loss(z, y, reduction="none", delta=delta).sum(dim=1)
    return F.mse_loss(z, y, reduction="none").sum(dim=1) / 2


def torch_schedule(optimizer, kind, warmup, steps):
    schedulers = torch.optim.lr_scheduler
    after = {
        "constant": lambda: schedulers.ConstantLR(optimizer, factor=1.0),
        "cosine": lambda: schedulers.CosineAnnealingLR(optimizer, T_max=steps - warmup),
        "linear": lambda: schedulers.LinearLR(optimizer, 1.0, 0.0, total_iters=steps - warmup),
    }[kind]
    if not warmup:
        return after()
    before = schedulers.LinearLR(optimizer, 1 / warmup, 1.0, total_iters=warmup - 1)
    return schedulers.SequentialLR(optimizer, [before, after()], milestones=[warmup])


def by_torch(
    kind, batches, dtype, made, *, rate, schedule=("constant", 0), clip_norm=None, l2=0.0,
    smoothing=0.0, delta=1.0,
):  # fmt: skip
    """θ after a step on each batch, and the objective before each."""
    x, y, w = data(kind)
    T = torch.float64 if dtype == np.float64 else torch.float32
    x, y = torch.tensor(x, dtype=T), torch.tensor(y, dtype=None if y.dtype.kind == "i" else T)
    w = torch.ones(len(x), dtype=T) if w is None else torch.tensor(w, dtype=T)
    theta = torch.tensor(start(y.shape[1] if y.ndim == 2 else OUTPUTS), dtype=T)
    weight = theta[:, :-1].clone().requires_grad_()
    bias = theta[:, -1].clone().requires_grad_()
    if made["optimizer"] == "sgd":
        optimizer = torch.optim.SGD(
            [weight, bias],
            lr=rate,
            momentum=made.get("momentum", 0.0),
            nesterov=made.get("nesterov", False),
        )
    else:
        optimizer = torch.optim.AdamW(
            [
                {"params": [weight], "weight_decay": made.get("weight_decay", 0.0)},
                {"params": [bias], "weight_decay": 0.0},
            ],
            lr=rate,
            betas=(made.get("beta1", 0.9), made.get("beta2", 0.999)),
            eps=made.get("epsilon", 1e-8),
        )
    scheduler = torch_schedule(optimizer, *schedule, len(batches))
    losses = []
    for rows in map(torch.as_tensor, batches):
        optimizer.zero_grad()
        each = torch_loss(kind, x[rows] @ weight.T + bias, y[rows], smoothing, delta)
        loss = (each * w[rows]).sum() / w[rows].sum() + l2 / 2 * (weight**2).sum()
        loss.backward()
        if clip_norm is not None:
            torch.nn.utils.clip_grad_norm_([weight, bias], clip_norm)
        losses.append(loss.item())
        optimizer.step()
        scheduler.step()
    return torch.hstack([weight, bias[:, None]]).detach().numpy(), np.array(losses)


def by_engine(
    kind, dtype, made, *, rate, schedule=("constant", 0), clip_norm=None, l2=0.0, smoothing=0.0,
    delta=1.0,
):  # fmt: skip
    """The same by one call of the engine's `epoch`, batches as they lie."""
    x, y, w = data(kind)
    labels, values = ((y,), ()) if y.ndim == 1 else ((), (y.astype(dtype),))
    theta = start(y.shape[1] if y.ndim == 2 else OUTPUTS).astype(dtype)
    one = head(
        outputs=len(theta),
        loss="softmax" if "labels" in kind or "soft" in kind else kind.split()[-1],
        labels=0 if labels else None,
        values=0 if values else None,
        weights=None if w is None else 0,
        l2=l2,
        smoothing=smoothing,
        delta=delta,
        clip_norm=clip_norm,
        **made,
    )
    weights = () if w is None else (w.astype(dtype),)
    work = Work(x.astype(dtype), None, None, None, None, (one,), labels, values, weights)
    count = 2 if one.optimizer == "adamw" else int(one.momentum > 0)
    rates = finetune.rates(one, finetune.schedule(schedule[0], rate, STEPS, schedule[1]), 0)
    losses, sums = np.zeros((2, 1, STEPS))
    functions.epoch(
        work, BATCH, theta, np.zeros((count, *theta.shape), dtype), None, rates[None], losses, sums
    )
    return theta, losses[0]


@functools.cache
def torchs_answer(kind, dtype, optimizer, **options):
    """`by_torch` on the batches that `by_engine` takes: once for all engines."""
    batches = np.arange(STEPS * BATCH).reshape(STEPS, BATCH)
    return by_torch(kind, batches, dtype, OPTIMIZERS[optimizer], **options)


def check(kind, optimizer, **options):
    """After 100 steps in float64 weights differ by 10⁻⁹ of the largest, the float32 curve by 10⁻⁴.

    Both round at 10⁻¹⁶ (10⁻⁷); a convex objective's steps do not let such errors grow, and a
    hundred of them add up to what is far below.
    """
    made = OPTIMIZERS[optimizer]
    torchs, torchs_losses = torchs_answer(kind, np.float64, optimizer, **options)
    theta, losses = by_engine(kind, np.float64, made, **options)
    assert not np.allclose(theta, start(len(theta)), atol=0.01), "nothing has been learnt"
    np.testing.assert_allclose(theta, torchs, rtol=0, atol=1e-9 * np.abs(torchs).max())
    np.testing.assert_allclose(losses, torchs_losses, rtol=1e-9)
    _, torchs_losses = torchs_answer(kind, np.float32, optimizer, **options)
    _, losses = by_engine(kind, np.float32, made, **options)
    np.testing.assert_allclose(losses, torchs_losses, rtol=1e-4)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
@pytest.mark.parametrize("clip_norm", [None, 0.5])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_takes_torchs_steps(engine, optimizer, clip_norm, schedule):
    rate = 0.01 if "adamw" in optimizer else 0.1
    check("labels", optimizer, rate=rate, clip_norm=clip_norm, schedule=schedule)


@pytest.mark.parametrize("optimizer", ["momentum", "adamw"])
@pytest.mark.parametrize("kind", LOSSES)
def test_every_loss_is_torchs(engine, kind, optimizer):
    rate = 0.01 if optimizer == "adamw" else 0.005
    check(kind, optimizer, rate=rate, l2=0.01, delta=0.5)


@pytest.mark.parametrize("kind", ["labels", "soft targets", "sigmoid", "one sigmoid"])
def test_smoothed_losses_are_torchs(engine, kind):
    check(kind, "nesterov", rate=0.02, smoothing=0.1)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_linear_head_trains_as_a_torch_loop_over_the_same_batches(engine, optimizer):
    """Rows in the order that the reference defines, the last batch of an epoch shorter."""
    epochs, batch, seed, rate = 3, 300, 11, 0.01 if "adamw" in optimizer else 0.1
    x, y, w = data("weighed labels")
    batches = []
    for e in range(epochs):
        rows = finetune.order(seed, e, 0, len(x))
        batches += [rows[i : i + batch] for i in range(0, len(x), batch)]
    options = {"schedule": ("cosine", 3), "clip_norm": 0.5, "l2": 0.01, "smoothing": 0.1}
    torchs, losses = by_torch(
        "weighed labels", batches, np.float64, OPTIMIZERS[optimizer], rate=rate, **options
    )
    made = dict(OPTIMIZERS[optimizer])
    settings = {"solver": made.pop("optimizer"), "momentum": made.pop("momentum", 0.0)}
    if settings["solver"] == "adamw":
        settings["betas"] = made.pop("beta1", 0.9), made.pop("beta2", 0.999)
    first = start(OUTPUTS)
    trained = numfuse.LinearHead(
        l2=0.01,
        initial=(first[:, :-1], first[:, -1]),
        label_smoothing=0.1,
        learning_rate=rate,
        batch_size=batch,
        epochs=epochs,
        schedule="cosine",
        warmup=3,
        clip_norm=0.5,
        seed=seed,
        **settings,
        **made,
    ).fit(x, y, sample_weight=w)
    size = np.abs(torchs).max()
    np.testing.assert_allclose(trained.weight_, torchs[:, :-1], rtol=0, atol=1e-9 * size)
    np.testing.assert_allclose(trained.bias_, torchs[:, -1], rtol=0, atol=1e-9 * size)
    sums = [w[rows].sum() for rows in batches]
    curve = [
        np.average(part, weights=weight)
        for part, weight in zip(np.split(losses, epochs), np.split(np.array(sums), epochs), strict=True)
    ]  # fmt: skip
    np.testing.assert_allclose(trained.history_["loss"], curve, rtol=1e-9)
