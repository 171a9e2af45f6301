from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Envelope(_message.Message):
    __slots__ = ("model", "version", "items", "cancels", "orders", "lacking")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    CANCELS_FIELD_NUMBER: _ClassVar[int]
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    LACKING_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    items: _containers.RepeatedCompositeFieldContainer[Item]
    cancels: _containers.RepeatedScalarFieldContainer[int]
    orders: _containers.RepeatedCompositeFieldContainer[Order]
    lacking: Lacking
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., items: _Optional[_Iterable[_Union[Item, _Mapping]]] = ..., cancels: _Optional[_Iterable[int]] = ..., orders: _Optional[_Iterable[_Union[Order, _Mapping]]] = ..., lacking: _Optional[_Union[Lacking, _Mapping]] = ...) -> None: ...

class Lacking(_message.Message):
    __slots__ = ("versions",)
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[VersionName]
    def __init__(self, versions: _Optional[_Iterable[_Union[VersionName, _Mapping]]] = ...) -> None: ...

class VersionName(_message.Message):
    __slots__ = ("model", "version")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class Order(_message.Message):
    __slots__ = ("model", "revision", "version", "unloaded")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    UNLOADED_FIELD_NUMBER: _ClassVar[int]
    model: str
    revision: int
    version: str
    unloaded: bool
    def __init__(self, model: _Optional[str] = ..., revision: _Optional[int] = ..., version: _Optional[str] = ..., unloaded: _Optional[bool] = ...) -> None: ...

class Item(_message.Message):
    __slots__ = ("id", "remaining_ms", "payload", "request_id", "traceparent", "priority")
    ID_FIELD_NUMBER: _ClassVar[int]
    REMAINING_MS_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    id: int
    remaining_ms: int
    payload: bytes
    request_id: str
    traceparent: str
    priority: int
    def __init__(self, id: _Optional[int] = ..., remaining_ms: _Optional[int] = ..., payload: _Optional[bytes] = ..., request_id: _Optional[str] = ..., traceparent: _Optional[str] = ..., priority: _Optional[int] = ...) -> None: ...

class Reply(_message.Message):
    __slots__ = ("results", "state", "working")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    WORKING_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[Result]
    state: StageState
    working: bool
    def __init__(self, results: _Optional[_Iterable[_Union[Result, _Mapping]]] = ..., state: _Optional[_Union[StageState, _Mapping]] = ..., working: _Optional[bool] = ...) -> None: ...

class Result(_message.Message):
    __slots__ = ("id", "payload", "failure", "queue_us", "compute_us")
    ID_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    QUEUE_US_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_US_FIELD_NUMBER: _ClassVar[int]
    id: int
    payload: bytes
    failure: Failure
    queue_us: int
    compute_us: int
    def __init__(self, id: _Optional[int] = ..., payload: _Optional[bytes] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., queue_us: _Optional[int] = ..., compute_us: _Optional[int] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("code", "detail")
    CODE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    code: str
    detail: str
    def __init__(self, code: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class StageState(_message.Message):
    __slots__ = ("draining", "device", "models", "orders")
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    draining: bool
    device: str
    models: _containers.RepeatedCompositeFieldContainer[ModelVersion]
    orders: _containers.RepeatedCompositeFieldContainer[Order]
    def __init__(self, draining: _Optional[bool] = ..., device: _Optional[str] = ..., models: _Optional[_Iterable[_Union[ModelVersion, _Mapping]]] = ..., orders: _Optional[_Iterable[_Union[Order, _Mapping]]] = ...) -> None: ...

class ModelVersion(_message.Message):
    __slots__ = ("name", "version", "state", "reason", "descriptor")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[ModelVersion.State]
        LOADING: _ClassVar[ModelVersion.State]
        READY: _ClassVar[ModelVersion.State]
        UNAVAILABLE: _ClassVar[ModelVersion.State]
        UNLOADING: _ClassVar[ModelVersion.State]
    STATE_UNSPECIFIED: ModelVersion.State
    LOADING: ModelVersion.State
    READY: ModelVersion.State
    UNAVAILABLE: ModelVersion.State
    UNLOADING: ModelVersion.State
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTOR_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    state: ModelVersion.State
    reason: str
    descriptor: ModelDescriptor
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., state: _Optional[_Union[ModelVersion.State, str]] = ..., reason: _Optional[str] = ..., descriptor: _Optional[_Union[ModelDescriptor, _Mapping]] = ...) -> None: ...

class ModelDescriptor(_message.Message):
    __slots__ = ("task", "platform", "inputs", "outputs", "max_batch_size", "labels", "has_preprocess", "has_postprocess", "digest", "limits", "cache", "config", "at_once")
    TASK_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    MAX_BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    HAS_PREPROCESS_FIELD_NUMBER: _ClassVar[int]
    HAS_POSTPROCESS_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    CACHE_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    AT_ONCE_FIELD_NUMBER: _ClassVar[int]
    task: str
    platform: str
    inputs: _containers.RepeatedCompositeFieldContainer[TensorSpec]
    outputs: _containers.RepeatedCompositeFieldContainer[TensorSpec]
    max_batch_size: int
    labels: _containers.RepeatedScalarFieldContainer[str]
    has_preprocess: bool
    has_postprocess: bool
    digest: str
    limits: Limits
    cache: CachePolicy
    config: str
    at_once: bool
    def __init__(self, task: _Optional[str] = ..., platform: _Optional[str] = ..., inputs: _Optional[_Iterable[_Union[TensorSpec, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[TensorSpec, _Mapping]]] = ..., max_batch_size: _Optional[int] = ..., labels: _Optional[_Iterable[str]] = ..., has_preprocess: _Optional[bool] = ..., has_postprocess: _Optional[bool] = ..., digest: _Optional[str] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., cache: _Optional[_Union[CachePolicy, _Mapping]] = ..., config: _Optional[str] = ..., at_once: _Optional[bool] = ...) -> None: ...

class TensorSpec(_message.Message):
    __slots__ = ("name", "datatype", "shape", "labels")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATATYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    name: str
    datatype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    labels: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., datatype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., labels: _Optional[_Iterable[str]] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("max_items", "max_bytes", "timeout_ms")
    MAX_ITEMS_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    max_items: int
    max_bytes: int
    timeout_ms: int
    def __init__(self, max_items: _Optional[int] = ..., max_bytes: _Optional[int] = ..., timeout_ms: _Optional[int] = ...) -> None: ...

class CachePolicy(_message.Message):
    __slots__ = ("enabled", "ttl_seconds", "scope")
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    TTL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    ttl_seconds: int
    scope: str
    def __init__(self, enabled: _Optional[bool] = ..., ttl_seconds: _Optional[int] = ..., scope: _Optional[str] = ...) -> None: ...

class Tensors(_message.Message):
    __slots__ = ("tensors",)
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    tensors: _containers.RepeatedCompositeFieldContainer[Tensor]
    def __init__(self, tensors: _Optional[_Iterable[_Union[Tensor, _Mapping]]] = ...) -> None: ...

class Tensor(_message.Message):
    __slots__ = ("name", "datatype", "shape", "data")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATATYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    name: str
    datatype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    data: bytes
    def __init__(self, name: _Optional[str] = ..., datatype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., data: _Optional[bytes] = ...) -> None: ...
