"""Files that are whole or not there."""

import os
import threading
from pathlib import Path

import pytest

from numfuse._files import replacing


def test_new_file_is_there_when_the_block_ends(tmp_path):
    path = tmp_path / "new"
    with replacing(path) as file:
        file.write(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_error_leaves_the_older_file(tmp_path, error):
    path = tmp_path / "old"
    path.write_bytes(b"older")
    with pytest.raises(error), replacing(path) as file:
        file.write(b"half")
        raise error
    assert path.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [path]


def test_full_disk_leaves_the_older_file(tmp_path, monkeypatch):
    path = tmp_path / "old"
    path.write_bytes(b"older")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"), replacing(path) as file:
        file.write(b"half")
    assert path.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_link_stays_a_link(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"older")
    link.symlink_to(target)
    with replacing(link) as file:
        file.write(b"newer")
    assert link.is_symlink()
    assert target.read_bytes() == b"newer"


def test_threads_may_write_to_one_path(tmp_path):
    path = tmp_path / "shared"
    barrier, failures = threading.Barrier(4), []

    def write(number):
        try:
            for _ in range(20):
                barrier.wait(60)
                with replacing(path) as file:
                    file.write(bytes([number]) * 1000)
        except Exception as error:
            failures.append(error)
            barrier.abort()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    content = path.read_bytes()
    assert len(content) == 1000
    assert len(set(content)) == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_permissions_are_the_older_ones_or_those_of_a_new_file(tmp_path):
    older, new, usual = tmp_path / "older", tmp_path / "new", tmp_path / "usual"
    older.write_bytes(b"")
    older.chmod(0o640)
    usual.write_bytes(b"")
    for path in (older, new):
        with replacing(path) as file:
            file.write(b"whole")
    assert older.stat().st_mode & 0o777 == 0o640
    assert new.stat().st_mode == usual.stat().st_mode


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_pipes_and_devices_stay(tmp_path):
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link):
        message = f"{path} is a device, a pipe or a socket, .*; name another"
        with pytest.raises(ValueError, match=message), replacing(path):
            raise AssertionError("opened")
    assert pipe.is_fifo()
    assert sorted(tmp_path.iterdir()) == [link, pipe]
    with pytest.raises(ValueError, match=f"{os.devnull} is a device"), replacing(Path(os.devnull)):
        raise AssertionError("opened")


def test_folder_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder; name a file"), replacing(tmp_path):
        raise AssertionError("opened")
