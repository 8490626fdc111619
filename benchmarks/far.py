"""A store far away, in a process of its own: a relay that holds every byte back, and a catalogue with one product.

``parts.py`` starts it: ``python far.py PORT MILLISECONDS IDENTIFIER SIZE FOLDER``. It relays connections to that port
of the loopback as if each round trip took so long, a connection's first one included; it says where the store and the
catalogue are, and serves until it is stopped.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from collgs_async.demo.scenes import make_scenes
from collgs_async.demo.server import DemoServer

__all__ = ["COLLECTION", "SEARCH_AT", "STORE_AT"]

STORE_AT, SEARCH_AT = "store at ", "search at "
"""How the lines begin that say where they are."""
COLLECTION = "S2_MSIL2A"

_BLOCK = 64 * 1024
_MOST_ON_THE_WAY = 8
"""Blocks in each direction of a connection, as a window of TCP: 512 KiB, for 8 MB/s at 40 ms have 320 kB on the way.

nginx begins each answer with what a whole second may bring. Without a window, all of it would be on the way at once,
and lost when a tool hangs up."""
_BUFFER = 128 * 1024
"""Bytes of the sockets' own buffers, for the same reason."""


class _Relay:
    def __init__(self, port: int, delay: float) -> None:
        self._port = port
        self._delay = delay
        self._clock = asyncio.get_running_loop().time

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection."""
        await asyncio.sleep(2 * self._delay)  # the handshake
        store = socket.socket()
        store.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        store.setblocking(False)
        await asyncio.get_running_loop().sock_connect(store, ("127.0.0.1", self._port))
        store_reader, store_writer = await asyncio.open_connection(sock=store, limit=_BLOCK)
        both = self._carry(reader, store_writer), self._carry(store_reader, writer)
        await asyncio.gather(*both)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry bytes one way; the end of them, too, arrives later."""
        way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_MOST_ON_THE_WAY)
        arriving = asyncio.create_task(self._arrive(way, writer))
        with suppress(OSError):
            while data := await reader.read(_BLOCK):
                await way.put((self._clock() + self._delay, data))
        await way.put((self._clock() + self._delay, b""))
        await arriving

    async def _arrive(self, way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        data = b"..."
        while data:
            due, data = await way.get()
            await asyncio.sleep(max(0.0, due - self._clock()))
            with suppress(OSError):  # who has hung up needs no more; it is read to its end all the same
                writer.write(data)
                await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def _serve(port: int, milliseconds: float, identifier: str, size: int, folder: Path) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
    relay = await asyncio.start_server(_Relay(port, milliseconds / 2e3).take, sock=listener, limit=_BLOCK)
    store = f"http://127.0.0.1:{relay.sockets[0].getsockname()[1]}/"
    like = next(scene for scene in make_scenes(20) if scene.collection == COLLECTION)
    scene = replace(like, identifier=identifier, size=size, href=f"{store}{identifier}.zip")
    async with DemoServer([scene], folder) as server:
        sys.stdout.write(f"{STORE_AT}{store}\n{SEARCH_AT}{server.url}\n")
        sys.stdout.flush()
        await stopped.wait()
    relay.close()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], int(sys.argv[4]), Path(sys.argv[5])))
