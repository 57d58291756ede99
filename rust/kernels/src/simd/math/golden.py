"""Writes golden.rs: `python golden.py > golden.rs`. Needs mpmath."""

import random
import sys

import mpmath

mpmath.mp.dps = 80
random.seed(20240229)
MAX = sys.float_info.max
POINTS = 160


def _log_uniform(low, high):
    return 2.0 ** random.uniform(low, high)


def _signed(value):
    return value if random.random() < 0.5 else -value


def _points(special, sample):
    return [*special, *(sample() for _ in range(POINTS - len(special)))]


TABLES = {
    "exp2": (lambda x: mpmath.mpf(2) ** x, _points(
        [0.5, -0.5, 1.0, 1022.75, -1021.5], lambda: _signed(_log_uniform(-60, 9.99)))),
    "log": (mpmath.log, _points(
        [5e-324, 2.0**-1022, 0.5**0.5, 2.0**0.5, 1.0 - 2.0**-53, 1.0 + 2.0**-52, MAX],
        lambda: _log_uniform(-1074, 1024) if random.random() < 0.3 else _log_uniform(-2, 2))),
    "tanh": (mpmath.tanh, _points(
        [2.0**-1022, 0.25, 19.0, 22.0], lambda: _signed(_log_uniform(-20, 4.3)))),
    "erf": (mpmath.erf, _points(
        [2.0**-1020, 0.65, 0.65 - 2.0**-53, 5.9, 7.0], lambda: _signed(_log_uniform(-10, 2.6)))),
    "erfc": (mpmath.erfc, _points([0.0, 2.0**-1022, 26.5], lambda: _log_uniform(-6, 4.72))),
}  # fmt: skip

print("//! True values in 107 bits, by mpmath: (x, rounded value, the rest). Written by golden.py.")
print("#![allow(clippy::excessive_precision, clippy::approx_constant)]")
for name, (function, arguments) in TABLES.items():
    print("\n#[rustfmt::skip]")
    print(f"pub(super) const {name.upper()}: &[(f64, f64, f64)] = &[")
    for x in arguments:
        value = function(mpmath.mpf(x))
        high = float(value)
        print(f"    ({x!r}, {high!r}, {float(value - high)!r}),")
    print("];")
