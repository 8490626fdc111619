"""Whom TLS trusts: the system's certificates, read once, and no sooner than a line needs them.

aiohttp reads them twice as it is imported, for contexts of its own, which takes a sixth of the time that a run needs to
start. A process that is ours alone puts that off: all its connections get the context that is made here.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["put_off", "trusting"]

_NOWHERE: Final = {"SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": os.devnull}
"""Where OpenSSL looks before it looks into the system's own places (SSL_CTX_load_verify_locations(3))."""

_users: dict[str, str | None] = {}


def put_off() -> None:
    """Have nobody read the system's certificates but `trusting`; for a process in which nobody else needs them."""
    if not _users:
        _users.update({name: os.environ.get(name) for name in _NOWHERE})
        os.environ.update(_NOWHERE)


def trusting(ca_file: Path | None = None) -> ssl.SSLContext:
    """Make what a connection over TLS needs to know who it speaks with.

    Parameters
    ----------
    ca_file
        Certificates to trust instead of the system's, in PEM form; None: the system's, for which there is one context.

    Raises
    ------
    OSError
        The file cannot be read, or has no certificates; `ssl.SSLError` is one.
    """
    return _systems() if ca_file is None else _context(ca_file)


@lru_cache(maxsize=1)
def _systems() -> ssl.SSLContext:
    with _as_the_user_has_it():
        return _context(None)


def _context(ca_file: Path | None) -> ssl.SSLContext:
    import ssl

    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(["http/1.1"])
    return context


@contextmanager
def _as_the_user_has_it() -> Iterator[None]:
    """Put the places back for a moment."""
    for name, place in _users.items():
        if place is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = place
    try:
        yield
    finally:
        if _users:
            os.environ.update(_NOWHERE)
