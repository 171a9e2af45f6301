"""What an endpoint of a stage says of itself: its models, their states, whether it drains."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from trireme_common.model_spec import ModelSpec, TensorSpec
from trireme_common.orders import Order, decode_orders, encode_orders
from trireme_protos.trireme.v1 import envelope_pb2


class State(StrEnum):
    """State of one version of a model at one endpoint."""

    LOADING = "LOADING"
    READY = "READY"
    UNAVAILABLE = "UNAVAILABLE"
    UNLOADING = "UNLOADING"


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Name, protocol datatype and shape (batch dimension first, -1 is any size) of a tensor."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    labels: tuple[str, ...] = ()
    """Names of the classes of an output that has its own."""

    @classmethod
    def of(cls, spec: TensorSpec) -> TensorInfo:
        return cls(spec.name, spec.datatype, spec.shape)


@dataclass(frozen=True, slots=True)
class ModelDescriptor:
    """What the gateway must know of a version to decode, route, cache and describe it."""

    task: str
    platform: str = ""
    inputs: tuple[TensorInfo, ...] = ()
    outputs: tuple[TensorInfo, ...] = ()
    max_batch_size: int = 0
    labels: tuple[str, ...] = ()
    has_preprocess: bool = False
    has_postprocess: bool = False
    digest: str = ""
    max_items: int = 0
    max_bytes: int = 0
    timeout_ms: int = 0
    cache_enabled: bool = True
    cache_ttl_seconds: int = 300
    cache_scope: str = "tenant"
    config: str = ""
    """Triton's JSON of the model's configuration; of inference alone."""
    at_once: bool = False
    """Items are to be sent as they come, so that the scheduler sees them all; of inference alone."""

    @classmethod
    def of(
        cls, spec: ModelSpec, *, digest: str, platform: str = "", labels: tuple[str, ...] = ()
    ) -> ModelDescriptor:
        """Descriptor of a spec as it is written."""
        piped = spec.task != "tensor"
        return cls(
            task=spec.task,
            platform=platform,
            inputs=tuple(map(TensorInfo.of, spec.inputs)),
            outputs=tuple(map(TensorInfo.of, spec.outputs)),
            max_batch_size=spec.batching.max_batch_size,
            labels=labels,
            has_preprocess=piped,
            has_postprocess=piped,
            digest=digest,
            max_items=spec.limits.max_items or 0,
            max_bytes=spec.limits.max_bytes or 0,
            timeout_ms=spec.limits.timeout_ms or 0,
            cache_enabled=spec.cache.enabled,
            cache_ttl_seconds=spec.cache.ttl_seconds,
            cache_scope=spec.cache.scope,
        )


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """State of a version; `version` is empty where the model as a whole is unusable."""

    name: str
    version: str
    state: State
    reason: str = ""
    descriptor: ModelDescriptor | None = None


@dataclass(frozen=True, slots=True)
class StageState:
    """Everything an endpoint publishes on its streams."""

    models: tuple[ModelVersion, ...] = ()
    draining: bool = False
    device: str = ""
    orders: tuple[Order, ...] = ()
    """Those that it has carried out."""


def encode_state(state: StageState) -> envelope_pb2.StageState:
    """Protobuf form of a state."""
    message = envelope_pb2.StageState(
        draining=state.draining, device=state.device, orders=encode_orders(state.orders)
    )
    for model in state.models:
        entry = message.models.add(
            name=valid_text(model.name),
            version=model.version,
            state=envelope_pb2.ModelVersion.State.Value(model.state.value),
            reason=valid_text(model.reason),
        )
        if model.descriptor is not None:
            _encode_descriptor(model.descriptor, entry.descriptor)
    return message


def _encode_descriptor(descriptor: ModelDescriptor, into: envelope_pb2.ModelDescriptor) -> None:
    into.task = descriptor.task
    into.platform = descriptor.platform
    into.max_batch_size = descriptor.max_batch_size
    into.labels.extend(map(valid_text, descriptor.labels))
    into.has_preprocess = descriptor.has_preprocess
    into.has_postprocess = descriptor.has_postprocess
    into.digest = descriptor.digest
    into.limits.max_items = descriptor.max_items
    into.limits.max_bytes = descriptor.max_bytes
    into.limits.timeout_ms = descriptor.timeout_ms
    into.cache.enabled = descriptor.cache_enabled
    into.cache.ttl_seconds = descriptor.cache_ttl_seconds
    into.cache.scope = descriptor.cache_scope
    into.config = valid_text(descriptor.config)
    into.at_once = descriptor.at_once
    for specs, field_ in ((descriptor.inputs, into.inputs), (descriptor.outputs, into.outputs)):
        for spec in specs:
            labels = map(valid_text, spec.labels)
            field_.add(name=spec.name, datatype=spec.datatype, shape=spec.shape, labels=labels)


def valid_text(text: str) -> str:
    """`text` as protobuf takes it: file names and foreign messages may hold lone surrogates."""
    return text.encode("utf-8", "replace").decode()


def decode_state(message: envelope_pb2.StageState) -> StageState:
    """Inverse of `encode_state`; a state this build does not know counts as UNAVAILABLE."""
    return StageState(
        models=tuple(_decode_model(model) for model in message.models),
        draining=message.draining,
        device=message.device,
        orders=decode_orders(message.orders),
    )


def _decode_model(model: envelope_pb2.ModelVersion) -> ModelVersion:
    found = envelope_pb2.ModelVersion.State.DESCRIPTOR.values_by_number.get(model.state)
    state = State.__members__.get(found.name, State.UNAVAILABLE) if found else State.UNAVAILABLE
    descriptor = _decode_descriptor(model.descriptor) if model.HasField("descriptor") else None
    return ModelVersion(model.name, model.version, state, model.reason, descriptor)


def _decode_descriptor(message: envelope_pb2.ModelDescriptor) -> ModelDescriptor:
    inputs, outputs = (
        tuple(TensorInfo(spec.name, spec.datatype, tuple(spec.shape), tuple(spec.labels)) for spec in specs)
        for specs in (message.inputs, message.outputs)
    )
    return ModelDescriptor(
        task=message.task,
        platform=message.platform,
        inputs=inputs,
        outputs=outputs,
        max_batch_size=message.max_batch_size,
        labels=tuple(message.labels),
        has_preprocess=message.has_preprocess,
        has_postprocess=message.has_postprocess,
        digest=message.digest,
        max_items=message.limits.max_items,
        max_bytes=message.limits.max_bytes,
        timeout_ms=message.limits.timeout_ms,
        cache_enabled=message.cache.enabled,
        cache_ttl_seconds=message.cache.ttl_seconds,
        cache_scope=message.cache.scope,
        config=message.config,
        at_once=message.at_once,
    )
