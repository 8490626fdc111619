"""Products, outcomes, errors and settings survive the way to another process, and no password is among them."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from collgs_async import Config, ConfigError, DownloadOptions, IntegrityError, Outcome, Product, RawTimes, Status
from collgs_async.engine.check import check_engine
from collgs_async.engine.wire import (
    config_from_wire,
    config_to_wire,
    error_from_wire,
    error_to_wire,
    outcome_from_wire,
    outcome_to_wire,
    product_from_wire,
    product_to_wire,
)
from collgs_async.errors import CollgsError, StorageError
from collgs_async.models.engine import DaskEngine
from collgs_async.transfer.outage import OutageError
from collgs_async.transfer.store_errors import WholeArchivesOnlyError

PRODUCT = Product(
    "S2A_X",
    "https://h.lu/a.zip",
    collection="S2_MSIL2A",
    raw=RawTimes("2021-01-01", None),
    size=17,
    tile="31UGR",
    relative_orbit=8,
    alternatives=("https://i.lu/a.zip",),
    created=datetime(2021, 1, 2, tzinfo=UTC),
)


def sent(values: Any) -> Any:
    """What arrives is what JSON can hold."""
    return json.loads(json.dumps(values))


def test_a_product_arrives_as_it_was_but_for_its_looks() -> None:
    looks: dict[str, Any] = {"footprint": {"type": "Point"}, "cloud_cover": 7.0, "quicklook": "q", "overlap": 9.0}

    assert PRODUCT == product_from_wire(sent(product_to_wire(PRODUCT)))
    assert PRODUCT == product_from_wire(sent(product_to_wire(replace(PRODUCT, **looks))))
    assert Product("a", None) == product_from_wire(sent(product_to_wire(Product("a", None))))


def test_an_outcome_arrives_with_a_path_in_the_folder_of_the_settings(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = Outcome(
        PRODUCT, Status.DOWNLOADED, tmp_path / "here/x/a.zip", bytes=5, seconds=1.5, attempts=2, size=5, etag='"e"'
    )

    arrived = outcome_from_wire(PRODUCT, sent(outcome_to_wire(outcome)), folder=Path("here"))

    assert replace(outcome, path=Path("here/x/a.zip"), place=None) == arrived


@pytest.mark.parametrize("kind", [IntegrityError, WholeArchivesOnlyError, OutageError, StorageError, ConfigError])
def test_an_error_arrives_with_its_kind_and_its_words(kind: type[CollgsError]) -> None:
    arrived = error_from_wire(sent(error_to_wire(kind("it is so"))))

    assert (kind, "it is so") == (type(arrived), str(arrived))


def test_an_error_of_an_unknown_kind_is_the_nearest_known_one() -> None:
    class NewError(IntegrityError):
        pass

    assert IntegrityError is type(error_from_wire(error_to_wire(NewError("new"))))


def test_settings_of_downloads_arrive_and_nothing_else(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    config = Config(
        base_url="https://h.lu/search",
        parameters={"parentIdentifier": "S2_MSIL2A"},
        output_directory="here",
        selection={"tile": "31UGR"},
        connection={"timeout": 7, "auth_hosts": ["h.lu"]},
        parts={"bands": "B02", "resolution": "20"},
        keep={"layout": "{year}/{tile}", "on_archive": "true", "metrics": tmp_path / "m.prom"},
        download_options={"limit_rate": "08:00,2M 18:00,off", "max_bytes": "3G", "until": "06:00", "engine": "dask"},
    )

    arrived = config_from_wire(sent(config_to_wire(config)))

    assert tmp_path / "here" == arrived.output_directory
    assert (config.base_url, config.connection, config.parts) == (arrived.base_url, arrived.connection, arrived.parts)
    assert (config.keep.layout, None) == (arrived.keep.layout, arrived.keep.on_archive)
    assert str(config.download_options.limit_rate) == str(arrived.download_options.limit_rate)
    kept = (arrived.download_options.max_bytes, arrived.download_options.until, arrived.download_options.engine)
    assert (None, None, None) == kept
    assert ({}, None) == (arrived.parameters, arrived.selection.tile)


def test_each_download_option_is_sent_or_known_to_be_of_the_run() -> None:
    """A new one has to be decided on."""
    of_the_run = {"engine", "max_bytes", "max_time", "until", "keep_free"}

    assert of_the_run < {one.name for one in fields(DownloadOptions)}


async def test_what_cannot_hold_for_several_processes_is_refused_in_one_line_each() -> None:
    config = Config(connection={"proxy": "http://me:secret@proxy:8080"}, download_options={"keep_free": "5%"})

    with pytest.raises(ConfigError) as caught:
        await check_engine(config, has_own_credentials=True)

    assert ["keep_free", "proxy", "credentials"] == [line.partition(":")[0] for line in caught.value.problems]
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "engine"),
    [
        ("dask", DaskEngine()),
        ("dask=local", DaskEngine()),
        ("dask=local:4", DaskEngine(processes=4)),
        ("dask=tcp://10.0.0.1:8786", DaskEngine("tcp://10.0.0.1:8786")),
        ("none", None),
    ],
)
def test_an_engine_is_read_from_text(text: str, engine: DaskEngine | None) -> None:
    found = DownloadOptions(engine=text).engine

    assert engine == found
    assert found is None or found == DownloadOptions(engine=str(found)).engine


@pytest.mark.parametrize("text", ["ray", "dask=", "dask=local:0", "dask=host:8786", "dask=tcp://me:secret@h:1", 7])
def test_what_is_no_engine_is_refused(text: object) -> None:
    expected = "engine: expected dask, dask=local:4, dask=tcp://host:8786 or none"
    with pytest.raises(ConfigError, match=expected) as caught:
        DownloadOptions(engine=text)
    assert "secret" not in str(caught.value)
