"""The command `numfuse diffuse`: files in, files out, nothing lost."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import numfuse
from models.needed import needed
from numfuse import _cli_diffuse, cli

image_module = needed("PIL.Image")

FIELD = np.random.default_rng(0).random((30, 40))


@pytest.fixture(autouse=True)
def plain(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    np.save("field.npy", FIELD)
    with numfuse.config_context(backend="numpy"):
        yield


def picture(name, array, **settings):
    image_module.fromarray(array).save(name, **settings)
    return name


def pixels(name):
    with image_module.open(name) as image:
        return np.asarray(image)


def opened(name):
    with image_module.open(name) as image:
        return image.mode, image.info


def bytes_of(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


ARRAYS = [
    (["--steps", "50"], {"steps": 50}),
    (["--steps", "0"], {"steps": 0}),
    (["--steps", "40", "--dt", "0.1"], {"steps": 40, "dt": 0.1}),
    (["--time", "7", "--dt", "0.15"], {"time": 7.0, "dt": 0.15}),
    (["--time", "7"], {"time": 7.0}),
    (["--time", "40", "--method", "rkl2"], {"time": 40.0, "method": "rkl2"}),
    (["--time", "9", "--method", "adi"], {"time": 9.0, "method": "adi"}),
    (["--steps", "9", "--dt", "2", "--method", "rkl2"], {"steps": 9, "dt": 2.0, "method": "rkl2"}),
    (["--time", "9", "--tolerance", "1e-5"], {"time": 9.0, "tolerance": 1e-5}),
    (["--steps", "3", "--spacing", "2,0.5"], {"steps": 3, "spacing": (2.0, 0.5)}),
    (["--steps", "3", "--diffusivity", "1,0.5"], {"steps": 3, "diffusivity": (1.0, 0.5)}),
    (["--steps", "3", "--axes", "1"], {"steps": 3, "axes": (1,)}),
    (["--steps", "3", "--order", "8"], {"steps": 3, "order": 8}),
    (["--steps", "3", "--boundary", "periodic"], {"steps": 3, "boundary": "periodic"}),
    (
        ["--steps", "3", "--boundary", "value:2", "--boundary", "1.high=flux:-1.5"],
        {"steps": 3, "boundary": {0: ("value", 2.0), 1: ("value", 2.0), (1, "high"): ("flux", -1.5)}},
    ),
    (
        ["--steps", "3", "--boundary", "0=robin:1,0.5,2", "--boundary", "1.low=insulated"],
        {"steps": 3, "boundary": {0: ("robin", 1.0, 0.5, 2.0)}},
    ),
    (["--steps", "3", "--decay", "0.1", "--source", "2"], {"steps": 3, "decay": 0.1, "source": 2.0}),
]  # fmt: skip


@pytest.mark.parametrize(("flags", "keywords"), ARRAYS, ids=lambda value: " ".join(value))
def test_array_is_diffused_as_by_the_function(flags, keywords, capsys):
    assert cli.main(["diffuse", "field.npy", "out.npy", *flags]) == 0
    keywords = {"diffusivity": 1.0} | keywords
    expected = numfuse.diffuse(FIELD, **keywords)
    assert np.load("out.npy").tobytes() == expected.tobytes()
    assert capsys.readouterr().out.startswith("out.npy: done in ")
    assert sorted(os.listdir()) == ["field.npy", "out.npy"]


def test_arrays_of_the_problem_come_from_files():
    rng = np.random.default_rng(1)
    arrays = {
        "diffusivity": rng.random(FIELD.shape),
        "decay": rng.random(FIELD.shape),
        "source": rng.random(FIELD.shape),
        "velocity": rng.random((2, *FIELD.shape)),
        "walls": rng.random(FIELD.shape) < 0.1,
        "held": rng.random(FIELD.shape) < 0.1,
    }
    flags = []
    for name, array in arrays.items():
        np.save(f"{name}.npy", array)
        flags += [f"--{name}", f"{name}.npy"]
    flags += ["--advection", "limited", "--mean", "arithmetic", "--steps", "5"]
    assert cli.main(["diffuse", "field.npy", "out.npy", *flags]) == 0
    expected = numfuse.diffuse(FIELD, steps=5, advection="limited", mean="arithmetic", **arrays)
    assert np.load("out.npy").tobytes() == expected.tobytes()


def test_input_may_be_the_output():
    assert cli.main(["diffuse", "field.npy", "field.npy", "--steps", "3"]) == 0
    assert np.array_equal(np.load("field.npy"), numfuse.diffuse(FIELD, 1.0, steps=3))


def test_float32_stays_float32():
    np.save("field.npy", FIELD.astype(">f4"))
    assert cli.main(["diffuse", "field.npy", "out.npy", "--steps", "3"]) == 0
    assert np.load("out.npy").dtype == np.float32


@pytest.mark.parametrize(("shape", "mode"), [((20, 30), "L"), ((20, 30, 3), "RGB")])
def test_image_of_bytes_counts_from_0_to_1(shape, mode):
    image = bytes_of(shape)
    picture("in.png", image)
    assert cli.main(["diffuse", "in.png", "out.png", "--steps", "7"]) == 0
    expected = numfuse.diffuse((image / 255).astype(np.float32), 1.0, steps=7, axes=(0, 1))
    found = pixels("out.png")
    assert np.array_equal(found, np.rint(expected * 255))
    assert opened("out.png")[0] == mode
    assert cli.main(["diffuse", "in.png", "out.npy", "--steps", "7"]) == 0
    np.testing.assert_allclose(np.load("out.npy"), expected, atol=1e-6)


def test_deep_grey_keeps_its_depth_and_resolution():
    image = np.random.default_rng(0).integers(0, 65536, (9, 8)).astype(np.uint16)
    picture("in.png", image, dpi=(300, 300))
    assert cli.main(["diffuse", "in.png", "out.png", "--steps", "1"]) == 0
    found = pixels("out.png")
    assert found.dtype == np.uint16
    expected = numfuse.diffuse(image / 65535, 1.0, steps=1) * 65535
    assert np.abs(found - expected).max() < 1
    assert opened("out.png")[1]["dpi"][0] == pytest.approx(300, abs=0.1)


def test_jpeg_is_read_as_it_was_held_and_written():
    image = np.repeat(bytes_of((4, 6, 3)), 16, axis=0).repeat(16, axis=1)
    exif = image_module.Exif()
    exif[0x0112] = 6  # turned by a quarter
    picture("in.jpg", image, exif=exif)
    assert cli.main(["diffuse", "in.jpg", "out.jpeg", "--steps", "1"]) == 0
    assert pixels("out.jpeg").shape == (96, 64, 3)


def test_transparent_pixels_have_no_colour_that_spreads():
    image = np.zeros((4, 20, 4), np.uint8)
    image[:, :10] = (255, 0, 0, 255)
    image[:, 10:] = (0, 255, 0, 0)
    picture("in.png", image)
    assert cli.main(["diffuse", "in.png", "out.png", "--time", "3"]) == 0
    found = pixels("out.png")
    assert (found[..., 1] == 0).all()
    assert (found[found[..., 3] > 20][:, 0] > 250).all()
    assert 0 < found[0, 11, 3] < 255


def test_indexed_and_two_tone_images_are_read():
    image_module.fromarray(bytes_of((9, 9, 3))).quantize(16).save("indexed.png")
    image_module.fromarray(bytes_of((9, 9)) > 99).save("tones.png")
    assert cli.main(["diffuse", "indexed.png", "a.png", "--steps", "1"]) == 0
    assert cli.main(["diffuse", "tones.png", "b.png", "--steps", "1"]) == 0
    assert (pixels("a.png").shape, pixels("b.png").shape) == ((9, 9, 3), (9, 9))


def test_dark_pixels_are_walls():
    image = bytes_of((20, 20))
    walls = np.zeros((20, 20), bool)
    walls[:, 9] = True
    picture("in.png", image)
    picture("walls.png", np.where(walls, 0, 255).astype(np.uint8))
    assert cli.main(["diffuse", "in.png", "out.png", "--steps", "9", "--walls", "walls.png"]) == 0
    assert np.array_equal(pixels("out.png")[walls], image[walls])


@pytest.mark.parametrize("conductance", ["exponential", "reciprocal"])
def test_edges_are_kept(conductance):
    image = bytes_of((20, 30, 3))
    picture("in.png", image)
    flags = ["--edge-preserving", "0.2", "--conductance", conductance, "--steps", "9"]
    assert cli.main(["diffuse", "in.png", "out.npy", *flags]) == 0
    expected = numfuse.diffuse_image(
        (image / 255).astype(np.float32), steps=9, edge=0.2, conductance=conductance, channel_axis=2
    )
    np.testing.assert_allclose(np.load("out.npy"), expected, atol=1e-6)


def test_values_that_are_cut_are_said(capsys):
    assert cli.main(["diffuse", "field.npy", "out.png", "--steps", "1", "--source", "9"]) == 0
    assert "of the values lay outside of 0 to 1 and were cut" in capsys.readouterr().err
    assert pixels("out.png").max() == 255


def test_quiet_says_nothing(capfd):
    assert cli.main(["diffuse", "field.npy", "out.npy", "--steps", "1", "--quiet"]) == 0
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("rich", [True, False])
def test_bar_follows_on_a_terminal(monkeypatch, capsys, rich):
    if rich:
        pytest.importorskip("rich")
    else:
        monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.setattr(_cli_diffuse, "_bar_shown", lambda options: True)
    monkeypatch.setattr(_cli_diffuse, "SECONDS", 0)
    assert cli.main(["diffuse", "field.npy", "out.npy", "--steps", "100"]) == 0
    if not rich:
        assert "explicit 32/100\rexplicit 64/100\rexplicit 96/100\rexplicit 100/100" in (
            capsys.readouterr().err
        )


WRONG_LINES = [
    ([], "--time or --steps says how long, and neither is given"),
    (["--time", "1", "--steps", "1"], "and both are given; give one"),
    (["--steps", "-1"], "'-1' is not an integer of 0 or more"),
    (["--steps", "1.5"], "'1.5' is not an integer"),
    (["--time", "-1"], "'-1' is not a number of 0 or more"),
    (["--time", "nan"], "'nan' is not a number"),
    (["--time", "1", "--dt", "0"], "'0' is not a number above 0"),
    (["--steps", "1", "--method", "rkl2"], "--method rkl2 has no usual step; give --dt, or --time"),
    (["--steps", "1", "--method", "euler"], "invalid choice: 'euler'"),
    (["--steps", "1", "--spacing", "a"], "'a' is not a number, nor several such as 1,0.5"),
    (["--steps", "1", "--axes", "x"], "'x' is not axes such as 1,2"),
    (["--steps", "1", "--boundary", "open"], "'open' is no side such as insulated"),
    (["--steps", "1", "--boundary", "value"], "'value' is no side"),
    (["--steps", "1", "--boundary", "0.left=value:1"], "'0.left=value:1' is no side"),
    (["--steps", "1", "--walls", "none.npy"], "No such file or directory: 'none.npy'"),
    (["--steps", "1", "--walls", "walls.bmp"], "'walls.bmp' does not end in .npy, .png"),
    (["--steps", "1", "--conductance", "reciprocal"], "--conductance belongs to --edge-preserving"),
    (["--steps", "1", "--edge-preserving", "0.1", "--order", "4", "--walls", "field.npy"],
     "takes --steps, --dt and --conductance alone; leave out --walls, --order"),
    (["--time", "1", "--edge-preserving", "0.1"], "leave out --time"),
]  # fmt: skip


@pytest.mark.parametrize(("flags", "message"), WRONG_LINES)
def test_wrong_command_line_says_what_is_allowed(flags, message, capsys):
    with pytest.raises(SystemExit) as ending:
        cli.main(["diffuse", "field.npy", "out.npy", *flags])
    assert ending.value.code == 2
    assert message in capsys.readouterr().err
    assert os.listdir() == ["field.npy"]


def garbage(name):
    with open(name, "wb") as file:
        file.write(b"neither an image nor an array")


FAILURES = [
    (["none.npy", "out.npy"], [], "No such file or directory: 'none.npy'"),
    (["none.png", "out.npy"], [], "No such file or directory: "),
    (["garbage.npy", "out.npy"], [], "garbage.npy cannot be read as a .npy file"),
    (["garbage.png", "out.npy"], [], "garbage.png cannot be read as an image"),
    (["field.npy", "no/out.npy"], [], "no is no folder, so no/out.npy cannot be written"),
    (["field.npy", "folder.npy"], [], "folder.npy is a folder; name a file"),
    (["line.npy", "out.png"], [], "shape (5,), not (rows, columns)"),
    (["rgba.png", "out.jpg"], [], "cannot hold transparency, being JPEG; write it to a .png file"),
    (["whole.npy", "out.npy"], [], "int64"),
    (["field.npy", "out.npy"], ["--dt", "3"], "dt is 3, but the explicit method is stable up to"),
    (["field.npy", "out.npy"], ["--walls", "field.npy"], "walls is an array of float64"),
    (["field.npy", "out.npy"], ["--boundary", "2=value:1"], "boundary has a key for axis 2"),
]


@pytest.mark.parametrize(("files", "flags", "message"), FAILURES)
def test_failure_is_one_line_and_leaves_the_older_file(files, flags, message, capsys):
    garbage("garbage.npy")
    garbage("garbage.png")
    os.mkdir("folder.npy")
    np.save("line.npy", np.zeros(5))
    np.save("whole.npy", np.arange(5))
    picture("rgba.png", bytes_of((4, 4, 4)))
    garbage("out.npy")
    garbage("out.png")
    before = {name: os.path.getsize(name) for name in sorted(os.listdir())}
    assert cli.main(["diffuse", *files, "--steps", "5", *flags]) == 1
    said = capsys.readouterr().err
    assert said.startswith("numfuse diffuse: ")
    assert message in said
    assert said.count("\n") == 1
    assert before == {name: os.path.getsize(name) for name in sorted(os.listdir())}


def test_without_pillow_one_line_says_so(monkeypatch, capsys):
    picture("in.png", bytes_of((4, 4)))
    monkeypatch.setattr("numfuse._image_files.find_spec", lambda name: None)
    for files in (["in.png", "out.npy"], ["field.npy", "out.png"]):
        assert cli.main(["diffuse", *files, "--steps", "1"]) == 1
        assert "needs Pillow, not installed; pip install 'numfuse[plot]'" in capsys.readouterr().err


def test_full_disk_leaves_the_older_file(monkeypatch, capsys):
    garbage("out.npy")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert cli.main(["diffuse", "field.npy", "out.npy", "--steps", "1"]) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert sorted(os.listdir()) == ["field.npy", "out.npy"]
    assert os.path.getsize("out.npy") == 29


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_leaves_the_older_file(tmp_path):
    garbage("out.npy")
    np.save("field.npy", np.random.default_rng(0).random((512, 512)))
    process = subprocess.Popen(
        [sys.executable, "-m", "numfuse", "diffuse", "field.npy", "out.npy", "--steps", "1000000"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"NUMFUSE_BACKEND": "numpy"},
    )
    time.sleep(3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert said == "numfuse diffuse: interrupted\n"
    assert sorted(os.listdir()) == ["field.npy", "out.npy"]
    assert os.path.getsize("out.npy") == 29
