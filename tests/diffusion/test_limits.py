"""Steps: what `stable_step` promises, against the eigenvalues of the operator's matrix."""

import numpy as np
from hypothesis import given, settings

import numfuse
from numfuse.reference import diffusion as reference

from .problems import cases


def largest_eigenvalue(made):
    n = int(np.prod(made.shape))
    unit = np.eye(n).reshape(n, *made.shape)
    constant = reference.operator(np.zeros((1, *made.shape)), made)
    matrix = (reference.operator(unit, made) - constant).reshape(n, n)
    return float(np.linalg.eigvals(-matrix).real.max(initial=0))


@settings(max_examples=60)
@given(case=cases(methods=("explicit",), most=60))
def test_stable_step_is_below_the_limit_and_not_by_more_than_half(engine, case):
    case.options.pop("velocity", None)
    options = dict(case.options)
    grid = numfuse.Diffusion(
        options.pop("diffusivity"), axes=tuple(range(1, case.field.ndim)), **options
    )
    step = grid.stable_step(case.field)
    made = case.problem("f8")
    largest = largest_eigenvalue(made)
    if largest < 1e-9:
        return
    limit = 2 / largest
    slack = 1 + (1e-5 if case.field.dtype == np.float32 else 1e-9)  # coefficients are in its dtype
    assert step <= limit * slack
    assert step >= limit / 2 / slack
    kinds = {side.kind for sides in made.sides for side in sides}
    plain = made.walls is None and made.held is None and np.ndim(options.get("decay", 0)) == 0
    if isinstance(made.diffusivity, tuple) and plain and "robin" not in kinds:
        assert step >= limit / slack


@settings(max_examples=60)
@given(case=cases(methods=("explicit",), most=200))
def test_step_with_a_stream_is_the_longest_without_negative_weights(engine, case):
    if "velocity" not in case.options:
        case.options.pop("order", None)
        case.options["velocity"] = np.ones((len(case.shape), *case.shape))
    case.options["boundary"] = {
        key: side for key, side in case.options["boundary"].items() if side[0] != "robin"
    }
    options = dict(case.options)
    grid = numfuse.Diffusion(
        options.pop("diffusivity"), axes=tuple(range(1, case.field.ndim)), **options
    )
    made, slack = case.problem("f8"), 1 + 1e-5
    step = grid.stable_step(case.field)
    assert step <= reference.step_limit(made) * slack
    assert step >= reference.step_limit(made) / slack
    if made.advection == "upwind":  # the weight that a cell has in its own future, seen directly
        n = int(np.prod(case.shape))
        unit = np.eye(n).reshape(n, *case.shape)
        constant = reference.operator(np.zeros((1, *case.shape)), made)
        own = np.diag((reference.operator(unit, made) - constant).reshape(n, n))
        weights = 1 + min(step, 1e9) * own
        assert weights.min() >= -1e-5
        assert weights.min() <= 1e-5 or step > 1e9 or own.min() == 0
