"""The picture of a record: for each case, how many times as long as numfuse the others take."""

from importlib.util import find_spec
from pathlib import Path

from .peers import OURS
from .record import Record

FILE_NAME = "bench.png"
# Okabe and Ito's colours and two of Tol's, to be told apart with any kind of colour vision.
COLOURS = {
    "reference": "#999999",
    "numpy": "#56B4E9",
    "torch": "#D55E00",
    "onnxruntime": "#009E73",
    "openvino": "#CC79A7",
    "explicit": "#E69F00",
    "scipy": "#F0E442",
    "numba": "#0072B2",
    "devito": "#332288",
    "pypde": "#882255",
    "torch_loop": "#AA4499",
    "sklearn": "#117733",
}
BAR = 0.2  # inches


def available() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def draw(record: Record, path: Path) -> bool:
    """Draw the record's ratios as horizontal bars; False if it holds none."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullLocator

    others = [name for name in record.contestants if name != OURS]
    bars = []  # (y, contestant, ratio)
    ticks = []  # (y, title)
    y = 0.0
    for case in record.cases:
        found = [(name, case.ratio(OURS, name)) for name in others]
        present = [(name, ratio) for name, ratio in found if ratio is not None]
        if not present:
            continue
        ticks.append((y + (len(present) - 1) / 2, case.title))
        bars += [(y + i, name, ratio) for i, (name, ratio) in enumerate(present)]
        y += len(present) + 0.8
    if not bars:
        return False

    figure = Figure(figsize=(10, 1.6 + BAR * y), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name in others:
        mine = [(at, ratio) for at, who, ratio in bars if who == name]
        if not mine:
            continue
        axes.barh(
            [at for at, _ in mine],
            [ratio.median - 1 for _, ratio in mine],
            left=1,
            height=0.85,
            color=COLOURS.get(name, "#0072B2"),
            label=record.contestants[name],
            xerr=[
                [ratio.median - ratio.low for _, ratio in mine],
                [ratio.high - ratio.median for _, ratio in mine],
            ],
            error_kw={"elinewidth": 1, "ecolor": "#333333"},
        )
        for at, ratio in mine:
            axes.annotate(
                f"{ratio.median:.2f}" if ratio.median < 9.995 else f"{ratio.median:.0f}",
                (max(ratio.high, 1), at),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=7,
            )
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_xlim(
        min(0.8, 0.9 * min(ratio.low for _, _, ratio in bars)),
        1.6 * max(ratio.high for _, _, ratio in bars),
    )
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5), numticks=20))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(y - 0.8, -1)
    axes.set_yticks([at for at, _ in ticks], [title for _, title in ticks])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.set_xlabel(
        "time over numfuse's: right of 1 numfuse is faster; whiskers are quartiles\n"
        "a case of four numbers is attention: batch, heads, length, head size"
    )
    axes.set_title(
        f"numfuse {record.versions.get('numfuse', '')} on {record.machine.get('cpu', 'this CPU')}, "
        f"{record.threads} thread{'s' if record.threads != 1 else ''}, level {record.level}, "
        f"{record.date[:10]}",
        fontsize=10,
    )
    # Below the axes: inside, it would lie on some bar.
    figure.legend(loc="outside lower center", ncols=len(others), fontsize=8, frameon=False)
    figure.savefig(path)
    return True
