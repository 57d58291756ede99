"""numfuse as threadpoolctl sees it: `threadpool_info` lists it, `threadpool_limits` limits it."""

import importlib
import threading
from collections.abc import Callable
from typing import Any

_lock = threading.Lock()
_registered = False


def register(version: str, get: Callable[[], int], limit: Callable[[int], None]) -> None:
    """Register a controller with threadpoolctl, once; without threadpoolctl do nothing.

    threadpoolctl finds libraries by the name of their file and expects symbols in them. Ours is
    found by the extension's file too, but the setting lives in Python: `get` and `limit` reach it.
    """
    global _registered
    with _lock:
        if _registered:
            return
        try:
            threadpoolctl: Any = importlib.import_module("threadpoolctl")
            base, add = threadpoolctl.LibController, threadpoolctl.register
        except (ImportError, AttributeError):
            return

        def get_num_threads(_: object) -> int:
            return get()

        def set_num_threads(_: object, num_threads: int) -> None:
            limit(num_threads)

        def get_version(_: object) -> str:
            return version

        members = {
            "user_api": "numfuse",
            "internal_api": "numfuse",
            "filename_prefixes": ("_numfuse",),
            "get_num_threads": get_num_threads,
            "set_num_threads": set_num_threads,
            "get_version": get_version,
        }
        add(type("NumfuseController", (base,), members))
        _registered = True
