"""A slow, long and lossy line between two network namespaces, for kernels without netem: a relay in user space.

``laid`` makes the namespaces and starts the relay, which is this file run as a program. Both need root. The relay is
Python: trust it up to about 400 Mbit/s.
"""

from __future__ import annotations

import fcntl
import os
import random
import select
import struct
import sys
import time
from collections import deque
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from processes import Service, output_of, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["HEADERS", "Laid", "Line", "laid", "reason_against"]

HEADERS = 1500 / 1448
"""Bytes on the line for each byte of a file: packets of 1500 have 52 of IP and TCP."""

_TUN = "/dev/net/tun"
_NEAR, _FAR = "10.99.1.1", "10.99.1.2"
_MTU = 1500
_CONGESTION_CONTROL = "cubic"
_READY = "laid"
_TUNSETIFF = 0x400454CA
_IFF_TUN_NO_PI = 0x0001 | 0x1000
_LEAST_QUEUE = 0.02
_BATCH = 256
_SPARED = 200


@dataclass(frozen=True, slots=True)
class Line:
    """What the line is like.

    Attributes
    ----------
    round_trip
        Milliseconds there and back.
    rate
        Mbit/s each way, headers included.
    loss
        Percent of the packets that carry data.
    """

    round_trip: float
    rate: float
    loss: float = 0.0

    def seconds(self, size: int) -> float:
        """Say how long so many bytes of files take at least."""
        return size * HEADERS * 8 / (self.rate * 1e6)


@dataclass(frozen=True, slots=True)
class Laid:
    """A line that is in use: who sits at its ends, and the relay between them.

    Attributes
    ----------
    near, far
        Words to put before a command, so that it runs at that end.
    host
        The address of the far end.
    relay
        The process that carries the packets.
    """

    near: tuple[str, ...]
    far: tuple[str, ...]
    host: str
    relay: Service


def reason_against() -> str | None:
    """Say why no line can be laid here; None: it can."""
    if os.geteuid() != 0:
        return "it needs root, for network namespaces"
    if not Path(_TUN).exists():
        return f"it needs {_TUN}"
    return None


@contextmanager
def laid(line: Line, folder: Path) -> Iterator[Laid]:
    """Lay a line, for as long as the context lasts."""
    ends = [f"speed-{os.getpid()}-{end}" for end in ("near", "far")]
    with ExitStack() as stack:
        for end in ends:
            output_of("ip", "netns", "add", end)
            stack.callback(output_of, "ip", "netns", "delete", end)
        words = [sys.executable, __file__, *ends, *map(str, (line.round_trip, line.rate, line.loss))]
        relay = stack.enter_context(serving(words, folder / "relay.log"))
        relay.word_after(_READY)
        near, far = (("ip", "netns", "exec", end) for end in ends)
        for before in (near, far):
            # What one run has learnt about the line is not for the next one.
            output_of(*before, "sysctl", "-qw", "net.ipv4.tcp_no_metrics_save=1")
        yield Laid(near, far, _FAR, relay)


@dataclass(slots=True)
class _Way:
    """One direction: packets read from one end, due at the other."""

    source: int
    target: int
    free_at: float = 0.0
    due: deque[tuple[float, bytes]] = field(default_factory=deque)


class _Relay:
    def __init__(self, ends: tuple[int, int], line: Line) -> None:
        self._ways = {source: _Way(source, target) for source, target in (ends, ends[::-1])}
        self._delay = line.round_trip / 2e3
        self._per_byte = 8 / (line.rate * 1e6)
        self._loss = line.loss / 100
        # The bottleneck holds back about as much as is on the way.
        self._most_queued = max(line.round_trip / 1e3, _LEAST_QUEUE)

    def carry(self) -> None:
        """Carry packets until the process is stopped."""
        while True:
            next_due = min((way.due[0][0] for way in self._ways.values() if way.due), default=None)
            wait = None if next_due is None else max(0.0, next_due - time.monotonic())
            for source in select.select(list(self._ways), [], [], wait)[0]:
                self._take(self._ways[source])
            for way in self._ways.values():
                self._hand_over(way)

    def _take(self, way: _Way) -> None:
        with suppress(BlockingIOError):
            for _ in range(_BATCH):
                packet = os.read(way.source, 65_536)
                now = time.monotonic()
                way.free_at = max(way.free_at, now)
                if way.free_at - now > self._most_queued:
                    continue
                way.free_at += len(packet) * self._per_byte
                if not (self._loss and len(packet) > _SPARED and random.random() < self._loss):
                    way.due.append((way.free_at + self._delay, packet))

    def _hand_over(self, way: _Way) -> None:
        now = time.monotonic()
        while way.due and way.due[0][0] <= now:
            # An end that is being taken down refuses packets.
            with suppress(OSError):
                os.write(way.target, way.due.popleft()[1])


def _open_end(namespace: str, address: str, other: str) -> int:
    """Make a TUN device, and put its face into the namespace."""
    name = f"{namespace.removeprefix('speed-')}"[:15]
    end = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN_NO_PI))
    inside = ("ip", "-n", namespace)
    output_of("ip", "link", "set", name, "netns", namespace)
    output_of(*inside, "link", "set", "lo", "up")
    output_of(*inside, "address", "add", address, "dev", name)
    output_of(*inside, "link", "set", name, "mtu", str(_MTU), "txqueuelen", "20000", "up")
    # A default of BBR would hide what losses cost most servers; a route may say so without any global setting.
    output_of(*inside, "route", "add", f"{other}/32", "dev", name, "congctl", _CONGESTION_CONTROL)
    return end


def _main(near: str, far: str, round_trip: str, rate: str, loss: str) -> None:
    ends = _open_end(near, _NEAR, _FAR), _open_end(far, _FAR, _NEAR)
    sys.stdout.write(f"{_READY}\n")
    sys.stdout.flush()
    _Relay(ends, Line(float(round_trip), float(rate), float(loss))).carry()


if __name__ == "__main__":
    _main(*sys.argv[1:])
