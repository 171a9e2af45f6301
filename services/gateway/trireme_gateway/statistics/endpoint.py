"""Asks one inference endpoint for its statistics, by the Open Inference Protocol that it speaks anyway."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message

from trireme_gateway.statistics.model_statistics import BATCH, INFERENCE, RESPONSE, Duration, ModelStatistics
from trireme_gateway.statistics.summary import Unanswered
from trireme_protos.inference import grpc_service_pb2 as pb

_METHOD = "/inference.GRPCInferenceService/ModelStatistics"
# What servers answer that do not have the model, or not now.
_HAS_NONE = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT)


async def ask_endpoint(address: str, name: str, version: str, seconds: float) -> list[ModelStatistics]:
    """Statistics of a model's version, of all its versions (`version` empty), or of all models (`name` empty
    too); nothing where the endpoint does not have it.

    Raises Unanswered where it does not tell them within `seconds`.
    """
    request = pb.ModelStatisticsRequest(name=name, version=version).SerializeToString()
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary(_METHOD, None, None)
        try:
            return decoded(await call(request, timeout=seconds))
        except grpc.aio.AioRpcError as error:
            if error.code() in _HAS_NONE:
                return []
            raise Unanswered(f"{address}: {error.code().name}") from error
        except DecodeError as error:
            raise Unanswered(f"{address}: not a message of the protocol") from error


def decoded(data: bytes) -> list[ModelStatistics]:
    """Statistics out of the bytes of a message. Raises DecodeError."""
    return [_decoded(entry) for entry in pb.ModelStatisticsResponse.FromString(data).model_stats]


def _decoded(entry: pb.ModelStatistics) -> ModelStatistics:
    return ModelStatistics(
        name=entry.name,
        version=entry.version,
        last_inference_ms=entry.last_inference,
        inferences=entry.inference_count,
        executions=entry.execution_count,
        inference=_durations(entry.inference_stats, INFERENCE),
        responses={key: _durations(found, RESPONSE) for key, found in entry.response_stats.items()},
        batches={batch.batch_size: _durations(batch, BATCH) for batch in entry.batch_stats},
        memory={(usage.type, usage.id): usage.byte_size for usage in entry.memory_usage},
    )


def _durations(message: Message, names: Iterable[str]) -> Mapping[str, Duration]:
    found = {name: getattr(message, name) for name in names}
    return {name: Duration(one.count, one.ns) for name, one in found.items()}
