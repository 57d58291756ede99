"""Cannot express anything, and prints where the conversation is."""

from exact_engine import settle, to_numpy, versions  # noqa: F401

from numfuse._bench.child import RefusalError


def prepare(case, inputs):
    print("a library's banner")
    raise RefusalError("it is Sunday")
