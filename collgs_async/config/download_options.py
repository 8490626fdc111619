"""The settings of transfers: how archives are downloaded and verified, how fast, and at which limits a run stops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from collgs_async.config import kinds
from collgs_async.config.engine_kinds import ENGINE
from collgs_async.config.options import Section, setting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import time

    from collgs_async.models.engine import DaskEngine
    from collgs_async.models.timetable import RateTimetable

__all__ = ["DownloadOptions"]


@dataclass(frozen=True, init=False, repr=False)
class DownloadOptions(Section):
    """How archives are downloaded and verified."""

    prefix = "download_options."
    group = "transfer"

    # fmt: off
    skip_existing: bool = setting("--skip-existing", "", kinds.SWITCH, default=True, group="output",
        help="do not fetch again what is in the folder")
    verify: Literal["crc", "structure", "size"] = setting("--verify", "",
        kinds.one_of("crc", "structure", "size"), default="crc", group="output",
        help="how an archive is checked before it gets its name")
    workers: int = setting("--workers", "N", kinds.whole(1, 64), default=4, short="-j",
        help="how many archives are fetched at the same time")
    segments: int = setting("--segments", "N", kinds.whole(1, 64), default=4,
        help="the most connections for one archive, when workers have nothing else to do")
    chunk_size: int = setting("--chunk-size", "BYTES", kinds.whole(1024, 64 * 2**20, of="bytes"), default=65536,
        help="the least that is read and written at once")
    limit_rate: float | RateTimetable | None = setting("--limit-rate", "RATE", kinds.RATE_OR_TIMETABLE, default=None,
        help="at most so many bytes a second, over all archives; k, M and G count in thousands; off: no limit. Or by "
        'local time: "08:00,2M 18:00,20M 23:00,off", or Mon-08:00,2M for one day of the week; 0 pauses')
    min_rate: float | None = setting("--min-rate", "RATE", kinds.RATE, default=None,
        help="a connection that is slower than this for half a minute is made anew; bytes a second, with k, M or G")
    max_bytes: float | None = setting("--max-bytes", "SIZE", kinds.SIZE, default=None,
        help="stop the run once so many bytes of archives have come; k, M, G and T count in thousands")
    max_time: float | None = setting("--max-time", "TIME", kinds.duration("6h", zero=False), default=None,
        help="stop the run after this time: seconds, or with m, h or d")
    until: time | None = setting("--until", "HH:MM", kinds.CLOCK_TIME, default=None,
        help="stop the run when it is this time next, such as 06:00; local time")
    keep_free: float | str | None = setting("--keep-free", "SIZE|PERCENT", kinds.FREE_SPACE, default=None,
        help="begin no archive that would leave less room than this on the disk, such as 200G or 5%")
    engine: DaskEngine | None = setting("--engine", "NAME", ENGINE, default=None,
        help="fetch in several processes: dask, on this machine; dask=local:N, in N processes; or "
        "dask=tcp://HOST:PORT, on a Dask cluster with the same output folder; none: in this process")
    # fmt: on

    def _contradictions(self) -> Iterator[str]:
        """Yield an error for a minimum rate that the rate limit itself prevents."""
        limit = self.limit_rate if isinstance(self.limit_rate, float | int | None) else self.limit_rate.lowest
        share = (limit or 0) / self.workers
        if limit and self.min_rate and self.min_rate > share:
            yield (
                f"download_options: expected min_rate of at most {share:.0f} (limit_rate, shared by the workers), "
                f"found {self.min_rate:.0f}"
            )
