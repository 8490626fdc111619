"""Object stores: what is there, what is uploaded, and one clear line for each refusal, before real servers."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from collgs_async.errors import CollgsError, ConfigError, StorageError, UnreadableError
from collgs_async.models.store_url import StoreUrl
from collgs_async.models.timing import Timing
from collgs_async.storage.object_store import ObjectFacts, ObjectStore
from tests.conftest import HANGS
from tests.support.object_servers import AZURE_ACCOUNT, AZURE_KEY, BUCKET, SECRET, SLOW_DOWN, StoreProxy, xml_error
from tests.support.servers import listening

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RecordedSleeps
    from tests.support.object_servers import Bucket

MIB = 2**20

ODD_KEY = (
    "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<ListBucketResult><Name>b</Name><IsTruncated>false</IsTruncated>"
    "<Contents><Key>p//a.zip</Key><LastModified>2024-01-01T00:00:00.000Z</LastModified><Size>5</Size></Contents>"
    "</ListBucketResult>"
)
"""A listing that the clients of other programs may bring about."""


@dataclass
class File:
    path: Path
    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)


@pytest.fixture(params=[1_000, 19 * MIB], ids=["small", "in parts"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> File:
    """A file that is uploaded by one request, or one of three parts."""
    return written(tmp_path, request.param)


@pytest.fixture
def large(tmp_path: Path) -> File:
    return written(tmp_path, 19 * MIB)


def written(folder: Path, size: int) -> File:
    file = File(folder / "a.zip.part", os.urandom(size))
    file.path.write_bytes(file.data)
    return file


def store_at(bucket: Bucket, sleeps: Any, **options: Any) -> ObjectStore:
    return ObjectStore(bucket.url, **{"endpoint": bucket.endpoint, "sleep": sleeps, **options})


async def upload(store: ObjectStore, file: File, key: str = "a.zip", **more: Any) -> None:
    await store.upload(file.path, key, size=file.size, **more)


async def refusal(store: ObjectStore, kind: type[CollgsError]) -> str:
    """What is said where the store cannot be opened: one line that has no secret in it."""
    with pytest.raises(kind) as caught:
        async with store:
            pass
    return line_of(caught.value)


def line_of(error: CollgsError) -> str:
    words = str(error)
    assert words.isprintable()
    assert SECRET not in words
    assert "Debug source" not in words
    return words


# What is there


async def test_an_upload_is_there_as_a_whole(bucket: Bucket, sleeps: RecordedSleeps, archive: File) -> None:
    size, told = archive.size, [0]
    async with store_at(bucket, sleeps) as store:
        assert store.find("a.zip") is None
        assert await store.facts("2024/a.zip") is None

        await upload(store, archive, "2024/a.zip", etag='"1-2"', on_sent=told.append)

        facts = await store.facts("2024/a.zip")
        assert facts is not None
        assert ObjectFacts(size, size, facts.token) == facts
        assert facts.token
        assert facts.is_ours
        assert "2024/a.zip" == store.find("a.zip")
        assert f"{bucket.url}/2024/a.zip" == store.url_of("2024/a.zip")
        assert archive.data[-100:] == await store.read_tail("2024/a.zip", size, 100)
        assert archive.data == await store.read_tail("2024/a.zip", size, 2 * size)

    assert archive.data == bucket.read("2024/a.zip")
    assert '"1-2"' == bucket.metadata("2024/a.zip")["collgs_etag"]
    assert sorted(told) == told
    assert size == told[-1]
    assert [] == sleeps.seconds


async def test_a_listing_has_all_below_the_prefix_and_nothing_else(
    bucket: Bucket, sleeps: RecordedSleeps, rclone_bucket: Bucket
) -> None:
    folder = rclone_bucket.server.folder / BUCKET
    for number in range(1_003):  # more than a page
        path = folder / rclone_bucket.prefix / f"{number % 3}" / f"{number}.zip"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (folder / f"{rclone_bucket.prefix}-beside").mkdir()
    (folder / f"{rclone_bucket.prefix}-beside" / "b.zip").write_bytes(b"")

    async with store_at(rclone_bucket, sleeps) as store:
        found = [store.find(f"{number}.zip") for number in range(1_003)]
        assert [f"{number % 3}/{number}.zip" for number in range(1_003)] == found
        assert store.find("b.zip") is None


async def test_an_object_of_another_program_is_not_ours(bucket: Bucket, sleeps: RecordedSleeps) -> None:
    bucket.write("a.zip", b"foreign")
    bucket.write("b.zip", b"cut off", collgs_size="8")

    async with store_at(bucket, sleeps) as store:
        assert ObjectFacts(7, None, None) == await store.facts("a.zip")
        shorter = await store.facts("b.zip")
        assert shorter is not None
        assert not shorter.is_ours
        assert b"" == await store.read_tail("c.zip", 0, 10)
        assert b"cut off" == await store.read_tail("b.zip", 7, 10)


async def test_the_object_of_another_run_that_came_right_after_is_as_good(
    bucket: Bucket, sleeps: RecordedSleeps, archive: File
) -> None:
    """The archive was replaced at its source between the two runs, so that theirs has another length."""

    async def theirs_comes_before_it_is_looked_at(line: str) -> str | None:
        if line.startswith("HEAD") and "/a.zip" in line:
            bucket.write("a.zip", b"verified there", collgs_size="14", collgs_token="of another run")
        return None

    proxy = StoreProxy(bucket.server, theirs_comes_before_it_is_looked_at)
    async with proxy.running() as endpoint, store_at(bucket, sleeps, endpoint=endpoint) as store:
        await upload(store, archive)

    assert b"verified there" == bucket.read("a.zip")
    assert 1 == sum(line.startswith("HEAD") and "/a.zip" in line for line in proxy.requests)


async def test_an_upload_replaces_what_was_there(bucket: Bucket, sleeps: RecordedSleeps, archive: File) -> None:
    bucket.write("a.zip", b"foreign")

    async with store_at(bucket, sleeps) as store:
        await upload(store, archive)

    assert archive.data == bucket.read("a.zip")


async def test_names_of_metadata_in_capitals_are_the_same(
    rclone_bucket: Bucket, sleeps: RecordedSleeps, archive: File
) -> None:
    async with store_at(rclone_bucket, sleeps) as store:
        await upload(store, archive)
        facts = await store.facts("a.zip")

    assert facts is not None
    assert facts.is_ours
    assert archive.data == rclone_bucket.read("a.zip")


async def test_no_more_than_two_uploads_run_at_once(bucket: Bucket, sleeps: RecordedSleeps, large: File) -> None:
    size, running, most = large.size, set[int](), 0

    def sent(number: int, count: int) -> None:
        nonlocal most
        running.add(number)
        most = max(most, len(running))
        if count == size:
            running.discard(number)

    async with store_at(bucket, sleeps) as store, asyncio.TaskGroup() as tasks:
        for number in range(4):
            told = lambda count, number=number: sent(number, count)  # noqa: E731
            tasks.create_task(upload(store, large, f"{number}.zip", on_sent=told))

    assert most <= 2
    assert [f"{number}.zip" for number in range(4)] == bucket.keys()


async def test_azure_is_spoken_with_likewise(
    azurite: str, sleeps: RecordedSleeps, archive: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", AZURE_ACCOUNT)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", AZURE_KEY)
    url, key = StoreUrl("az", BUCKET, f"test-{archive.size}"), "2024/a.zip"

    async with ObjectStore(url, endpoint=azurite, sleep=sleeps) as store:
        await upload(store, archive, key, etag='"1-2"')
        facts = await store.facts(key)
        assert facts is not None
        assert ObjectFacts(archive.size, archive.size, facts.token) == facts
        assert archive.data == await store.read_tail(key, archive.size, archive.size)
    async with ObjectStore(url, endpoint=azurite, sleep=sleeps) as store:
        assert key == store.find("a.zip")

    missing = ObjectStore(StoreUrl("az", "elsewhere"), endpoint=azurite, sleep=sleeps)
    assert "there is no such bucket (HTTP 404, ContainerNotFound: " in await refusal(missing, ConfigError)
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME")
    nobody = ObjectStore(url, endpoint=azurite, sleep=sleeps)
    assert "az://archives/" in (line := await refusal(nobody, ConfigError))
    assert "no credentials for it were found; set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY" in line


# Failures


async def test_a_store_that_is_away_is_waited_for(bucket: Bucket, large: File) -> None:
    waited: list[float] = []

    async def started_meanwhile(seconds: float) -> None:
        waited.append(seconds)
        await asyncio.to_thread(bucket.server.start)

    def killed_amid(count: int) -> None:
        if count and not waited:
            bucket.server.kill()

    async with store_at(bucket, started_meanwhile, retries=2) as store:
        await upload(store, large, on_sent=killed_amid)

    assert large.data == bucket.read("a.zip")
    assert 1.0 == waited[0]


async def test_a_store_that_stays_away_ends_the_run(bucket: Bucket, sleeps: RecordedSleeps, archive: File) -> None:
    async with store_at(bucket, sleeps, retries=2) as store:
        bucket.server.kill()

        with pytest.raises(StorageError) as caught:
            await upload(store, archive)
        with pytest.raises(StorageError, match="cannot be reached"):
            await store.facts("a.zip")

    assert f"{bucket.url}/a.zip at {bucket.endpoint}: it cannot be reached (Connection refused)" in line_of(
        caught.value
    )
    assert [1.0, 1.0] == sleeps.seconds  # of two tries each, of which the upload's failed by itself


async def test_an_outage_is_waited_for_once_the_store_has_been_listed(
    bucket: Bucket, archive: File, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither an upload nor a request is given up after its tries; one line tells of both."""
    waits, upload_waits, is_back = 0, asyncio.Event(), asyncio.Event()

    async def started_at_last(_: float) -> None:
        nonlocal waits
        waits += 1
        upload_waits.set()
        if waits == 7:
            await asyncio.to_thread(bucket.server.start)
            is_back.set()
        elif waits > 7:
            await is_back.wait()

    async with store_at(bucket, started_at_last, retries=1, outage=900) as store:
        bucket.server.kill()
        uploaded = asyncio.ensure_future(upload(store, archive))
        await upload_waits.wait()
        assert await store.facts("b.zip") is None
        await uploaded

    assert archive.data == bucket.read("a.zip")
    away, back = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert away.startswith(f"{bucket.url} at {bucket.endpoint}: it cannot be reached (")
    assert "; trying again for up to 15:00" in away
    assert back.startswith(f"{bucket.url} at {bucket.endpoint} answers again after ")


async def test_an_outage_that_lasts_ends_the_run(bucket: Bucket, sleeps: RecordedSleeps, archive: File) -> None:
    timing = Timing(sleeps)

    async def refuse_to_write(line: str) -> str | None:
        return SLOW_DOWN if line.startswith(("PUT", "POST")) else None

    proxy = StoreProxy(bucket.server, refuse_to_write)
    async with (
        proxy.running() as endpoint,
        store_at(bucket, timing.sleep, endpoint=endpoint, retries=1, outage=20, now=timing.now) as store,
    ):
        with pytest.raises(StorageError, match="it is busy"):
            await upload(store, archive)

    assert [1.0, 2.0, 4.0, 8.0] == sleeps.seconds[:4]
    assert sum(sleeps.seconds) <= 20


async def test_a_store_that_has_never_answered_is_given_up_after_the_tries(
    bucket: Bucket, sleeps: RecordedSleeps
) -> None:
    store = store_at(bucket, sleeps, endpoint="http://127.0.0.1:9", outage=900)

    assert "it cannot be reached" in await refusal(store, StorageError)

    assert [1.0, 2.0] == sleeps.seconds


async def test_an_end_whose_response_was_lost_is_found_by_its_token(
    bucket: Bucket, sleeps: RecordedSleeps, large: File
) -> None:
    async def lose_the_end(line: str) -> str | None:
        return "lose" if line.startswith("POST") and "uploadId=" in line else None

    proxy = StoreProxy(bucket.server, lose_the_end)
    async with proxy.running() as endpoint, store_at(bucket, sleeps, endpoint=endpoint, retries=1) as store:
        await upload(store, large)

    assert large.data == bucket.read("a.zip")
    assert 1 == sum("?uploads" in line for line in proxy.requests)
    assert [] == sleeps.seconds


async def test_the_object_of_another_upload_is_no_proof_of_this_one(
    bucket: Bucket, sleeps: RecordedSleeps, large: File
) -> None:
    bucket.write("a.zip", large.data, collgs_size=str(large.size), collgs_token="of another run")

    async def refuse_the_end(line: str) -> str | None:
        return xml_error(500, "InternalError") if line.startswith("POST") and "uploadId=" in line else None

    proxy = StoreProxy(bucket.server, refuse_the_end)
    async with proxy.running() as endpoint, store_at(bucket, sleeps, endpoint=endpoint, retries=1) as store:
        with pytest.raises(StorageError, match="InternalError"):
            await upload(store, large)


async def test_a_busy_store_is_asked_again_later(bucket: Bucket, sleeps: RecordedSleeps, archive: File) -> None:
    busy = {"GET": 2, "POST": 1, "PUT": 1}

    async def often_busy(line: str) -> str | None:
        method = line.partition(" ")[0]
        busy[method] = busy.get(method, 0) - 1
        return SLOW_DOWN if busy[method] >= 0 else None

    proxy = StoreProxy(bucket.server, often_busy)
    async with proxy.running() as endpoint, store_at(bucket, sleeps, endpoint=endpoint) as store:
        await upload(store, archive)

    assert archive.data == bucket.read("a.zip")
    assert [1.0, 2.0] == sleeps.seconds  # of the listing; an upload's requests are repeated by obstore


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (xml_error(403, "AccessDenied", "no right to write"), "it does not permit this (HTTP 403, AccessDenied: no r"),
        (xml_error(400, "ExpiredToken"), "these credentials are no longer valid (HTTP 400, ExpiredToken: as the store"),
        (
            xml_error(507, "XMinioStorageFull", "no space"),
            "it is full (HTTP 507, XMinioStorageFull: no space); make ro",
        ),
        (
            xml_error(500, "InternalError", "no writable volumes"),
            "it cannot do this now (HTTP 500, InternalError: no w",
        ),
    ],
)
async def test_an_upload_that_is_refused_ends_the_run(
    bucket: Bucket, sleeps: RecordedSleeps, archive: File, answer: str, words: str
) -> None:
    async def refuse_to_write(line: str) -> str | None:
        return answer if line.startswith(("PUT", "POST")) else None

    proxy = StoreProxy(bucket.server, refuse_to_write)
    async with proxy.running() as endpoint, store_at(bucket, sleeps, endpoint=endpoint, retries=1) as store:
        with pytest.raises(StorageError) as caught:
            await upload(store, archive)

    assert f"{bucket.url}/a.zip at {endpoint}: {words}" in line_of(caught.value)
    assert [] == bucket.keys()


async def test_a_store_that_drops_the_metadata_is_told(bucket: Bucket, sleeps: RecordedSleeps, archive: File) -> None:
    def drop(response: bytes) -> bytes:
        return re.sub(rb"(?i)meta-collgs", b"nope-collgs", response)

    proxy = StoreProxy(bucket.server, edit=drop)
    async with proxy.running() as endpoint, store_at(bucket, sleeps, endpoint=endpoint) as store:
        with pytest.raises(StorageError, match="must keep its length and the metadata collgs_size") as caught:
            await upload(store, archive)

    line_of(caught.value)


async def test_a_file_that_cannot_be_read_fails_alone(bucket: Bucket, sleeps: RecordedSleeps, tmp_path: Path) -> None:
    async with store_at(bucket, sleeps) as store:
        with pytest.raises(UnreadableError, match=r"gone\.zip: No such file"):
            await store.upload(tmp_path / "gone.zip", "a.zip", size=20 * MIB)

    assert [] == bucket.keys()


async def test_a_file_that_is_cut_before_its_upload_does_not_come_there(
    bucket: Bucket, sleeps: RecordedSleeps, archive: File
) -> None:
    archive.path.write_bytes(archive.data[:-1])

    async with store_at(bucket, sleeps) as store:
        with pytest.raises(UnreadableError, match=f"expected {archive.size} bytes, which were verified"):
            await upload(store, archive)

    assert [] == bucket.keys()


class BitFlip(StoreProxy):
    """Changes a bit of so many bodies on their way to the store."""

    flips = 1

    async def _passed_on(self, head: bytes, body: bytes) -> bytes:
        if self.flips and len(body) > 900 and head.startswith(b"PUT"):
            self.flips -= 1
            body = body[:-1] + bytes([body[-1] ^ 1])
        return await super()._passed_on(head, body)


async def test_bytes_that_change_on_their_way_over_http_are_sent_again(
    bucket: Bucket, sleeps: RecordedSleeps, archive: File
) -> None:
    async with BitFlip(bucket.server).running() as endpoint, store_at(bucket, sleeps, endpoint=endpoint) as store:
        await upload(store, archive)

    assert archive.data == bucket.read("a.zip")
    assert [1.0] == sleeps.seconds


async def test_bytes_that_always_change_on_their_way_never_come_there(
    bucket: Bucket, sleeps: RecordedSleeps, archive: File
) -> None:
    proxy = BitFlip(bucket.server)
    proxy.flips = 100

    async with proxy.running() as endpoint, store_at(bucket, sleeps, endpoint=endpoint) as store:
        with pytest.raises(StorageError, match="what arrived there is not what was sent"):
            await upload(store, archive)

    assert [] == bucket.keys()


async def test_the_bucket_is_that_of_the_url_whatever_the_environment_has(
    bucket: Bucket, sleeps: RecordedSleeps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store would take the prefix for the bucket, where the bucket is not a part of the path."""
    bucket.write("there.zip", b"PK")
    monkeypatch.setenv("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true")
    monkeypatch.setenv("AWS_BUCKET", "another")

    async with store_at(bucket, sleeps) as store:
        assert "there.zip" == store.find("there.zip")


async def test_an_upload_that_is_cancelled_is_aborted(bucket: Bucket, sleeps: RecordedSleeps, large: File) -> None:
    """Of a part that is under way meanwhile, the store may keep something all the same."""
    under_way, proxy = asyncio.Event(), StoreProxy(bucket.server)

    def sent(count: int) -> None:
        if count:
            under_way.set()

    async with proxy.running() as endpoint, store_at(bucket, sleeps, endpoint=endpoint, farewell=HANGS) as store:
        task = asyncio.create_task(upload(store, large, on_sent=sent))
        await under_way.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert [] == bucket.keys()
    assert ["DELETE"] == [
        line.split()[0] for line in proxy.requests if "uploadId=" in line and "partNumber" not in line
    ]


# Stores that cannot be opened


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong-secret"}, "it refuses these credentials (HTTP 403, SignatureDoesNotMatch: "),
        ({"AWS_ACCESS_KEY_ID": "nobody"}, "it refuses these credentials (HTTP 403, InvalidAccessKeyId: "),
    ],
)
async def test_wrong_credentials_are_told(
    bucket: Bucket,
    sleeps: RecordedSleeps,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    variables: dict[str, str],
    words: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    line = await refusal(store_at(bucket, sleeps), ConfigError)

    assert line.startswith(f"{bucket.url} at {bucket.endpoint}: {words}")
    assert line.endswith("; check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    assert "wrong-secret" not in line
    assert ("", "") == capfd.readouterr()
    assert [] == sleeps.seconds


async def test_a_bucket_that_is_missing_is_told(bucket: Bucket, sleeps: RecordedSleeps) -> None:
    store = ObjectStore(StoreUrl("s3", "elsewhere"), endpoint=bucket.endpoint, sleep=sleeps)

    line = await refusal(store, ConfigError)

    assert line.startswith(f"s3://elsewhere at {bucket.endpoint}: there is no such bucket (HTTP 404, NoSuchBucket: ")
    assert line.endswith("; check its name, or create it")


async def test_missing_credentials_are_told(
    bucket: Bucket, sleeps: RecordedSleeps, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")  # a machine in a cloud would have credentials
    monkeypatch.setenv("HOME", str(tmp_path))

    line = await refusal(store_at(bucket, sleeps), ConfigError)

    assert "no credentials for it were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in line


@pytest.mark.parametrize(
    ("answer", "words", "kind"),
    [
        (
            xml_error(301, "PermanentRedirect", "must be addressed using the specified endpoint"),
            "the bucket is in another region; set AWS_REGION to that of the bucket",
            ConfigError,
        ),
        (
            xml_error(400, "AuthorizationHeaderMalformed", "the region 'us-east-1' is wrong; expecting 'eu-west-1'"),
            "the bucket is in another region (HTTP 400, AuthorizationHeaderMalformed: the region 'us-east-1' is wrong",
            ConfigError,
        ),
        (
            xml_error(403, "RequestTimeTooSkewed", "the difference is too large"),
            "this machine's clock is wrong (HTTP 403, RequestTimeTooSkewed: the difference is too large); set it",
            ConfigError,
        ),
        (
            xml_error(403, "AccessDenied", "Access\nDenied", f"<Signature>{SECRET}</Signature>"),
            "it does not permit this (HTTP 403, AccessDenied: Access Denied); list, read and write must be permitted",
            ConfigError,
        ),
        (
            xml_error(403, "AccessDenied", f"your secret {SECRET} is wrong"),
            "it does not permit this (HTTP 403, AccessDenied: your secret *** is wrong)",
            ConfigError,
        ),
        (SLOW_DOWN, "it is busy (HTTP 503, SlowDown: Please reduce your request rate.)", StorageError),
        (
            ODD_KEY,
            "there is an object whose key has empty, relative or unprintable parts, as in a//b; use another prefix",
            ConfigError,
        ),
    ],
)
async def test_a_refusal_is_told_in_the_words_of_the_store(
    bucket: Bucket,
    sleeps: RecordedSleeps,
    capfd: pytest.CaptureFixture[str],
    answer: str,
    words: str,
    kind: type[CollgsError],
) -> None:
    async def refuse(line: str) -> str | None:
        return answer

    async with StoreProxy(bucket.server, refuse).running() as endpoint:
        line = await refusal(store_at(bucket, sleeps, endpoint=endpoint), kind)

    assert line.startswith(f"{bucket.url} at {endpoint}: {words}")
    assert ("", "") == capfd.readouterr()


@pytest.mark.parametrize("status", [200, 404])
async def test_a_page_of_some_web_server_is_no_store(
    bucket: Bucket, sleeps: RecordedSleeps, capfd: pytest.CaptureFixture[str], status: int
) -> None:
    async def page(request: web.BaseRequest) -> web.Response:
        return web.Response(
            text="<html><title>Welcome to nginx!</title></html>", content_type="text/html", status=status
        )

    async with listening(page) as endpoint:
        line = await refusal(store_at(bucket, sleeps, endpoint=endpoint), ConfigError)

    assert line.endswith("; check --endpoint-url")
    assert "object store" in line
    assert ("", "") == capfd.readouterr()


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ("http://127.0.0.1:9", "it cannot be reached (Connection refused); "),
        ("http://store.invalid", "it "),  # and what that is, the machine's resolver says, or it does not in time
    ],
)
async def test_an_address_without_a_server_is_told(
    bucket: Bucket, sleeps: RecordedSleeps, capfd: pytest.CaptureFixture[str], endpoint: str, words: str
) -> None:
    line = await refusal(store_at(bucket, sleeps, endpoint=endpoint), StorageError)

    assert line.startswith(f"{bucket.url} at {endpoint}: {words}")
    assert line.endswith("; check --endpoint-url and the network")
    assert [1.0, 2.0] == sleeps.seconds
    assert ("", "") == capfd.readouterr()


async def test_a_server_without_tls_is_told(
    bucket: Bucket, sleeps: RecordedSleeps, capfd: pytest.CaptureFixture[str]
) -> None:
    endpoint = bucket.endpoint.replace("http:", "https:")

    line = await refusal(store_at(bucket, sleeps, endpoint=endpoint), ConfigError)

    assert "it does not speak TLS; check --endpoint-url: http:// in place of https://?" in line
    assert ("", "") == capfd.readouterr()


async def test_the_address_is_that_of_the_environment_where_none_is_given(
    bucket: Bucket, sleeps: RecordedSleeps, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async with ObjectStore(bucket.url, sleep=sleeps) as store:
        assert store.find("a.zip") is None

    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"user:{SECRET}@nonsense")
    line = await refusal(ObjectStore(bucket.url, sleep=sleeps), ConfigError)

    assert "AWS_ENDPOINT_URL_S3: expected an http or https address, found something else" == line
    assert ("", "") == capfd.readouterr()


async def test_a_profile_needs_boto3(bucket: Bucket, sleeps: RecordedSleeps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_PROFILE", "work")
    monkeypatch.setattr("collgs_async.storage.object_client.find_spec", lambda name: None if name == "boto3" else name)

    assert "profiles of ~/.aws need the package boto3" in await refusal(store_at(bucket, sleeps), ConfigError)


ENDS_AT_ONCE = """
import asyncio, sys
from collgs_async.errors import ConfigError
from collgs_async.models.store_url import StoreUrl
from collgs_async.storage.object_store import ObjectStore

async def main():
    async with ObjectStore(StoreUrl.parse(sys.argv[1]), endpoint=sys.argv[2], retries=1):
        pass

try:
    asyncio.run(main())
except ConfigError:
    sys.exit(2)
"""


async def test_a_process_that_ends_right_after_an_answer_is_not_aborted(bucket: Bucket) -> None:
    """Threads of obstore return from Python later than their result; not each run of this met that by chance."""
    endpoint = bucket.endpoint.replace("http:", "https:")
    for _ in range(4):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", ENDS_AT_ONCE, str(bucket.url), endpoint), stderr=asyncio.subprocess.PIPE
        )
        _, err = await process.communicate()
        assert (2, b"") == (process.returncode, err)
