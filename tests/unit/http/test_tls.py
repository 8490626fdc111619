"""Certificates that TLS trusts: those of the system as the user has set them, or a configured file."""

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
import json, os
from collgs_async.http.tls import import_aiohttp, trusting
before = dict(os.environ)
{first}
import aiohttp.connector
known = lambda context: context.cert_store_stats()["x509"]
aiohttps = known(aiohttp.connector._SSL_CONTEXT_VERIFIED)
print(json.dumps([aiohttps, known(trusting()), trusting() is trusting(), before == dict(os.environ)]))
"""


UNREADABLE = """
import json, os, sys
from pathlib import Path
from collgs_async.http.tls import trusting
good, bad = Path(sys.argv[1]), Path(sys.argv[1] + ".bad")
bad.write_text("no certificate")
os.environ.update(SSL_CERT_FILE=str(bad), SSL_CERT_DIR=os.devnull)
try:
    trusting()
except OSError as error:
    said = type(error).__name__
bad.write_bytes(good.read_bytes())
print(json.dumps([said, trusting().cert_store_stats()["x509"]]))
"""


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate that is not trusted yet."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    pem = tmp_path / "own.pem"
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    subprocess.run([*words.split(), "-keyout", os.devnull, "-out", str(pem)], check=True, capture_output=True)
    return pem


@pytest.mark.parametrize(("first", "aiohttps"), [("", 1), ("import_aiohttp()", 0)], ids=["library", "command"])
def test_the_systems_certificates_are_those_that_the_user_has_named(
    certificate: Path, first: str, aiohttps: int
) -> None:
    """A command saves aiohttp the reading of its own, and leaves the environment as it is."""
    environ = {**os.environ, "SSL_CERT_FILE": str(certificate), "SSL_CERT_DIR": os.devnull}
    words = [sys.executable, "-c", TOLD.format(first=first)]
    answer = subprocess.run(words, env=environ, check=True, capture_output=True)

    assert [aiohttps, 1, True, True] == json.loads(answer.stdout)


def test_a_file_of_ones_own_is_trusted_instead_of_the_systems(
    certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(Path(__file__).parents[2] / "support" / "certificate.pem"))

    assert 1 == trusting(certificate).cert_store_stats()["x509"]


def test_an_unreadable_system_file_is_read_again_at_the_next_attempt(certificate: Path) -> None:
    """It is said, and tried again: there may be no descriptor left for it at the moment."""
    answer = subprocess.run([sys.executable, "-c", UNREADABLE, str(certificate)], check=True, capture_output=True)

    assert ["SSLError", 1] == json.loads(answer.stdout)
