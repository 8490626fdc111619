"""Whatever archive, wish and interruptions: each file of a tree is right, and the completed archive is the store's."""

from __future__ import annotations

import asyncio
import io
import random
import re
import tempfile
import warnings
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from collgs_async import Client, Config, Connection, DownloadOptions, PartsOptions
from collgs_async.transfer.tuning import TransferTuning
from tests.conftest import RecordedSleeps
from tests.support.loops import run_steadily
from tests.support.servers import plain, raw_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.servers import Asked, RawServer

NAME = "S2A_MSIL2A_20210912T225728_N0301_R108_T32UKV_20210913T014716"
FOLDER = f"{NAME}.SAFE"
FILES = ("manifest.safe", "MTD.xml", "a/B02.jp2", "a/B03.jp2", "a/b/SCL.jp2", "empty", "d/")
WISHES = (["*B02*"], ["*.xml", "manifest*"], ["*B0*", "*SCL*"], ["*"], ["*empty"])
TAIL = 64 * 1024


class Stream(io.RawIOBase):
    """A file that cannot seek, so that lengths follow the data in descriptors."""

    def __init__(self) -> None:
        self.written = io.BytesIO()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self.written.write(data)


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    """Archives of any order, with members of all common kinds, some of them twice."""
    names = draw(st.lists(st.sampled_from(FILES), min_size=1, max_size=9))
    rng = random.Random(draw(st.integers(0, 2**32)))
    stream = Stream() if draw(st.booleans()) else None
    target = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(stream or target, "w") as archive:
        for name in names:
            info = zipfile.ZipInfo(f"{FOLDER}/{name}", (2021, 1, 1, 0, 0, rng.randrange(30) * 2))
            info.compress_type = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
            size = 0 if name in {"empty", "d/"} else rng.choice([1, 500, 70_000, 150_000])
            with archive.open(info, "w", force_zip64=rng.random() < 0.3) as member:
                member.write(rng.randbytes(size // 2) + bytes(size - size // 2))
        archive.comment = rng.randbytes(rng.choice([0, 0, 10, 60_000])).replace(b"PK", b"..")
    return (stream.written if stream else target).getvalue()


@dataclass
class Store:
    """Sends ranges of one archive, and cuts answers short while there are cuts left."""

    archive: bytes
    tag: str | None
    cuts: list[int]
    tuning: TransferTuning
    sent: int = 0
    asked: list[str] = field(default_factory=list)

    async def __call__(self, asked: Asked) -> AsyncIterator[bytes]:
        size = len(self.archive)
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", asked.headers.get("range", ""))
        self.asked.append(asked.headers.get("range", ""))
        condition = asked.headers.get("if-range")
        tag = {"ETag": self.tag} if self.tag else {}
        if wanted is None or (condition and condition != self.tag):
            head, body = plain(b"", Content_Length=str(size), **tag), self.archive
        else:
            first = max(0, size - int(wanted[2])) if not wanted[1] else int(wanted[1])
            end = size if not wanted[1] or not wanted[2] else min(size, int(wanted[2]) + 1)
            body, span = self.archive[first:end], f"bytes {first}-{end - 1}/{size}"
            length = str(end - first)
            head = plain(b"", "206 Partial Content", Content_Range=span, Content_Length=length, **tag)
        if self.cuts:
            body = body[: len(body) * self.cuts.pop() // 100]
        self.sent += len(body)
        yield head
        yield body


def contents(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {info.filename: opened.read(info) for info in opened.infolist() if not info.is_dir()}


def twins_of(archive: bytes) -> set[str]:
    """The names that more than one member has."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {name for name, count in Counter(opened.namelist()).items() if count > 1}


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def files_of(folder: Path) -> dict[str, bytes]:
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    found.pop("parts.json", None)
    return found


async def fetch(
    server: RawServer, folder: Path, tuning: TransferTuning, wish: list[str] | None, *, turns: int | None
) -> Any:
    """Download the product; after so many turns of the event loop the run is cancelled."""
    config = Config(
        base_url=f"{server.origin}/search",
        parameters={"parentIdentifier": "X"},
        output_directory=folder,
        connection=Connection(timeout=60, retries=9, outage=0),
        download_options=DownloadOptions(workers=3),
        parts=PartsOptions(members=wish or []),
    )
    async with Client(config, sleep=RecordedSleeps(), tuning=tuning) as client:
        product = await anext(aiter(client.search()))
        task = asyncio.create_task(client.download(product))
        for _ in range(turns or 0):
            await asyncio.sleep(0)
        if turns is not None:
            task.cancel()
        return (await asyncio.gather(task, return_exceptions=True))[0]


@given(
    archive=archives(),
    tag=st.sampled_from(['"strong"', 'W/"weak"', None]),
    cuts=st.lists(st.integers(0, 100), max_size=4),
    wishes=st.lists(st.sampled_from(WISHES), min_size=1, max_size=3),
    cancelled=st.one_of(st.none(), st.integers(0, 400)),
    tuning=st.sampled_from([TransferTuning(), TransferTuning(extract_bytes=1, extract_seconds=0.001)]),
)
@settings(max_examples=40)
def test_every_named_file_is_right_and_the_completed_archive_is_the_stores(
    archive: bytes,
    tag: str | None,
    cuts: list[int],
    wishes: list[list[str]],
    cancelled: int | None,
    tuning: TransferTuning,
) -> None:
    run_steadily(_play(Store(archive, tag, cuts, tuning), wishes, cancelled))


async def _play(store: Store, wishes: list[list[str]], cancelled: int | None) -> None:
    expected, twins = contents(store.archive), twins_of(store.archive)
    losses = len(store.cuts) + (cancelled is not None)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tree = folder / f"{NAME}.parts"
        async with raw_server([(NAME, "/archive.zip")], store) as server:
            if cancelled is not None:
                await fetch(server, folder, store.tuning, wishes[0], turns=cancelled)
                assert files_of(tree).items() <= expected.items()
            for wish in wishes:
                patterns = [f"{FOLDER}/{pattern}" for pattern in wish]
                wanted = {file for file in expected if any(fnmatch(file, pattern) for pattern in patterns)}
                ambiguous = wanted & twins  # which of them is meant is not known, so neither gets the name
                outcome = await fetch(server, folder, store.tuning, wish, turns=None)
                assert (bool(wanted) and not ambiguous) == (outcome.error is None), outcome
                assert wanted - twins <= files_of(tree).keys()
                assert files_of(tree).items() <= expected.items()
            outcome = await fetch(server, folder, store.tuning, None, turns=None)
        assert outcome.error is None
        assert store.archive == (folder / f"{NAME}.zip").read_bytes()
        assert {f"{NAME}.zip"} == names_in(folder) - {tree.name}
        if store.tag == '"strong"' and not losses:
            deflated = len(store.archive)  # what was taken from a tree has to be stored to be used again
            assert store.sent <= 2 * deflated + (1 + len(wishes)) * TAIL
