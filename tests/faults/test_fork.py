"""A forked child computes right and does not hang, though the pool's threads stayed in the parent."""

import os
import sys

import pytest

from .script import run

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

SETUP = """
import os, time
import numfuse

rng = np.random.default_rng(0)
x = rng.standard_normal((2, 8, 300, 64)).astype(np.float32)
numfuse.set_config(threads=int(sys.argv[1]))
expected = numfuse.attention(x, x, x, causal=True)  # the pool is warm from here on

def right():
    return numfuse.attention(x, x, x, causal=True).tobytes() == expected.tobytes()

def wait(child, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return "hangs"
"""


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_child_of_a_fork_computes_right(threads):
    run(
        SETUP
        + """
for _ in range(5):
    child = os.fork()
    if child == 0:
        os._exit(0 if right() and right() else 1)
    assert wait(child) == 0
    assert right()
""",
        threads,
    )


def test_child_of_a_child_computes_right():
    run(
        SETUP
        + """
child = os.fork()
if child == 0:
    fine = right()
    grandchild = os.fork()
    if grandchild == 0:
        os._exit(0 if right() else 1)
    os._exit(0 if fine and wait(grandchild) == 0 else 1)
assert wait(child, 60) == 0
""",
        2,
    )


def test_fork_while_another_thread_is_in_a_kernel():
    """The pool is busy, and its locks may be held, at the moment of the fork."""
    run(
        SETUP
        + """
import threading

stop = threading.Event()

def work():
    while not stop.is_set():
        assert right()

workers = [threading.Thread(target=work) for _ in range(2)]
for worker in workers:
    worker.start()
for _ in range(20):
    time.sleep(0.003)
    child = os.fork()
    if child == 0:
        os._exit(0 if right() else 1)
    assert wait(child) == 0
stop.set()
for worker in workers:
    worker.join()
assert right()
""",
        2,
    )


def test_multiprocessing_by_fork_computes_right():
    run(
        SETUP
        + """
import multiprocessing

def job(_):
    return right()

with multiprocessing.get_context("fork").Pool(3) as pool:
    assert all(pool.map_async(job, range(12)).get(timeout=60))
assert right()
""",
        2,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads by /proc")
def test_child_has_a_pool_of_its_own():
    """A child that stayed serial would be right, but half as fast for ever."""
    run(
        SETUP
        + """
child = os.fork()
if child == 0:
    before = len(os.listdir("/proc/self/task"))
    fine = right() and len(os.listdir("/proc/self/task")) > before
    os._exit(0 if fine else 1)
assert wait(child) == 0
""",
        2,
    )
