"""How far an epoch may be from the truth: each rounding error, carried along step by step.

The truth is the reference in a wider dtype. Beside it goes a bound E on the error of each number,
to first order, u being the unit of rounding of the dtype that computes:

    x    u·2(|x| + |shift|)·scale, where standardised
    z    |x| Eθ + Ex |θ| + (in + 8)u·|x||θ|: in + 1 products, summed one after the other at worst
    e    the loss's slope in z times Ez, and what its own functions round: `_of_loss`
    g    Σ share·((Ee + (B + 6)u|e|)·|x| + |e|·Ex) + l2·(Eθ + 4u(|θ| + |a|))
    θ    what the optimiser's formula makes of Eg, Ev, Eθ by its derivatives, and 4 roundings each
"""

from typing import Any, NamedTuple

import numpy as np

from numfuse.reference import finetune as reference
from numfuse.reference.finetune import _losses, _steps

from .cases import UNIT, WIDER, Answer


class Rows(NamedTuple):
    """Rows as a head sees them: features with their error, targets, and shares of the sum."""

    x: Any
    x_error: Any
    targets: Any
    weights: Any


def of_epoch(case):
    """The truth of `Case.trained`, and how far each part may be from it."""
    u, wide = UNIT[case.dtype], case.held_in(WIDER[case.dtype])
    theta_error, moment_error = np.zeros(case.parameters.shape), np.zeros(case.moments.shape)
    loss_error, sums = np.zeros(case.rates.shape[:2]), np.zeros(case.rates.shape[:2])
    losses = np.zeros(case.rates.shape[:2])
    for s, rows in enumerate(case.batches()):
        for h, (head, outputs) in enumerate(case.heads()):
            seen = _rows(case, wide, head, rows)
            anchor = wide.anchor[outputs] if wide.anchor is not None and head.anchored else None
            theta, error = wide.parameters[outputs], theta_error[outputs]
            loss_error[h, s], g, g_error = _of_batch(head, theta, error, anchor, seen, u)
            if head.clip_norm is not None:
                g, g_error = _of_clip(head, g, g_error, u)
            moment_error[:, outputs], theta_error[outputs] = _of_step(
                head, theta, wide.moments[:, outputs], g, case.rates[h, s],
                error, moment_error[:, outputs], g_error, u,
            )  # fmt: skip
            sums[h, s] = len(rows) * 2.0**-53 * 4
            if seen.weights is not None:
                sums[h, s] *= float(seen.weights.sum())
        wide.work = wide.work._replace(order=rows)
        wide.rates = case.rates[:, s : s + 1]
        wide.parameters, wide.moments, losses[:, s : s + 1], _ = wide.trained(reference.epoch)
    whole = case.held_in(WIDER[case.dtype]).trained(reference.epoch)
    np.testing.assert_array_equal(whole.parameters, wide.parameters)
    np.testing.assert_array_equal(whole.losses, losses)
    return whole, Answer(theta_error, moment_error, loss_error, sums)


def of_evaluate(case):
    """The truth of `Case.evaluated`, and the bounds on losses and gradient."""
    u, wide = UNIT[case.dtype], case.held_in(WIDER[case.dtype])
    loss_error, gradient_error = np.zeros(len(case.work.heads)), np.zeros(case.parameters.shape)
    for h, (head, outputs) in enumerate(case.heads()):
        seen = _rows(case, wide, head, case.rows)
        ones = np.ones(len(case.rows)) if seen.weights is None else seen.weights
        theta = wide.parameters[outputs]
        z, z_error = _of_logits(theta, np.zeros(theta.shape), seen, u)
        e, e_error, ell, ell_error = _of_loss(head, z, z_error, seen.targets, u)
        loss_error[h] = np.sum(ones * (ell_error + len(ones) * 2.0**-53 * np.abs(ell)))
        gradient_error[outputs] = _of_products(e, e_error, ones, seen, u)
    return wide.evaluated(reference.evaluate), loss_error, gradient_error


def of_logits(case):
    """The truth of `Case.predicted`, and its bound."""
    u, wide = UNIT[case.dtype], case.held_in(WIDER[case.dtype])
    seen = _rows(case, wide, case.work.heads[0], case.rows)
    theta = wide.parameters
    _, error = _of_logits(theta, np.zeros(theta.shape), seen, u)
    return wide.predicted(reference.logits), error


def _rows(case, wide, head, rows):
    work, u = wide.work, UNIT[case.dtype]
    x = _steps.read(work.features, work.half, work.shift, work.scale, rows, wide.dtype)
    error = np.zeros(x.shape)
    if work.shift is not None:
        raw = _steps.read(work.features, work.half, None, None, rows, wide.dtype)
        error = 2 * u * (np.abs(raw) + np.abs(work.shift)) * np.abs(work.scale)
    x = _losses.extended(x)
    error = np.hstack([error, np.zeros((len(rows), 1))])
    return Rows(x, error, *_steps._asked(work, head, rows))


def _of_logits(theta, theta_error, seen, u):
    x, size = seen.x, np.abs(seen.x)
    rounding = (x.shape[1] + 7) * u * (size @ np.abs(theta).T)
    return x @ theta.T, size @ theta_error.T + seen.x_error @ np.abs(theta).T + rounding


def _of_loss(head, z, z_error, targets, u):
    """e and ℓ with their errors.

    The exponential's relative error is 8u and, from its argument, 3u|z|; a sum of n terms adds nu.
    """
    ell, e = reference.loss_rows(
        head.loss, z, targets, smoothing=head.smoothing, delta=head.delta
    )  # fmt: skip
    out = z.shape[1]
    if head.loss == "softmax":
        p = reference.loss_rows("softmax", z, np.zeros_like(z))[1]
        t, below = p - e, z - z.max(axis=1, keepdims=True)
        ln_s = np.log(np.exp(below).sum(axis=1, keepdims=True))
        own = (3 * np.abs(below) + 8) * u
        shared = (p * (z_error + own)).sum(axis=1, keepdims=True)
        growth = np.exp(2 * z_error.max(initial=0))  # the second order of exp
        e_error = growth * p * (z_error + own + shared + (out + 4) * u) + 2 * u * (p + np.abs(t))
        terms = shared + z_error + (out + 8) * u * (1 + np.abs(ln_s) + np.abs(below))
        return e, e_error, ell, growth * (np.abs(t) * terms).sum(axis=1)
    if head.loss == "sigmoid":
        e_error = z_error / 4 + 14 * u
        terms = np.abs(e) * z_error + z_error**2 + (12 + (out + 4) * (np.abs(z) + 1)) * u
        return e, e_error, ell, terms.sum(axis=1)
    r = z - targets.reshape(z.shape)
    terms = np.abs(e) * z_error + z_error**2 + (out + 6) * u * np.abs(e) * np.abs(r)
    return e, z_error + 2 * u * np.abs(r), ell, terms.sum(axis=1)


def _of_products(e, e_error, share, seen, u):
    """Error of Σ share·e xᵀ."""
    most = min(len(e), _steps.BLOCK) + 6
    left = share[:, None] * (e_error + most * u * np.abs(e))
    return left.T @ np.abs(seen.x) + (share[:, None] * np.abs(e)).T @ seen.x_error


def _of_batch(head, theta, theta_error, anchor, seen, u):
    """The loss's error, and the gradient with its own."""
    x, _, targets, weights = seen
    options = {"smoothing": head.smoothing, "delta": head.delta}
    value, g = reference.objective(
        head.loss, theta, x[:, :-1], targets, weights, l2=head.l2, anchor=anchor, **options
    )  # fmt: skip
    w = np.ones(len(x)) if weights is None else weights
    share = w / w.sum() if w.sum() else np.zeros(len(x))
    z, z_error = _of_logits(theta, theta_error, seen, u)
    e, e_error, _, ell_error = _of_loss(head, z, z_error, targets, u)
    g_error = _of_products(e, e_error, share, seen, u)
    away = _losses.from_anchor(theta, anchor)
    from_theta = head.l2 * (theta_error + 4 * u * (np.abs(theta) + np.abs(away)))
    from_theta[:, -1] = 0
    g_error += from_theta + u * np.abs(g)
    if not head.bias:
        g[:, -1] = g_error[:, -1] = 0
    penalty = np.sum(np.abs(away) * theta_error) + np.sum(theta_error**2)
    penalty += (x.shape[1] / 8 + 8) * u * np.sum(away**2)
    return share @ ell_error + head.l2 * penalty + len(x) * 2.0**-53 * abs(value), g, g_error


def _of_clip(head, g, g_error, u):
    size = np.sqrt(np.sum(g**2))
    factor = min(1.0, head.clip_norm / (size + 1e-6))
    if size > 0:
        lost = np.sqrt(np.sum(g_error**2)) / size + (g.shape[1] + 8) * u
        g_error = g_error + np.abs(g) * lost
    return factor * g, factor * g_error


def _of_step(head, theta, moments, g, rate, theta_error, moment_error, g_error, u):
    """Errors of moments and parameters after the step."""
    lr, step, root = map(float, rate)
    if head.optimizer == "sgd":
        if head.momentum:
            v = head.momentum * moments[0] + g
            v_error = head.momentum * moment_error[0] + g_error
            v_error = v_error + 2 * u * (np.abs(head.momentum * moments[0]) + np.abs(g))
            moment_error = v_error[None]
            if head.nesterov:
                g_error = g_error + head.momentum * v_error
                g_error = g_error + 2 * u * (np.abs(g) + head.momentum * np.abs(v))
                g = g + head.momentum * v
            else:
                g, g_error = v, v_error
        return moment_error, theta_error + lr * g_error + 2 * u * (np.abs(theta) + lr * np.abs(g))
    m, v = moments
    one = 1 - head.beta1
    m_error = head.beta1 * moment_error[0] + one * g_error + 4 * u * (np.abs(m) + np.abs(g))
    two = 1 - head.beta2
    v_error = head.beta2 * moment_error[1] + two * (2 * np.abs(g) + g_error) * g_error
    v_error = v_error + 4 * u * (v + two * g**2)
    m, v = m + one * (g - m), head.beta2 * v + two * g**2
    denominator = np.sqrt(v) * root + head.epsilon
    of_root = np.sqrt(v_error)
    np.divide(v_error, np.sqrt(v), out=of_root, where=v > v_error)
    off = root * of_root + 4 * u * denominator
    least = np.maximum(denominator - off, head.epsilon)
    moved = step * (m_error / least + np.abs(m) * off / (denominator * least))
    moved = moved + 4 * u * (np.abs(theta) + step * np.abs(m) / denominator)
    return np.stack([m_error, v_error]), theta_error + moved
