"""Small data sets that tests of heads share."""

import numpy as np

NAMES = np.array(["cat", "cow", "dog"])


def labelled(n=200, width=6, classes=3, dtype=np.float64, seed=0):
    """Features, and labels that a linear head finds to about nine in ten; `seed` draws the rows."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, width)).astype(dtype)
    truth = np.random.default_rng(99).standard_normal((width, classes))
    z = x @ truth + 0.5 * rng.standard_normal((n, classes))
    return x, z.argmax(axis=1)


def numbered(n=200, width=6, outputs=2, dtype=np.float64, seed=0):
    """Features, and numbers that depend on them but for noise."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, width)).astype(dtype)
    y = x @ rng.standard_normal((width, outputs)) + rng.standard_normal((n, outputs)) + 1
    return x, y


def same(a, b):
    """Whether two fitted heads are the same to the bit, histories included."""
    np.testing.assert_array_equal(a.weight_, b.weight_, strict=True)
    np.testing.assert_array_equal(a.bias_, b.bias_, strict=True)
    assert a.n_iter_ == b.n_iter_
    assert a.best_epoch_ == b.best_epoch_
    assert a.history_.keys() == b.history_.keys()
    for name, values in a.history_.items():
        np.testing.assert_array_equal(values, b.history_[name], err_msg=name)
