"""Select the proxy for a URL."""

from __future__ import annotations

import ipaddress
import os
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from collgs_async.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from yarl import URL

__all__ = ["Proxies"]

_SCHEMES: Final = ("http", "https")


class Proxies:
    """The configured proxy, else that of ``HTTP(S)_PROXY`` or ``ALL_PROXY`` unless ``NO_PROXY`` contains the host.

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
        proxies = [self._configured or "", *(proxy for proxy, _ in self._from_environment.values())]
        for proxy in dict.fromkeys(proxies):
            with suppress(ValueError):  # one that is no URL is refused when it is needed
                if password := urlsplit(proxy).password:
                    yield unquote(urlsplit(proxy).username or ""), unquote(password)

    def proxy_for(self, url: URL) -> str | None:
        """Return the proxy for a URL; None for a direct connection.

        Raises
        ------
        ConfigError
            The variable for this URL names something else than an HTTP proxy.
        """
        if self._configured or not self._from_environment:
            return self._configured
        found = self._from_environment.get(url.scheme)
        return _checked(*found) if found and not _is_direct(url) else None

    def unusable(self, url: URL) -> str | None:
        """Return what to say of a variable that names no HTTP proxy, and that does not matter for a URL; else None."""
        found = self._from_environment.get(url.scheme)
        if found is None or not _is_direct(url):
            return None
        try:
            _checked(*found)
        except ConfigError as error:
            return f"{error}; it does not matter for {url.host}, which is reached without a proxy"
        return None


def _is_direct(url: URL) -> bool:
    """Whether a host is reached without the proxies of the environment."""
    return url.host is None or _is_loopback(url.host) or bool(urllib.request.proxy_bypass(url.host))


def _proxies_from_environment() -> dict[str, tuple[str, str]]:
    """Return by scheme its proxy, and the variable; like curl, read ``host:port`` as HTTP, and ``ALL_PROXY`` last."""
    given = urllib.request.getproxies()
    found = {}
    for scheme in _SCHEMES:
        name = scheme if given.get(scheme) else "all"
        if proxy := given.get(name):
            found[scheme] = (proxy if "://" in proxy else f"http://{proxy}", _variable(name))
    return found


def _variable(name: str) -> str:
    """Return the variable as it is set: the lower-case name is read first."""
    lower, upper = f"{name}_proxy", f"{name}_proxy".upper()
    return lower if os.environ.get(lower) or not os.environ.get(upper) else upper


def _checked(proxy: str, variable: str) -> str:
    kind = proxy.partition("://")[0].lower()
    if kind not in _SCHEMES:
        hint = "; SOCKS is not supported, and --proxy can name another one" if kind.startswith("socks") else ""
        raise ConfigError(f"{variable}: expected an http proxy, found a {kind} one{hint}")
    try:
        is_right = bool(urlsplit(proxy).hostname) and urlsplit(proxy).port != 0
    except ValueError:
        is_right = False
    if not is_right:
        raise ConfigError(f"{variable}: expected an http proxy such as http://proxy:3128, found no host and port")
    return proxy


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
