"""Whom TLS trusts, and when the system's certificates are read: as late as can be, and as the user has set it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from collgs_async.http.tls import trusting

TOLD = """
import json, os, ssl
from collgs_async.http.tls import put_off, trusting
{before}
import aiohttp.connector
known = lambda context: context.cert_store_stats()["x509"]
aiohttps = known(aiohttp.connector._SSL_CONTEXT_VERIFIED)
print(json.dumps([aiohttps, known(trusting()), trusting() is trusting(), os.environ.get("SSL_CERT_FILE")]))
"""


UNREADABLE = """
import json, os, sys
from pathlib import Path
from collgs_async.http.tls import put_off, trusting
good, bad = Path(sys.argv[1]), Path(sys.argv[1] + ".bad")
bad.write_text("no certificate")
os.environ.update(SSL_CERT_FILE=str(bad), SSL_CERT_DIR=os.devnull)
put_off()
try:
    trusting()
except OSError as error:
    said = type(error).__name__
bad.write_bytes(good.read_bytes())
print(json.dumps([said, trusting().cert_store_stats()["x509"]]))
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


def test_a_file_of_ones_own_is_trusted_instead_of_the_systems(
    certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(Path(__file__).parents[2] / "support" / "certificate.pem"))

    assert 1 == trusting(certificate).cert_store_stats()["x509"]


def test_a_systems_file_that_cannot_be_read_is_no_reason_to_trust_nobody_for_good(certificate: Path) -> None:
    """It is said, and tried again: there may be no descriptor left for it at the moment."""
    answer = subprocess.run([sys.executable, "-c", UNREADABLE, str(certificate)], check=True, capture_output=True)

    assert ["SSLError", 1] == json.loads(answer.stdout)
