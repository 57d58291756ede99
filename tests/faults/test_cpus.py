"""How many CPUs a process may use: affinity, and quotas of control groups, of which a fake tree is read."""

import os

import pytest

from numfuse import _cpus


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """A function that makes the tree of control groups from {path: text} and the process's groups."""
    monkeypatch.setattr(_cpus, "_CONTROL_GROUPS", str(tmp_path / "groups"))
    monkeypatch.setattr(_cpus, "_MEMBERSHIP", str(tmp_path / "membership"))
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(6)), raising=False)

    def make(membership, files):
        (tmp_path / "membership").write_text(membership)
        for path, text in files.items():
            file = tmp_path / "groups" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    return make


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("", {}, 6),
        ("0::/a/b\n", {"a/cpu.max": "150000 100000\n", "a/b/cpu.max": "max 100000\n"}, 2),
        ("0::/a/b\n", {"a/cpu.max": "400000 100000\n", "a/b/cpu.max": "100000 100000\n"}, 1),
        ("0::/a\n", {"a/cpu.max": "5000 100000\n"}, 1),
        ("0::/a\n", {"a/cpu.max": "9900000 100000\n"}, 6),
        ("0::/the/host's/path\n", {"cpu.max": "300000 100000\n"}, 3),
        ("0::/../..\n", {"cpu.max": "300000 100000\n"}, 3),
        (
            "2:cpuacct,cpu:/x\n1:memory:/y\n",
            {"cpu/x/cpu.cfs_quota_us": "450000\n", "cpu/x/cpu.cfs_period_us": "100000\n"},
            5,
        ),
        (
            "2:cpu:/x\n",
            {"cpu/x/cpu.cfs_quota_us": "-1\n", "cpu/x/cpu.cfs_period_us": "100000\n"},
            6,
        ),
        ("1:memory:/y\n", {"memory/y/cpu.max": "100000 100000\n"}, 6),
        ("nonsense", {}, 6),
        ("0::/a\n", {"a/cpu.max": "one two three\n"}, 6),
    ],
)
def test_quota_limits_what_affinity_allows(groups, membership, files, expected):
    groups(membership, files)
    assert _cpus.usable() == expected


def test_where_affinity_is_unknown_all_cpus_count(groups, monkeypatch):
    groups("", {})
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    assert _cpus.usable() == 12
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert _cpus.usable() == 1
