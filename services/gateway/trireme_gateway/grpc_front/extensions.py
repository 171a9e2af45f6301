"""Triton's configuration, logging, trace and shared-memory calls, each a use case that REST has too."""

from __future__ import annotations

from google.protobuf import json_format

from trireme_gateway.context import RequestContext
from trireme_gateway.services import Services
from trireme_gateway.v2.inference import resolve
from trireme_gateway.v2.metadata import model_config
from trireme_protos.inference import grpc_service_pb2 as pb


class ExtensionsServicer:
    """Methods take a parsed message and the request's context, and raise TriremeError."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._desk = services.extensions.desk
        self._regions = services.extensions.regions

    async def model_config(
        self, request: pb.ModelConfigRequest, context: RequestContext
    ) -> pb.ModelConfigResponse:
        found = model_config(self._services.catalog, request.name, request.version)
        answer = pb.ModelConfigResponse()
        json_format.ParseDict(found, answer.config, ignore_unknown_fields=True)  # of a foreign server
        return answer

    async def log_settings(
        self, request: pb.LogSettingsRequest, context: RequestContext
    ) -> pb.LogSettingsResponse:
        given = {}
        for name, value in request.settings.items():
            choice = value.WhichOneof("parameter_choice")
            given[name] = None if choice is None else getattr(value, choice)
        answer = pb.LogSettingsResponse()
        for name, found in (await self._desk.change_log_settings(given)).items():
            kind = {bool: "bool_param", int: "uint32_param"}.get(type(found), "string_param")
            setattr(answer.settings[name], kind, found)
        return answer

    async def trace_setting(
        self, request: pb.TraceSettingRequest, context: RequestContext
    ) -> pb.TraceSettingResponse:
        model = request.model_name
        if model:
            model = resolve(self._services.catalog, model, None).model
        given = {name: list(value.value) for name, value in request.settings.items()}
        answer = pb.TraceSettingResponse()
        for name, found in (await self._desk.change_trace_settings(model, given)).items():
            answer.settings[name].value.extend([found] if isinstance(found, str) else found)
        return answer

    async def system_status(
        self, request: pb.SystemSharedMemoryStatusRequest, context: RequestContext
    ) -> pb.SystemSharedMemoryStatusResponse:
        answer = pb.SystemSharedMemoryStatusResponse()
        for region in self._regions.status(request.name):
            json_format.ParseDict(region, answer.regions[region["name"]])
        return answer

    async def system_register(
        self, request: pb.SystemSharedMemoryRegisterRequest, context: RequestContext
    ) -> pb.SystemSharedMemoryRegisterResponse:
        await self._regions.register(request.name, request.key, request.offset, request.byte_size)
        return pb.SystemSharedMemoryRegisterResponse()

    async def system_unregister(
        self, request: pb.SystemSharedMemoryUnregisterRequest, context: RequestContext
    ) -> pb.SystemSharedMemoryUnregisterResponse:
        await self._regions.unregister(request.name)
        return pb.SystemSharedMemoryUnregisterResponse()

    async def cuda_status(
        self, request: pb.CudaSharedMemoryStatusRequest, context: RequestContext
    ) -> pb.CudaSharedMemoryStatusResponse:
        self._regions.cuda_status(request.name)
        return pb.CudaSharedMemoryStatusResponse()

    async def cuda_register(
        self, request: pb.CudaSharedMemoryRegisterRequest, context: RequestContext
    ) -> pb.CudaSharedMemoryRegisterResponse:
        raise self._regions.refuse_cuda(request.name)

    async def cuda_unregister(
        self, request: pb.CudaSharedMemoryUnregisterRequest, context: RequestContext
    ) -> pb.CudaSharedMemoryUnregisterResponse:
        return pb.CudaSharedMemoryUnregisterResponse()
