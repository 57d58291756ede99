"""Checkpoints: a fit that was killed goes on to the bits of one that never was."""

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from numfuse import HeadSweep, LinearHead, _safetensors

from .problems import labelled, numbered, same

X, Y = labelled(n=150)
VALIDATION = labelled(n=60, seed=1)
FITS = {
    "sgd": {"solver": "sgd", "batch_size": 16, "epochs": 9, "schedule": "cosine", "warmup": 5},
    "adamw": {"solver": "adamw", "batch_size": 16, "epochs": 9, "l2": 0.1, "class_weight": "balanced"},
    "standardised": {"solver": "adamw", "epochs": 9, "standardize": True, "anchor": np.ones((3, 6))},
    "early stopping": {"solver": "sgd", "learning_rate": 2.0, "batch_size": 16, "epochs": 9, "early_stopping": 4},
}  # fmt: skip

KILLED = """
    import os, signal, sys
    import numpy as np
    from numfuse import HeadSweep, LinearHead
    from finetune.problems import labelled
    from finetune.test_checkpoint import FITS, GRID, SWEEP
    import numfuse._finetune_files as files
    path, kind, dies = sys.argv[1], sys.argv[2], int(sys.argv[3])
    due = files.Checkpoint.due
    def dying(self, epoch, runs, groups):
        due(self, epoch, runs, groups)
        if epoch == dies:
            os.kill(os.getpid(), signal.SIGKILL)
    files.Checkpoint.due = dying
    x, y = labelled(n=150)
    validation = labelled(n=60, seed=1)
    head = HeadSweep(GRID, **SWEEP) if kind == "sweep" else LinearHead(**FITS[kind])
    head.fit(x, y, validation=validation, checkpoint=path)
"""
GRID = {
    "l2": [0.0, 0.1],
    "learning_rate": [1e-3, 0.1, 2.0],
    "early_stopping": [None, 1],
    "columns": [(0, 6), (1, 4)],
}
SWEEP = {"solver": "sgd", "epochs": 9, "batch_size": 32, "halving": 2, "halving_epochs": 3}


def killed(path, kind, epoch):
    """A process that fits and is killed after so many epochs."""
    tests = os.path.dirname(os.path.dirname(__file__))
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(path), kind, str(epoch)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([tests, *sys.path])}, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == -signal.SIGKILL, run.stderr


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX's")
@pytest.mark.parametrize("kind", FITS)
def test_a_fit_that_was_killed_goes_on_to_the_same_bits(tmp_path, kind):
    path = tmp_path / "fit.safetensors"
    killed(path, kind, 3)
    before = path.stat().st_mtime_ns
    head = LinearHead(**FITS[kind]).fit(X, Y, validation=VALIDATION, checkpoint=path)
    same(head, LinearHead(**FITS[kind]).fit(X, Y, validation=VALIDATION))
    assert path.stat().st_mtime_ns > before
    assert [each.name for each in tmp_path.iterdir()] == ["fit.safetensors"]


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX's")
@pytest.mark.parametrize("epoch", [2, 5])
def test_a_sweep_that_was_killed_goes_on_to_the_same_bits(tmp_path, epoch):
    path = tmp_path / "fit.safetensors"
    killed(path, "sweep", epoch)
    sweep = HeadSweep(GRID, **SWEEP).fit(X, Y, validation=VALIDATION, checkpoint=path)
    whole = HeadSweep(GRID, **SWEEP).fit(X, Y, validation=VALIDATION)
    for a, b in zip(sweep.heads_, whole.heads_, strict=True):
        same(a, b)
    assert sweep.best_index_ == whole.best_index_
    for name, values in whole.results_.items():
        np.testing.assert_array_equal(sweep.results_[name], values, err_msg=name)


def test_a_finished_checkpoint_returns_at_once(tmp_path, monkeypatch):
    path = tmp_path / "fit.safetensors"
    x, y = numbered()
    fits = {
        **{name: (LinearHead(**settings), X, Y) for name, settings in FITS.items()},
        "lbfgs": (LinearHead(), X, Y), "newton": (LinearHead(solver="newton"), X, Y),
        "ridge": (LinearHead(loss="squared", solver="ridge", l2=[0.1, 1.0]), x, y),
        "lbfgs sweep": (HeadSweep({"l2": [0.1, 1.0]}, solver="lbfgs"), X, Y),
    }  # fmt: skip
    for name, (head, features, targets) in fits.items():
        path.unlink(missing_ok=True)
        first = head.fit(features, targets, checkpoint=path)
        kept = [each.weight_ for each in getattr(first, "heads_", [first])]
        with monkeypatch.context() as patch:
            for step in ("epoch", "evaluate"):
                patch.setattr(f"numfuse._finetune_engine.{step}", None)
            again = head.fit(features, targets, checkpoint=path)
        for weight, each in zip(kept, getattr(again, "heads_", [again]), strict=True):
            np.testing.assert_array_equal(each.weight_, weight, err_msg=name)
        if name == "ridge":
            assert head.l2_ == 0.1 or head.l2_ == 1.0
            assert head.loo_predictions_.shape == y.shape


def test_an_interrupt_leaves_a_whole_checkpoint(tmp_path):
    path = tmp_path / "fit.safetensors"
    epochs = []

    def stop(targets, logits):
        epochs.append(0)
        if len(epochs) == 5:
            raise KeyboardInterrupt
        return 0.0

    head = LinearHead(solver="sgd", metric=stop, epochs=8)
    with pytest.raises(KeyboardInterrupt):
        head.fit(X, Y, validation=VALIDATION, checkpoint=path)
    assert not hasattr(head, "weight_")
    head.fit(X, Y, validation=VALIDATION, checkpoint=path)
    assert len(epochs) == 5 + 4  # the fifth epoch, which was not finished, and three more
    np.testing.assert_array_equal(
        head.weight_, LinearHead(solver="sgd", epochs=8).fit(X, Y).weight_
    )


def test_it_is_written_as_often_as_asked(tmp_path, monkeypatch):
    from numfuse import _finetune_files

    written = []
    real = _finetune_files.Checkpoint._write
    monkeypatch.setattr(
        _finetune_files.Checkpoint, "_write",
        lambda self, tensors, epoch, finished, **facts: (written.append((epoch, finished)), real(self, tensors, epoch, finished, **facts)),
    )  # fmt: skip
    head = LinearHead(solver="sgd", epochs=8)
    head.fit(X, Y, checkpoint=tmp_path / "a", checkpoint_every=3)
    assert written == [(3, False), (6, False), (8, True)]
    for bad in (0, -1, 1.5, None, True):
        with pytest.raises((TypeError, ValueError), match="^checkpoint_every"):
            head.fit(X, Y, checkpoint=tmp_path / "b", checkpoint_every=bad)
    assert not (tmp_path / "b").exists()


OTHERS = {
    "another learning rate": ({"learning_rate": 0.2}, {}, "learning_rate"),
    "another seed": ({"seed": 1}, {}, "seed"),
    "more epochs": ({"epochs": 9}, {}, "epochs"),
    "another penalty": ({"l2": 0.1}, {}, "l2"),
    "another anchor": ({"anchor": np.ones((3, 6))}, {}, "anchor"),
    "another width": ({}, {"features": X[:, :5]}, "width"),
    "fewer rows": ({}, {"features": X[:149], "targets": Y[:149]}, "rows"),
    "another dtype": ({}, {"features": X.astype("f4")}, "dtype"),
    "another first row": ({}, {"features": np.concatenate([X[:1] + 1, X[1:]])}, "features"),
    "another last row": ({}, {"features": np.concatenate([X[:-1], X[-1:] + 1])}, "features"),
    "other targets": ({}, {"targets": (Y + 1) % 3}, "targets"),
    "other classes": ({}, {"classes": [0, 1, 2, 3]}, "classes|outputs"),
    "weights": ({}, {"sample_weight": np.ones(150)}, "sample_weight"),
    "validation data": ({}, {"validation": VALIDATION}, "validation"),
}  # fmt: skip


@pytest.mark.parametrize("other", OTHERS)
def test_a_checkpoint_of_another_fit_is_refused_and_kept(tmp_path, other):
    path = tmp_path / "fit.safetensors"
    LinearHead(solver="sgd", epochs=3).fit(X, Y, checkpoint=path)
    before = path.read_bytes()
    settings, data, words = OTHERS[other]
    head = LinearHead(**{"solver": "sgd", "epochs": 3, **settings})
    with pytest.raises(ValueError, match=f"checkpoint of another fit: its .*({words})"):
        head.fit(**{"features": X, "targets": Y, **data}, checkpoint=path)
    assert path.read_bytes() == before
    assert not hasattr(head, "weight_")


def test_files_that_are_no_checkpoint_are_refused_and_kept(tmp_path):
    path = tmp_path / "fit.safetensors"
    head = LinearHead(solver="sgd", epochs=3)
    head.fit(X, Y, checkpoint=path)
    whole = path.read_bytes()
    foreign = tmp_path / "foreign.safetensors"
    _safetensors.write(foreign, {"weight": X})
    saved = tmp_path / "saved.safetensors"
    head.save(saved)
    for content, words in (
        (whole[:-5], "cut short"), (whole[:20], "cut short"), (b"nothing of the kind", "not a safetensors file"),
        (foreign.read_bytes(), "is no checkpoint"), (saved.read_bytes(), "holds a LinearHead, not a checkpoint"),
    ):  # fmt: skip
        path.write_bytes(content)
        with pytest.raises(ValueError, match=words):
            LinearHead(solver="sgd", epochs=3).fit(X, Y, checkpoint=path)
        assert path.read_bytes() == content


def test_blocks_have_checkpoints_too(tmp_path):
    path = tmp_path / "fit.safetensors"
    blocks = [(X[:64], Y[:64]), (X[64:], Y[64:])]
    settings = {"solver": "adamw", "batch_size": 32, "epochs": 6}
    seen = []

    def stop(targets, logits):
        seen.append(0)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return 0.0

    with pytest.raises(KeyboardInterrupt):
        LinearHead(**settings, metric=stop).fit(blocks, validation=VALIDATION, checkpoint=path)
    head = LinearHead(**settings, metric=stop).fit(blocks, validation=VALIDATION, checkpoint=path)
    np.testing.assert_array_equal(head.weight_, LinearHead(**settings).fit(blocks).weight_)
    with pytest.raises(ValueError, match="its features differs"):
        LinearHead(**settings, metric=stop).fit(
            [(X[:64] + 1, Y[:64]), blocks[1]], validation=VALIDATION, checkpoint=path
        )
