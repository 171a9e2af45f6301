"""Credentials for HTTP and OCI sources; object stores find theirs in the platform's own places."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Credentials:
    """A user and a password, or a bearer token where there is no user, or nothing."""

    username: str = ""
    password: str = field(default="", repr=False)

    def __bool__(self) -> bool:
        return bool(self.username or self.password)

    def headers(self) -> dict[str, str]:
        """The `authorization` header; none without credentials."""
        if self.username:
            pair = f"{self.username}:{self.password}".encode()
            return {"authorization": "Basic " + base64.b64encode(pair).decode()}
        return {"authorization": f"Bearer {self.password}"} if self.password else {}


def docker_credentials(registry: str, environment: Mapping[str, str] = os.environ) -> Credentials:
    """What `$DOCKER_CONFIG/config.json` (or `~/.docker/config.json`) holds for a registry.

    Entries with `auth` are read, as Kubernetes writes them for a Secret of type
    `kubernetes.io/dockerconfigjson`; credential helpers are programs and are not run.
    """
    folder = environment.get("DOCKER_CONFIG") or str(Path(environment.get("HOME", "/")) / ".docker")
    try:
        auths = json.loads((Path(folder) / "config.json").read_bytes())["auths"]
        pair = base64.b64decode(auths[registry]["auth"]).decode()
    except (OSError, ValueError, KeyError, TypeError):
        return Credentials()
    username, _, password = pair.partition(":")
    return Credentials(username, password)
