"""A call of `diffuse`, what it asks for in the form that `numfuse.reference.diffusion` reads, and draws.

`problem` reads the options of the public functions anew, apart from the library's own reading.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

import numfuse
from numfuse.reference import diffusion as reference

UNIT = {np.dtype("f4"): 2.0**-24, np.dtype("f8"): 2.0**-53}
KINDS = ["periodic", "insulated", "value", "flux", "robin"]


class Side(NamedTuple):
    """One side of one axis: `a` and `b` are those of a robin side."""

    kind: str
    value: Any = None
    a: float = 0.0
    b: float = 0.0


class Problem(NamedTuple):
    """What the reference's functions read."""

    shape: tuple[int, ...]
    dtype: np.dtype
    spacing: tuple[float, ...]
    diffusivity: Any
    mean: str = "harmonic"
    sides: tuple[tuple[Side, Side], ...] = ()
    walls: Any = None
    held: Any = None
    decay: Any = None
    source: Any = None
    velocity: Any = None
    advection: str = "upwind"
    order: int = 2


def problem(
    shape, dtype, diffusivity, *, spacing=1.0, boundary="insulated", wide=None, walls=None, held=None,
    decay=None, source=None, velocity=None, **rest,
):  # fmt: skip
    """The problem on a grid, its arrays rounded to `dtype` and then held in `wide`."""
    wide = np.dtype(wide or dtype)

    def array(given):
        if given is None or callable(given):
            return given if given is None else lambda time: array(given(time))
        return np.asarray(given, dtype).astype(wide)

    def side(axis, end):
        spec = boundary
        if isinstance(boundary, dict):
            spec = boundary.get(axis, "insulated")
            spec = boundary.get((axis, ("low", "high")[end]), spec)
        if isinstance(spec, str):
            return Side(spec)
        kind, *numbers = spec
        return Side(kind, array(numbers[-1]), *map(float, numbers[:-1]))

    axes = range(len(shape))
    if np.ndim(diffusivity) == len(shape) and np.shape(diffusivity) == tuple(shape):
        diffusivity = array(diffusivity)
    else:
        rounded = np.broadcast_to(np.asarray(diffusivity, dtype), len(shape))
        diffusivity = tuple(float(each) for each in rounded)
    return Problem(
        tuple(shape),
        wide,
        tuple(float(each) for each in np.broadcast_to(spacing, len(shape))),
        diffusivity,
        sides=tuple((side(axis, 0), side(axis, 1)) for axis in axes),
        walls=walls,
        held=held,
        decay=array(decay),
        source=array(source),
        velocity=array(velocity),
        **rest,
    )


@dataclass(repr=False)
class Case:
    """A call: the field (batch, *space), the problem's options, and how far to go by which method."""

    field: np.ndarray
    options: dict[str, Any] = field(default_factory=dict)
    run: dict[str, Any] = field(default_factory=dict)

    @property
    def shape(self):
        return self.field.shape[1:]

    def problem(self, wide=None):
        return problem(self.shape, self.field.dtype, wide=wide, **self.options)

    def diffused(self, **more):
        """What `numfuse.diffuse` says."""
        options = dict(self.options)
        diffusivity = options.pop("diffusivity")
        axes = tuple(range(1, self.field.ndim))
        return numfuse.diffuse(self.field, diffusivity, axes=axes, **options, **self.run, **more)

    def reference(self, dtype=None):
        """What the reference says, with all numbers held in `dtype`."""
        problem = self.problem(dtype)
        u, run = self.field.astype(problem.dtype), dict(self.run)
        method = run.pop("method")
        if method == "spectral":
            return reference.spectral(u, problem, run["time"])
        if method == "rkl2":
            run["stages"] = stages(run["dt"] * reference.largest_rate(self.problem("f8")))
        return getattr(reference, method)(u, problem, **run)

    def __repr__(self):
        def show(x):
            if isinstance(x, np.ndarray) and x.size > 4:
                return f"<{x.dtype.str} {x.shape}>"
            if isinstance(x, tuple):
                return "(" + ", ".join(map(show, x)) + ")"
            if isinstance(x, dict):
                return "{" + ", ".join(f"{key!r}: {show(y)}" for key, y in x.items()) + "}"
            return repr(x)

        parts = [f"{name}={show(x)}" for name, x in (self.options | self.run).items()]
        return f"Case({show(self.field)}, {', '.join(parts)})"

    def _repr_pretty_(self, printer, cycle):  # what hypothesis prints of a failing example
        printer.text(repr(self))


def stages(rate):
    """Fewest stages that are stable for dt·λ: odd ones, which damp the fastest modes."""
    if rate <= 1.5:
        return 2
    s = 3
    while (s * s + s - 2) / 2 < rate:
        s += 2
    return s


def assert_right(case, out):
    """`out` is as near to the truth as plain NumPy in the same dtype, or nearly.

    |out − truth| ≤ 2·e + K·u·S, e the largest error of the reference in the field's dtype, S the
    size of what is summed. A step or stage rounds some 8 products and sums, and 8 more along each
    axis, each of them of at most S·(1 + dt·λ); the walk over all steps adds up at worst: K is their
    number. A transform along n cells is a sum of n products, two for each axis.
    """
    truth_dtype = np.float64 if case.field.dtype == np.float32 else np.longdouble
    truth, plain = case.reference(truth_dtype), case.reference()
    problem, run = case.problem("f8"), case.run
    walls = np.zeros(case.shape, bool) if problem.walls is None else problem.walls
    inside = np.broadcast_to(~walls, out.shape)
    size = max(np.abs(x[inside]).max(initial=0) for x in (case.field, truth))
    constant = reference.operator(np.zeros((1, *case.shape)), problem)
    if run["method"] == "spectral":
        size = size * np.prod(case.shape) ** 0.5 + run["time"] * np.abs(constant).max(initial=0)
        count = 16 + 4 * sum(case.shape)
    else:
        size += run["dt"] * np.abs(constant).max(initial=0) * max(run["steps"], 1)
        moved = 1 + run["dt"] * reference.largest_rate(problem)
        each = stages(moved - 1) if run["method"] == "rkl2" else 1
        if problem.velocity is not None:
            moved += run["dt"] / reference.step_limit(problem)
        if run["method"] == "rkl2":
            moved = 3  # what a stage sums is weighed so
        count = run["steps"] * each * (8 + 8 * len(case.shape)) * moved
    assert out.dtype == case.field.dtype
    assert out.shape == case.field.shape
    outside = ~inside
    assert out[outside].tobytes() == case.field[outside].tobytes(), "a wall's value has changed"
    error = np.abs(out[inside].astype(truth_dtype) - truth[inside])
    plain_error = np.abs(plain[inside].astype(truth_dtype) - truth[inside]).max(initial=0)
    u = UNIT[case.field.dtype]
    allowed = 2 * plain_error + count * u * size
    assert error.max(initial=0) <= allowed, (
        f"error {error.max() / (u * size):.3g} units, plain NumPy's {plain_error / (u * size):.3g}, "
        f"allowed {allowed / (u * size):.3g}"
    )


SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 130]


@st.composite
def cases(draw, *, dtypes=("f4", "f8"), methods=("explicit", "rkl2", "adi", "spectral"), most=2000):
    """One call of any kind that the page on diffusion allows."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    method = draw(st.sampled_from(methods))
    ndim = draw(st.sampled_from([1, 2, 2, 3]))
    shape = []
    for _ in range(ndim):
        shape.append(
            draw(st.sampled_from([n for n in SIZES if n * np.prod(shape, initial=1) <= most]))
        )
    shape = tuple(shape)
    order = draw(st.sampled_from([2, 2, 4, 6, 8])) if method != "adi" else 2
    plain = method == "spectral" or order > 2  # constant D, nothing in the grid
    options = {"spacing": tuple((0.5 + rng.random(ndim)).tolist())}

    def often(one_in=2):
        return draw(st.integers(0, one_in - 1)) == 0

    if plain or often():
        form = draw(st.sampled_from(["number", "one an axis", "zero on an axis"]))
        diffusivity = rng.random(ndim).astype("f4").astype(float)
        if form == "number" or shape == (1,):
            diffusivity = float(diffusivity[0])
        elif form == "zero on an axis":
            diffusivity[0] = 0.0
        options["diffusivity"] = diffusivity
    else:
        diffusivity = np.exp(rng.standard_normal(shape)).astype(dtype)
        if often():
            diffusivity[rng.random(shape) < 0.2] = 0
        options["diffusivity"] = diffusivity
        options["mean"] = draw(st.sampled_from(["harmonic", "arithmetic"]))

    kinds = {"spectral": KINDS[:3]}.get(method, KINDS) if order == 2 else KINDS[:3]

    def side(axis):
        kind = draw(st.sampled_from(kinds[1:]))
        if kind == "insulated":
            return kind
        face = shape[:axis] + shape[axis + 1 :]
        value = rng.standard_normal(() if method == "spectral" or often() else face).astype("f4")
        value = float(value) if value.ndim == 0 else value
        if order > 2:
            value = 0.0
        if kind == "robin":
            a, b = rng.random(2)
            return (kind, float(a), float(b), value)
        return (kind, value)

    boundary = {}
    for axis in range(ndim):
        if often(4):
            boundary[axis] = "periodic"
        else:
            boundary[axis, "low"], boundary[axis, "high"] = side(axis), side(axis)
    options["boundary"] = boundary
    if order > 2:
        options["order"] = order
    field = rng.standard_normal((draw(st.sampled_from([1, 1, 2, 3])), *shape)).astype(dtype)
    if not plain and often():
        walls = rng.random(shape) < draw(st.sampled_from([0.05, 0.3]))
        walls.flat[rng.integers(walls.size)] = False
        options["walls"] = walls
        field[:, walls] = draw(st.sampled_from([0.0, np.nan, np.inf]))
    if not plain and often(3):
        options["held"] = rng.random(shape) < 0.1
    if often(3):
        # With constant D, RKL2's number of stages depends on how sharply the rate is bounded.
        number = method == "spectral" or (
            method == "rkl2" and np.shape(options["diffusivity"]) != shape
        )
        decay = float(np.float32(rng.random()))
        options["decay"] = decay if number or often() else rng.random(shape)
    if often(3):
        options["source"] = rng.standard_normal(shape) if often() else 0.75
    if not plain and method == "explicit" and often(3):
        options["velocity"] = rng.standard_normal((ndim, *shape))
        options["advection"] = draw(st.sampled_from(["upwind", "limited"]))

    case = Case(field, options, {"method": method})
    problem = case.problem("f8")
    if method == "explicit":
        limit = (
            reference.step_limit(problem)
            if "velocity" in options
            else 2 / max(reference.largest_rate(problem), 1e-6)
        )
        part = draw(st.sampled_from([0.2, 0.8, 0.99]))
        steps = draw(st.sampled_from([1, 2, 3, 7, 20]))
        case.run |= {"dt": part * min(limit, 10.0), "steps": steps}
    elif method == "spectral":
        case.run["time"] = draw(st.sampled_from([0.1, 1.0, 30.0]))
    else:
        # Never just at the limit of a number of stages.
        times = draw(st.sampled_from([1.65, 7.3, 40.3]))
        dt = times * 2 / max(reference.largest_rate(problem), 1e-3)
        case.run |= {"dt": dt, "steps": draw(st.integers(1, 3))}
    return case
