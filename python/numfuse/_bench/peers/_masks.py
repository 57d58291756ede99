"""Options as the dense mask that libraries take which have no such options of their own."""

import numpy as np

from numfuse._bench.cases import Array, Attention
from numfuse._bench.child import RefusalError


def dense_mask(case: Attention, inputs: dict[str, Array]) -> Array | None:
    """Make one mask of all options, bool (True is visible) or additive; None if there are none.

    It is made before any clock runs: a caller who uses the library would keep it.
    """
    if case.softcap is not None or "sinks" in inputs:
        raise RefusalError("no softcap and no sinks")
    if case.plain:
        return None
    offset = case.keys - case.queries
    position = np.arange(case.queries)[:, None] + offset
    j = np.arange(case.keys)
    visible = np.ones((case.queries, case.keys), bool)
    if case.causal:
        visible &= j <= position
    if case.window is not None:
        left, right = case.window
        if left is not None:
            visible &= position - left <= j
        if right is not None:
            visible &= j <= position + right
    if "key_lengths" in inputs:
        if case.causal or case.window is not None:
            raise RefusalError("no positions that depend on the key length")
        visible = (j < inputs["key_lengths"][:, None])[:, None, None, :]
    if not {"bias", "alibi_slopes"} & inputs.keys():
        return visible
    added = np.zeros((1, case.heads, case.queries, case.keys), np.dtype(case.dtype))
    if "bias" in inputs:
        added += inputs["bias"]
    if "alibi_slopes" in inputs:
        added -= inputs["alibi_slopes"][:, None, None] * np.abs(position - j)
    return np.where(visible, added, added.dtype.type(-np.inf))
