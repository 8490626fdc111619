"""Long plans: seconds and peak memory to read one, to list it, and to compare two; ``python benchmarks/plans.py``."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from collgs_async.demo import make_constellation

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEAD: Final = {
    "format": "collgs-async plan",
    "version": 1,
    "created": "2026-11-30T12:00:00Z",
    "catalogue": "http://127.0.0.1:9/catalog/oseo/search",
    "query": {"parameters": {"parentIdentifier": "S2_MSIL2A"}, "selection": {}},
}

_PROGRAM: Final = """\
import resource, sys
from pathlib import Path
from collgs_async.cli import main
from collgs_async.selection.plan import Plan
code = main(sys.argv[1:]) if len(sys.argv) > 2 else len(Plan.read(Path(sys.argv[1])).products) == 0
used = resource.getrusage(resource.RUSAGE_SELF)
(peak,) = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(used.ru_utime + used.ru_stime, int(peak) / 1024, code, file=sys.stderr)
"""
"""Says at its end what it has used: CPU seconds, MiB at the peak (Linux), and its exit code.

The peak is not `ru_maxrss`, in which that of the parent process counts.
"""


def write_plan(path: Path, count: int, *, other: int = 0) -> None:
    """Write a plan of Sentinel-2 products over Luxembourg; each `other`-th has another cloud cover than usual."""
    scenes = [scene for scene in make_constellation() if scene.collection == "S2_MSIL2A"]
    with path.open("w") as file:
        file.write(json.dumps(_HEAD)[:-1] + ', "products": [')
        for index in range(count):
            scene = scenes[index % len(scenes)]
            name = f"{scene.identifier[:-6]}{index:06d}"
            moment = f"{scene.start:%Y-%m-%dT%H:%M:%S}.024Z"
            product = {
                "identifier": name,
                "url": f"http://127.0.0.1:9/catalog/{scene.location.replace(scene.identifier, name)}",
                "collection": scene.collection,
                "start": moment,
                "end": moment,
                "footprint": scene.footprint,
                "cloud_cover": 7 if other and index % other == 0 else scene.cloud_cover,
                "orbit_direction": scene.orbit_direction,
                "orbit_number": scene.orbit_number,
                "platform": f"{scene.platform}{scene.serial}",
                "quicklook": f"http://127.0.0.1:9/catalog/oseo/quicklook?parentIdentifier=S2_MSIL2A&uid={name}",
            }
            file.write(("\n" if index == 0 else ",\n") + json.dumps(product))
        file.write("]}\n")


def measure(title: str, words: Sequence[str | Path], folder: Path) -> None:
    """Run one process and print its row."""
    process = subprocess.run(  # noqa: S603
        [sys.executable, "-c", _PROGRAM, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
        cwd=folder,
    )
    seconds, peak, _ = process.stderr.splitlines()[-1].split()
    sys.stdout.write(f"| {title} | {float(seconds):.1f} | {float(peak):.0f} |\n")
    sys.stdout.flush()


def main() -> None:
    """Write two plans, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=300_000, help="products of a plan (default: 300000)")
    count = parser.parse_args().products
    with tempfile.TemporaryDirectory(prefix="collgs-plans-") as name:
        folder = Path(name)
        earlier, later = folder / "earlier.json", folder / "later.json"
        write_plan(earlier, count)
        write_plan(later, count, other=100)
        megabytes = earlier.stat().st_size / 1e6
        sys.stdout.write(f"{count:,} products, {megabytes:.0f} MB\n\n")
        sys.stdout.write("| what | CPU s | peak MiB |\n| --- | ---: | ---: |\n")
        measure("`Plan.read`", [earlier], folder)
        measure("`--plan FILE --dry-run --format urls`", ["--plan", earlier, "--dry-run", "--format", "urls"], folder)
        measure("`plan --diff FILE FILE`", ["plan", "--diff", earlier, later], folder)


if __name__ == "__main__":
    main()
