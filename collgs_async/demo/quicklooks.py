"""Quicklooks: a small picture for each scene, and the handler that serves them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from collgs_async.demo.criteria import RequestError
from collgs_async.demo.faults import FaultScript
from collgs_async.demo.feed import error_reply
from collgs_async.demo.rendering import render
from collgs_async.demo.responses import Ending, Response, cut_short, maintenance, text_reply

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Executor

    from collgs_async.demo.dialects import Dialect
    from collgs_async.demo.faults import Fault
    from collgs_async.demo.scenes import Scene

__all__ = ["QuicklookHandler"]


class QuicklookHandler:
    """Answers requests for quicklooks.

    Parameters
    ----------
    scenes
        All scenes; the list may change during use.
    faults
        The faults by identifier.
    dialect
        The format of refusals.
    pool
        Executor for rendering pictures.
    """

    def __init__(
        self,
        scenes: list[Scene],
        faults: Mapping[str, Fault | tuple[Fault, ...]],
        dialect: Dialect,
        pool: Executor,
    ) -> None:
        self._scenes = scenes
        self._script = FaultScript(faults)
        self._dialect = dialect
        self._pool = pool

    async def reply(self, query: Mapping[str, str], origin: str) -> Response:
        """Answer a request whose query names a collection and, as ``uid``, a product."""
        wanted = query.get("parentIdentifier"), query.get("uid")
        scene = next((scene for scene in self._scenes if (scene.collection, scene.identifier) == wanted), None)
        if scene is None:
            return self._not_found(origin)
        spoiled = self._script.take(scene.identifier)
        if spoiled is not None and spoiled[0].name == "missing":
            return self._not_found(origin)
        body = await asyncio.get_running_loop().run_in_executor(self._pool, render, scene)
        # The content type is that of the picture, whatever the catalogue's link states (JPEG), as at a GeoServer.
        right = Response(200, {"Content-Type": "image/png", "Content-Length": str(len(body))}, body)
        return right if spoiled is None else _spoil(spoiled[0].name, right)

    def _not_found(self, origin: str) -> Response:
        error = RequestError("Could not locate the requested product", "uid", 404)
        return error_reply(error, origin, self._dialect, as_json=False)


def _spoil(name: str, right: Response) -> Response:
    if name == "503":
        return text_reply(503, "The catalogue is busy.\n", "text/plain", Retry_After="1")
    if name == "html":
        return maintenance()
    if name == "slow":
        return replace(right, trickle=2.0)
    return cut_short(right, Ending.SILENT if name == "stall" else Ending.CLOSED)
