"""What the tests share: an embedded catalogue, settings for it, a sleep that does not wait, the real command."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from collgs_async import Client, Config, Connection, DownloadOptions, PartsOptions
from collgs_async.cli.main import main
from collgs_async.demo.archives import write_archive
from collgs_async.demo.faults import FAULTS
from collgs_async.demo.scenes import make_scenes
from collgs_async.demo.server import DemoServer
from collgs_async.transfer.range_request import OVERLAP
from collgs_async.transfer.tuning import TransferTuning
from tests.support.loops import SteadyLoop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from collgs_async.demo.faults import Fault
    from collgs_async.demo.scenes import Scene
    from collgs_async.models.report import Report


HANGS = 300
"""Seconds after which something that must happen will not any more: a guard, and never a measure of how fast it is."""

# The commands under test start hundreds of times: let all of them share what the first one has compiled.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# A shell starts what runs in its background like this, and `nohup`, and the commands under test would inherit it.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)


# What is collected stays until the end: to look for garbage in it takes a quarter of the time of collecting.
gc.disable()


def pytest_collection_finish() -> None:
    """Look for garbage again, a seventh as often as Python does: what is collected makes each look an expensive one."""
    gc.enable()
    gc.set_threshold(5_000)


def pytest_asyncio_loop_factories() -> dict[str, type[SteadyLoop]]:
    """Run the coroutines of tests and fixtures in a loop that a busy machine cannot make time out."""
    return {"steady": SteadyLoop}


def pytest_xdist_auto_num_workers() -> int:
    """Run more tests at once than there are cores: many of them wait for a server, a kill or a pause."""
    return 2 * (os.cpu_count() or 1)


@pytest.fixture(autouse=True)
def _clean_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test may depend on the proxies or settings of the user who runs it, or write into that user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    for name in list(os.environ):
        if name.upper().endswith("_PROXY") or name.startswith("COLLGS_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _quiet_log() -> Iterator[None]:
    """The command line sets the package's logger up; put it back."""
    log = logging.getLogger("collgs_async")
    level, propagate = log.level, log.propagate
    yield
    log.setLevel(level)
    log.propagate = propagate


@dataclass
class RecordedSleeps:
    """A sleep that returns at once and records the seconds."""

    seconds: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


@pytest.fixture
def sleeps() -> RecordedSleeps:
    return RecordedSleeps()


_PARTS = ("bands", "resolution", "metadata_only", "members", "else_whole", "keep_part")


_ORIGINALS: dict[str, bytes] = {}
"""Archives by all that they are made of: most tests have the same scenes."""
_MOST_ORIGINALS = 20_000_000
"""Bytes of archives in memory, beside the last one."""


class Site:
    """An embedded catalogue with settings and a client for it."""

    def __init__(self, server: DemoServer, folder: Path, sleeps: RecordedSleeps, tuning: TransferTuning) -> None:
        self.server = server
        self.folder = folder
        self.sleeps = sleeps
        self.tuning = tuning

    def config(self, **options: Any) -> Config:
        """Settings for this server; options of connections and parts go by their names, others are download options."""
        connection: dict[str, Any] = {"timeout": 30, "retries": 3}
        for name in ("timeout", "retries", "outage", "staging", "proxy", "download_base_url", "user_agent"):
            if name in options:
                connection[name] = options.pop(name)
        if connection["retries"] == 0:
            connection.setdefault("outage", 0)  # one try is one try, also where the store turns out to be unavailable
        parameters = {"parentIdentifier": "S2_MSIL2A", **options.pop("parameters", {})}
        parts = {name: options.pop(name) for name in _PARTS if name in options}
        keep = options.pop("keep", {})
        return Config(
            base_url=options.pop("base_url", self.server.url),
            parameters=parameters,
            output_directory=self.folder,
            connection=Connection(**connection),
            download_options=DownloadOptions(**options),
            parts=PartsOptions(**parts),
            keep=keep,
        )

    def client(self, *, tuning: TransferTuning | None = None, **options: Any) -> Client:
        return Client(self.config(**options), sleep=self.sleeps, tuning=tuning or self.tuning)

    async def pull(self, **options: Any) -> Report:
        async with self.client(**options) as client:
            return await client.download_all()

    def archive(self, scene: Scene) -> Path:
        return self.folder / f"{scene.identifier}.zip"

    def archive_hits(self) -> list[Any]:
        return [hit for hit in self.server.requests if hit.path.startswith("/repository/")]

    def moved(self) -> int:
        """Archive bytes that the server has sent."""
        return sum(hit.sent for hit in self.archive_hits() if hit.status in {200, 206})

    def original(self, scene: Scene, version: int = 0, edition: int = 0) -> bytes:
        """The archive as the store has it; version 1 is the one that replaces it, edition 1 the same zipped again."""
        key = repr((scene, version, edition))  # its footprint has no hash
        if key not in _ORIGINALS:
            path = self.folder.with_name("original.zip")
            write_archive(scene, path, version, edition)
            _ORIGINALS[key] = path.read_bytes()
            while sum(map(len, _ORIGINALS.values())) > _MOST_ORIGINALS and len(_ORIGINALS) > 1:
                del _ORIGINALS[next(iter(_ORIGINALS))]
        return _ORIGINALS[key]

    def held(self) -> dict[str, int]:
        """Bytes of each part that is here, by the name of its archive: of one that a single connection fetches."""
        held = {}
        for path in self.folder.glob("*.zip.part"):
            with suppress(FileNotFoundError):  # it has got its name
                held[path.name.removesuffix(".part")] = path.stat().st_size
        return held

    def asked_again(self, held: Mapping[str, int], since: int) -> list[str]:
        """Name each archive of which a request since then asks for bytes that were held; what moved cannot tell.

        What a store has sent to one who is killed lies in sockets, and how much that is depends on the machine.
        """
        hits = [hit for hit in self.server.requests[since:] if hit.path.startswith("/repository/")]
        names = [(hit.path.rpartition("/")[2], hit) for hit in hits]
        return [name for name, hit in names if first_byte(hit) < held.get(name, 0) - OVERLAP]

    def litter(self) -> list[str]:
        """Files that are no archives under their final name."""
        return sorted(path.name for path in self.folder.rglob("*") if path.is_file() and path.suffix != ".zip")


def first_byte(hit: Any) -> int:
    """Where what a request asks for begins."""
    return int(hit.range.removeprefix("bytes=").partition("-")[0]) if hit.range else 0


def fault(name: str) -> Fault:
    return FAULTS[name]


def level2_scenes(count: int, *, size: int = 200_000, seed: int = 0) -> list[Scene]:
    """So many scenes of one collection."""
    scenes = [scene for scene in make_scenes(count * 6, size=size, seed=seed) if scene.collection == "S2_MSIL2A"]
    return scenes[:count]


@pytest.fixture
def tuning() -> TransferTuning:
    """The figures of the engine for the clients of a `Site`; test modules of large archives have smaller ones."""
    return TransferTuning()


@pytest.fixture
async def serve(tmp_path: Path, sleeps: RecordedSleeps, tuning: TransferTuning) -> AsyncIterator[Callable[..., Any]]:
    """Start an embedded catalogue: ``site = await serve(scenes, faults=..., rate=...)``."""
    servers: list[DemoServer] = []

    async def start(scenes: Sequence[Scene], **options: Any) -> Site:
        folder = tmp_path / f"store{len(servers)}"
        server = DemoServer(scenes, folder, **options)
        await server.__aenter__()
        servers.append(server)
        return Site(server, tmp_path / "archives", sleeps, tuning)

    yield start
    for server in servers:
        await server.__aexit__(None, None, None)


@dataclass
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str


class Command:
    """The real command in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def start(self, *words: object, **environ: str) -> asyncio.subprocess.Process:
        clean = {name: value for name, value in os.environ.items() if not name.upper().endswith("_PROXY")}
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "collgs_async", *map(str, words)),
            cwd=self.folder,
            env={**clean, "PYTHONWARNINGS": "error", **environ},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def __call__(self, *words: object, **environ: str) -> Ended:
        process = await self.start(*words, **environ)
        return await self.end(process)

    @staticmethod
    async def end(process: asyncio.subprocess.Process) -> Ended:
        out, err = await process.communicate()
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())


@pytest.fixture
def cwd(tmp_path: Path) -> Path:
    """The folder in which commands run."""
    folder = tmp_path / "cwd"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def command(cwd: Path) -> Command:
    return Command(cwd)


class CommandHere:
    """The command in this process, for a tenth of the CPU of a new one.

    A test of signals, pipes, terminals, imports or all that a process writes needs `Command`.
    """

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    async def __call__(self, *words: object, **environ: str) -> Ended:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environ.items():
                patch.setenv(name, value)
            code = await asyncio.to_thread(exit_code, [str(word) for word in words])
        return Ended(code, *self._capsys.readouterr())


def exit_code(words: Sequence[str]) -> int:
    """Run a command, and return its exit code also after `--help`."""
    try:
        return main(words)
    except SystemExit as ended:
        return int(ended.code or 0)


@pytest.fixture
def run_cli(cwd: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandHere:
    monkeypatch.chdir(cwd)
    return CommandHere(cwd, capsys)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1, signed by itself, in one file."""
    folder = tmp_path_factory.mktemp("certificate")
    pem = folder / "own.pem"
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    extra = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(pem), "-out", str(folder / "cert.pem")]
    subprocess.run([*words.split(), *extra], check=True, capture_output=True)
    pem.write_text(pem.read_text() + (folder / "cert.pem").read_text())
    return pem


def is_archive(path: Path) -> bool:
    """Whether Python's own zipfile finds every member right."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, OSError):
        return False


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[str, str | bytes | Mapping[str, Any]], Path]:
    def save(name: str, content: str | bytes | Mapping[str, Any]) -> Path:
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
        return path

    return save
