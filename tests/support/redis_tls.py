"""A redis-server that speaks TLS, Debian's, and the certificates that it takes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.support.redis import RedisServer


class Authority:
    """An authority and what it signed, by the `openssl` command, in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.certificate = folder / "ca.pem"
        folder.mkdir()
        _openssl("req", "-x509", *_NEW_KEY, "-keyout", str(folder / "ca.key"), "-out", str(self.certificate),
                 "-days", "2", "-subj", "/CN=an authority of a test")  # fmt: skip

    def sign(self, name: str) -> tuple[Path, Path]:
        """Certificate and key of a host or a client."""
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        request, extension = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        extension.write_text(f"subjectAltName=DNS:{name}\n")
        _openssl("req", *_NEW_KEY, "-keyout", str(key), "-out", str(request), "-subj", f"/CN={name}")
        _openssl("x509", "-req", "-in", str(request), "-CA", str(self.certificate), "-CAcreateserial",
                 "-CAkey", str(self._folder / "ca.key"), "-out", str(certificate), "-days", "2",
                 "-extfile", str(extension))  # fmt: skip
        return certificate, key


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _openssl(*arguments: str) -> None:
    subprocess.run(("openssl", *arguments), check=True, capture_output=True, timeout=30)


def _find_program() -> tuple[str, ...]:
    """redis-server, or the program beside it that is the same under another name: Debian's redis-tools brings
    that one alone, and starts no daemon when it is installed."""
    for name in ("redis-server", "redis-check-rdb"):
        found = shutil.which(name)
        if found:
            return ("redis-server", found)
    raise RuntimeError("a redis-server with TLS is missing: apt-get install redis-tools openssl")


class TlsRedisServer(RedisServer):
    """Listens on its port with TLS alone; asks clients for a certificate where told to."""

    @property
    def program(self) -> tuple[str, ...]:  # type: ignore[override]
        return _find_program()

    def _command(self) -> list[str]:
        # The last word on the port counts: none without TLS.
        return [*super()._command(), "--port", "0", "--tls-port", str(self.port)]
