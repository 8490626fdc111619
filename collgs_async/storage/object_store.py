"""An object store as a place for verified files: list, look, upload. Of obstore nothing leaves this module.

An object appears under its key only when its upload is completed, and as a whole: that is S3's own rule, and what the
promise rests on. Neither conditional writes nor remote locks are needed, which several stores ignore.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from collgs_async.errors import CollgsError, ConfigError, StorageError
from collgs_async.models.redaction import forget_secret, keep_secret
from collgs_async.storage.object_client import find_endpoint, open_client, secrets
from collgs_async.storage.object_errors import FailedError, StoreTrouble, read_trouble
from collgs_async.storage.object_retries import Retries
from collgs_async.storage.object_source import abandonable, read_blocks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from collgs_async.models.store_url import StoreUrl

__all__ = ["MAX_UPLOADS", "ObjectFacts", "ObjectStore"]

T = TypeVar("T")

MAX_UPLOADS: Final = 2
"""Uploads at once: each holds two parts in memory."""

_PART: Final = 8 * 2**20
_MOST_PARTS: Final = 9_000
"""Stores permit 10,000."""

_PARTS_AT_ONCE: Final = 2
_PAGE: Final = 1_000
"""Keys in one response, which is what stores permit."""


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """What a store says of an object.

    Attributes
    ----------
    size
        Its length in bytes.
    stated_size
        The length that its upload stated in the metadata; None: another program has put it there.
    token
        Which upload it is of; None: another program's.
    """

    size: int
    stated_size: int | None
    token: str | None

    @property
    def is_ours(self) -> bool:
        """Whether `ObjectStore.upload` has put it there, from a verified file, and it is as long as that was."""
        return self.stated_size == self.size


class ObjectStore:
    """The objects below a URL; an asynchronous context manager, which lists them as it is entered.

    Parameters
    ----------
    url
        Bucket and prefix.
    endpoint
        The address of the server; None: that of the environment, see `find_endpoint`, else the cloud's own.
    retries
        Tries of a request in a row after which to give up, while no other one succeeds either; see `Retries`.
    outage
        Seconds without a success before which not to give up, either, once the store has been listed; 0 not to wait.
    sleep
        Waits between tries, in seconds.
    now
        Clock, in seconds.
    farewell
        Seconds for which an upload that is cancelled may tell the store so.
    """

    def __init__(
        self,
        url: StoreUrl,
        *,
        endpoint: str | None = None,
        retries: int = 3,
        outage: float = 0.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], float] = time.monotonic,
        farewell: float = 5.0,
    ) -> None:
        self._url = url
        self._given_endpoint = endpoint
        self._endpoint: str | None = None
        self._tries = max(1, retries)
        self._outage = outage
        self._sleep = sleep
        self._now = now
        self._farewell = farewell
        self._client: Any = None
        self._uploader: Any = None
        self._keys: dict[str, str] = {}
        self._secrets: list[str] = []
        self._uploads = asyncio.Semaphore(MAX_UPLOADS)
        self._retries: Retries

    async def __aenter__(self) -> Self:
        """Open the store and list its keys.

        Raises
        ------
        ConfigError
            obstore is missing, or the store refuses the credentials, the bucket or the region, or is none.
        StorageError
            It cannot be reached.
        """
        self._endpoint = find_endpoint(self._url, self._given_endpoint)
        self._retries = Retries(self._name(), self._tries, sleep=self._sleep, now=self._now)
        self._client = open_client(self._url, self._endpoint)
        # Repeats a part, since repeating an upload sends all parts again.
        self._uploader = open_client(self._url, self._endpoint, retries=3 * (self._tries - 1), uploads=True)
        self._secrets = secrets()
        for secret in self._secrets:
            keep_secret(secret)
        try:
            await self._ask(self._list)
            if not self._keys:
                await self._ask(self._refuse_impostor)
        except BaseException as error:
            self._forget_secrets()
            if isinstance(error, FailedError):
                kind = StorageError if error.trouble.is_temporary else ConfigError
                raise kind(self._words(error.trouble)) from None
            raise
        self._retries.outage = self._outage  # one that has never answered more likely has a wrong address
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client = self._uploader = None
        self._forget_secrets()

    def _forget_secrets(self) -> None:
        while self._secrets:
            forget_secret(self._secrets.pop())

    def url_of(self, key: str) -> str:
        """Return the URL of an object."""
        return f"{self._url}/{key}"

    def find(self, name: str) -> str | None:
        """Return the key, below the prefix, of the object with this file name, by the listing; None: there is none."""
        return self._keys.get(name)

    async def facts(self, key: str) -> ObjectFacts | None:
        """Ask for the facts of an object; None: there is none.

        Raises
        ------
        StorageError
            The store refuses, or cannot be reached.
        """
        return await self._answered(lambda: self._head(key))

    async def read_tail(self, key: str, size: int, count: int) -> bytes:
        """Read the last bytes of an object of this size, or all of a shorter one.

        Raises
        ------
        StorageError
            As for `facts`.
        """
        if not size:
            return b""  # stores have no empty ranges

        async def read() -> bytes:
            import obstore

            return bytes(await obstore.get_range_async(self._client, key, start=max(0, size - count), end=size))

        return await self._answered(read)

    async def upload(
        self,
        path: Path,
        key: str,
        *,
        size: int,
        etag: str | None = None,
        on_sent: Callable[[int], None] | None = None,
    ) -> None:
        """Upload a verified file, and see that it is there as a whole; others wait while two are under way.

        Its metadata have the length, the entity tag of its source and a token, by which an upload is recognized whose
        response was lost. A failed one begins anew. Cancelled, it is aborted.

        Parameters
        ----------
        size
            Length of the file in bytes.
        etag
            Entity tag of the archive at its source; None when unknown.
        on_sent
            Called with the bytes handed over so far, from 0 again when the upload begins anew; None: not told.

        Raises
        ------
        StorageError
            The store refuses it, does not keep its metadata, or fails again and again while no other upload succeeds
            either. Nothing has appeared under the key, as far as the store tells.
        UnreadableError
            The file cannot be read.
        """
        metadata = {"collgs_size": str(size), "collgs_token": uuid.uuid4().hex}
        if etag is not None and etag.isascii() and etag.isprintable():
            metadata["collgs_etag"] = etag
        async with self._uploads:
            try:
                await self._retries.run(lambda: self._try_upload(path, key, size, metadata, on_sent), uploads=True)
            except FailedError as failed:
                raise StorageError(self._words(failed.trouble, key)) from None
            if not await self._is_whole(key):
                raise StorageError(
                    f"{self.url_of(key)}: it is not there as it was uploaded; the store must keep its length and "
                    "the metadata collgs_size and collgs_token"
                )
            self._keys[key.rpartition("/")[2]] = key

    async def _try_upload(
        self,
        path: Path,
        key: str,
        size: int,
        metadata: dict[str, str],
        on_sent: Callable[[int], None] | None,
    ) -> None:
        """Upload once.

        Raises
        ------
        FailedError
            It failed, and is not there.
        """
        import obstore

        attributes = {"Content-Type": "application/zip", **metadata}
        part = max(_PART, -(-size // _MOST_PARTS))
        stopped = asyncio.Event()
        if size <= part:
            source: Any = b"".join([block async for block in read_blocks(path, size, part, stopped, None)])
            upload = obstore.put_async(self._uploader, key, source, attributes=attributes, use_multipart=False)
        else:
            source = read_blocks(path, size, part, stopped, on_sent)
            upload = obstore.put_async(
                self._uploader, key, source, attributes=attributes, chunk_size=part, max_concurrency=_PARTS_AT_ONCE
            )
        try:
            await abandonable(upload, stopped, self._farewell)
        except CollgsError:
            raise
        except Exception as error:
            if not await self._has_come(key, size, metadata["collgs_token"]):
                raise FailedError(read_trouble(error, self._url.scheme)) from None
        if on_sent is not None:
            on_sent(size)

    async def _is_whole(self, key: str) -> bool:
        """Whether the object of a verified file is there: of this upload, or of another run's that came right after.

        That may have another length, where the archive was replaced at its source in between.
        """
        facts = await self.facts(key)
        return facts is not None and facts.is_ours

    async def _has_come(self, key: str, size: int, token: str) -> bool:
        """Whether this very upload is there though it failed: then only the response of its end was lost."""
        try:
            facts = await self._head(key)
        except Exception:  # the store has told why the upload failed, and is asked again after the next one
            return False
        return facts is not None and facts.size == size and facts.token == token

    # Requests

    async def _list(self) -> None:
        import obstore

        self._keys = {}
        async for page in obstore.list(self._client, chunk_size=_PAGE):
            for one in page:
                key = str(one["path"])
                self._keys[key.rpartition("/")[2]] = key

    async def _refuse_impostor(self) -> None:
        """Refuse a server that has a page for every address: its page has no keys, so that it looks like a new store.

        Raises
        ------
        FailedError
            It has an object of a name that none has.
        """
        if await self._head(f"collgs-{uuid.uuid4().hex}") is not None:
            raise FailedError(StoreTrouble("it does not answer as an object store; check --endpoint-url"))

    async def _head(self, key: str) -> ObjectFacts | None:
        import obstore

        try:
            found = await obstore.get_async(self._client, key, options={"head": True})
        except FileNotFoundError as error:
            if read_trouble(error, self._url.scheme).is_missing:
                return None
            raise
        # Some stores return names in capitals.
        metadata = {str(name).lower(): str(value) for name, value in found.attributes.items()}
        stated = metadata.get("collgs_size", "")
        return ObjectFacts(
            int(found.meta["size"]),
            int(stated) if stated.isascii() and stated.isdigit() else None,
            metadata.get("collgs_token"),
        )

    async def _ask(self, work: Callable[[], Awaitable[T]]) -> T:
        """Make a small request, and repeat it while that may help.

        Raises
        ------
        FailedError
            It failed for good.
        """

        async def once() -> T:
            try:
                return await work()
            except (CollgsError, FailedError):
                raise
            except Exception as error:
                raise FailedError(read_trouble(error, self._url.scheme)) from None

        return await self._retries.run(once)

    async def _answered(self, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await self._ask(work)
        except FailedError as failed:
            raise StorageError(self._words(failed.trouble)) from None

    def _words(self, trouble: StoreTrouble, key: str | None = None) -> str:
        return f"{self._name(key)}: {trouble.words}"

    def _name(self, key: str | None = None) -> str:
        at = f" at {self._endpoint}" if self._endpoint else ""
        return f"{self._url if key is None else self.url_of(key)}{at}"
