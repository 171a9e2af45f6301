import socket
from pathlib import Path

import pytest

from trireme_cli.failure import Failure
from trireme_cli.up.port_owner import owner_of
from trireme_cli.up.ports import PortAllocator, is_loopback, join, reachable_from_here


def test_ports_are_distinct_and_outside_the_range_of_outgoing_connections() -> None:
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    allocator = PortAllocator(seed=1)

    ports = [allocator.free("127.0.0.1") for _ in range(50)]

    assert len(set(ports)) == 50
    assert all(not low <= port <= high for port in ports)


def test_a_port_in_use_names_its_owner_and_a_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(Failure) as failure:
            PortAllocator().reserve("127.0.0.1", port, "--http-port")

    message = str(failure.value)
    assert f"port {port} on 127.0.0.1 is in use by " in message
    assert f"--http-port {port + 1}" in message


def test_owner_of_a_port_nobody_listens_on() -> None:
    assert owner_of(PortAllocator().free("127.0.0.1")) is None


def test_the_same_port_twice() -> None:
    allocator = PortAllocator()
    port = PortAllocator().free("127.0.0.1")
    allocator.reserve("127.0.0.1", port, "--http-port")

    with pytest.raises(Failure, match=f"--grpc-port {port} is already given"):
        allocator.reserve("127.0.0.1", port, "--grpc-port")


@pytest.mark.parametrize("port", [0, 12345])
def test_an_address_that_is_not_ours(port: int) -> None:
    with pytest.raises(Failure, match=r"192\.0\.2\.1 is no address of this machine"):
        PortAllocator().reserve("192.0.2.1", port, "--http-port")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("example.org", False),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_addresses_as_they_are_written() -> None:
    assert join("127.0.0.1", 80) == "127.0.0.1:80"
    assert join("::1", 80) == "[::1]:80"
    assert reachable_from_here("0.0.0.0") == "127.0.0.1"
    assert reachable_from_here("10.0.0.1") == "10.0.0.1"
