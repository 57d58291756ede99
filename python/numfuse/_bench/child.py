"""The child's end of a conversation: one JSON object a line in, one out.

A child serves one contestant, or the judge, for the whole run. Its standard output carries the
conversation alone: whatever a library prints goes to standard error. It ignores Ctrl-C, since the
parent decides when it ends, and it ends when its input does.
"""

import gc
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

Handler = Callable[..., dict[str, Any]]

# A process is at rest when this long passes without it using the CPU. Clocks of processor time
# tick as coarsely as every 4 ms (Linux) to 16 ms (Windows).
REST_WINDOW = 0.02
REST_LIMIT = 1.0


class RefusalError(Exception):
    """A contestant cannot express a case; the message says what it lacks."""


def main(module: str, threads: int) -> None:
    """Serve one module, an engine of `peers` or the judge, until the input ends."""
    conversation = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    from . import contestant

    served = importlib.import_module(module)
    if hasattr(served, "handlers"):
        handlers: Mapping[str, Handler] = served.handlers()
    else:
        handlers = contestant.handlers(served, threads)
    serve(handlers, sys.stdin, conversation)


def serve(handlers: Mapping[str, Handler], requests: TextIO, replies: TextIO) -> None:
    """Answer each line of `requests` by the handler that its ``do`` names."""
    for line in requests:
        request = json.loads(line)
        try:
            reply = handlers[request.pop("do")](**request)
        except RefusalError as refusal:
            reply = {"refused": str(refusal)}
        except Exception as error:  # the parent prints it beside the case; the others go on
            reply = {"failed": f"{type(error).__name__}: {error}".strip()}
        gc.collect()
        reply["rested"] = rest()
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def rest() -> bool:
    """Wait until this process leaves the CPU alone, so that the next one has all of it.

    Workers of OpenMP and BLAS spin for a while after each parallel region. False if they still do
    after `REST_LIMIT` seconds.
    """
    give_up = time.monotonic() + REST_LIMIT
    while time.monotonic() < give_up:
        before = time.process_time()
        time.sleep(REST_WINDOW)
        if time.process_time() - before < 0.1 * REST_WINDOW:
            return True
    return False
