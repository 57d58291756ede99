"""Exceptions that NumPy and Python have no name for."""


class InternalError(RuntimeError):
    """A kernel failed in a way that no input should be able to cause.

    Raised when a panic inside the compiled kernels is caught at the boundary to Python. The
    interpreter and the thread pool go on working; the output of the failed call is undefined.
    None is known: please report one with the call that caused it.
    """

    __module__ = "numfuse"
