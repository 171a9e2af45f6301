"""The composition root: settings in, a serving process out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from prometheus_client import REGISTRY, CollectorRegistry

from trireme_common.cpus import available_cpus
from trireme_common.errors import SettingsError, SpecError
from trireme_common.grpc_server import GrpcServer
from trireme_common.model_store import ModelStore
from trireme_common.stage import serve_stage
from trireme_common.stage_stream import StageServicer
from trireme_common.tracing import NO_TRACER, Tracer, open_tracer
from trireme_inference import oip_servicer
from trireme_inference.backend import Opener
from trireme_inference.batch_trace import TracedTelemetry
from trireme_inference.devices import gpu_count, resolve_device
from trireme_inference.loader import Loader, Machine, Telemetry
from trireme_inference.metrics import InferenceMetrics
from trireme_inference.oip_servicer import OipServicer
from trireme_inference.onnx_backend import cuda_built_in, open_onnx
from trireme_inference.servable import InferenceServable
from trireme_inference.servicer import InferenceHandler
from trireme_inference.settings import InferenceSettings

SERVICE = "trireme.v1.InferenceService"
METHOD = "Infer"

BACKENDS: Mapping[str, Opener] = {"onnxruntime": open_onnx}


async def serve(settings: InferenceSettings, stop: asyncio.Event) -> None:
    """Serves until `stop` is set. Raises SettingsError for a device or an address that is not there."""
    async with open_tracer("inference", settings) as tracer:
        store = build_store(settings, machine(settings), REGISTRY, tracer)
        await serve_stage(settings, store, build_server(settings, store, tracer), stop)


def machine(settings: InferenceSettings) -> Machine:
    """What this machine lends its models. Raises SettingsError where `device` is not there."""
    gpus = gpu_count() if cuda_built_in() else 0
    try:
        device = resolve_device("auto", settings.device, gpus)
    except SpecError as error:
        raise SettingsError(f"TRIREME_INFERENCE_DEVICE: {error.detail}") from error
    return Machine(
        device=device,
        gpus=gpus,
        threads=settings.threads or available_cpus(),
        gpu_memory_limit_bytes=settings.gpu_memory_limit_bytes,
        cpu_arena=settings.cpu_arena,
        close_grace_seconds=settings.close_grace_seconds,
    )


def build_store(
    settings: InferenceSettings, lent: Machine, registry: CollectorRegistry, tracer: Tracer = NO_TRACER
) -> ModelStore[InferenceServable]:
    """The store of this process's running event loop."""
    telemetry: Telemetry = InferenceMetrics(registry)
    if tracer.enabled:
        telemetry = TracedTelemetry(telemetry)
    loader = Loader(BACKENDS, lent, telemetry, asyncio.get_running_loop())
    return ModelStore(settings.models_dir, loader.load, device=lent.device)


def build_server(
    settings: InferenceSettings, store: ModelStore[InferenceServable], tracer: Tracer = NO_TRACER
) -> GrpcServer:
    """The stream and the Open Inference Protocol on one port. Raises SettingsError where it is taken."""
    stream = StageServicer(InferenceHandler(store), store, tracer, "inference")
    protocol = OipServicer(store, default_timeout_seconds=settings.oip_timeout_seconds)
    return GrpcServer(
        settings.host,
        settings.port,
        [stream.handlers(SERVICE, METHOD), protocol.handler()],
        [SERVICE, oip_servicer.SERVICE],
    )
