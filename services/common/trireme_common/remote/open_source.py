"""A Source of a URL, and a Mirror of the settings."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from urllib.parse import unquote, urlsplit

from trireme_common.errors import SettingsError
from trireme_common.orders_file import OrdersFile
from trireme_common.remote.cache import Cache
from trireme_common.remote.catalog import Limits
from trireme_common.remote.credentials import Credentials, docker_credentials
from trireme_common.remote.directory_source import DirectorySource
from trireme_common.remote.http_client import HttpBounds, HttpClient
from trireme_common.remote.http_source import HttpSource
from trireme_common.remote.mirror import Mirror, MirrorOptions
from trireme_common.remote.object_store import ObjectStoreSource
from trireme_common.remote.oci_source import OciSource
from trireme_common.remote.source import Source
from trireme_common.remote.telemetry import Telemetry
from trireme_common.settings import ModelsSettings

_VARIABLE = "TRIREME_MODELS_SOURCE"
_OBJECT_STORES = ("s3", "gs", "az")
_FORMS = "s3://, gs://, az://, https://, http://, oci://, oci+http:// or file:///"


def open_source(settings: ModelsSettings, said_by: str = _VARIABLE) -> Source:
    """The source that the settings name. Raises SettingsError, which says by what the URL was given
    (`said_by`) and never quotes its credentials."""
    try:
        return _open(settings, settings.models_source or "")
    except SettingsError as error:
        raise SettingsError(f"{said_by}: {error.detail}") from error


def _open(settings: ModelsSettings, url: str) -> Source:
    try:
        parts = urlsplit(url)
    except ValueError as error:  # brackets that hold no address
        raise SettingsError(f"not a URL that begins with {_FORMS}") from error
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise SettingsError(
            "a URL without user, query or fragment; credentials go into "
            f"{_VARIABLE}_USERNAME and {_VARIABLE}_PASSWORD, or into the platform's own variables"
        )
    if parts.scheme in ("http", "oci+http") and not settings.models_source_allow_http:
        raise SettingsError(f"not encrypted; say {_VARIABLE}_ALLOW_HTTP=true if that is meant")
    if parts.scheme in _OBJECT_STORES:
        return ObjectStoreSource(
            url,
            timeout_seconds=settings.models_source_timeout_seconds,
            allow_http=settings.models_source_allow_http,
            limits=Limits(),
        )
    if parts.scheme == "file" and not parts.netloc and parts.path:
        return DirectorySource(Path(unquote(parts.path)))
    source = _over_http(url, parts.scheme, parts.netloc, settings)
    if source is None:
        raise SettingsError(f"not a URL that begins with {_FORMS}")
    return source


def _over_http(url: str, scheme: str, host: str, settings: ModelsSettings) -> Source | None:
    bounds = HttpBounds(
        settings.models_source_timeout_seconds,
        settings.models_source_allow_http,
        settings.models_source_concurrency,
    )
    password = settings.models_source_password
    credentials = Credentials(
        settings.models_source_username, password.get_secret_value() if password is not None else ""
    )
    if scheme in ("http", "https") and host:
        return HttpSource(url, HttpClient(bounds), credentials)
    if scheme in ("oci", "oci+http") and host:
        return OciSource(url, HttpClient(bounds), credentials or docker_credentials(host))
    return None


def build_mirror(
    settings: ModelsSettings, telemetry: Telemetry, stop: threading.Event, said_by: str = _VARIABLE
) -> tuple[Mirror, Cache]:
    """The mirror of `models_source` into `models_dir`. Raises SettingsError, as `open_source`."""
    cache = Cache(settings.models_dir)
    names = frozenset(re.split(r"[,\s]+", settings.models_source_models.strip())) - {""}
    options = MirrorOptions(
        models=names,
        max_bytes=settings.models_cache_bytes,
        spare_versions=settings.models_source_spare_versions,
        concurrency=settings.models_source_concurrency,
    )
    orders = OrdersFile(settings.state_dir or settings.models_dir)
    source = open_source(settings, said_by)
    return Mirror(source, cache, options, telemetry, stop, ordered=orders.versions), cache
