import socket

import httpx

from trireme_cli.up.processes import Program, StopOrder
from trireme_cli.up.readiness import ModelState, Phase, Readiness, Snapshot, listens, parse_models

URL = "http://gateway"


def _client(ready: bool, models: dict[str, dict[str, str]]) -> httpx.AsyncClient:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/readyz":
            return httpx.Response(200 if ready else 503, json={"ready": ready})
        return httpx.Response(200, json={"status": "healthy", "models": models})

    return httpx.AsyncClient(transport=httpx.MockTransport(answer))


async def test_ready_when_everything_listens_and_no_model_loads() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        programs = [
            Program("inference-0", (), {}, address, StopOrder.STAGE),
            Program("gateway", (), {}, address, StopOrder.GATEWAY),
        ]
        models = {"m": {"state": "READY", "version": "3", "reason": ""}}
        async with _client(True, models) as client:
            snapshot, missing = await Readiness(programs, URL, {"m"}, client).wait(5, lambda _: None)

    assert missing == []
    assert snapshot.phases == {"inference-0": Phase.READY, "gateway": Phase.READY}
    assert snapshot.models == {"m": ModelState("READY", "3")}


async def test_a_program_that_died_is_tried_anew() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        programs = [Program("gateway", (), {}, address, StopOrder.GATEWAY)]
        async with _client(True, {}) as client:
            readiness = Readiness(programs, URL, (), client)
            before = await readiness.look()
            server.close()
            readiness.forget("gateway")
            after = await readiness.look()

    assert before.phases["gateway"] is Phase.READY
    assert after.phases["gateway"] is Phase.STARTING


def test_what_is_missing_is_named() -> None:
    snapshot = Snapshot(
        {"inference-0": Phase.STARTING, "gateway": Phase.LISTENING},
        False,
        {"a": ModelState("LOADING"), "b": ModelState("UNAVAILABLE", "1", "no such operator")},
    )

    missing = snapshot.missing({"a", "b", "c"})

    assert missing[:4] == [
        "inference-0 does not listen yet",
        "model a is loading",
        "model b is UNAVAILABLE: no such operator",
        "model c is not reported yet",
    ]
    assert "no ready route" in missing[4]


def test_a_bad_model_does_not_hold_up_the_others() -> None:
    models = {"a": ModelState("READY", "1"), "b": ModelState("UNAVAILABLE", "1", "broken")}

    assert Snapshot({"gateway": Phase.READY}, True, models).missing({"a", "b"}) == []


def test_health_of_another_shape() -> None:
    assert parse_models([]) == {}
    assert parse_models({"models": {"m": {"state": "READY", "version": 1, "reason": None}}}) == {
        "m": ModelState("READY", "1", "")
    }


async def test_nothing_listens() -> None:
    assert not await listens("unix:/nonexistent/redis.sock")
    assert not await listens("127.0.0.1:1")
