"""A mirror of the embedded catalogue, synchronized day by day."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from collgs_async import Client, Config
from collgs_async.http.credentials import Credentials
from collgs_async.ledger.paths import LedgerPaths
from collgs_async.mirror.sync import Sync

if TYPE_CHECKING:
    from pathlib import Path

    from collgs_async.demo.scenes import Scene
    from collgs_async.demo.server import DemoServer
    from collgs_async.mirror.result import SyncResult
    from tests.conftest import RecordedSleeps

__all__ = ["Mirrored", "counts"]

BEGUN = datetime(2026, 11, 1, tzinfo=UTC)


class Mirrored:
    """A mirror of a few scenes, and what happens to it day by day."""

    def __init__(self, server: DemoServer, folder: Path, sleeps: RecordedSleeps) -> None:
        self.server, self.folder, self.sleeps = server, folder, sleeps
        self.now = BEGUN

    def config(self, **settings: Any) -> Config:
        named = {"revalidate": 10, "retries": 1, "outage": 0, **settings}
        return Config.create(base_url=self.server.url, collection="S2_MSIL2A", output_directory=self.folder, **named)

    async def sync(self, **settings: Any) -> SyncResult:
        """Sync a day later; the requests are those of this run."""
        self.server.forget()
        self.now += timedelta(days=1)
        demo = Credentials("demo", "demo")
        async with Client(self.config(**settings), credentials=lambda: demo, sleep=self.sleeps) as client:
            return await Sync(client, clock=lambda: self.now).run()

    def replace(self, number: int, *, longer: int = 0) -> Scene:
        """Replace an archive at the store; return the scene."""
        old = self.server.scenes[number]
        new = replace(old, version=old.version + 1, size=old.size + longer)
        self.server.scenes[number] = new
        return new

    def here(self, scene: Scene) -> Path:
        (path,) = (one for one in self.folder.rglob(f"{scene.identifier}.zip") if ".collgs" not in one.parts)
        return path

    def old(self) -> list[Path]:
        return sorted(self.folder.glob(".collgs/old/replaced/**/*.zip"))

    def requests(self, method: str) -> list[str]:
        """Name the archives that were asked for."""
        return [
            hit.path.rpartition("/")[2].removesuffix(".zip")
            for hit in self.server.requests
            if hit.path.startswith("/repository/") and hit.method == method
        ]

    def moved(self) -> int:
        return sum(hit.sent for hit in self.server.requests if hit.path.startswith("/repository/"))

    def query(self, words: str, *values: object) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(LedgerPaths.of(self.config()).database)
        try:
            with connection:
                return connection.execute(words, values).fetchall()
        finally:
            connection.close()

    def file(self, scene: Scene) -> tuple[Any, ...]:
        """Return path, length, entity tag and whether a hook is due, of an archive."""
        (row,) = self.query(
            "SELECT path, size, etag, told FROM file JOIN product ON id = product WHERE identifier = ?",
            scene.identifier,
        )
        return row

    def events(self, scene: Scene) -> list[tuple[int, str]]:
        return self.query(
            "SELECT outcome, attempt.error FROM attempt JOIN product ON id = product WHERE identifier = ?"
            " ORDER BY attempt.rowid",
            scene.identifier,
        )


def counts(result: SyncResult) -> tuple[int, ...]:
    """Return how many were asked about, changed, replaced, of the same bytes, and failed."""
    found = result.revalidation
    return found.asked, found.changed, found.replaced, found.same, found.failed
