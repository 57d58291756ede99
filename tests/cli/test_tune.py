"""The command `numfuse tune`: features and labels in, a head out, nothing lost."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import numfuse
from numfuse import LinearHead, _cli_tune_files, _safetensors, cli

RNG = np.random.default_rng(0)
ROWS, WIDTH = 300, 6
FEATURES = RNG.normal(size=(ROWS, WIDTH)).astype(np.float32)
SCORES = FEATURES @ RNG.normal(size=(WIDTH, 3)) + 0.5 * RNG.normal(size=(ROWS, 3))
LABELS = np.array(["apple", "pear", "quince"])[SCORES.argmax(1)]


@pytest.fixture(autouse=True)
def plain(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", FEATURES)
    write("y.csv", LABELS)
    with numfuse.config_context(backend="numpy"):
        yield


def write(name, *columns, header=None):
    lines = [",".join(header)] if header else []
    lines += [",".join(map(str, row)) for row in zip(*columns, strict=True)]
    with open(name, "w") as file:
        file.write("\n".join(lines) + "\n")


def tune(*flags, features="x.npy", labels="y.csv"):
    return cli.main(["tune", features, labels, *flags])


def halves(seed=0, share=0.2, groups=None):
    return _cli_tune_files.split(ROWS, share, seed, groups)


def fitted(labels=LABELS, split=None, **settings):
    train, test = split or halves()
    head = LinearHead(**settings).fit(FEATURES[train], labels[train], classes=np.unique(labels))
    return head, head.score(FEATURES[test], labels[test])


def same(path, head):
    loaded = LinearHead.load(path)
    return np.array_equal(loaded.weight_, head.weight_) and np.array_equal(loaded.bias_, head.bias_)


OPTIONS = [
    ([], {}),
    (["--l2", "0.1", "--standardize"], {"l2": 0.1, "standardize": True}),
    (
        ["--class-weight", "balanced", "--solver", "newton"],
        {"class_weight": "balanced", "solver": "newton"},
    ),
    (["--epochs", "3", "--batch-size", "32"], {"solver": "adamw", "epochs": 3, "batch_size": 32}),
    (
        ["--solver", "sgd", "--learning-rate", "0.2", "--seed", "4"],
        {"solver": "sgd", "learning_rate": 0.2, "seed": 4},
    ),
    (["--weight-decay", "0.1"], {"solver": "adamw", "weight_decay": 0.1}),
]


@pytest.mark.parametrize(("flags", "settings"), OPTIONS, ids=lambda value: " ".join(value))
def test_head_is_that_of_the_class(flags, settings, capsys):
    assert tune(*flags) == 0
    head, score = fitted(split=halves(settings.get("seed", 0)), **settings)
    assert same("x.head.safetensors", head)
    said = capsys.readouterr().out
    assert "x.npy: 300 rows of 6 features, 3 classes. Trained on 240 rows, judged by 60." in said
    assert f"accuracy {score:.4f}" in said
    assert "x.head.safetensors: done in " in said
    assert sorted(os.listdir()) == ["x.head.safetensors", "x.npy", "y.csv"]


def test_confusion_counts_the_rows_held_out(capsys):
    assert tune() == 0
    head, _ = fitted()
    test = halves().test
    lines = capsys.readouterr().out.splitlines()
    table = [line.split() for line in lines if line.split()[0] in head.classes_]
    found = head.predict(FEATURES[test])
    for name, *counts in table:
        expected = [((LABELS[test] == name) & (found == other)).sum() for other in head.classes_]
        assert list(map(int, counts)) == expected
    assert len(table) == 3


def test_several_values_are_a_sweep_and_the_best_is_written(capsys):
    assert tune("--l2", "1e-4,1,100", "--learning-rate", "1e-3,1e-2", "--epochs", "20") == 0
    train, test = halves()
    sweep = numfuse.HeadSweep(
        {"l2": [1e-4, 1.0, 100.0], "learning_rate": [1e-3, 1e-2]}, solver="adamw", epochs=20
    ).fit(FEATURES[train], LABELS[train], validation=(FEATURES[test], LABELS[test]))
    assert same("x.head.safetensors", sweep.best_)
    lines = capsys.readouterr().out.splitlines()
    place = next(
        i
        for i, line in enumerate(lines)
        if line.split() == ["rank", "l2", "learning_rate", "epochs", "accuracy", "loss"]
    )
    assert len(lines[place + 1 : place + 7]) == 6
    first = lines[place + 1].split()
    best = sweep.best_settings_
    assert first[:4] == ["1", f"{best['l2']:g}", f"{best['learning_rate']:g}", "20"]
    assert [line.split()[0] for line in lines[place + 1 : place + 7]] == sorted(
        (str(rank) for rank in sweep.results_["rank"]), key=int
    )


def test_lbfgs_sweeps_l2(capsys):
    assert tune("--l2", ",".join(f"{10.0**-k:g}" for k in range(12))) == 0
    assert "… and 2 more" in capsys.readouterr().out


def test_halving_ends_heads_early(capsys):
    assert tune("--learning-rate", "1e-4,1e-3,1e-2,1e-1", "--epochs", "4", "--halving", "2") == 0
    epochs = [
        line.split()[2]
        for line in capsys.readouterr().out.splitlines()
        if line.strip()[:1] in "1234" and line.count("0.") >= 2
    ]
    assert sorted(epochs) == ["1", "2", "4", "4"] or sorted(epochs) == ["1", "1", "2", "4"]


def test_ridge_keeps_the_least_leave_one_out_error(capsys):
    numbers = SCORES[:, 0]
    np.save("n.npy", numbers)
    assert (
        tune("--loss", "squared", "--solver", "ridge", "--l2", "1e-4,1e-2,1", labels="n.npy") == 0
    )
    train, test = halves()
    head = LinearHead(loss="squared", solver="ridge", l2=[1e-4, 1e-2, 1.0]).fit(
        FEATURES[train], numbers[train]
    )
    assert same("x.head.safetensors", head)
    said = capsys.readouterr().out
    assert f"l2={head.l2_:g} has the least leave-one-out error" in said
    assert f"r2 {head.score(FEATURES[test], numbers[test]):.4f}" in said


def test_groups_stay_on_one_side():
    groups = RNG.integers(0, 12, ROWS)
    write("g.csv", groups)
    train, test = split = halves(groups=groups)
    assert not set(groups[train]) & set(groups[test])
    assert 0.2 * ROWS <= len(test) <= 0.2 * ROWS + np.bincount(groups).max()
    assert tune("--groups", "g.csv", "--quiet") == 0
    assert same("x.head.safetensors", fitted(split=split)[0])


def test_without_validation_all_rows_train(capsys):
    assert tune("--validation", "0") == 0
    assert same("x.head.safetensors", LinearHead().fit(FEATURES, LABELS))
    assert "held-out" not in capsys.readouterr().out


def test_column_of_a_table_is_named():
    write("t.csv", range(ROWS), LABELS, header=["id", "fruit"])
    assert tune("--column", "fruit", "--quiet", labels="t.csv") == 0
    assert same("x.head.safetensors", fitted()[0])


def test_single_column_may_have_a_header():
    write("t.csv", LABELS, header=["fruit"])
    assert tune("--quiet", labels="t.csv") == 0
    assert same("x.head.safetensors", fitted()[0])


@pytest.mark.parametrize("first", ["once", "0", "1e5"])
def test_label_that_is_there_once_may_be_first_below_a_header(first):
    labels = np.array([first, *LABELS[1:]])
    write("t.csv", labels, header=["fruit"])
    given = _cli_tune_files.labels(Path("t.csv"), None, ROWS)
    assert given.tolist() == labels.tolist()


def test_texts_of_which_each_is_there_once_need_no_header():
    names = [f"author {row}" for row in range(ROWS)]
    write("g.csv", names)
    assert _cli_tune_files.labels(Path("g.csv"), None, ROWS).tolist() == names


def test_header_that_is_like_a_label_can_be_named():
    write("t.csv", SCORES.argmax(1), header=["0"])
    given = _cli_tune_files.labels(Path("t.csv"), "0", ROWS)
    assert given.tolist() == SCORES.argmax(1).tolist()


def test_blank_lines_may_be_at_the_end():
    with open("y.csv", "a") as file:
        file.write("\n  \n\n")
    assert _cli_tune_files.labels(Path("y.csv"), None, ROWS).tolist() == LABELS.tolist()


TEXTS = LABELS.tolist()
NUMBERS = [f"{number:.3f}" for number in SCORES[:, 0]]
SHIFTED = [
    # A header makes up for a label that is not there.
    (["fruit", *TEXTS[:100], "", *TEXTS[101:]], None, "t.csv has a blank line 102; fill it where"),
    ([*TEXTS[:5], "", *TEXTS[5:]], None, "t.csv has a blank line 6; fill it where"),
    (["", *TEXTS], None, "t.csv has a blank line 1; fill it where"),
    ([*TEXTS[:5], "  ", *TEXTS[6:]], None, "t.csv has a blank line 6; fill it where"),
    ([*TEXTS[:5], '""', *TEXTS[6:]], None, "t.csv has an empty cell in line 6; fill it, or drop"),
    (["fruit", *TEXTS[:-1], '""'], None, "t.csv has an empty cell in line 301; fill it, or drop"),
    (["fruit", *TEXTS[1:]], None, "but 'fruit' in the first is there only once: if it is a header"),
    (["0", *TEXTS[1:]], None, "but '0' in the first is there only once: if it is a header"),
    (["size", *NUMBERS[1:]], None, "but 'size' in the first is no number as all others are: if it"),
    # Nor is a label taken for a header.
    (["pear", *TEXTS], None, "'pear' in the first may be a header or one label too many; drop"),
    (["0", *NUMBERS], None, "301 lines, but features has 300 rows, and '0' in the first may be a"),
    (["id,fruit", *["1,a", "b"] * 150], "fruit", "t.csv has no such column in line 3: 'b'"),
    (["a,fruit,fruit", *["1,2,3"] * ROWS], "fruit", "2 columns 'fruit'; rename the others"),
    (["a,fruit", *["1,2"] * 9, "1, ", *["1,2"] * 290], "fruit", "an empty cell in line 11; fill"),
    (["a,fruit", *["1,2"] * 9, "", *["1,2"] * 291], "fruit", "t.csv has a blank line 11; fill it"),
]


@pytest.mark.parametrize(("lines", "column", "message"), SHIFTED, ids=range(len(SHIFTED)))
def test_no_text_is_passed_over(lines, column, message, capsys):
    with open("t.csv", "w") as file:
        file.write("\n".join(lines) + "\n")
    assert tune(*([] if column is None else ["--column", column]), labels="t.csv") == 1
    assert message in capsys.readouterr().err
    if column is None:
        assert tune("--groups", "t.csv") == 1
        assert message in capsys.readouterr().err


def test_whole_numbers_are_labels_and_others_are_numbers(capsys):
    write("t.csv", SCORES.argmax(1))
    assert tune("--quiet", labels="t.csv") == 0
    assert LinearHead.load("x.head.safetensors").classes_.dtype.kind == "i"
    write("t.csv", SCORES[:, 0])
    assert tune(labels="t.csv") == 0
    assert "numbers. Trained on" in capsys.readouterr().out
    write("t.csv", [f"{k:03}" for k in SCORES.argmax(1)])
    assert tune("--quiet", labels="t.csv") == 0
    assert LinearHead.load("x.head.safetensors").classes_.tolist() == ["000", "001", "002"]


def test_matrix_of_0_and_1_has_several_labels_a_row(capsys):
    both = (SCORES > 0).astype(np.int8)
    np.save("m.npy", both)
    assert tune("--l2", "0.01", labels="m.npy") == 0
    train, _ = halves()
    head = LinearHead(loss="sigmoid", l2=0.01).fit(FEATURES[train], both[train])
    assert same("x.head.safetensors", head)
    assert "3 columns of 0, 1" in capsys.readouterr().out


def test_tensor_of_a_safetensors_file_is_named():
    _safetensors.write("x.safetensors", {"a": FEATURES, "b": FEATURES[:, :2].copy()})
    assert tune("--quiet", features="x.safetensors:a") == 0
    assert same("x.head.safetensors", fitted()[0])


def test_bfloat16_in_uint16_is_read(monkeypatch):
    bits = (FEATURES.view(np.uint32) >> 16).astype(np.uint16)
    wide = (bits.astype(np.uint32) << 16).view(np.float32)
    np.save("x.npy", bits)
    for absent in (False, True):
        if absent:
            monkeypatch.setitem(sys.modules, "ml_dtypes", None)
        assert tune("--bfloat16", "--quiet") == 0
        train, _ = halves()
        assert same("x.head.safetensors", LinearHead().fit(wide[train], LABELS[train]))


def test_file_too_large_to_copy_is_read_in_blocks(monkeypatch):
    monkeypatch.setattr(_cli_tune_files, "MOST_BYTES", 1000)
    monkeypatch.setattr(_cli_tune_files, "BLOCK_ROWS", 64)
    train, _ = halves()
    blocks = [(FEATURES[train[i : i + 64]], LABELS[train[i : i + 64]]) for i in range(0, 240, 64)]
    assert tune("--epochs", "3", "--batch-size", "32", "--quiet") == 0
    head = LinearHead(solver="adamw", epochs=3, batch_size=32).fit(blocks)
    assert same("x.head.safetensors", head)


def test_checkpoint_is_gone_on_from():
    assert tune("--epochs", "6", "--checkpoint", "c", "--quiet") == 0
    before = os.stat("c").st_size
    os.unlink("x.head.safetensors")
    assert tune("--epochs", "6", "--checkpoint", "c", "--quiet") == 0
    assert os.stat("c").st_size == before
    assert same("x.head.safetensors", fitted(solver="adamw", epochs=6)[0])


def test_early_stopping_uses_the_rows_held_out(capsys):
    assert (
        tune(
            "--learning-rate", "0.5", "--epochs", "50", "--early-stopping", "2", "--metric", "loss"
        )
        == 0
    )
    train, test = halves()
    head = LinearHead(solver="adamw", learning_rate=0.5, epochs=50, early_stopping=2, metric="loss")
    head.fit(FEATURES[train], LABELS[train], validation=(FEATURES[test], LABELS[test]))
    assert same("x.head.safetensors", head)
    assert f"loss {head.history_['validation_metric'].min():.4f}" in capsys.readouterr().out


def test_output_goes_where_it_is_sent():
    os.mkdir("there")
    assert tune("--output", "there/head.safetensors", "--quiet", "--threads", "1") == 0
    assert os.listdir("there") == ["head.safetensors"]


WRITTEN_OVER = [
    (["--output", "./x.npy"], "--output is x.npy, but FEATURES is the same file"),
    (["--output", "y.csv"], "--output is y.csv, but LABELS is the same file"),
    (["--output", "link"], "--output is link, but LABELS is the same file"),
    (["--output", "hard"], "--output is hard, but LABELS is the same file"),
    (["--output", "y.csv", "--groups", "g.csv"], "--output is y.csv, but LABELS"),
    (["--output", "g.csv", "--groups", "g.csv"], "--output is g.csv, but --groups"),
    (["--output", "new", "--checkpoint", "folder/../new"], "--output is new, but --checkpoint"),
    (["--checkpoint", "x.head.safetensors"], "--output is x.head.safetensors, but --checkpoint"),
    (["--checkpoint", "x.npy"], "--checkpoint is x.npy, but FEATURES is the same file"),
    (["--checkpoint", "y.csv"], "--checkpoint is y.csv, but LABELS is the same file"),
    (["--checkpoint", "g.csv", "--groups", "g.csv"], "--checkpoint is g.csv, but --groups"),
]


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
@pytest.mark.parametrize(("flags", "message"), WRITTEN_OVER)
def test_nothing_given_is_written_over(flags, message, monkeypatch, capsys):
    os.mkdir("folder")
    os.symlink("y.csv", "link")
    os.link("y.csv", "hard")
    write("g.csv", range(ROWS))
    before = {name: os.stat(name).st_mtime_ns for name in os.listdir()}
    monkeypatch.setattr("numfuse._cli_tune.Job", None)  # no work is begun
    assert tune(*flags) == 1
    said = capsys.readouterr().err
    assert f"numfuse tune: {message}" in said
    assert f"name another by {message.split()[0]} FILE\n" in said
    assert {name: os.stat(name).st_mtime_ns for name in os.listdir()} == before


def test_file_of_the_tensor_that_is_read_is_not_written_over(capsys):
    _safetensors.write("x.safetensors", {"a": FEATURES})
    before = os.stat("x.safetensors").st_mtime_ns
    assert tune("--output", "x.safetensors", features="x.safetensors:a") == 1
    assert "--output is x.safetensors, but FEATURES is the same" in capsys.readouterr().err
    assert os.stat("x.safetensors").st_mtime_ns == before


def test_quiet_says_nothing(capfd):
    assert tune("--quiet") == 0
    assert capfd.readouterr() == ("", "")


def test_warning_is_one_line(capsys):
    assert (
        tune("--solver", "sgd", "--loss", "squared", "--learning-rate", "1e9", labels="n.npy") == 1
    )
    np.save("n.npy", SCORES[:, 0])
    capsys.readouterr()
    assert (
        tune("--solver", "sgd", "--loss", "squared", "--learning-rate", "1e9", labels="n.npy") == 0
    )
    said = capsys.readouterr().err
    assert said.startswith("numfuse tune: the loss is not finite from epoch")
    assert said.count("\n") == 1


def test_pictures_are_drawn():
    pytest.importorskip("matplotlib")
    assert tune("--pictures", "p", "--l2", "1e-4,1e-2", "--epochs", "2", "--quiet") == 0
    assert sorted(os.listdir("p")) == ["confusion.png", "curves.png", "sweep.png"]


WRONG_LINES = [
    (["--l2", "-1"], "'-1' is not a number of 0 or more"),
    (["--l2", "1,x"], "'1,x' is not a number of 0 or more, or several such as 1e-3,1e-2"),
    (["--l2", "1,1.0"], "'1,1.0' has a value twice"),
    (["--learning-rate", "0"], "'0' is not a number above 0"),
    (["--epochs", "0"], "'0' is not an integer of 1 or more"),
    (["--halving", "1"], "'1' is not an integer of 2 or more"),
    (["--validation", "1"], "'1' is not a number from 0 to below 1"),
    (["--solver", "adam"], "invalid choice: 'adam'"),
    (["--metric", "f1"], "invalid choice: 'f1'"),
]


@pytest.mark.parametrize(("flags", "message"), WRONG_LINES)
def test_wrong_command_line_says_what_is_allowed(flags, message, capsys):
    with pytest.raises(SystemExit) as ending:
        tune(*flags)
    assert ending.value.code == 2
    assert message in capsys.readouterr().err


FAILURES = [
    (["none.npy", "y.csv"], [], "No such file or directory: 'none.npy'"),
    (["x.npy", "none.csv"], [], "No such file or directory: 'none.csv'"),
    (["bad.npy", "y.csv"], [], "bad.npy cannot be read as a .npy file"),
    (["bad.safetensors:a", "y.csv"], [], "bad.safetensors is not a safetensors file"),
    (["x.safetensors:c", "y.csv"], [], "x.safetensors has the tensors 'a', 'b'; name one as x.safetensors:KEY"),
    (["line.npy", "y.csv"], [], "line.npy has shape (5,), but features have (rows, columns)"),
    (["x.npy", "short.csv"], [], "short.csv has 2 entries, but features has 300 rows"),
    (["x.npy", "wide.csv"], [], "wide.csv has 2 columns; name one by --column NAME"),
    (["x.npy", "wide.csv"], ["--column", "fruit"], "wide.csv has no column 'fruit', but 'a', 'b'; name one"),
    (["x.npy", "empty.csv"], [], "empty.csv is empty"),
    (["x.npy", "one.csv"], [], "only the label 'a'"),
    (["nan.npy", "y.csv"], [], "features has nan in row"),
    (["x.npy", "y.csv"], ["--bfloat16"], "x.npy is float32, but --bfloat16 is for a file of uint16"),
    (["x.npy", "y.csv"], ["--output", "no/head"], "no is no folder, so no/head cannot be written"),
    (["x.npy", "y.csv"], ["--output", "folder"], "folder is a folder; name a file"),
    (["x.npy", "y.csv"], ["--halving", "2"], "--halving is given, but there is one head"),
    (["x.npy", "y.csv"], ["--l2", "1,2", "--validation", "0"], "--validation is 0, but several values are compared"),
    (["x.npy", "y.csv"], ["--early-stopping", "2", "--solver", "lbfgs"], 'early_stopping is 2, but solver "lbfgs"'),
    (["x.npy", "y.csv"], ["--loss", "squared"], 'loss "squared" aims at numbers'),
    (["x.npy", "y.csv"], ["--groups", "one.csv"], "--groups has the one group a, which cannot be on both sides"),
    (["x.npy", "y.csv"], ["--checkpoint", "bad.npy", "--epochs", "2"], "bad.npy is not a safetensors file"),
]  # fmt: skip


@pytest.mark.parametrize(("names", "flags", "message"), FAILURES)
def test_failure_is_one_line_and_leaves_the_older_file(names, flags, message, capsys):
    os.mkdir("folder")
    for name in ("bad.npy", "bad.safetensors", "x.head.safetensors", "nan.head.safetensors"):
        with open(name, "wb") as file:
            file.write(b"neither one nor the other")
    _safetensors.write("x.safetensors", {"a": FEATURES, "b": FEATURES})
    np.save("line.npy", np.zeros(5))
    np.save("nan.npy", np.where(np.arange(ROWS * WIDTH).reshape(ROWS, WIDTH) % 7 == 0, np.nan, 0))
    write("short.csv", ["a", "b"])
    write("wide.csv", ["1"] * ROWS, ["2"] * ROWS, header=["a", "b"])
    write("one.csv", ["a"] * ROWS)
    open("empty.csv", "w").close()
    before = {name: os.stat(name).st_mtime_ns for name in os.listdir()}
    assert cli.main(["tune", *names, *flags]) == 1
    said = capsys.readouterr().err
    assert said.startswith("numfuse tune: ")
    assert message in said
    assert said.count("\n") == 1
    assert {name: os.stat(name).st_mtime_ns for name in os.listdir()} == before


def test_without_matplotlib_one_line_says_so_before_any_work(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda *given: None)
    assert tune("--pictures", "p") == 1
    assert "matplotlib" in capsys.readouterr().err
    assert "x.head.safetensors" not in os.listdir()


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_leaves_the_older_file():
    with open("x.head.safetensors", "w") as file:
        file.write("older")
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "numfuse",
            "tune",
            "x.npy",
            "y.csv",
            "--epochs",
            "1000000",
            "--checkpoint",
            "c",
        ],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"NUMFUSE_BACKEND": "numpy"},
    )
    waited = time.monotonic()
    while not os.path.exists("c") and time.monotonic() < waited + 60:
        time.sleep(0.1)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert said == "numfuse tune: interrupted\n"
    with open("x.head.safetensors") as file:
        assert file.read() == "older"


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_killed_command_goes_on_to_the_same_bits():
    flags = ["--epochs", "300", "--batch-size", "16", "--quiet"]
    process = subprocess.Popen(
        [sys.executable, "-m", "numfuse", "tune", "x.npy", "y.csv", *flags, "--checkpoint", "c"],
        env=os.environ | {"NUMFUSE_BACKEND": "numpy"},
    )
    waited = time.monotonic()
    while not os.path.exists("c") and process.poll() is None and time.monotonic() < waited + 60:
        time.sleep(0.01)
    process.kill()
    process.wait(timeout=60)
    assert os.path.exists("c")
    assert tune(*flags, "--checkpoint", "c") == 0
    assert same("x.head.safetensors", fitted(solver="adamw", epochs=300, batch_size=16)[0])
