"""The tables of a ledger.

Times are integers: milliseconds since 1970-01-01 UTC. Digests are bytes. What a catalogue said of a product is in a
table of its own, compressed, so that counting products reads few pages of the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from collgs_async.errors import LedgerError

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

__all__ = ["APPLICATION_ID", "VERSION", "check_schema", "create_schema"]

APPLICATION_ID: Final = 0x434C4753
"""``CLGS``: the number in the header of the file by which a ledger is recognised."""

VERSION: Final = 1
"""The version of the tables. A ledger of a later one is not touched."""

_TABLES: Final = """
CREATE TABLE watch(
    id INTEGER PRIMARY KEY, name TEXT UNIQUE,
    asked TEXT,            -- canonical search parameters and selection, as JSON
    digest BLOB, begun INTEGER);
CREATE TABLE product(
    id INTEGER PRIMARY KEY, identifier TEXT NOT NULL UNIQUE, collection TEXT, start INTEGER, stop INTEGER,
    acquisition INTEGER,   -- 8 bytes of BLAKE2b of the name's acquisition
    edition TEXT,          -- sorts as the processing baseline does
    produced INTEGER, created INTEGER, updated INTEGER, first_seen INTEGER,
    seen INTEGER,          -- the last settled listing that had it
    absent INTEGER NOT NULL DEFAULT 0, gone INTEGER,
    wanted TEXT,           -- NULL: yes; else the kind of why not
    state INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,  -- failures in a row
    retry_at INTEGER, error TEXT);
CREATE TABLE entry(
    product INTEGER PRIMARY KEY, url TEXT,
    json BLOB              -- compressed by zlib
);
CREATE TABLE file(
    product INTEGER PRIMARY KEY,
    path TEXT,             -- relative to the output folder; NULL: it is not here
    size INTEGER, mtime INTEGER,
    sha256 BLOB, etag TEXT, modified TEXT, fetched INTEGER, run INTEGER,
    checked INTEGER, how TEXT, bad TEXT,
    asked INTEGER,         -- when the store was asked last whether it still has this archive, or has sent it
    members INTEGER,       -- NULL: the whole archive
    stac INTEGER,          -- when its STAC item was written
    told INTEGER,          -- when --on-archive had succeeded; 0: it is due, NULL: there was none
    removed TEXT,          -- where it lay when the user had removed it; NULL: he has not
    moving TEXT            -- the path to which it is being moved
);
CREATE TABLE attempt(
    product INTEGER NOT NULL, run INTEGER, at INTEGER NOT NULL, outcome INTEGER NOT NULL,
    bytes INTEGER, seconds REAL, requests INTEGER, error TEXT);
CREATE TABLE run(
    id INTEGER PRIMARY KEY, begun INTEGER, ended INTEGER, words TEXT, host TEXT, version TEXT, code INTEGER,
    told TEXT              -- the summary, as JSON
);
CREATE TABLE span(
    watch INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    total INTEGER, surplus INTEGER, listed INTEGER, settled INTEGER,
    PRIMARY KEY(watch, first, last)) WITHOUT ROWID;
CREATE TABLE listed(
    watch INTEGER NOT NULL, product INTEGER NOT NULL,  -- which watch has listed which product
    unwanted TEXT,         -- as that watch has chosen last; product.wanted is what the watch of the latest run has
    PRIMARY KEY(watch, product)) WITHOUT ROWID;
CREATE TABLE tally(
    watch INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    surplus INTEGER,       -- what the catalogue counts in a year beyond what its parts have
    PRIMARY KEY(watch, first, last)) WITHOUT ROWID;
CREATE TABLE change(       -- the store has another archive than the one that is here, under the same name
    product INTEGER PRIMARY KEY, at INTEGER NOT NULL,
    size INTEGER, etag TEXT, modified TEXT,  -- of the one at the store
    old_size INTEGER, old_mtime INTEGER,     -- of the one that is here
    told INTEGER,          -- as in file, once the new one is in place
    aside TEXT,            -- where the old one is moved; NULL: the new one is not complete
    removal INTEGER,       -- whether the old one is deleted: NULL never, 0 once the new one is in its place, 1 now
    outcome TEXT           -- of the new one's download, as JSON
);
CREATE TABLE home(
    folder TEXT NOT NULL   -- the output folder, if the ledger lies elsewhere
);
CREATE TABLE spool(
    name TEXT PRIMARY KEY, -- a file of outcomes of another run
    taken INTEGER NOT NULL,  -- bytes of it that are in the ledger
    run INTEGER) WITHOUT ROWID;
CREATE INDEX product_sensed ON product(collection, start);
CREATE INDEX product_acquisition ON product(acquisition);
CREATE INDEX product_state ON product(state, retry_at, wanted);
CREATE INDEX product_gone ON product(gone) WHERE gone IS NOT NULL;
CREATE INDEX product_absent ON product(absent) WHERE absent != 0;
CREATE INDEX file_checked ON file(checked, size);
CREATE INDEX file_asked ON file(asked);
CREATE INDEX file_told ON file(told) WHERE told = 0;
CREATE INDEX file_bad ON file(product) WHERE bad IS NOT NULL;
CREATE INDEX attempt_product ON attempt(product);
"""


def create_schema(connection: sqlite3.Connection) -> None:
    """Make the tables of an empty database, within the current transaction."""
    for statement in _TABLES.split(";\n"):
        if statement.strip():
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def check_schema(connection: sqlite3.Connection, path: Path) -> bool:
    """Return whether the database has the tables of a ledger; False: it is empty.

    Raises
    ------
    LedgerError
        It is another kind of database, or of a later release.
    """
    (found,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not tables:
        return False
    if found != APPLICATION_ID:
        raise LedgerError(f"{path}: expected a ledger of this program, found another database")
    if version != VERSION:
        raise LedgerError(
            f"{path}: expected a ledger of version {VERSION}, found version {version}: it is of a later release"
        )
    return True
