"""Settings with an object store in the place of the output folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import Config, ConfigError
from collgs_async.config.loading import load_config
from collgs_async.models.store_url import StoreUrl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BUCKET = StoreUrl("s3", "bucket", "a/b")


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def refused(**settings: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        Config.create(**settings)
    (line,) = caught.value.problems
    return line


@pytest.mark.parametrize("written", ["s3://bucket/a/b", "s3://bucket/a/b/", "S3://bucket/a/b", BUCKET])
def test_an_output_with_a_scheme_is_an_object_store(written: str | StoreUrl, temporary_folder: Path) -> None:
    config = Config.create(output_directory=written)

    assert BUCKET == config.output_directory == config.store_url
    assert "s3://bucket/a/b" == config.destination
    assert temporary_folder == config.folder.parent
    assert "StoreUrl(scheme='s3', bucket='bucket', prefix='a/b')" in repr(config)


def test_a_folder_is_what_it_was() -> None:
    config = Config.create(output_directory="a/b")

    assert Path("a/b") == config.output_directory == config.folder
    assert config.store_url is None
    assert str(Path("a/b").absolute()) == config.destination
    assert Path("a/b") == config.needed_folder("sync", "nothing")


def test_the_spool_is_the_same_in_each_run_and_another_one_for_another_store() -> None:
    folders = [
        Config.create(output_directory=url).folder for url in ("s3://bucket/a", "s3://bucket/a", "s3://bucket/b")
    ]

    assert folders[0] == folders[1] != folders[2]
    assert Path("here") == Config.create(output_directory="s3://bucket/a", spool="here").folder


def test_variables_in_it_are_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKET", "bucket")

    assert BUCKET == Config.create(output_directory="s3://$BUCKET/a/b").store_url
    assert "UNSET is not set" in refused(output_directory="s3://$UNSET/a")


def test_it_may_come_from_file_variable_or_flag(saved: Callable[[str, Mapping[str, Any]], Path]) -> None:
    file = saved("config.json", {"output_directory": "s3://bucket/a/b", "endpoint_url": "http://127.0.0.1:1"})
    environ = {"COLLGS_OUTPUT": "s3://bucket/a/b", "COLLGS_SPOOL": "here"}
    flags = {"output_directory": "s3://bucket/a/b"}

    of_file = load_config(file, environ={}, flags={}, needs_collection=False)
    of_environment = load_config(None, environ=environ, flags={}, needs_collection=False)
    of_flags = load_config(None, environ={}, flags=flags, needs_collection=False)

    assert BUCKET == of_file.store_url == of_environment.store_url == of_flags.store_url
    assert "http://127.0.0.1:1" == of_file.endpoint_url
    assert Path("here") == of_environment.folder


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (
            "http://bucket/a",
            "expected a URL such as s3://bucket/prefix, gs://bucket/prefix or az://container/prefix, fo",
        ),
        ("s3:/bucket/a", 'expected two slashes in the URL of an object store, as text, found "s3:/bucket/a"'),
        (Path("s3://bucket/a"), 'expected two slashes in the URL of an object store, as text, found "s3:/bucket/a"'),
        ("s3://key:pa55word@bucket/a", "expected no user name, password or @ in the URL of an object store"),
        ("s3://bucket/a?k=pa55word", "expected a URL such as s3://bucket/prefix without a query, found one"),
    ],
)
def test_what_is_no_store_is_refused(written: str | Path, words: str) -> None:
    line = refused(output_directory=written)

    assert line.startswith(f"output_directory: {words}")
    assert "pa55" not in line


@pytest.mark.parametrize("address", ["127.0.0.1:8333", "s3://x", "http://key:pa55word@h", "http://h/?a=b"])
def test_an_address_of_its_server_is_http(address: str) -> None:
    line = refused(output_directory="s3://bucket", endpoint_url=address)

    assert line.startswith("endpoint_url: expected ")
    assert "pa55" not in line
    assert "COLLGS_PASSWORD" not in line


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"bands": "B02"},
            "bands: expected a folder as output_directory beside it, found s3://bucket; an object store",
        ),
        ({"metadata_only": True}, "metadata_only: expected a folder as output_directory beside it, found s3://bucket"),
        ({"stac": True}, "stac: expected a folder as output_directory beside it, found s3://bucket; items are"),
        ({"ledger": "l"}, "ledger: expected a folder as output_directory beside it, found s3://bucket; a ledger is"),
        ({"on_archive": "true"}, "on_archive: expected a folder as output_directory beside it, found s3://bucket; th"),
    ],
)
def test_settings_that_need_a_folder_are_refused(settings: dict[str, Any], words: str) -> None:
    assert refused(output_directory="s3://bucket", **settings).startswith(words)


@pytest.mark.parametrize(
    "settings",
    [{"layout": "{year}"}, {"on_end": "true"}, {"verify": "size"}, {"keep_free": "5%"}, {"superseded": "move"}],
)
def test_other_settings_are_not(settings: dict[str, Any]) -> None:
    assert Config.create(output_directory="s3://bucket", **settings).store_url
