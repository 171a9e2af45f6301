"""The composition root: settings in, a serving process out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import closing

from prometheus_client import REGISTRY, CollectorRegistry

from trireme_common.cpus import available_cpus
from trireme_common.errors import SettingsError, SpecError
from trireme_common.grpc_server import GrpcServer
from trireme_common.memory import MemoryBudget
from trireme_common.model_store import ModelStore
from trireme_common.process_memory import available_bytes
from trireme_common.stage import serve_stage
from trireme_common.stage_servicer import StageServicer
from trireme_common.tracing import NO_TRACER, Tracer, open_tracer
from trireme_inference import oip_servicer
from trireme_inference.backend import Opener, OpenOptions
from trireme_inference.batch_trace import TracedTelemetry
from trireme_inference.device_metrics import DeviceMetrics
from trireme_inference.devices import gpu_count, resolve_device
from trireme_inference.isolation import Isolation, Limits
from trireme_inference.loader import Loader, Machine, Telemetry
from trireme_inference.memory_metrics import MemoryMetrics
from trireme_inference.metrics import InferenceMetrics
from trireme_inference.nvml import Nvml
from trireme_inference.oip_servicer import OipServicer
from trireme_inference.onnx_backend import open_onnx
from trireme_inference.preview import preview
from trireme_inference.runtimes import with_cuda
from trireme_inference.servable import InferenceServable
from trireme_inference.servicer import InferenceHandler
from trireme_inference.settings import InferenceSettings
from trireme_inference.statistics import Statistics
from trireme_inference.torch_backend import open_torch
from trireme_inference.worker_metrics import WorkerMetrics

SERVICE = "trireme.v1.InferenceService"
METHOD = "Infer"

_MODELS_PART = 0.8

BACKENDS: Mapping[str, Opener] = {"onnxruntime": open_onnx, "torch": open_torch}


async def serve(settings: InferenceSettings, stop: asyncio.Event) -> None:
    """Serves until `stop` is set. Raises SettingsError for a device or an address that is not there."""
    async with open_tracer("inference", settings) as tracer:
        with closing(build_isolation(settings, REGISTRY)) as isolation:
            statistics = Statistics()
            DeviceMetrics(REGISTRY, Nvml)
            store = build_store(settings, machine(settings), REGISTRY, isolation, tracer, statistics)
            server = build_server(settings, store, statistics, isolation, tracer)
            await serve_stage(settings, store, server, stop)


def machine(settings: InferenceSettings) -> Machine:
    """What this machine lends its models. Raises SettingsError where `device` is not there."""
    cuda_backends = with_cuda()
    gpus = gpu_count() if cuda_backends else 0
    try:
        resolve_device("auto", settings.device, gpus)
    except SpecError as error:
        raise SettingsError(f"TRIREME_INFERENCE_DEVICE: {error.detail}") from error
    return Machine(
        device=settings.device,
        gpus=gpus,
        cuda_backends=cuda_backends,
        threads=settings.threads or available_cpus(),
        options=OpenOptions(
            gpu_memory_limit_bytes=settings.gpu_memory_limit_bytes,
            cpu_arena=settings.cpu_arena,
            gpu_tf32=settings.gpu_tf32,
            tensorrt=settings.tensorrt,
            tensorrt_cache_dir=str(settings.tensorrt_cache_dir or ""),
            torch_precision=settings.torch_precision,
            torch_compile=settings.torch_compile,
            torch_cuda_graphs=settings.torch_cuda_graphs,
        ),
        close_grace_seconds=settings.close_grace_seconds,
    )


def build_isolation(settings: InferenceSettings, registry: CollectorRegistry) -> Isolation:
    """Where models run: worker processes, or this one."""
    limits = Limits(settings.worker_start_seconds, settings.worker_hang_seconds)
    preferred = None if settings.isolation == "auto" else settings.isolation
    return Isolation(WorkerMetrics(registry), preferred=preferred, limits=limits)


def build_store(
    settings: InferenceSettings,
    lent: Machine,
    registry: CollectorRegistry,
    isolation: Isolation,
    tracer: Tracer = NO_TRACER,
    statistics: Statistics | None = None,
) -> ModelStore[InferenceServable]:
    """The store of this process's running event loop."""
    telemetry: Telemetry = InferenceMetrics(registry, statistics)
    if tracer.enabled:
        telemetry = TracedTelemetry(telemetry)
    loader = Loader(BACKENDS, lent, telemetry, asyncio.get_running_loop(), isolation)
    limit = settings.models_memory_bytes or int(available_bytes() * _MODELS_PART)
    return ModelStore(
        settings.models_dir,
        loader.load,
        preview=preview,
        device=resolve_device("auto", lent.device, lent.gpus),
        state_dir=settings.state_dir,
        budget=MemoryBudget(limit, time.monotonic),
        observer=MemoryMetrics(registry),
        needs=loader.needs,
    )


def build_server(
    settings: InferenceSettings,
    store: ModelStore[InferenceServable],
    statistics: Statistics,
    isolation: Isolation,
    tracer: Tracer = NO_TRACER,
) -> GrpcServer:
    """The stream and the Open Inference Protocol on one port. Raises SettingsError where it is taken."""
    stream = StageServicer(InferenceHandler(store), store, tracer, "inference")
    protocol = OipServicer(
        store,
        default_timeout_seconds=settings.oip_timeout_seconds,
        statistics=statistics,
        worker_bytes=isolation.bytes_of,
    )
    others = {oip_servicer.SERVICE: protocol.handler()}
    return stream.server(settings.host, settings.port, SERVICE, METHOD, others)
