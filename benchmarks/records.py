"""The least that a Python program can do over TLS: ``python records.py LIST FOLDER CERTIFICATE``.

A thread for each address of a list, one of them decrypting at a time, straight from the socket into a file. No aiohttp,
no catalogue, no check, no resume, no fsync, no final names: what ours takes beside it goes to those.
"""

from __future__ import annotations

import mmap
import re
import socket
import ssl
import sys
import threading
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

_BLOCK: Final = 256 * 1024


def _fetch(url: str, folder: Path, trust: ssl.SSLContext, turn: threading.Lock) -> None:
    address = urlsplit(url)
    host, port = address.hostname or "", address.port or 443
    with trust.wrap_socket(socket.create_connection((host, port)), server_hostname=host) as line:
        line.sendall(f"GET {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: close\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += line.recv(1)
        found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        left = int(found[1]) if found else 0
        block = memoryview(mmap.mmap(-1, _BLOCK))
        with (folder / address.path.rpartition("/")[2]).open("wb", buffering=0) as file:
            while left:
                filled, wanted = 0, min(left, _BLOCK)
                with turn:
                    while filled < wanted and (count := line.recv_into(block[filled:wanted])):
                        filled += count
                file.write(block[:filled])
                left -= filled or left


if __name__ == "__main__":
    _turn, _trust = threading.Lock(), ssl.create_default_context(cafile=sys.argv[3])
    _threads = [
        threading.Thread(target=_fetch, args=(url, Path(sys.argv[2]), _trust, _turn))
        for url in Path(sys.argv[1]).read_text().split()
    ]
    for _thread in _threads:
        _thread.start()
    for _thread in _threads:
        _thread.join()
