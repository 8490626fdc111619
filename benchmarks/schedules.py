"""Play random schedules of faults: cut, silent and lying lines, new versions, kill -9, in any order.

Run it from a checkout: ``python benchmarks/schedules.py --count 200 --seed 0``. A schedule that fails is told with its
seed and with what happens in it; ``--count 1 --seed N`` plays it again.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.schedules import MIB, Played, draw, play


def main() -> int:
    """Play them and say what came of them; 0 when all went as it has to go."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="how many schedules (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the first; the others follow (default: 0)")
    parser.add_argument("--jobs", type=int, default=4, help="how many are played at once (default: 4)")
    asked = parser.parse_args()
    begun = time.monotonic()
    all_played = asyncio.run(_play_all(range(asked.seed, asked.seed + asked.count), asked.jobs))
    failed = [played.schedule.seed for played in all_played if played.problems]
    moved = sum(played.moved for played in all_played)
    size = sum(played.schedule.size for played in all_played)
    _print(
        f"{len(all_played)} schedules, {sum(played.starts for played in all_played)} starts, "
        f"{sum(played.spoilt for played in all_played)} spoilt requests, "
        f"{moved / MIB:.0f} MiB moved for {size / MIB:.0f} MiB of archives, {time.monotonic() - begun:.0f} s: "
        + (f"{len(failed)} failed, seeds {' '.join(map(str, failed))}" if failed else "all ended right")
    )
    return 1 if failed else 0


async def _play_all(seeds: range, jobs: int) -> list[Played]:
    places = asyncio.Semaphore(jobs)

    async def play_one(seed: int) -> Played:
        async with places:
            with tempfile.TemporaryDirectory(prefix=f"schedule-{seed}-") as folder:
                played = await play(draw(seed), Path(folder))
            if played.problems:
                _print(f"{played.schedule}\n  " + "\n  ".join(played.problems))
            return played

    return await asyncio.gather(*map(play_one, seeds))


def _print(words: str) -> None:
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
