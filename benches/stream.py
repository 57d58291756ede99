"""One epoch over features that are larger than memory may be: how fast, and in how much memory.

    python benches/stream.py --folder /tmp/stream [--gigabytes 4] [--rounds 7]

Writes a file of bfloat16 features, 1024 wide, reads it once so that the page cache is warm, and
then takes turns: `memmap.view(np.uint64).sum()`, and `LinearHead.fit` for one epoch of sgd in
order, each in a process of its own. Prints both rates and the most anonymous memory (RssAnon,
Linux) that the fit's process had. Needs ml_dtypes.
"""

import argparse
import json
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

WIDTH = 1024
BLOCK_ROWS = 16384
READ_EVERY = 0.05  # seconds


def write(path: Path, rows: int) -> None:
    """Write standard normal features as the upper halves of float32."""
    features = np.lib.format.open_memmap(path, "w+", np.uint16, (rows, WIDTH))
    generator = np.random.default_rng(0)
    block = generator.standard_normal((BLOCK_ROWS, WIDTH), np.float32).view(np.uint32)
    bits = (block >> 16).astype(np.uint16)
    for start in range(0, rows, BLOCK_ROWS):
        count = min(BLOCK_ROWS, rows - start)
        features[start : start + count] = np.roll(bits, start // BLOCK_ROWS, axis=1)[:count]
    features.flush()


def anonymous() -> int:
    """Return this process's anonymous memory in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return 1024 * int(line.split()[1])
    raise OSError("/proc/self/status has no RssAnon")


def add(path: Path) -> dict[str, float]:
    """Time the sum of all bytes, eight at a time."""
    features = np.load(path, mmap_mode="r")
    start = time.perf_counter()
    total = int(features.view(np.uint64).sum())
    return {"seconds": time.perf_counter() - start, "total": total}


def fit(path: Path, threads: int) -> dict[str, float]:
    """Time one epoch, while a thread reads how much memory there is."""
    import ml_dtypes

    import numfuse

    numfuse.set_config(threads=threads)
    features = np.load(path, mmap_mode="r").view(ml_dtypes.bfloat16)
    labels = np.random.default_rng(1).integers(0, 2, len(features))
    head = numfuse.LinearHead(solver="sgd", learning_rate=0.01, epochs=1, shuffle=False)
    most, done = [anonymous()], threading.Event()

    def watch() -> None:
        while not done.wait(READ_EVERY):
            most.append(anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    head.fit(features, labels)
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    return {"seconds": seconds, "anonymous": max(most), "loss": float(head.history_["loss"][0])}


def child(options: argparse.Namespace, job: str) -> dict[str, float]:
    """Run a job in a process of its own."""
    command = [sys.executable, __file__, "--folder", str(options.folder), "--job", job]
    command += ["--threads", str(options.threads)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> int:
    """Write, warm up, take turns, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--gigabytes", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--job", choices=("add", "fit"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    path = options.folder / "features.npy"
    if options.job is not None:
        print(json.dumps(add(path) if options.job == "add" else fit(path, options.threads)))
        return 0
    options.folder.mkdir(parents=True, exist_ok=True)
    rows = int(options.gigabytes * 1e9) // (2 * WIDTH)
    size = 2 * WIDTH * rows
    if not path.exists() or len(np.load(path, mmap_mode="r")) != rows:
        write(path, rows)
    child(options, "add")
    turns = [(child(options, "add"), child(options, "fit")) for _ in range(options.rounds)]
    ratios = [summed["seconds"] / fitted["seconds"] for summed, fitted in turns]
    for number, name in enumerate(("sum", "fit")):
        seconds = statistics.median(turn[number]["seconds"] for turn in turns)
        print(f"{name}: {seconds:.3f} s, {size / seconds / 1e9:.2f} GB/s")
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    print(f"the fit's rate as a share of the sum's: {middle:.0%} ({low:.0%} to {high:.0%})")
    most = max(fitted["anonymous"] for _, fitted in turns)
    print(f"most anonymous memory of a fit: {most / 1e6:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
