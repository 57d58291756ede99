"""The parent's end of a child process: starts it, asks it, ends it.

A child sees exactly what its parent sees of Python: the same interpreter and the same `sys.path`.
It is told how many threads to use by every variable that a numeric library is known to read.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from typing import Any

# Seconds after which a silent child counts as hung.
PATIENCE = 900.0
THREAD_VARIABLES = (
    "NUMFUSE_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "BLIS_NUM_THREADS",
    "RAYON_NUM_THREADS",  # Hugging Face's tokenizers
)
_START = """
import signal, sys, json
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.path[:] = json.loads(sys.argv[1])
from numfuse._bench import child
child.main(sys.argv[2], int(sys.argv[3]))
"""


class ChildError(Exception):
    """A child could not do what it was asked; the message says why."""


class ChildRefusalError(ChildError):
    """A child is well but cannot express the case."""


class Child:
    """One child process that serves `module` for as long as it is wanted.

    Parameters
    ----------
    module : str
        Full name of the engine's or the judge's module.
    threads : int
    environment : mapping of str to str
        Variables that differ from the parent's.
    """

    def __init__(self, module: str, threads: int, environment: Mapping[str, str]) -> None:
        self.module = module
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by end()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, json.dumps(sys.path), module, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            encoding="utf-8",
            env=os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads)) | dict(environment),
        )

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """Send a request and wait for its reply.

        Raises
        ------
        ChildRefusalError
            If the child says that it cannot express this.
        ChildError
            If it raised, died, or did not answer.
        """
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        watch = threading.Timer(PATIENCE, process.kill)
        watch.daemon = True
        watch.start()
        try:
            process.stdin.write(json.dumps({"do": do} | request) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = ""
        finally:
            watch.cancel()
        if not line:
            raise ChildError(self._last_words())
        reply: dict[str, Any] = json.loads(line)
        if "refused" in reply:
            raise ChildRefusalError(reply["refused"])
        if "failed" in reply:
            raise ChildError(reply["failed"])
        return reply

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def end(self) -> None:
        """Kill it at once and wait until it is gone."""
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):  # a request that was never read
                    stream.close()
        self._process.wait()
        self._log.close()

    def _last_words(self) -> str:
        """How it ended, and the last line that it printed."""
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._log.seek(0)
        printed = self._log.read().decode(errors="replace").strip().splitlines()
        ending = f"its process ended with code {code}"
        return f"{ending}: {printed[-1].strip()}" if printed else ending
