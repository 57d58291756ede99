"""The file from which an adapter's fit goes on after it was stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._finetune_files import DAMAGE, Checkpoint
from ._lowrank_layer import Parameters

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from ._lowrank_train import State


class Keeper(Checkpoint):
    """A checkpoint of A, B and the head, which the fingerprint knows apart from a head's alone."""

    def due(self, state: State) -> None:  # type: ignore[override]
        """Write the state after an epoch if it is time to, and at the end."""
        if state.epoch % self.every and not state.finished:
            return
        tensors: dict[str, NDArray[Any]] = {}
        for group in ("parameters", "moments", "best"):
            for name, array in getattr(state, group)._asdict().items():
                tensors[f"{group}.{name}"] = array
        for name, values in state.history.items():
            tensors[f"history.{name}"] = np.array(values, np.float64)
        tensors["best_metric"] = np.array([state.best_value])
        tensors["state"] = np.array([state.best_epoch, state.step], np.int64)
        self._write(tensors, state.epoch, state.finished)

    def restore(self, state: State) -> None:  # type: ignore[override]
        """Bring a new fit to where the file has it, if there is one."""
        found = self._read()
        if found is None:
            return
        tensors, facts = found
        try:
            for group in ("parameters", "moments", "best"):
                fresh = getattr(state, group)._asdict()
                read = {name: tensors[f"{group}.{name}"] for name in fresh}
                if any(read[name].shape != fresh[name].shape for name in fresh):
                    raise ValueError("another shape")
                setattr(state, group, Parameters(**read))
            for name in state.history:
                state.history[name] = tensors[f"history.{name}"].tolist()
            (state.best_value,) = tensors["best_metric"].tolist()
            state.best_epoch, state.step = tensors["state"].tolist()
            state.epoch, state.finished = int(facts["epoch"]), bool(facts["finished"])
        except DAMAGE as error:
            raise self._damaged(error) from None
