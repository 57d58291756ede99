"""Chapter: from a few labels to the area of the standard library that a docstring is from."""

import hashlib
import importlib
import inspect
import re
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numfuse import HeadSweep

from . import draw_heads
from .chapter import Chapter, Guide, Picture, Table

AREAS = {
    "text": "string re textwrap difflib html html.parser html.entities json.decoder json.encoder "
    "codecs gettext locale csv stringprep encodings.idna unicodedata xml.sax.saxutils shlex",
    "numbers": "math cmath decimal _pydecimal fractions random statistics numbers _pylong colorsys",
    "files": "posixpath ntpath pathlib shutil tempfile glob fnmatch fileinput zipfile tarfile gzip "
    "bz2 lzma _pyio filecmp linecache stat zipapp configparser plistlib dbm.dumb shelve",
    "network": "socket ssl http.client http.server http.cookies http.cookiejar urllib.request "
    "urllib.parse urllib.robotparser smtplib ftplib imaplib poplib socketserver selectors "
    "xmlrpc.client xmlrpc.server ipaddress email.message webbrowser wsgiref.headers",
    "concurrency": "threading multiprocessing.pool multiprocessing.managers multiprocessing.queues "
    "multiprocessing.shared_memory concurrent.futures._base concurrent.futures.process queue sched "
    "subprocess asyncio.locks asyncio.tasks asyncio.base_events asyncio.streams asyncio.queues "
    "asyncio.runners asyncio.timeouts asyncio.taskgroups signal contextvars",
    "data types": "collections collections.abc datetime calendar heapq bisect array enum copy "
    "dataclasses weakref types zoneinfo graphlib reprlib pprint struct operator functools "
    "typing abc",
    "code": "ast inspect tokenize dis importlib.util importlib.machinery importlib.resources "
    "symtable code codeop compileall py_compile pkgutil modulefinder runpy traceback",
    "tests": "unittest.case unittest.mock unittest.suite unittest.loader unittest.result doctest "
    "pdb bdb trace timeit cProfile pstats tracemalloc faulthandler unittest.runner",
}
LEAST_CHARACTERS, MOST_CHARACTERS = 20, 240
MOST_OF_A_MODULE = 60  # so that no area is one module
MOST_TOKENS = 48
COUNTS = (1, 2, 5, 10, 20, 50)
REPETITIONS = 5
PENALTIES = tuple(10.0**power for power in range(-6, 1))
SMOOTHINGS = (0.0, 0.1, 0.2)
WORDS = 1024


class Texts(NamedTuple):
    """Docstrings, the area of each, and which part its module is in."""

    texts: list[str]
    areas: NDArray[np.str_]
    parts: NDArray[np.str_]  # "train", "choose", "test"


def docstrings(guide: Guide) -> Chapter:
    """Tune heads on embeddings and on words, and compare them on modules that neither has seen."""
    guide.say("Reading the standard library's docstrings")
    found = collect()
    train, choose, test = (found.parts == part for part in ("train", "choose", "test"))
    guide.say(f"Embedding {len(found.texts)} docstrings")
    embeddings = guide.encoder.encode(found.texts, max_length=MOST_TOKENS)
    words = bag_of_words(found.texts, train)

    guide.say("Tuning heads on a few docstrings")
    scores = {
        name: few_labels(features, found)
        for name, features in (("MiniLM's embeddings", embeddings), ("bag of words", words))
    }
    grid = {"l2": PENALTIES, "label_smoothing": SMOOTHINGS}
    sweep = HeadSweep(grid, solver="lbfgs", tolerance=1e-4).fit(
        embeddings[train],
        found.areas[train],
        validation=(embeddings[choose], found.areas[choose]),
    )
    predictions = sweep.predict(embeddings[test])
    right = float(np.mean(predictions == found.areas[test]))
    ours, theirs = scores.values()
    guide.say("Drawing what the heads learned")
    return Chapter(
        "A classifier from a few labels",
        (
            (
                f"{len(found.texts):,} docstrings of the standard library, from {len(AREAS)} "
                f"areas such as {', '.join(list(AREAS)[:3])}. Which area is one from? A head, one "
                "linear layer, learns it on top of MiniLM's embeddings, which stay as they are. "
                "Beside it learns the same head on word counts (hashed, log(1 + tf)·idf), which "
                "knows no word before it is told."
            ),
            (
                f"Modules are split by a hash of their names, so that none is on two sides: "
                f"{train.sum():,} docstrings to learn from, {choose.sum():,} to choose each head's "
                f"penalty by, {test.sum():,} that count."
            ),
            _by_labels(scores),
            Table(
                "Right on modules not seen before",
                ("Labels for each area", *(f"{name}, %" for name in scores)),
                tuple(
                    (str(count), *(float(100 * values[row].mean()) for values in scores.values()))
                    for row, count in enumerate(COUNTS)
                ),
                printed=True,
            ),
            _verdict(ours, theirs),
            _sweep(sweep),
            (
                f"With all {train.sum():,} docstrings the best of these "
                f"{len(sweep.heads_)} heads is right on {right:.0%} of the docstrings that count. "
                f"{_worst(found.areas[test], predictions)}"
            ),
            _confusion(found.areas[test], predictions, sweep.best_.classes_),
        ),
    )


def collect() -> Texts:
    """Return the first paragraphs of all docstrings that are of one module alone."""
    owners: dict[str, list[tuple[str, str]]] = {}
    for area, names in AREAS.items():
        for name in names.split():
            for text in _texts_of(name):
                owners.setdefault(text, []).append((area, name))
    parts = part_of_modules()
    rows = [(text, *owned[0]) for text, owned in owners.items() if len(set(owned)) == 1]
    return Texts(
        [text for text, _, _ in rows],
        np.array([area for _, area, _ in rows]),
        np.array([parts[name] for _, _, name in rows]),
    )


def part_of_modules() -> dict[str, str]:
    """Split each area's modules by a hash of their names: a half to learn, a quarter, a quarter."""
    parts = {}
    for names in AREAS.values():
        ranked = sorted(names.split(), key=lambda name: hashlib.sha256(name.encode()).digest())
        for place, name in enumerate(ranked):
            parts[name] = ("train", "test", "train", "choose")[place % 4]
    return parts


def _texts_of(name: str) -> list[str]:
    """Return first paragraphs of what a module defines, methods too; none if it is not here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some modules are on their way out
        try:
            module = importlib.import_module(name)
        except ImportError:
            return []
        texts = dict.fromkeys(_first_paragraph(thing) for thing in _things_of(module))
    kept = [text for text in texts if len(text) >= LEAST_CHARACTERS]
    return kept[:MOST_OF_A_MODULE]


def _things_of(module: ModuleType) -> Iterator[Any]:
    yield module
    for name, thing in sorted(vars(module).items()):
        if name.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
            continue
        yield thing
        if inspect.isclass(thing):
            for inner, member in sorted(vars(thing).items()):
                if not inner.startswith("_"):
                    yield member


def _first_paragraph(thing: Any) -> str:
    text = getattr(thing, "__doc__", None)
    if not isinstance(text, str):
        return ""
    paragraph = inspect.cleandoc(text).split("\n\n")[0]
    return " ".join(paragraph.split())[:MOST_CHARACTERS]


def bag_of_words(texts: list[str], train: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return log(1 + count)·idf of hashed words, of length 1; idf of the training texts alone."""
    counts = np.zeros((len(texts), WORDS), np.float32)
    for row, text in enumerate(texts):
        for word in re.findall(r"[a-z]+", text.lower()):
            place = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big") % WORDS
            counts[row, place] += 1
    seen = (counts[train] > 0).sum(axis=0)
    weighted = np.log1p(counts) * np.log((1 + train.sum()) / (1 + seen)).astype(np.float32)
    lengths = np.linalg.norm(weighted, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = weighted / np.maximum(lengths, 1e-6)
    return scaled


def few_labels(features: NDArray[Any], found: Texts) -> NDArray[np.float64]:
    """Return accuracies (counts, repetitions) on the test's modules."""
    choose, test = found.parts == "choose", found.parts == "test"
    validation = features[choose], found.areas[choose]
    scores = np.empty((len(COUNTS), REPETITIONS))
    for repetition in range(REPETITIONS):
        order = np.random.default_rng(repetition).permutation(len(found.texts))
        order = order[found.parts[order] == "train"]
        own = [order[found.areas[order] == area] for area in AREAS]
        for row, count in enumerate(COUNTS):
            chosen = np.concatenate([rows[:count] for rows in own])
            sweep = HeadSweep({"l2": PENALTIES}, solver="lbfgs", tolerance=1e-4)
            sweep.fit(features[chosen], found.areas[chosen], validation=validation)
            scores[row, repetition] = sweep.score(features[test], found.areas[test])
    return scores


def _verdict(ours: NDArray[Any], theirs: NDArray[Any]) -> str:
    """Say how many labels the words need for what the embeddings have with a few."""
    row = COUNTS.index(5)
    reached = ours[row].mean()
    enough = [count for count, s in zip(COUNTS, theirs.mean(axis=1), strict=True) if s >= reached]
    words = (
        f"need {enough[0]} labels for each area for that"
        if enough
        else f"do not get there with {COUNTS[-1]}"
    )
    return (
        f"With {COUNTS[row]} labels for each area the head on embeddings is right on "
        f"{reached:.0%}; word counts {words}."
    )


def _worst(targets: NDArray[Any], predictions: NDArray[Any]) -> str:
    """Say which area is most often taken for which."""
    pairs = [
        (float(np.mean(predictions[targets == true] == other)), true, other)
        for true in AREAS
        for other in AREAS
        if true != other
    ]
    share, true, other = max(pairs)
    return f"Most often confused: {share:.0%} of “{true}” is taken for “{other}”."


def _by_labels(scores: dict[str, NDArray[np.float64]]) -> Picture:
    def drawn(*, narrow: bool) -> bytes:
        return draw_heads.by_labels(COUNTS, scores, chance=1 / len(AREAS), narrow=narrow)

    means = {name: values.mean(axis=1) for name, values in scores.items()}
    ends = "; ".join(f"{name} {mean[0]:.0%} to {mean[-1]:.0%}" for name, mean in means.items())
    return Picture(
        "What a label is worth",
        f"Mean of {REPETITIONS} draws of the labelled docstrings; the band is from the worst draw "
        "to the best.",
        f"Line chart of accuracy over {COUNTS[0]} to {COUNTS[-1]} labels for each area: {ends}.",
        drawn(narrow=False),
        drawn(narrow=True),
    )


def _sweep(sweep: HeadSweep) -> Picture:
    def drawn(*, narrow: bool) -> bytes:
        title = "right on the modules to choose by"
        return draw_heads.sweep(sweep.results_, "l2", "label_smoothing", title=title, narrow=narrow)

    best = sweep.best_settings_
    return Picture(
        f"{len(sweep.heads_)} heads in one pass",
        "Penalty and label smoothing, all combinations trained side by side by HeadSweep. The "
        "frame is round the best.",
        f"Heat map of accuracy over {len(PENALTIES)} penalties and {len(SMOOTHINGS)} label "
        f"smoothings; the best has l2 {best['l2']:g} and smoothing {best['label_smoothing']:g}.",
        drawn(narrow=False),
        drawn(narrow=True),
    )


def _confusion(targets: NDArray[Any], predictions: NDArray[Any], classes: NDArray[Any]) -> Picture:
    def drawn(*, narrow: bool) -> bytes:
        return draw_heads.confusion(targets, predictions, classes, narrow=narrow)

    return Picture(
        "What is taken for what",
        "Each row is an area, each column what the head took it for; the diagonal is right.",
        f"Confusion matrix of {len(classes)} areas, in shares of the true area's docstrings. "
        f"{_worst(targets, predictions)}",
        drawn(narrow=False),
        drawn(narrow=True),
    )
