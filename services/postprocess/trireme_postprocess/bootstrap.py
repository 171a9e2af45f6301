"""Composition root of the postprocess service."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from trireme_common.cpus import available_cpus
from trireme_common.itemwise import ItemwiseHandler
from trireme_common.model_store import ModelStore
from trireme_common.stage import serve_stage
from trireme_common.stage_servicer import StageServicer
from trireme_common.tensors import decode_tensors
from trireme_common.tracing import open_tracer
from trireme_common.version_policy import every_version
from trireme_postprocess.converters import encode_answer
from trireme_postprocess.postprocessor import PassThrough, Postprocessor, load
from trireme_postprocess.settings import PostprocessSettings

SERVICE = "trireme.v1.PostprocessService"


def run(postprocessor: Postprocessor | PassThrough, payload: bytes) -> bytes:
    """One item's payload in and out, as postprocess.proto says."""
    return encode_answer(postprocessor(decode_tensors(payload)))


async def serve(settings: PostprocessSettings, stop: asyncio.Event) -> None:
    """Runs the service until `stop` is set."""
    store = ModelStore(settings.models_dir, load, policy=every_version, state_dir=settings.state_dir)
    threads = settings.threads or available_cpus()
    with ThreadPoolExecutor(threads, "items") as executor:
        handler = ItemwiseHandler(store, run, executor, threads)
        async with open_tracer("postprocess", settings) as tracer:
            stream = StageServicer(handler, store, tracer, "postprocess")
            server = stream.server(settings.host, settings.port, SERVICE, "Process")
            await serve_stage(settings, store, server, stop)
