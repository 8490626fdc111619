"""Figures that weigh speed, memory and risk of a transfer against each other."""

from __future__ import annotations

from dataclasses import dataclass

from collgs_async.pipeline import MOST_PUT_OFF
from collgs_async.storage.part import SMALL

__all__ = ["TransferTuning"]


@dataclass(frozen=True, slots=True)
class TransferTuning:
    """Sizes and times from which the engine does more than the plain thing; given to `Client`.

    All numbers are above 0. The defaults are right for archives of megabytes to gigabytes on any line. Tests make them
    small, so that an archive of a few megabytes is split and received as a large one.

    Attributes
    ----------
    block_bytes
        Minimum size of a block that is written in a thread; a larger ``chunk_size`` increases it.
    thread_receiver
        Whether large bodies are received in threads, over connections taken from aiohttp, rather than through the event
        loop, which takes more processor time.
    min_receiver_bytes
        Remaining bytes from which taking a connection over for a receiver thread pays: it cannot be reused afterwards,
        and on a connection with high latency a new one starts slowly.
    max_buffered_bytes
        Maximum bytes that all receivers of one archive have in memory together; they are lost if the process is killed.
    read_seconds
        Seconds after which a receiver's read returns what has been received, so that slow connections show progress.
    writeback_bytes
        Bytes after which the kernel is asked to start writing to the disk, so that the final fsync has little left to
        do.
    min_split_seconds
        Seconds that a segment must still take at its measured rate before it is split.
    min_piece_bytes
        Minimum size of a piece that is split off. On all but very slow connections `min_split_seconds` is the tighter
        limit.
    rate_seconds
        Seconds over which the connection of an archive must reach the minimum rate.
    watch_seconds
        Seconds between two refreshes of the locks, and between two comparisons of the clocks.
    max_put_off
        Number of postponed products at which a run takes no further ones.
    extract_bytes, extract_seconds
        Where only some members of an archive are wanted: bytes of members that are here from which they are extracted
        while others are still to come, and seconds between two looks.
    small_bytes
        Size up to which an archive gets a sidecar only when its download is interrupted, and is verified and published
        in one call: downloading it again costs less.
    """

    block_bytes: int = 2**20
    thread_receiver: bool = True
    min_receiver_bytes: int = 16 * 2**20
    max_buffered_bytes: int = 2 * 2**20
    read_seconds: float = 0.5
    writeback_bytes: int = 8 * 2**20
    min_split_seconds: float = 1.0
    min_piece_bytes: int = 128 * 2**10
    rate_seconds: float = 30.0
    watch_seconds: float = 5.0
    max_put_off: int = MOST_PUT_OFF
    extract_bytes: int = 16 * 2**20
    extract_seconds: float = 0.25
    small_bytes: int = SMALL
