"""How Redis is spoken to: the bounds of the work, and connections with the right name, password and trust."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from trireme_gateway.cache.redis_address import Endpoint, RedisAddress
from trireme_gateway.cache.redis_connection import RedisConnection

DEFAULT_TIMEOUT_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class RedisLimits:
    """Bounds of the store's work: seconds, counts and bytes."""

    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    max_keys: int = 512
    """Keys of one MGET."""
    max_writes: int = 256
    """Values of one pipeline."""
    max_write_bytes: int = 1 << 20
    """Bytes of one pipeline, except that a single larger value goes alone."""
    max_buffered: int = 4096
    max_buffered_bytes: int = 16 << 20
    max_value_bytes: int = 1 << 20
    """A larger value is not written."""


@dataclass(frozen=True, slots=True)
class RedisTls:
    """Files in PEM. Without a CA the system's are trusted."""

    ca_file: Path | None = None
    certificate_file: Path | None = None
    """Of this client, for servers that ask for one."""
    key_file: Path | None = None
    """Of that certificate; unset where it stands in the same file."""

    def context(self) -> ssl.SSLContext:
        """Certificates and host names are checked. Raises ValueError where a file cannot be used."""
        if self.key_file is not None and self.certificate_file is None:
            raise ValueError("a key for TLS needs its certificate")
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.certificate_file is not None:
                context.load_cert_chain(self.certificate_file, self.key_file)
        except OSError as error:  # among them ssl.SSLError
            files = (self.ca_file, self.certificate_file, self.key_file)
            named = ", ".join(str(file) for file in files if file)
            raise ValueError(f"the files for TLS ({named}) cannot be used: {error}") from error
        return context


class RedisAccess:
    """All that is needed to speak to the servers of one address."""

    def __init__(self, address: RedisAddress, tls: RedisTls | None = None) -> None:
        """Raises ValueError where the files for TLS cannot be used."""
        self.address = address
        self._tls = (tls or RedisTls()).context() if address.tls else None

    def connect(self, endpoint: Endpoint) -> RedisConnection:
        """Connection to a server that holds data."""
        address = self.address
        return RedisConnection(endpoint, login=address.login, database=address.database, tls=self._tls)

    def connect_sentinel(self, endpoint: Endpoint) -> RedisConnection:
        """Connection to a Sentinel."""
        return RedisConnection(endpoint, login=self.address.sentinel_login, tls=self._tls)
