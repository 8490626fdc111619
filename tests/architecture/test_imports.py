"""Imports point down: a package imports only from packages on lower levels."""

from __future__ import annotations

import ast
import builtins
import collections.abc
import inspect
import re
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import collgs_async
from collgs_async import Catalogue, Client, SyncClient
from collgs_async.sync.client import SyncCatalogue

if TYPE_CHECKING:
    from collections.abc import Iterable

PACKAGE = Path(collgs_async.__file__).parent

LEVELS = {
    **dict.fromkeys(["errors"], 0),
    **dict.fromkeys(["models"], 1),
    **dict.fromkeys(["config", "pipeline"], 2),
    **dict.fromkeys(["http", "storage"], 3),
    **dict.fromkeys(["catalogue", "ledger", "selection"], 4),
    **dict.fromkeys(["reporting"], 5),
    **dict.fromkeys(["transfer"], 6),
    **dict.fromkeys(["demo", "engine"], 7),
    **dict.fromkeys(["client"], 8),
    **dict.fromkeys(["mirror", "sync"], 9),
    **dict.fromkeys(["cli"], 10),
    **dict.fromkeys(["__main__"], 11),
}


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    """List the syntax of a module; many tests read the same ones."""
    return list(ast.walk(ast.parse(path.read_text("utf-8"))))


def entries() -> dict[str, list[Path]]:
    """Map each entry at the top of the package to its files."""
    found: dict[str, list[Path]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if name != "__init__":
            found.setdefault(name, []).append(path)
    return found


def imported_entries(path: Path) -> set[str]:
    modules = {
        name
        for node in nodes_of(path)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
        if not (isinstance(node, ast.ImportFrom) and node.module == "collgs_async")
    }
    whole = {
        alias.name
        for node in nodes_of(path)
        if isinstance(node, ast.ImportFrom) and node.module == "collgs_async"
        for alias in node.names
        if not alias.name.startswith("__")
    }
    return {name.split(".")[1] for name in modules if name.startswith("collgs_async.")} | whole


def test_every_entry_has_a_level() -> None:
    assert sorted(LEVELS) == sorted(entries())


def test_imports_only_point_down() -> None:
    upward = [
        f"{entry} imports {other}"
        for entry, paths in entries().items()
        for path in paths
        for other in imported_entries(path) - {entry}
        if LEVELS[other] >= LEVELS[entry]
    ]

    assert [] == upward


def test_the_pipeline_knows_neither_http_nor_disk() -> None:
    text = (PACKAGE / "pipeline.py").read_text("utf-8")

    assert not any(word in text for word in ("aiohttp", "aiofiles", "pathlib", "import os"))


def test_storage_takes_plain_values() -> None:
    """Paths, sizes and levels; neither settings nor the pipeline's products."""
    imported = {name for path in entries()["storage"] for name in imported_entries(path)}

    assert {"errors", "models", "storage"} == imported


def test_what_makes_a_request_never_sees_the_job() -> None:
    """Its changes go through a `SegmentSink`, so that the job of a download is changed in few places."""
    of_one_request = ("fetch", "body_writer", "thread_receiver", "body_source", "range_request", "segment")
    modules = {name: (PACKAGE / "transfer" / f"{name}.py").read_text("utf-8") for name in of_one_request}

    assert {} == {name: found for name, text in modules.items() if (found := re.findall(r"DownloadJob|\bjob\.", text))}


def test_only_its_own_class_changes_the_state_of_a_download() -> None:
    """A job, its segments and the history of its product have methods for each change."""
    state_of_a_download = re.compile(r"\b(job|segment|piece|longest|history)\.(?!part$)\w+$")
    changed = [
        f"{path.name}: {ast.unparse(node)}"
        for path in entries()["transfer"]
        for node in nodes_of(path)
        if any(state_of_a_download.search(field) for field in changed_fields(node))
    ]

    assert [] == changed


def changed_fields(node: ast.AST) -> list[str]:
    """Return the expressions that a statement assigns to, and the collections that a call changes."""
    match node:
        case ast.Assign(targets=targets):
            places = [part for target in targets for part in ast.walk(target) if isinstance(part, ast.Attribute)]
            return [ast.unparse(place) for place in places]
        case ast.AugAssign(target=ast.Attribute() as target):
            return [ast.unparse(target)]
        case ast.Call(func=ast.Attribute(value=ast.Attribute() as value, attr="add" | "append" | "discard" | "remove")):
            return [ast.unparse(value)]
    return []


def test_the_demo_imports_no_other_part() -> None:
    assert {"demo"} == {name for path in entries()["demo"] for name in imported_entries(path)}


def test_public_names_are_sorted_complete_and_importable() -> None:
    assert sorted(collgs_async.__all__) == list(collgs_async.__all__)
    for name in collgs_async.__all__:
        assert getattr(collgs_async, name) is not None
    everything = {name for names in collgs_async._MODULES.values() for name in names}
    errors = {name for name in collgs_async.__all__ if name.endswith("Error")}
    assert set(collgs_async.__all__) == everything | errors | {"__version__", "sync"}


def test_what_a_client_takes_and_returns_is_public() -> None:
    """A user can name each type in annotations."""
    public = set(collgs_async.__all__)
    standard = {name for name in vars(builtins) if name[0].islower()} | set(collections.abc.__all__)
    fronts = (Client, Catalogue, SyncClient, SyncCatalogue)
    methods = [value for front in fronts for name, value in inspect.getmembers(front) if not name.startswith("_")]
    types = [text for method in methods if callable(method) for text in method.__annotations__.values()]
    names = {name for text in types for name in re.findall(r"[A-Za-z_]+", text)}

    assert {"Product", "Report", "SearchResults", "Identity"} <= names
    assert set() == names - public - standard - {"Any", "None", "Path"}


def test_the_command_line_reaches_into_no_private_name_of_another_object() -> None:
    text = "\n".join(path.read_text("utf-8") for path in (PACKAGE / "cli").rglob("*.py"))
    owners = set(re.findall(r"\b(\w+)\._[a-z]\w*", text))

    assert set() == owners - {"self", "cls", "os", "parser"}  # argparse lists its actions in private


def patches(nodes: Iterable[ast.AST]) -> list[str]:
    """Patches of constants: an attribute in capitals that is assigned, or a constant of `transfer` that is set.

    Programs within a test's strings are read as well.
    """
    found = []
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            words = [node.attr]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("setattr"):
            words = re.findall(r"\w+", ast.unparse(node)) if "transfer" in ast.unparse(node) else []
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "import " in node.value:
            with suppress(SyntaxError):
                found += patches(ast.walk(ast.parse(node.value)))
            continue
        else:
            continue
        found += [ast.unparse(node) for word in words if word.isupper()]
    return found


def test_no_test_patches_a_constant_of_the_engine() -> None:
    """They take other figures by `TransferTuning`; a constant that has moved would be patched without any effect."""
    tests = Path(__file__).parents[1]
    program = "\n".join(["from collgs_async.transfer import fetch", "fetch.WAIT, fetch.log = 1, None"])
    examples = [
        f"PROGRAM = {program!r}",
        "patch.setattr('collgs_async.transfer.fetch._WAIT', 1)",
        "patch.setattr(f'collgs_async.transfer.{module}.WAIT', 1)",
        "patch.setattr(transfer.fetch, 'WAIT', 1)",
    ]

    assert [1, 1, 1, 1] == [len(patches(ast.walk(ast.parse(example)))) for example in examples]
    assert [] == [
        f"{path.relative_to(tests)}: {patch}"
        for path in sorted(tests.rglob("*.py"))
        for patch in patches(nodes_of(path))
    ]


def test_no_test_module_imports_from_another() -> None:
    tests = Path(__file__).parents[1]
    found = [
        f"{path.relative_to(tests)}: {node.module}"
        for path in sorted(tests.rglob("*.py"))
        for node in nodes_of(path)
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith("tests.")
        and not (node.module or "").startswith(("tests.support", "tests.conftest"))
    ]

    assert [] == found
