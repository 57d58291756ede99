"""Memory that runs out leaves things as they were; and attention needs little of it."""

import sys

import pytest

from .script import run

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="limits and measures memory as Linux does"
)

LIMIT = """
import resource
import numfuse

numfuse.set_config(threads=int(sys.argv[1]) if len(sys.argv) > 1 else 1)
small = np.random.default_rng(0).standard_normal((1, 2, 40, 16)).astype(np.float32)
expected = numfuse.attention(small, small, small, causal=True)

def allow(more):
    \"\"\"No more than `more` bytes of address space beyond what is used now.\"\"\"
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + more, resource.RLIM_INFINITY))

def fails(call):
    try:
        call()
    except MemoryError as error:
        return str(error)
    raise AssertionError("no MemoryError")

def next_call_is_right():
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert numfuse.attention(small, small, small, causal=True).tobytes() == expected.tobytes()
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_no_memory_for_scratch_is_a_memory_error_and_out_is_untouched(threads):
    """Rows of 2²¹ numbers make the scratch of a block of queries too large for what is left."""
    run(
        LIMIT
        + """
x = np.ones((1, 1, 16, 2**21), np.float32)
out = np.full(x.shape, 7, np.float32)
allow(2**20)
fails(lambda: numfuse.attention(x, x, x, out=out))
fails(lambda: numfuse.attention(x, x, x, causal=True, softcap=5.0, out=out))
next_call_is_right()
assert (out == 7).all()
""",
        threads,
    )


def test_no_memory_for_a_copy_of_an_input_is_a_memory_error_and_out_is_untouched():
    run(
        LIMIT
        + """
x = np.ones((1, 1, 2**17, 64), ">f4")
few = np.ones((1, 1, 8, 64), np.float32)
out = np.full(few.shape, 7, np.float32)
allow(2**20)
fails(lambda: numfuse.attention(few, x, x, out=out))
next_call_is_right()
assert (out == 7).all()
"""
    )


def test_no_memory_for_the_result_is_a_memory_error():
    run(
        LIMIT
        + """
query = np.broadcast_to(np.float32(1), (1, 1, 2**22, 64))
key = np.ones((1, 1, 8, 64), np.float32)
x = np.broadcast_to(np.float32(1), (2**22, 64))
allow(2**24)
fails(lambda: numfuse.attention(query, key, key))
fails(lambda: numfuse.attention(query, key, key, return_lse=True))
fails(lambda: numfuse.attention_weights(query[..., :2**20, :], query[..., :2**20, :]))
fails(lambda: numfuse.layers.gelu(x))
fails(lambda: numfuse.layers.layer_norm(x))
fails(lambda: numfuse.rotary(x, np.zeros(1)))
next_call_is_right()
"""
    )


PEAK = """
import resource
import numfuse

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

def grown(call):
    \"\"\"Bytes by which the largest memory in use grew, inputs and output being there already.\"\"\"
    before = peak()
    call()
    return peak() - before

rng = np.random.default_rng(0)
numfuse.set_config(threads=2)
small = rng.standard_normal((1, 1, 300, 64)).astype(np.float32)
numfuse.attention(small, small, small)  # the pool and its threads exist
"""


@pytest.mark.parametrize(
    "options", ["", "causal=True, ", "window=(4096, 0), causal=True, softcap=20.0, "]
)
def test_length_65536_needs_at_most_64_mb_beside_inputs_and_output(options):
    """The matrix of scores would be 17 GB."""
    run(
        PEAK
        + f"""
query, key, value = (rng.standard_normal((1, 1, 65_536, 64), np.float32) for _ in range(3))
out = np.zeros_like(query)
more = grown(lambda: numfuse.attention(query, key, value, {options}out=out))
assert out.any()
assert more <= 64 * 2**20, more
""",
        seconds=300,
    )


def test_no_mix_of_options_stores_the_matrix_of_scores():
    """At this length the matrix would be 256 MB; mask and bias are read by their strides."""
    run(
        PEAK
        + """
n = 8192
query, key, value = (rng.standard_normal((1, 1, n, 64), np.float32) for _ in range(3))
out = np.zeros_like(query)
options = {
    "causal": True, "window": (5000, None), "mask": np.broadcast_to(np.arange(n) % 7 != 0, (n, n)),
    "bias": np.broadcast_to(rng.standard_normal(n).astype(np.float32), (n, n)),
    "alibi_slopes": np.full(1, 1e-3), "sinks": np.zeros(1), "scale": 0.1, "softcap": 30.0,
    "key_lengths": n - 5, "query_offset": 3,
}
for names in ([], ["mask"], ["bias"], ["alibi_slopes", "sinks"], list(options)):
    chosen = {name: options[name] for name in names}
    more = grown(lambda: numfuse.attention(query, key, value, out=out, **chosen))
    assert more <= 32 * 2**20, (names, more)
more = grown(lambda: numfuse.attention(query, key, value, out=out, return_lse=True, **options))
assert more <= 32 * 2**20, more
"""
    )


def test_keys_seen_by_stride_zero_are_not_expanded():
    """A copy for another reason (byte order) keeps repeated items one item long."""
    run(
        PEAK
        + """
query = rng.standard_normal((64, 1, 4, 64), np.float32)
one = rng.standard_normal((1, 1, 8192, 64)).astype(">f4")  # 2 MB; 64 items would be 128 MB
key = np.broadcast_to(one, (64, 1, 8192, 64))
assert grown(lambda: numfuse.attention(query, key, key)) <= 32 * 2**20
"""
    )


def test_repeated_calls_do_not_leak():
    run(
        PEAK
        + """
query, key, value = (rng.standard_normal((1, 4, 257, 64), np.float32) for _ in range(3))

def many(count):
    for _ in range(count):
        out, lse = numfuse.attention(query, key, value, causal=True, softcap=5.0, return_lse=True)
        numfuse.attention(query, key, value)
        numfuse.merge_attention([out, out], [lse, lse])
        numfuse.layers.gelu(out)
        try:
            numfuse.attention(query, key, value, scale=np.nan)
        except ValueError:
            pass

many(50)
# 300 calls whose output alone is 256 KB: a leak of one array a call would be 77 MB
assert grown(lambda: many(300)) <= 16 * 2**20
"""
    )
