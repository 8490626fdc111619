"""The arguments and flags that a command has beside the settings, one function for each command."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Final

from collgs_async import __version__
from collgs_async.cli.topics import TOPICS
from collgs_async.config.paths import read_path
from collgs_async.config.settings import BY_KEY
from collgs_async.models.parameter_values import quote_value
from collgs_async.reporting.formats import EXPORT_FORMATS, FORMATS, MEMBER_FORMATS

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["OWN_ARGUMENTS", "SHELLS", "add_general"]

SHELLS: Final = ("bash", "zsh", "fish")

LEDGER_ACTIONS: Final = ("export", "rebuild", "relocate")
"""What `ledger` can do."""

"""Formats of the export of a ledger."""


def _path(words: str) -> Path:
    try:
        return read_path(words)
    except ValueError as error:
        expected = f"expected the name of a file or folder, found {quote_value(words)}"
        raise argparse.ArgumentTypeError(str(error) or expected) from None


_FILE: Final[dict[str, Any]] = {"metavar": "FILE", "type": _path}


def add_general(parser: ArgumentParser) -> None:
    """Add the flags that every command has."""
    add = parser.add_argument_group("general").add_argument
    add("-h", "--help", action="help", help="show this and leave")
    add("-V", "--version", action="version", version=f"collgs-async {__version__}", help="show the version and leave")
    add("-c", "--config", **_FILE, help="the configuration (COLLGS_CONFIG, or config.json where it exists)")
    add("-q", "--quiet", action="store_true", help="say nothing but errors")
    add("-v", "--verbose", action="store_true", help="say more")
    add("--log-json", action="store_true", help="messages and progress as JSON, one a line, and no bars")


def _one_of(*choices: str) -> dict[str, Any]:
    return {"metavar": "|".join(choices), "choices": choices}


def _add_dry_run(add: Callable[..., object], words: str) -> None:
    add("--dry-run", action="store_true", help=words)


def _add_sizes(add: Callable[..., object]) -> None:
    add("--sizes", action="store_true", help="ask the store how large each archive is")


def _add_listing(add: Callable[..., object], of: str) -> None:
    add("--format", **_one_of(*FORMATS), default="table", help=f"how {of} (default: table)")
    add(
        "--sort",
        metavar="KEY,...",
        help="in this order: time, cloud, orbit, overlap, size or identifier; a minus before it means backwards",
    )
    _add_sizes(add)
    add("--map", **_FILE, help="write a page with map, timeline and table, too")
    add(
        "--quicklooks",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether that page shows small pictures of the scenes (default: yes)",
    )
    add(
        "--tiles",
        metavar="URL",
        help="a background for that page: tiles of a server, such as https://tiles.example/{z}/{x}/{y}.png, which "
        "the page then requests; without it the page makes no request",
    )
    add("--tiles-credit", metavar="TEXT", help="whom that page credits for the tiles (default: their host)")


def _add_search(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("the list").add_argument
    _add_listing(add, "to list")
    _add_dry_run(add, "list only what a download would pull, as download --dry-run does")


def _add_collections(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("the list").add_argument
    add("--format", **_one_of("table", "json"), default="table", help="how to list (default: table)")


def _add_describe(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("the collection")
    group.add_argument("name", metavar="COLLECTION", nargs="?", help="such as S2_MSIL2A")
    _add_collections(parser)


def _add_ls(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("the archives").add_argument
    add("products", metavar="PRODUCT", nargs="*", help="identifiers of products")
    _add_setting(add, "selection.ids")
    _add_setting(add, "parameters.parentIdentifier", " (default: what an identifier tells)")
    add = parser.add_argument_group("the list").add_argument
    add("--format", **_one_of(*MEMBER_FORMATS), default="table", help="how to list (default: table)")


def _add_setting(add: Callable[..., object], key: str, more: str = "") -> None:
    """Add one setting of a group of which the command takes no other."""
    option = BY_KEY[key]
    add(*option.flags, dest=key, metavar=option.metavar, help=f"{option.help}{more}")


def _add_plan(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("the plan").add_argument
    add("file", **_FILE, nargs="?", help="the plan to write, as JSON")
    add(
        "--diff",
        **_FILE,
        help="say what is new, gone or changed since this plan: in the catalogue, or in the other plan that is named",
    )
    add("--exit-code", action="store_true", help="with --diff: exit with 1 if anything differs, as git diff does")
    add("--force", action="store_true", help="replace a plan that is there")
    _add_dry_run(add, "say what the plan would hold, and write nothing")
    _add_sizes(add)


def _add_download(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("this run").add_argument
    _add_dry_run(add, "list what would be pulled, and leave; --report tells the same as JSON")
    add("--plan", **_FILE, help="pull what this plan names; nothing is searched")
    add("--report", **_FILE, help="write what became of each product, as JSON")
    _add_listing(add, "--dry-run lists")


def _add_sync(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("this run").add_argument
    _add_dry_run(add, "say what would be fetched, and what the catalogue lists no more, and leave")
    add("--format", **_one_of("table", "json"), default="table", help="how --dry-run lists (default: table)")
    add("--plan", **_FILE, help="with --dry-run: write what would be fetched as a plan")
    add(
        "--believe",
        action="store_true",
        help="believe once a catalogue that lists much less than before, or a folder that has much less",
    )
    add(
        "--ignore-missing",
        action="store_true",
        help="leave out from now on what is not here any more, instead of fetching it again",
    )
    add("--report", **_FILE, help="write what became of each product, as JSON")


def _add_retry(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("this run").add_argument
    add("--kind", metavar="ERROR", help="only what failed by this error, such as NotAvailableError")
    add("--report", **_FILE, help="write what became of each product, as JSON")


def _add_verify(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("the archives").add_argument
    add("folder", metavar="DIR", nargs="?", type=_path, help="their folder (default: --output)")
    add("--repair", action="store_true", help="fetch again what is wrong; needs --collection")
    add(
        "--oldest",
        metavar="SIZE|PERCENT",
        help="only those that were verified longest ago, by the ledger: so many bytes, or a share such as 1%%; "
        "--max-time ends it earlier",
    )
    add("--manifest", action="store_true", help="compare the files of each product with its own manifest, too")
    _add_dry_run(add, "with --repair: say what would be fetched again, and leave")


def _add_status(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("the archive").add_argument
    add("products", metavar="PRODUCT", nargs="*", help="identifiers of products, or names of their archives")
    _add_setting(add, "output_directory")
    _add_setting(add, "keep.ledger")
    add = parser.add_argument_group("the answer").add_argument
    add("--format", **_one_of("table", "json"), default="table", help="how to tell it (default: table)")


def _add_ledger(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("what to do").add_argument
    add(
        "action",
        metavar="ACTION",
        choices=LEDGER_ACTIONS,
        help="export: write all products; rebuild: compare the ledger with the archives here, or make it anew; "
        "relocate: move what is here into the folders of --layout",
    )
    add("--format", **_one_of(*EXPORT_FORMATS), default="jsonl", help="how to export (default: jsonl)")
    _add_dry_run(add, "with relocate: say what would be moved, and leave")


def _add_prune(parser: ArgumentParser) -> None:
    _add_dry_run(parser.add_argument_group("this run").add_argument, "list what would be removed, and leave")


def _add_quicklooks(parser: ArgumentParser) -> None:
    _add_dry_run(parser.add_argument_group("this run").add_argument, "list what would be saved, and leave")


def _add_init(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("the file")
    group.add_argument("file", **_FILE, nargs="?", default="config.json", help="its name (default: config.json)")


def _add_demo(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("the embedded catalogue").add_argument
    add("--products", metavar="N", help="how many products there are (default: 12)")
    add(
        "--constellation",
        action="store_true",
        help="serve a year of Sentinel-1 and -2 over Luxembourg and Fiji, with real tiles, orbits and reprocessings",
    )
    add(
        "--history",
        action="store_true",
        help="serve a catalogue with a history: products come late, go, return, are reprocessed and repaired",
    )
    add("--day", metavar="N", help="serve what --history lists N days after its beginning (default: 0)")
    add(
        "--fault",
        metavar="NAME",
        nargs="+",
        action="extend",
        default=[],
        help="what the store does wrong, one product each: all, list, or names",
    )
    add(
        "--sign-in",
        **_one_of("html", "script"),
        help="let the store ask for a sign-in, by a form in html or put together by a script (demo, demo)",
    )
    add("--serve", action="store_true", help="only serve, and say how to use it")
    _add_dry_run(add, "list what the demo would pull, and leave")
    add("--port", metavar="N", default="0", help="where to serve (default: any free port)")


def _add_completion(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("the shell")
    group.add_argument("shell", metavar="SHELL", choices=SHELLS, help=f"{', '.join(SHELLS[:-1])} or {SHELLS[-1]}")


def _add_help(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("the topic")
    group.add_argument("topic", metavar="TOPIC", nargs="?", help=f"a command, or one of {', '.join(TOPICS)}")


OWN_ARGUMENTS: Final[dict[str, Callable[[ArgumentParser], None]]] = {
    "search": _add_search,
    "collections": _add_collections,
    "describe": _add_describe,
    "ls": _add_ls,
    "plan": _add_plan,
    "download": _add_download,
    "sync": _add_sync,
    "retry": _add_retry,
    "verify": _add_verify,
    "status": _add_status,
    "quicklooks": _add_quicklooks,
    "prune": _add_prune,
    "ledger": _add_ledger,
    "init": _add_init,
    "demo": _add_demo,
    "completion": _add_completion,
    "help": _add_help,
}
"""Adds what only this command has, by its name; a command that is not here has nothing of its own."""
