"""Engines that misbehave in one way each, as contestants of the bench."""

from pathlib import Path

import pytest

from numfuse._bench import cases
from numfuse._bench.contest import Method, compete, crew
from numfuse._bench.peers import Contestant

ENGINES = Path(__file__).parent / "engines"
LAYER_NORM = "layer_norm-1824x384"


@pytest.fixture
def contestant(monkeypatch):
    """Make a contestant of a module in `engines`; children have their parent's path."""
    monkeypatch.syspath_prepend(str(ENGINES))

    def make(name, families=cases.FAMILIES):
        return Contestant(
            name,
            name,
            families=families,
            environment={"NUMFUSE_BACKEND": "numpy"},
            module=f"{name}_engine",
        )

    return make


@pytest.fixture
def contest(contestant):
    """Let engines compete at layer norm in short turns."""

    def run(*names, rounds=3):
        with crew(1) as children:
            return compete(
                cases.named(LAYER_NORM),
                [contestant(name) for name in names],
                children,
                Method(rounds=rounds, turn_seconds=0.03, threads=1),
            )

    return run
