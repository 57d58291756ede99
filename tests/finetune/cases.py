"""Calls of the engine's four functions: heads of every kind on drawn rows, and what they answer.

`head` fills in what a head does not say; `Case` is one call of `epoch`; `cases` draws them.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from numfuse import _finetune_engine as engine
from numfuse._finetune_work import Head, Work
from numfuse.reference import finetune as reference

UNIT = {np.dtype("f4"): 2.0**-24, np.dtype("f8"): 2.0**-53}
WIDER = {np.dtype("f4"): np.dtype("f8"), np.dtype("f8"): np.dtype(np.longdouble)}
LOSSES = ["softmax", "sigmoid", "squared", "huber"]

PLAIN_HEAD = Head(
    outputs=1,
    bias=True,
    loss="squared",
    labels=None,
    values=None,
    weights=None,
    smoothing=0.0,
    delta=1.0,
    l2=0.0,
    optimizer="sgd",
    momentum=0.0,
    nesterov=False,
    beta1=0.9,
    beta2=0.999,
    epsilon=1e-8,
    weight_decay=0.0,
    clip_norm=None,
    anchored=False,
)


def head(**given):
    return PLAIN_HEAD._replace(**given)


class Answer(NamedTuple):
    """What an epoch leaves behind, or how far that may be off."""

    parameters: np.ndarray
    moments: np.ndarray
    losses: np.ndarray
    weight_sums: np.ndarray


@dataclass(repr=False)
class Case:
    """One call of `epoch`."""

    work: Work
    batch: int
    parameters: np.ndarray
    moments: np.ndarray
    anchor: np.ndarray | None
    rates: np.ndarray

    @property
    def dtype(self):
        return self.parameters.dtype

    @property
    def rows(self):
        everyone = np.arange(len(self.work.features))
        return everyone if self.work.order is None else self.work.order

    def batches(self):
        return [self.rows[i : i + self.batch] for i in range(0, len(self.rows), self.batch)]

    def heads(self):
        """Each head with its rows of the parameters."""
        ends = np.cumsum([each.outputs for each in self.work.heads]).tolist()
        starts = [0, *ends[:-1]]
        return [(each, slice(*at)) for each, *at in zip(self.work.heads, starts, ends, strict=True)]

    def held_in(self, dtype):
        """The same numbers, which are computed with in another dtype."""

        def cast(array):
            return None if array is None else array.astype(dtype)

        work = self.work._replace(
            shift=cast(self.work.shift),
            scale=cast(self.work.scale),
            values=tuple(map(cast, self.work.values)),
            weights=tuple(map(cast, self.work.weights)),
        )
        return replace(
            self,
            work=work,
            parameters=cast(self.parameters),
            moments=cast(self.moments),
            anchor=cast(self.anchor),
        )

    def trained(self, epoch=engine.epoch):
        """What `epoch`, by default that of the backend in force, makes of copies."""
        theta, moments = self.parameters.copy(), self.moments.copy()
        losses, sums = np.full((2, *self.rates.shape[:2]), np.nan)
        epoch(self.work, self.batch, theta, moments, self.anchor, self.rates, losses, sums)
        return Answer(theta, moments, losses, sums)

    def evaluated(self, evaluate=engine.evaluate):
        """Sums of losses, of weights, and the gradient's."""
        losses, sums = np.full((2, len(self.work.heads)), np.nan)
        gradient = np.full(self.parameters.shape, np.nan)
        evaluate(self.work, self.parameters, losses, sums, gradient)
        return losses, sums, gradient

    def predicted(self, logits=engine.logits):
        """Logits of the rows in order."""
        work = self.work
        out = np.full((len(self.rows), len(self.parameters)), np.nan, self.dtype)
        logits(
            work.features, work.half, work.shift, work.scale, work.order, self.parameters, out
        )  # fmt: skip
        return out

    def __repr__(self):
        work = self.work
        lines = [
            f"Case({self.dtype}, features {work.features.dtype.str} {work.features.shape} {work.half}",
            f"  order {'as they lie' if work.order is None else work.order.tolist()}",
            f"  batch {self.batch}, standardised {work.shift is not None}, anchor {self.anchor is not None}",
        ]
        for each in work.heads:
            said = {k: v for k, v in each._asdict().items() if v != getattr(PLAIN_HEAD, k)}
            lines.append(f"  {said}")
        return "\n".join(lines) + ")"

    def _repr_pretty_(self, printer, cycle):  # what hypothesis prints of a failing example
        printer.text(repr(self))


def bfloat16(x):
    """float32 rounded down to what bfloat16 holds, as its bits."""
    return (np.asarray(x, np.float32).view(np.uint32) >> 16).astype(np.uint16)


WIDTHS = [1, 2, 3, 15, 16, 17, 31, 63, 64, 65, 127, 128, 129, 200]
BATCHES = [1, 2, 7, 31, 32, 33, 63, 64, 65, 127, 128, 129, 150]


@st.composite
def cases(draw, *, dtypes=("f4", "f8"), optimizers=("sgd", "adamw")):
    """One epoch of one to four heads of any kind, on rows of unit length or so."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    n, width = draw(st.sampled_from([1, 2, 5, 40, 64, 100, 200])), draw(st.sampled_from(WIDTHS))
    optimizer = draw(st.sampled_from(optimizers))

    def often(one_in=2):
        return draw(st.integers(0, one_in - 1)) == 0

    features, half = rng.standard_normal((n, width)) / np.sqrt(width), None
    if dtype == np.float32 and often(3):
        half = draw(st.sampled_from(["float16", "bfloat16"]))
        half_bits = features.astype(np.float16).view(np.uint16)
        features = half_bits if half == "float16" else bfloat16(features)
    else:
        features = features.astype(dtype)
    if often(4):  # rows that lie apart
        features = np.hstack([features, features])[:, :width]

    shift = scale = None
    if often(3):
        shift = (rng.standard_normal(width) / 4).astype(dtype)
        scale = (0.5 + rng.random(width)).astype(dtype)
    order = None
    if often():
        order = rng.permutation(n)[: draw(st.integers(1, n))].astype(np.int64)

    has_anchor = often()
    heads, labels, values, weights = [], [], [], []
    for _ in range(draw(st.sampled_from([1, 1, 2, 4]))):
        loss = draw(st.sampled_from(LOSSES))
        outputs = draw(st.sampled_from([1, 2, 3, 6, 10, 13]))
        made = {"loss": loss, "outputs": outputs, "bias": not often(4), "optimizer": optimizer}
        if (loss == "softmax" or (loss == "sigmoid" and outputs == 1)) and often():
            made["labels"] = len(labels)
            labels.append(rng.integers(0, max(outputs, 2) if loss == "sigmoid" else outputs, n))
        else:
            made["values"] = len(values)
            y = rng.standard_normal((n, outputs))
            if loss == "sigmoid":
                y = (y > 0).astype(float)
            elif loss == "softmax":
                y = np.exp(y) / np.exp(y).sum(axis=1, keepdims=True)
            values.append(y.astype(dtype))
        if often(3):
            made["weights"] = len(weights)
            w = rng.random(n) * 3
            w[rng.random(n) < 0.2] = 0
            weights.append(w.astype(dtype))
        if often(3):
            made["smoothing"] = 0.125 if often() else 0.1
        if often(3):
            made["delta"] = 0.3
        if often():
            made["l2"] = draw(st.sampled_from([1e-4, 0.1]))
        if often(3):
            made["clip_norm"] = draw(st.sampled_from([0.05, 10.0]))
        made["anchored"] = has_anchor and often()
        if optimizer == "sgd":
            made["momentum"] = draw(st.sampled_from([0.0, 0.9, 0.5]))
            made["nesterov"] = made["momentum"] > 0 and often()
        else:
            made["weight_decay"] = draw(st.sampled_from([0.0, 0.1]))
            made["beta1"] = draw(st.sampled_from([0.9, 0.0]))
            made["epsilon"] = draw(st.sampled_from([1e-8, 1e-3]))
        heads.append(head(**made))

    K = sum(each.outputs for each in heads)
    theta = rng.standard_normal((K, width + 1)).astype(dtype)
    count = 2 if optimizer == "adamw" else int(any(each.momentum for each in heads))
    moments = rng.standard_normal((count, K, width + 1)).astype(dtype) / 8
    if optimizer == "adamw":  # at v = 0 a step is a sign, which no rounding error leaves alone
        moments[1] = 0.05 + np.abs(moments[1])
    bias = np.repeat([each.bias for each in heads], [each.outputs for each in heads])
    theta[~bias, -1] = 0
    moments[:, ~bias, -1] = 0

    batch = draw(st.sampled_from(BATCHES))
    case = Case(
        Work(
            features, half, shift, scale, order, tuple(heads), tuple(labels), tuple(values), tuple(weights)
        ),
        batch,
        theta,
        moments,
        rng.standard_normal(theta.shape).astype(dtype) if has_anchor else None,
        np.zeros(0),
    )  # fmt: skip
    steps = min(len(case.batches()), 12)
    if steps < len(case.batches()):  # few steps, so that the bound stays near the rounding
        case = replace(case, work=case.work._replace(order=case.rows[: steps * batch].copy()))
    rate = draw(st.sampled_from([0.01, 0.1]))
    made = []
    for each in heads:
        rates = reference.schedule(
            "cosine", rate * (0.5 + rng.random()), steps, 1 if often() else 0
        )
        made.append(reference.rates(each, rates, draw(st.sampled_from([0, 0, 5]))))
    return replace(case, rates=np.stack(made))
