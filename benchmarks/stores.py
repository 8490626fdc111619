"""Who hands the archives out: nginx with a configuration of its own, and the catalogue beside it."""

from __future__ import annotations

import getpass
import os
import socket
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from catalogue import READY
from processes import Service, output_of, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CAPPED_RATE", "Entrance", "Store", "make_certificate", "opened", "searchable"]

Entrance = Literal["http", "https", "capped"]
"""Which way in: plain, over TLS, or plain with a limit for each connection."""

CAPPED_RATE = 20 * 2**20
"""Bytes a second for each connection that comes by ``capped``."""

_CONFIGURATION = """\
{user}worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log stderr;
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; etag on; default_type application/zip;
  keepalive_timeout 60; keepalive_requests 1000000; open_file_cache max=5000 inactive=60s;
  client_body_temp_path {folder}/bodies; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen {host}:{port}; listen {host}:{tls_port} ssl; root "{root}";
    ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;
    location /capped/ {{ alias "{root}/"; limit_rate {rate}; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A self-signed certificate for 127.0.0.1, and its key."""

    path: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Store:
    """nginx at work.

    Attributes
    ----------
    service
        Its process.
    host, port, tls_port
        Where it listens.
    """

    service: Service
    host: str
    port: int
    tls_port: int

    def url(self, entrance: Entrance) -> str:
        """Say where the sets of archives are, with a slash at the end."""
        if entrance == "https":
            return f"https://{self.host}:{self.tls_port}/"
        return f"http://{self.host}:{self.port}/" + ("capped/" if entrance == "capped" else "")


def make_certificate(folder: Path) -> Certificate:
    """Make a certificate that tools are told to trust."""
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    words = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    output_of(*words.split(), "-keyout", str(made.key), "-out", str(made.path))
    return made


@contextmanager
def opened(
    root: Path, folder: Path, certificate: Certificate, host: str = "127.0.0.1", at: tuple[str, ...] = ()
) -> Iterator[Store]:
    """Run nginx for as long as the context lasts.

    Parameters
    ----------
    root
        What it hands out.
    folder
        Where its own files go.
    certificate
        For the entrance over TLS.
    host
        The address to listen at.
    at
        Words before the command, when it is to run elsewhere than here.
    """
    port, tls_port = _free_ports() if not at else (8080, 8443)
    configuration = folder / "nginx.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            # Without it, workers that root has started could not read the folder of this run.
            user=f"user {getpass.getuser()};\n" if os.geteuid() == 0 else "",
            folder=folder,
            root=root,
            host=host,
            port=port,
            tls_port=tls_port,
            certificate=certificate.path,
            key=certificate.key,
            rate=CAPPED_RATE,
        )
    )
    pid_file = folder / "nginx.pid"
    pid_file.unlink(missing_ok=True)
    words = [*at, "nginx", "-p", str(folder), "-c", str(configuration), "-e", str(folder / "nginx-early.log")]
    with serving(words, folder / "nginx.log") as service:
        # It is written once the sockets listen.
        service.wait_for(lambda: pid_file if pid_file.exists() and pid_file.read_text().strip() else None)
        yield Store(service, host, port, tls_port)


@contextmanager
def searchable(
    goods: str, folder: Path, host: str = "127.0.0.1", at: tuple[str, ...] = ()
) -> Iterator[tuple[Service, str]]:
    """Run the catalogue of a set for as long as the context lasts; gives its process, and where to search."""
    program = Path(__file__).with_name("catalogue.py")
    words = [*at, sys.executable, str(program), goods, host, str(folder / "catalogue")]
    with serving(words, folder / "catalogue.log") as service:
        yield service, service.word_after(READY)


def _free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]
