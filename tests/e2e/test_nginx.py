"""A real store: nginx hands out archives by Info-ZIP, 7-Zip, Java and Python, and its log counts the bytes."""

from __future__ import annotations

import asyncio
import filecmp
import io
import os
import random
import shutil
import socket
import subprocess
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO

import pytest

from collgs_async.demo.archives import write_archive
from tests.conftest import HANGS, is_archive, level2_scenes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from collgs_async.demo.scenes import Scene
    from tests.conftest import Command, Site

MIB = 2**20
ZEROS = bytes(MIB)
BIG = 12_000_000
HUGE = 4 * 2**30 + 64 * MIB
ROOM_FOR_HUGE = 12 * 10**9

SLOW = "slow-reader"
"""The user agent to which nginx sends 2 MiB a second a connection, so that there is a middle to be killed in."""

CONFIGURATION = """\
{user}
daemon off;
pid nginx.pid;
error_log error.log;
events {{ }}
http {{
    log_format moved '$uri $status $body_bytes_sent $http_range';
    access_log moved.log moved;
    client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp; uwsgi_temp_path temp; scgi_temp_path temp;
    default_type application/zip;
    map $http_user_agent $rate {{ default 0; {slow} 2m; }}
    server {{
        listen 127.0.0.1:{port}{tls};
        root store;
        limit_rate $rate;
        location /whole/ {{ max_ranges 0; }}
    }}
}}
"""

TLS = """ ssl;
        ssl_certificate server.pem;
        ssl_certificate_key server.key"""

JAVA = """\
import java.io.*; import java.nio.file.*; import java.util.*; import java.util.stream.*; import java.util.zip.*;

public class Pack {
    public static void main(String[] words) throws IOException {
        Path tree = Path.of(words[0]);
        List<Path> files;
        try (Stream<Path> found = Files.walk(tree)) { files = found.filter(Files::isRegularFile).sorted().toList(); }
        for (boolean stored : new boolean[] {true, false}) {
            Path target = Path.of(words[1], stored ? "java-stored.zip" : "java-deflated.zip");
            try (ZipOutputStream archive = new ZipOutputStream(Files.newOutputStream(target))) {
                for (Path file : files) {
                    add(archive, tree.relativize(file).toString(), Files.readAllBytes(file), stored);
                }
            }
        }
    }

    static void add(ZipOutputStream archive, String name, byte[] data, boolean stored) throws IOException {
        ZipEntry entry = new ZipEntry(name);
        if (stored) {
            CRC32 crc = new CRC32();
            crc.update(data);
            entry.setMethod(ZipEntry.STORED);
            entry.setSize(data.length);
            entry.setCrc(crc.getValue());
        }
        archive.putNextEntry(entry);
        archive.write(data);
        archive.closeEntry();
    }
}
"""


@dataclass(frozen=True, slots=True)
class Served:
    """A line of nginx's access log."""

    path: str
    status: int
    sent: int
    range: str


class Nginx:
    """A running nginx that serves its folder ``store``."""

    def __init__(self, folder: Path, origin: str) -> None:
        self._log = folder / "moved.log"
        self.store = folder / "store"
        self.origin = origin

    def served(self) -> list[Served]:
        """The requests that have ended, in the order in which they ended."""
        lines = [line.split() for line in self._log.read_text().splitlines()]
        return [Served(path, int(status), int(sent), asked) for path, status, sent, asked in lines]

    def list_as(self, scenes: Sequence[Scene], names: Sequence[str]) -> list[Scene]:
        """Make the catalogue say that the archives of these scenes are here, under these names."""
        return [replace(scene, href=f"{self.origin}/{name}.zip") for scene, name in zip(scenes, names, strict=True)]

    def original(self, scene: Scene) -> Path:
        return self.store / scene.location.rpartition("/")[2]


def program(name: str) -> str:
    """Find a program; without it the test is skipped, but never where all programs ought to be."""
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if path is None and os.environ.get("CI"):
        pytest.fail(f"{name} is not installed, and with CI set it must be")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def run(*words: object, cwd: Path | None = None, said: bytes = b"") -> bytes:
    done = subprocess.run(list(map(str, words)), cwd=cwd, input=said, capture_output=True)
    assert 0 == done.returncode, done.stderr.decode()
    return done.stdout


@contextmanager
def running_nginx(folder: Path, *, tls: str = "") -> Iterator[Nginx]:
    """Run nginx on a port that is ours from before it starts: it takes over the listening socket."""
    executable = program("nginx")
    (folder / "store").mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        # As root, nginx would serve as a user who may not read this folder.
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(CONFIGURATION.format(user=user, port=port, tls=tls, slow=SLOW))
        process = subprocess.Popen(
            [executable, "-p", folder, "-c", folder / "nginx.conf"],
            env={**os.environ, "NGINX": f"{listener.fileno()};"},
            pass_fds=[listener.fileno()],
            stderr=subprocess.DEVNULL,
        )
    try:
        yield Nginx(folder, f"{'https' if tls else 'http'}://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Nginx]:
    with running_nginx(tmp_path / "nginx") as server:
        yield server


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for the loopback address, beside its key."""
    folder = tmp_path / "nginx"
    folder.mkdir()
    run(
        *(program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=store"),
        *("-addext", "subjectAltName=IP:127.0.0.1", "-addext", "keyUsage=digitalSignature,keyCertSign"),
        *("-keyout", folder / "server.key", "-out", folder / "server.pem"),
    )
    return folder / "server.pem"


@pytest.fixture
def secure_nginx(tmp_path: Path, certificate: Path) -> Iterator[Nginx]:
    with running_nginx(tmp_path / "nginx", tls=TLS) as server:
        yield server


@pytest.fixture
def _emptied_afterwards(tmp_path: Path) -> Iterator[None]:
    """pytest keeps the folders of three runs; gigabytes are too much for that."""
    yield
    shutil.rmtree(tmp_path, ignore_errors=True)


def make_tree(folder: Path) -> Path:
    """What a product is: folders, small texts, an empty file, and images that no method makes smaller."""
    rng = random.Random(0)
    images = folder / "S2A_MSIL2A.SAFE" / "GRANULE" / "IMG_DATA"
    images.mkdir(parents=True)
    (folder / "S2A_MSIL2A.SAFE" / "manifest.safe").write_text("<xfdu:XFDU/>\n" * 5_000)
    (folder / "S2A_MSIL2A.SAFE" / "empty.txt").touch()
    for band in ("B02", "B03"):
        (images / f"T31UFR_{band}.jp2").write_bytes(rng.randbytes(300_000))
    return folder


def pack_with_info_zip(tree: Path, store: Path) -> None:
    executable = program("zip")
    run(executable, "-q", "-r", "-0", store / "zip-stored.zip", ".", cwd=tree)
    run(executable, "-q", "-r", "-9", store / "zip-deflated.zip", ".", cwd=tree)
    run(executable, "-q", "-r", store / "zip-commented.zip", ".", cwd=tree)
    run(executable, "-q", "-z", store / "zip-commented.zip", said=b"a word from the archive's keeper\n")
    (store / "zip-piped.zip").write_bytes(run(executable, "-q", "-", "-", said=random.Random(1).randbytes(400_000)))


def pack_with_7_zip(tree: Path, store: Path) -> None:
    for level, name in ((0, "7z-stored"), (9, "7z-deflated")):
        run(program("7z"), "a", "-tzip", f"-mx={level}", store / f"{name}.zip", ".", cwd=tree)


def pack_with_java(tree: Path, store: Path) -> None:
    source = tree.with_name("Pack.java")
    source.write_text(JAVA)
    program("javac")  # without the compiler java runs no source
    run(program("java"), "-XX:TieredStopAtLevel=1", source, tree, store)


def pack_with_python(tree: Path, store: Path) -> None:
    for method, name in ((zipfile.ZIP_STORED, "stored"), (zipfile.ZIP_DEFLATED, "deflated")):
        pack(tree, (store / f"python-{name}.zip").open("wb"), method)
        pack(tree, Pipe(store / f"python-piped-{name}.zip", "wb"), method)


def pack(tree: Path, target: BinaryIO | io.FileIO, method: int) -> None:
    with target, zipfile.ZipFile(target, "w", method) as archive:
        for path in sorted(tree.rglob("*")):
            archive.write(path, path.relative_to(tree))


class Pipe(io.FileIO):
    """A file that cannot go back: lengths and checksums follow the data of each member."""

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise io.UnsupportedOperation("tell")


class Sparse(io.FileIO):
    """A file that skips zeros rather than store them."""

    def write(self, data: Any) -> int:
        if data == ZEROS:
            self.seek(len(data), io.SEEK_CUR)
            return len(data)
        return super().write(data)


def write_huge(path: Path) -> None:
    """Write a ZIP64 archive whose first member is over 4 GiB, and whose second one begins beyond them."""
    with Sparse(path, "wb") as target, zipfile.ZipFile(target, "w") as archive:
        with archive.open("S1A_SLC.SAFE/measurement.tiff", "w", force_zip64=True) as member:
            for _ in range(HUGE // MIB):
                member.write(ZEROS)
        archive.writestr("S1A_SLC.SAFE/manifest.safe", b"<xfdu:XFDU/>")


def write_noise(path: Path, size: int, seed: int) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("image.jp2", random.Random(seed).randbytes(size))


def words_for(site: Site, *more: object) -> tuple[object, ...]:
    """The command that pulls all that the site lists."""
    return (
        *("--base-url", site.server.url, "--collection", "S2_MSIL2A", "--output", site.folder),
        *("--retries", 0, *more),
    )


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANGS):
        while not condition():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


async def kill_midway(site: Site, command: Command, nginx: Nginx, whole: Sequence[Scene], cut: Sequence[Scene]) -> None:
    """Kill the real command once some archives are whole and some are in their middle."""

    def is_midway() -> bool:
        parts = [path for scene in cut if (path := part_of(site, scene)).exists()]
        far = [path for path in parts if path.stat().st_size >= 2 * MIB]
        return all(site.archive(scene).exists() for scene in whole) and len(far) == len(cut)

    words = words_for(site, "--workers", len(whole) + len(cut), "--segments", 1, "--user-agent", SLOW)
    process = await command.start(*words)
    await until(is_midway)
    process.kill()
    assert -9 == (await command.end(process)).code
    # nginx notices a closed connection at its next byte, and only then writes its log.
    await until(lambda: len(nginx.served()) == len(whole) + len(cut))


def part_of(site: Site, scene: Scene) -> Path:
    return site.archive(scene).with_suffix(".zip.part")


@pytest.mark.parametrize("pack_all", [pack_with_info_zip, pack_with_7_zip, pack_with_java, pack_with_python])
async def test_archives_of_every_writer_arrive_and_verify(
    serve: Callable[..., Any],
    nginx: Nginx,
    command: Command,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    pack_all: Callable[[Path, Path], None],
) -> None:
    pack_all(make_tree(tmp_path / "tree"), nginx.store)
    names = sorted(path.stem for path in nginx.store.iterdir())
    scenes = nginx.list_as(level2_scenes(len(names)), names)
    site = await serve(scenes)

    report = await site.pull()
    verified = await command("verify", site.folder)

    assert (len(names), 0, 0) == (report.downloaded, report.skipped, report.failed)
    assert names == [
        name for name, scene in zip(names, scenes, strict=True) if is_copy(nginx.original(scene), site.archive(scene))
    ]
    assert [] == caplog.messages
    assert (0, []) == (verified.code, site.litter()), verified.err


def is_copy(original: Path, found: Path) -> bool:
    return filecmp.cmp(original, found, shallow=False)


async def test_a_second_run_asks_nginx_for_nothing(serve: Callable[..., Any], nginx: Nginx, tmp_path: Path) -> None:
    pack_with_python(make_tree(tmp_path / "tree"), nginx.store)
    names = sorted(path.stem for path in nginx.store.iterdir())
    site = await serve(nginx.list_as(level2_scenes(len(names)), names))
    await site.pull(segments=1)
    await until(lambda: len(nginx.served()) >= len(names))
    first = len(nginx.served())

    report = await site.pull(segments=1)

    assert len(names) == first == len(nginx.served())
    assert (len(names), 0) == (report.skipped, report.bytes)


async def test_after_a_kill_only_what_is_missing_is_fetched(
    serve: Callable[..., Any], nginx: Nginx, command: Command
) -> None:
    small, *cut = scenes = nginx.list_as(level2_scenes(4), ["small", "first", "second", "third"])
    for seed, scene in enumerate(scenes):
        write_noise(nginx.original(scene), 100_000 if scene is small else BIG, seed)
    site = await serve(scenes)
    await kill_midway(site, command, nginx, [small], cut)
    held = {scene.identifier: part_of(site, scene).stat().st_size for scene in cut}
    before = len(nginx.served())

    ended = await command(*words_for(site, "--segments", 1))
    await until(lambda: len(nginx.served()) >= before + len(cut))

    assert 0 == ended.code, ended.err
    expected = []
    for scene in cut:
        size, here = nginx.original(scene).stat().st_size, held[scene.identifier]
        assert 2 * MIB <= here < size
        path = f"/{nginx.original(scene).name}"
        expected.append(Served(path, 206, size - here, f"bytes={here}-"))
    assert {*expected} == {*nginx.served()[before:]}
    assert len(expected) == len(nginx.served()) - before
    assert [True] * 4 == [is_copy(nginx.original(scene), site.archive(scene)) for scene in scenes]
    assert [] == site.litter()


@pytest.mark.parametrize("later", [10, 0])
async def test_an_archive_that_nginx_replaced_after_a_kill_is_never_spliced(
    serve: Callable[..., Any], nginx: Nginx, command: Command, later: int
) -> None:
    """nginx makes its ETag of second and length: replaced within that second, only checksums tell them apart."""
    [scene] = nginx.list_as(level2_scenes(1), ["replaced"])
    original = nginx.original(scene)
    write_noise(original, BIG, seed=0)
    site = await serve([scene])
    await kill_midway(site, command, nginx, [], [scene])
    made = original.stat().st_mtime
    write_noise(original, BIG, seed=1)
    os.utime(original, (made + later, made + later))

    ended = await command(*words_for(site))

    assert 0 == ended.code, ended.err
    assert is_copy(original, site.archive(scene))
    assert [] == site.litter()


def wrong_members(site: Site, scene: Scene, archive: Path) -> list[str]:
    """Files of a tree that are not what the archive has under their names."""
    tree = site.folder / f"{scene.identifier}.parts"
    files = {path.relative_to(tree).as_posix(): path for path in tree.rglob("*.jp2")}
    with zipfile.ZipFile(archive) as opened:
        return [name for name, path in files.items() if path.read_bytes() != opened.read(name)]


async def test_members_come_by_ranges_and_the_rest_follows(serve: Callable[..., Any], nginx: Nginx) -> None:
    [scene] = nginx.list_as(level2_scenes(1, size=BIG), ["ranged"])
    original = nginx.original(scene)
    write_archive(scene, original, 0, 0)
    site = await serve([scene])

    one = await site.pull(members=["*_B02_10m.jp2"], segments=1, workers=1)
    two = await site.pull(members=["*_B02_10m.jp2", "*_B08_10m.jp2"], segments=1, workers=1)
    rest = await site.pull()
    await until(lambda: sum(each.sent for each in nginx.served()) >= one.bytes + two.bytes + rest.bytes)

    assert [1, 1, 1] == [one.downloaded, two.downloaded, rest.downloaded]
    assert [(206, "bytes=-65536")] == [(each.status, each.range) for each in nginx.served()][:1]
    assert {206} == {each.status for each in nginx.served()}
    assert [] == wrong_members(site, scene, original)
    assert is_copy(original, site.archive(scene))
    assert one.bytes + two.bytes + rest.bytes <= original.stat().st_size + 65536


@pytest.mark.parametrize("later", [10, 0])
async def test_members_of_an_archive_that_nginx_has_replaced(
    serve: Callable[..., Any], nginx: Nginx, later: int
) -> None:
    [scene] = nginx.list_as(level2_scenes(1, size=BIG), ["replaced"])
    original = nginx.original(scene)
    write_archive(scene, original, 0, 0)
    made = original.stat().st_mtime
    site = await serve([scene])
    await site.pull(members=["*_B02_10m.jp2"])
    write_archive(scene, original, 1, 0)
    os.utime(original, (made + later, made + later))

    report = await site.pull(members=["*_B02_10m.jp2", "*_B08_10m.jp2"])

    assert 1 == report.downloaded
    assert [] == wrong_members(site, scene, original)
    assert 2 == len(list((site.folder / f"{scene.identifier}.parts").rglob("*.jp2")))


async def test_nginx_without_ranges_is_asked_once_and_left(serve: Callable[..., Any], nginx: Nginx) -> None:
    scenes = nginx.list_as(level2_scenes(3, size=BIG), ["whole/1", "whole/2", "whole/3"])
    (nginx.store / "whole").mkdir()
    for scene in scenes:
        write_archive(scene, nginx.store / "whole" / nginx.original(scene).name, 0, 0)
    site = await serve(scenes)

    report = await site.pull(members=["*_B02_10m.jp2"], workers=1, user_agent=SLOW)
    await until(lambda: len(nginx.served()) == 1)

    assert (0, 3) == (report.downloaded, report.failed)
    assert {"the store sends whole archives only; --else-whole takes them"} == {str(o.error) for o in report.failures}
    assert nginx.served()[0].sent < BIG
    assert report.bytes <= 2 * MIB
    assert [] == site.litter()


async def test_a_store_with_a_certificate_of_its_own_is_trusted_when_told_so(
    serve: Callable[..., Any], secure_nginx: Nginx, certificate: Path, command: Command
) -> None:
    [scene] = secure_nginx.list_as(level2_scenes(1), ["secret"])
    write_noise(secure_nginx.original(scene), BIG, seed=0)
    site = await serve([scene])

    ended = await command(*words_for(site, "--ca-file", certificate))

    assert 0 == ended.code, ended.err
    assert is_copy(secure_nginx.original(scene), site.archive(scene))


async def test_a_store_with_a_certificate_of_its_own_is_not_trusted_otherwise(
    serve: Callable[..., Any], secure_nginx: Nginx, command: Command
) -> None:
    [scene] = secure_nginx.list_as(level2_scenes(1), ["secret"])
    write_noise(secure_nginx.original(scene), 100_000, seed=0)
    site = await serve([scene])

    ended = await command(*words_for(site))

    assert 1 == ended.code
    assert "certificate" in ended.err
    assert [] == secure_nginx.served()
    assert not site.archive(scene).exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("_emptied_afterwards")
async def test_an_archive_over_4_gib_arrives_whole(serve: Callable[..., Any], nginx: Nginx, tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    if free < ROOM_FOR_HUGE:
        pytest.skip(f"needs {ROOM_FOR_HUGE / 1e9:.0f} GB of disk; {free / 1e9:.1f} GB are free at {tmp_path}")
    [scene] = nginx.list_as(level2_scenes(1), ["huge"])
    write_huge(nginx.original(scene))
    site = await serve([scene])

    report = await site.pull()

    size = nginx.original(scene).stat().st_size
    assert size > HUGE
    assert 1 == report.downloaded
    # Idle workers help, and what is on its way when a range is handed over moves twice.
    assert size <= report.bytes <= size + 64 * 2**20
    assert "/huge.zip" == nginx.served()[0].path
    assert is_archive(site.archive(scene))
    assert is_copy(nginx.original(scene), site.archive(scene))
