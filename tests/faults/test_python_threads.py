"""Several Python threads calling at once get the bits that each would get alone."""

import threading

import numpy as np
import pytest

import numfuse


def inputs(seed):
    rng = np.random.default_rng(seed)
    queries = int(rng.integers(1, 200))
    query = rng.standard_normal((2, 4, queries, 64)).astype(np.float32)
    key, value = rng.standard_normal((2, 2, 2, 150, 64)).astype(np.float32)
    return query, key, value


def calls(seed):
    """One call of each function, on arrays that belong to this seed."""
    query, key, value = inputs(seed)
    options = {"causal": bool(seed % 2), "softcap": 20.0 if seed % 3 == 0 else None}
    out, lse = numfuse.attention(query, key, value, **options, return_lse=True)
    return [
        out,
        lse,
        numfuse.attention(query, key, value),
        numfuse.attention_weights(query, key, **options),
        *numfuse.merge_attention([out, out], [lse, lse]),
        numfuse.rotary(query, np.arange(query.shape[-2])),
        numfuse.layers.gelu(query),
        numfuse.layers.layer_norm(query),
    ]


@pytest.mark.parametrize("workers", [2, 8])
@pytest.mark.parametrize("threads", [1, 2, 7])
def test_threads_calling_at_once_get_their_own_results(workers, threads):
    before = numfuse.get_config()
    numfuse.set_config(threads=threads)
    try:
        expected = [calls(seed) for seed in range(workers)]
        barrier, wrong = threading.Barrier(workers), []

        def work(seed):
            try:
                for _ in range(15):
                    barrier.wait(60)
                    for a, b in zip(calls(seed), expected[seed], strict=True):
                        assert a.tobytes() == b.tobytes()
            except BaseException as error:
                barrier.abort()
                wrong.append(error)

        pool = [threading.Thread(target=work, args=(seed,)) for seed in range(workers)]
        for thread in pool:
            thread.start()
        for thread in pool:
            thread.join()
    finally:
        numfuse.set_config(**before)
    assert not wrong, wrong[0]


def test_a_panic_in_one_thread_does_not_disturb_the_others():
    """The pool is shared: what one call does to it must not reach another."""
    from numfuse import _numfuse

    query, key, value = inputs(5)
    expected = numfuse.attention(query, key, value)
    stop, wrong = threading.Event(), []

    def work():
        while not stop.is_set():
            if numfuse.attention(query, key, value).tobytes() != expected.tobytes():
                wrong.append("another result")

    worker = threading.Thread(target=work)
    worker.start()
    for tile in range(50):
        with pytest.raises(numfuse.InternalError):
            _numfuse.panic_in_tile(tile % 8, 8, 2)
    stop.set()
    worker.join()
    assert not wrong
