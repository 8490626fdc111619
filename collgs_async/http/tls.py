"""Create the TLS context from the system's certificates, once, when the first connection needs it.

aiohttp reads the certificates twice on import, for contexts of its own, which takes a third of the processor time of a
command's start. The command line imports it by `import_aiohttp`; its TLS connections use the context created here.
"""

from __future__ import annotations

import os
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

__all__ = ["import_aiohttp", "trusting"]

_VARIABLES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Variables that override where OpenSSL looks for certificates (SSL_CTX_set_default_verify_paths(3))."""


def import_aiohttp() -> None:
    """Import aiohttp with default contexts that trust nothing; the environment is as before afterwards.

    Only for a process in which no other code uses aiohttp.
    """
    before = {name: os.environ.get(name) for name in _VARIABLES}
    os.environ.update(dict.fromkeys(_VARIABLES, os.devnull))
    try:
        import_module("aiohttp")
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


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
    return _system_context() if ca_file is None else _context(str(ca_file))


@lru_cache(maxsize=1)
def _system_context() -> ssl.SSLContext:
    import ssl

    # By their paths: loading the defaults would ignore a file that cannot be read, and trust nothing for good.
    paths = ssl.get_default_verify_paths()
    return _context(paths.cafile, paths.capath)


def _context(ca_file: str | None, ca_folder: str | None = None) -> ssl.SSLContext:
    import ssl

    context = ssl.create_default_context(cafile=ca_file, capath=ca_folder)
    context.set_alpn_protocols(["http/1.1"])
    return context
