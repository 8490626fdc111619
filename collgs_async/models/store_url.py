"""Addresses of object stores: a bucket and a prefix in it, such as ``s3://bucket/prefix``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

from collgs_async.models.parameter_values import quote_value

__all__ = ["StoreUrl"]

_SCHEMES: Final = ("s3", "gs", "az")
_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,221}")

_LONGEST: Final = 700
"""Bytes of a prefix in UTF-8: a key has 1024 at the most, and the folders of a layout and the file name follow."""

_EXPECTED: Final = "expected a URL such as s3://bucket/prefix"


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """Where in an object store archives go; it never holds credentials.

    Attributes
    ----------
    scheme
        ``s3``, ``gs`` or ``az``.
    bucket
        The bucket; on Azure the container.
    prefix
        What the keys begin with, without a slash at its ends; empty: the whole bucket.
    """

    scheme: str
    bucket: str
    prefix: str = ""

    @staticmethod
    def is_url(text: str) -> bool:
        """Whether a text is a URL, of an object store or not, rather than the path of a folder."""
        return _URL.match(text) is not None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a URL; a slash at its end makes no difference.

        Raises
        ------
        ValueError
            It is none of an object store; the message has what was expected and what was found, without passwords.
        """
        if "@" in text:
            raise ValueError(
                "expected no user name, password or @ in the URL of an object store (credentials belong in the "
                "environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), found one"
            )
        if mark := re.search("[?#]", text):
            raise ValueError(f"{_EXPECTED} without {'a query' if mark[0] == '?' else 'a fragment'}, found one")
        written = _URL.fullmatch(text)
        scheme = written[1].lower() if written else ""
        if written is None or scheme not in _SCHEMES:
            raise ValueError(f"{_EXPECTED}, gs://bucket/prefix or az://container/prefix, found {quote_value(text)}")
        bucket, _, prefix = written[2].partition("/")
        if not _BUCKET.fullmatch(bucket):
            port = "; a host and port belong in --endpoint-url" if ":" in bucket else ""
            raise ValueError(f"{_EXPECTED} with the name of a bucket, found {quote_value(text)}{port}")
        prefix = prefix.removesuffix("/")
        if not _is_clean(prefix):
            raise ValueError(f"{_EXPECTED} without empty, relative or unprintable parts, found {quote_value(text)}")
        if len(prefix.encode()) > _LONGEST:
            raise ValueError(f"expected a prefix of at most {_LONGEST} bytes, found {len(prefix.encode())}")
        return cls(scheme, bucket, prefix)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}" + (f"/{self.prefix}" if self.prefix else "")


def _is_clean(prefix: str) -> bool:
    """Whether a prefix is the same for every store and client: some would drop or resolve such parts."""
    if not prefix:
        return True
    parts = prefix.split("/")
    return prefix.isprintable() and all(part.strip() == part and part not in ("", ".", "..") for part in parts)
