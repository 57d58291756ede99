"""Exceptions that NumPy and Python have no name for."""


class InternalError(RuntimeError):
    """A kernel failed in a way that no input should be able to cause.

    Raised when a panic inside the compiled kernels is caught at the boundary to Python. The
    interpreter and the thread pool go on working; the output of the failed call is undefined.
    None is known: please report one with the call that caused it.
    """

    __module__ = "numfuse"


class ConvergenceWarning(UserWarning):
    """A solver stopped before it was at the optimum, or a loss stopped being finite.

    The fitted weights are those that it came to.
    """

    __module__ = "numfuse"


class NotFittedError(ValueError, AttributeError):
    """A head was asked for what it has after `fit`, before it.

    It is both a `ValueError` and an `AttributeError`, as scikit-learn's is.
    """

    __module__ = "numfuse"
