"""The metrics port of the gateway: /metrics, and what an autoscaler asks.

`/scaling` is the sum over all gateways, `/scaling/own` this one's part, which its peers ask for.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import uuid
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from trireme_common.errors import SettingsError
from trireme_gateway.scaling.metrics import read_loads
from trireme_gateway.scaling.peers import PATH, Peers, parse_peers
from trireme_gateway.scaling.pools import pool_addresses
from trireme_gateway.scaling.report import PoolLoad, Report, encode_sum, summed
from trireme_gateway.settings import GatewaySettings

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class ScalingAnswers:
    """What is answered on the metrics port, in threads of its server. `pools` are shown with 0 too."""

    def __init__(self, gateway: str, registry: CollectorRegistry, pools: Iterable[str], peers: Peers) -> None:
        self._gateway = gateway
        self._pools = dict.fromkeys(pools, PoolLoad())
        self._registry = registry
        self._peers = peers
        self._metrics: App = make_wsgi_app(registry)
        self._answers: dict[str, Callable[[], bytes]] = {"/scaling": self.total, PATH: self._own}

    def own(self) -> Report:
        return Report(self._gateway, self._pools | read_loads(self._registry))

    def _own(self) -> bytes:
        return self.own().encode()

    def total(self) -> bytes:
        """Asks all peers."""
        reports, missing = asyncio.run(self._peers.ask())
        pools, answered = summed(self.own(), reports)
        return encode_sum(pools, answered, missing)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """WSGI application."""
        answer = self._answers.get(environ["PATH_INFO"])
        if answer is None or environ["REQUEST_METHOD"] != "GET":
            return self._metrics(environ, start_response)
        body = answer()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response("200 OK", headers)
        return [body]


def serve_metrics(settings: GatewaySettings, registry: CollectorRegistry) -> int | None:
    """Serves the metrics port of `settings`. Returns it, or None where none was asked for.

    Raises SettingsError for a port that is taken, and for addresses that are none.
    """
    if settings.metrics_port is None:
        return None
    try:
        peers = Peers(parse_peers(settings.peer_addresses))
    except ValueError as error:
        raise SettingsError(f"TRIREME_GATEWAY_PEER_ADDRESSES: {error}") from error
    try:
        pools = [pool for pool, _ in pool_addresses(settings.inference_addresses)]
    except ValueError as error:
        raise SettingsError(f"TRIREME_GATEWAY_INFERENCE_ADDRESSES: {error}") from error
    answers = ScalingAnswers(uuid.uuid4().hex, registry, pools, peers)
    return listen(settings.host, settings.metrics_port, answers)


def listen(host: str, port: int, answers: ScalingAnswers) -> int:
    """Serves from threads until the process ends. Returns the port. Raises SettingsError."""

    class Server(ThreadingWSGIServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    try:
        server = make_server(host, port, answers, Server, handler_class=_Quiet)
    except OSError as error:
        raise SettingsError(f"cannot serve metrics on {host}:{port}: {error.strerror}") from error
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return int(server.server_port)


class _Quiet(WSGIRequestHandler):
    timeout = 10
    """Seconds that a caller has to send its request."""

    def log_message(self, *_: object) -> None:
        """Scrapes come every few seconds and say nothing new."""
