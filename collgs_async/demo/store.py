"""The archive store: create archives at their first request, and serve them."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections import Counter
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from collgs_async.demo.archives import write_archive
from collgs_async.demo.fault_responses import REPLACING, REZIPPING, FaultContext, apply_fault
from collgs_async.demo.ranges import Representation, answer
from collgs_async.demo.responses import html_reply

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Executor
    from pathlib import Path

    from collgs_async.demo.faults import Fault, FaultScript
    from collgs_async.demo.responses import Response
    from collgs_async.demo.scenes import Scene

__all__ = ["Store"]


class Store:
    """Archives under ``/repository/``.

    Parameters
    ----------
    scenes
        All scenes; the list may change during use.
    folder
        The folder of the archives.
    script
        The faults to apply.
    pool
        Executor for creating archives.
    """

    def __init__(self, scenes: list[Scene], folder: Path, script: FaultScript, pool: Executor) -> None:
        self._scenes = scenes
        self._folder = folder
        self._script = script
        self._pool = pool
        self._positions: dict[str, int] = {}
        self._versions: Counter[str] = Counter()
        self._editions: Counter[str] = Counter()
        self._serials = itertools.count(1)

    def replace(self, identifier: str) -> None:
        """Replace this archive by another version: other bytes and validators, the same length."""
        self._versions[identifier] += 1

    def rezip(self, identifier: str) -> None:
        """Replace this archive by another edition: the same data zipped again, with the same length."""
        self._editions[identifier] += 1

    def version(self, identifier: str) -> tuple[int, int]:
        """Return the current version and edition of an archive."""
        return self._versions[identifier], self._editions[identifier]

    def _version_of(self, scene: Scene) -> tuple[int, int]:
        version, edition = self.version(scene.identifier)
        return scene.version + version, edition

    async def reply(self, method: str, path: str, headers: Mapping[str, str], query: str = "") -> Response:
        """Answer a GET or HEAD for a path (decoded) and a query (undecoded); `headers` have names in lower case.

        A HEAD never consumes a fault, and is affected only by those of every request.
        """
        scene = self._find(path)
        if scene is None:
            return html_reply(404, "Not Found", "There is no such product.")
        name, version = scene.identifier, self._version_of(scene)
        spoiled = self._script.take(name) if method == "GET" else self._script.peek(name)
        if spoiled is not None and spoiled[1] == 0 and method == "GET":
            self._change(name, spoiled[0])
        work = partial(self._answer, scene, version, method, headers, spoiled, next(self._serials), query)
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def _change(self, identifier: str, fault: Fault) -> None:
        if fault.name in REPLACING:
            self.replace(identifier)
        elif fault.name in REZIPPING:
            self.rezip(identifier)

    def _answer(
        self,
        scene: Scene,
        version: tuple[int, int],
        method: str,
        headers: Mapping[str, str],
        spoiled: tuple[Fault, int] | None,
        serial: int,
        query: str,
    ) -> Response:
        representation = self._show(scene, version, serial)
        if spoiled is None:
            return answer(representation, method, headers)
        fault, turn = spoiled
        return apply_fault(fault.name, FaultContext(representation, method, headers, turn, serial, query))

    def _show(self, scene: Scene, version: tuple[int, int], serial: int) -> Representation:
        digest = hashlib.sha256(repr((scene.identifier, scene.size, scene.deflated)).encode()).hexdigest()[:32]
        name = f"{digest}-{version[0]}-{version[1]}"
        path = self._folder / f"{name}.zip"
        if not path.exists():
            unfinished = path.with_suffix(f".{serial}")
            write_archive(scene, unfinished, *version)
            unfinished.replace(path)
        modified = scene.end.replace(microsecond=0) + timedelta(days=1, hours=sum(version))
        return Representation(path, path.stat().st_size, f'"{name}"', modified)

    def _find(self, path: str) -> Scene | None:
        """Return the scene of a path; the index is rebuilt only when it no longer matches the list."""
        for _ in range(2):
            position = self._positions.get(path, len(self._scenes))
            if position < len(self._scenes) and _path(self._scenes[position]) == path:
                return self._scenes[position]
            self._positions = {_path(scene): index for index, scene in enumerate(self._scenes)}
        return None


def _path(scene: Scene) -> str:
    return "/" + unquote(urlsplit(scene.location).path).lstrip("/")
