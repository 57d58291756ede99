"""Pictures and films of fields."""

import os
import sys

import numpy as np
import pytest

from models.needed import needed
from numfuse import plot

matplotlib = needed("matplotlib")
image_module = needed("PIL.Image")
matplotlib.use("agg")

from matplotlib import pyplot  # noqa: E402

PLANE = np.linspace(-1, 2, 6 * 8).reshape(6, 8)


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


def colour_values(ax):
    return ax.images[0].get_array()


def test_plane_is_drawn_first_row_at_the_top():
    ax = plot.field(PLANE, spacing=(0.5, 2.0), label="ink", title="a drop")
    assert np.array_equal(colour_values(ax), PLANE)
    assert ax.images[0].get_extent() == [0, 16, 3, 0]
    assert ax.get_ylim() == (3, 0)
    assert ax.images[0].get_clim() == (-1, 2)
    assert ax.get_title() == "a drop"
    assert "ink" in [text.get_text() for text in ax.figure.findobj(matplotlib.text.Text)]


def test_line_stands_at_cell_centres_and_stops_at_walls():
    walls = np.array([False, True, True, False, True])
    ax = plot.field([1.0, 2.0, 3.0, 4.0, 5.0], spacing=2.0, walls=walls, label="ink")
    x, y = ax.lines[0].get_data()
    assert np.array_equal(x, [1, 3, 5, 7, 9])
    assert np.array_equal(y, [1, np.nan, np.nan, 4, np.nan], equal_nan=True)
    assert ax.get_xlim() == (0, 10)
    spans = sorted((patch.get_x(), patch.get_x() + patch.get_width()) for patch in ax.patches)
    assert spans == [(2, 6), (8, 10)]
    assert ax.get_ylabel() == "ink"


@pytest.mark.parametrize(("index", "drawn"), [(None, 2), (0, 0), (-1, 4)])
def test_block_shows_one_plane(index, drawn):
    block = np.arange(5 * 3 * 4.0).reshape(5, 3, 4)
    ax = plot.field(block, index=index, spacing=(9, 1, 2))
    assert np.array_equal(colour_values(ax), block[drawn])
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("axis 1", "axis 2")
    assert ax.images[0].get_extent() == [0, 8, 3, 0]


def test_walls_and_what_is_not_finite_are_no_colours():
    walls = np.zeros(PLANE.shape, bool)
    walls[0, 0] = True
    plane = PLANE.copy()
    plane[0, 0], plane[1, 1], plane[2, 2] = 1e9, np.inf, np.nan
    ax = plot.field(plane, walls=walls)
    assert ax.images[0].get_clim() == (PLANE[0, 1], 2)
    assert colour_values(ax).mask[[1, 2], [1, 2]].all()
    assert np.array_equal(ax.images[1].get_array().mask, ~walls)


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        (np.full((2, 2), 5.0), (4.5, 5.5)),
        (np.zeros((2, 2)), (-0.5, 0.5)),
        (np.full((2, 2), np.nan), (0, 1)),
        (np.array([[True, False]]), (0, 1)),
        (np.array([[3, -2]], np.int8), (-2, 3)),
    ],
)
def test_limits_are_apart_whatever_the_field(values, ends):
    assert plot.field(values).images[0].get_clim() == pytest.approx(ends)


def test_field_is_drawn_where_one_wants_and_is_left_alone():
    figure, ax = pyplot.subplots()
    field = PLANE.astype(np.float32)
    field[0, 0] = np.nan
    before = field.tobytes()
    assert plot.field(field, ax=ax, limits=(0, 1), colormap="viridis") is ax
    assert ax.images[0].get_cmap().name == "viridis"
    assert ax.images[0].get_clim() == (0, 1)
    assert field.tobytes() == before
    assert pyplot.get_fignums() == [figure.number]


BAD_FIELDS = [
    ({"field": PLANE + 1j}, TypeError, r"field is complex128.*field\.real"),
    ({"field": [["a"]]}, TypeError, "has to be real numbers"),
    ({"field": np.float64(3)}, ValueError, r"shape \(\).*1, 2 or 3 axes"),
    ({"field": np.zeros((1, 2, 3, 4))}, ValueError, r"such as field\[0\]"),
    ({"field": np.zeros((0, 3))}, ValueError, "no empty one"),
    ({"spacing": 0}, ValueError, "spacing is 0, but has to be a finite number > 0"),
    ({"spacing": (1, 2, 3)}, ValueError, "each of the field's 2 axes"),
    ({"spacing": "wide"}, ValueError, "spacing is 'wide'"),
    ({"spacing": (1, np.inf)}, ValueError, "finite"),
    ({"walls": np.zeros((6, 8))}, TypeError, "walls != 0 makes one"),
    ({"walls": np.zeros((8, 6), bool)}, ValueError, r"\(8, 6\).*the field's, \(6, 8\)"),
    ({"index": 1}, ValueError, "2 axes and is drawn whole; leave it out"),
    ({"field": np.zeros((2, 3, 4)), "index": 2}, ValueError, "from -2 to 1"),
    ({"field": np.zeros((2, 3, 4)), "index": 0.5}, ValueError, "integer from -2 to 1"),
    ({"limits": (1, 0)}, ValueError, "two finite numbers, the lower first; leave it out"),
    ({"limits": (0, np.nan)}, ValueError, "finite"),
    ({"limits": 3}, ValueError, "limits is 3"),
    ({"colormap": "rainbowish"}, ValueError, "colormap is 'rainbowish'.*'viridis'"),
]


@pytest.mark.parametrize(("given", "error", "message"), BAD_FIELDS)
def test_bad_argument_is_named_with_the_way_out(given, error, message, tmp_path):
    arguments = {"field": PLANE} | given
    with pytest.raises(error, match=message):
        plot.field(**arguments)
    assert pyplot.get_fignums() == []
    field = arguments.pop("field")
    with pytest.raises(error, match=message.replace("field", r"field\S*")):
        plot.movie([field], tmp_path / "film.gif", **arguments)
    assert list(tmp_path.iterdir()) == []


def frames(path):
    with image_module.open(path) as film:
        for number in range(film.n_frames):
            film.seek(number)
            yield np.asarray(film.convert("RGB")).astype(int)


def test_film_shows_each_field_for_its_time(tmp_path):
    fields = [PLANE, PLANE[::-1], -PLANE]
    path = plot.movie(fields, tmp_path / "film.gif", frames_per_second=25, size=(3, 2))
    assert path == tmp_path / "film.gif"
    assert list(tmp_path.iterdir()) == [path]
    with image_module.open(path) as film:
        assert film.n_frames == 3
        assert film.size == (300, 200)
        assert film.info["duration"] == 40
        assert film.info["loop"] == 0
    first, second, third = frames(path)
    assert (first != second).any()
    assert (second != third).any()


def test_film_has_the_colours_of_the_map(tmp_path):
    walls = np.zeros((1, 3), bool)
    walls[0, 2] = True
    path = plot.movie([[[0.0, 1.0, 0.5]]], tmp_path / "film.gif", walls=walls, repeat=False)
    (picture,) = frames(path)
    seen = np.unique(picture.reshape(-1, 3), axis=0)
    ends = matplotlib.colormaps[plot.COLORMAP]([0.0, 1.0])[:, :3] * 255
    for colour in (*ends, (255, 255, 255), (0x8A, 0x94, 0x9E)):
        assert np.abs(seen - colour).max(axis=1).min() <= 1
    assert (picture[0, 0] == 255).all()
    with image_module.open(path) as film:
        assert "loop" not in film.info


def test_generator_is_drawn_one_by_one_when_limits_are_given(tmp_path, monkeypatch):
    alive = []

    def fields():
        for number in range(4):
            alive.append(number)
            yield PLANE + number

    shown = []
    show = plot.Drawing.show

    def watched(self, plane):
        shown.append(len(alive))
        show(self, plane)

    monkeypatch.setattr(plot.Drawing, "show", watched)
    plot.movie(fields(), tmp_path / "film.gif", limits=(0, 1), titles=map(str, range(4)))
    assert shown == [2, 3, 4]


def test_films_of_lines_and_blocks(tmp_path):
    walls = np.arange(6) == 3
    plot.movie(np.eye(3, 6), tmp_path / "lines.gif", walls=walls)
    assert len(list(frames(tmp_path / "lines.gif"))) == 3
    plot.movie(np.random.default_rng(0).random((2, 3, 4, 5)), tmp_path / "blocks.gif", index=1)
    assert len(list(frames(tmp_path / "blocks.gif"))) == 2


BAD_FILMS = [
    ({"fields": []}, ValueError, "fields is empty"),
    ({"fields": [PLANE, PLANE.T]}, ValueError, r"fields\[1\] has shape \(8, 6\)"),
    ({"fields": [PLANE, PLANE * 1j]}, TypeError, r"fields\[1\] is complex128"),
    ({"titles": ["a"]}, ValueError, "fields goes on after the 1 of titles"),
    ({"titles": ["a", "b", "c"]}, ValueError, "titles goes on after the 2 of fields"),
    ({"frames_per_second": 0}, ValueError, "frames_per_second is 0.*at most 50"),
    ({"frames_per_second": 51}, ValueError, "viewers slow down"),
    ({"frames_per_second": np.nan}, ValueError, "frames_per_second is nan"),
    ({"size": (3, 0)}, ValueError, "width and a height > 0"),
    ({"size": (3, 4), "dpi": 1e5}, ValueError, "fewer than 32768"),
    ({"path": "film.mp4"}, ValueError, r"has to end in \.gif"),
]


@pytest.mark.parametrize(("given", "error", "message"), BAD_FILMS)
@pytest.mark.parametrize("limits", [None, (0, 1)])
def test_bad_film_leaves_the_older_one(given, error, message, limits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    older = tmp_path / "film.gif"
    older.write_bytes(b"older")
    arguments = {"fields": [PLANE, -PLANE], "path": older, "limits": limits} | given
    with pytest.raises(error, match=message):
        plot.movie(**arguments)
    assert older.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [older]


@pytest.mark.parametrize(("module", "name"), [("matplotlib", "matplotlib"), ("PIL", "Pillow")])
def test_absent_library_shows_how_to_get_it(module, name, tmp_path, monkeypatch):
    found = plot.find_spec
    monkeypatch.setattr(plot, "find_spec", lambda asked: None if asked == module else found(asked))
    with pytest.raises(ImportError, match=rf"needs {name}, .*pip install 'numfuse\[plot\]'"):
        plot.movie([PLANE], tmp_path / "film.gif")


def test_importing_numfuse_and_its_plots_imports_no_matplotlib():
    import subprocess

    code = "import sys, numfuse.plot; sys.exit('matplotlib' in sys.modules or 'PIL' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)
