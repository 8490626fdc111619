"""A catalogue made of a list, for the tests of paging: whatever it is asked, it can be made to answer otherwise."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from aiohttp import web

from collgs_async import Client, Config, Connection
from tests.support.servers import listening

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.conftest import RecordedSleeps

import io
import zipfile
from typing import TYPE_CHECKING

from collgs_async import CatalogueError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.conftest import RecordedSleeps

NEWEST = datetime(2025, 6, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Item:
    """What is listed."""

    name: str
    start: datetime | None = None
    link: str | None = None
    linked: bool = True

    @property
    def identifier(self) -> str:
        return self.name

    def entry(self) -> dict[str, Any]:
        date = {} if self.start is None else {"date": self.start.isoformat()}
        href = self.link or f"store/{quote(self.name, errors='surrogatepass')}.zip"
        links = {"data": [{"href": href}] if self.linked else []}
        return {"properties": {"identifier": self.name, "parentIdentifier": "X", **date, "links": links}}


def newest_first(count: int, *, apart: timedelta = timedelta(hours=1)) -> list[Item]:
    return [Item(f"P{number:05}", NEWEST - number * apart) for number in range(count)]


@dataclass
class Listing:
    """Answers searches among `items`, in their order.

    Attributes
    ----------
    maximum
        The most entries on a page; more are refused, in `refusal` (status and words), or not given, where that is None.
    window
        The last position that can be reached; None: any. `beyond` says what is answered then: a status, "empty" for an
        empty page, or "last" for the last page again.
    total
        What the answer says that there are, given the matching entries; None: nothing.
    links, says_size
        Whether there are links to pages, and whether the size that was asked for is repeated.
    before
        Called before each search but the first, with this.
    play
        May answer in place of all else: gives status and words, or None.
    """

    items: list[Item]
    maximum: int = 10
    refusal: tuple[int, str] | None = None
    window: int | None = None
    beyond: int | str = 400
    total: Callable[[Listing, Sequence[Item], Sequence[Item]], int | None] = lambda _, found, __: len(found)
    links: bool = False
    says_size: bool = True
    before: Callable[[Listing], None] | None = None
    play: Callable[[dict[str, str]], tuple[int, str] | None] | None = None
    asked: list[dict[str, str]] = field(default_factory=list)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        query = dict(request.query)
        if self.asked and self.before is not None:
            self.before(self)
        self.asked.append(query)
        start, count = int(query["startIndex"]), int(query["count"])
        if self.play is not None and (answer := self.play(query)) is not None:
            return web.Response(status=answer[0], text=answer[1])
        if count > self.maximum and self.refusal is not None:
            return web.Response(status=self.refusal[0], text=self.refusal[1])
        count = min(count, self.maximum)
        start_time, end_time = (_time(query.get(key)) for key in ("timeStart", "timeEnd"))
        found = [item for item in self.items if _matches(item, start_time, end_time)]
        if self.window is not None and start + count - 1 > self.window and start + count - 1 > start:
            if isinstance(self.beyond, int) and start - 1 + count > self.window and len(found) > self.window:
                return web.Response(status=self.beyond, text="no further")
            if self.beyond == "last":
                start = min(start, max(1, self.window - count + 1))
        page = found[: self.window][start - 1 : start - 1 + count]
        return web.Response(text=json.dumps(self._answer(found, page, start, count)))

    def _answer(self, found: list[Item], page: list[Item], start: int, count: int) -> dict[str, Any]:
        answer: dict[str, Any] = {"features": [item.entry() for item in page]}
        total = self.total(self, found, page)
        answer |= {} if total is None else {"totalResults": total}
        answer |= {"itemsPerPage": count} if self.says_size else {}
        if self.links:
            more = {"next": [{"href": "x"}]} if start - 1 + count < len(found) else {}
            answer["properties"] = {"links": {"first": [{"href": "x"}], **more}}
        return answer

    @property
    def pages(self) -> list[tuple[int, int]]:
        return [(int(query["startIndex"]), int(query["count"])) for query in self.asked]


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _matches(item: Item, start: datetime | None, end: datetime | None) -> bool:
    return item.start is None or not ((start and item.start < start) or (end and item.start > end))


async def ask(
    answer: Callable[[web.BaseRequest], Any],
    folder: Path,
    sleeps: RecordedSleeps,
    *,
    page_size: int = 10,
    **parameters: Any,
) -> list[str]:
    """Search a catalogue that answers like this."""
    found: list[str] = []
    async with listening(answer) as origin, client(origin, folder, sleeps, page_size=page_size, **parameters) as one:
        found += [product.identifier async for product in one.catalogue.search()]
    return found


def client(origin: str, folder: Path, sleeps: RecordedSleeps, *, page_size: int = 10, **parameters: Any) -> Client:
    config = Config(
        base_url=f"{origin}/search",
        parameters={"parentIdentifier": "X", **parameters},
        output_directory=folder,
        connection=Connection(timeout=20, retries=3, page_size=page_size),
    )
    return Client(config, sleep=sleeps)


async def collected(
    answer: Any, folder: Path, sleeps: RecordedSleeps, **options: Any
) -> tuple[list[str], Exception | None]:
    """Search, and give what came, and what ended it early."""

    found: list[str] = []
    page_size = options.pop("page_size", 10)
    async with listening(answer) as origin, client(origin, folder, sleeps, page_size=page_size, **options) as one:
        try:
            async for product in one.catalogue.search():
                found.append(product.identifier)  # noqa: PERF401  # what came before an error counts
        except CatalogueError as error:
            return found, error
    return found, None


def mixed(items: list[Item], seed: int = 0) -> list[Item]:
    return random.Random(seed).sample(items, len(items))


def archive(name: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr(f"{name}.SAFE/manifest.safe", f"<{name}/>")
    return data.getvalue()
