"""`collgs-async verify` on folders with trees of members."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from collgs_async.models.wish import Wish
from collgs_async.storage.parts_record import write_record
from tests.support.archives import written
from tests.support.odd_archives import entries
from tests.support.trees import extracted

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import CommandHere

BAND = "P.SAFE/GRANULE/B02.jp2"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree, record = extracted(tmp_path / "downloads", written(entries()), [BAND])
    wished = type(record)(
        record.identifier, record.remote, record.fetched, Wish(bands=("B02",)), record.directory, record.here
    )
    write_record(tree.folder, wished)
    return tree.folder


async def test_a_right_tree_is_said_to_be_a_part(run_cli: CommandHere, tree: Path) -> None:
    ended = await run_cli("verify", tree.parent)

    assert 0 == ended.code
    assert f"{tree}: note: 1 of 3 members of the archive are here" in ended.err
    assert "all of them right; 1 is a part of an archive" in ended.err


async def test_a_damaged_tree_is_named_and_repair_says_what_to_run(run_cli: CommandHere, tree: Path) -> None:
    (tree / BAND).write_bytes(b"x")
    repair = ("verify", tree.parent, "--repair", "--collection", "S2_MSIL2A", "--base-url", "http://127.0.0.1:9")

    verified = await run_cli("verify", tree.parent)
    planned = await run_cli(*repair, "--dry-run")
    repaired = await run_cli(*repair)
    again = await run_cli("verify", tree.parent)

    assert [1, 1, 1, 0] == [one.code for one in (verified, planned, repaired, again)]
    assert f"{tree}: 1 of 1 member damaged: '{BAND}' (it has 1 byte, 5000 expected)" in verified.err
    assert f"{tree}: 1 member would be dropped from its record" in planned.err
    assert "1 member dropped; the same download again, with --bands B02, fetches what is missing" in repaired.err
    assert "0 of 3 members of the archive are here" in again.err


async def test_a_tree_without_its_record_is_named_and_nothing_is_dropped(run_cli: CommandHere, tree: Path) -> None:
    (tree / "parts.json").unlink()

    ended = await run_cli(
        "verify", tree.parent, "--repair", "--collection", "S2_MSIL2A", "--base-url", "http://127.0.0.1:9"
    )

    assert 1 == ended.code
    assert f"{tree}: not repaired: there is no parts.json, which says what the files must be" in ended.err
    assert "0 of 1 repaired" in ended.err
