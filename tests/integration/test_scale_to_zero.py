"""Inference that has gone to zero: requests wait for it, and an autoscaler is told of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc.aio
import httpx

from tests.support.idle_gateway import IdleGateway, idle_gateway
from tests.support.stage_process import free_port
from trireme_protos.inference import grpc_service_pb2 as pb

TENSORS = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1, 1], "data": ["好"]}]}
TEXT = {"content-type": "text/plain"}
HOLD = {"TRIREME_GATEWAY_HOLD_MAX_REQUESTS": "3", "TRIREME_GATEWAY_HOLD_MAX_SECONDS": "30"}


async def held(gateway: IdleGateway, requests: int) -> None:
    """Waits until so many requests are held."""
    async with asyncio.timeout(20):
        while await gateway.metric('trireme_held_requests{model="m"}') != requests:
            await asyncio.sleep(0.05)


async def test_a_request_waits_for_the_first_pod_and_is_answered(tmp_path: Path) -> None:
    async with idle_gateway(tmp_path / "log", **HOLD) as gateway:
        ready = await gateway.client.get("/readyz")
        assert (ready.status_code, ready.json()) == (200, {"ready": True})
        quiet = {"queued": 0, "in_flight": 0.0, "queue_wait_seconds": 0.0}
        expected = {"pools": {"default": quiet}, "gateways": {"answered": 1, "missing": 0}}
        assert await gateway.scaling() == expected
        assert await gateway.exposes("trireme_held_requests", 'model="m"')
        assert await gateway.exposes("trireme_model_in_flight", 'model="m"')

        asking = [asyncio.create_task(gateway.ask()) for _ in range(3)]
        await held(gateway, 3)
        waking = await gateway.scaling_where("default", "queue_wait_seconds", 0.2)
        assert waking["pools"]["default"]["queued"] == 3
        assert waking["pools"]["default"]["in_flight"] == 0
        async with gateway.inference():
            answers = await asyncio.gather(*asking)
            assert [answer.status_code for answer in answers] == [200] * 3
            assert answers[0].json()["results"][0]["label"] == "正面"
            assert (await gateway.ask()).status_code == 200
            await gateway.scaling_where("default", "in_flight", 0.001)
            await held(gateway, 0)
        assert await gateway.metric('trireme_held_seconds_count{model="m"}') == 3
        assert await gateway.metric('trireme_held_requests_ended_total{ending="served",model="m"}') == 3


async def test_more_than_may_wait_and_what_is_unknown_are_refused_at_once(tmp_path: Path) -> None:
    async with idle_gateway(tmp_path / "log", **HOLD) as gateway:
        asking = [asyncio.create_task(gateway.ask()) for _ in range(3)]
        await held(gateway, 3)
        full, unknown = await gateway.ask(), await gateway.ask("nobody")
        assert (full.status_code, full.json()["code"]) == (503, "model_not_ready")
        assert full.headers["retry-after"]
        assert (unknown.status_code, unknown.json()["code"]) == (404, "model_not_found")
        asking[0].cancel()
        await held(gateway, 2)
        late = await gateway.ask(timeout_ms=200)
        assert late.status_code == 503
        assert late.headers["retry-after"]
        async with gateway.inference():
            assert [answer.status_code for answer in await asyncio.gather(*asking[1:])] == [200, 200]


async def test_the_other_doors_wait_too(tmp_path: Path) -> None:
    more = {**HOLD, "TRIREME_GATEWAY_HOLD_MAX_REQUESTS": "6"}
    async with idle_gateway(tmp_path / "log", **more) as gateway:
        asking = [
            asyncio.create_task(_model_infer(gateway.grpc)),
            asyncio.create_task(gateway.client.post("/v1/models/m:predict", json={"instances": ["好"]})),
            asyncio.create_task(gateway.client.post("/predict/batch", json={"texts": ["好"] * 5})),
            asyncio.create_task(gateway.client.post("/v2/models/m/infer", json=TENSORS)),
            asyncio.create_task(gateway.client.post("/v1/models/m/predict", content="好", headers=TEXT)),
            asyncio.create_task(gateway.client.post("/v1/models/m:explain", json={"instances": ["好"]})),
        ]
        await held(gateway, 6)
        async with gateway.inference():
            front, instances, batch, *others = await asyncio.gather(*asking)
        assert [answer.status_code for answer in others] == [200] * 3
        assert front.model_name == "m"
        assert instances.json()["predictions"][0]["label"] == "正面"
        assert batch.status_code == 200
        assert batch.text.count("正面") >= 5


async def _model_infer(address: str) -> pb.ModelInferResponse:
    """ModelInfer of a text, as any client of the protocol sends it."""
    request = pb.ModelInferRequest(model_name="m", raw_input_contents=[b"\x03\0\0\0" + "好".encode()])
    request.inputs.add(name="text", datatype="BYTES", shape=[1, 1])
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        return pb.ModelInferResponse.FromString(await call(request.SerializeToString(), timeout=30))


async def test_without_holding_nothing_has_changed(tmp_path: Path) -> None:
    async with idle_gateway(tmp_path / "log") as gateway:
        ready, refused, unknown = (
            await gateway.client.get("/readyz"),
            await gateway.ask(),
            await gateway.ask("nobody"),
        )
        assert (ready.status_code, ready.json()) == (503, {"ready": False})
        assert (refused.status_code, unknown.status_code) == (503, 503)
        assert refused.headers["retry-after"]


async def test_requests_that_are_held_survive_the_end_until_the_grace_is_over(tmp_path: Path) -> None:
    grace = {"TRIREME_GATEWAY_GRACE_SECONDS": "20"}
    async with idle_gateway(tmp_path / "log", **HOLD, **grace) as gateway:
        asking = asyncio.create_task(gateway.ask())
        await held(gateway, 1)
        gateway.process.terminate()
        await _closed(gateway)
        async with gateway.inference():
            assert (await asking).status_code == 200
    brief = {"TRIREME_GATEWAY_GRACE_SECONDS": "1"}
    async with idle_gateway(tmp_path / "log", **HOLD, **brief) as gateway:
        asking = asyncio.create_task(gateway.ask())
        await held(gateway, 1)
        gateway.process.terminate()
        answer = await asking
        assert answer.status_code == 503
        assert answer.headers["retry-after"]


async def _closed(gateway: IdleGateway) -> None:
    """Waits until the listener is closed."""
    async with asyncio.timeout(20), httpx.AsyncClient(base_url=gateway.url) as other:
        while True:
            try:
                await other.get("/livez")
            except httpx.ConnectError:
                return
            await asyncio.sleep(0.05)


async def test_workers_of_one_gateway_and_two_gateways_add_up(tmp_path: Path) -> None:
    inference, metrics = free_port(), [free_port(), free_port()]
    peers = {
        **HOLD,
        "TRIREME_GATEWAY_PEER_ADDRESSES": ",".join(f"127.0.0.1:{port}" for port in [*metrics, free_port()]),
        "TRIREME_GATEWAY_INFERENCE_ADDRESSES": f"big=127.0.0.1:{inference}",
    }
    several = {"TRIREME_GATEWAY_METRICS_PORT": str(metrics[1]), "TRIREME_GATEWAY_WORKERS": "2"}
    one = idle_gateway(tmp_path / "1", **peers, TRIREME_GATEWAY_METRICS_PORT=str(metrics[0]))
    async with one as first, idle_gateway(tmp_path / "2", **peers, **several) as second:
        asking = [asyncio.create_task(_until_held(gateway)) for gateway in (first, second) for _ in range(2)]
        for port in metrics:  # whichever gateway is asked
            url = f"http://127.0.0.1:{port}/scaling"
            async with asyncio.timeout(20):
                while (found := (await first.client.get(url)).json())["pools"]["big"]["queued"] < 4:
                    await asyncio.sleep(0.05)
            assert found["gateways"] == {"answered": 2, "missing": 1}
            assert found["pools"].keys() == {"big"}
        for task in asking:
            task.cancel()


async def _until_held(gateway: IdleGateway) -> None:
    """Asks until some worker knows the stages and holds the request."""
    while (await gateway.ask()).status_code == 503:
        await asyncio.sleep(0.05)
