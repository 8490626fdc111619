"""Select the proxy for a URL."""

from __future__ import annotations

import ipaddress
import urllib.request
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from collgs_async.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from yarl import URL

__all__ = ["Proxies"]


class Proxies:
    """The configured proxy, else that of ``HTTP(S)_PROXY`` unless ``NO_PROXY`` contains the host.

    The variables are read here, once, rather than by aiohttp, whose ``trust_env`` would also send the credentials in
    ``~/.netrc``.

    Parameters
    ----------
    configured
        Proxy for all requests; None to use the environment.
    """

    def __init__(self, configured: str | None) -> None:
        self._configured = configured
        self._from_environment = {} if configured else _proxies_from_environment()

    def credentials(self) -> Iterator[tuple[str, str]]:
        """Yield user name and password of each proxy that has them."""
        for proxy in {self._configured, *self._from_environment.values()} - {None}:
            parts = urlsplit(proxy or "")
            if parts.password:
                yield unquote(parts.username or ""), unquote(parts.password)

    def proxy_for(self, url: URL) -> str | None:
        """Return the proxy for a URL; None for a direct connection."""
        if self._configured or not self._from_environment:
            return self._configured
        if url.host is None or _is_loopback(url.host) or urllib.request.proxy_bypass(url.host):
            return None
        return self._from_environment.get(url.scheme)


def _proxies_from_environment() -> dict[str, str]:
    """Read ``HTTP_PROXY`` and ``HTTPS_PROXY``; like curl and wget, read ``host:port`` as an HTTP proxy."""
    found = {scheme: proxy for scheme, proxy in urllib.request.getproxies().items() if scheme in {"http", "https"}}
    proxies = {scheme: proxy if "://" in proxy else f"http://{proxy}" for scheme, proxy in found.items()}
    for scheme, proxy in proxies.items():
        if not proxy.startswith(("http://", "https://")):
            kind = proxy.partition(":")[0]
            raise ConfigError(f"{scheme.upper()}_PROXY: expected an http proxy, found a {kind} one")
    return proxies


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
