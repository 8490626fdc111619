"""Open obstore's client of an object store: endpoint, credentials, retries of single requests."""

from __future__ import annotations

import atexit
import os
import time
from datetime import timedelta
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from collgs_async.errors import ConfigError
from collgs_async.storage.object_errors import read_trouble

if TYPE_CHECKING:
    from collgs_async.models.store_url import StoreUrl

__all__ = ["find_endpoint", "missing_extra", "open_client", "secrets"]

_ENDPOINTS: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_OWN_CREDENTIALS: Final = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)
"""With one of these, obstore finds the credentials itself."""

_SECRETS: Final = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_CLIENT_SECRET",
)

_CONNECT: Final = timedelta(seconds=10)
_REQUEST: Final = timedelta(minutes=1)
_UPLOAD: Final = timedelta(minutes=5)
"""For one request with a body: a part of 8 MiB at 30 kB/s takes less. Its signature would be valid for 15 minutes."""

_LONGEST_PAUSE: Final = timedelta(seconds=15)

_IDLE: Final = 1.0
_LOOK: Final = 0.02
"""Seconds to wait for threads at the end of the process, at the most, and between two looks at them."""


def missing_extra(url: StoreUrl) -> str | None:
    """Return what to install where obstore is missing; None where it is here. It is not imported for that."""
    if find_spec("obstore") is not None:
        return None
    return f"{url}: object stores need the package obstore; install it with: pip install 'collgs-async[store]'"


def find_endpoint(url: StoreUrl, given: str | None) -> str | None:
    """Return the address of a store: the given one, else that of the environment; None: that of the cloud itself.

    Raises
    ------
    ConfigError
        A variable has no address of a server: obstore would panic.
    """
    if given is not None or url.scheme != "s3":
        return given
    for name in _ENDPOINTS:
        if address := os.environ.get(name):
            if not _is_address(address):
                raise ConfigError(f"{name}: expected an http or https address, found something else")
            return address
    return None


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return bool(parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and "@" not in text)
    except ValueError:
        return False


def secrets() -> list[str]:
    """Return the secrets of the environment, which must appear in no message."""
    return [secret for name in _SECRETS if (secret := os.environ.get(name))]


def open_client(url: StoreUrl, endpoint: str | None, *, retries: int = 0, uploads: bool = False) -> Any:
    """Open a client whose keys are below the prefix of the URL; it makes no request yet.

    Parameters
    ----------
    endpoint
        The address of the server; None: that of the cloud.
    retries
        How often obstore repeats one request; 0: never.
    uploads
        Whether it is for uploads, whose requests take longer.

    Raises
    ------
    ConfigError
        obstore is not installed, or settings in the environment are missing or invalid.
    """
    if words := missing_extra(url):
        raise ConfigError(words)
    _register_end()
    from obstore.store import AzureStore, GCSStore, S3Store  # deferred: few runs need it

    is_plain = endpoint is not None and endpoint.lower().startswith("http:")
    options: dict[str, Any] = {
        "prefix": url.prefix or None,
        "client_options": {
            "allow_http": is_plain,
            "connect_timeout": _CONNECT,
            "timeout": _UPLOAD if uploads else _REQUEST,
        },
        "retry_config": {"max_retries": retries, "backoff": {"max_backoff": _LONGEST_PAUSE}},
    }
    try:
        if url.scheme == "gs":
            return GCSStore(url.bucket, **options)
        if url.scheme == "az":
            return AzureStore(url.bucket, **options, **({"endpoint": endpoint} if endpoint else {}))
        if endpoint:
            # The variables of the environment would win over the argument of the shorter name.
            options |= {"endpoint": endpoint, "aws_endpoint_url_s3": endpoint}
            if not (urlsplit(endpoint).hostname or "").startswith(f"{url.bucket}."):
                # Such requests name no bucket, so that the prefix would be taken for it.
                options["aws_virtual_hosted_style_request"] = "false"
        if not is_plain and "AWS_UNSIGNED_PAYLOAD" not in os.environ:
            options["unsigned_payload"] = True  # TLS protects it already, and a digest takes a second of CPU a GiB
        if is_plain and "AWS_CHECKSUM_ALGORITHM" not in os.environ:
            # The signature has the same digest, but SeaweedFS compares that of this header alone.
            options["checksum_algorithm"] = "SHA256"
        return S3Store(url.bucket, **options, credential_provider=_profile_credentials(url))
    except ConfigError:
        raise
    except Exception as error:  # errors of obstore, and ValueError
        raise ConfigError(f"{url}: {read_trouble(error, url.scheme).words}") from None


def _profile_credentials(url: StoreUrl) -> Any:
    """Return boto3's credentials, with the profiles of ``~/.aws``, where the environment has none; None: obstore's."""
    if any(os.environ.get(name) for name in _OWN_CREDENTIALS):
        return None
    if find_spec("boto3") is None:
        if "AWS_PROFILE" in os.environ:
            raise ConfigError(
                f"{url}: profiles of ~/.aws need the package boto3; install it with: pip install boto3, or set "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        return None
    from obstore.auth.boto3 import Boto3CredentialProvider

    try:
        return Boto3CredentialProvider()
    except ValueError:
        raise ConfigError(
            f"{url}: no credentials for it were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        ) from None


@cache
def _register_end() -> None:
    """Let obstore's threads come to rest at the end of the process, once."""
    atexit.register(_wait_until_idle)


def _wait_until_idle() -> None:
    """Wait until no other thread runs, for a second at the most.

    A thread of obstore hands its result over and still has to return from Python. If that happens only when Python is
    finalized, the whole process is aborted (exit code 134), which was seen in one of three runs on a busy machine.
    """
    end = time.monotonic() + _IDLE
    time.sleep(_LOOK)  # without the interpreter's lock, for which such a thread waits
    while time.monotonic() < end and any(map(_is_running, _other_threads())):
        time.sleep(_LOOK)


def _other_threads() -> list[Path]:
    """Return the threads of this process in Linux's list; none where there is no such list."""
    try:
        return [one for one in Path("/proc/self/task").iterdir() if one.name != str(os.getpid())]
    except OSError:
        return []


def _is_running(thread: Path) -> bool:
    try:
        return (thread / "stat").read_bytes().rpartition(b")")[2].split()[0] == b"R"
    except OSError:  # it has ended
        return False
