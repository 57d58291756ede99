"""Errors fall as fast as each method's order says, when the grid or the step is made finer.

An order is measured as log₂ of the ratio of two errors against a solution known beforehand
(`solutions.py`), in the 2-norm over cells. "Within 0.1 of nominal" is what the issue asks for; the
sizes are large enough that the next term of the error is below that.
"""

import functools

import numpy as np
import pytest

import numfuse
from numfuse.reference import diffusion as reference

from .problems import problem, stages
from .solutions import AXES, MIRRORED, PAIRS, SPECTRAL, Solution

DIFFUSIVITY = (1.0, 0.7, 1.2)
COMBINATIONS = [
    *((2, "explicit", axes) for axes in PAIRS),
    *((2, "rkl2", axes) for axes in PAIRS),
    *((2, "adi", axes) for axes in PAIRS),
    *((2, "spectral", axes) for axes in SPECTRAL),
    *(
        (order, method, axes)
        for order in (4, 6, 8)
        for method in ("explicit", "rkl2", "spectral")
        for axes in MIRRORED
    ),
]


def norm(error):
    return float(np.sqrt(np.mean(error**2)))


def measured(coarse, fine):
    return float(np.log2(coarse / fine))


def options(solution, shape, order=2):
    return {
        "spacing": tuple(1 / n for n in shape),
        "boundary": solution.boundary(shape),
        "source": solution.source(shape),
        "decay": solution.decay,
        "order": order,
    }


def error_on(shape, order, method, solution, time):
    """Error in space: the steps are so short, or the solution so still, that time adds less."""
    given = options(solution, shape, order)
    h = 1 / max(shape)
    if method == "explicit":
        # Euler's error is of first order: with dt in proportion to h² the two fall alike.
        run = {"time": time, "dt": 0.1 * h * h} if solution.mode else {"time": time}
    elif method == "spectral":
        run = {"time": time}
    else:
        run = {"time": time, "dt": 0.05 * h}
    places = solution.centres(shape)
    u = solution.at(places, 0.0)
    later = numfuse.diffuse(u, solution.diffusivity, method=method, **given, **run)
    return norm(later - solution.at(places, time))


@pytest.mark.parametrize(("order", "method", "axes"), COMBINATIONS)
def test_finer_grid_is_nearer_by_its_order(engine, order, method, axes):
    # Above order 2 a part that changes would show the time step's error first, but for spectral.
    moves = order == 2 or method == "spectral"
    n = {2: 24, 4: 24, 6: 32, 8: 40 if axes.startswith("periodic") else 32}[order]
    solution = Solution((axes,), DIFFUSIVITY[:1], mode=float(moves))
    errors = [error_on((n,), order, method, solution, 0.05) for n in (n, 2 * n)]
    assert abs(measured(*errors) - order) <= 0.1


@pytest.mark.parametrize("method", ["explicit", "rkl2", "adi", "spectral"])
@pytest.mark.parametrize(
    "axes",
    [
        ("value, value", "insulated, zero"),
        ("periodic, periodic", "flux, value"),
        ("robin, robin", "value, flux"),
        ("flux, flux", "periodic, periodic"),
        ("value, value", "zero, zero", "insulated, insulated"),
        ("robin, robin", "periodic, periodic", "flux, flux"),
    ],
    ids=", ".join,
)
def test_finer_grid_is_nearer_by_order_two_in_the_plane_and_in_space(engine, method, axes):
    if method == "spectral" and not set(axes) <= set(MIRRORED):
        pytest.skip("spectral takes sides with numbers alone")
    solution = Solution(axes, DIFFUSIVITY[: len(axes)])
    n = 16 if len(axes) == 2 else 8
    shapes = [tuple(n * k + 2 * axis * k for axis in range(len(axes))) for k in (1, 2)]
    errors = [error_on(shape, 2, method, solution, 0.02) for shape in shapes]
    assert abs(measured(*errors) - 2) <= 0.1


@pytest.mark.parametrize("order", [4, 6, 8])
@pytest.mark.parametrize("method", ["explicit", "rkl2", "spectral"])
@pytest.mark.parametrize(("ndim", "axis"), [(2, 0), (2, 1), (3, 0), (3, 1), (3, 2)])
def test_finer_grid_is_nearer_by_higher_orders_along_every_axis(engine, method, order, ndim, axis):
    axes, sizes = ["flat"] * ndim, [7] * ndim
    axes[axis] = "insulated, zero"
    solution, errors = Solution(tuple(axes), DIFFUSIVITY[:ndim], mode=0.0), []
    for n in (32, 64):
        sizes[axis] = n
        errors.append(error_on(tuple(sizes), order, method, solution, 0.01))
    assert abs(measured(*errors) - order) <= 0.1


@functools.cache
def semidiscrete(axes, varies, time):
    """A problem of `solutions.py` on one grid: field, options, and the field after `time`, exactly in time: eigenvectors of the reference's operator."""
    shape = {1: (64,), 2: (40, 5), 3: (24, 3, 3)}[len(axes)]
    solution = Solution(axes, (1.0,) * len(axes) if varies else DIFFUSIVITY[: len(axes)])
    given = options(solution, shape) | {"diffusivity": solution.diffusivity}
    if varies:
        # 1 at the sides, so that the field at the start meets their conditions
        bumps = [1 + 0.5 * np.sin(np.pi * x) ** 2 for x in solution.centres(shape)]
        given["diffusivity"] = np.prod(np.broadcast_arrays(*bumps), axis=0)
    made = problem(shape, "f8", **given)
    u = solution.at(solution.centres(shape), 0.0)
    n = u.size
    zero = reference.operator(np.zeros((1, *made.shape)), made).ravel()
    unit = np.eye(n).reshape(n, *made.shape)
    matrix = (reference.operator(unit, made).reshape(n, n) - zero).T
    rates, vectors = np.linalg.eig(matrix)
    start, fed = np.linalg.solve(vectors, np.stack([u.ravel(), zero], 1)).T
    still = np.abs(rates) < 1e-12

    def after(time):
        grown = np.where(still, time, np.expm1(rates * time) / np.where(still, 1, rates))
        return (vectors @ (start * np.exp(rates * time) + fed * grown)).real.reshape(shape)

    # The start on a coarse grid meets the sides' conditions but nearly; a moment later it does.
    moment = 0.02
    return after(moment), given, after(moment + time), reference.largest_rate(made)


def third(s):
    """What z³ has too little in RKL2's 1 − b + b·P_s(1 + w·z): 1/6 − b·w³·P_s‴(1)/6."""
    w, b = 4 / (s * s + s - 2), (s * s + s - 2) / (2 * s * (s + 1))
    return (1 - b * w**3 * (s - 2) * (s - 1) * s * (s + 1) * (s + 2) * (s + 3) / 48) / 6


@pytest.mark.parametrize(("method", "nominal"), [("explicit", 1), ("rkl2", 2), ("adi", 2)])
@pytest.mark.parametrize("varies", [False, True], ids=["constant D", "variable D"])
@pytest.mark.parametrize(
    "axes",
    [
        *((name,) for name in PAIRS),
        ("robin, robin", "flux, value"),
        ("value, value", "periodic, periodic", "flux, flux"),
    ],
    ids=", ".join,
)
def test_shorter_steps_are_nearer_by_the_methods_order(engine, method, nominal, varies, axes):
    time = {1: 0.05, 2: 0.05, 3: 0.02}[len(axes)]
    u, given, truth, rate = semidiscrete(axes, varies, time)
    steps = int(0.6 * time * rate) if method == "explicit" else 24
    errors = [
        norm(numfuse.diffuse(u, **given, method=method, steps=n, dt=time / n) - truth)
        for n in (steps, 2 * steps)
    ]
    if method == "rkl2":  # longer steps have more stages, whose error is not the same
        nominal += measured(*(third(stages(rate * time / n)) for n in (steps, 2 * steps)))
    assert abs(measured(*errors) - nominal) <= 0.1


@pytest.mark.parametrize("kind", ["value", "flux", "robin"])
@pytest.mark.parametrize("ndim", [1, 2])
def test_conditions_that_change_in_time_are_met_to_second_order(engine, kind, ndim):
    """u = g(x)·cos(3t): sides and source are functions of time, dt in proportion to h²."""

    def error(n):
        shape = (n, n * 5 // 4)[:ndim]
        solution = Solution(
            ("value, value", "periodic, periodic")[:ndim], (1.0, 0.6)[:ndim], mode=0.0
        )
        (g, _, _), places = AXES["value, value"], solution.centres(shape)
        steady, source = solution.at(places, 0.0), solution.source(shape)
        along = steady[0] / g.value(places[0].ravel()[0]) if ndim == 2 else 1.0

        def given(end):
            value, slope = (
                g.value(float(end)) * along,
                (1 if end else -1) * g.slope(float(end)) * along,
            )
            number = {"value": value, "flux": slope, "robin": 2.0 * value + 0.5 * slope}[kind]
            factors = (2.0, 0.5) if kind == "robin" else ()
            return (kind, *factors, lambda t: number * np.cos(3 * t))

        boundary = {(0, "low"): given(0), (0, "high"): given(1)}
        if ndim == 2:
            boundary[1] = "periodic"
        later = numfuse.diffuse(
            steady * np.cos(0.75),
            solution.diffusivity,
            spacing=tuple(1 / n for n in shape),
            boundary=boundary,
            decay=solution.decay,
            source=lambda t: source * np.cos(3 * t) - 3 * steady * np.sin(3 * t),
            start_time=0.25,
            time=0.1,
            dt=0.15 / n**2,
        )
        return norm(later - steady * np.cos(3 * 0.35))

    assert abs(measured(error(16), error(32)) - 2) <= 0.1


SPEED = 0.5  # of the profile


def carried(n, scheme, kinds, diffusivity, dt):
    """Error of a rising profile 2 + tanh that a changing stream carries on an axis of length 2.

    In the 1-norm, which a few cells with an error of first order do not change: where there is
    nothing upstream, the limited scheme is the upwind one.
    """
    h, time = 2 / n, 0.2
    x = (np.arange(n) + 0.5) * h

    def profile(x, t):  # u, u', u″
        tanh = np.tanh(2 * (x - 0.8 - SPEED * t))
        return 2 + tanh, 2 * (1 - tanh**2), -8 * tanh * (1 - tanh**2)

    def stream(x):
        return 1 + 0.3 * np.cos(np.pi * x)

    def source(t):  # u_t + (stream·u)' − D·u″
        u, slope, curvature = profile(x, t)
        return (
            (stream(x) - SPEED) * slope
            - 0.3 * np.pi * np.sin(np.pi * x) * u
            - diffusivity * curvature
        )

    def side(end):
        place, outwards = 2.0 * end, 1 if end else -1

        def number(t):
            u, slope, _ = profile(place, t)
            if kinds[end] == "value":
                return u
            if kinds[end] == "robin":
                return 1.5 * u + 0.25 * outwards * slope
            return outwards * (diffusivity * slope - stream(place) * u)  # all that comes in

        return (kinds[end], *((1.5, 0.25) if kinds[end] == "robin" else ()), number)

    later = numfuse.diffuse(
        profile(x, 0.0)[0],
        diffusivity,
        spacing=h,
        velocity=stream(x)[None],
        advection=scheme,
        boundary={(0, "low"): side(0), (0, "high"): side(1)},
        source=source,
        time=time,
        dt=dt * h * h,
    )
    return float(np.abs(later - profile(x, time)[0]).sum() * h)


# A robin side's inflow is right to first order where nothing diffuses, and its outflow, which the
# page gives the cell's own value, everywhere: "limited" keeps its order only beside other sides.
STREAMS = [
    *(("limited", kinds, D) for D in (0.0, 0.1) for kinds in
      [("value", "value"), ("value", "flux"), ("flux", "value"), ("flux", "flux")]),
    ("limited", ("robin", "value"), 0.1),
    *(("upwind", kinds, 0.1) for kinds in
      [("value", "value"), ("value", "robin"), ("robin", "value"), ("flux", "flux")]),
    ("upwind", ("value", "flux"), 0.0),
]  # fmt: skip


@pytest.mark.parametrize(("scheme", "kinds", "diffusivity"), STREAMS)
def test_stream_carries_to_its_order(engine, scheme, kinds, diffusivity):
    errors = [carried(n, scheme, kinds, diffusivity, 2.0) for n in (100, 200)]
    assert abs(measured(*errors) - {"upwind": 1, "limited": 2}[scheme]) <= 0.1


@pytest.mark.parametrize(("scheme", "nominal"), [("upwind", 1), ("limited", 2)])
@pytest.mark.parametrize("sides", ["periodic", "insulated"])
@pytest.mark.parametrize("direction", [1, -1])
def test_stream_along_a_ring_or_a_closed_pipe_carries_to_its_order(
    engine, scheme, nominal, sides, direction
):
    """Away from extrema, where the limiter is of first order; nothing flows at the pipe's ends."""
    time = 0.1

    def error(n):
        h = 2 / n
        x = (np.arange(n) + 0.5) * h
        stream = direction * (np.ones(n) if sides == "periodic" else np.sin(np.pi * x / 2))
        slope = 0 if sides == "periodic" else direction * np.pi / 2 * np.cos(np.pi * x / 2)

        def u(t):
            wave = np.pi * (x - direction * t) if sides == "periodic" else np.pi * x / 2 + t
            return np.exp(0.5 * np.sin(wave)), 0.5 * np.cos(wave)  # and its logarithm's slope

        def source(t):  # u_t + (stream·u)'
            value, by_wave = u(t)
            if sides == "periodic":
                return np.zeros(n)
            return value * by_wave + slope * value + stream * value * by_wave * np.pi / 2

        later = numfuse.diffuse(
            u(0.0)[0], 0.0, spacing=h, velocity=stream[None], advection=scheme, boundary=sides,
            source=source, time=time, dt=1.0 * h * h,
        )  # fmt: skip
        value, by_wave = u(time)
        return np.abs(later - value)[np.abs(by_wave) > 0.2].sum() * h

    assert abs(measured(error(100), error(200)) - nominal) <= 0.1
