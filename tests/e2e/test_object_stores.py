"""Commands where the output is an object store: those that need a folder say so, and what can be done instead."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import Client, ConfigError, Product
from tests.conftest import level2_scenes
from tests.support.commands import COLLECTION, assert_clean_exit, at_url

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import CommandHere

STORE = ("--output", "s3://bucket/a")
NOWHERE = ("--base-url", "http://127.0.0.1:9", *COLLECTION)


async def refused(run_cli: CommandHere, *words: object) -> str:
    """What is said, in one line, before anything is done."""
    ended = assert_clean_exit(await run_cli(*words))
    assert (2, "") == (ended.code, ended.out)
    assert [] == [path.name for path in run_cli.folder.iterdir()]
    (line,) = ended.err.splitlines()
    return line.removeprefix("error: ")


@pytest.mark.parametrize(
    ("command", "instead"),
    [
        (("sync", *NOWHERE), "download with the same selection fetches what is not there yet"),
        (("sync", *NOWHERE, "--dry-run"), "download with the same selection fetches what is not there yet"),
        (("retry",), "download tries again what failed"),
        (("status",), "search --dry-run lists what is not there yet"),
        (("ledger", "rebuild"), "search --dry-run lists what is not there yet"),
        (("ledger", "export"), "search --dry-run lists what is not there yet"),
        (("ledger", "relocate"), "search --dry-run lists what is not there yet"),
        (("prune", "--aged", "delete"), "the store's own tools and lifecycle rules remove objects"),
        (("verify",), "each archive was verified before its upload; verify DIR checks a folder"),
        (("quicklooks", *NOWHERE), "give it a folder for the previews"),
        (("demo",), "demo --serve serves the same catalogue, and download takes it from there"),
    ],
    ids=lambda words: " ".join(words[:2]) if isinstance(words, tuple) else "",
)
async def test_a_command_on_a_folder_says_what_to_do_instead(
    run_cli: CommandHere, command: tuple[str, ...], instead: str
) -> None:
    line = await refused(run_cli, *command, *STORE)

    assert f"{command[0]}: expected a folder in --output (output_directory), found s3://bucket/a; {instead}" == line


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (
            ("--bands", "B02"),
            "--bands: expected a folder as output_directory beside it, found s3://bucket/a; an object",
        ),
        (
            ("--stac",),
            "--stac: expected a folder as output_directory beside it, found s3://bucket/a; items are written",
        ),
        (
            ("--on-archive", "true"),
            "--on-archive: expected a folder as output_directory beside it, found s3://bucket/a",
        ),
        (("--ledger", "l.sqlite"), "--ledger: expected a folder as output_directory beside it, found s3://bucket/a; a"),
        (("--endpoint-url", "127.0.0.1:8333"), "--endpoint-url: expected an http or https address, found "),
        (
            ("--output", "s3://key:word@bucket"),
            "--output: expected no user name, password or @ in the URL of an object",
        ),
        (
            ("--output", "ftp://host/a"),
            "--output: expected a URL such as s3://bucket/prefix, gs://bucket/prefix or az:",
        ),
        (
            ("--output", "here", "--spool", "there"),
            "--spool: expected an object store in --output beside it, found none",
        ),
        (
            ("--output", "here", "--endpoint-url", "http://h"),
            "--endpoint-url: expected an object store in --output besi",
        ),
    ],
    ids=lambda words: words[0] if isinstance(words, tuple) else "",
)
async def test_a_flag_that_needs_something_else_says_so(
    run_cli: CommandHere, flags: tuple[str, ...], words: str
) -> None:
    assert (await refused(run_cli, *NOWHERE, *STORE, *flags)).startswith(words)


@pytest.mark.parametrize("words", [("download",), ("download", "--dry-run"), ("search", "--dry-run")], ids=" ".join)
async def test_without_the_extra_it_is_named_and_nothing_is_touched(
    serve: Callable[..., Any], run_cli: CommandHere, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)  # as where it is not installed
    site = await serve(level2_scenes(1))
    spool = run_cli.folder.with_name("spool")

    line = await refused(run_cli, *words, *at_url(site)[:-2], *STORE, "--spool", spool)

    assert line.startswith(
        "s3://bucket/a: object stores need the package obstore; install it with: pip install 'collgs-"
    )
    assert not spool.exists()
    assert [] == site.archive_hits()


async def test_without_the_extra_python_says_so_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)

    with pytest.raises(ConfigError, match=r"pip install 'collgs-async\[store\]'"):
        async with Client(output_directory="s3://bucket/a", spool=tmp_path / "spool") as client:
            await client.download_all([Product("A", "http://127.0.0.1:9/A.zip")])


async def test_commands_that_put_nothing_there_do_without_it(
    serve: Callable[..., Any], run_cli: CommandHere, tmp_path: Path
) -> None:
    """Neither obstore nor the store is needed, also where the configuration names it."""
    (scene,) = level2_scenes(1)
    site = await serve([scene])
    assert 0 == (await run_cli(*at_url(site))).code
    config = {"base_url": site.server.url, "parameters": {"parentIdentifier": "S2_MSIL2A"}}
    config |= {"output_directory": "s3://bucket/a", "endpoint_url": "http://127.0.0.1:9", "spool": str(tmp_path / "no")}
    (run_cli.folder / "config.json").write_text(json.dumps(config))

    for words in (
        ("search",),
        ("plan", "plan.json"),
        ("ls", scene.identifier),
        ("ls", scene.identifier, "--bands", "B02"),
        ("describe", "S2_MSIL2A"),
        ("verify", site.folder),
    ):
        ended = assert_clean_exit(await run_cli(*words))
        assert 0 == ended.code, ended.err
    assert not (tmp_path / "no").exists()


async def test_a_damaged_archive_in_a_folder_is_repaired_there(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    (scene,) = level2_scenes(1)
    site = await serve([scene])
    assert 0 == (await run_cli(*at_url(site))).code
    site.archive(scene).write_bytes(site.original(scene)[:-1000])

    ended = await run_cli("verify", site.folder, "--repair", *at_url(site)[:-2], *STORE)

    assert 0 == ended.code, ended.err
    assert site.original(scene) == site.archive(scene).read_bytes()
