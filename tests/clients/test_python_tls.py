"""The Python client over HTTPS."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from millrace_client import Client

from tests.clients.faulty import FaultyServer, answers

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl, which makes the certificate, is not installed"
)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """Make a certificate for this machine that nobody trusts yet."""
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    words = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=127.0.0.1"
    names = ("-addext", "subjectAltName=IP:127.0.0.1")
    out = ("-out", str(files[0]), "-keyout", str(files[1]))
    subprocess.run(["openssl", *words.split(), *names, *out], check=True, capture_output=True)
    return files


@pytest.fixture
def secure(
    app_with: Callable[..., Any], write_key: str, certificate: tuple[Path, Path]
) -> Iterator[FaultyServer]:
    """Run Millrace behind TLS."""
    app = app_with(clock=time.time, door_timeout_s=10.0).application
    app.extensions["millrace"].write_keys.refresh()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with FaultyServer(app, tls=context) as running:
        yield running


def test_events_go_over_one_kept_secure_connection(
    secure, certificate, write_key, stored, monkeypatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    secure.faults.append(answers(500))
    with Client(secure.url, write_key, linger_s=0.01, retry_base_s=0.001) as client:
        for _ in range(3):
            client.track("login")
            assert client.flush()

    assert secure.url.startswith("https://")
    assert len(stored()) == 3
    assert len({seen.peer for seen in secure.seen}) == 1


def test_a_server_that_is_not_trusted_gets_nothing(secure, write_key, failures) -> None:
    options = {"linger_s": 0.01, "retry_base_s": 0.001, "max_attempts": 2, "on_error": failures}
    with Client(secure.url, write_key, **options) as client:
        client.track("login")
        assert not client.flush()

    assert secure.seen == []
    assert "CERTIFICATE_VERIFY_FAILED" in str(failures[0][0])
