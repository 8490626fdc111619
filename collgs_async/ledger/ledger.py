"""The SQLite file of a ledger: one writer, any number of readers, each in a thread of its own.

A rollback journal with full synchronisation is used, and never a write-ahead log, which network file systems do not
support (https://sqlite.org/wal.html). So a process that is killed loses nothing but its transaction.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Concatenate, Final, ParamSpec, TypeVar
from urllib.parse import quote

from collgs_async.errors import LedgerError
from collgs_async.ledger.locks import FolderLock
from collgs_async.ledger.schema import check_schema, create_schema
from collgs_async.ledger.values import as_text
from collgs_async.models.text import printable
from collgs_async.models.timing import wait_completed
from collgs_async.storage.executor import in_thread
from collgs_async.storage.files import create_folder, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from collgs_async.ledger.paths import LedgerPaths

__all__ = ["Ledger", "check_pages", "connect"]

P = ParamSpec("P")
T = TypeVar("T")

_BUSY_SECONDS: Final = 30.0
"""How long to wait for the lock of another connection."""

_CACHE_KIB: Final = 8192

_REPAIR: Final = "'collgs-async ledger rebuild' makes it anew; no archive is affected"

_MUST_ROLL_BACK: Final = "SQLITE_READONLY_"
"""The beginning of the names of errors of a reader that has found the journal of a killed writer."""

_READER_TRIES: Final = 5


class Ledger:
    """An open ledger; an asynchronous context manager.

    `open` returns the only writer, `read` a reader. All work is done by plain functions, whose first argument is the
    connection, in the one thread of this ledger: ``await ledger.run(function, *arguments)``.

    Attributes
    ----------
    paths
        Its files, and the output folder.
    """

    def __init__(
        self, paths: LedgerPaths, *, is_writer: bool, takes_over: bool = False, is_brief: bool = False
    ) -> None:
        self.paths = paths
        self._is_writer, self._takes_over, self._is_brief = is_writer, takes_over, is_brief
        timeout = 0.0 if is_brief else _BUSY_SECONDS
        self._lock = FolderLock(paths.writer, timeout=timeout) if is_writer else None
        self._stack = AsyncExitStack()
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None

    @classmethod
    def open(cls, paths: LedgerPaths, *, takes_over: bool = False) -> Ledger:
        """Return the writer of a ledger, to be entered; a missing ledger is made.

        It waits for half a minute where another process writes: that may be one that only takes in the spool. After a
        run that was killed, all pages are read first.

        Parameters
        ----------
        takes_over
            Whether a ledger that lies elsewhere may be that of another folder, and is that of this one from now on.

        Raises
        ------
        AlreadyRunningError
            On entry: another process writes it.
        LedgerError
            On entry: it is damaged, of a later release, of another folder, another database, no file, or cannot be
            written.
        StorageError, FileError
            On entry: its folder cannot be written.
        """
        return cls(paths, is_writer=True, takes_over=takes_over)

    @classmethod
    def open_briefly(cls, paths: LedgerPaths) -> Ledger:
        """Return the writer for a moment, such as to take in the spool; it waits for no other one, and reads no pages.

        Raises
        ------
        AlreadyRunningError, LedgerError, StorageError, FileError
            On entry: as for `open`.
        """
        return cls(paths, is_writer=True, is_brief=True)

    @classmethod
    def read(cls, paths: LedgerPaths) -> Ledger:
        """Return a reader of a ledger, to be entered, which changes nothing.

        A function that it runs sees one state of the ledger, and a writer waits meanwhile; so it should be short.

        Raises
        ------
        LedgerError
            On entry: there is none; else as for `open`.
        """
        return cls(paths, is_writer=False)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            if self._lock is not None:
                await stack.enter_async_context(self._lock)
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
            stack.callback(self._thread.shutdown, wait=False)
            stack.push_async_callback(self._in_thread, self._close)
            await self._in_thread(self._open)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def run(
        self, function: Callable[Concatenate[sqlite3.Connection, P], T], *arguments: P.args, **named: P.kwargs
    ) -> T:
        """Run a function in one transaction; it is completed also when the task is cancelled meanwhile.

        Parameters
        ----------
        function
            Called with the connection and the arguments. What it has changed is undone where it raises an error.

        Raises
        ------
        LedgerError
            The ledger is damaged, or cannot be read or written; or the disk is full.
        AlreadyRunningError
            This writer was suspended for long, and another process writes now.
        """
        return await self._in_thread(partial(self._transact, function, *arguments, **named))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await wait_completed(in_thread(self._thread, work))

    def _transact(
        self, function: Callable[Concatenate[sqlite3.Connection, P], T], *arguments: P.args, **named: P.kwargs
    ) -> T:
        connection = self._connection
        if connection is None:
            raise LedgerError(f"{self.paths.database}: the ledger is closed")
        if self._lock is not None:
            self._lock.confirm()
        with _told_as_ledger_error(self.paths.database), _transaction(connection, writes=self._is_writer):
            return function(connection, *arguments, **named)

    def _open(self) -> None:
        path = self.paths.database
        if self._is_writer:
            try:
                create_folder(path.parent)
                create_folder(self.paths.spool)
            except OSError as error:
                words = f"{error.filename or path}: {error.strerror}"
                raise LedgerError(f"{words}; the ledger cannot be written") from error
        with _told_as_ledger_error(path):
            self._connection = connection = self._connect()
            if not path.is_relative_to(self.paths.folder):
                with _transaction(connection, writes=self._is_writer):
                    self._check_home(connection)

    def _connect(self) -> sqlite3.Connection:
        if not self._is_writer:
            return _open_reader(self.paths)
        return _open_writer(self.paths.database, reads_pages=not self._is_brief)

    def _check_home(self, connection: sqlite3.Connection) -> None:
        """Refuse a ledger of another folder, if it lies elsewhere: all of its archives would be missing in this one."""
        found = connection.execute("SELECT folder FROM home").fetchone()
        here = as_text(str(self.paths.folder))
        if found is not None and found[0] != here and not self._takes_over:
            raise LedgerError(
                f"{self.paths.database}: it is the ledger of {printable(found[0])}, not of {self.paths.folder}; "
                "'collgs-async ledger rebuild' makes it that of a folder that was moved"
            )
        if self._is_writer and (found is None or found[0] != here):
            connection.execute("DELETE FROM home")
            connection.execute("INSERT INTO home(folder) VALUES (?)", (here,))

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """Connect to a database, which must be a regular file if it exists.

    Parameters
    ----------
    mode
        ``ro``, ``rw``, or ``rwc`` to make it where it is missing.

    Raises
    ------
    LedgerError
        It is missing, or something that is not a file has its name.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        if mode != "rwc":
            raise LedgerError(f"{path}: expected a ledger, found nothing") from None
    except OSError as error:
        raise LedgerError(f"{path}: {error.strerror}") from error
    else:
        if kind := kind_of(status.st_mode):  # a FIFO would be waited for, and a link is followed to another file
            raise LedgerError(f"{path}: expected a file, found {kind}; move it away, or name the file by --ledger")
        if not stat.S_IMODE(status.st_mode) & 0o400 and not os.access(path, os.R_OK):
            raise LedgerError(f"{path}: {os.strerror(13)}")
    address = f"file:{quote(os.fsencode(path))}?mode={mode}"
    return sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)


def _open_writer(path: Path, *, reads_pages: bool) -> sqlite3.Connection:
    connection = connect(path, "rwc")
    try:
        # Before anything is set: the journal mode is written into the file, which may be another program's.
        is_new = not check_schema(connection, path)
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        if is_new:
            with _transaction(connection, writes=True):
                create_schema(connection)
        elif reads_pages and _is_unfinished(connection):
            check_pages(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _open_reader(paths: LedgerPaths) -> sqlite3.Connection:
    """Open a ledger for reading, once what a killed writer has left unfinished is rolled back.

    A connection that only reads cannot do that. One that may write must not do it by itself: where a network file
    system has no locks, the writer may be alive, and committing just now.
    """
    for attempt in range(_READER_TRIES):
        connection = connect(paths.database, "ro")
        try:
            is_empty = not check_schema(connection, paths.database)
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        except sqlite3.OperationalError as error:
            connection.close()
            if not error.sqlite_errorname.startswith(_MUST_ROLL_BACK) or attempt == _READER_TRIES - 1:
                raise
            _roll_back(paths)
        except BaseException:
            connection.close()
            raise
        else:
            if not is_empty:
                return connection
            connection.close()
            break
    raise LedgerError(f"{paths.database}: expected a ledger, found an empty file; {_REPAIR}")


def _roll_back(paths: LedgerPaths) -> None:
    """Roll back the transaction of a killed writer, unless a writer is at work: then its commit is waited for."""
    from collgs_async.storage.lock import ProductLock

    lock = ProductLock(paths.writer)
    try:
        if not lock.acquire():
            time.sleep(1.0)
            return
        try:
            connection = connect(paths.database, "rw")
            try:
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            finally:
                connection.close()
        finally:
            lock.release()
    except OSError as error:
        raise LedgerError(
            f"{paths.database}: a run was killed while it wrote, and its traces cannot be removed: {error.strerror}"
        ) from error


def _is_unfinished(connection: sqlite3.Connection) -> bool:
    """Whether a run of the past has not ended by itself."""
    return connection.execute("SELECT 1 FROM run WHERE ended IS NULL LIMIT 1").fetchone() is not None


def check_pages(connection: sqlite3.Connection) -> None:
    """Read each page of the file; raise a DatabaseError if one is damaged."""
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(found)


@contextmanager
def _transaction(connection: sqlite3.Connection, *, writes: bool) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # it may have been rolled back already, as on a full disk
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        raise


@contextmanager
def _told_as_ledger_error(path: Path) -> Iterator[None]:
    """Turn errors of SQLite into one line that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise LedgerError(f"{path}: {_words(error)}", is_damaged=_is_damage(error)) from error


def _is_damage(error: sqlite3.Error) -> bool:
    name = getattr(error, "sqlite_errorname", "") or ""
    has_other_code = name and not name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))
    return bool(type(error) is sqlite3.DatabaseError and not has_other_code)


def _words(error: sqlite3.Error) -> str:
    """Return what an error of SQLite means, by its result code (https://sqlite.org/rescode.html)."""
    name = getattr(error, "sqlite_errorname", "") or ""
    said = str(error).partition("\n")[0]
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL", "SQLITE_IOERR_LOCK")):
        return f"the ledger is locked by another process ({said})"
    if name.startswith("SQLITE_FULL"):
        return "the ledger cannot be written: the disk is full"
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return f"the ledger cannot be opened or written ({said})"
    if name.startswith("SQLITE_IOERR"):
        return f"the disk could not read or write the ledger ({said})"
    if _is_damage(error):
        return f"the ledger is damaged ({said}); {_REPAIR}"
    return f"the ledger failed ({type(error).__name__}: {said})"
