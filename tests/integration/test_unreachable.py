"""What is said of a server or a proxy that cannot be reached, and how often it is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from collgs_async.errors import CatalogueError, NotAvailableError
from tests.conftest import level2_scenes
from tests.support.servers import UNUSED_ORIGIN, accepting

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

UNUSED = UNUSED_ORIGIN.removeprefix("http://")


class Port:
    """A server that counts its connections, and answers each with the same bytes; with a certificate, over TLS."""

    def __init__(self, answer: bytes = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") -> None:
        self.connections = 0
        self._answer = answer

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await reader.read(100)
        writer.write(self._answer)
        await writer.drain()
        writer.close()


@pytest.fixture
async def plain() -> AsyncIterator[tuple[Port, str]]:
    port = Port()
    async with accepting(port) as (host, number):
        yield port, f"{host}:{number}"


async def search_error(site: Any, **options: Any) -> CatalogueError:
    async with site.client(retries=3, **options) as client:
        with pytest.raises(CatalogueError) as caught:
            await client.search().collect()
    return caught.value


async def test_tls_to_a_plain_port_is_said_once(serve: Callable[..., Any], plain: tuple[Port, str]) -> None:
    site = await serve(level2_scenes(1))
    port, address = plain

    error = await search_error(site, base_url=f"https://{address}/search")

    line = f"{address} does not speak TLS; does its address begin with http: and not https:?"
    assert f"the catalogue at https://{address}/search: {line}" == str(error)
    assert (1, []) == (port.connections, site.sleeps.seconds)


async def test_a_certificate_signed_by_itself_names_the_setting_and_is_tried_once(
    serve: Callable[..., Any], certificate: Path
) -> None:
    import ssl

    site = await serve(level2_scenes(1))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    async with accepting(Port(), tls) as (_, port):
        error = await search_error(site, base_url=f"https://127.0.0.1:{port}/search")
        other = await search_error(site, base_url=f"https://localhost:{port}/search")

    assert "its certificate is not trusted (self-signed certificate); if it is right, name" in str(error)
    assert "--ca-file (connection.ca_file)" in str(error)
    assert [] == site.sleeps.seconds
    assert "self-signed" in str(other)


async def test_a_store_whose_certificate_is_not_trusted_is_asked_once(
    serve: Callable[..., Any], certificate: Path
) -> None:
    import ssl
    from dataclasses import replace

    from collgs_async.models.product import Status

    site = await serve(level2_scenes(1))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    async with accepting(Port(), tls) as (host, port), site.client() as client:
        (product,) = await client.search().collect()
        address = f"https://{host}:{port}/a.zip"
        outcome = await client.download(replace(product, url=address))

    assert Status.FAILED is outcome.status
    assert isinstance(outcome.error, NotAvailableError)
    assert "--ca-file" in str(outcome.error)
    assert (1, []) == (outcome.attempts, site.sleeps.seconds)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_dead_proxy_is_called_a_proxy(serve: Callable[..., Any], scheme: str) -> None:
    site = await serve(level2_scenes(1))

    error = await search_error(site, base_url=f"{scheme}://collgs.invalid/search", proxy=UNUSED_ORIGIN)

    reason = f"no connection to the proxy {UNUSED} (Connection refused)"
    assert f"the catalogue at {scheme}://collgs.invalid/search: {reason}" == str(error)
    assert 2 == len(site.sleeps.seconds)


async def test_an_unknown_proxy_is_called_a_proxy(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(1))

    error = await search_error(site, base_url="http://collgs.invalid/", proxy="http://me:secret7@proxy.invalid:3128")

    assert str(error).endswith("the host proxy.invalid is not known; that is the proxy")
    assert "secret7" not in str(error)


async def test_a_proxy_that_closes_the_connection_is_named(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(1))
    async with accepting(Port(b"")) as (_, port):
        error = await search_error(site, base_url="http://collgs.invalid/", proxy=f"http://me:secret7@127.0.0.1:{port}")

    assert str(error).endswith(f", through the proxy 127.0.0.1:{port}")


async def test_a_proxy_that_wants_a_password_is_asked_once(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(1))
    wants = Port(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
    async with accepting(wants) as (host, port):
        proxy = f"http://{host}:{port}"
        error = await search_error(site, base_url="https://collgs.invalid/", proxy=proxy)

    assert str(error).endswith("the proxy refused: HTTP 407 Proxy Authentication Required")
    assert (1, []) == (wants.connections, site.sleeps.seconds)
