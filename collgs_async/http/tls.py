"""Whom TLS trusts: the system's certificates, read once, and no sooner than a line needs them.

aiohttp reads them twice as it is imported, for contexts of its own, which takes a sixth of the time that a run needs
to start. A process that is ours alone puts that off; its connections over TLS get a context that is made here.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import ssl

__all__ = ["put_off", "trusting"]

_PLACES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Where OpenSSL looks instead of into the system's own places (SSL_CTX_set_default_verify_paths(3))."""

_users: dict[str, str] = {}


def put_off() -> None:
    """Have nobody read the system's certificates but `trusting`; for a process in which nobody else needs them."""
    if not _users:
        _users.update({name: os.environ.get(name, "") for name in _PLACES})
        os.environ.update(dict.fromkeys(_PLACES, os.devnull))


def trusting(ca_file: Path | None = None) -> ssl.SSLContext:
    """Make what a connection over TLS needs to know who it speaks with.

    Parameters
    ----------
    ca_file
        Certificates to trust instead of the system's, in PEM form; None: the system's, for which there is one context.

    Raises
    ------
    OSError
        A file cannot be read, or has no certificates; `ssl.SSLError` is one.
    """
    return _systems() if ca_file is None else _context(ca_file)


@lru_cache(maxsize=1)
def _systems() -> ssl.SSLContext:
    import ssl

    context = _context(None)
    if _users:  # else they have been read by now
        system = ssl.get_default_verify_paths()
        file = Path(_users["SSL_CERT_FILE"] or system.openssl_cafile)
        folder = Path(_users["SSL_CERT_DIR"] or system.openssl_capath)
        if file.is_file():
            context.load_verify_locations(cafile=file)
        if folder.is_dir():
            context.load_verify_locations(capath=folder)
    return context


def _context(ca_file: Path | None) -> ssl.SSLContext:
    import ssl

    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(["http/1.1"])
    return context
