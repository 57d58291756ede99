"""Whether the machine is ours alone."""

import pytest

from numfuse._bench import machine

# user nice system idle iowait irq softirq steal guest guest_nice
BEFORE = "cpu  100 0 50 1000 10 0 0 0 0 0\ncpu0 1 2 3\n"


def test_ticks_are_busy_and_all(tmp_path):
    (tmp_path / "stat").write_text(BEFORE)
    assert machine._ticks(tmp_path / "stat") == (150, 1160)
    assert machine._ticks(tmp_path / "absent") is None


@pytest.mark.parametrize(("busy", "said"), [(5, None), (60, "Other programs use 60% of this")])
def test_busy_machine_is_said(monkeypatch, busy, said):
    looks = iter([(150, 1160), (150 + busy, 1260)])
    monkeypatch.setattr(machine, "_ticks", lambda: next(looks))
    monkeypatch.setattr(machine, "_WATCH", 0)
    answer = machine.disturbance()
    assert answer is None if said is None else answer.startswith(said)


def test_system_that_does_not_tell_is_not_accused(monkeypatch):
    monkeypatch.setattr(machine, "_ticks", lambda: None)
    monkeypatch.setattr(machine, "_WATCH", 0)
    assert machine.disturbance() is None


def test_description_names_no_host():
    import socket

    description = machine.describe()
    assert description["cpu"]
    assert socket.gethostname() not in description.values()
