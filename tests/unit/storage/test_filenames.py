"""What archives are called, and what they were called before."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async.storage.filenames import file_name, former_file_name
from tests.conftest import level2_scenes

if TYPE_CHECKING:
    from collections.abc import Callable


def two_alike(digits: int) -> tuple[str, str]:
    """Find two identifiers whose names and whose first digits of SHA-256 are alike."""
    met: dict[str, str] = {}
    for number in range(2**24):
        identifier = "S2A_" + "".join(":/ ?*|<>"[int(digit)] for digit in f"{number:08o}")
        digest = hashlib.sha256(identifier.encode()).hexdigest()[:digits]
        if digest in met:
            return met[digest], identifier
        met[digest] = identifier
    raise AssertionError("none")


def test_names_that_were_alike_are_so_no_longer() -> None:
    one, other = two_alike(8)

    assert former_file_name(one) == former_file_name(other)
    assert file_name(one) != file_name(other)


@pytest.mark.parametrize("identifier", ["S2A_MSIL1C_X", "a.b-c_d"])
def test_a_name_that_needs_no_digest_was_the_same_before(identifier: str) -> None:
    assert former_file_name(identifier) is None


@pytest.mark.parametrize("digits", [8, 32])
def test_a_name_that_looks_changed_is_changed(digits: int) -> None:
    looks = f"S2A-{'0' * digits}"

    assert file_name(looks).startswith(f"{looks}-")


async def test_an_archive_of_the_former_name_is_here_and_gets_its_new_name(serve: Callable[..., Any]) -> None:
    scene = level2_scenes(1)[0]
    scene = replace(scene, identifier=f"{scene.identifier}:1")
    site = await serve([scene])
    await site.pull()
    (new,) = site.folder.iterdir()
    former = former_file_name(scene.identifier)
    assert former
    new.rename(new.with_name(former))
    site.server.forget()

    async with site.client() as client:
        (product,) = [product async for product in client.search()]
        assert "skip" == await client.local_state(product)
    report = await site.pull()

    assert (0, 1, 0) == (report.downloaded, report.skipped, report.failed)
    assert [new] == list(site.folder.iterdir())
    assert [] == site.archive_hits()
