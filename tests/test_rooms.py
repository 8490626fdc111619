"""The direction of dependency is a test, not a hope: a room imports only from lower floors."""

from __future__ import annotations

import ast
from pathlib import Path

import collgs_async

PACKAGE = Path(collgs_async.__file__).parent

FLOORS = {
    **dict.fromkeys(["errors"], 0),
    **dict.fromkeys(["models"], 1),
    **dict.fromkeys(["config", "pipeline"], 2),
    **dict.fromkeys(["http", "storage"], 3),
    **dict.fromkeys(["catalogue", "selection"], 4),
    **dict.fromkeys(["reporting"], 5),
    **dict.fromkeys(["transfer"], 6),
    **dict.fromkeys(["client", "demo"], 7),
    **dict.fromkeys(["sync", "cli"], 8),
    **dict.fromkeys(["__main__"], 9),
}


def rooms() -> dict[str, list[Path]]:
    """Each room with its files; a package is one room."""
    found: dict[str, list[Path]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if name != "__init__":
            found.setdefault(name, []).append(path)
    return found


def imported_rooms(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    modules = {
        name
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
        if not (isinstance(node, ast.ImportFrom) and node.module == "collgs_async")
    }
    whole = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "collgs_async"
        for alias in node.names
        if not alias.name.startswith("__")
    }
    return {name.split(".")[1] for name in modules if name.startswith("collgs_async.")} | whole


def test_every_room_has_a_floor() -> None:
    assert sorted(FLOORS) == sorted(rooms())


def test_imports_only_point_down() -> None:
    upward = [
        f"{room} imports {other}"
        for room, paths in rooms().items()
        for path in paths
        for other in imported_rooms(path) - {room}
        if FLOORS[other] >= FLOORS[room]
    ]

    assert [] == upward


def test_the_pipeline_knows_neither_http_nor_disk() -> None:
    text = (PACKAGE / "pipeline.py").read_text("utf-8")

    assert not any(word in text for word in ("aiohttp", "aiofiles", "pathlib", "import os"))


def test_public_names_are_sorted_complete_and_importable() -> None:
    assert sorted(collgs_async.__all__) == list(collgs_async.__all__)
    for name in collgs_async.__all__:
        assert getattr(collgs_async, name) is not None
    everything = {name for names in collgs_async._MODULES.values() for name in names}
    errors = {name for name in collgs_async.__all__ if name.endswith("Error")}
    assert set(collgs_async.__all__) == everything | errors | {"__version__", "sync"}
