"""What an object store's refusal means, in one line: obstore's own errors have a page of Rust each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape
from typing import Final

from collgs_async.models.redaction import redacted, without_userinfo
from collgs_async.models.text import printable

__all__ = ["FailedError", "StoreTrouble", "read_trouble"]

_LONGEST: Final = 300
"""Characters of what a store or a library said."""

_STATUS: Final = re.compile(r"status code: (\d{3}) ?([^:\n]*):? ?(.*)", re.DOTALL)
_CODE: Final = re.compile(r"<Code>\s*([^<]{1,200})")
_MESSAGE: Final = re.compile(r"<Message>\s*([^<]{1,2000})")
_TITLE: Final = re.compile(r"<title>\s*([^<]{1,200})", re.IGNORECASE)
_DEBUG: Final = "\n\nDebug source:"
_OF_CONNECTION: Final = re.compile(r'(?:message|error): "((?:[^"\\]|\\.){1,500})"')
_OF_OBSTORE: Final = re.compile(r"^Generic \w+ error: (.* in [0-9.]+[mnµ]?s - )?", re.DOTALL)
_CERTIFICATE: Final = re.compile(r"InvalidCertificate\(\s*(\w+)")
_CREDENTIALS: Final = re.compile(r"169\.254\.169\.254|/latest/(?:api/token|meta-data)|token request|/computeMetadata/")
"""In the address that was asked: that of a machine in the cloud, which has credentials for those who set none."""

_VARIABLES: Final = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
"""By the scheme of the URL: where its credentials are looked for first."""

_REGION: Final = ("PermanentRedirect", "AuthorizationHeaderMalformed", "TemporaryRedirect", "IllegalLocationConstraint")
_KEYS: Final = ("SignatureDoesNotMatch", "InvalidAccessKeyId", "AuthenticationFailed", "InvalidAuthenticationInfo")
_DIGESTS: Final = ("BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch")
_MEANINGS: Final = (
    (
        ("NoSuchBucket", "ContainerNotFound", "InvalidBucketName"),
        "there is no such bucket",
        "check its name, or create it",
    ),
    (("RequestTimeTooSkewed", "RequestExpired"), "this machine's clock is wrong", "set it"),
    (_REGION, "the bucket is in another region", "set AWS_REGION to that of the bucket"),
    (("ExpiredToken", "InvalidToken", "TokenRefreshRequired"), "these credentials are no longer valid", "get new ones"),
    (_KEYS, "it refuses these credentials", "check {variables}"),
    ((301, 307), "the bucket is in another region", "set AWS_REGION to that of the bucket"),
    ((401, 403), "it does not permit this", "list, read and write must be permitted there"),
    (_DIGESTS, "what arrived there is not what was sent", "check the network, and what is on the way"),
    (("SlowDown", 429, 503), "it is busy", ""),
    ((507,), "it is full", "make room there"),
    ((404,), "this is not the address of an object store", "check --endpoint-url"),
)
"""By code or status, the first that fits: what it means, and what can be done."""

_TEMPORARY: Final = (
    *_DIGESTS,
    "RequestTimeout",
    "IncompleteBody",
    "NoSuchUpload",
    "InvalidPart",
    "SlowDown",
    408,
    429,
)
"""Below 500: the same upload may succeed later, or has succeeded already, where the response of its end was lost."""


@dataclass(frozen=True, slots=True)
class StoreTrouble:
    """Why a request to a store failed.

    Attributes
    ----------
    words
        What happened, what the store said and what can be done, in one line without secrets.
    is_temporary
        Whether the same request may succeed later.
    is_missing
        Whether there is no such object.
    """

    words: str
    is_temporary: bool = False
    is_missing: bool = False


class FailedError(Exception):
    """A request to a store failed; it never leaves the modules of object stores."""

    def __init__(self, trouble: StoreTrouble) -> None:
        super().__init__(trouble.words)
        self.trouble = trouble


def read_trouble(error: BaseException, scheme: str) -> StoreTrouble:
    """Read an error of obstore.

    Parameters
    ----------
    scheme
        That of the store's URL, by which its credentials have other names.
    """
    text, _, debug = str(error).partition(_DEBUG)
    if _CREDENTIALS.search(text) or "must be specified" in text:
        profiles = ", or AWS_PROFILE, which needs the package boto3" if scheme == "s3" else ""
        return StoreTrouble(f"no credentials for it were found; set {_VARIABLES[scheme]}{profiles}")
    response = _STATUS.search(text)
    if response is None:
        return _without_response(text, debug)
    status, reason, body = int(response[1]), response[2].strip(), response[3]
    code = _first(_CODE, body)
    said = _one_line(": ".join(filter(None, (code, _first(_MESSAGE, body) or _first(_TITLE, body)))) or reason)
    is_temporary = status >= 500 or status in _TEMPORARY or code in _TEMPORARY
    words, advice = _meaning(status, code)
    if status == 404 and isinstance(error, FileNotFoundError) and words.startswith("this is not"):
        words, advice = "there is no such object", ""
    words += f" (HTTP {status}, {said})" + (f"; {advice.format(variables=_VARIABLES[scheme])}" if advice else "")
    return StoreTrouble(words, is_temporary, is_missing=status == 404 and code not in ("NoSuchBucket", "NoSuchUpload"))


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1].strip() if found else ""


def _meaning(status: int, code: str) -> tuple[str, str]:
    for signs, words, advice in _MEANINGS:
        if code in signs or status in signs:
            return words, advice
    return "it cannot do this now" if status >= 500 else "it refuses this", ""


def _without_response(text: str, debug: str) -> StoreTrouble:
    """Read an error of a request that had no response, or none of an object store."""
    if "object with invalid path" in text:
        return StoreTrouble(
            "there is an object whose key has empty, relative or unprintable parts, as in a//b; use another prefix"
        )
    if "Unable to extract metadata from headers" in text or "Error parsing" in text or "invalid XML" in text:
        return StoreTrouble("it does not answer as an object store; check --endpoint-url")
    if "redirect without LOCATION" in text:
        return StoreTrouble("the bucket is in another region; set AWS_REGION to that of the bucket")
    if certificate := _first(_CERTIFICATE, debug):
        return StoreTrouble(f"its certificate is not trusted ({certificate})")
    if "InvalidContentType" in debug:
        return StoreTrouble("it does not speak TLS; check --endpoint-url: http:// in place of https://?")
    if "kind: Timeout" in debug or "TimedOut" in debug:
        return StoreTrouble("it does not respond in time; check --endpoint-url and the network", is_temporary=True)
    if "HTTP error" in text:
        # The last words of "failed to lookup address information: Name or service not known".
        reason = _first(_OF_CONNECTION, debug).rpartition(": ")[2] or "the connection failed"
        words = f"it cannot be reached ({_one_line(reason)}); check --endpoint-url and the network"
        return StoreTrouble(words, is_temporary=True)
    return StoreTrouble(_one_line(_OF_OBSTORE.sub("", text)))


def _one_line(text: str) -> str:
    """Return what somebody else said in one short line, without secrets."""
    line = printable(" ".join(redacted(without_userinfo(unescape(text))).split()))
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
