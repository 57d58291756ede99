"""Who computes: numfuse, its reference, plain NumPy, and the libraries that are installed here.

An engine is a module with four names, written the fastest way that the library's own documentation
shows:

``versions()``             -> dict of str to str, of everything that matters to speed
``settle(threads)``        threads and the like, once
``prepare(case, inputs)``  -> a call without arguments, or `RefusalError` if the library cannot
                           express the case. Inputs are converted here, before any clock runs.
``to_numpy(result)``       -> ndarray, after the clock has stopped

It is imported in its own process only. `ROSTER` lists all; `installed` finds, without importing
anything, those whose library is there. To add one: a file here, and a line there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec

from numfuse._bench import cases

OURS = "numfuse"
REFERENCE = "reference"
# The families of the libraries for networks.
_NETWORKS = ("attention", "layers", "model")
_TORCH = (*_NETWORKS, "tune")


@dataclass(frozen=True)
class Contestant:
    """A line of the roster."""

    name: str
    title: str
    requires: tuple[str, ...] = ()
    families: tuple[str, ...] = cases.FAMILIES
    environment: Mapping[str, str] = field(default_factory=dict)
    module: str = ""

    @property
    def engine(self) -> str:
        """Full name of its module."""
        return self.module or f"{__name__}.{self.name}"


# No process but numfuse's own needs the extension, and one that spins would disturb the others.
_NO_KERNELS = {"NUMFUSE_BACKEND": "numpy"}
_KERNELS = {"NUMFUSE_BACKEND": "rust"}

ROSTER = (
    Contestant(OURS, "numfuse", environment=_KERNELS),
    # Within a tolerance numfuse chooses its method; beside it stands its explicit method.
    Contestant("explicit", "explicit", families=("certified",), environment=_KERNELS),
    Contestant(
        REFERENCE, "reference", families=(*_NETWORKS, "diffusion", "tune"), environment=_NO_KERNELS
    ),
    Contestant(
        "numpy",
        "NumPy",
        families=("attention", "layers", "diffusion", "tune"),
        environment=_NO_KERNELS,
    ),
    Contestant("torch", "PyTorch", requires=("torch",), families=_TORCH, environment=_NO_KERNELS),
    Contestant(
        "onnxruntime",
        "onnxruntime",
        requires=("onnxruntime", "onnx"),
        families=_NETWORKS,
        environment=_NO_KERNELS,
    ),
    Contestant(
        "openvino",
        "OpenVINO",
        requires=("openvino",),
        families=("attention",),
        environment=_NO_KERNELS,
    ),
    # Many heads one after the other; the other engine trains them as one wide layer.
    Contestant(
        "torch_loop",
        "PyTorch, a loop",
        requires=("torch",),
        families=("tune",),
        environment=_NO_KERNELS,
    ),
    Contestant(
        "sklearn",
        "scikit-learn",
        requires=("sklearn",),
        families=("tune",),
        environment=_NO_KERNELS,
    ),
    *(
        Contestant(
            name, title, requires=(module,), families=("diffusion",), environment=_NO_KERNELS
        )
        for name, title, module in (
            ("scipy", "SciPy", "scipy"),
            ("numba", "numba", "numba"),
            ("devito", "Devito", "devito"),
            ("pypde", "py-pde", "pde"),
        )
    ),
)
# OpenBLAS's workers spin for 0.1 s after a product. With this they sleep after 1 ms, so that the
# next turn need not wait for them. The yardstick's calls take a hundred times longer than that; the
# other contestants are left alone, except when the bench has to be quick.
SLEEP_SOON = {"OPENBLAS_THREAD_TIMEOUT": "21"}
# What the machine itself can do: matrix products of NumPy's BLAS, and reading memory.
YARDSTICK = Contestant("yardstick", "yardstick", environment=_NO_KERNELS | SLEEP_SOON)
JUDGE = Contestant("judge", "judge", environment=_NO_KERNELS, module="numfuse._bench.judge")


def installed(families: tuple[str, ...] = cases.FAMILIES) -> list[Contestant]:
    """List the contestants for these families whose libraries are there."""
    return [
        contestant
        for contestant in ROSTER
        if all(find_spec(name) is not None for name in contestant.requires)
        and set(families) & set(contestant.families)
    ]


def missing() -> list[Contestant]:
    """List the peers that are not installed."""
    there = {contestant.name for contestant in installed()}
    return [contestant for contestant in ROSTER if contestant.name not in there]
