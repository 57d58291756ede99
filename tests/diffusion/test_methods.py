"""Every method is right within the bound of `problems.py`: any shape, dtype and mix of options."""

import numpy as np
from hypothesis import given, settings

from .problems import assert_right, cases


@settings(max_examples=100)
@given(case=cases())
def test_any_mix_of_options_is_right(engine, case):
    with np.errstate(all="raise", under="ignore"):  # nothing finite may warn
        out = case.diffused()
    assert_right(case, out)
