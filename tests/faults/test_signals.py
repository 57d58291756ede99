"""Ctrl-C in the middle of a kernel: KeyboardInterrupt soon, inputs untouched, the next call right."""

import pytest

from .script import run

SETUP = """
import os, signal, threading, time
import numfuse

threads = int(sys.argv[1])
numfuse.set_config(threads=threads)
rng = np.random.default_rng(0)
query, key, value = (rng.standard_normal((1, 8, 12_000, 64)).astype(np.float32) for _ in range(3))
small = query[..., :300, :]
expected = numfuse.attention(small, small, small)
before = [a.copy() for a in (query, key, value)]

def interrupt_after(seconds):
    sent = []

    def send():
        time.sleep(seconds)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=send, daemon=True).start()
    return sent
"""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("call", [
    "numfuse.attention(query, key, value, out=out)",
    "numfuse.attention(query, key, value, causal=True, softcap=9.0, out=out)",
    "numfuse.attention(query, key, value, bias=np.zeros((1, 12_000), np.float32), out=out)",
])  # fmt: skip
def test_ctrl_c_in_the_middle_of_a_kernel(threads, call):
    """Signals are looked for every 100 ms or sooner; 300 ms leave room for a thread to be scheduled.

    Of three attempts one has to make it, since the machine may be busy with other things. That `out`
    was not filled shows that the kernel stopped, and not that it was done before the signal.
    """
    run(
        SETUP
        + f"""
waits = []
for _ in range(3):
    out = np.full(query.shape, np.nan, np.float32)
    sent = interrupt_after(0.15)
    try:
        {call}
    except KeyboardInterrupt:
        waits.append(time.perf_counter() - sent[0])
    else:
        raise AssertionError("no KeyboardInterrupt")
    assert np.isnan(out).any(), "the kernel ran to its end"
    for a, b in zip((query, key, value), before):
        assert a.tobytes() == b.tobytes()
    assert numfuse.attention(small, small, small).tobytes() == expected.tobytes()
    if waits[-1] < 0.3:
        break
else:
    raise AssertionError(f"KeyboardInterrupt came after {{waits}} seconds")
""",
        threads,
    )


@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_without_options_and_without_out(threads):
    run(
        SETUP
        + """
for _ in range(3):
    sent = interrupt_after(0.15)
    try:
        numfuse.attention(query, key, value)
    except KeyboardInterrupt:
        if time.perf_counter() - sent[0] < 0.3:
            break
    else:
        raise AssertionError("no KeyboardInterrupt")
else:
    raise AssertionError("too late three times")
assert numfuse.attention(small, small, small).tobytes() == expected.tobytes()
""",
        threads,
    )


def test_one_tile_that_takes_long_can_be_stopped():
    """One query over many keys at one thread: there is no next tile at which to look for signals."""
    run(
        SETUP
        + """
query = rng.standard_normal((1, 1, 1, 4)).astype(np.float32)
key = np.broadcast_to(rng.standard_normal((1, 1, 1, 4)).astype(np.float32), (1, 1, 2**31, 4))
for _ in range(3):
    sent = interrupt_after(0.15)
    try:
        numfuse.attention(query, key, key)
    except KeyboardInterrupt:
        if time.perf_counter() - sent[0] < 0.3:
            break
    else:
        raise AssertionError("no KeyboardInterrupt")
else:
    raise AssertionError("too late three times")
""",
        1,
    )


def test_ctrl_c_reaches_the_main_thread_and_not_a_kernel_of_another():
    run(
        SETUP
        + """
part = query[..., :4000, :]
whole = numfuse.attention(part, part, part)
results, done = [], threading.Event()

def work():
    try:
        results.append(numfuse.attention(part, part, part))
    finally:
        done.set()

threading.Thread(target=work).start()
interrupt_after(0.01)
try:
    time.sleep(30)
except KeyboardInterrupt:
    done.wait(60)
else:
    raise AssertionError("no KeyboardInterrupt")
assert results[0].tobytes() == whole.tobytes()
""",
        2,
    )


def test_a_signal_whose_handler_returns_does_not_disturb_the_kernel():
    run(
        SETUP
        + """
part = query[..., :4000, :]
whole = numfuse.attention(part, part, part)
calls = []
signal.signal(signal.SIGALRM, lambda *_: calls.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
again = numfuse.attention(part, part, part)
signal.setitimer(signal.ITIMER_REAL, 0)
assert calls
assert again.tobytes() == whole.tobytes()
""",
        2,
    )


def test_an_error_of_a_signal_handler_is_raised_as_it_is():
    run(
        SETUP
        + """
class Mine(Exception):
    pass

def handler(*_):
    raise Mine("from the handler")

signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.1)
try:
    numfuse.attention(query, key, value)
except Mine as error:
    assert str(error) == "from the handler"
else:
    raise AssertionError("the handler's error was lost")
assert numfuse.attention(small, small, small).tobytes() == expected.tobytes()
""",
        2,
    )
