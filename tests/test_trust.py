"""Whom TLS trusts, and when the system's certificates are read: as late as can be, and as the user has set it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

TOLD = """
import json, os, ssl
from collgs_async.trust import put_off, trusting
{before}
import aiohttp.connector
known = lambda context: context.cert_store_stats()["x509"]
aiohttps = known(aiohttp.connector._SSL_CONTEXT_VERIFIED)
print(json.dumps([aiohttps, known(trusting()), trusting() is trusting(), os.environ.get("SSL_CERT_FILE")]))
"""


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate that nobody trusts yet."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    pem = tmp_path / "own.pem"
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    subprocess.run([*words.split(), "-keyout", os.devnull, "-out", str(pem)], check=True, capture_output=True)
    return pem


def told(certificate: Path, before: str) -> list[object]:
    environ = {**os.environ, "SSL_CERT_FILE": str(certificate), "SSL_CERT_DIR": os.devnull}
    words = [sys.executable, "-c", TOLD.format(before=before)]
    answer = subprocess.run(words, env=environ, check=True, capture_output=True)
    return list(json.loads(answer.stdout))


def test_a_process_of_ours_reads_certificates_only_when_it_needs_them(certificate: Path) -> None:
    """And then those that the user has named."""
    assert [0, 1, True, os.devnull] == told(certificate, "put_off(); put_off()")


def test_others_that_use_the_library_keep_their_aiohttp_as_it_is(certificate: Path) -> None:
    assert [1, 1, True, str(certificate)] == told(certificate, "")
