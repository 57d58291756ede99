"""Runs a piece of Python in a process of its own, so that a crash or a hang is a readable failure."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

TESTS = Path(__file__).parents[1]
START = f"""
import faulthandler, sys
faulthandler.enable()
sys.path.insert(0, {str(TESTS)!r})
import numpy as np
"""


def run(code, *arguments, seconds=120, check=True, start=START, **environment):
    """Run `code`; fail with all that it said unless it ends well within `seconds`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NUMFUSE_", "OMP_"))}
    done = subprocess.run(
        [sys.executable, "-c", start + textwrap.dedent(code), *map(str, arguments)],
        env={**kept, **environment}, capture_output=True, text=True, check=False, timeout=seconds,
    )  # fmt: skip
    if check and done.returncode:
        how = f"exit code {done.returncode}"
        if done.returncode < 0:
            how = f"killed by {signal.Signals(-done.returncode).name}"
        raise AssertionError(f"{how}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return done
