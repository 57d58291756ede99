"""What the machine is, and whether it is ours alone."""

import os
import platform
import time
from pathlib import Path

_WATCH = 0.5  # seconds
_MOST = 0.1  # of the machine's CPUs


def describe() -> dict[str, str]:
    """Return the machine's names, without its own."""
    return {
        "cpu": _cpu_name(),
        "cpus": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
    }


def disturbance() -> str | None:
    """Say if other programs use the CPU, where the system tells (Linux); takes half a second.

    To be asked while the bench's own processes rest.
    """
    before = _ticks()
    time.sleep(_WATCH)
    after = _ticks()
    if before is None or after is None or after[1] == before[1]:
        return None
    busy = (after[0] - before[0]) / (after[1] - before[1])
    if busy <= _MOST:
        return None
    return f"Other programs use {busy:.0%} of this machine's CPUs: do not rely on these figures"


def _ticks(path: Path = Path("/proc/stat")) -> tuple[int, int] | None:
    """Clock ticks that all CPUs spent busy, and in all, since the machine started."""
    try:
        words = path.read_text().splitlines()[0].split()
    except (OSError, IndexError):
        return None
    user, nice, system, idle, waiting, interrupts, soft, stolen = map(int, words[1:9])
    busy = user + nice + system + interrupts + soft + stolen
    return busy, busy + idle + waiting


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
