"""Pictures of heads: what is drawn is what was given."""

import numpy as np
import pytest

from models.needed import needed
from numfuse import HeadSweep, LinearHead, plot

matplotlib = needed("matplotlib")
matplotlib.use("agg")

from matplotlib import pyplot  # noqa: E402

RNG = np.random.default_rng(0)
FEATURES = RNG.standard_normal((60, 4))
LABELS = np.where(FEATURES[:, 0] + RNG.standard_normal(60) > 0, "yes", "no")
DATA = FEATURES[:40], LABELS[:40]
HELD = FEATURES[40:], LABELS[40:]


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_curves_of_a_head_are_its_history():
    history = LinearHead(solver="adamw", epochs=5).fit(*DATA, validation=HELD).history_
    ax = plot.learning_curves(history)
    (metric,) = [other for other in ax.figure.axes if other is not ax]
    drawn = [*ax.lines, *metric.lines]
    for line, name in zip(drawn, ("loss", "validation_loss", "validation_metric"), strict=True):
        assert line.get_xdata().tolist() == [0, 1, 2, 3, 4]
        assert line.get_ydata().tolist() == history[name].tolist()
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert words == ["loss", "validation loss", "validation metric"]


def test_curves_without_validation_have_one_axis():
    ax = plot.learning_curves(LinearHead().fit(*DATA).history_)
    assert len(ax.figure.axes) == len(ax.lines) == 1


def test_curves_of_a_sweep_are_one_line_a_head():
    sweep = HeadSweep({"learning_rate": [1e-3, 1e-2, 1e-1]}, epochs=3).fit(*DATA, validation=HELD)
    ax = plot.learning_curves(sweep.history_)
    drawn = np.array([line.get_ydata() for line in ax.lines])
    assert np.array_equal(drawn, sweep.history_["validation_loss"])


def test_loss_that_falls_far_has_a_logarithmic_axis():
    assert plot.learning_curves({"loss": [10.0, 1.0, 0.1]}).get_yscale() == "log"
    assert plot.learning_curves({"loss": [10.0, 1.0, np.inf]}).get_yscale() == "linear"
    assert plot.learning_curves({"loss": [10.0, -1.0]}).get_yscale() == "linear"


RESULTS = {
    "l2": np.array([0.1, 0.1, 0.01, 0.01, 0.1]),
    "loss_kind": np.array(["b", "a", "b", "a", "b"]),
    "rank": np.array([2, 4, 3, 5, 1]),
    "validation_metric": np.array([0.8, 0.5, 0.6, 0.4, 0.9]),
}


def test_heat_map_shows_the_best_head_of_each_cell():
    ax = plot.sweep(RESULTS, "l2", "loss_kind")
    # Numbers are in order, words as they come; the last head is better than the first.
    assert ax.images[0].get_array().tolist() == [[0.6, 0.9], [0.4, 0.5]]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0.01", "0.1"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["b", "a"]
    assert texts(ax) == ["0.6", "0.9", "0.4", "0.5"]
    (frame,) = ax.patches
    assert (round(frame.get_x()), round(frame.get_y())) == (1, 0)


def test_cell_without_a_head_stays_blank():
    few = {name: column[1:4] for name, column in RESULTS.items()}
    array = plot.sweep(few, "l2", "loss_kind").images[0].get_array()
    assert np.ma.getmaskarray(array).tolist() == [[False, False], [False, True]]


def test_one_keyword_is_a_line_with_the_best_marked():
    ax = plot.sweep(RESULTS, "l2")
    line, best = ax.lines
    assert line.get_xydata().tolist() == [[0.01, 0.6], [0.1, 0.9]]
    assert best.get_xydata().tolist() == [[0.1, 0.9]]
    wide = {"l2": [1e-5, 1.0], "validation_metric": [0.1, 0.2]}
    assert plot.sweep(wide, "l2").get_xscale() == "log"


def test_every_kind_of_value_has_a_place():
    odd = np.empty(4, object)
    odd[:] = [None, (0, 2), slice(1, 3), np.ones((2, 3))]
    ax = plot.sweep({"odd": odd, "validation_metric": [1, 2, 3, 4]}, "odd")
    words = [label.get_text() for label in ax.get_xticklabels()]
    assert words == ["None", "(0, 2)", "slice(1, 3, None)", "array (2, 3), mean 1"]


def test_results_of_a_real_sweep_are_drawn():
    grid = {"l2": [1e-3, 1e-1], "class_weight": [None, "balanced"]}
    sweep = HeadSweep(grid, solver="lbfgs").fit(*DATA, validation=HELD)
    ax = plot.sweep(sweep.results_, "l2", "class_weight", value="validation_loss")
    expected = sweep.results_["validation_loss"].reshape(2, 2).T
    assert np.array_equal(ax.images[0].get_array(), expected)


def test_confusion_counts_rows_by_true_label():
    ax = plot.confusion(list("aabbbc"), list("abbbca"))
    assert ax.images[0].get_array().tolist() == [[1, 1, 0], [0, 2, 1], [1, 0, 0]]
    assert texts(ax) == ["1", "1", "0", "0", "2", "1", "1", "0", "0"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted", "true")


def test_confusion_normalised_is_a_share_of_the_true_label():
    ax = plot.confusion([0, 0, 1], [0, 1, 1], classes=[1, 0, 2], normalize=True)
    assert ax.images[0].get_array().tolist() == [[1, 0, 0], [0.5, 0.5, 0], [0, 0, 0]]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "0", "2"]


def test_many_classes_have_no_figures():
    assert texts(plot.confusion(np.arange(20), np.arange(20))) == []


def test_precision_over_recall_by_hand():
    ax = plot.precision_recall([0, 1, 0, 1, 1], [0.1, 0.9, 0.5, 0.5, 0.3])
    line, guess = ax.lines
    # Thresholds 0.9, 0.5 (two rows at once), 0.3, 0.1.
    assert line.get_xdata() == pytest.approx([0, 1 / 3, 2 / 3, 1, 1])
    assert line.get_ydata() == pytest.approx([1, 1, 2 / 3, 3 / 4, 3 / 5])
    assert set(guess.get_ydata()) == {0.6}
    average = (1 + 2 / 3 + 3 / 4) / 3
    assert ax.get_legend().get_texts()[0].get_text() == f"average precision {average:.3f}"


def test_average_precision_is_the_metric_of_the_heads():
    head = LinearHead(loss="sigmoid").fit(*DATA)
    judged = LinearHead(
        loss="sigmoid", solver="sgd", learning_rate=1e-12, epochs=1, initial=head,
        metric="average_precision",
    ).fit(*DATA, validation=HELD)  # fmt: skip
    value = judged.history_["validation_metric"][0]
    for scores in (
        head.decision_function(HELD[0]),
        head.decision_function(HELD[0])[:, 0],
        head.predict_proba(HELD[0]),
    ):
        ax = plot.precision_recall(HELD[1], scores)
        assert ax.get_legend().get_texts()[0].get_text() == f"average precision {value:.3f}"


def test_other_label_turns_two_columns_around():
    chances = LinearHead().fit(*DATA).predict_proba(HELD[0])
    two = plot.precision_recall(HELD[1], chances, positive="no")
    one = plot.precision_recall(HELD[1] == "no", chances[:, 0] - chances[:, 1])
    assert np.array_equal(two.lines[0].get_xydata(), one.lines[0].get_xydata())


def test_several_scores_share_one_picture():
    figure, ax = pyplot.subplots()
    targets = [0, 1, 1]
    given = {"good": [0.0, 1.0, 2.0], "bad": [2.0, 1.0, 0.0]}
    assert plot.precision_recall(targets, given, ax=ax) is ax
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert words[0] == "good, average precision 1.000"
    assert words[1].startswith("bad, average precision 0.58")
    assert pyplot.get_fignums() == [figure.number]


def test_infinite_scores_that_are_equal_are_one_threshold():
    ax = plot.precision_recall([0, 1, 1, 0], [np.inf, np.inf, -np.inf, -np.inf])
    assert ax.lines[0].get_xdata() == pytest.approx([0, 1 / 2, 1])
    assert ax.lines[0].get_ydata() == pytest.approx([1 / 2, 1 / 2, 1 / 2])


BROKEN = r"$\frac$"


@pytest.mark.parametrize(("function", "given", "keywords"), [
    (plot.confusion, ([BROKEN, "b"], [BROKEN, "b"]), {}),
    (plot.precision_recall, ([0, 1], {BROKEN: [0, 1]}), {}),
    (plot.sweep, ({BROKEN: ["a", BROKEN], "loss": [1.0, 2.0]}, BROKEN), {"value": "loss"}),
    (plot.sweep, ({"l2": [1.0, 2.0], BROKEN: [1.0, 2.0]}, "l2"), {"value": BROKEN}),
    (
        plot.sweep,
        ({BROKEN: [BROKEN, "b"], "y$y$": ["a", BROKEN], "loss$$": [1.0, 2.0]}, BROKEN, "y$y$"),
        {"value": "loss$$"},
    ),
])  # fmt: skip
def test_dollar_signs_are_no_formulas(function, given, keywords):
    ax = function(*given, **keywords)
    ax.figure.canvas.draw()
    named = [ax.xaxis.label, ax.yaxis.label, ax.title, *ax.get_xticklabels(), *ax.get_yticklabels()]
    if ax.get_legend() is not None:
        named += ax.get_legend().get_texts()
    # matplotlib's own figures of logarithmic axes are formulas.
    named = [
        text for text in named if "$" in text.get_text() and "mathdefault" not in text.get_text()
    ]
    assert named
    assert not any(text.get_parse_math() for text in named)


def test_classes_order_labels_that_do_not_sort():
    labels = np.array([1, "a", 1], object)
    ax = plot.confusion(labels, labels, classes=np.array(["a", 1], object))
    assert ax.images[0].get_array().tolist() == [[1, 0], [0, 2]]


MIXED = np.array([1, "a"], object)
BAD = [
    (plot.learning_curves, ([1, 2],), {}, TypeError, r"pass head\.history_"),
    (plot.learning_curves, ({"validation_loss": [1.0]},), {}, ValueError, "no 'loss'"),
    (plot.learning_curves, ({"loss": []},), {}, ValueError, r"shape \(0,\)"),
    (plot.learning_curves, ({"loss": [1.0], "validation_loss": [1.0, 2.0]},), {}, ValueError, "of one fit"),
    (plot.sweep, ([1, 2], "l2"), {}, TypeError, r"pass sweep\.results_"),
    (plot.sweep, (RESULTS, "l3"), {}, ValueError, "no column 'l3', but 'l2', 'loss_kind'"),
    (plot.sweep, (RESULTS, "l2", "l2"), {}, ValueError, "leave y out for a line"),
    (plot.sweep, (RESULTS, "l2"), {"value": "loss_kind"}, ValueError, "no finite number"),
    (plot.sweep, ({"l2": [1], "validation_metric": [np.nan]}, "l2"), {}, ValueError, 'value="loss"'),
    (plot.confusion, ([1, 2], [1]), {}, ValueError, "predictions has shape .* targets' 2 rows"),
    (plot.confusion, ([], []), {}, ValueError, "not empty"),
    (plot.confusion, ([1, 2], [[0, 1], [1, 0]]), {}, ValueError, "pass what predict returns"),
    (plot.confusion, ([1, 2], [1, 3]), {"classes": [1, 2]}, ValueError, "predictions has the label 3"),
    (plot.confusion, ([1, 2], [1, 2]), {"classes": [1, 2, 2]}, ValueError, "twice"),
    (plot.sweep, ({"l2": [1], "loss": [1.0, 2.0]}, "l2"), {"value": "loss"}, ValueError, r"results\['l2'\] has shape \(1,\), but results\['loss'\] \(2,\); pass"),
    (plot.sweep, ({"l2": 1, "loss": [1.0, 2.0]}, "l2"), {"value": "loss"}, ValueError, r"results\['l2'\] has shape \(\), but"),
    (plot.sweep, ({"l2": [1, 2], "b": [1, 2, 3], "loss": [1.0, 2.0]}, "l2", "b"), {"value": "loss"}, ValueError, r"results\['b'\] has shape \(3,\)"),
    (plot.sweep, ({"l2": [1, 2], "rank": [1], "loss": [1.0, 2.0]}, "l2"), {"value": "loss"}, ValueError, r"results\['rank'\] has shape \(1,\)"),
    (plot.sweep, ({"l2": [1], "loss": [[1.0]]}, "l2"), {"value": "loss"}, ValueError, r"results\['loss'\] has shape \(1, 1\)"),
    (plot.confusion, ([1, "a"], [1, 1]), {}, TypeError, "targets has texts and 1, but .*; make all"),
    (plot.confusion, ([1, 2], ["a", 1]), {}, TypeError, "predictions has texts and 1, but .*; make all"),
    (plot.confusion, ([1, 2], ["a", "b"]), {}, TypeError, "predictions has labels that do not sort together with those of targets"),
    (plot.confusion, ([1, 2], MIXED), {}, TypeError, "predictions has labels that do not sort together"),
    (plot.confusion, ([1, None], [1, 1]), {}, TypeError, "predictions has labels that do not sort together"),
    (plot.confusion, (np.array([[1], [1, 2]], object), [1, 1]), {}, TypeError, "targets has labels that are no numbers or texts"),
    (plot.confusion, ([[1, 2], [1, 2]], [1, 1]), {}, ValueError, r"targets has shape \(2, 2\), but has to be one label a row"),
    (plot.confusion, ([[1, 2], [1]], [1, 1]), {}, ValueError, "targets has rows of several lengths"),
    (plot.confusion, ([1, 2], [1, 2]), {"classes": [[1, 2]]}, ValueError, r"classes has shape \(1, 2\), but has to be \(classes,\)"),
    (plot.confusion, ([1, np.nan], [1, 1]), {}, ValueError, "targets has nan in row 1; leave out"),
    (plot.precision_recall, ([0, np.nan], [1, 2]), {}, ValueError, "targets has nan in row 1; leave out"),
    (plot.precision_recall, ([0, 1, np.nan], [1, 2, 3]), {}, ValueError, "targets has nan in row 2; leave out"),
    (plot.precision_recall, (MIXED, [1, 2]), {}, TypeError, "targets has labels that do not sort, such as"),
    (plot.precision_recall, ([1, 1], [1, 2]), {}, ValueError, "has 1 kinds"),
    (plot.precision_recall, ([1, 2, 3], [1, 2, 3]), {}, ValueError, "pass targets == that class"),
    (plot.precision_recall, ([1, 2], [1, 2]), {"positive": 3}, ValueError, "the labels are 1 and 2"),
    (plot.precision_recall, ([1, 2], [1, np.nan]), {}, ValueError, "scores has nan in row 1"),
    (plot.precision_recall, ([1, 2], {"a": [1]}), {}, ValueError, r"scores\['a'\] has shape \(1,\)"),
    (plot.precision_recall, ([1, 2], np.zeros((2, 3))), {}, ValueError, r"\(n,\) or \(n, 2\)"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "given", "keywords", "error", "message"), BAD)
def test_bad_argument_is_named_with_the_way_out(function, given, keywords, error, message):
    with pytest.raises(error, match=message):
        function(*given, **keywords)
    assert pyplot.get_fignums() == []


def test_absent_matplotlib_shows_how_to_get_it(monkeypatch):
    monkeypatch.setattr(plot, "find_spec", lambda asked: None)
    with pytest.raises(ImportError, match=r"needs matplotlib, .*pip install 'numfuse\[plot\]'"):
        plot.confusion([1, 2], [1, 2])
