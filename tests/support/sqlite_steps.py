"""Stop a process before one of the system calls by which SQLite, or this package, changes a disk."""

from __future__ import annotations

import _sqlite3
import asyncio
import ctypes
import os
import signal
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["has_steps", "is_killed_at"]

OF_PYTHON: Final = ("pwrite", "replace", "rename", "unlink", "mkdir", "ftruncate")

SIGNATURES: Final[dict[str, Any]] = {
    "pwrite": ctypes.CFUNCTYPE(
        ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64, use_errno=True
    ),
    "pwrite64": ctypes.CFUNCTYPE(
        ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64, use_errno=True
    ),
    "write": ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, use_errno=True),
    "ftruncate": ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int64, use_errno=True),
    "unlink": ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, use_errno=True),
    "openDirectory": ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, use_errno=True),
}
"""Calls of SQLite's layer for Unix (https://sqlite.org/c3ref/vfs.html). It synchronises between two of these: what a
killed process leaves does not depend on that, and a folder is opened in order to be synchronised."""


class Vfs(ctypes.Structure):
    """``sqlite3_vfs``; methods that are not needed here are pointers."""

    _fields_ = (
        ("iVersion", ctypes.c_int),
        ("szOsFile", ctypes.c_int),
        ("mxPathname", ctypes.c_int),
        ("pNext", ctypes.c_void_p),
        ("zName", ctypes.c_char_p),
        ("pAppData", ctypes.c_void_p),
        *((f"method{number}", ctypes.c_void_p) for number in range(13)),
        (
            "xSetSystemCall",
            ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p),
        ),
        ("xGetSystemCall", ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)),
    )


def _vfs() -> Any:
    library = ctypes.CDLL(_sqlite3.__file__)
    library.sqlite3_vfs_find.restype = ctypes.POINTER(Vfs)
    return library.sqlite3_vfs_find(None)


def has_steps() -> bool:
    """Whether the SQLite of this Python lets its system calls be replaced."""
    try:
        return bool(_vfs().contents.iVersion >= 3)
    except (AttributeError, ValueError):  # it is part of the module, which does not show it
        return False


class Steps:
    """Calls a function at each step; the calls are replaced for the rest of this process."""

    def __init__(self, on_step: Callable[[str], None]) -> None:
        self._on_step = on_step
        self._kept: list[object] = []
        for name in OF_PYTHON:
            setattr(os, name, partial(self._do, name, getattr(os, name)))
        vfs = _vfs()
        for name, signature in SIGNATURES.items():
            address = vfs.contents.xGetSystemCall(vfs, name.encode())
            if address:
                replaced = signature(partial(self._do, name, signature(address)))
                self._kept.append(replaced)
                vfs.contents.xSetSystemCall(vfs, name.encode(), ctypes.cast(replaced, ctypes.c_void_p))

    def _do(self, name: str, step: Callable[..., Any], *given: Any, **named: Any) -> Any:
        self._on_step(name)
        return step(*given, **named)


def is_killed_at(step: int, work: Callable[[], Coroutine[Any, Any, object]]) -> bool:
    """Do some work in a child process that is killed before a step; return whether it came so far."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child uses no thread of this process
        child = os.fork()
    if child == 0:
        left = step

        def count(_: str) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            kept = Steps(count)
            asyncio.run(work())
            del kept
        except BaseException as error:
            os.write(2, f"{error!r}\n".encode())
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)
