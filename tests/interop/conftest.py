"""Object stores for the tests here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.object_servers import Bucket, Rclone, SeaweedFS, running, running_azurite, use_bucket

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    with running(SeaweedFS.at, tmp_path_factory.mktemp("stores") / "seaweedfs") as server:
        yield server


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rclone]:
    with running(Rclone.at, tmp_path_factory.mktemp("stores") / "rclone") as server:
        yield server


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_azurite(tmp_path_factory.mktemp("azurite")) as endpoint:
        yield endpoint


@pytest.fixture
def bucket(seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """The test's own prefix at SeaweedFS, to which the environment leads."""
    return use_bucket(seaweedfs, monkeypatch)


@pytest.fixture
def rclone_bucket(rclone: Rclone, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    return use_bucket(rclone, monkeypatch)
