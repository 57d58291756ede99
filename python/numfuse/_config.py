"""Settings: how many threads, and which backend.

Each setting has a value for the whole process, which `set_config` changes, and may have one for
the current context (`contextvars`: this thread, this asynchronous task), which `config_context`
sets and which wins. Reading one is a context variable's lookup: every call of numfuse does it.
"""

import operator
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal, get_args

from . import _cpus, _native, _threadpool
from ._version import __version__

__all__ = ["backend", "config_context", "get_config", "set_config", "show_versions", "threads"]

Backend = Literal["rust", "numpy"]

BACKENDS: tuple[Backend, ...] = get_args(Backend)
MOST_THREADS = 1024


def set_config(*, threads: int | None = None, backend: Backend | None = None) -> None:
    """Change settings for the whole process.

    What an enclosing `config_context` has set stays in force until that context ends.

    Parameters
    ----------
    threads : int, optional
        Largest number of threads that one call works with, 1 to 1024. At the start of the process
        it is ``NUMFUSE_NUM_THREADS``, else ``OMP_NUM_THREADS``, else the number of CPUs that the
        process may use (its affinity and the quota of its control group). Results do not depend
        on it, bit for bit.
    backend : {"rust", "numpy"}, optional
        Who computes: the compiled kernels or the plain NumPy reference. At the start of the
        process it is ``NUMFUSE_BACKEND``, else "rust". Left out, a setting stays as it is.

    Raises
    ------
    ValueError
        If a value is not one of the above.
    ImportError
        If `backend` is "rust" and the compiled kernels cannot be loaded.

    See Also
    --------
    config_context : Change settings for the length of a block.

    Examples
    --------
    >>> import numfuse
    >>> before = numfuse.get_config()
    >>> numfuse.set_config(threads=1)
    >>> numfuse.get_config()["threads"]
    1
    >>> numfuse.set_config(**before)
    """
    global _process_threads, _process_backend
    new_threads = _process_threads if threads is None else _checked_threads(threads)
    new_backend = _process_backend if backend is None else _checked_backend(backend)
    _process_threads, _process_backend = new_threads, new_backend
    _register()


@contextmanager
def config_context(*, threads: int | None = None, backend: Backend | None = None) -> Iterator[None]:
    """Change settings for the length of a ``with`` block.

    Other threads and asynchronous tasks keep their own. The returned object also decorates
    functions.

    Parameters
    ----------
    threads, backend : optional
        As in `set_config`. Left out, a setting stays as it is outside of the block.

    Raises
    ------
    ValueError
        If a value is not allowed.
    ImportError
        If `backend` is "rust" and the compiled kernels cannot be loaded.

    Examples
    --------
    >>> import numfuse
    >>> with numfuse.config_context(threads=2, backend="numpy"):
    ...     numfuse.get_config()
    {'threads': 2, 'backend': 'numpy'}
    """
    new_threads = _context_threads.get() if threads is None else _checked_threads(threads)
    new_backend = _context_backend.get() if backend is None else _checked_backend(backend)
    threads_token = _context_threads.set(new_threads)
    backend_token = _context_backend.set(new_backend)
    try:
        yield
    finally:
        _context_threads.reset(threads_token)
        _context_backend.reset(backend_token)


def get_config() -> dict[str, Any]:
    """Return the settings in force here.

    Returns
    -------
    dict
        ``threads`` (int) and ``backend`` ("rust" or "numpy"); fit for ``set_config(**config)``.

    Examples
    --------
    >>> import numfuse
    >>> sorted(numfuse.get_config())
    ['backend', 'threads']
    """
    return {"threads": threads(), "backend": backend()}


def show_versions() -> None:
    """Print the versions, the instruction set, the threads and the backend, for a bug report.

    Examples
    --------
    >>> import numfuse
    >>> numfuse.show_versions()  # doctest: +ELLIPSIS
    numfuse ...
    """
    import platform
    from importlib.metadata import PackageNotFoundError, version

    _register()
    lines = {"numfuse": __version__, "python": sys.version.replace("\n", " ")}
    for package in ("numpy", "safetensors", "tokenizers", "threadpoolctl", "torch"):
        try:
            lines[package] = version(package)
        except PackageNotFoundError:
            lines[package] = "not installed"
    lines["platform"] = platform.platform()
    lines["backend"] = backend()
    lines["threads"] = f"{threads()} (this process may use {_cpus.usable()} CPUs)"
    if _native.loaded():
        kernels = _native.kernels
        lines["level"] = f"{kernels.isa()} (this machine has {', '.join(kernels.isas())})"
    else:
        lines["level"] = "none, the compiled kernels are not loaded"
    width = max(map(len, lines))
    print("\n".join(f"{name:<{width}}  {value}" for name, value in lines.items()))


def threads() -> int:
    """Return how many threads a call made here may work with."""
    value = _context_threads.get()
    return _process_threads if value is None else value


def backend() -> Backend:
    """Return who computes a call made here."""
    value = _context_backend.get()
    return _process_backend if value is None else value


def _limit_threads(limit: int) -> None:
    """Set the number of threads where it has an effect here: threadpoolctl sets and restores it."""
    global _process_threads
    limit = min(max(int(limit), 1), MOST_THREADS)
    if _context_threads.get() is None:
        _process_threads = limit
    else:
        _context_threads.set(limit)


def _register() -> None:
    _threadpool.register(__version__, threads, _limit_threads)


def _checked_threads(value: object) -> int:
    try:
        count = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        count = 0
    if isinstance(value, bool) or not 1 <= count <= MOST_THREADS:
        raise ValueError(
            f"threads is {value!r}, but has to be an integer from 1 to {MOST_THREADS}; "
            "None leaves it unchanged."
        )
    return count


def _checked_backend(value: object) -> Backend:
    for known in BACKENDS:
        if isinstance(value, str) and value == known:
            if known == "rust":
                _native.load()
            return known
    raise ValueError(
        f"backend is {value!r}, but has to be one of {', '.join(map(repr, BACKENDS))}; "
        "None leaves it unchanged."
    )


def _initial_threads(environment: Mapping[str, str]) -> int:
    """Threads from the environment, else the usable CPUs."""
    for variable in ("NUMFUSE_NUM_THREADS", "OMP_NUM_THREADS"):
        text = environment.get(variable, "").strip()
        if not text:
            continue
        # OpenMP allows a list, one number for each level of nesting: the outermost is ours.
        number = text.split(",")[0].strip() if variable.startswith("OMP") else text
        # Python refuses to convert thousands of digits, with a message that names no variable.
        short = len(number.lstrip("0")) <= len(str(MOST_THREADS))
        digits = number.isascii() and number.isdigit()
        if not (digits and short and 1 <= int(number.lstrip("0") or "0") <= MOST_THREADS):
            raise ValueError(
                f"The environment variable {variable} is {text!r}, but has to be an integer from "
                f"1 to {MOST_THREADS}; unset it to use the CPUs that the process may use."
            )
        return int(number.lstrip("0"))
    return min(_cpus.usable(), MOST_THREADS)


def _initial_backend(environment: Mapping[str, str]) -> Backend:
    """Backend from the environment, else the compiled kernels, which have to load."""
    text = environment.get("NUMFUSE_BACKEND", "").strip() or "rust"
    if text not in BACKENDS:
        raise ValueError(
            f"The environment variable NUMFUSE_BACKEND is {text!r}, but has to be one of "
            f"{', '.join(map(repr, BACKENDS))}; unset it for 'rust'."
        )
    return _checked_backend(text)


_context_threads: ContextVar[int | None] = ContextVar("numfuse_threads", default=None)
_context_backend: ContextVar[Backend | None] = ContextVar("numfuse_backend", default=None)
_process_threads: int = _initial_threads(os.environ)
_process_backend: Backend = _initial_backend(os.environ)

if "threadpoolctl" in sys.modules:
    _register()
