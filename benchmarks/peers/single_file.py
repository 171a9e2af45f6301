"""What people write without a platform: one FastAPI file over the model file, and a thread pool.

The same ONNX file, the same preprocess and postprocess steps and the same session options as the
platform's; uvloop, orjson, and the body read from `Request`, which is FastAPI at its fastest.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime
import orjson
from fastapi import FastAPI, Request, Response
from uvicorn._types import ASGI3Application

from benchmarks.peers.serving import serve
from trireme_common.repository import VersionFiles, scan
from trireme_common.steps import Assets
from trireme_common.tensors import dtype_of
from trireme_postprocess.answers import Classification
from trireme_postprocess.steps import build_chain
from trireme_preprocess.preprocessor import KIND_OF_TASK
from trireme_preprocess.steps import VOCABULARY


class Pipeline:
    """One classification model, from an item as it is sent to its answer, in the calling thread."""

    def __init__(self, files: VersionFiles) -> None:
        spec, assets = files.spec, Assets(files.directory)
        before = [(step.name, step.parameters) for step in spec.preprocess]
        after = [(step.name, step.parameters) for step in spec.postprocess]
        self._before = VOCABULARY.build(before, assets, KIND_OF_TASK[spec.task])
        self._after = build_chain(spec.task, after, assets)
        self._inputs = [(tensor.name, dtype_of(tensor.datatype)) for tensor in spec.inputs]
        self._fetch = [spec.outputs[0].name]
        self._session = open_session(files.directory / "model.onnx")

    def __call__(self, item: str | bytes) -> Classification:
        """Raises ItemError for an item that the steps refuse."""
        tensors = self._before(item)
        feed = {name: np.asarray(tensors[name], dtype)[np.newaxis] for name, dtype in self._inputs}
        scores = np.asarray(self._session.run(self._fetch, feed)[0][0], np.float64)
        return cast(Classification, self._after(scores))


def open_session(path: Path) -> Any:
    """onnxruntime on one thread a run, as the inference service is told to open it in the benchmark."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def read_pipeline(models_dir: Path) -> tuple[str, Pipeline]:
    """Name and pipeline of the only model of a repository. Raises ValueError, SpecError."""
    found = scan(models_dir)
    if found.broken or len(found.versions) != 1:
        raise ValueError(f"{models_dir} must hold one version of one model: {found}")
    return found.versions[0].spec.name, Pipeline(found.versions[0])


def create_app(name: str, pipeline: Pipeline, threads: int) -> FastAPI:
    """`POST /predict` for texts and `POST /v1/models/{name}/predict` for a picture as the body."""
    app = FastAPI()
    pool = ThreadPoolExecutor(threads)

    @app.post("/predict", response_model=None)
    async def predict(request: Request) -> Response:
        started = time.perf_counter()
        texts = orjson.loads(await request.body())["texts"]
        run = asyncio.get_running_loop().run_in_executor
        answers = [await run(pool, pipeline, text) for text in texts]
        results = [{"text": text, **item(answer)} for text, answer in zip(texts, answers, strict=True)]
        trailer = {"inference_time": time.perf_counter() - started, "model": name, "version": "1"}
        return json_response({"results": results, **trailer})

    @app.post(f"/v1/models/{name}/predict", response_model=None)
    async def predict_picture(request: Request) -> Response:
        body = await request.body()
        answer = await asyncio.get_running_loop().run_in_executor(pool, pipeline, body)
        more = {"predicted_class": answer.index, "all_predictions": answer.by_label}
        return json_response({**item(answer), **more, "model": name, "version": "1"})

    return app


def item(answer: Classification) -> dict[str, Any]:
    """An item's answer as the platform writes it."""
    return {"label": answer.label, "confidence": answer.confidence, "probabilities": answer.by_label}


def json_response(content: Any) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, required=True, help="repository with one model")
    parser.add_argument("--threads", type=int, required=True)
    given = parser.parse_args()
    name, pipeline = read_pipeline(given.models)
    serve(cast(ASGI3Application, create_app(name, pipeline, given.threads)))


if __name__ == "__main__":
    main()
