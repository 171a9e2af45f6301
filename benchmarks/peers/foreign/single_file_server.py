"""What people write without a framework: one FastAPI file and a thread pool, in this repository's own
environment. No batches: `workers` are the threads that run the model side by side."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import uvicorn
from fastapi import FastAPI, Request, Response

from benchmarks.peers.foreign.work import TensorWork, open_work, read_setup


def create_app(work: TensorWork, threads: int) -> FastAPI:
    """`POST /predict`."""
    app, pool = FastAPI(), ThreadPoolExecutor(threads)

    def answer(body: bytes) -> bytes:
        item = work.decode(body)
        return work.encode(item, work.run([item])[0])

    @app.post("/predict", response_model=None)
    async def predict(request: Request) -> Response:
        body = await request.body()
        content = await asyncio.get_running_loop().run_in_executor(pool, answer, body)
        return Response(content, media_type=work.content_type)

    return app


def main() -> None:
    setup = read_setup()
    app = create_app(open_work(setup), setup.workers)
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=setup.port,
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
        lifespan="off",
    )


if __name__ == "__main__":
    main()
