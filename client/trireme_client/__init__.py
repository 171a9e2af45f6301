"""Client of the Trireme model-serving platform: `Client` for code that waits, `AsyncClient` for asyncio."""

from trireme_client.async_client import AsyncClient
from trireme_client.batches import BatchItem
from trireme_client.client import Client
from trireme_client.errors import (
    BadRequest,
    ConnectionLost,
    DeadlineExceeded,
    NotFound,
    PermissionDenied,
    RateLimited,
    ServerError,
    TriremeError,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)
from trireme_client.results import (
    Classification,
    Embedding,
    Embeddings,
    FailedItem,
    Health,
    Inference,
    ModelHealth,
    ModelInfo,
    Numbers,
    Served,
)
from trireme_client.retries import Retries
from trireme_client.tensors import Tensor

__all__ = [
    "AsyncClient",
    "BadRequest",
    "BatchItem",
    "Classification",
    "Client",
    "ConnectionLost",
    "DeadlineExceeded",
    "Embedding",
    "Embeddings",
    "FailedItem",
    "Health",
    "Inference",
    "ModelHealth",
    "ModelInfo",
    "NotFound",
    "Numbers",
    "PermissionDenied",
    "RateLimited",
    "Retries",
    "Served",
    "ServerError",
    "Tensor",
    "TriremeError",
    "Unavailable",
    "UnexpectedAnswer",
    "Unreachable",
]
