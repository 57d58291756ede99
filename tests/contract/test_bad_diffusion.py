"""Wrong input to diffusion: each mistake has a message of its own, as `test_bad_input.py` has for attention."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

import numfuse
from numfuse import Diffusion

SHAPE = (5, 7)
FIELD = np.ones(SHAPE)


def x(*shape, dtype=float):
    return np.ones(shape, dtype)


def read_only():
    out = np.empty(SHAPE)
    out.flags.writeable = False
    return out


def sliding():
    return as_strided(np.zeros(11), SHAPE, (8, 8))


def one(index, value, *shape):
    a = np.ones(shape)
    a[index] = value
    return a


def at(kind, value):
    return {(1, "high"): (kind, value)}


# mistake: (replaced arguments, error, what the message must say)
DIFFUSE = {
    "field of integers": (
        {"field": x(5, 7, dtype=int)}, TypeError, ["field is int64", "float32 or float64", "field.astype"],
    ),
    "field of bools": ({"field": x(5, 7, dtype=bool)}, TypeError, ["field is bool", "float32 or float64"]),
    "field of complex numbers": ({"field": x(5, 7, dtype=complex)}, TypeError, ["field is complex128", "field.real"]),
    "field of half precision": ({"field": x(5, 7, dtype=np.float16)}, TypeError, ["field is float16", "half precision"]),
    "field masked": ({"field": np.ma.masked_array(FIELD)}, TypeError, ["field is a MaskedArray"]),
    "field without axes": ({"field": x()}, ValueError, ["field is 0-D", "axes"]),
    "field of too many axes": ({"field": x(2, 2, 2, 2)}, ValueError, ["field is 4-D", "1 to 3", "axes="]),
    "axes that the field lacks": ({"axes": (0, 2)}, ValueError, ["axes is (0, 2)", "2 axes"]),
    "axes before the first": ({"axes": (-3,)}, ValueError, ["axes is (-3,)", "2 axes"]),
    "an axis twice": ({"axes": (1, -1)}, ValueError, ["axes is (1, -1)", "twice"]),
    "no axes of space": ({"axes": ()}, ValueError, ["axes is ()", "one to three"]),
    "four axes of space": ({"field": x(1, 1, 1, 1), "axes": (0, 1, 2, 3)}, ValueError, ["axes is (0, 1, 2, 3)", "one to three"]),
    "negative diffusivity": ({"diffusivity": -1.0}, ValueError, ["diffusivity is -1.0", ">= 0"]),
    "diffusivity that is NaN": ({"diffusivity": np.nan}, ValueError, ["diffusivity is nan", "finite"]),
    "diffusivity that is infinite": ({"diffusivity": np.inf}, ValueError, ["diffusivity is inf", "finite"]),
    "diffusivity that is None": ({"diffusivity": None}, TypeError, ["diffusivity is None"]),
    "diffusivity that is a function": ({"diffusivity": abs}, TypeError, ["diffusivity is the function"]),
    "diffusivity negative in one cell": (
        {"diffusivity": one((2, 3), -1, *SHAPE)}, ValueError, ["diffusivity is -1.0 at [2, 3]", ">= 0"],
    ),
    "diffusivity NaN in one cell": (
        {"diffusivity": one((4, 6), np.nan, *SHAPE)}, ValueError, ["diffusivity is nan at [4, 6]", "finite"],
    ),
    "diffusivity of another grid": (
        {"diffusivity": x(7, 5)}, ValueError, ["diffusivity has shape (7, 5)", "the grid has (5, 7)"],
    ),
    "diffusivity for three axes": ({"diffusivity": x(3)}, ValueError, ["diffusivity has shape (3,)", "(5, 7)"]),
    "diffusivity too large for float32": (
        {"field": x(5, 7, dtype=np.float32), "diffusivity": 1e39}, ValueError, ["diffusivity is 1e+39", "float32"],
    ),
    "diffusivity in cells too large for float32": (
        {"field": x(5, 7, dtype=np.float32), "diffusivity": 1e39 * x(5, 7)}, ValueError, ["diffusivity has", "float32"],
    ),
    "a coefficient too large for float32": (
        {"field": x(5, 7, dtype=np.float32), "diffusivity": 1.0, "spacing": 1e-20},
        ValueError, ["diffusivity is 1 and spacing 1e-20", "float32", "units"],
    ),
    "spacing of zero": ({"spacing": 0.0}, ValueError, ["spacing is 0.0", "> 0"]),
    "spacing below zero": ({"spacing": (1.0, -1.0)}, ValueError, ["spacing is (1.0, -1.0)", "> 0"]),
    "spacing that is infinite": ({"spacing": np.inf}, ValueError, ["spacing is inf", "> 0"]),
    "spacing for three axes": ({"spacing": (1.0, 1.0, 1.0)}, ValueError, ["spacing has 3 numbers", "2 space axes"]),
    "spacing that is text": ({"spacing": "1"}, TypeError, ["spacing is '1'", "> 0"]),
    "boundary of an unknown kind": ({"boundary": "open"}, ValueError, ["boundary is 'open'", '"insulated"', '"flux"']),
    "boundary that is None": ({"boundary": None}, TypeError, ["boundary is None", '"insulated"']),
    "a side of an unknown kind": ({"boundary": at("held", 1.0)}, ValueError, ["boundary[(1, 'high')]", "held"]),
    "a value without number": ({"boundary": ("value",)}, ValueError, ["boundary is ('value',)", '("value", v)']),
    "a value that is text": ({"boundary": ("value", "1")}, TypeError, ["boundary's value is '1'", "finite"]),
    "a value that is NaN": ({"boundary": at("value", np.nan)}, ValueError, ["boundary[(1, 'high')]'s value is nan"]),
    "a flux that is infinite": ({"boundary": {0: ("flux", np.inf)}}, ValueError, ["boundary[0]'s flux is inf"]),
    "values of another face": (
        {"boundary": at("value", x(7))}, ValueError, ["boundary on side (1, 'high') has shape (7,)", "(5,)"],
    ),
    "values over the grid": ({"boundary": {0: ("value", x(5, 7))}}, ValueError, ["has shape (5, 7)", "(7,)"]),
    "robin of two numbers": ({"boundary": ("robin", 1.0, 2.0)}, ValueError, ["boundary is ('robin', 1.0, 2.0)"]),
    "robin of nothing": ({"boundary": ("robin", 0, 0, 1.0)}, ValueError, ["boundary has a = b = 0"]),
    "robin with an infinite factor": ({"boundary": ("robin", np.inf, 0, 1.0)}, ValueError, ["boundary's a is inf"]),
    "robin with factors along the face": ({"boundary": ("robin", x(7), 1, 1.0)}, TypeError, ["boundary's a is"]),
    "robin that no value meets": (
        {"boundary": {0: ("robin", 2.0, -0.5, 1.0)}, "spacing": 0.5}, ValueError,
        ["side (0, 'low')", "a = 2.0", "b = -0.5", "a/2 + b/spacing is 0"],
    ),
    "periodic on one side only": (
        {"boundary": {(0, "low"): "periodic"}}, ValueError, ["periodic on one side of axis 0 only", '{0: "periodic"}'],
    ),
    "periodic with one side otherwise": (
        {"boundary": {1: "periodic", (1, "high"): ("value", 0.0)}}, ValueError, ["periodic on one side of axis 1 only"],
    ),
    "a boundary key that names no axis": ({"boundary": {2: "periodic"}}, ValueError, ["key for axis 2", "2 space axes"]),
    "a boundary key counted from the last": ({"boundary": {-1: "periodic"}}, ValueError, ["the key -1"]),
    "a boundary key that names no side": ({"boundary": {(0, "left"): "insulated"}}, ValueError, ["the key (0, 'left')"]),
    "a boundary key that is text": ({"boundary": {"low": "insulated"}}, ValueError, ["the key 'low'"]),
    "an order that there is not": ({"order": 3}, ValueError, ["order is 3", "2, 4, 6 or 8"]),
    "order 4 with walls": ({"order": 4, "walls": one((0, 0), 0, *SHAPE) == 0}, ValueError, ["order is 4", "walls", "order=2"]),
    "order 4 with held cells": ({"order": 4, "held": one((0, 0), 0, *SHAPE) == 0}, ValueError, ["order is 4", "held"]),
    "order 6 with velocity": ({"order": 6, "velocity": x(2, 5, 7)}, ValueError, ["order is 6", "velocity"]),
    "order 8 with diffusivity by cell": ({"order": 8, "diffusivity": x(5, 7)}, ValueError, ["order is 8", "diffusivity"]),
    "order 4 with a flux": ({"order": 4, "boundary": at("flux", 0.0)}, ValueError, ["order is 4", "a flux side"]),
    "order 4 with a value": ({"order": 4, "boundary": at("value", 1.0)}, ValueError, ["order is 4", "a value side other than 0"]),
    "order 4 with a changing value": (
        {"order": 4, "boundary": at("value", float)}, ValueError, ["order is 4", "a value side other than 0"],
    ),
    "order 4 with adi": ({"order": 4, "method": "adi", "steps": 1, "dt": 0.1}, ValueError, ["'adi'", "order is 4", "rkl2"]),
    "a mean that there is not": ({"mean": "geometric"}, ValueError, ["mean is 'geometric'", '"harmonic"']),
    "velocity that is a number": ({"velocity": 1.0}, TypeError, ["velocity is the number 1.0"]),
    "velocity of one component": ({"velocity": x(5, 7)}, ValueError, ["velocity has shape (5, 7)", "(2, 5, 7)"]),
    "velocity that is NaN": ({"velocity": one((1, 0, 0), np.nan, 2, *SHAPE)}, ValueError, ["velocity is nan at [1, 0, 0]"]),
    "advection that there is not": ({"advection": "central"}, ValueError, ["advection is 'central'", '"upwind"']),
    "negative decay": ({"decay": -0.1}, ValueError, ["decay is -0.1", ">= 0", "source"]),
    "decay of another grid": ({"decay": x(5)}, ValueError, ["decay has shape (5,)", "(5, 7)"]),
    "source that is infinite": ({"source": np.inf}, ValueError, ["source is inf", "finite"]),
    "source of another grid": ({"source": x(2, 5, 7)}, ValueError, ["source has shape (2, 5, 7)", "(5, 7)"]),
    "a source that returns NaN": (
        {"source": lambda time: np.nan}, ValueError, ["source at time 0 is nan", "finite"],
    ),
    "a source that returns another grid": (
        {"source": lambda time: x(7, 5)}, ValueError, ["source at time 0 has shape (7, 5)", "(5, 7)"],
    ),
    "a source that returns a function": ({"source": lambda time: abs}, TypeError, ["source at time 0 is a function"]),
    "a source that returns nothing": ({"source": lambda time: None}, TypeError, ["source at time 0 is None"]),
    "a side that becomes NaN": (
        {"boundary": at("value", lambda time: np.nan if time > 0.15 else 0.0)}, ValueError,
        ["boundary on side (1, 'high') at time 0.2", "nan"],
    ),
    "walls that are no bools": ({"walls": x(5, 7, dtype=int)}, TypeError, ["walls is an array of int64", "bool", "walls != 0"]),
    "walls of another grid": ({"walls": x(7, 5, dtype=bool)}, ValueError, ["walls has shape (7, 5)", "(5, 7)"]),
    "walls everywhere": ({"walls": x(5, 7, dtype=bool)}, ValueError, ["walls is True everywhere"]),
    "held cells that are no bools": ({"held": x(5, 7)}, TypeError, ["held is an array of float64", "bool"]),
    "held cells of another grid": ({"held": x(5, dtype=bool)}, ValueError, ["held has shape (5,)", "(5, 7)"]),
    "a method that there is not": ({"method": "euler"}, ValueError, ["method is 'euler'", '"explicit"']),
    "tolerance of zero": ({"tolerance": 0.0}, ValueError, ["tolerance is 0.0", "> 0"]),
    "negative time": ({"time": -1.0, "steps": None}, ValueError, ["time is -1.0", ">= 0"]),
    "time that is NaN": ({"time": np.nan, "steps": None}, ValueError, ["time is nan", "finite"]),
    "negative steps": ({"steps": -1}, ValueError, ["steps is -1", ">= 0"]),
    "steps that are no integer": ({"steps": 2.0}, TypeError, ["steps is 2.0", "integer"]),
    "dt of zero": ({"dt": 0.0}, ValueError, ["dt is 0.0", "> 0"]),
    "time and steps": ({"time": 1.0}, ValueError, ["time and steps", "both are given"]),
    "neither time nor steps": ({"steps": None, "dt": None}, ValueError, ["time and steps", "neither of them is given"]),
    "dt alone": ({"steps": None}, ValueError, ["time and steps", "neither of them is given"]),
    "start_time that is infinite": ({"start_time": np.inf}, ValueError, ["start_time is inf"]),
    "a step beyond stability": ({"dt": 0.3}, ValueError, ["dt is 0.3", "stable up to 0.26", "rkl2"]),
    "a step beyond stability, with time": (
        {"dt": 10.0, "steps": None, "time": 0.1}, ValueError, ["dt is 10", "stable up to 0.26"],
    ),
    "steps without dt for rkl2": ({"method": "rkl2", "dt": None}, ValueError, ["steps is given without dt", "'rkl2'"]),
    "steps without dt for spectral": ({"method": "spectral", "dt": None}, ValueError, ["steps is given without dt", "'spectral'"]),
    "steps without dt where nothing moves": ({"diffusivity": 0.0, "dt": None}, ValueError, ["steps is given without dt"]),
    "more steps than can be counted": (
        {"steps": None, "time": 1e300, "dt": 1e-10}, ValueError, ["dt is 1e-10", "1e+310"[:4]],
    ),
    "a step of more stages than can be made": (
        {"method": "rkl2", "steps": 1, "dt": 1e300}, ValueError, ["dt is 1e+300", "'rkl2'", "stages", "shorter dt"],
    ),
    "a time after which the number of stages overflows": (
        {"method": "rkl2", "steps": 1, "dt": 1e308, "diffusivity": 1e3}, ValueError, ["dt is 1e+308", "'rkl2'", "stages"],
    ),
    **{
        f"a {what} too large for {method}": (
            {"method": method, "steps": None, "dt": None, **numbers},
            ValueError,
            [f"time is {numbers['time']:g}", f"'{method}'", "shorter time or a smaller diffusivity", "'spectral'"],
        )
        for method in ("explicit", "rkl2", "adi")
        for what, numbers in {
            "time": {"time": 1e308},
            "diffusivity": {"time": 1.0, "diffusivity": 1e300},
            "product of time and diffusivity": {"time": 1e300, "diffusivity": 1e300},
        }.items()
    },
    **{
        f"a tolerance that {method} cannot keep to": (
            {"method": method, "steps": None, "dt": None, "time": 1e3, "tolerance": 1e-16},
            ValueError, ["time is 1000", f"'{method}'", "the tolerance of 1e-16", "larger tolerance", "'spectral'"],
        )
        for method in ("rkl2", "adi")
    },
    "a time too large for all methods that can": (
        {"steps": None, "dt": None, "time": 1e308, "walls": one((0, 0), 2, *SHAPE) == 2},
        ValueError, ["time is 1e+308", "'explicit'", "shorter time or a smaller diffusivity"],
    ),
    "rkl2 with velocity": ({"method": "rkl2", "velocity": x(2, 5, 7)}, ValueError, ["'rkl2'", "velocity", "'explicit'"]),
    "adi with a function of time": (
        {"method": "adi", "source": float}, ValueError, ["'adi'", "a function of time as source", "'explicit'"],
    ),
    "spectral with a function of time": (
        {"method": "spectral", "boundary": ("value", float)}, ValueError, ["'spectral'", "function of time as boundary", "'explicit'"],
    ),
    "spectral with walls": (
        {"method": "spectral", "walls": one((0, 0), 0, *SHAPE) == 0}, ValueError, ["'spectral'", "walls", "'rkl2'"],
    ),
    "spectral with diffusivity by cell": (
        {"method": "spectral", "diffusivity": x(5, 7)}, ValueError, ["'spectral'", "an array for diffusivity", "'rkl2'"],
    ),
    "spectral with decay by cell": (
        {"method": "spectral", "decay": x(5, 7)}, ValueError, ["'spectral'", "an array for decay", "'rkl2'"],
    ),
    "spectral with a flux": ({"method": "spectral", "boundary": at("flux", 1.0)}, ValueError, ["'spectral'", "a flux side"]),
    "spectral with values along a face": (
        {"method": "spectral", "boundary": at("value", x(5))}, ValueError, ["'spectral'", "an array along a side", "'rkl2'"],
    ),
    "out of another shape": ({"out": x(7, 5)}, ValueError, ["out has shape (7, 5)", "(5, 7)", "np.empty"]),
    "out of another dtype": ({"out": x(5, 7, dtype=np.float32)}, TypeError, ["out is float32", "the result is float64"]),
    "out that is read-only": ({"out": read_only()}, ValueError, ["out is read-only"]),
    "out that overlaps itself": ({"out": sliding()}, ValueError, ["out has elements that share memory", "np.empty"]),
    "out that is a list": ({"out": [0.0]}, TypeError, ["out is a list"]),
}  # fmt: skip
IN_ADVANCE = {"field", "time", "steps", "dt", "start_time", "out"}
OF_LAPLACIAN = {"field", "spacing", "axes", "boundary", "order", "out"}


def explains(call, kind, words):
    with pytest.raises(kind) as error:
        call()
    assert type(error.value) is kind
    for word in words:
        assert word in str(error.value), str(error.value)


def split(arguments):
    given = {"field": FIELD, "diffusivity": 1.0, "steps": 3, "dt": 0.1, **arguments}
    advance = {name: value for name, value in given.items() if name in IN_ADVANCE}
    return advance, {name: value for name, value in given.items() if name not in IN_ADVANCE}


@pytest.mark.parametrize("mistake", DIFFUSE)
def test_diffuse_explains(engine, mistake):
    arguments, kind, words = DIFFUSE[mistake]
    advance, problem = split(arguments)
    explains(lambda: numfuse.diffuse(**advance, **problem), kind, words)


@pytest.mark.parametrize("mistake", DIFFUSE)
def test_diffusion_explains_the_same_at_the_latest_in_advance(engine, mistake):
    arguments, kind, words = DIFFUSE[mistake]
    advance, problem = split(arguments)
    explains(lambda: Diffusion(**problem).advance(**advance), kind, words)


@pytest.mark.parametrize(
    "mistake", [m for m, (a, _, _) in DIFFUSE.items() if set(a) <= OF_LAPLACIAN]
)
def test_laplacian_explains(engine, mistake):
    arguments, kind, words = DIFFUSE[mistake]
    if "side that becomes NaN" in mistake or "a coefficient" in mistake:
        kind, words = ValueError, []
    explains(lambda: numfuse.laplacian(**{"field": FIELD, **arguments}), kind, words)


def test_laplacian_takes_no_function_of_time(engine):
    for boundary in (("value", float), {0: ("robin", 1.0, 1.0, float)}):
        explains(
            lambda b=boundary: numfuse.laplacian(FIELD, boundary=b),
            ValueError,
            ["boundary has a function of time", "no time"],
        )


def test_a_refused_call_leaves_out_alone(engine):
    out = np.full(SHAPE, 7.0)
    for mistake in ("a step beyond stability", "walls everywhere", "a value that is NaN"):
        advance, problem = split(DIFFUSE[mistake][0])
        with pytest.raises(ValueError, match=r"\w"):
            numfuse.diffuse(**advance, **problem, out=out)
    assert (out == 7).all()


def test_an_out_whose_rows_interleave_is_filled(engine):
    field = np.arange(6.0).reshape(2, 3)
    out = as_strided(np.zeros(8), (2, 3), (24, 16))
    usual = numfuse.diffuse(field, 1.0, steps=1, dt=0.1)
    assert numfuse.diffuse(field, 1.0, steps=1, dt=0.1, out=out) is out
    np.testing.assert_array_equal(out, usual)


IMAGE = {
    "an image of bytes": ({"image": x(5, 7, dtype=np.uint8)}, TypeError, ["image is uint8", "float32 or float64"]),
    "an image of complex numbers": ({"image": x(5, 7, dtype=complex)}, TypeError, ["image is complex128"]),
    "an image without axes": ({"image": x()}, ValueError, ["image has shape ()", "1 to 3", "axes of space"]),
    "an image of four axes": ({"image": x(2, 2, 2, 2)}, ValueError, ["image has shape (2, 2, 2, 2)", "1 to 3"]),
    "an image of channels alone": ({"image": x(5), "channel_axis": 0}, ValueError, ["0 axes of space", "1 to 3"]),
    "a channel axis that the image lacks": ({"channel_axis": 2}, ValueError, ["channel_axis is 2", "2 axes"]),
    "a channel axis that is no integer": ({"channel_axis": 1.0}, TypeError, ["channel_axis is 1.0", "integer"]),
    "negative steps": ({"steps": -1}, ValueError, ["steps is -1", ">= 0"]),
    "steps that are no integer": ({"steps": 1.5}, TypeError, ["steps is 1.5", "integer"]),
    "edge of zero": ({"edge": 0.0}, ValueError, ["edge is 0.0", "> 0"]),
    "edge that is NaN": ({"edge": np.nan}, ValueError, ["edge is nan", "> 0"]),
    "conductance that there is not": ({"conductance": "linear"}, ValueError, ["conductance is 'linear'", '"exponential"']),
    "a step beyond stability": ({"dt": 0.26}, ValueError, ["dt is 0.26", "0.25", "2 space axes"]),
    "a step of zero": ({"dt": 0.0}, ValueError, ["dt is 0.0", "> 0"]),
    "out of another shape": ({"out": x(7, 5)}, ValueError, ["out has shape (7, 5)", "(5, 7)"]),
    "out that overlaps itself": ({"out": sliding()}, ValueError, ["out has elements that share memory", "np.empty"]),
}  # fmt: skip


@pytest.mark.parametrize("mistake", IMAGE)
def test_diffuse_image_explains(engine, mistake):
    arguments, kind, words = IMAGE[mistake]
    given = {"image": FIELD, "steps": 3, "edge": 0.5, **arguments}
    explains(lambda: numfuse.diffuse_image(**given), kind, words)
