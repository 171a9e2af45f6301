from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import grpc
import grpc.aio
import pytest
from google.protobuf import json_format
from google.protobuf.message import Message

from tests.unit.gateway.grpc_front.door import door
from tests.unit.gateway.v2.fakes import services
from trireme_gateway.extensions.bootstrap import Extensions
from trireme_gateway.extensions.region_desk import RegionDesk
from trireme_gateway.extensions.region_files import RegionFiles
from trireme_gateway.v2.metadata import model_config
from trireme_protos.inference import grpc_service_pb2 as pb
from trireme_protos.inference import model_config_pb2


async def test_log_settings() -> None:
    async with door() as front:
        request = pb.LogSettingsRequest()
        before = await front.ask("LogSettings", request, pb.LogSettingsResponse)
        assert json_format.MessageToDict(before)["settings"] == {
            "log_file": {"stringParam": ""},
            "log_info": {"boolParam": True},
            "log_warning": {"boolParam": True},
            "log_error": {"boolParam": True},
            "log_verbose_level": {"uint32Param": 0},
            "log_format": {"stringParam": "default"},
        }
        request.settings["log_info"].bool_param = False
        request.settings["log_verbose_level"].uint32_param = 2
        request.settings["log_error"].SetInParent()  # no value: stays as it is
        answer = await front.ask("LogSettings", request, pb.LogSettingsResponse)
        assert not answer.settings["log_info"].bool_param
        assert answer.settings["log_error"].bool_param
        assert answer.settings["log_verbose_level"].uint32_param == 2
        assert await front.ask("LogSettings", pb.LogSettingsRequest(), pb.LogSettingsResponse) == answer


async def test_trace_settings_of_all_models_and_of_one() -> None:
    async with door() as front:
        request = pb.TraceSettingRequest()
        request.settings["trace_rate"].value.append("500")
        everyone = await front.ask("TraceSetting", request, pb.TraceSettingResponse)
        assert everyone.settings["trace_rate"].value == ["500"]
        assert everyone.settings["trace_level"].value == ["OFF"]
        request.model_name = "echo"
        request.settings["trace_rate"].value[:] = ["7"]
        request.settings["trace_level"].value.append("TIMESTAMPS")
        own = await front.ask("TraceSetting", request, pb.TraceSettingResponse)
        assert own.settings["trace_level"].value == ["TIMESTAMPS"]
        shown = pb.TraceSettingRequest(model_name="echo")
        assert await front.ask("TraceSetting", shown, pb.TraceSettingResponse) == own
        for name in ("trace_rate", "trace_level"):
            shown.settings[name].SetInParent()  # no value clears it
        assert await front.ask("TraceSetting", shown, pb.TraceSettingResponse) == everyone


async def test_shared_memory(tmp_path: Path) -> None:
    (tmp_path / "memory").write_bytes(b"0123456789")
    regions = RegionDesk(enabled=True, files=RegionFiles(tmp_path))
    known = replace(services(), extensions=Extensions(regions=regions))
    async with door(known) as front:
        register = pb.SystemSharedMemoryRegisterRequest(name="r", key="/memory", offset=2, byte_size=4)
        await front.ask("SystemSharedMemoryRegister", register, pb.SystemSharedMemoryRegisterResponse)
        status = pb.SystemSharedMemoryStatusRequest()
        found = await front.ask("SystemSharedMemoryStatus", status, pb.SystemSharedMemoryStatusResponse)
        (region,) = found.regions.values()
        assert (region.name, region.key, region.offset, region.byte_size) == ("r", "/memory", 2, 4)
        gone = pb.SystemSharedMemoryUnregisterRequest(name="r")
        await front.ask("SystemSharedMemoryUnregister", gone, pb.SystemSharedMemoryUnregisterResponse)
        found = await front.ask("SystemSharedMemoryStatus", status, pb.SystemSharedMemoryStatusResponse)
        assert not found.regions


async def test_cuda_shared_memory_is_never_there() -> None:
    async with door() as front:
        status = await front.ask(
            "CudaSharedMemoryStatus", pb.CudaSharedMemoryStatusRequest(), pb.CudaSharedMemoryStatusResponse
        )
        assert not status.regions
        await front.ask(
            "CudaSharedMemoryUnregister",
            pb.CudaSharedMemoryUnregisterRequest(),
            pb.CudaSharedMemoryUnregisterResponse,
        )


@pytest.mark.parametrize(
    ("method", "request_", "status", "said"),
    [
        ("LogSettings", '{"settings": {"x": {"boolParam": true}}}', "INVALID_ARGUMENT", "log setting 'x'"),
        ("TraceSetting", '{"settings": {"x": {"value": ["1"]}}}', "INVALID_ARGUMENT", "trace setting 'x'"),
        ("TraceSetting", '{"modelName": "nobody"}', "NOT_FOUND", "unknown model: 'nobody'"),
        ("ModelConfig", '{"name": "nobody"}', "NOT_FOUND", "unknown model: 'nobody'"),
        ("SystemSharedMemoryStatus", '{"name": "r"}', "NOT_FOUND", "Unable to find system shared memory"),
        ("SystemSharedMemoryRegister", '{"name": "r"}', "PERMISSION_DENIED", "is disabled"),
        ("CudaSharedMemoryStatus", '{"name": "r"}', "NOT_FOUND", "Unable to find cuda shared memory"),
        ("CudaSharedMemoryRegister", '{"name": "r"}', "INVALID_ARGUMENT", "not supported"),
    ],
)
async def test_errors_are_statuses(method: str, request_: str, status: str, said: str) -> None:
    kind: type[Message] = getattr(pb, f"{method}Request")
    message = json_format.Parse(request_, kind())
    async with door() as front:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await front.call(method, message.SerializeToString())
    assert refused.value.code() is grpc.StatusCode[status]
    assert said in str(refused.value.details())


@pytest.mark.parametrize(
    "name",
    [
        "sentiment",
        "sentiment.inference",
        "digits",
        "vectors",
        "numbers",
        "echo",
        "single",
        "pair",
        "echo_BF16",
    ],
)
async def test_a_configuration_is_the_one_that_rest_answers(name: str) -> None:
    known = services()
    async with door(known) as front:
        answer = await front.ask("ModelConfig", pb.ModelConfigRequest(name=name), pb.ModelConfigResponse)
    told = model_config(known.catalog, name, None)
    assert answer.config == json_format.ParseDict(told, model_config_pb2.ModelConfig())
    assert (answer.config.name, answer.config.max_batch_size) == (name, told["max_batch_size"])
    assert [list(tensor.dims) for tensor in answer.config.input] == [
        tensor["dims"] for tensor in told["input"]
    ]
