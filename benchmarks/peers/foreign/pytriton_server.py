"""PyTriton: NVIDIA's Triton in front of functions in this process; its own HTTP speaks the v2 protocol."""

from __future__ import annotations

import os
import sysconfig
from typing import Any

import numpy as np
from geventhttpclient.response import HTTPConnectionClosed
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig
from tritonclient.utils import InferenceServerException

from benchmarks.peers.foreign.work import Array, Setup, TensorWork, TextWork, open_work, read_setup

_ATTEMPTS = 3


def run_tensors(work: TensorWork) -> Any:
    @batch
    def run(**inputs: Array) -> list[Array]:
        return list(work.session.run(work.fetch, inputs)[:1])

    return run


def run_texts(work: TextWork) -> Any:
    @batch
    def run(text: Array) -> list[Array]:
        items = [work.item(row[0].decode()) for row in text]
        answers = [work.answer(*each) for each in zip(items, work.run(items), strict=True)]
        labels = np.char.encode([[answer["label"]] for answer in answers], "utf-8")
        return [labels, np.array([list(answer["probabilities"].values()) for answer in answers])]

    return run


def forms(setup: Setup, work: TensorWork) -> tuple[list[Tensor], list[Tensor]]:
    """Inputs and outputs as Triton is told of them."""
    if setup.mode == "texts":
        text, label = (
            Tensor(name="text", dtype=bytes, shape=(1,)),
            Tensor(name="label", dtype=bytes, shape=(1,)),
        )
        return [text], [label, Tensor(name="probabilities", dtype=np.float64, shape=(-1,))]
    inputs = [
        Tensor(name=name, dtype=dtype.type, shape=tuple(s if isinstance(s, int) else -1 for s in shape))
        for name, dtype, shape in zip(work.names, work.dtypes, work.shapes, strict=True)
    ]
    node = work.session.get_outputs()[0]
    shape = tuple(size if isinstance(size, int) else -1 for size in node.shape[1:])
    return inputs, [Tensor(name=node.name, dtype=np.float32, shape=shape)]


def main() -> None:
    setup = read_setup()
    # Triton's Python backend links libpython by name: another build's than this one's would not do.
    known = os.environ.get("LD_LIBRARY_PATH", "")
    os.environ["LD_LIBRARY_PATH"] = os.pathsep.join([sysconfig.get_config_var("LIBDIR"), known]).rstrip(":")
    works = [open_work(setup) for _ in range(setup.workers)]
    for attempts_left in reversed(range(_ATTEMPTS)):
        try:
            serve(setup, works)
            return
        except (InferenceServerException, HTTPConnectionClosed):
            # Triton's backend has one second, fixed, to reach this process: too little on a busy machine.
            if not attempts_left:
                raise


def serve(setup: Setup, works: list[TensorWork]) -> None:
    """Serves until SIGTERM. Raises InferenceServerException or HTTPConnectionClosed where Triton could not
    load the model."""
    inputs, outputs = forms(setup, works[0])
    ports = {"http_port": setup.port, "grpc_port": setup.grpc_port, "metrics_port": setup.metrics_port}
    config = TritonConfig(http_address="127.0.0.1", grpc_address="127.0.0.1", log_verbose=0, **ports)
    batcher = DynamicBatcher(max_queue_delay_microseconds=round(setup.delay_ms * 1000))
    functions = [run_texts(work) if isinstance(work, TextWork) else run_tensors(work) for work in works]
    with Triton(config=config) as triton:
        triton.bind(
            model_name=setup.name,
            infer_func=functions,
            inputs=inputs,
            outputs=outputs,
            config=ModelConfig(max_batch_size=setup.batch, batcher=batcher),
            strict=False,
        )
        triton.serve()


if __name__ == "__main__":
    main()
