"""What becomes of each key of a config.pbtxt; docs/triton-repositories.md holds the same table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

from google.protobuf.message import Message


class Fate(StrEnum):
    """HONOURED acts; KEPT is shown by /config and acts nowhere; NOT_HONOURED is named in the log and in
    the model's status; REFUSED makes the model UNAVAILABLE, because its answers would be others."""

    HONOURED = "honoured"
    KEPT = "kept"
    NOT_HONOURED = "not honoured"
    REFUSED = "refused"


class Key(NamedTuple):
    """A key by its dotted name. What stands below a key that is listed alone shares its fate."""

    name: str
    fate: Fate
    meaning: str


_H, _K, _N, _R = Fate.HONOURED, Fate.KEPT, Fate.NOT_HONOURED, Fate.REFUSED

KEYS = (
    Key("name", _H, "must be the directory's; may be left out"),
    Key("platform", _H, "`onnxruntime_onnx`, `pytorch_libtorch`; another is refused with what to do"),
    Key("backend", _H, "`onnxruntime`, `pytorch`; left out: by the model file that stands there"),
    Key("runtime", _N, "the backend is the service's own"),
    Key("version_policy", _H, "which versions are served; left out: the latest"),
    Key("version_policy.latest", _H, "the newest `num_versions` that load"),
    Key("version_policy.latest.num_versions", _H, "0 counts as 1"),
    Key("version_policy.all", _H, "every version"),
    Key(
        "version_policy.specific",
        _H,
        "these versions, as far as they are there; the others are named, and where none is there that is an "
        "error",
    ),
    Key("version_policy.specific.versions", _H, "numbers of versions"),
    Key(
        "max_batch_size",
        _H,
        "0: `dims` are the whole shape and requests run alone; more: `dims` leave out the batch dimension, "
        "and requests share runs of so many rows. A longer request is cut, not refused. Left out together "
        "with `input` and `output`: as the model file allows",
    ),
    Key("input", _H, "what is left out, of a tensor too, is as the ONNX file says"),
    Key("input.name", _H, "must be one of the file's"),
    Key("input.data_type", _H, "TYPE_STRING is BYTES; must be the file's"),
    Key("input.format", _K, "the model file knows its own layout"),
    Key("input.dims", _H, "-1 is any size; may be narrower than the file's"),
    Key("input.reshape", _H, "the shape that the model file takes; one free size at most"),
    Key("input.reshape.shape", _H, "without the batch dimension"),
    Key("input.is_shape_tensor", _N, "TensorRT only"),
    Key("input.allow_ragged_batch", _N, "requests of different shapes run apart"),
    Key("input.optional", _N, "every input must be given"),
    Key("input.is_non_linear_format_io", _N, "TensorRT only"),
    Key("output", _H, "as `input`; outputs that are not listed are not given"),
    Key("output.name", _H, "must be one of the file's"),
    Key("output.data_type", _H, "must be the file's"),
    Key("output.dims", _H, "as `input.dims`"),
    Key("output.reshape", _H, "the shape that the model file gives"),
    Key("output.reshape.shape", _H, "without the batch dimension"),
    Key("output.label_filename", _H, "a file beside config.pbtxt, a label a line, for classification"),
    Key("output.is_shape_tensor", _N, "TensorRT only"),
    Key("output.is_non_linear_format_io", _N, "TensorRT only"),
    Key("batch_input", _R, "ragged batches are not served"),
    Key("batch_output", _R, "ragged batches are not served"),
    Key("optimization", _H, "each of its keys by itself"),
    Key("optimization.graph", _N, "ONNX Runtime optimises fully"),
    Key("optimization.priority", _N, "models share a device as their requests come"),
    Key("optimization.cuda", _N, "no CUDA graphs"),
    Key("optimization.execution_accelerators", _N, "no TensorRT, OpenVINO or other accelerator"),
    Key("optimization.input_pinned_memory", _N, "copies are the runtime's own"),
    Key("optimization.output_pinned_memory", _N, "copies are the runtime's own"),
    Key("optimization.gather_kernel_buffer_threshold", _N, "copies are the runtime's own"),
    Key("optimization.eager_batching", _N, "a batch is put together when an instance takes it"),
    Key(
        "dynamic_batching",
        _H,
        "left out: the same with its defaults, so whoever waits runs together, unless the model could not be "
        "tried",
    ),
    Key("dynamic_batching.preferred_batch_size", _H, "at most `max_batch_size`, where that is set"),
    Key(
        "dynamic_batching.max_queue_delay_microseconds",
        _H,
        "at most a minute; with `max_batch_size` 0 there is nothing to wait for, and it is named",
    ),
    Key("dynamic_batching.preserve_ordering", _N, "answers leave when they are ready"),
    Key("dynamic_batching.priority_levels", _H, "at most 16"),
    Key("dynamic_batching.default_priority_level", _H, "of a request without one; left out: the middle one"),
    Key("dynamic_batching.default_queue_policy", _H, "each of its keys by itself"),
    Key(
        "dynamic_batching.default_queue_policy.timeout_action",
        _N,
        "a request whose time is up is refused; with DELAY there is no default time-out",
    ),
    Key(
        "dynamic_batching.default_queue_policy.default_timeout_microseconds",
        _H,
        "longest wait for an instance, then DEADLINE_EXCEEDED; a caller's earlier deadline counts too",
    ),
    Key(
        "dynamic_batching.default_queue_policy.allow_timeout_override",
        _H,
        "a request's own `timeout` counts, if it is the shorter; `false` beside a default time-out is named",
    ),
    Key(
        "dynamic_batching.default_queue_policy.max_queue_size",
        _H,
        "0 or left out: 4096, for no queue here is without bound",
    ),
    Key("dynamic_batching.priority_queue_policy", _N, "one queue policy for all levels"),
    Key("sequence_batching", _R, "no state is kept between requests"),
    Key("ensemble_scheduling", _R, "write steps into a model.yaml, or call the models one by one"),
    Key("instance_group", _H, "groups of one kind are added up; others than the first one's are named"),
    Key("instance_group.name", _K, "a name alone"),
    Key("instance_group.kind", _H, "KIND_AUTO, KIND_CPU, KIND_GPU; KIND_MODEL counts as KIND_AUTO"),
    Key("instance_group.count", _H, "instances on each GPU of the group; 0 counts as 1, 64 in all at most"),
    Key("instance_group.rate_limiter", _N, "instances take work as they come free"),
    Key("instance_group.gpus", _H, "each gets `count` instances; left out with KIND_GPU: every GPU"),
    Key("instance_group.secondary_devices", _N, "no DLA"),
    Key("instance_group.profile", _N, "TensorRT only"),
    Key("instance_group.passive", _N, "every instance serves"),
    Key("instance_group.host_policy", _N, "threads by TRIREME_INFERENCE_THREADS"),
    Key("default_model_filename", _H, "a file of the version's directory"),
    Key("cc_model_filenames", _N, "one file for all devices"),
    Key("metric_tags", _N, "labels of metrics are fixed"),
    Key("parameters", _N, "each is named by its own name"),
    Key("model_warmup", _H, "requests that are run before the model is READY; one that fails is its reason"),
    Key("model_warmup.name", _H, "for messages"),
    Key(
        "model_warmup.batch_size",
        _H,
        "the row of each input is repeated so often; 0 counts as 1; at most `max_batch_size`",
    ),
    Key("model_warmup.inputs", _H, "every input of the model"),
    Key("model_warmup.inputs.key", _H, "its name"),
    Key("model_warmup.inputs.value", _H, "its content"),
    Key("model_warmup.inputs.value.data_type", _H, "must be the input's"),
    Key("model_warmup.inputs.value.dims", _H, "without the batch dimension"),
    Key("model_warmup.inputs.value.zero_data", _H, "zeros, or empty strings"),
    Key("model_warmup.inputs.value.random_data", _H, "floats from [0, 1), integers 0 and 1"),
    Key("model_warmup.inputs.value.input_data_file", _H, "the raw elements, in the model's folder `warmup`"),
    Key("model_warmup.count", _H, "0 counts as 1, 1000 at most"),
    Key("model_operations", _N, "no libraries are loaded; an ONNX file that needs one is refused"),
    Key("model_transaction_policy", _H, "each of its keys by itself"),
    Key("model_transaction_policy.decoupled", _N, "ONNX and TorchScript give one answer a request"),
    Key("model_repository_agents", _N, "no plug-ins; a model.yaml pins SHA-256 `digests`"),
    Key("response_cache", _H, "left out: off"),
    Key("response_cache.enable", _H, "answers are kept for 300 seconds, for each tenant by itself"),
    Key("model_metrics", _N, "buckets of metrics are fixed"),
)

_BY_NAME = {key.name: key for key in KEYS}


def set_keys(message: Message, prefix: str = "") -> Iterator[Key]:
    """The keys of the table that a configuration sets to other than their default, most specific first
    where a key has keys of its own. An entry of `parameters` is a key by itself."""
    for field, value in message.ListFields():
        name = prefix + field.name
        key = _BY_NAME[name]
        if name == "parameters":
            yield from (key._replace(name=f'{name}["{entry}"]') for entry in sorted(value))
            continue
        yield key
        if field.message_type is not None and key.fate is Fate.HONOURED:
            if isinstance(value, Mapping):
                yield from (inner for entry in value.values() for inner in set_keys(entry, f"{name}.value."))
                continue
            for inner in value if field.is_repeated else (value,):
                yield from set_keys(inner, f"{name}.")


def not_honoured(message: Message) -> list[str]:
    """Names of the keys that a configuration sets and that act nowhere, each once, in order."""
    return list(dict.fromkeys(key.name for key in set_keys(message) if key.fate is Fate.NOT_HONOURED))
