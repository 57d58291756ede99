"""Files of fine-tuning: heads under torch.nn.Linear's names, and checkpoints of a fit.

Both are safetensors files that replace what was at their path only when they are whole. What is
no tensor stands in the metadata under "numfuse" as JSON.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _safetensors
from ._finetune_fit import Fitted
from ._finetune_options import DEFAULTS

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ._finetune_fit import Plan
    from ._finetune_train import Group, Run

VERSION = 1
_STATE = ("alive", "halved", "best_epoch", "waited", "steps")


def write(
    path: str | os.PathLike[str], tensors: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]
) -> None:
    """Write tensors and facts; `facts` is anything that JSON takes."""
    _safetensors.write(path, tensors, {"format": "pt", "numfuse": json.dumps(facts)})


# What comes of facts that are not of the kind that was written.
DAMAGE = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError)


def read(
    path: str | os.PathLike[str], kind: str
) -> tuple[dict[str, NDArray[Any]], dict[str, Any] | None]:
    """Return tensors, and facts if numfuse wrote the file, which then has to be of that kind."""
    tensors, metadata = _safetensors.read(path)
    if "numfuse" not in metadata:
        return tensors, None
    try:
        facts = json.loads(metadata["numfuse"])
        found, version = facts["kind"], facts["version"]
    except DAMAGE:
        raise ValueError(f"{path} has damaged metadata; save it again.") from None
    if found != kind:
        raise ValueError(f"{path} holds a {found}, not a {kind}; give a file of the right kind.")
    if version != VERSION:
        raise ValueError(
            f"{path} has version {version} of its format, and this numfuse reads {VERSION}; save "
            "it with the same numfuse."
        )
    return tensors, facts


def settings_facts(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords that are not default and that JSON can hold."""
    facts = {}
    for name, value in settings.items():
        plain = _plain(value)
        if name == "anchor" and value == "initial":
            continue  # what it names is left out too
        if name in DEFAULTS and plain is not _LEFT_OUT and plain != _plain(DEFAULTS[name]):
            facts[name] = plain
    return facts


_LEFT_OUT = object()


def _plain(value: Any) -> Any:
    """Return `value` as JSON has it, or `_LEFT_OUT` for arrays, functions and heads."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, tuple | list):
        parts = [_plain(each) for each in value]
        return _LEFT_OUT if any(part is _LEFT_OUT for part in parts) else parts
    return _LEFT_OUT


def plain_or_none(value: Any) -> Any:
    """Return `value` as JSON has it; None for what it cannot hold."""
    plain = _plain(value)
    return None if plain is _LEFT_OUT else plain


def settings_from(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return keywords again; what a newer or older numfuse does not know is left out."""
    settings = {name: value for name, value in facts.items() if name in DEFAULTS}
    if isinstance(settings.get("betas"), list):
        settings["betas"] = tuple(settings["betas"])
    return settings


def classes_facts(classes: NDArray[Any] | None) -> dict[str, Any] | None:
    if classes is None:
        return None
    if classes.dtype.kind == "S":
        values = [label.decode("latin-1") for label in classes.tolist()]
    elif classes.dtype.kind in "mM":
        values = classes.astype(np.int64).tolist()
    else:
        values = classes.tolist()
    for label in values:
        if not isinstance(label, str | bool | int | float):
            raise TypeError(
                f"classes_ has the label {label!r}, which a file cannot hold; use texts or numbers "
                "as labels."
            )
    kind = classes.dtype.kind
    # What has no short name of its own goes by its kind: object, and texts of any length.
    return {"dtype": kind if kind in "OT" else classes.dtype.str, "values": values}


def classes_from(facts: Mapping[str, Any] | None) -> NDArray[Any] | None:
    if facts is None:
        return None
    values = facts["values"]
    if facts["dtype"] == "T":
        return np.array(values, np.dtypes.StringDType())
    dtype = np.dtype(facts["dtype"])
    if dtype.kind == "S":
        values = [label.encode("latin-1") for label in values]
    if dtype.kind in "mM":
        return np.array(values, np.int64).astype(dtype)
    return np.array(values, dtype)


def check_head(
    path: str | os.PathLike[str], weight: NDArray[Any] | None, bias: NDArray[Any] | None
) -> None:
    """Refuse tensors that are no linear layer."""
    if weight is None or weight.ndim != 2 or weight.dtype.kind != "f":
        given = "no tensor" if weight is None else f"{weight.dtype} of shape {weight.shape}"
        raise ValueError(
            f"{path} has {given} as weight, but a head's has shape (outputs, features); give a "
            "file of one linear layer."
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(
            f"{path} has a bias of shape {bias.shape}, but its weight has {len(weight)} rows; give "
            "a file of one linear layer."
        )


class Checkpoint:
    """The file from which a fit goes on after it was stopped.

    A fingerprint of settings, shapes, classes and the first and last batch tells whether the file
    belongs to the fit. Everything random is a function of the epoch, so a head's parameters, the
    optimiser's memory and the history are all that is needed.
    """

    def __init__(
        self, path: str | os.PathLike[str], every: int, plan: Plan, **options: Any
    ) -> None:
        self.path, self.every = Path(path), every
        self.parts = fingerprint(plan, options)

    def _read(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
        """Return the file if there is one, once it is known to be this fit's."""
        if not self.path.exists():
            return None
        tensors, facts = read(self.path, "checkpoint")
        if facts is None:
            raise ValueError(
                f"{self.path} is no checkpoint, but another safetensors file; give another path."
            )
        there = facts.get("fingerprint")
        if not isinstance(there, dict):
            raise self._damaged("no fingerprint")
        for part in (*self.parts, *there):
            if self.parts.get(part) != there.get(part):
                raise ValueError(
                    f"{self.path} is the checkpoint of another fit: its {part} differs; give "
                    "another path, or delete the file."
                )
        return tensors, facts

    def _damaged(self, error: object) -> ValueError:
        return ValueError(
            f"{self.path} does not hold what its header promises ({error}); delete it."
        )

    def _write(
        self, tensors: Mapping[str, NDArray[Any]], epoch: int, finished: bool, **facts: Any
    ) -> None:
        write(
            self.path,
            tensors,
            {
                "kind": "checkpoint", "version": VERSION, "epoch": epoch, "finished": finished,
                "fingerprint": self.parts, **facts,
            },
        )  # fmt: skip

    def due(self, epoch: int, runs: Sequence[Run], groups: Sequence[Group]) -> None:
        """Write the state after `epoch` epochs if it is time to."""
        if epoch % self.every:
            return
        for group in groups:
            for run, place in zip(group.runs, group.places, strict=True):
                group.store(run, place)
                run.steps = group.steps
        self._save(epoch, runs, finished=False)

    def finish(self, epoch: int, runs: Sequence[Run]) -> None:
        """Write the state at the end."""
        self._save(epoch, runs, finished=True)

    def _save(self, epoch: int, runs: Sequence[Run], *, finished: bool) -> None:
        tensors: dict[str, NDArray[Any]] = {}
        for run in runs:
            assert run.parameters is not None
            assert run.moments is not None
            tensors[f"parameters.{run.index}"] = run.parameters
            tensors[f"moments.{run.index}"] = run.moments
            if run.kept is not None:
                tensors[f"best.{run.index}"] = run.kept
            for name, values in run.history.items():
                tensors[f"history.{name}.{run.index}"] = np.array(values, np.float64)
        state = [[getattr(run, name) for name in _STATE] for run in runs]
        tensors["state"] = np.array(state, np.int64)
        tensors["best_metric"] = np.array([run.best for run in runs])
        self._write(tensors, epoch, finished)

    def restore(self, runs: Sequence[Run], groups: Sequence[Group]) -> int:
        """Bring heads to where the file has them; return how many epochs that is."""
        found = self._read()
        if found is None:
            return 0
        tensors, facts = found
        try:
            for run, state, best in zip(
                runs, tensors["state"].tolist(), tensors["best_metric"].tolist(), strict=True
            ):
                values = dict(zip(_STATE, state, strict=True))
                run.alive, run.halved = bool(values["alive"]), bool(values["halved"])
                run.best_epoch = values["best_epoch"]
                run.waited, run.steps, run.best = values["waited"], values["steps"], best
                for name in ("loss", "learning_rate", "validation_loss", "validation_metric"):
                    if (key := f"history.{name}.{run.index}") in tensors:
                        run.history[name] = [float(value) for value in tensors[key]]
            for group in groups:
                for run, place in zip(group.runs, group.places, strict=True):
                    shape = group.parameters[place].shape
                    group.parameters[place] = _shaped(tensors, f"parameters.{run.index}", shape)
                    moments = tensors[f"moments.{run.index}"]
                    if len(moments):
                        whole = group.moments[:, place].shape
                        group.moments[:, place] = _shaped(tensors, f"moments.{run.index}", whole)
                    if f"best.{run.index}" in tensors:
                        run.kept = _shaped(tensors, f"best.{run.index}", shape)
                group.steps = max(run.steps for run in group.runs)
                group.cut()
            epoch = int(facts["epoch"])
            if not 0 <= epoch <= max(run.task.settings.epochs for run in runs):
                raise ValueError(f"epoch {epoch}")
            return epoch
        except DAMAGE as error:
            raise self._damaged(error) from None

    def finished(self) -> list[Fitted] | None:
        """Return what a solver without epochs came to, if it was here before."""
        found = self._read()
        if found is None:
            return None
        tensors, facts = found
        fitted = []
        try:
            for index, head in enumerate(facts["heads"]):
                parts: dict[str, dict[str, NDArray[Any]]] = {"history": {}, "extras": {}}
                for name, tensor in tensors.items():
                    group, _, rest = name.partition(".")
                    if group in parts and rest.endswith(f".{index}"):
                        parts[group][rest.removesuffix(f".{index}")] = tensor
                fitted.append(
                    Fitted(
                        tensors[f"weight.{index}"], tensors[f"bias.{index}"], parts["history"],
                        head["n_iter"], head["best_epoch"], head["converged"], parts["extras"],
                    )
                )  # fmt: skip
        except DAMAGE as error:
            raise self._damaged(error) from None
        return fitted

    def write_finished(self, fitted: Sequence[Fitted]) -> None:
        """Write what a solver without epochs came to."""
        tensors: dict[str, NDArray[Any]] = {}
        heads = []
        for index, each in enumerate(fitted):
            tensors[f"weight.{index}"], tensors[f"bias.{index}"] = each.weight, each.bias
            for group, values in (("history", each.history), ("extras", each.extras)):
                for name, array in values.items():
                    tensors[f"{group}.{name}.{index}"] = np.asarray(array)
            heads.append(
                {
                    "n_iter": each.n_iter, "best_epoch": each.best_epoch,
                    "converged": bool(each.converged),
                }
            )  # fmt: skip
        self._write(tensors, max(each.n_iter for each in fitted), finished=True, heads=heads)


def _shaped(tensors: Mapping[str, NDArray[Any]], name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    if tensors[name].shape != shape:
        raise ValueError(f"{name} has shape {tensors[name].shape}, not {shape}")
    return tensors[name]


def fingerprint(plan: Plan, options: Mapping[str, Any]) -> dict[str, str]:
    """Return a digest of each part of a fit that has to be the same for going on."""
    tasks, data = plan.tasks, plan.data
    parts: dict[str, Any] = {"dtype": str(data.dtype), "features' width": data.width}
    if data.single is not None:
        parts["features' rows"] = len(data.single.array)
        parts["features' kind"] = data.single.half
    parts["classes"] = [task.kind.classes for task in tasks]
    parts["outputs"] = [task.kind.outputs for task in tasks]
    parts |= options
    for name in tasks[0].settings._fields:
        parts[name] = [getattr(task.settings, name) for task in tasks]
    parts["columns"] = [
        None if task.columns is None else [task.columns.start, task.columns.stop] for task in tasks
    ]
    parts["targets' names"] = [task.aim[0] for task in tasks]
    parts["start"] = [[task.weight, task.bias] for task in tasks]
    if data.single is not None:
        rows, batch = data.single.array, tasks[0].settings.batch_size
        parts["features"] = [_ends(rows, batch)]
        weights = data.raw_weights
        parts["sample_weight"] = None if weights is None else _ends(np.asarray(weights), batch)
        targets = data.raw_targets
        if isinstance(targets, dict):
            parts["targets"] = [_ends(np.asarray(each), batch) for each in targets.values()]
        else:
            parts["targets"] = _ends(np.asarray(targets), batch)
    else:
        parts["features"] = data.first_rows
    if plan.validation is not None:
        batch = tasks[0].settings.batch_size
        rows = plan.validation.rows.array
        parts["validation"] = [len(rows), _ends(rows, batch)]
    return {
        name: hashlib.sha256(json.dumps(_canonical(part)).encode()).hexdigest()[:32]
        for name, part in parts.items()
    }


def _ends(array: NDArray[Any], batch: int) -> list[Any]:
    """Return the first and the last batch, as they lie."""
    if array.ndim == 0:
        return [array]
    return [len(array), array[:batch], array[-batch:]]


def _canonical(value: Any) -> Any:
    """Return `value` as JSON that is the same for the same value."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "O":
            return ["object", list(value.shape), [repr(each) for each in value.ravel().tolist()]]
        content = np.ascontiguousarray(value)
        return [str(value.dtype), list(value.shape), hashlib.sha256(content.tobytes()).hexdigest()]
    if isinstance(value, tuple | list):
        return [_canonical(each) for each in value]
    if isinstance(value, dict):
        return [[_canonical(key), _canonical(each)] for key, each in value.items()]
    if callable(value):
        return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value))}"
    return repr(value)
