"""Files that are whole or not there."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a sibling of `path` for writing, which takes its place when the block ends well.

    However the block ends, no half-written file is left, and until it ends well whatever was at
    `path` stays as it was. A link is followed: its target is replaced, not the link. The new file
    has the older one's permissions. Threads and processes may write to one path at a time: the
    last to end well is kept.

    Raises
    ------
    IsADirectoryError
        If there is a folder, before anything is written.
    ValueError
        If there is a device, a pipe or a socket, before anything is written.
    """
    older = _older(path)
    path = Path(os.path.realpath(path))
    part = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    # Not tempfile.mkstemp: the system itself then applies the umask, and the folder's own rules.
    mode = 0o666 if older is None else older
    try:
        with open(part, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            if older is not None:
                part.chmod(older)
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _older(path: Path) -> int | None:
    """Return the permissions of the file at `path`, None if there is none; refuse all else."""
    try:
        # Not of the real path: /dev/stdout may be a pipe, which has none.
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"{path} is a folder; name a file")
    if not stat.S_ISREG(mode):
        raise ValueError(
            f"{path} is a device, a pipe or a socket, but has to be a regular file or new; name "
            "another"
        )
    return mode & 0o777


def _sync_folder(folder: Path) -> None:
    """Bring the new name to the disk as well, where the system lets a folder be opened."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
