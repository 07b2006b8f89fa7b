"""Certificates that tests make for themselves."""

import shutil
import ssl
import subprocess
from pathlib import Path


class Certificate:
    """A certificate for 127.0.0.1 that signs itself, as PEM files."""

    def __init__(self, folder: Path) -> None:
        openssl = shutil.which("openssl")
        assert openssl is not None, "these tests need the openssl command; install it"
        self.certificate = folder / "certificate.pem"
        self.key = folder / "key.pem"
        subprocess.run(
            [
                *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"),
                *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(self.key), "-out", str(self.certificate)),
            ],
            check=True,
            capture_output=True,
        )

    def context(self) -> ssl.SSLContext:
        """A server's context."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context
