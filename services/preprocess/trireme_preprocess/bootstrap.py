"""Composition root of the preprocess service."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from trireme_common.cpus import available_cpus
from trireme_common.itemwise import ItemwiseHandler
from trireme_common.model_store import ModelStore
from trireme_common.stage import serve_stage
from trireme_common.stage_servicer import StageServicer
from trireme_common.tensors import encode_tensors
from trireme_common.tracing import open_tracer
from trireme_common.version_policy import every_version
from trireme_preprocess.converters import decode_item
from trireme_preprocess.preprocessor import PassThrough, Preprocessor, load
from trireme_preprocess.settings import PreprocessSettings

SERVICE = "trireme.v1.PreprocessService"


def run(preprocessor: Preprocessor | PassThrough, payload: bytes) -> bytes:
    """One item's payload in and out, as preprocess.proto says."""
    return encode_tensors(preprocessor(decode_item(payload)))


async def serve(settings: PreprocessSettings, stop: asyncio.Event) -> None:
    """Runs the service until `stop` is set."""
    store = ModelStore(settings.models_dir, load, policy=every_version, state_dir=settings.state_dir)
    threads = settings.threads or available_cpus()
    with ThreadPoolExecutor(threads, "items") as executor:
        handler = ItemwiseHandler(store, run, executor, threads, lambda preprocessor: preprocessor.heavy)
        async with open_tracer("preprocess", settings) as tracer:
            stream = StageServicer(handler, store, tracer, "preprocess")
            server = stream.server(settings.host, settings.port, SERVICE, "Process")
            await serve_stage(settings, store, server, stop)
