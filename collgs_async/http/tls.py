"""Create the TLS context from the system's certificates, once, when the first connection needs it.

aiohttp reads the certificates twice on import, for contexts of its own, which takes a sixth of the start-up time of a
run. The command line avoids that with `put_off`; its TLS connections use the context that is created here.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import ssl

__all__ = ["put_off", "trusting"]

_VARIABLES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Variables that override where OpenSSL looks for certificates (SSL_CTX_set_default_verify_paths(3))."""

_original: dict[str, str] = {}


def put_off() -> None:
    """Prevent all code but `trusting` from loading the system's certificates, by changing the environment.

    Only for a process in which no other code needs them.
    """
    if not _original:
        _original.update({name: os.environ.get(name, "") for name in _VARIABLES})
        os.environ.update(dict.fromkeys(_VARIABLES, os.devnull))


def trusting(ca_file: Path | None = None) -> ssl.SSLContext:
    """Return a TLS context that verifies certificates.

    Parameters
    ----------
    ca_file
        PEM file with the certificates to trust; None for the system's, whose context is created once.

    Raises
    ------
    OSError
        A file cannot be read, or has no certificates; `ssl.SSLError` is a subclass.
    """
    return _system_context() if ca_file is None else _context(ca_file)


@lru_cache(maxsize=1)
def _system_context() -> ssl.SSLContext:
    import ssl

    context = _context(None)
    if _original:  # `put_off` was called, so `create_default_context` has loaded none
        system = ssl.get_default_verify_paths()
        file = Path(_original["SSL_CERT_FILE"] or system.openssl_cafile)
        folder = Path(_original["SSL_CERT_DIR"] or system.openssl_capath)
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
