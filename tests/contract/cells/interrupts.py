"""Contract "GIL, Ctrl-C": other Python threads run during a kernel, and Ctrl-C stops one."""

import os
import signal
import sys
import threading
import time

import numpy as np
import pytest

import numfuse


def other_python_threads_run_during_a_kernel(name, example):
    """Without a release, the counter could not move: a switch is never forced within this test."""
    arguments = example.large()
    counter, done, moved = [0], threading.Event(), []

    def work():
        try:
            with numfuse.config_context(threads=1):
                before = counter[0]
                example.call(**arguments)
                moved.append(counter[0] - before)
        finally:
            done.set()

    interval = sys.getswitchinterval()
    worker = threading.Thread(target=work)
    try:
        sys.setswitchinterval(1000)
        worker.start()
        while not done.is_set():
            counter[0] += 1
            time.sleep(1e-4)  # the worker takes the GIL meanwhile and keeps it until it lets go
    finally:
        sys.setswitchinterval(interval)
        worker.join()
    assert moved
    assert moved[0] > 0


class Stopped(Exception):
    """What the handler of this test raises, as Python's own raises KeyboardInterrupt."""


def stop(*_):
    raise Stopped


def seconds(call):
    """How long a call ran until it was done or stopped."""
    start = time.perf_counter()
    try:
        call()
    except Stopped:
        pass
    return time.perf_counter() - start


def once(a):
    """An array without its repetitions."""
    return a[tuple(slice(1) if step == 0 else slice(None) for step in a.strides)]


# Signals are looked for every 100 ms or sooner; twice that for a thread that has to be scheduled, and
# on a machine where a whole call takes far longer than on a quiet one, half of it.
SOON = 0.2


def ctrl_c_stops_a_kernel_and_leaves_its_inputs_alone(name, example):
    """A signal in the first tenth of a call ends it soon, at one thread and at two.

    Where memory is the limit a call may be over before that. Against a machine that is busy with
    other things, one of five attempts is enough.
    """
    arguments = example.large()
    # of what is repeated by a stride of zero, what is stored
    arrays = {k: once(v) for k, v in arguments.items() if isinstance(v, np.ndarray)}
    before = {k: v.copy() for k, v in arrays.items()}
    usual = example.result()
    previous = signal.signal(signal.SIGINT, stop)
    try:
        for threads in (1, 2):
            with numfuse.config_context(threads=threads):
                whole = seconds(lambda: example.call(**arguments))
                for _ in range(5):
                    timer = threading.Timer(whole / 10, os.kill, (os.getpid(), signal.SIGINT))
                    timer.start()
                    took = seconds(lambda: example.call(**arguments)) - whole / 10
                    timer.join()
                    if took < max(SOON, whole / 2):
                        break
                else:
                    pytest.fail(f"stopped {took:.2f} s after the signal, of {whole:.2f} s in all")
    finally:
        signal.signal(signal.SIGINT, previous)
    for argument, a in arrays.items():
        np.testing.assert_array_equal(a, before[argument])
    for x, y in zip(usual, example.result(), strict=True):
        np.testing.assert_array_equal(x, y, strict=True)


ALL = [other_python_threads_run_during_a_kernel, ctrl_c_stops_a_kernel_and_leaves_its_inputs_alone]
