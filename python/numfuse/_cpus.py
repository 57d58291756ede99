"""How many CPUs this process may use: affinity and the quota of its control group."""

import math
import os

# Plain strings: importing pathlib would take longer than the rest of this package.
_CONTROL_GROUPS = "/sys/fs/cgroup"
_MEMBERSHIP = "/proc/self/cgroup"


def usable() -> int:
    """CPUs that the process may use at once, at least 1.

    The smallest of the affinity mask's size and the quotas of the process's control group and of
    every group above it; a quota of 1.5 CPUs counts as 2.
    """
    try:
        count = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        count = os.cpu_count() or 1
    for quota in _quotas():
        count = min(count, math.ceil(quota))
    return max(count, 1)


def _quotas() -> list[float]:
    """CPU quotas, in CPUs, that version 1 and 2 control groups put on this process."""
    quotas = []
    for line in _read(_MEMBERSHIP).splitlines():
        _, controllers, group = [*line.split(":", 2), "", ""][:3]
        if controllers == "":
            root = _CONTROL_GROUPS
        elif "cpu" in controllers.split(","):
            # The folder of several controllers has their joint name, and a link for each.
            root = f"{_CONTROL_GROUPS}/cpu"
        else:
            continue
        # Inside a container the path may be that of the host, which is not there: the root is.
        parts = [part for part in group.split("/") if part not in ("", "..")]
        for depth in range(len(parts), -1, -1):
            folder = "/".join([root, *parts[:depth]])
            words = _read(f"{folder}/cpu.max").split() or [
                *_read(f"{folder}/cpu.cfs_quota_us").split(),
                *_read(f"{folder}/cpu.cfs_period_us").split(),
            ]
            quotas += _quota(words)
    return quotas


def _quota(words: list[str]) -> list[float]:
    """[quota / period] from the two words of the kernel's files, or nothing where unlimited."""
    try:
        quota, period = (int(word) for word in words)
    except ValueError:
        return []
    return [quota / period] if quota > 0 and period > 0 else []


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return ""
